"""The section on checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import checkpoints, histories, mixed, recovery
from benchmarks.checkpoints import SMALL, Cost
from benchmarks.figures import Cell, Figure, Figures, Part, Table, Text, columns
from benchmarks.histories import Disk, Growth
from benchmarks.mixed import Mixed
from benchmarks.recovery import Recovery

TITLE = "Checkpoints and recovery"
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


def parts(found: Measured) -> tuple[Part, ...]:
    """Its figures."""
    return (
        Figures("promised", "figure", figures(found)),
        costs(found.costs),
        Text(COSTS),
        timings(found.recovery, found.growth),
        mixed_table(found.mixed),
        made(found.mixed),
        Text(legend(found.mixed)),
        rates(found.recovery, found.growth),
        disk(found.disk),
        *([] if found.growth else [Text(LEFT_OUT)]),
    )


def figures(found: Measured) -> tuple[Figure, ...]:
    """The figures that have a target."""
    (small,) = (cost for cost in found.costs if cost.state is SMALL)
    recovered, growth = found.recovery, found.growth
    session = f"a session of {recovered.events:,} events"
    relative = None if growth is None else growth.ratio
    beside = found.mixed.ratio if found.mixed.kept else None
    return (
        Figure(f"restore of {session} with a checkpoint: p50", recovered.restored, "ms", 30),
        Figure(f"restore of {session} without any: p50", recovered.replayed, "ms", 1_000),
        Figure("stored size of a small state", small.stored / 1_000, "kB", 5),
        Figure("mixed load with checkpoints: rate relative to without", beside, "", 0.8, at_least=True),
        Figure(
            f"execution at event {histories.LONG:,} relative to event {histories.SHORT}", relative, "", 1.1
        ),
    )


def costs(measured: Sequence[Cost]) -> Table:
    """What a checkpoint costs, by state."""
    heads = columns(
        "the session holds", "stored|kB", "pause|ms", "`0` before|ms", "`0` after|ms", "copy|ms", "restore|ms"
    )
    rows = (
        (one.state.name, one.stored / 1_000, one.pause, one.idle, one.after, one.copy, one.restore)
        for one in measured
    )
    return Table("costs", heads, tuple(rows))


def timings(recovered: Recovery, growth: Growth | None) -> Table:
    """First answers of sessions that slept, and answers of those with a long history."""
    heads = columns("execution", "p50|ms", "queued|ms", "restored|ms", "ran|ms", "appended|ms")
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
    return Table("timings", heads, tuple(rows))


def timing(name: str, took: float, stages: Mapping[str, float]) -> tuple[Cell, ...]:
    """An execution as a row of a table."""
    return name, took, *(stages[stage] for stage in ("queued", "restored", "ran", "appended"))


def mixed_table(load: Mixed) -> Table:
    """The mixed load."""
    heads = columns(f"mixed load, {sum(mixed.SESSIONS.values())} clients", "requests|/s", "p50|ms", "p99|ms")
    return Table(
        "mixed",
        heads,
        (
            ("default: checkpoints are made", *mixed.medians(load.with_checkpoints)),
            ("`--restore-target 3600`: none", *mixed.medians(load.without)),
        ),
    )


def made(load: Mixed) -> Figures:
    """The checkpoints that were made meanwhile."""
    return Figures(
        "mixed made",
        "checkpoints meanwhile",
        (
            Figure("kept", load.kept),
            Figure("declined", load.declined),
            Figure("time of one, on average", load.took, "s"),
            Figure("stored in all", load.stored / 1e6, "MB"),
        ),
    )


def legend(load: Mixed) -> str:
    """How the mixed load's table is to be read."""
    small, medium, large = mixed.SESSIONS.values()
    return (
        f"Medians of {len(load.without)} rounds of {load.seconds:g} s each, both servers up and loaded in "
        f"turns: {small} sessions with a small state that count and print, {medium} that hold 1 MB and "
        f"{large} that holds 10 MB, which compute for about 2 ms."
    )


def rates(recovered: Recovery, growth: Growth | None) -> Figures:
    """How fast events are replayed."""
    small = Figure("small events", recovered.per_second, "events/s")
    tiny = () if growth is None else (Figure(f"{growth.events:,} tiny ones", growth.per_second, "events/s"),)
    return Figures("replay", "replay", (small, *tiny))


def disk(taken: Disk) -> Figures:
    """What an event takes on disk."""
    return Figures(
        "disk",
        f"an event of `n++`, over {taken.events:,}, the write-ahead log emptied",
        (
            Figure("on disk", taken.all, "bytes"),
            Figure("of it the encoded event", taken.bodies, "bytes"),
        ),
    )
