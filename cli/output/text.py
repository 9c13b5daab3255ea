"""Text of sessions as it may be shown: nothing in it steers a terminal, and its width is known.

What code prints, throws or is called can hold anything: escape sequences that paint, move or answer,
characters that reverse the order of others, halves of surrogate pairs. These are shown for what they are.
"""

from __future__ import annotations

import re

UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, but for tab and newline
    "\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f"  # what turns the order round
    "\u00ad\u200b\u2060-\u2065\ufeff\ufff9-\ufffb"  # what has no width
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
"""What is not shown as it is."""
_PICTURES = 0x2400
"""Code points from here on picture the first 32 control characters."""
_DELETE = 0x7F
TAB = 4
"""Cells to which a tab goes on."""


def visible(text: str) -> str:
    """The text with all that could steer a terminal made visible, as ``␛`` or ``\\u202e``; in its lines."""
    return UNSAFE.sub(_seen, text.replace("\r\n", "\n")).expandtabs(TAB)


def one_line(text: str) -> str:
    """The same in one line: newlines are ``⏎``, and other blanks of some length a single one."""
    return re.sub(r"[ \t]+", " ", visible(re.sub(r"[ \t]*\n\s*", "⏎", text.strip().replace("\r\n", "\n"))))


def _seen(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(_PICTURES + code)
    if code == _DELETE:
        return "␡"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def cells(text: str) -> int:
    """How many cells of a terminal a ``visible`` line takes."""
    if text.isascii():
        return len(text)
    from wcwidth import wcswidth  # not where all is ASCII

    return max(wcswidth(text), 0)


def fit(text: str, width: int | None) -> str:
    """A visible line cut to so many cells, with ``…`` where it is cut; whole if ``width`` is None."""
    if width is None or len(text) * 2 <= width or cells(text) <= width:
        return text
    if text.isascii():
        return f"{text[: width - 1]}…" if width > 0 else ""
    from wcwidth import iter_graphemes

    kept, room = [], width - 1
    for grapheme in iter_graphemes(text):
        room -= cells(grapheme)
        if room < 0:
            break
        kept.append(grapheme)
    return f"{''.join(kept)}…" if width > 0 else ""
