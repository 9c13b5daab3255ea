"""What deleted sessions have left behind is removed, but for what others come from."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
import trio
from log_samples import History, Stranger, checkpoint_of, collect

from engine.errors import AppendConflict, StoreCorrupt, StoreError, StoreFailed
from engine.history import history as whole_history
from persistence import purge, schema, writer
from persistence.etcd.log import EtcdEventLog
from persistence.eventlog import Removable
from persistence.schema import DATABASE_NAME
from persistence.sqlite import SqliteEventLog, open_sqlite_log

CLOSED_AT = 9_999
"""When ``History.closed`` says that a session was."""
LATER = CLOSED_AT + 1


def history_of(executions: int, session: str = "s1") -> History:
    history = History(session)
    history.created()
    for _ in range(executions):
        history.executed()
    return history


async def closed(log: SqliteEventLog, *histories: History) -> None:
    """Close the sessions, whose events are all appended then."""
    for history in histories:
        if await log.session(history.session) is None:
            await log.append(history.records)
        await log.append([history.closed()])


async def purge_all(log: SqliteEventLog, before: int = LATER) -> int:
    """How many steps it took."""
    steps = 0
    while sessions := await log.purgeable(before, limit=100):
        for session in sessions:
            while not (await log.purge(session, before)).over:
                steps += 1
            steps += 1
    return steps


async def assert_reads(log: SqliteEventLog, *histories: History) -> None:
    """Every event of these, those before a fork included, with their chains verified."""
    for history in histories:
        head = history.head.event.seq
        records = await collect(whole_history(log, history.session, head))
        assert records[-len(history.records) :] == history.records
        assert [record.event.seq for record in records] == list(range(head + 1))


def counts(directory: Path) -> dict[str, int]:
    with closing(sqlite3.connect(directory / DATABASE_NAME)) as db:
        return {
            table: db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("events", "sessions", "checkpoints", "tags")
        }


async def test_a_deleted_session_leaves_nothing(log: SqliteEventLog, directory: Path) -> None:
    history, other = history_of(3), history_of(2, "other")
    history.tagged(2, a="b")
    await log.append(other.records)
    await log.append(history.records)
    await log.add_checkpoint(checkpoint_of(history.records[2]))
    before = counts(directory)
    await closed(log, history)
    assert await log.purgeable(LATER, limit=9) == ["s1"]
    purged = await log.purge("s1", LATER)
    assert (purged.events, purged.over) == (6, True)
    assert purged.size == sum(
        len(record.body) + sum(map(len, record.large.values())) for record in history.records
    )
    assert counts(directory) == {"events": 3, "sessions": 1, "checkpoints": 0, "tags": 0}
    assert before["events"] == 8
    assert await log.session("s1") is None
    assert await log.execution("e_s1_1") is None
    assert await log.event(history.records[1].id) is None
    await assert_reads(log, other)
    assert await log.purgeable(LATER, limit=9) == []


async def test_until_its_time_has_come_a_deleted_session_stays(log: SqliteEventLog) -> None:
    history = history_of(1)
    await closed(log, history)
    assert await log.purgeable(CLOSED_AT, limit=9) == []
    assert (await log.purge("s1", CLOSED_AT)).events == 0
    await assert_reads(log, history)


async def test_open_sessions_stay_whoever_asks(log: SqliteEventLog) -> None:
    history = history_of(1)
    await log.append(history.records)
    assert await log.purgeable(LATER, limit=9) == []
    for session in ("s1", "nobody"):
        assert (await log.purge(session, LATER)) == purge._NOTHING
    await assert_reads(log, history)


async def test_what_a_fork_comes_from_stays_and_what_came_after_goes(
    log: SqliteEventLog, directory: Path
) -> None:
    parent = history_of(5)
    fork, late = History("fork"), History("late")
    fork.forked(parent.records[2])
    fork.executed()
    late.forked(parent.records[3])
    for history in (parent, fork, late):
        await log.append(history.records)
    for record in parent.records[1:5]:
        await log.add_checkpoint(checkpoint_of(record, blob=str(record.event.seq)))
    await closed(log, parent)
    await purge_all(log)
    assert await collect(log.read("s1")) == parent.records[:4]
    row = await log.session("s1")
    assert row is not None
    assert (row.head_seq, row.head_id, row.closed) == (3, parent.records[3].id, True)
    assert (row.state_seq, row.state_id) == (3, parent.records[3].id)
    assert [one.seq for one in await log.checkpoints("s1")] == [3, 2, 1]
    await assert_reads(log, fork, late)
    assert (await log.details(["fork"]))["fork"].forked_from == ("s1", 2)
    with pytest.raises(AppendConflict, match="closed"):
        await log.append([parent.executed()])
    await closed(log, late)
    await purge_all(log)
    assert await collect(log.read("s1")) == parent.records[:3]
    assert await log.session("late") is None
    await closed(log, fork)
    await purge_all(log)
    assert counts(directory) == {"events": 0, "sessions": 0, "checkpoints": 0, "tags": 0}


async def test_a_line_of_forks_goes_from_its_end(log: SqliteEventLog, directory: Path) -> None:
    line = [history_of(1, "f0")]
    await log.append(line[0].records)
    for number in range(1, 6):
        history = History(f"f{number}")
        history.forked(line[-1].head)
        await log.append([*history.records, history.executed()])
        line.append(history)
    last = line[3]
    await closed(log, *line[:3], *line[4:])
    await purge_all(log)
    await assert_reads(log, last)
    assert counts(directory)["sessions"] == 4
    await closed(log, last)
    await purge_all(log)
    assert counts(directory) == {"events": 0, "sessions": 0, "checkpoints": 0, "tags": 0}


async def test_a_fork_of_what_was_removed_is_refused(log: SqliteEventLog) -> None:
    """It was asked for before the session was deleted, and came late."""
    parent = history_of(3)
    early, late = History("early"), History("late")
    early.forked(parent.records[1])
    late.forked(parent.records[3])
    await log.append(parent.records)
    await log.append(early.records)
    await closed(log, parent)
    await purge_all(log)
    with pytest.raises(AppendConflict, match="no event 3"):
        await log.append(late.records)
    assert await log.session("late") is None
    await assert_reads(log, early)


@pytest.mark.parametrize("step", [1, 2, 3, 128])
async def test_a_purge_interrupted_after_any_step_leaves_whole_chains_and_goes_on(
    directory: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(purge, "STEP_EVENTS", step)
    done = False
    for steps in range(100):
        path = directory / str(steps)
        parent, alone, fork = history_of(6), history_of(5, "alone"), History("fork")
        fork.forked(parent.records[3])
        parent.aborted()
        async with open_sqlite_log(path) as log:
            await log.append(parent.records)
            await log.append(fork.records)
            await closed(log, parent, alone)
            for _ in range(steps):
                sessions = await log.purgeable(LATER, limit=1)
                done = not sessions
                if done:
                    break
                await log.purge(sessions[0], LATER)
        async with open_sqlite_log(path) as log:
            for history in (parent, alone):
                left = await collect(log.read(history.session))
                row = await log.session(history.session)
                assert left == history.records[: len(left)]
                assert (row is None) == (not left)
                assert row is None or (row.head_seq, row.head_id) == (left[-1].event.seq, left[-1].id)
            await assert_reads(log, fork)
            await purge_all(log)
            assert await collect(log.read("s1")) == parent.records[:4]
            assert (await log.session("s1")).state_seq == 3
            assert await log.session("alone") is None
        if done:
            return
    pytest.fail("it never ended")


async def test_a_step_is_bounded_in_events_and_in_bytes(
    log: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "STEP_EVENTS", 4)
    history = history_of(9)
    await closed(log, history)
    taken = [(await log.purge("s1", LATER)).events for _ in range(4)]
    assert taken == [4, 4, 3, 0]
    monkeypatch.setattr(purge, "STEP_BYTES", 50_000)
    large = History("large")
    large.created()
    for _ in range(3):
        large.executed(code="x" * 30_000)
    await closed(log, large)
    assert [(await log.purge("large", LATER)).events for _ in range(3)] == [3, 2, 0]


async def test_what_was_removed_is_written_over(log: SqliteEventLog, directory: Path) -> None:
    def size() -> int:
        return (directory / DATABASE_NAME).stat().st_size

    async def fill(name: str) -> History:
        history = History(name)
        history.created()
        for _ in range(200):
            history.executed(code=name * 5_000)
        for first in range(0, len(history.records), 100):  # as many as a transaction of etcd takes
            await log.append(history.records[first : first + 100])
        return history

    empty = log.used_bytes
    history = await fill("a")
    full = log.used_bytes
    assert full - empty > 200 * 5_000
    await closed(log, history)
    await purge_all(log)
    assert log.used_bytes - empty < 30_000
    with closing(sqlite3.connect(directory / DATABASE_NAME)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        before = size()
        await fill("b")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        assert size() < before + 30_000
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


async def test_what_the_log_takes_is_counted_as_it_grows(directory: Path) -> None:
    """Never much less than it is, and exactly at a start."""

    def exact() -> int:
        with closing(schema.connect(directory / DATABASE_NAME)) as db:
            return schema.used_bytes(db)

    history = history_of(0)
    async with open_sqlite_log(directory) as log:
        empty = log.used_bytes
        assert empty == exact()
        await log.append(history.records)
        for number in range(300):
            await log.append([history.executed(code="x" * 20 * number)])
            assert exact() - 16_384 <= log.used_bytes <= exact() + writer.MEASURE_BYTES
        assert log.used_bytes > empty + 300 * 20 * 150
    async with open_sqlite_log(directory) as log:
        assert log.used_bytes == exact()


async def test_keys_of_what_was_removed_are_free(log: SqliteEventLog) -> None:
    history = History("s1")
    history.created()
    history.executed(idempotency_key="k")
    await closed(log, history)
    again = History("s2")
    again.created()
    with pytest.raises(AppendConflict, match="idempotency key"):
        await log.append([*again.records, again.executed(idempotency_key="k")])
    await purge_all(log)
    assert await log.idempotent("ann", "k") is None
    if isinstance(log, EtcdEventLog):
        return  # there it is free some minutes after it was used: a purge comes an hour after at the earliest
    await log.append(again.records)


async def test_whoever_reads_meanwhile_is_told_what_happened(
    log: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.reader.PAGE_RECORDS", 2)
    history = history_of(6)
    await closed(log, history)
    reading = log.read("s1")
    assert await anext(reading) == history.records[0]
    await purge_all(log)
    with pytest.raises(StoreError, match="was deleted") as told:
        async for _ in reading:
            pass
    assert not isinstance(told.value, StoreCorrupt)


async def test_of_a_damaged_session_that_a_fork_needs_nothing_is_removed(directory: Path) -> None:
    parent, fork = history_of(4), History("fork")
    fork.forked(parent.records[2])
    async with open_sqlite_log(directory) as log:
        await log.append(parent.records)
        await log.append(fork.records)
        await closed(log, parent)
        with closing(sqlite3.connect(directory / DATABASE_NAME, isolation_level=None)) as db:
            db.execute("DELETE FROM events WHERE session = 's1' AND seq = 2")
        assert (await log.purge("s1", LATER)) == purge._NOTHING
        assert await log.event(parent.records[4].id) == parent.records[4]


async def test_a_purge_that_cannot_be_written_removes_nothing_and_makes_no_append_fail(
    directory: Path, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, other = history_of(2), history_of(0, "other")
    async with open_sqlite_log(directory) as log:
        await closed(log, history)
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.01)
    async with open_sqlite_log(directory) as log:
        with stranger(), pytest.raises(StoreFailed, match="deleted session has left behind"):
            await log.purge("s1", LATER)
        assert log.failing is None
        await assert_reads(log, history)
        await log.append(other.records)
        await purge_all(log)
        assert await log.session("s1") is None


async def test_appends_of_others_go_on_meanwhile(
    log: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forks are begun, too, of what is being removed: each is refused, or keeps what it needs."""
    monkeypatch.setattr(purge, "STEP_EVENTS", 1)
    parent = history_of(30)
    await closed(log, parent)
    forks: list[History] = []

    async def branch(number: int) -> None:
        fork = History(f"fork-{number}")
        fork.forked(parent.records[number])
        try:
            await log.append(fork.records)
        except AppendConflict:
            return
        forks.append(fork)
        await log.append([fork.executed()])

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(purge_all, log)
            for number in (25, 3, 14):
                nursery.start_soon(branch, number)
    assert forks
    await assert_reads(log, *forks)
    await purge_all(log)
    await assert_reads(log, *forks)
    assert (await log.session("s1")).head_seq == max(fork.records[0].event.seq for fork in forks) - 1


