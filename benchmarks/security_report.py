"""The section on security: what the sandbox costs, and what attacks cost others, measured and as tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks import confinement, neighbours
from benchmarks.confinement import Cost
from benchmarks.figures import Figure, table
from benchmarks.neighbours import ATTACKERS, Neighbour

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


def section(found: Measured) -> list[str]:
    """Its lines, Markdown."""
    worst = max(found.attacked, key=lambda one: one.p50)
    figure = Figure(f"honest neighbour, worst attack ({worst.attack}): p50", worst.p50, " ms", 100)
    return [
        "## Sandbox and hostile code",
        "",
        table(["figure", "measured", "target", "met"], [figure.row()]),
        "",
        table(["sandbox", "off ms", "on ms", "on / off"], cost_rows(found.cost)),
        "",
        table(
            ["an honest session beside", "p50 ms", "p99 ms", "worst ms", "answers/s"],
            [row(one) for one in (found.alone, *found.attacked)],
        ),
        "",
        LEGEND,
        "",
    ]


def cost_rows(cost: Cost) -> list[list[str]]:
    """A row for the start of a worker and one for each kind of execution."""
    measured = {"start of a worker": cost.start, **cost.execution}
    return [
        [what, f"{modes['off']:.3f}", f"{modes['auto']:.3f}", f"{modes['auto'] / modes['off']:.2f}"]
        for what, modes in measured.items()
    ]


def row(one: Neighbour) -> list[str]:
    """One situation as a row of the table."""
    return [
        one.attack or "nobody",
        f"{one.p50:.1f}",
        f"{one.p99:.1f}",
        f"{one.worst:.0f}",
        f"{one.per_second:,.0f}",
    ]
