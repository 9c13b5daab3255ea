"""A session of another log is taken in whole or not at all, with just what it needs of those it comes from."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import trio
from log_samples import History, Stranger, collect, every_kind, faults_of

from engine.chain import Record
from engine.errors import AppendConflict, Conflict, StoreCorrupt, StoreFailed
from engine.history import history
from engine.timestamps import now_us
from persistence.schema import DATABASE_NAME
from persistence.sqlite import SqliteEventLog, open_sqlite_log


async def adopt(log: SqliteEventLog, *records: Record, batch: int = 2) -> bool:
    """Whether it was not there yet."""
    async with log.adoption() as adoption:
        for first in range(0, len(records), batch):
            await adoption.add(records[first : first + batch])
        if await adoption.is_there():
            return False
        await adoption.commit()
    return True


async def whole(log: SqliteEventLog, session: str) -> list[Record]:
    """All events that led to where a session is."""
    row = await log.session(session)
    assert row is not None
    return await collect(history(log, session, row.head_seq))


def content(directory: Path) -> dict[str, list[Any]]:
    """All rows, in an order that does not depend on when they were written."""
    with closing(sqlite3.connect(directory / DATABASE_NAME)) as db:
        return {
            table: sorted(db.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
            for table in ("events", "sessions", "tags", "checkpoints")
        }


def names(directory: Path) -> list[Path]:
    """What is in a directory."""
    return sorted(directory.iterdir())


def family() -> tuple[History, History, History]:
    """A session, its fork, and a fork of that, each of which went on."""
    base, fork, twig = History("s1"), History("s2", name="fork"), History("s3", name="twig")
    base.created()
    base.executed(idempotency_key="k1")
    base.tagged(1, stage="raw")
    base.executed(code="x" * 2_000)
    base.executed()
    fork.forked(base.records[3])
    fork.executed()
    fork.executed()
    fork.aborted()
    twig.forked(fork.records[1])
    twig.tagged(1, stage="old", note="1")
    twig.tagged(1, note=None)
    twig.executed()
    return base, fork, twig


async def test_a_session_is_as_if_it_had_been_recorded_here(log: SqliteEventLog, directory: Path) -> None:
    base, *_ = family()
    assert await adopt(log, *base.records)
    adopted = content(directory)
    async with open_sqlite_log(directory / "other") as other:
        await other.append(base.records)
    assert adopted == content(directory / "other")
    await log.append([base.executed()])
    assert await whole(log, "s1") == base.records


async def test_sessions_that_it_comes_from_are_left_as_a_purge_leaves_them(
    log: SqliteEventLog, directory: Path
) -> None:
    base, fork, twig = family()
    line = [*base.records[:4], *fork.records[:2], *twig.records]
    assert await adopt(log, *line)
    assert await whole(log, "s3") == line
    details = await log.details(["s3"])
    assert details["s3"].tags == {1: {"stage": "old"}}
    assert details["s3"].forked_from == ("fork", 5)
    for session, last in (("s1", base.records[3]), ("s2", fork.records[1])):
        row = await log.session(session)
        assert row is not None
        assert (row.closed, row.head_seq, row.head_id) == (True, last.event.seq, last.id)
        assert (row.state_seq, row.state_id) == (last.event.seq, last.id)
    assert await log.open_sessions() == {"ann": 1}
    assert (await log.sessions("ann", limit=9)).items == ((await log.session("s3")),)
    assert await log.purgeable(1 << 60, limit=9) == []
    with pytest.raises(AppendConflict, match="closed"):
        await log.append([base.records[4]])
    await log.append([twig.closed()])
    while sessions := await log.purgeable(1 << 60, limit=9):
        for session in sessions:
            await log.purge(session, 1 << 60)
    assert content(directory) == {"events": [], "sessions": [], "tags": [], "checkpoints": []}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1), (0, 2, 1), (1, 0, 2)])
async def test_a_family_can_come_in_any_order(
    log: SqliteEventLog, directory: Path, order: Sequence[int]
) -> None:
    base, fork, twig = family()
    lines = (
        base.records,
        [*base.records[:4], *fork.records],
        [*base.records[:4], *fork.records[:2], *twig.records],
    )
    for number in order:
        assert await adopt(log, *lines[number])
        assert await faults_of(log) == []
        assert not await adopt(log, *lines[number])
    async with open_sqlite_log(directory / "other") as other:
        for one in (base, fork, twig):
            await other.append(one.records)
    assert content(directory) == content(directory / "other")
    for one in (base, fork, twig):
        await log.append([one.executed()])


async def test_a_session_that_is_there_already_is_left_as_it_is(log: SqliteEventLog, directory: Path) -> None:
    base, *_ = family()
    await log.append(base.records)
    before = content(directory)
    assert not await adopt(log, *base.records)
    assert content(directory) == before


async def refused(log: SqliteEventLog, directory: Path, *records: Record) -> str:
    """The sentence of a refusal, that of both the look before and the transaction, which changes nothing."""
    before = content(directory)
    with pytest.raises(Conflict) as conflict:
        await adopt(log, *records)
    async with log.adoption() as adoption:
        await adoption.add(records)
        with pytest.raises(Conflict, match=r".") as again:
            await adoption.commit()
    assert again.value.message == conflict.value.message
    assert content(directory) == before
    return conflict.value.message


async def test_a_name_that_is_taken_is_refused(log: SqliteEventLog, directory: Path) -> None:
    base, *_ = family()
    other = History("s9", name="s1")
    await log.append([other.created()])
    assert "there is another session s1 here" in await refused(log, directory, *base.records)


async def test_a_shorter_or_longer_session_is_refused_and_told_which_it_is(
    log: SqliteEventLog, directory: Path
) -> None:
    base, *_ = family()
    await log.append(base.records[:3])
    said = await refused(log, directory, *base.records)
    assert "is there already, with 3 events; the file has 5, so the file is longer" in said
    await log.append(base.records[3:])
    said = await refused(log, directory, *base.records[:4])
    assert "with 5 events; the file has 4, so the session here is longer" in said


@pytest.mark.parametrize("here", [3, 4, 5])
async def test_another_history_of_the_same_session_is_refused(
    log: SqliteEventLog, directory: Path, here: int
) -> None:
    base, *_ = family()
    other = History("s1")
    other.created()
    other.executed(code="other")
    while len(other.records) < here:
        other.executed()
    await log.append(other.records)
    said = await refused(log, directory, *base.records[:4])
    assert "with another history: event 3" in said or "the file is longer" in said


async def test_a_session_that_was_deleted_here_is_refused_until_it_is_gone(
    log: SqliteEventLog, directory: Path
) -> None:
    base, fork, _ = family()
    await log.append(base.records)
    await log.append(fork.records)
    closed = History("s1")
    closed.records = [*base.records]
    await log.append([closed.closed()])
    assert "was deleted here" in await refused(log, directory, *base.records)
    while not (await log.purge("s1", 1 << 60)).over:
        pass
    assert await adopt(log, *base.records), "what is left for the fork is made whole again"
    await log.append([base.executed()])
    assert await whole(log, "s1") == base.records
    assert await whole(log, "s2") == [*base.records[:4], *fork.records]


async def test_remains_of_another_history_are_refused(log: SqliteEventLog, directory: Path) -> None:
    base, fork, _ = family()
    other, its_fork = History("s1"), History("s8")
    other.created(), other.executed(code="other"), other.executed()
    its_fork.forked(other.head)
    assert await adopt(log, *other.records, *its_fork.records)
    assert "with another history" in await refused(log, directory, *base.records)
    assert "with another history" in await refused(log, directory, *base.records[:4], *fork.records)


async def test_events_that_do_not_follow_what_is_left_of_a_session_are_not_put_behind_it(
    log: SqliteEventLog, directory: Path
) -> None:
    base, fork, _ = family()
    assert await adopt(log, *base.records[:4], *fork.records)
    stranger, forged, its_fork = History("s7"), History("s1"), History("s8")
    stranger.created()
    for _ in range(5):
        stranger.executed()
    forged.forked(stranger.head)  # its first event is after the last that is left of s1
    forged.executed()
    its_fork.forked(forged.head)
    line = [*stranger.records, *forged.records]
    assert "with another history" in await refused(log, directory, *line)
    assert "with another history" in await refused(log, directory, *line, *its_fork.records)
    assert await whole(log, "s2") == [*base.records[:4], *fork.records]


async def test_what_is_left_of_a_session_is_not_made_whole_where_its_name_is_taken(
    log: SqliteEventLog, directory: Path
) -> None:
    base, fork, _ = family()
    assert await adopt(log, *base.records[:4], *fork.records)
    await log.append([History("s9", name="s1").created()])
    assert "another session s1" in await refused(log, directory, *base.records)


async def test_a_session_of_somebody_else_is_refused_without_a_word_of_it(
    log: SqliteEventLog, directory: Path
) -> None:
    secret, mine, fork = History("s1", owner="bob", name="secret"), History("s1"), History("s2")
    await log.append([secret.created()])
    mine.created(), mine.executed()
    fork.forked(mine.head)
    for line in (mine.records, [*mine.records, *fork.records]):
        said = await refused(log, directory, *line)
        assert "somebody else's" in said
        assert "secret" not in said


async def test_what_is_left_of_a_session_of_the_future_can_be_removed(
    log: SqliteEventLog, directory: Path
) -> None:
    future, fork = History("s1"), History("s2")
    future.created(), future.executed(at=1 << 55)
    fork.forked(future.head)
    assert await adopt(log, *future.records, *fork.records)
    await log.append([fork.closed()])
    soon = now_us() + 1_000_000
    while sessions := await log.purgeable(soon, limit=9):
        for session in sessions:
            await log.purge(session, soon)
    assert content(directory)["events"] == []


async def test_a_parent_that_is_here_with_fewer_events_is_refused(
    log: SqliteEventLog, directory: Path
) -> None:
    base, fork, _ = family()
    await log.append(base.records[:3])
    said = await refused(log, directory, *base.records[:4], *fork.records)
    assert "was forked from s1@3, and session s1 has fewer events here, 3" in said


async def test_a_parent_that_is_here_with_more_events_is_not_touched(log: SqliteEventLog) -> None:
    base, fork, _ = family()
    await log.append(base.records)
    row = await log.session("s1")
    assert await adopt(log, *base.records[:4], *fork.records)
    assert await log.session("s1") == row
    await log.append([base.executed()])


async def test_executions_and_keys_that_are_in_other_sessions_are_named(
    log: SqliteEventLog, directory: Path
) -> None:
    base, *_ = family()
    other = History("s9")
    other.created()
    other.executed(execution_id="e_s1_4")
    await log.append(other.records)
    before = content(directory)
    with pytest.raises(Conflict, match="execution e_s1_4 of event 4 is in another session here"):
        await adopt(log, *base.records)
    other.executed(idempotency_key="k1")
    await log.append(other.records[2:])
    with pytest.raises(Conflict, match="idempotency key of event 1, 'k1', was used here"):
        await adopt(log, *base.records)
    assert content(directory)["sessions"][0][0] == before["sessions"][0][0] == "s9"
    assert len(content(directory)["events"]) == 3


async def test_events_without_their_session_are_a_damaged_store(log: SqliteEventLog, directory: Path) -> None:
    base, *_ = family()
    await log.append(base.records)
    with closing(sqlite3.connect(directory / DATABASE_NAME)) as db:
        db.execute("DELETE FROM sessions")
        db.commit()
    with pytest.raises(StoreCorrupt, match="the store was altered"):
        await adopt(log, *base.records)


async def test_what_is_not_committed_is_forgotten(log: SqliteEventLog, directory: Path) -> None:
    base, *_ = family()
    before, files = content(directory), names(directory)
    async with log.adoption() as adoption:
        await adoption.add(base.records)
        assert adoption.size > sum(len(record.body) for record in base.records)
        assert names(directory) == files, "what is kept aside has no name"
    assert content(directory) == before


async def test_a_store_that_cannot_be_written_to_keeps_nothing_of_it(
    log: SqliteEventLog, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.schema.BUSY_SECONDS", 0.05)
    base, *_ = family()
    with stranger(), pytest.raises(StoreFailed, match="the import could not be stored, and was not"):
        await adopt(log, *base.records)
    await log.append(base.records[:2])
    assert await whole(log, "s1") == base.records[:2]


async def test_appends_that_wait_with_it_are_not_held_against_each_other(log: SqliteEventLog) -> None:
    base, *_ = family()
    other, again = History("s8"), History("s9")
    other.created(), again.created()
    async with log.adoption() as adoption, trio.open_nursery() as nursery:
        await adoption.add([*base.records])
        nursery.start_soon(log.append, other.records)
        nursery.start_soon(adoption.commit)
        nursery.start_soon(log.append, again.records)
    for session in ("s1", "s8", "s9"):
        assert await log.session(session) is not None


async def test_a_commit_cannot_be_cancelled(log: SqliteEventLog) -> None:
    base, *_ = family()
    async with log.adoption() as adoption:
        await adoption.add(base.records)
        with trio.CancelScope() as scope:
            scope.cancel()
            await adoption.commit()
    assert await whole(log, "s1") == base.records


async def test_every_kind_of_event_is_taken_in(log: SqliteEventLog) -> None:
    parent, fork = every_kind()
    line = [*parent.records[:5], *fork.records]
    assert await adopt(log, *line)
    assert await whole(log, "s2") == line
    assert await log.execution("e_s1_1") == line[1]
    assert await log.idempotent("ann", "k2") == line[2]
