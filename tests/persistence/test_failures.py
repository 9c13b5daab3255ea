"""When the disk or the database fails, every append gets an answer, and the log agrees with it."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from log_samples import History, Stranger, collect
from statement_faults import Faults

from engine.chain import Record
from engine.errors import StoreError, StoreFailed
from persistence import schema, sqlite, writer
from persistence.sqlite import SqliteEventLog, open_sqlite_log

PAGE = 4_096


async def ids(log: SqliteEventLog, sessions: Iterable[str]) -> set[bytes]:
    return {record.id for name in sessions for record in await collect(log.read(name))}


async def attempt(log: SqliteEventLog, records: list[Record], kept: set[bytes], lost: set[bytes]) -> None:
    """Append, and note where the records must be by what it came to."""
    try:
        await log.append(records)
    except StoreFailed:
        lost.update(record.id for record in records)
    else:
        kept.update(record.id for record in records)


@pytest.mark.parametrize("executed", [False, True], ids=["not executed", "executed, reported as failed"])
async def test_whichever_statement_fails_the_answers_are_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executed: bool
) -> None:
    """A sweep over the writer's statements: the first fails, the second, … until none is left."""
    monkeypatch.setattr(writer, "RETRY_SECONDS", (0.0, 0.0))
    points_with_loss = 0
    for point in range(1, 100):
        faults = Faults(lambda count, _, point=point: count == point, executed=executed)
        kept: set[bytes] = set()
        lost: set[bytes] = set()
        a, b, c = History("a"), History("b"), History("c")
        async with open_sqlite_log(tmp_path / str(point)) as log:
            with faults(monkeypatch):
                await attempt(log, [a.created(), a.executed()], kept, lost)
                await attempt(log, [b.created()], kept, lost)
                if b.head.id in kept:
                    await attempt(log, [b.executed()], kept, lost)
            await log.append([c.created()])
            kept.add(c.head.id)
            assert await ids(log, "abc") == kept, f"statement {point}"
        async with open_sqlite_log(tmp_path / str(point)) as log:
            assert await ids(log, "abc") == kept, f"statement {point}, after a restart"
        points_with_loss += bool(lost)
        if not faults.failed:
            break
    assert not faults.failed
    assert points_with_loss >= 10


