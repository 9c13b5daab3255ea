"""The failing line of a script, with its neighbours, marked."""

from __future__ import annotations

import unicodedata

from engine.isolate import codetext

_WIDTH = 120
"""Longest piece of a line that is shown, in characters."""


def code_frame(code: str, line: int, column: int) -> str | None:
    """Lines around ``line`` of ``code`` with a caret under ``column`` (both 1-based, as V8 counts).

    None if there is nothing to see there. Long lines are cut to a window around the column.
    """
    lines = codetext.lines_of(code)
    if not 1 <= line <= len(lines):
        return None
    failing = lines[line - 1]
    at = codetext.index(failing, column - 1)
    start = max(0, at - _WIDTH // 2) if len(failing) > _WIDTH else 0
    shown = range(max(1, line - 1), min(len(lines), line + 1) + 1)
    if not any(lines[number - 1].strip() for number in shown):
        return None
    digits = len(str(shown[-1]))
    frame = []
    for number in shown:
        text = _window(lines[number - 1], start)
        marker = ">" if number == line else " "
        if number == line or text.strip():
            frame.append(f"{marker} {number:{digits}} | {text}".rstrip())
        if number == line:
            before = _width(text[: at - start]) + max(0, at - start - len(text))
            frame.append(f"  {'':{digits}} | {' ' * before}^")
    return "\n".join(frame)


def _window(line: str, start: int) -> str:
    """The piece of the line from ``start`` on, with ``…`` where it is cut, and without control characters."""
    text = line[start : start + _WIDTH]
    if start and text:
        text = f"…{text[1:]}"
    if len(line) > start + _WIDTH:
        text = f"{text[:-1]}…"
    if text.isprintable():
        return text
    return "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)


def _width(text: str) -> int:
    """How many cells the text takes; it has no control characters."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(character: str) -> int:
    """How wide the character is in text of fixed width."""
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