def sessions_in(rows: Sequence[object]) -> list[str]:
    return [row.session for row in rows]  # type: ignore[attr-defined]


async def test_unused_sessions_are_found_a_stretch_at_a_time(log: SqliteEventLog) -> None:
    histories = [history_of(0, f"s{number}") for number in range(7)]
    for history in histories:
        history.name = history.session
        await log.append(history.records)
    await closed(log, histories[2])
    await log.append([histories[3].tagged(0, a="b")])
    found: list[str] = []
    after, pages = "", 0
    while True:
        page = await log.unused("s?", 1_001, after=after, limit=2)
        found += sessions_in(page.items)
        pages += 1
        if page.next is None:
            break
        after = page.next
    assert found == ["s0", "s1", "s4", "s5", "s6"]
    assert pages == 4
    assert (await log.unused("s?", 1_000)).items == ()
    assert sessions_in((await log.unused("s5", 1_001)).items) == ["s5"]


async def test_open_sessions_are_counted_by_owner(log: SqliteEventLog) -> None:
    histories = [History(f"s{number}", owner="ann" if number else "bob") for number in range(4)]
    for history in histories:
        history.created()
        await log.append(history.records)
    assert await log.open_sessions() == {"ann": 3, "bob": 1}
    await log.append([histories[0].closed()])
    await log.append([histories[1].closed()])
    assert await log.open_sessions() == {"ann": 2}


