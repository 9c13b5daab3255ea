"""The CPU time of an execution, layer by layer: what is left out from one measurement to the next.

A server is asked over HTTP; then an engine in this process; then its log and its workers by themselves; last
the isolate. In each case as many clients work at once, each with a session of its own.
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio
from msgspec.structs import replace

from benchmarks import doors, executing
from benchmarks.engines import OWNER, Engine, open_engine
from benchmarks.load import LoadError
from benchmarks.measure import CLIENTS, COUNT, rounds
from benchmarks.processes import Cpu, Server, mcp_v8, noop_server
from engine import chain
from engine.events import Created, Executed
from engine.isolate.wire import Run
from engine.limits import Limits
from engine.worker import Worker
from engine.workers import open_workers


@dataclass(frozen=True, kw_only=True)
class Layers:
    """Milliseconds of CPU time for an execution."""

    rest: Cpu
    """A whole server over REST."""
    mcp: Cpu
    """The same over MCP without a session of its own."""
    mcp_session: Cpu
    """The same in a session of MCP's."""
    bare: Cpu
    """An application that does nothing, on this server's connections."""
    engine: Cpu
    """The engine, without HTTP."""
    log: Cpu
    """Encoding, hashing and appending the event."""
    worker: Cpu
    """Running the code in a worker, without engine and log."""
    isolate: float
    """The same in the worker's isolate, without any messages."""


def measured(folder: Path, count: int, seconds: float) -> Layers:
    """All of it, with stores in ``folder``; ``count`` rounds of so many seconds each."""
    with noop_server("bare") as bare, mcp_v8("--directory-path", str(folder / "server")) as server:
        through = (doors.bare(CLIENTS), *doors.doors(server, CLIENTS))
        samples = rounds({doors.BARE: bare, doors.SERVER: server}, through, count, seconds)
    found = {scenario.name: _median([one.cpu for one in samples[scenario]]) for scenario in through}
    engine, log = trio.run(_engine_and_log, folder / "engine", count, seconds)
    return Layers(
        rest=found[doors.REST],
        mcp=found[doors.MCP_SESSIONLESS],
        mcp_session=found[doors.MCP],
        bare=found[doors.BARE_NAME],
        engine=engine,
        log=log,
        worker=trio.run(_workers, folder / "workers", count, seconds),
        isolate=executing.cpu_ms(COUNT, count),
    )


async def _engine_and_log(folder: Path, count: int, seconds: float) -> tuple[Cpu, Cpu]:
    async with open_engine(folder) as engine:

        async def run(client: int) -> None:
            await engine.run(COUNT, f"client-{client}")

        whole = await _in_turns(run, count, seconds)
        appends = [await _appending(engine, client) for client in range(CLIENTS)]

        async def append(client: int) -> None:
            await appends[client]()

        return whole, await _in_turns(append, count, seconds)


async def _appending(engine: Engine, client: int) -> Callable[[], Awaitable[None]]:
    """What appends an event that the client's session has had to a session that is not in use."""
    first = (await engine.supervisor.event(OWNER, f"client-{client}", 0)).event
    usual = (await engine.supervisor.event(OWNER, f"client-{client}", 1)).event
    assert isinstance(first, Created)
    assert isinstance(usual, Executed)
    session = f"s_{client:022}"
    head = chain.seal(chain.GENESIS, replace(first, session=session, name=f"log-{client}"))
    await engine.log.append([head])

    async def append() -> None:
        nonlocal head
        seq = head.event.seq + 1
        named = f"e_{client:06}{seq:016}"
        head = chain.seal(head.id, replace(usual, session=session, seq=seq, execution_id=named))
        await engine.log.append([head])

    return append


async def _workers(folder: Path, count: int, seconds: float) -> Cpu:
    async with open_workers(cache_dir=folder, data_budget_mb=512) as pool:
        taken: list[Worker] = []
        try:
            while len(taken) < CLIENTS:
                taken.append(await pool.acquire())
            numbers = [itertools.count(1) for _ in taken]

            async def run(client: int) -> None:
                seq = next(numbers[client])
                asked = Run(seq=seq, code=COUNT, limits=Limits(), start=0, seed=bytes(16))
                done = await taken[client].run(asked, lambda lines: None)
                if done.outcome.status != "completed":
                    raise LoadError(f"{COUNT!r}: {done.outcome}")

            return await _in_turns(run, count, seconds)
        finally:
            for worker in taken:
                await worker.aclose()


async def _in_turns(work: Callable[[int], Awaitable[None]], count: int, seconds: float) -> Cpu:
    """What one ``work`` takes, of clients that do it again and again, the median of the rounds."""
    await _round(work, seconds / 4)
    return _median([await _round(work, seconds) for _ in range(count)])


async def _round(work: Callable[[int], Awaitable[None]], seconds: float) -> Cpu:
    this = Server(port=0, pid=os.getpid())
    end = time.monotonic() + seconds
    done = 0

    async def client(number: int) -> None:
        nonlocal done
        while True:
            await work(number)
            done += 1
            if time.monotonic() >= end:
                break

    before = this.cpu()
    async with trio.open_nursery() as nursery:
        for number in range(CLIENTS):
            nursery.start_soon(client, number)
    spent = this.cpu() - before
    return Cpu(spent.server / done, spent.zygote / done, spent.workers / done)


def _median(taken: Sequence[Cpu]) -> Cpu:
    return Cpu(
        statistics.median(one.server for one in taken),
        statistics.median(one.zygote for one in taken),
        statistics.median(one.workers for one in taken),
    )
