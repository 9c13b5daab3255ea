"""What differs between two texts: lines as a unified diff, a single line by its characters."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from cli.output.quantities import counted
from cli.output.styles import BAD, FAINT, GOOD, Style, paint
from cli.output.text import visible

MAX_LINES = 60
"""Lines of one diff that are shown."""
MAX_CHARS = 600
"""Characters of one line that are shown."""
_CONTEXT = 2
_ADDED: Style = {**GOOD, "reverse": True}
_REMOVED: Style = {**BAD, "reverse": True}


def diff(before: str, after: str) -> list[str]:
    """The lines that lead from one text to the other, each behind ``-``, ``+`` or a blank."""
    was, now = visible(before).split("\n"), visible(after).split("\n")
    if len(was) == len(now) == 1:
        return list(_characters(was[0], now[0]))
    lines = list(_unified(was, now))
    if len(lines) > MAX_LINES:
        more = counted(len(lines) - MAX_LINES, "line")
        lines[MAX_LINES:] = [paint(f"… {more} more", FAINT)]
    return lines


def _characters(was: str, now: str) -> Iterator[str]:
    """Both lines, with what only one of them has standing out."""
    start = next(
        (i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now))
    )
    room = min(len(was), len(now)) - start
    end = next((i for i in range(room) if was[-1 - i] != now[-1 - i]), max(room, 0))
    for sign, text, plain, strong in (("-", was, BAD, _REMOVED), ("+", now, GOOD, _ADDED)):
        shown = text[:MAX_CHARS]
        stop = max(start, min(len(text) - end, MAX_CHARS))
        parts = paint(f"{sign} {shown[:start]}", plain) + paint(shown[start:stop], strong)
        yield parts + paint(shown[stop:], plain) + _cut(text)


def _unified(was: list[str], now: list[str]) -> Iterator[str]:
    pieces = difflib.unified_diff(was, now, n=_CONTEXT, lineterm="")
    for number, line in enumerate(pieces):
        sign, text = line[:1], line[1 : 1 + MAX_CHARS]
        if number > 1:  # behind the names of two files
            style = {"-": BAD, "+": GOOD}.get(sign, FAINT)
            shown = line if sign == "@" else f"{sign} {text}"
            yield paint(shown, style) + _cut(line[1:])


def _cut(text: str) -> str:
    left_out = len(text) - MAX_CHARS
    return paint(f"… {counted(left_out, 'character')} more", FAINT) if left_out > 0 else ""
