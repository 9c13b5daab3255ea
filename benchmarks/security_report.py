"""The section on security: what the sandbox costs, and what attacks cost others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks import confinement, neighbours
from benchmarks.confinement import Cost
from benchmarks.figures import Cell, Figure, Figures, Part, Table, Text, columns
from benchmarks.neighbours import ATTACKERS, Neighbour

TITLE = "Sandbox and hostile code"
LEGEND = (
    f"An honest session counts, in a closed loop; {ATTACKERS} others attack, each again as soon as it was "
    f"answered. What does not end by itself has a limit of {neighbours.LIMIT_SECONDS} s."
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All of the section."""

    cost: Cost
    alone: Neighbour
    attacked: list[Neighbour]


def measured(folder: Path, rounds: int, seconds: float) -> Measured:
    """Measure all of it, with stores in ``folder``."""
    cost = confinement.measured(folder / "cache", rounds)
    alone, *attacked = neighbours.measured(folder / "neighbours", seconds)
    return Measured(cost=cost, alone=alone, attacked=attacked)


def parts(found: Measured) -> tuple[Part, ...]:
    """Its figures."""
    worst = max(found.attacked, key=lambda one: one.p50)
    promised = Figure(f"honest neighbour, worst attack ({worst.attack}): p50", worst.p50, "ms", 100)
    beside = columns("an honest session beside", "p50|ms", "p99|ms", "worst|ms", "answers|/s")
    return (
        Figures("promised", "figure", (promised,)),
        Table("sandbox", columns("sandbox", "off|ms", "on|ms", "on / off"), cost_rows(found.cost)),
        Table("neighbours", beside, tuple(row(one) for one in (found.alone, *found.attacked))),
        Text(LEGEND),
    )


def cost_rows(cost: Cost) -> tuple[tuple[Cell, ...], ...]:
    """A row for the start of a worker and one for each kind of execution."""
    measured = {"start of a worker": cost.start, **cost.execution}
    return tuple(
        (what, modes["off"], modes["auto"], modes["auto"] / modes["off"]) for what, modes in measured.items()
    )


def row(one: Neighbour) -> tuple[Cell, ...]:
    """One situation as a row of the table."""
    return (one.attack or "nobody", one.p50, one.p99, one.worst, one.per_second)
