"""Code as V8 counts it: its lines, and columns in UTF-16 units. Pure."""

from __future__ import annotations

# These functions and not the codec of that name, which would be imported when it is first used: the
# sandbox ends a worker that does.
from codecs import utf_16_le_decode, utf_16_le_encode

_OTHER_ENDS = ("\r\n", "\r", "\u2028", "\u2029")


def lines_of(code: str) -> list[str]:
    """The lines, without their ends."""
    for end in _OTHER_ENDS:
        code = code.replace(end, "\n")
    return code.split("\n")


def units(text: str) -> int:
    """How long V8 says that the text is."""
    return len(text) if text.isascii() else len(utf_16_le_encode(text, "surrogatepass")[0]) // 2


def index(text: str, at: int) -> int:
    """Where the character is that V8 counts as number ``at``, from 0."""
    if text.isascii():
        return at
    before = utf_16_le_encode(text, "surrogatepass")[0][: 2 * at]
    return len(utf_16_le_decode(before, "surrogatepass", True)[0]) + max(0, at - units(text))
