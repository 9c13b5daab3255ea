"""Pages of an execution's console. Pure.

The console is the text that its lines make, each followed by a newline; a line that was printed with
newlines in it is several lines of that text. Lines count from 1, bytes (of UTF-8) from 0.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from engine.errors import InvalidField
from engine.events import Line

MAX_PAGE_BYTES = 64_000
"""Bytes of one page."""

_NEWLINE = b"\n"


class OutputPage(Struct, frozen=True, kw_only=True):
    """A part of a console, and where the next one begins.

    A page behind the end is empty: its ``end_line`` is the last line, its ``start_line`` one more.
    """

    data: str
    start_line: int
    end_line: int
    """Number of the last line that is in the page, if only in part."""
    next_line_offset: int | None
    """The first line that begins behind the page; None if there is none."""
    total_lines: int
    start_byte: int
    end_byte: int
    """The byte behind the page's last."""
    next_byte_offset: int | None
    """Equal to ``end_byte``; None if that is the end of the console."""
    total_bytes: int
    has_more: bool


def joined(lines: Sequence[Line]) -> str:
    """The console as one text."""
    return "".join([f"{line.text}\n" for line in lines])


def page(
    lines: Sequence[Line],
    *,
    line_offset: int | None = None,
    line_limit: int | None = None,
    byte_offset: int | None = None,
    byte_limit: int | None = None,
) -> OutputPage:
    """The page that begins at a line or at a byte, the first one if neither is given.

    It ends after ``line_limit`` lines, ``byte_limit`` bytes or MAX_PAGE_BYTES, whichever comes first;
    if it begins at a line, with a whole line, unless a single one is too long (its rest begins at
    ``next_byte_offset``). A character is never split: a page that would begin within one begins before
    it, one that would end within its first is longer.

    Raises InvalidField for numbers out of range, and if both offsets are given.
    """
    _check(line_offset=line_offset, line_limit=line_limit, byte_limit=byte_limit)
    if byte_offset is not None:
        if line_offset is not None:
            raise InvalidField("give line_offset or byte_offset, not both", field="byte_offset")
        if byte_offset < 0:
            raise InvalidField(f"byte_offset is {byte_offset}; bytes count from 0", field="byte_offset")
    data = joined(lines).encode()
    start = _start_of_line(data, line_offset or 1) if byte_offset is None else _floor(data, byte_offset)
    end = _end(data, start, min(byte_limit or MAX_PAGE_BYTES, MAX_PAGE_BYTES), line_limit)
    if byte_offset is None and (line_end := data.rfind(_NEWLINE, start, end)) != -1:
        end = line_end + 1
    return _page(data, start, end)


def _check(**positive: int | None) -> None:
    for field, number in positive.items():
        if number is not None and number < 1:
            raise InvalidField(f"{field} is {number}; it must be 1 or more", field=field)


def _start_of_line(data: bytes, number: int) -> int:
    """Where a line begins, counted from 1; the end of ``data`` if it has no such line."""
    if number > data.count(_NEWLINE):
        return len(data)
    return len(data) - len(data.split(_NEWLINE, number - 1)[-1])


def _end(data: bytes, start: int, byte_limit: int, line_limit: int | None) -> int:
    """Where a page ends that has at most so many bytes and lines, and at least one character."""
    end = _floor(data, start + byte_limit)
    if end == start:
        end = _ceiling(data, start + byte_limit)
    window = data[start:end]
    if line_limit is not None and window.count(_NEWLINE) > line_limit:
        end -= len(window.split(_NEWLINE, line_limit)[-1])
    return end


def _floor(data: bytes, at: int) -> int:
    """``at``, moved back to where a character begins, or to the end."""
    at = min(at, len(data))
    while at < len(data) and _is_inside(data[at]):
        at -= 1
    return at


def _ceiling(data: bytes, at: int) -> int:
    """``at``, moved on to where a character begins, or to the end."""
    at = min(at, len(data))
    while at < len(data) and _is_inside(data[at]):
        at += 1
    return at


def _is_inside(byte: int) -> bool:
    return byte & 0b1100_0000 == 0b1000_0000  # a continuation byte of UTF-8


def _page(data: bytes, start: int, end: int) -> OutputPage:
    begun = data.count(_NEWLINE, 0, start)
    total_lines = data.count(_NEWLINE)
    ended = begun + data.count(_NEWLINE, start, end)
    is_cut = start < end and data[end - 1 : end] != _NEWLINE
    end_line = ended + is_cut
    has_more = end < len(data)
    return OutputPage(
        data=data[start:end].decode(),
        start_line=begun + 1,
        end_line=end_line,
        next_line_offset=end_line + 1 if end_line < total_lines else None,
        total_lines=total_lines,
        start_byte=start,
        end_byte=end,
        next_byte_offset=end if has_more else None,
        total_bytes=len(data),
        has_more=has_more,
    )
