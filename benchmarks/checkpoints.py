"""What a checkpoint costs, by what the session holds: the pause, the copy's work, the bytes, the restore."""

from __future__ import annotations

import contextlib
import os
import signal
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import trio

from benchmarks.engines import SPARE_SECONDS
from benchmarks.load import LoadError
from benchmarks.processes import all_stats, descendants
from engine import checkpoints
from engine.isolate.wire import Run
from engine.limits import MIB, Limits
from engine.worker import Worker
from engine.workers import Workers, open_workers

T = TypeVar("T")

ITEM_BYTES = 54
"""What an item of ``objects`` takes in a snapshot, and about what it takes in the heap."""
LIMITS = Limits(heap_mb=1_024)
BUDGET_MB = 4_096
START = 1_700_000_000_0000
"""The sessions' clock, ticks since the epoch."""


@dataclass(frozen=True, kw_only=True)
class State:
    """A session to make checkpoints of."""

    name: str
    code: tuple[str, ...]
    """What makes it, an execution each."""
    copies: int | None = None
    """How many snapshots are made of it; None for one a round."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Medians, times in milliseconds."""

    state: State
    stored: int
    """Bytes of the blob."""
    pause: float
    """From asking the worker to its being free again, with the fork of the copy in between."""
    idle: float
    """An execution of ``0``."""
    after: float
    """The same right after the fork, when both processes write to pages that they share."""
    copy: float
    """From then to the copy's end: what is alive, the snapshot, and its compression."""
    restore: float
    """Of a ready worker, from the compressed snapshot."""


def objects(megabytes: int) -> str:
    """Code that fills the heap with small objects."""
    count = megabytes * MIB // ITEM_BYTES
    return (
        f"var kept = []; for (let i = 0; i < {count}; i++) "
        "kept.push({ id: i, name: `item ${i}`, value: Math.random() })"
    )


def texts(megabytes: int) -> str:
    """Code that fills the heap with strings of about 1,000 characters."""
    count = megabytes * MIB // 1_000
    return (
        f"var kept = []; for (let i = 0; i < {count}; i++) "
        "kept.push(JSON.stringify(Array.from({ length: 51 }, Math.random)))"
    )


SMALL = State(
    name="a few variables, a class, a Map; 10 executions",
    code=(
        "let total = 0; const seen = new Map()",
        "class Point { #x; constructor(x, y) { this.#x = x; this.y = y } get x() { return this.#x } }",
        "const add = (name, value) => { seen.set(name, value); total += value; return total }",
        *(f"add('item {i}', {i}); console.log('total', total); new Point({i}, total).x" for i in range(7)),
    ),
)
EMPTY = State(name="empty", code=("0",))
FILLED = State(name="1 MB of small objects", code=(objects(1),))
LARGE = (
    State(name="10 MB of small objects", code=(objects(10),), copies=2),
    State(name="10 MB of strings", code=(texts(10),)),
    State(name="100 MB of small objects", code=(objects(100),), copies=1),
)


def measured(folder: Path, rounds: int, *, large: bool) -> list[Cost]:
    """The costs here, by state; ``large`` with 10 and 100 MB, which takes a minute."""
    return trio.run(_measure, folder, rounds, [EMPTY, SMALL, FILLED, *(LARGE if large else ())])


async def _measure(folder: Path, rounds: int, states: list[State]) -> list[Cost]:
    async with open_workers(cache_dir=folder, data_budget_mb=BUDGET_MB) as workers:
        return [await _cost(workers, state, rounds) for state in states]


async def _cost(workers: Workers, state: State, rounds: int) -> Cost:
    worker = await workers.acquire()
    try:
        for code in state.code:
            await _run(worker, code)
        pauses, idle, after = [], [], []
        for _ in range(2 * rounds):
            idle.append(await _timed(lambda: _run(worker, "0")))
            pauses.append(await _timed(lambda: _fork_in_vain(worker)))
            after.append(await _timed(lambda: _run(worker, "0")))
            await _end_copies(worker)
        copies: list[float] = []
        snapshot = b""
        for _ in range(state.copies or rounds):
            copy = await worker.checkpoint()
            began = time.perf_counter()
            snapshot = await copy.snapshot()
            copies.append((time.perf_counter() - began) * 1_000)
    finally:
        await worker.aclose()
    restores = [await _restore(workers, snapshot) for _ in range(state.copies or 2 * rounds)]
    return Cost(
        state=state,
        stored=len(checkpoints.seal(bytes(32), workers.image_id, snapshot)),
        pause=statistics.median(pauses),
        idle=statistics.median(idle),
        after=statistics.median(after),
        copy=statistics.median(copies),
        restore=statistics.median(restores),
    )


async def _run(worker: Worker, code: str) -> None:
    run = Run(seq=1, code=code, limits=LIMITS, start=START, seed=bytes(16))
    done = await worker.run(run, lambda lines: None)
    if done.outcome.status != "completed":
        raise LoadError(f"{code!r}: {done.outcome}")


async def _fork_in_vain(worker: Worker) -> None:
    copy = await worker.checkpoint()
    await copy.aclose()


async def _end_copies(worker: Worker) -> None:
    """Kill the copies that nobody waits for, and wait until they are gone."""
    for pid in descendants(worker.pid, all_stats()):
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                await trio.lowlevel.wait_readable(descriptor)
            finally:
                os.close(descriptor)


async def _restore(workers: Workers, snapshot: bytes) -> float:
    await trio.sleep(SPARE_SECONDS)
    worker = await workers.acquire()
    try:
        return await _timed(lambda: worker.restore(snapshot))
    finally:
        await worker.aclose()


async def _timed(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1_000
