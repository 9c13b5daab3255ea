"""Code as V8 counts it: its lines, and columns in UTF-16 units. Pure."""

from __future__ import annotations

import re

_LINE_END = re.compile("\r\n|[\n\r\u2028\u2029]")


def lines_of(code: str) -> list[str]:
    """The lines, without their ends."""
    return _LINE_END.split(code)


def units(text: str) -> int:
    """How long V8 says that the text is."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def index(text: str, at: int) -> int:
    """Where the character is that V8 counts as number ``at``, from 0."""
    if text.isascii():
        return at
    before = text.encode("utf-16-le", "surrogatepass")[: 2 * at]
    return len(before.decode("utf-16-le", "surrogatepass")) + max(0, at - units(text))
