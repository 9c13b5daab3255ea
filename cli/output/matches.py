"""Where a text is in an execution, and the line that it is in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import UNSET, Struct

from cli.output.styles import FAINT, MATCH, Styled
from cli.output.text import visible
from transports.rest.shapes import EventAnswer, ListedExecution

_BEFORE = 12
"""Characters of the line that are shown before the match, where it has to fit a line of 48 cells or less."""
_AFTER = 2_000
"""And behind it, at most."""


class Match(Struct, frozen=True):
    """A place in an execution."""

    where: str
    """code, input, console, result or error."""
    line: tuple[Styled, ...]
    """The line there, the match marked."""


def pattern(text: str, *, ignore_case: bool, is_regex: bool) -> re.Pattern[str]:
    """What finds the text, or the regular expression that it is. Raises re.error."""
    flags = re.MULTILINE | (re.IGNORECASE if ignore_case else 0)
    return re.compile(text if is_regex else re.escape(text), flags)


def first_match(one: ListedExecution, wanted: re.Pattern[str], width: int | None) -> Match | None:
    """The first place where it is, if it is anywhere, to be shown in a line of so many cells.

    Of an execution that is not over there is the first line of its code.
    """
    before = None if width is None else max(_BEFORE, width // 4)
    for where, text in [("code", one.code)] if one.recorded is UNSET else _texts(one.recorded):
        if (found := wanted.search(text)) is not None:
            return Match(where, _line(text, *found.span(), before))
    return None


def _texts(event: EventAnswer) -> Iterator[tuple[str, str]]:
    if event.code:
        yield "code", event.code
    if event.input:
        yield "input", event.input
    for line in event.console or ():
        yield "console", line.text
    if event.result:
        yield "result", event.result
    if event.error:
        yield "error", event.error
    if event.error_detail:
        yield "error", f"{event.error_detail.name}: {event.error_detail.message}"
        yield "error", event.error_detail.stack or ""


def _line(text: str, start: int, end: int, most: int | None) -> tuple[Styled, ...]:
    begin = text.rfind("\n", 0, start) + 1
    behind = text.find("\n", end)
    after = text[end:] if behind == -1 else text[end:behind]
    before = text[begin:start].lstrip()
    cut = Styled("")
    if most is not None and len(before) > most:
        cut, before = Styled("…", FAINT), before[-most:]
    return (
        cut,
        Styled(visible(before)),
        Styled(visible(text[start:end]).replace("\n", "⏎"), MATCH),
        Styled(visible(after[:_AFTER].rstrip())),
    )
