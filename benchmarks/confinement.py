"""What the sandbox costs: confined workers beside ones that are not, started and used in turns."""

from __future__ import annotations

import statistics
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trio

from benchmarks.load import LoadError
from engine.isolate.sandbox.layers import Mode
from engine.isolate.wire import Run
from engine.limits import Limits
from engine.worker import Worker
from engine.workers import Workers, open_workers

MODES: Final[tuple[Mode, ...]] = ("off", "auto")
CODES: Final = {
    "an execution of `1 + 1`": "1 + 1",
    "one that makes and drops 200 buffers of 1 MB": (
        "for (let i = 0; i < 200; i++) new Uint8Array(2 ** 20).fill(1)"
    ),
    "one that allocates 40 MB of objects": "for (let i = 0; i < 1e6; i++) ({ i }); 0",
}
PER_ROUND: Final = 20
"""Executions of each kind that a worker runs."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Median milliseconds, by mode."""

    start: dict[Mode, float]
    """From asking for a worker that has still to be forked until it is ready."""
    execution: dict[str, dict[Mode, float]]
    """By kind."""


@dataclass
class _Taken:
    start: dict[Mode, list[float]] = field(default_factory=lambda: {mode: [] for mode in MODES})
    execution: dict[str, dict[Mode, list[float]]] = field(
        default_factory=lambda: {kind: {mode: [] for mode in MODES} for kind in CODES}
    )


def measured(cache: Path, rounds: int) -> Cost:
    """The costs here."""
    return trio.run(_measure, cache, rounds)


async def _measure(cache: Path, rounds: int) -> Cost:
    taken = _Taken()
    async with AsyncExitStack() as stack:
        pools = {
            mode: await stack.enter_async_context(
                open_workers(cache_dir=cache, data_budget_mb=512, spares=0, sandbox=mode)
            )
            for mode in MODES
        }
        for number in range(4 * rounds):
            for mode in MODES[:: -1 if number % 2 else 1]:
                await _use(pools[mode], mode, taken)
    return Cost(
        start={mode: statistics.median(taken.start[mode]) for mode in MODES},
        execution={
            kind: {mode: statistics.median(times) for mode, times in modes.items()}
            for kind, modes in taken.execution.items()
        },
    )


async def _use(pool: Workers, mode: Mode, taken: _Taken) -> None:
    began = time.perf_counter()
    worker = await pool.acquire()
    taken.start[mode].append(1_000 * (time.perf_counter() - began))
    try:
        for kind, code in CODES.items():
            for _ in range(PER_ROUND):
                taken.execution[kind][mode].append(await _run(worker, code))
    finally:
        await worker.aclose()


async def _run(worker: Worker, code: str) -> float:
    """The milliseconds that it took."""
    run = Run(seq=1, code=code, limits=Limits(), start=0, seed=bytes(16))
    began = time.perf_counter()
    done = await worker.run(run, lambda lines: None)
    took = 1_000 * (time.perf_counter() - began)
    if done.outcome.status != "completed":
        raise LoadError(f"{code!r}: {done.outcome}")
    return took
