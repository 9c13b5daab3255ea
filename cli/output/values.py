"""Values and errors that code came to, and variables, for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cli.output.code import highlighted, pieces
from cli.output.styles import BAD, FAINT, STRONG, Styled, paint
from cli.output.table import Cell, Column, Table
from cli.output.text import one_line, visible
from transports.rest.past_shapes import EvaluatedAnswer
from transports.rest.shapes import GlobalAnswer

_COLUMNS = (
    Column(title="NAME", least=12),
    Column(title="SCOPE", leaves=2),
    Column(title="TYPE", least=6, leaves=1),
    Column(title="VALUE", least=20),
)


def value(text: str, *, colours: bool) -> str:
    """A value as it was inspected."""
    return highlighted(text) if colours else visible(text)


def failure(told: EvaluatedAnswer) -> Iterator[str]:
    """Why code that was evaluated has no value, and where it failed."""
    yield paint(visible(told.error or told.status), BAD)
    frame = None if told.error_detail is None else told.error_detail.frame
    if frame is not None:
        yield visible(frame.rstrip("\n"))


def variables(found: Iterable[GlobalAnswer], width: int | None, *, colours: bool) -> Sequence[str]:
    """A table of variables; values are cut to the ``width``."""
    rows: list[Sequence[Cell]] = [
        (
            Styled(one_line(one.name), STRONG),
            Styled("let" if one.scope == "lexical" else one.scope, FAINT),
            Styled(one_line(one.type), FAINT),
            pieces(one_line(one.preview)) if colours else one_line(one.preview),
        )
        for one in found
    ]
    return Table(_COLUMNS, rows, width).lines(rows) if rows else ()
