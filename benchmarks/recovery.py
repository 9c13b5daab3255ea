"""What it takes until a session that is not in a worker can go on: with a checkpoint, and without."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from benchmarks.engines import Answer, Engine, open_engine, stages
from benchmarks.load import LoadError

EVENTS = 1_000
"""Events of the history that is restored."""
WORTH_IT = 150
"""Executions after which a session does not sleep without a checkpoint, ``FEW`` after which it does."""
FEW = 10

CODE = (
    "globalThis.n = (globalThis.n ?? 0) + 1; console.log('n is', n); n",
    "(globalThis.items ??= []).push({ id: n, name: `item ${n}` })",
    "items.filter((item) => item.id % 3).map((item) => item.name.length).reduce((a, b) => a + b, 0)",
    "JSON.stringify({ n, at: Date.now(), luck: Math.random() })",
)
"""What a session does, in turns."""


@dataclass(frozen=True, kw_only=True)
class Wake:
    """First answers of sleeping sessions, median milliseconds."""

    took: float
    stages: dict[str, float]
    """By stage of the execution."""


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """Medians, times in milliseconds."""

    events: int
    new: float
    """A worker in the state of a new session; what of the next two is no recovery."""
    replayed: float
    """A worker in the state after the last event, from the log alone."""
    restored: float
    """The same, from a checkpoint of that state."""
    wake: Wake
    """Of small sessions with a checkpoint."""
    wake_replayed: Wake
    """Of small sessions that are too young to get one."""

    @property
    def per_second(self) -> float:
        """Events replayed in a second."""
        return self.events / (self.replayed - self.new) * 1_000


def measured(folder: Path, rounds: int, *, events: int = EVENTS) -> Recovery:
    """The costs here."""
    return trio.run(_measure, folder, rounds, events)


async def _measure(folder: Path, rounds: int, events: int) -> Recovery:
    async with open_engine(folder) as engine:
        await fill(engine, "long", events)
        point = await engine.state("long")
        new = [await engine.restore(None) for _ in range(4 * rounds)]
        replayed = [await engine.restore(point) for _ in range(rounds)]
        if not await engine.sleep("long"):
            raise LoadError(f"a session of {events} events got no checkpoint before it slept")
        restored = [await engine.restore(point) for _ in range(8 * rounds)]
        return Recovery(
            events=events,
            new=statistics.median(new),
            replayed=statistics.median(replayed),
            restored=statistics.median(restored),
            wake=await _wake(engine, [f"kept-{i}" for i in range(4 * rounds)], WORTH_IT, kept=True),
            wake_replayed=await _wake(engine, [f"young-{i}" for i in range(4 * rounds)], FEW, kept=False),
        )


async def _wake(engine: Engine, names: Sequence[str], events: int, *, kept: bool) -> Wake:
    """Wake sessions of so many events, one after the other; each with or without a checkpoint."""
    answers: list[Answer] = []
    for name in names:
        await fill(engine, name, events)
        if bool(await engine.sleep(name)) is not kept:
            raise LoadError(
                f"a session of {events} events slept {'without' if kept else 'with'} a checkpoint"
            )
    for name in names:
        await engine.spares()
        answers.append(await engine.run("n", name))
        await engine.sleep(name)
    return Wake(took=statistics.median(answer.took for answer in answers), stages=stages(answers))


async def fill(engine: Engine, session: str, events: int) -> None:
    for i in range(events):
        await engine.run(CODE[i % len(CODE)], session)
