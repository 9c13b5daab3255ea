"""The section on checkpoints: measured, and as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import checkpoints, histories, mixed, recovery
from benchmarks.checkpoints import SMALL, Cost
from benchmarks.figures import Figure, table
from benchmarks.histories import Disk, Growth
from benchmarks.mixed import Mixed, Round
from benchmarks.recovery import Recovery

QUICK_EVENTS = 200
"""Events of a history in a quick run."""

LEFT_OUT = (
    "A quick run leaves out 10 and 100 MB and the 100,000 events, has shorter histories, and is too short "
    "for checkpoints under the mixed load."
)
COSTS = (
    "Medians, of a worker that nothing else is asked of. The pause is that of the session, for the fork of "
    "the copy; beside it what an execution of `0` takes before, and right after it. The copy looks at what "
    "is alive, makes the snapshot and compresses it, at low priority. A restore begins in a ready worker, "
    "with the compressed snapshot at hand."
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All of the section."""

    costs: list[Cost]
    recovery: Recovery
    mixed: Mixed
    disk: Disk
    growth: Growth | None
    """None in a quick run."""


def measured(folder: Path, rounds: int, seconds: float, *, quick: bool) -> Measured:
    """Measure all of it, with stores in ``folder``; in a quick run without what takes minutes."""
    few = QUICK_EVENTS if quick else None
    return Measured(
        mixed=mixed.measured(folder / "mixed", rounds, 2 * seconds),
        costs=checkpoints.measured(folder / "costs", rounds, large=not quick),
        recovery=recovery.measured(folder / "recovery", rounds, events=few or recovery.EVENTS),
        disk=histories.disk(folder / "disk", few or histories.SMALL_EVENTS),
        growth=None if quick else histories.growth(folder / "growth", 10 * rounds),
    )


def section(found: Measured) -> list[str]:
    """Its lines, Markdown."""
    return [
        "## Checkpoints and recovery",
        "",
        table(["figure", "measured", "target", "met"], [figure.row() for figure in figures(found)]),
        "",
        *cost_lines(found.costs),
        "",
        *going_on_lines(found.recovery, found.growth),
        "",
        *mixed_lines(found.mixed),
        "",
        rate_line(found.recovery, found.growth),
        disk_line(found.disk),
        *([] if found.growth else ["", LEFT_OUT]),
        "",
    ]


def figures(found: Measured) -> list[Figure]:
    """The figures that have a target."""
    (small,) = (cost for cost in found.costs if cost.state is SMALL)
    recovered, growth = found.recovery, found.growth
    session = f"a session of {recovered.events:,} events"
    relative = None if growth is None else growth.ratio
    beside = found.mixed.ratio if found.mixed.kept else None
    return [
        Figure(f"restore of {session} with a checkpoint: p50", recovered.restored, " ms", 30),
        Figure(f"restore of {session} without any: p50", recovered.replayed, " ms", 1_000),
        Figure("stored size of a small state", small.stored / 1_000, " kB", 5),
        Figure("mixed load with checkpoints: rate relative to without", beside, "", 0.8, at_least=True),
        Figure(
            f"execution at event {histories.LONG:,} relative to event {histories.SHORT}", relative, "", 1.1
        ),
    ]


def cost_lines(costs: Sequence[Cost]) -> list[str]:
    """What a checkpoint costs, by state."""
    heads = ["the session holds", "stored kB", "pause ms", "`0` before", "`0` after", "copy ms", "restore ms"]
    rows = [
        [
            cost.state.name,
            f"{cost.stored / 1_000:,.1f}",
            f"{cost.pause:.2f}",
            f"{cost.idle:.2f}",
            f"{cost.after:.2f}",
            f"{cost.copy:,.0f}",
            f"{cost.restore:,.1f}",
        ]
        for cost in costs
    ]
    return [table(heads, rows), "", COSTS]


def going_on_lines(recovered: Recovery, growth: Growth | None) -> list[str]:
    """First answers of sessions that slept, and answers of those with a long history."""
    heads = ["execution", "p50 ms", "queued", "restored", "ran", "appended"]
    wake, young = recovered.wake, recovered.wake_replayed
    rows = [
        timing(f"wakes a session of {recovery.WORTH_IT} events, with a checkpoint", wake.took, wake.stages),
        timing(f"wakes a session of {recovery.FEW} events, without any", young.took, young.stages),
    ]
    if growth is not None:
        rows += [
            timing(f"in a live session, around event {histories.SHORT}", growth.short, growth.short_stages),
            timing(f"in a live session, from event {growth.events:,} on", growth.long, growth.long_stages),
        ]
    return [table(heads, rows)]


def timing(name: str, took: float, stages: dict[str, float]) -> list[str]:
    """An execution as a row of a table."""
    return [
        name,
        f"{took:.2f}",
        *(f"{stages[stage]:.2f}" for stage in ("queued", "restored", "ran", "appended")),
    ]


def mixed_lines(load: Mixed) -> list[str]:
    """The mixed load's table, and how it is to be read."""
    rows = [
        round_row("default: checkpoints are made", load.with_checkpoints),
        round_row("`--restore-target 3600`: none", load.without),
    ]
    heads = [f"mixed load, {sum(mixed.SESSIONS.values())} clients", "requests/s", "p50 ms", "p99 ms"]
    return [table(heads, rows), "", legend(load)]


def legend(load: Mixed) -> str:
    """How the mixed load's table is to be read."""
    small, medium, large = mixed.SESSIONS.values()
    return (
        f"Medians of {len(load.without)} rounds of {load.seconds:g} s each, both servers up and loaded in "
        f"turns: {small} sessions with a small state that count and print, {medium} that hold 1 MB and "
        f"{large} that holds 10 MB, which compute for about 2 ms. {load.kept} checkpoints were kept and "
        f"{load.declined} declined; they took {load.took:.2f} s on average, and {load.stored / 1e6:.1f} MB "
        "in all."
    )


def round_row(name: str, rounds: Sequence[Round]) -> list[str]:
    """One server as a row of a table."""
    return [name, *mixed.medians(rounds)]


def rate_line(recovered: Recovery, growth: Growth | None) -> str:
    """How fast events are replayed, in a sentence."""
    long = "" if growth is None else f"; {growth.per_second:,.0f} over {growth.events:,} tiny ones"
    return f"A replay runs {recovered.per_second:,.0f} small events in a second{long}."


def disk_line(disk: Disk) -> str:
    """What an event takes on disk, in a sentence."""
    return (
        f"An event of `n++` takes {disk.all:,.0f} bytes on disk, {disk.bodies:,.0f} of them the encoded "
        f"event (over {disk.events:,} events, with the write-ahead log emptied)."
    )
