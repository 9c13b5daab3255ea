"""Tables that fit the width there is: columns give way, and are left out before they say nothing."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from cli.output.styles import FAINT, Styled, paint
from cli.output.text import cells, fit, padded

GAP = "  "
Cell = Styled | str
"""Visible text of one line."""


class Column(Struct, frozen=True, kw_only=True):
    """One column."""

    title: str = ""
    right: bool = False
    """Whether its cells end below each other."""
    least: int | None = None
    """To so many cells it may be cut; None if it may not."""
    leaves: int = 0
    """Columns are left out where they do not fit, those with the highest number first; 0 stays."""


class Table:
    """Columns whose widths are settled by some rows; later rows are cut to them."""

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None) -> None:
        """``width`` in cells; None: as wide as need be."""
        self._columns = columns
        natural = [
            max([cells(column.title), *(cells(_text(row[place])) for row in rows)])
            for place, column in enumerate(columns)
        ]
        self._widths = _settled(columns, natural, width)
        """By column; those that are left out are not in it."""
        self._last = max(self._widths)
        self._is_open = width is None

    def head(self) -> str:
        """The line of titles."""
        return paint(self._joined([column.title for column in self._columns]), FAINT)

    def line(self, row: Sequence[Cell]) -> str:
        """The line of one row."""
        return self._joined(row)

    def lines(self, rows: Sequence[Sequence[Cell]], *, titles: bool = True) -> list[str]:
        """The lines of rows, below the titles."""
        return [*([self.head()] if titles else []), *map(self.line, rows)]

    def _joined(self, row: Sequence[Cell]) -> str:
        parts = []
        for place, width in self._widths.items():
            column, cell = self._columns[place], row[place]
            text = _text(cell)
            if column.least is not None and not self._is_open:
                text = fit(text, width)
            if place != self._last or column.right:
                text = padded(text, width, right=column.right)
            parts.append(paint(text, cell.style) if isinstance(cell, Styled) else text)
        return GAP.join(parts).rstrip()


def _text(cell: Cell) -> str:
    return cell.text if isinstance(cell, Styled) else cell


def _settled(columns: Sequence[Column], natural: Sequence[int], width: int | None) -> dict[int, int]:
    """The widths of the columns that are shown."""
    shown = [place for place, wanted in enumerate(natural) if wanted] or [0]
    while True:
        widths = {place: natural[place] for place in shown}
        over = 0 if width is None else sum(widths.values()) + len(GAP) * (len(shown) - 1) - width
        if _shrink(columns, widths, over) <= 0:
            return widths
        going = max(shown, key=lambda place: (columns[place].leaves, place))
        if not columns[going].leaves:
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
