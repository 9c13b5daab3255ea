"""JavaScript as it is shown: highlighted where there are colours, numbered, the failing line marked."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from cli.output.styles import BAD, FAINT, PLAIN, Style, Styled
from cli.output.text import cells, visible
from engine.isolate.codetext import index, lines_of

MAX_HIGHLIGHTED = 200_000
"""Characters; longer code is shown without colours, which would take seconds."""

_STYLES: tuple[tuple[str, Style], ...] = (
    ("Comment", {"dim": True, "italic": True}),
    ("Keyword.Constant", {"fg": "cyan"}),
    ("Keyword", {"fg": "magenta"}),
    ("Literal.String", {"fg": "green"}),
    ("Literal.Number", {"fg": "cyan"}),
    ("Name.Builtin", {"fg": "blue"}),
    ("Name.Exception", {"fg": "blue"}),
    ("Name.Class", {"fg": "blue"}),
)
"""Kinds of tokens, as Pygments calls them; a kind before what it is a part of."""


def highlighted(code: str) -> str:
    """Code, or a value as it is inspected, in colours; the same lines, and visible."""
    if len(code) > MAX_HIGHLIGHTED:
        return visible(code)
    return "\n".join("".join(map(str, line)) for line in _lines(code))


def pieces(line: str) -> tuple[Styled, ...]:
    """One line of that, for a table."""
    return tuple(next(_lines(line)))


def numbered(code: str, *, colours: bool, failing: int | None = None, column: int | None = None) -> list[str]:
    """The lines of code behind their numbers; the one that fails is marked, with a caret below ``column``.

    Both count from 1, the column in UTF-16 units, as V8 does. ``colours`` are those of the language.
    """
    texts = lines_of(code)
    if colours and len(code) <= MAX_HIGHLIGHTED:
        shown = ["".join(map(str, line)) for line in _lines("\n".join(texts))]
    else:
        shown = list(map(visible, texts))
    digits = len(str(len(texts)))
    lines = []
    for number, line in enumerate(shown, 1):
        marker = Styled(">", BAD) if number == failing else " "
        lines.append(f"{marker} {Styled(f'{number:{digits}} |', FAINT)} {line}".rstrip())
        if number == failing and column is not None:
            before = cells(visible(texts[number - 1][: index(texts[number - 1], column - 1)]))
            gutter = Styled(f"{' ' * digits} |", FAINT)
            lines.append(f"  {gutter} {' ' * before}{Styled('^', BAD)}")
    return lines


def _lines(code: str) -> Iterator[list[Styled]]:
    """Pieces of each line."""
    from pygments.lexers.javascript import JavascriptLexer  # only where code is shown in colours

    line: list[Styled] = []
    for _, kind, text in JavascriptLexer().get_tokens_unprocessed(code):
        first, *others = text.split("\n")
        style = _style(str(kind).removeprefix("Token."))
        line.append(Styled(visible(first), style))
        for other in others:
            yield line
            line = [Styled(visible(other), style)]
    yield line


@lru_cache
def _style(kind: str) -> Style:
    return next((style for name, style in _STYLES if kind == name or kind.startswith(f"{name}.")), PLAIN)