@pytest.mark.parametrize("seed", range(12))
async def test_what_can_be_removed_is_known_before(directory: Path, seed: int) -> None:
    """Of sessions and forks of forks some of which are deleted, some of these only just now."""
    chance = random.Random(seed)
    histories = [history_of(chance.randrange(200), "s0")]
    async with open_sqlite_log(directory) as log:
        await log.append(histories[0].records)
        for number in range(1, 12):
            parent = chance.choice(histories)
            fork = History(f"s{number}")
            fork.forked(chance.choice(parent.records))
            for _ in range(chance.randrange(4)):
                fork.executed()
            await log.append(fork.records)
            histories.append(fork)
        await closed(log, *(history for history in histories if chance.random() < 0.7))
        recent = chance.choice(histories).session
        with closing(sqlite3.connect(directory / DATABASE_NAME)) as db:
            db.execute("UPDATE sessions SET last_at = ? WHERE session = ?", (LATER, recent))
            db.commit()
    async with open_sqlite_log(directory) as log:
        known = await log.removable(LATER)
        events = size = 0
        touched = set()
        while sessions := await log.purgeable(LATER, limit=3):
            for session in sessions:
                purged = await log.purge(session, LATER)
                events, size = events + purged.events, size + purged.size
                touched |= {session} if purged.events else set()
        assert (known.sessions, known.events, known.size) == (len(touched), events, size)
        assert await log.removable(LATER) == Removable(sessions=0, events=0, size=0)
