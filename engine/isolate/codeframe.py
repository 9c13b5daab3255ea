"""The failing line of a script, with its neighbours, marked."""

from __future__ import annotations

_WIDTH = 120
"""Longest piece of a line that is shown, in characters."""


def code_frame(code: str, line: int, column: int) -> str | None:
    """Lines around ``line`` of ``code`` with a caret under ``column`` (both 1-based).

    None if the code has no such line. Long lines are cut to a window around the column.
    """
    lines = code.split("\n")
    if not 1 <= line <= len(lines):
        return None
    start = max(0, column - 1 - _WIDTH // 2) if len(lines[line - 1]) > _WIDTH else 0
    shown = range(max(1, line - 1), min(len(lines), line + 1) + 1)
    digits = len(str(shown[-1]))
    frame = []
    for number in shown:
        text = lines[number - 1].rstrip("\r").replace("\t", " ")[start : start + _WIDTH]
        marker = ">" if number == line else " "
        if number == line or text.strip():
            frame.append(f"{marker} {number:{digits}} | {text}".rstrip())
        if number == line:
            frame.append(f"  {'':{digits}} | {' ' * (column - 1 - start)}^")
    return "\n".join(frame)
