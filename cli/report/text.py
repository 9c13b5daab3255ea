"""Texts of guests as HTML: nothing in them is markup, nothing is invisible, and none is too long. Pure."""

from __future__ import annotations

import html
import itertools
import re
from functools import lru_cache

from markupsafe import Markup
from msgspec import Struct, UnsetType
from pygments.lexers.javascript import JavascriptLexer
from pygments.token import Comment, Keyword, Number, String, _TokenType, is_token_subtype

from cli.output.quantities import counted
from cli.output.text import visible
from engine.isolate import codetext

_LEXER = JavascriptLexer(stripnl=False, ensurenl=False)
_COLOURED = ((Keyword, "k"), (String, "s"), (Number, "m"), (Comment, "c"))
HIGHLIGHTED_CHARS = 20_000
"""Longest code that is coloured: a lexer takes its time."""
MOST_CHARS = 20_000
"""Characters of a text that are shown, at most ..."""
LEAST_CHARS = 500
"""... and in any case."""
MOST_LINES = 1_000
PAGE_CHARS = 16_000_000
"""Characters that all texts of the page may have together, if these are not more."""
_NEWLINE = re.compile("\n")
_GREED = 4
"""An event may take so many shares of what is left."""
_ROWS, _CHARS_PER_ROW = 18, 110


class Text(Struct, frozen=True):
    """A text, as far as it fits."""

    html: Markup
    left_out: str = ""
    """How much more there is, if there is."""
    tall: bool = False
    """Whether it gets a box that scrolls."""


class Room:
    """Shares the room of the page among ``events`` events, one after the other."""

    def __init__(self, events: int) -> None:
        self._left = PAGE_CHARS
        self._events = max(1, events)

    @property
    def chars(self) -> int:
        """What one text may have now."""
        return max(LEAST_CHARS, min(MOST_CHARS, _GREED * self._left // self._events))

    def next_event(self) -> None:
        """The next one's turn."""
        self._events = max(1, self._events - 1)

    def text(self, whole: str | UnsetType | None) -> Text | None:
        """The text, as far as it fits; None if there is none."""
        if not isinstance(whole, str):
            return None
        kept, left_out = self.fit(whole)
        return Text(shown(kept), left_out, is_tall(kept))

    def fit(self, whole: str) -> tuple[str, str]:
        """The beginning of the text, and in words how much more there is.

        It is cut at the end of a line, if one ends in the last quarter of what fits.
        """
        end, most = len(whole), self.chars
        if end > most:
            end = whole.rfind("\n", most * 3 // 4, most) + 1 or most
        if whole.count("\n", 0, end) > MOST_LINES:
            end = [newline.end() for newline in itertools.islice(_NEWLINE.finditer(whole), MOST_LINES)][-1]
        self._left = max(0, self._left - end)
        return whole[:end], "" if end == len(whole) else f"{counted(len(whole) - end, 'character')} more"


def is_tall(text: str) -> bool:
    """Whether the text would take a good part of a screen."""
    return text.count("\n") + len(text) // _CHARS_PER_ROW > _ROWS


def shown(text: str) -> Markup:
    """The text as HTML, with all that would not be seen, or would change how the rest is seen, spelt out."""
    return _markup(visible(text))


@lru_cache(maxsize=1_000)
def code_lines(code: str) -> tuple[Markup, ...]:
    """JavaScript as HTML, a part for each line as V8 counts them."""
    lines = list(map(visible, codetext.lines_of(code)))
    if len(code) > HIGHLIGHTED_CHARS:
        return tuple(map(_markup, lines))
    coloured = [""]
    tokens = _LEXER.get_tokens("\n".join(lines))
    for name, group in itertools.groupby(tokens, key=lambda token: _class(token[0])):
        first, *others = "".join(text for _, text in group).split("\n")
        coloured[-1] += _span(name, first)
        coloured += [_span(name, part) for part in others]
    return tuple(map(Markup, coloured))


@lru_cache
def _class(kind: _TokenType) -> str | None:
    return next((name for type_, name in _COLOURED if is_token_subtype(kind, type_)), None)


def _span(name: str | None, text: str) -> str:
    escaped = html.escape(text)
    return escaped if name is None or not text else f'<b class="{name}">{escaped}</b>'


def _markup(text: str) -> Markup:
    return Markup(html.escape(text))  # noqa: S704 (escaped)
