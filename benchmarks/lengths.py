"""What a restore takes by the length of the history: from a checkpoint, and from the log alone."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from benchmarks.engines import OWNER, Engine, open_engine
from benchmarks.recovery import fill

LENGTHS = (10, 100, 1_000, 10_000)
QUICK = (10, 100)
RESTORES = 8
"""Of each history with a checkpoint."""
REPLAYED = 2_000
"""Events that are replayed at least, of each history without one."""


@dataclass(frozen=True, kw_only=True)
class Restored:
    """Median milliseconds until a ready worker is in the last state of a session."""

    events: int
    replayed: float
    """From the log alone."""
    restored: float
    """From a checkpoint."""


def measured(folder: Path, lengths: Sequence[int]) -> list[Restored]:
    """The costs here."""
    return trio.run(_measure, folder, lengths)


async def _measure(folder: Path, lengths: Sequence[int]) -> list[Restored]:
    async with open_engine(folder) as engine:
        return [await _restored(engine, events) for events in lengths]


async def _restored(engine: Engine, events: int) -> Restored:
    name = f"of-{events}"
    await fill(engine, name, events)
    point = await engine.state(name)
    times = max(2, min(RESTORES, REPLAYED // events))
    replayed = [await engine.restore(point) for _ in range(times)]
    await engine.supervisor.requests.checkpoint(OWNER, name)
    restored = [await engine.restore(point) for _ in range(RESTORES)]
    await engine.sleep(name)
    return Restored(events=events, replayed=statistics.median(replayed), restored=statistics.median(restored))
