"""Tables that fit the width there is: columns give way, and are left out before they say nothing."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from cli.output.styles import FAINT, Styled
from cli.output.text import cells, fit

GAP = "  "
Cell = Styled | str | tuple[Styled, ...]
"""Visible text of one line, in pieces where it has several styles."""


class Column(Struct, frozen=True, kw_only=True):
    """One column."""

    title: str = ""
    right: bool = False
    """Whether its cells end below each other."""
    least: int | None = None
    """To so many cells it may be cut, further only where nothing else helps; None if it may not."""
    leaves: int = 0
    """Columns are left out where they do not fit, those with the highest number first; 0 stays."""


class Table:
    """Columns whose widths are settled by some rows; later rows are cut to them.

    A column in which these rows have nothing is left out.
    """

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None) -> None:
        """``width`` in cells; None: as wide as need be."""
        self._columns = columns
        natural = []
        for place, column in enumerate(columns):
            widest = max((_wide(_pieces(row[place])) for row in rows), default=0)
            natural.append(max(widest, cells(column.title)) if widest or not rows else 0)
        self._widths = _settled(columns, natural, width)
        """By column; those that are left out are not in it."""
        self._last = max(self._widths)
        self._is_open = width is None

    def head(self) -> str:
        """The line of titles."""
        return self._joined([Styled(column.title, FAINT) for column in self._columns])

    def line(self, row: Sequence[Cell]) -> str:
        """The line of one row."""
        return self._joined(row)

    def lines(self, rows: Sequence[Sequence[Cell]], *, titles: bool = True) -> list[str]:
        """The lines of rows, below the titles."""
        return [*([self.head()] if titles else []), *map(self.line, rows)]

    def _joined(self, row: Sequence[Cell]) -> str:
        parts = []
        for place, width in self._widths.items():
            column, pieces = self._columns[place], _pieces(row[place])
            if column.least is not None and not self._is_open:
                pieces = _cut(pieces, width)
            text = "".join(map(str, pieces))
            blanks = " " * (width - _wide(pieces))
            parts.append(blanks + text if column.right else text if place == self._last else text + blanks)
        return GAP.join(parts).rstrip()


def _pieces(cell: Cell) -> tuple[Styled, ...]:
    return (Styled(cell),) if isinstance(cell, str) else (cell,) if isinstance(cell, Styled) else cell


def _wide(pieces: tuple[Styled, ...]) -> int:
    return sum(cells(piece.text) for piece in pieces)


def _cut(pieces: tuple[Styled, ...], width: int) -> tuple[Styled, ...]:
    """The pieces as far as they fit."""
    whole = "".join(piece.text for piece in pieces)
    shown = fit(whole, width)
    if shown == whole:
        return pieces
    kept: list[Styled] = []
    for text, style in pieces:
        kept.append(Styled(shown[: len(text)] if len(shown) > len(text) + 1 else shown, style))
        shown = shown[len(text) :] if len(shown) > len(text) + 1 else ""
        if not shown:
            break
    return tuple(kept)


def _settled(columns: Sequence[Column], natural: Sequence[int], width: int | None) -> dict[int, int]:
    """The widths of the columns that are shown."""
    shown = [place for place, wanted in enumerate(natural) if wanted] or [0]
    while True:
        widths = {place: natural[place] for place in shown}
        over = 0 if width is None else sum(widths.values()) + len(GAP) * (len(shown) - 1) - width
        over = _shrink(columns, widths, over)
        if over <= 0:
            return widths
        going = max(shown, key=lambda place: (columns[place].leaves, place))
        if not columns[going].leaves:
            _shrink([replace(column, least=column.least and 1) for column in columns], widths, over)
            return widths
        shown.remove(going)


def _shrink(columns: Sequence[Column], widths: dict[int, int], over: int) -> int:
    """Take cells from the widest columns that give way; by how many the rest is too wide still."""
    while over > 0:
        room = {
            place: (width, least)
            for place, width in widths.items()
            if (least := columns[place].least) is not None and width > least
        }
        if not room:
            break
        widest = max(room, key=lambda place: room[place][0])
        others = max((width for place, (width, _) in room.items() if place != widest), default=0)
        taken = min(over, max(1, widths[widest] - max(others, room[widest][1])))
        widths[widest] -= taken
        over -= taken
    return over
