"""What a section of the results consists of: figures, some of them promised, tables of figures, and text.

Plain data, which is kept as JSON (``benchmarks.results``), shown as Markdown (``benchmarks.markdown``) and as
plots (``benchmarks.plots``). Numbers are kept to six significant digits: no measurement here has more.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import force_setattr

Cell = str | int | float | None
"""What is in a table; None where nothing was, or could be, measured."""


class Figure(Struct, frozen=True):
    """One figure."""

    name: str
    value: int | float | None
    """None if it could not be measured here."""
    unit: str = ""
    target: float | None = None
    """What is promised, if anything is: to be below it."""
    at_least: bool = False
    """Not below it, but at or above it."""

    def __post_init__(self) -> None:
        force_setattr(self, "value", rounded(self.value))

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None where there is none, or no value."""
        if self.value is None or self.target is None:
            return None
        return (self.value >= self.target) == self.at_least


class Figures(Struct, frozen=True, tag="figures"):
    """Figures below one heading."""

    name: str
    """What they are found by, in the section."""
    title: str
    figures: tuple[Figure, ...]


class Column(Struct, frozen=True):
    """One column of a table."""

    name: str
    unit: str = ""

    @property
    def heading(self) -> str:
        """Name and unit."""
        return f"{self.name} {self.unit}".strip() if not self.unit.startswith("/") else self.name + self.unit


class Table(Struct, frozen=True, tag="table"):
    """Rows of figures, the first cell of each saying what they are of."""

    name: str
    """What it is found by, in the section."""
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        rows = tuple(tuple(map(rounded, row)) for row in self.rows)
        if any(len(row) != len(self.columns) for row in rows):
            raise ValueError(f"a row of {self.name} has not {len(self.columns)} cells")
        force_setattr(self, "rows", rows)

    def column(self, heading: str) -> list[Cell]:
        """The cells below a heading. Raises ValueError if there is none such."""
        index = [column.heading for column in self.columns].index(heading)
        return [row[index] for row in self.rows]


class Text(Struct, frozen=True, tag="text"):
    """A paragraph: how what is above it is to be read."""

    text: str


Part = Figures | Table | Text

ROOT_ONLY = Text("Memory of the processes could not be read: run as root.")


def columns(*headings: str) -> tuple[Column, ...]:
    """Columns, each given as its name, or as name and unit with ``|`` between them."""
    return tuple(Column(*heading.split("|")) for heading in headings)


def rounded(value: Cell) -> Cell:
    """A number that is no count, with six significant digits; everything else as it is."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
