"""Promised figures, and tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A promised figure."""

    name: str
    value: float | None
    """None if it could not be measured here."""
    unit: str
    target: float
    at_least: bool = False

    @property
    def met(self) -> str:
        """Whether the target is met, in a word."""
        if self.value is None:
            return "not measured"
        return "yes" if (self.value >= self.target) == self.at_least else "**no**"

    def row(self) -> list[str]:
        """The figure as a row of a table."""
        bound = "≥" if self.at_least else "<"
        value = "–" if self.value is None else f"{self.value:.2f}{self.unit}"
        return [self.name, value, f"{bound} {self.target:g}{self.unit}", self.met]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with aligned columns: the first to the left, the others to the right."""
    lines = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines.insert(1, rule)
    return "\n".join(
        "| " + " | ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) + " |"
        for line in lines
    )
