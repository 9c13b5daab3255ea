"""What changes with how much there is: clients, sessions in use, live sessions, and sessions in a store."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio
from msgspec.structs import replace

from benchmarks import load
from benchmarks.engines import OWNER, open_engine
from benchmarks.load import Plan, Tally
from benchmarks.measure import CLIENTS, COUNT, execute, settled_memory
from benchmarks.processes import Server, mcp_v8, noop_server
from engine import chain
from engine.events import Created, Executed
from persistence.eventlog import EventLog
from transports.identity import LOCAL

AT_ONCE = 64
"""Sessions that are put into a store at the same time, which one commit has."""
DONE = '"completed"'
LONG, MANY = 600, 1_000_000
"""Seconds, and requests, of a load that the other of them ends."""
NEW = 20
"""New sessions, and as many that are woken, whose first answers are timed on a store."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much there is."""

    clients: Sequence[int] = (1, 4, 16, 32, 64, 128)
    sessions: Sequence[int] = (1, 10, 100, 500)
    live: Sequence[int] = (10, 100, 500)
    stored: Sequence[int] = (10, 1_000, 10_000)


QUICK = Sizes(clients=(1, 32), sessions=(1, 64), live=(10, 30), stored=(10, 100))


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Medians of the rounds, times in milliseconds."""

    per_second: float
    p50: float
    p99: float


@dataclass(frozen=True, kw_only=True)
class Held:
    """What live sessions take."""

    sessions: int
    private: float
    """KiB of private memory for each."""
    proportional: float
    """KiB of PSS for each."""
    everything: float
    """MiB of PSS of all workers and their zygote."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Executions on a store with many sessions, which were not in use before. Times in milliseconds."""

    sessions: int
    start: float
    """Seconds from the start of the server to its being ready."""
    live: float
    """An execution in a live session."""
    new: float
    """The first answer of a new session."""
    woken: float
    """The first answer of one of those that were there."""


def with_clients(
    folder: Path, sizes: Sequence[int], rounds: int, seconds: float
) -> dict[int, tuple[Rate, Rate]]:
    """Rates of the no-op and of durable executions, by number of clients, each with a session of its own."""
    noops: dict[int, list[Tally]] = {size: [] for size in sizes}
    durables: dict[int, list[Tally]] = {size: [] for size in sizes}
    with noop_server() as noop, mcp_v8("--directory-path", str(folder), *_room(max(sizes))) as durable:
        _begin(durable, max(sizes))
        for _ in range(rounds):
            for size in sizes:
                for server, taken in ((noop, noops), (durable, durables)):
                    taken[size].append(_loaded(server, sessions=size, clients=size, seconds=seconds))
    return {size: (_rate(noops[size]), _rate(durables[size])) for size in sizes}


def with_sessions(folder: Path, sizes: Sequence[int], rounds: int, seconds: float) -> dict[int, Rate]:
    """Rates of durable executions of as many clients, by number of live sessions that they use in turns."""
    taken: dict[int, list[Tally]] = {size: [] for size in sizes}
    with mcp_v8("--directory-path", str(folder), *_room(max(sizes))) as server:
        _begin(server, max(sizes))
        for _ in range(rounds):
            for size in sizes:
                taken[size].append(_loaded(server, sessions=size, clients=CLIENTS, seconds=seconds))
    return {size: _rate(tallies) for size, tallies in taken.items()}


def live(folder: Path, sizes: Sequence[int]) -> list[Held] | None:
    """What so many idle live sessions take beyond none; None where only root may read it."""
    held = []
    with mcp_v8("--directory-path", str(folder), *_room(max(sizes))) as server:
        try:
            before = settled_memory(server)
            for size in sizes:
                _begin(server, size)
                now = settled_memory(server)
                held.append(
                    Held(
                        sessions=size,
                        private=(now.private - before.private) / size,
                        proportional=(now.proportional - before.proportional) / size,
                        everything=now.proportional / 1024,
                    )
                )
        except PermissionError:
            return None
    return held


def stored(folder: Path, sizes: Sequence[int], seconds: float) -> list[Stored]:
    """What a store takes that has so many sessions."""
    found = []
    for size in sizes:
        store = folder / str(size)
        trio.run(fill, store, size)
        began = time.perf_counter()
        with mcp_v8("--directory-path", str(store)) as server:
            ready = time.perf_counter() - began
            found.append(
                Stored(
                    sessions=size,
                    start=ready,
                    live=_asked(server, execute(COUNT, "live"), seconds=seconds),
                    new=_asked(server, execute(COUNT, f"new-{load.COUNTER.decode()}"), most=NEW),
                    woken=_asked(server, execute(COUNT, load.COUNTER.decode()), most=min(NEW, size)),
                )
            )
    return found


async def fill(store: Path, sessions: int) -> None:
    """Sessions named by numbers of eight digits, all of them copies of one that the engine made."""
    async with open_engine(store) as engine:
        await engine.run(COUNT, "original")
        first, second = [(await engine.supervisor.event(OWNER, "original", seq)).event for seq in (0, 1)]
        assert isinstance(first, Created)
        assert isinstance(second, Executed)
        numbers = iter(range(sessions))
        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(_copy, engine.log, first, second, numbers)


async def _copy(log: EventLog, first: Created, second: Executed, numbers: Iterator[int]) -> None:
    for number in numbers:
        session = f"s_{number:022}"
        created = chain.seal(
            chain.GENESIS, replace(first, session=session, owner=LOCAL.owner, name=f"{number:08}")
        )
        executed = replace(second, session=session, owner=LOCAL.owner, execution_id=f"e_{number:022}")
        await log.append([created, chain.seal(created.id, executed)])


def _room(sessions: int) -> tuple[str, ...]:
    """Flags of a server in which so many sessions are live."""
    return ("--max-workers", str(sessions))


def _begin(server: Server, sessions: int) -> None:
    """Make the sessions that are not there yet."""
    requests = [execute(COUNT, f"session-{i}") for i in range(sessions)]
    _run(server, requests, clients=1, most=sessions)


def _loaded(server: Server, *, sessions: int, clients: int, seconds: float) -> Tally:
    """Clients in a closed loop, which use the sessions in turns."""
    requests = [execute(COUNT, f"session-{i}") for i in range(sessions)]
    return _run(server, requests, clients=clients, seconds=seconds)


def _asked(server: Server, request: str, *, seconds: float = LONG, most: int = MANY) -> float:
    """The median milliseconds of one client's answers."""
    return _run(server, [request], clients=1, seconds=seconds, most=most).percentile(0.5)


def _run(
    server: Server, requests: list[str], *, clients: int, seconds: float = LONG, most: int = MANY
) -> Tally:
    """Raises LoadError if an answer is not the one expected."""
    return load.run(
        Plan(port=server.port, requests=requests, clients=clients, expect=DONE, seconds=seconds, most=most)
    )


def _rate(tallies: Sequence[Tally]) -> Rate:
    return Rate(
        per_second=statistics.median(tally.per_second for tally in tallies),
        p50=statistics.median(tally.percentile(0.5) for tally in tallies),
        p99=statistics.median(tally.percentile(0.99) for tally in tallies),
    )