async def test_a_commit_that_was_reported_as_failed_but_happened_succeeds(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History()
    commits = Faults(lambda _, sql: sql == "COMMIT", executed=True)
    async with open_sqlite_log(directory) as log:
        with commits(monkeypatch):
            await log.append([history.created()])
        assert commits.failed == 1
        await log.append([history.executed()])
        assert await collect(log.read("s1")) == history.records


async def test_a_commit_that_failed_leaves_nothing_that_could_come_back(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames that were not synced have another transaction written over them before the "no"."""
    history = History()
    commits = Faults(lambda _, sql: sql == "COMMIT")
    async with open_sqlite_log(directory) as log:
        with commits(monkeypatch), pytest.raises(StoreFailed):
            await log.append([history.created()])
        assert commits.failed == 1
        assert (await trio.Path(directory / "events.db-wal").stat()).st_size > PAGE
        assert await log.session("s1") is None


async def test_a_log_finds_out_by_itself_that_it_can_write_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody may ask while it says that it fails: a balancer sends nothing to a server that is not ready."""
    monkeypatch.setattr(sqlite, "PROBE_SECONDS", 0.01)
    history = History()
    commits = Faults(lambda _, sql: sql == "COMMIT", code=sqlite3.SQLITE_FULL)
    async with open_sqlite_log(directory) as log:
        with commits(monkeypatch), trio.fail_after(10):
            with pytest.raises(StoreFailed):
                await log.append([history.created()])
            assert log.failing is not None
            while commits.failed < 3:
                assert log.failing is not None
                await trio.lowlevel.checkpoint()
        with trio.fail_after(10):
            while log.failing is not None:
                await trio.lowlevel.checkpoint()
        await log.append(history.records)
        assert await collect(log.read("s1")) == history.records


async def test_a_log_that_was_only_slow_once_still_finds_that_out(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "PROBE_SECONDS", 0.01)
    fails = False
    commits = Faults(lambda _, sql: fails and sql == "COMMIT", code=sqlite3.SQLITE_FULL)
    with commits(monkeypatch), trio.fail_after(10):
        async with open_sqlite_log(directory) as log:
            await trio.testing.wait_all_tasks_blocked()
            log._troubled("it takes a moment")
            await log.append(())
            assert log.failing is None
            fails = True
            with pytest.raises(StoreFailed):
                await log.append([History().created()])
            fails = False
            while log.failing is not None:
                await trio.lowlevel.checkpoint()


async def test_nobody_is_told_what_cannot_be_found_out(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the commit on everything fails: the answer is neither yes nor no, and the log stops."""
    monkeypatch.setattr(writer, "RETRY_SECONDS", (0.0, 0.0))
    broken: list[str] = []
    answers: list[StoreError] = []

    def from_the_commit_on(_: int, sql: str) -> bool:
        if sql == "COMMIT" or broken:
            broken.append(sql)
        return bool(broken)

    async def append(log: SqliteEventLog, records: list[Record]) -> None:
        with pytest.raises(StoreError) as failure:
            await log.append(records)
        answers.append(failure.value)

    async def serve() -> None:
        async with trio.open_nursery() as nursery, open_sqlite_log(directory) as log:
            with Faults(from_the_commit_on)(monkeypatch):
                nursery.start_soon(append, log, [History("s1").created()])
                await trio.sleep_forever()

    with trio.fail_after(10), pytest.raises(ExceptionGroup) as died:
        await serve()
    assert died.group_contains(StoreError, match="start mcp-v8 again")
    assert [type(answer) for answer in answers] == [StoreError]
    async with open_sqlite_log(directory) as log:
        assert await log.session("s1") is None


async def test_a_commit_for_which_there_was_no_room_has_failed_for_certain(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be written over it either, and nothing needs to be."""
    full = Faults(lambda _, sql: sql == "COMMIT", code=sqlite3.SQLITE_FULL)
    monkeypatch.setattr(writer, "_write_over", lambda _: pytest.fail("there is no room for that"))
    async with open_sqlite_log(directory) as log:
        with full(monkeypatch), pytest.raises(StoreFailed):
            await log.append([History().created()])
        assert full.failed == 1
        await log.append([History().created()])


async def test_a_full_disk_refuses_and_goes_on_when_there_is_room(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 0

    def connect(path: Path) -> sqlite3.Connection:
        db = schema.connect(path)
        if room:
            db.execute(f"PRAGMA max_page_count = {room}")
        return db

    room = 60
    monkeypatch.setattr(writer, "connect", connect)
    history, small = History(), History("small")
    async with open_sqlite_log(directory) as log:
        await log.append([history.created()])
        big = history.executed(code="z" * 1_000_000)
        with pytest.raises(StoreFailed, match=f"is full.: free space in {directory}"):
            await log.append([big])
        assert await log.event(big.id) is None
        await log.append([small.created()])
    room = 0
    async with open_sqlite_log(directory) as log:
        await log.append([big])
        assert await collect(log.read("s1")) == history.records
        assert await collect(log.read("small")) == small.records


async def test_an_event_that_the_database_refuses_is_not_there(directory: Path) -> None:
    history = History()
    async with open_sqlite_log(directory) as log:
        await log.append([history.created()])
        with closing(sqlite3.connect(directory / "events.db")) as db:
            db.execute("CREATE TRIGGER no BEFORE INSERT ON events BEGIN SELECT raise(ABORT, 'no'); END")
            with pytest.raises(StoreFailed, match="no"):
                await log.append([history.executed()])
            db.execute("DROP TRIGGER no")
        assert await collect(log.read("s1")) == history.records[:1]
        await log.append([history.head])
        assert await collect(log.read("s1")) == history.records


async def test_a_stranger_that_holds_the_database_too_long_makes_an_append_fail(
    directory: Path, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.01)
    history = History()
    async with open_sqlite_log(directory) as log:
        with stranger(), pytest.raises(StoreFailed, match="locked"):
            await log.append([history.created()])
        assert await log.session("s1") is None
        await log.append([history.head])
        assert await collect(log.read("s1")) == history.records


async def test_a_database_that_gets_no_write_ahead_log_is_refused(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where its disk is full: SQLite goes on with another journal, which a power cut brings back."""

    class Stubborn(sqlite3.Connection):
        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            return super().execute(sql.replace("journal_mode = WAL", "journal_mode"), *args)

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Stubborn))
        with pytest.raises(
            StoreError, match=r"cannot be given a write-ahead log.*'delete'.*see that there is space"
        ):
            async with open_sqlite_log(directory):
                raise AssertionError("opened")
    async with open_sqlite_log(directory) as log:
        await log.append([History().created()])


FILLED_DISKS = """
import resource, shutil, sys, trio
from pathlib import Path
from engine.errors import StoreFailed
from log_samples import History
from persistence.sqlite import open_sqlite_log

HARD = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

async def fill(directory, most):
    history = History()
    failures = 0
    async with open_sqlite_log(directory / "live") as log:
        await log.append([history.created()])
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, HARD))
        while failures < 2:
            try:
                await log.append([history.executed(code="x" * 700)])
            except StoreFailed:
                failures += 1
                history.undo()
        resource.setrlimit(resource.RLIMIT_FSIZE, (HARD, HARD))
        shutil.copytree(directory / "live", directory / "crashed", ignore=shutil.ignore_patterns("*-shm"))
        print(most, len(history.records), history.head.id.hex(), flush=True)
        await log.append([history.executed(execution_id="e_after")])

async def main():
    for most in map(int, sys.argv[2:]):
        await fill(Path(sys.argv[1]) / str(most), most)

trio.run(main)
"""


async def test_wherever_a_write_to_the_file_stops_the_answers_are_true(tmp_path: Path) -> None:
    """A sweep with the kernel's file size limit: writes end short or fail at that byte."""
    limits = [str(most) for most in range(45_000, 90_000, 1_531)]
    command = [sys.executable, "-c", FILLED_DISKS, str(tmp_path), *limits]
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with trio.fail_after(60):
        ran = await trio.run_process(command, capture_stdout=True, env=here)
    lines = ran.stdout.decode().splitlines()
    assert len(lines) == len(limits)
    for line in lines:
        most, count, head = line.split()
        async with open_sqlite_log(tmp_path / most / "crashed") as log:
            crashed = await collect(log.read("s1"))
        assert (len(crashed), crashed[-1].id.hex()) == (int(count), head), f"limit {most}"
        async with open_sqlite_log(tmp_path / most / "live") as log:
            assert len(await collect(log.read("s1"))) == int(count) + 1, f"limit {most}"
