"""Labels on states: what they may be, and what a change of them comes to. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from engine.errors import InvalidField, TooLarge

MAX_KEY_CHARS = 64
MAX_VALUE_CHARS = 256
MAX_OF_STATE = 64
MAX_OF_SESSION = 1_024
LISTED = 16
"""Labels of a session that a list of sessions shows: a page of them is bounded, whatever they are."""


def check(tags: Mapping[str, str | None]) -> None:
    """Raises InvalidField or TooLarge unless ``tags`` is an acceptable change."""
    if not tags:
        raise InvalidField("`tags` names no label to set or take away", field="tags")
    if len(tags) > MAX_OF_STATE:
        raise TooLarge(f"`tags` has {len(tags)} labels; a state has at most {MAX_OF_STATE}", field="tags")
    for key, value in tags.items():
        if not 1 <= len(key) <= MAX_KEY_CHARS or len(value or "") > MAX_VALUE_CHARS:
            raise InvalidField(
                f"a label's key has 1 to {MAX_KEY_CHARS} characters, its value at most {MAX_VALUE_CHARS}",
                field="tags",
            )
        try:
            f"{key}{value}".encode()
        except UnicodeEncodeError:
            raise InvalidField("`tags` has half of a surrogate pair: it is no text", field="tags") from None


def changes(
    before: Mapping[int, Mapping[str, str]], target: int, asked: Mapping[str, str | None]
) -> dict[str, str | None]:
    """What of ``asked`` differs from the labels that state ``target`` has. Raises TooLarge."""
    had = before.get(target, {})
    found = {key: value for key, value in asked.items() if had.get(key) != value}
    grown = sum((value is not None) - (key in had) for key, value in found.items())
    if grown > 0:
        for count, limit, where in (
            (len(had), MAX_OF_STATE, "a state"),
            (sum(map(len, before.values())), MAX_OF_SESSION, "a session"),
        ):
            if count + grown > limit:
                raise TooLarge(f"{where} can have {limit} labels; take some away first", field="tags")
    return found
