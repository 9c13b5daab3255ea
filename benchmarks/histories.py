"""Histories as they grow: what an event takes on disk, and what one more costs after very many."""

from __future__ import annotations

import sqlite3
import statistics
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import trio
from msgspec.structs import replace

from benchmarks import load
from benchmarks.engines import NEVER_SECONDS, OWNER, Answer, Engine, open_engine, stages
from benchmarks.processes import mcp_v8
from engine import chain
from engine.events import Executed

SMALL_EVENTS = 20_000
CLIENTS = 16
LONG = 100_000
SHORT = 10
BATCH = 1_000
"""Records that are appended at once."""
BURST = 5
"""Executions of a session that are timed in a round, around event ``SHORT`` of the short one."""


@dataclass(frozen=True, kw_only=True)
class Disk:
    """What small events take, bytes each."""

    events: int
    all: float
    """Growth of the database, indexes and all, once its write-ahead log is empty."""
    bodies: float
    """The part of the encoded events."""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """Executions in a session with many events beside those in sessions with few, median milliseconds."""

    events: int
    short: float
    long: float
    ratio: float
    """Long to short of the same round, the median of the rounds."""
    short_stages: dict[str, float]
    long_stages: dict[str, float]
    per_second: float
    """Events replayed in a second when the long session woke."""


def disk(folder: Path, events: int = SMALL_EVENTS) -> Disk:
    """What ``n++`` takes on disk, asked for over HTTP in several sessions."""
    flags = ("--directory-path", str(folder), "--restore-target", f"{NEVER_SECONDS:g}")
    with mcp_v8(*flags) as server:
        begin = [load.post({"code": "let n = 0", "session": f"disk-{i}"}) for i in range(CLIENTS)]
        load.run(load.Plan(port=server.port, requests=begin, seconds=60, most=CLIENTS))
    before = _database(folder)
    with mcp_v8(*flags) as server:
        count = [load.post({"code": "n++", "session": f"disk-{i}"}) for i in range(CLIENTS)]
        plan = load.Plan(port=server.port, requests=count, expect='"completed"', seconds=600, most=events)
        load.run(plan)
    after = _database(folder)
    return Disk(events=events, all=(after[0] - before[0]) / events, bodies=(after[1] - before[1]) / events)


def _database(folder: Path) -> tuple[int, int]:
    """Bytes of the database of a server that was stopped, and of the events in it."""
    with closing(sqlite3.connect(folder / "events.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (bodies,) = db.execute("SELECT sum(length(body) + coalesce(length(large), 0)) FROM events").fetchone()
    return sum(path.stat().st_size for path in folder.glob("events.db*")), bodies


def growth(folder: Path, rounds: int, events: int = LONG) -> Growth:
    """What an execution costs after so many events."""
    return trio.run(_growth, folder, rounds, events)


async def _growth(folder: Path, rounds: int, events: int) -> Growth:
    async with open_engine(folder) as engine:
        await make_long(engine, "long", events)
        began = time.perf_counter()
        await engine.run("n++; 0", "long")
        replayed = time.perf_counter() - began
        short: list[Answer] = []
        long: list[Answer] = []
        ratios = []
        for number in range(rounds):
            name = f"short-{number}"
            await engine.run("let n = 0", name)
            for _ in range(SHORT - BURST // 2 - 2):
                await engine.run("n++; 0", name)
                await engine.run("n++; 0", "long")
            for _ in range(BURST):
                short.append(await engine.run("n++; 0", name))
                long.append(await engine.run("n++; 0", "long"))
            ratios.append(_median(long[-BURST:]) / _median(short[-BURST:]))
            await engine.sleep(name)
    return Growth(
        events=events,
        short=_median(short),
        long=_median(long),
        ratio=statistics.median(ratios),
        short_stages=stages(short),
        long_stages=stages(long),
        per_second=events / replayed,
    )


async def make_long(engine: Engine, session: str, events: int) -> None:
    """A sleeping session with so many events, all but the first two of them copies of the second.

    A copy has the clock, seed and result of the original, hence its digest: a replay agrees with it.
    """
    await engine.run("let n = 0", session)
    await engine.run("n++; 0", session)
    await engine.sleep(session)
    head = await engine.supervisor.event(OWNER, session, 2)
    original = head.event
    assert isinstance(original, Executed)
    batch: list[chain.Record] = []
    for seq in range(3, events + 1):
        head = chain.seal(head.id, replace(original, seq=seq, execution_id=f"e_{seq:016}"))
        batch.append(head)
        if len(batch) == BATCH or seq == events:
            await engine.log.append(batch)
            batch = []


def _median(answers: list[Answer]) -> float:
    return statistics.median(answer.took for answer in answers)
