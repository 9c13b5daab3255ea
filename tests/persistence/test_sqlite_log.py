"""What is appended is durable, found again, and alone in failing when it cannot be."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest
import trio
from log_samples import History, Stranger, collect, every_kind
from trio.testing import wait_all_tasks_blocked

from engine.chain import Record, seal
from engine.errors import AppendConflict, StoreError, StoreFailed
from persistence import sqlite, writer
from persistence.sqlite import SqliteEventLog, open_sqlite_log


async def outcomes(log: SqliteEventLog, stranger: Stranger, appends: list[list[Record]]) -> list[str]:
    """What comes of appends that are queued in this order and written in one group commit."""
    answers = ["unanswered"] * len(appends)

    async def one(index: int) -> None:
        try:
            await log.append(appends[index])
        except StoreError as failure:
            answers[index] = failure.code
        else:
            answers[index] = "durable"

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            with stranger():
                # The writer is kept busy with this one, so that it finds all others queued.
                nursery.start_soon(log.append, [History("first").created()])
                await wait_all_tasks_blocked()
                for index in range(len(appends)):
                    nursery.start_soon(one, index)
                    await wait_all_tasks_blocked()
    return answers


async def test_every_kind_of_event_is_read_back_as_it_was_after_a_restart(directory: Path) -> None:
    history, fork = every_kind()
    async with open_sqlite_log(directory) as log:
        for record in history.records[:-1]:
            await log.append([record])
        await log.append(fork.records)
        await log.append(history.records[-1:])
    async with open_sqlite_log(directory) as log:
        assert await collect(log.read("s1")) == history.records
        assert await collect(log.read("s2")) == fork.records


async def test_a_range_is_read_with_both_its_ends(log: SqliteEventLog) -> None:
    history, fork = every_kind()
    await log.append(history.records[:-1])
    await log.append(fork.records)
    assert await collect(log.read("s1", 1, 3)) == history.records[1:4]
    assert await collect(log.read("s1", 4)) == history.records[4:6]
    assert await collect(log.read("s1", 2, 1)) == []
    assert await collect(log.read("s1", 7)) == []
    assert await collect(log.read("s2", 0, 4)) == []
    assert await collect(log.read("s2", 6, 6)) == fork.records[1:]
    assert await collect(log.read("nobody")) == []


async def test_accepted_events_are_found_without_the_others(log: SqliteEventLog) -> None:
    history, fork = every_kind()
    await log.append(history.records)
    await log.append(fork.records)
    assert await log.accepted("s1") == await log.accepted("s1", 5, 5) == history.records[5:6]
    assert await log.accepted("s1", 0, 4) == await log.accepted("s1", 6) == await log.accepted("s2") == []


async def test_a_long_log_is_read_in_order_over_many_pages(log: SqliteEventLog) -> None:
    history = History()
    await log.append([history.created()])
    for _ in range(6):
        await log.append([history.executed() for _ in range(100)])
    assert [record.id for record in history.records] == [r.id for r in await collect(log.read("s1"))]


async def test_a_reader_sees_the_log_as_long_as_it_was_when_it_began(log: SqliteEventLog) -> None:
    history = History()
    await log.append([history.created(), history.executed()])
    reading = log.read("s1")
    assert await anext(reading) == history.records[0]
    await log.append([history.executed()])
    assert await collect(reading) == history.records[1:2]


async def test_records_are_found_by_id_execution_and_key(log: SqliteEventLog) -> None:
    history, fork = every_kind()
    await log.append(history.records[:-1])
    await log.append(fork.records)
    _, executed, aborted, *_ = history.records
    assert await log.event(executed.id) == executed
    assert await log.event(fork.records[0].id) == fork.records[0]
    assert await log.execution("e_s1_1") == executed
    assert await log.execution("e_s1_2") == aborted
    assert await log.idempotent("ann", "k1") == executed
    assert await log.idempotent("ann", "k2") == aborted
    assert await log.event(bytes(32)) is None
    assert await log.execution("e_nobody") is None
    assert await log.idempotent("bob", "k1") is None


async def test_the_head_moves_with_every_event_and_the_state_with_state_events(log: SqliteEventLog) -> None:
    history = History(name="demo")
    created = history.created()
    await log.append([created])
    row = await log.session("s1")
    assert row is not None
    assert (row.owner, row.name, row.created_at, row.closed) == ("ann", "demo", 1_000, False)
    assert (row.head_seq, row.head_id, row.state_seq, row.state_id) == (0, created.id, 0, created.id)

    executed, aborted, tagged = history.executed(), history.aborted(), history.tagged()
    await log.append([executed, aborted, tagged])
    row = await log.session_named("ann", "demo")
    assert row is not None
    assert (row.head_seq, row.head_id, row.state_seq, row.state_id) == (3, tagged.id, 1, executed.id)
    assert (row.created_at, row.last_at) == (1_000, 9_000)


async def test_a_fork_has_a_head_of_its_own_and_leaves_its_parent_alone(log: SqliteEventLog) -> None:
    history, fork = every_kind()
    await log.append(history.records[:-1])
    before = await log.session("s1")
    await log.append(fork.records)
    row = await log.session("s2")
    assert row is not None
    assert (row.head_seq, row.state_seq, row.state_id) == (6, 6, fork.head.id)
    assert await log.session("s1") == before


async def test_a_closed_session_frees_its_name_and_stays_readable(log: SqliteEventLog) -> None:
    first, second = History("s1", name="demo"), History("s2", name="demo")
    await log.append([first.created()])
    with pytest.raises(AppendConflict, match="open session of that name"):
        await log.append([second.created()])
    await log.append([first.closed()])
    assert await log.session_named("ann", "demo") is None
    assert (await log.sessions("ann", limit=100)).items == ()
    await log.append(second.records)
    assert await log.session_named("ann", "demo") == await log.session("s2")
    assert await collect(log.read("s1")) == first.records
    with pytest.raises(AppendConflict, match="closed"):
        await log.append([first.tagged()])


async def test_sessions_are_listed_by_owner_with_the_last_used_first(log: SqliteEventLog) -> None:
    histories = [History(f"s{n}") for n in range(3)]
    for history in histories:
        await log.append([history.created()])
    await log.append([History("b1", owner="bob", name="s0").created()])
    await log.append([histories[1].executed()])
    await log.append([histories[0].executed(at=50_000)])
    assert [row.session for row in (await log.sessions("ann", limit=100)).items] == ["s0", "s1", "s2"]
    assert [row.session for row in (await log.sessions("ann", limit=2)).items] == ["s0", "s1"]
    assert [row.session for row in (await log.sessions("bob", limit=100)).items] == ["b1"]


async def test_what_does_not_follow_the_head_is_refused(log: SqliteEventLog) -> None:
    history = History()
    created, executed = history.created(), history.executed()
    with pytest.raises(AppendConflict, match="no session s1"):
        await log.append([executed])
    await log.append([created])
    with pytest.raises(AppendConflict, match="begun"):
        await log.append([created])
    skipping = history.executed()
    with pytest.raises(AppendConflict, match="does not follow"):
        await log.append([skipping])
    history.undo()
    history.undo()
    other = history.executed(code="other")
    await log.append([executed])
    with pytest.raises(AppendConflict, match="does not follow"):
        await log.append([other])
    wrong_prev = seal(created.id, msgspec.structs.replace(executed.event, seq=2, execution_id="e_new"))
    with pytest.raises(AppendConflict, match="does not follow"):
        await log.append([wrong_prev])
    assert await collect(log.read("s1")) == [created, executed]


async def test_a_session_cannot_be_created_in_the_middle(log: SqliteEventLog) -> None:
    created = History().created()
    for record in (
        seal(bytes(31) + b"x", created.event),
        seal(created.prev, msgspec.structs.replace(created.event, seq=1)),
    ):
        with pytest.raises(AppendConflict, match="created by event 0"):
            await log.append([record])
    assert await log.session("s1") is None


async def test_a_fork_of_what_is_not_there_is_refused(log: SqliteEventLog) -> None:
    history, fork = every_kind()
    await log.append(history.records[:2])
    with pytest.raises(AppendConflict, match="has no event 4"):
        await log.append(fork.records)
    await log.append(history.records[2:-1])
    with pytest.raises(AppendConflict, match="has no event 4"):
        await log.append([seal(history.records[0].id, fork.records[0].event)])
    assert await log.session("s2") is None


async def test_heads_that_are_no_longer_remembered_are_looked_up(
    log: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "HEADS_KEPT", 1)
    histories = [History(f"s{n}") for n in range(3)]
    for history in histories:
        await log.append([history.created()])
    for history in histories:
        await log.append([history.executed()])
        assert await collect(log.read(history.session)) == history.records


async def test_one_conflict_fails_alone_in_a_group_commit(log: SqliteEventLog, stranger: Stranger) -> None:
    a, b, c, d = (History(name) for name in "abcd")
    for history in (a, b, c, d):
        history.created()
        await log.append(history.records)
    first = a.executed(idempotency_key="k")
    then = a.executed()
    rival = History("a")
    rival.records = a.records[:1]
    appends = [
        [first],
        [rival.executed(code="rival", execution_id="e_rival")],
        [then],
        [b.executed(execution_id=f"e_{n}") if n else b.executed() for n in range(2)],
        [c.executed(), c.executed(execution_id="e_a_1")],
        [d.executed(idempotency_key="k")],
        [History("e", name="a").created()],
        [History("f").created()],
    ]
    answers = await outcomes(log, stranger, appends)
    conflict = "append_conflict"
    assert answers == [
        "durable",
        conflict,
        "durable",
        "durable",
        conflict,
        conflict,
        conflict,
        "durable",
    ]
    assert await collect(log.read("a")) == a.records
    assert await collect(log.read("b")) == b.records
    assert await collect(log.read("c")) == c.records[:1]
    assert await collect(log.read("d")) == d.records[:1]
    assert await log.session("e") is None
    assert await log.session("f") is not None


async def test_a_session_goes_on_after_a_conflict_of_its_own(log: SqliteEventLog, stranger: Stranger) -> None:
    history = History()
    history.created()
    await log.append(history.records)
    stale = history.executed(execution_id="e_stale")
    history.undo()
    good = history.executed()
    assert await outcomes(log, stranger, [[good], [stale]]) == ["durable", "append_conflict"]
    await log.append([history.executed()])
    assert await collect(log.read("s1")) == history.records


async def test_many_tasks_append_at_once_and_lose_nothing(log: SqliteEventLog) -> None:
    histories = [History(f"s{n}") for n in range(32)]

    async def fill(history: History) -> None:
        await log.append([history.created()])
        for _ in range(20):
            await log.append([history.executed()])

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for history in histories:
                nursery.start_soon(fill, history)
    for history in histories:
        assert [r.id for r in await collect(log.read(history.session))] == [r.id for r in history.records]


async def test_of_many_that_race_for_a_place_exactly_one_wins(log: SqliteEventLog) -> None:
    history = History()
    await log.append([history.created()])
    won: list[Record] = []

    async def race(n: int) -> None:
        mine = History()
        mine.records = history.records[:1]
        record = mine.executed(execution_id=f"e_{n}")
        try:
            await log.append([record])
        except AppendConflict:
            return
        won.append(record)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for n in range(16):
                nursery.start_soon(race, n)
    assert await collect(log.read("s1")) == history.records + won
    assert len(won) == 1


async def test_an_append_in_flight_outlives_a_cancellation(log: SqliteEventLog, stranger: Stranger) -> None:
    history = History()
    history.created()
    returned = cancelled = False
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:

            async def append() -> None:
                nonlocal returned, cancelled
                await log.append(history.records)
                returned = True
                try:
                    await trio.lowlevel.checkpoint()
                except trio.Cancelled:
                    cancelled = True
                    raise

            with stranger():
                nursery.start_soon(append)
                await wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
                assert not returned
    assert returned
    assert cancelled
    assert await collect(log.read("s1")) == history.records


async def test_an_append_in_a_cancelled_scope_is_done_all_the_same(log: SqliteEventLog) -> None:
    history = History()
    with trio.CancelScope() as scope:
        scope.cancel()
        await log.append([history.created()])
    assert await collect(log.read("s1")) == history.records


async def test_what_is_queued_at_the_end_is_written_and_what_comes_later_refused(
    directory: Path, stranger: Stranger
) -> None:
    histories = [History(f"s{n}") for n in range(5)]
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery, trio.open_nursery() as closing:
            done = trio.Event()

            async def serve(task_status: trio.TaskStatus[SqliteEventLog]) -> None:
                async with open_sqlite_log(directory) as log:
                    task_status.started(log)
                    await done.wait()

            log = await closing.start(serve)
            with stranger():
                for history in histories:
                    nursery.start_soon(log.append, [history.created()])
                await wait_all_tasks_blocked()
                done.set()
                await wait_all_tasks_blocked()
                with pytest.raises(StoreFailed, match="closed"):
                    await log.append([History("late").created()])
    with pytest.raises(StoreError, match="closed"):
        await log.session("s0")
    async with open_sqlite_log(directory) as log:
        assert len((await log.sessions("ann", limit=100)).items) == 5


@pytest.mark.parametrize("log", ["directory"], indirect=True)  # memory is too quick to be watched
async def test_appends_wait_their_turn_when_the_queue_is_full(
    log: SqliteEventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "MAX_QUEUED_BYTES", 10_000)
    histories = [History(f"s{n}") for n in range(30)]
    appends = [[history.created()] for history in histories]
    appends.insert(3, [big := History("big").created(), *(_filler("big", big))])
    seen = 0

    async def watch() -> None:
        nonlocal seen
        while True:
            seen = max(seen, log.queued_bytes)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        assert set(await queue_all(log, appends)) == {"durable"}
        nursery.cancel_scope.cancel()
    assert 30_000 < seen < 40_000  # the big one, alone
    assert log.queued_bytes == 0
    assert len((await log.sessions("ann", limit=100)).items) == 31


def _filler(session: str, created: Record) -> list[Record]:
    history = History(session)
    history.records = [created]
    return [history.executed(code="z" * 30_000)]


async def queue_all(log: SqliteEventLog, appends: list[list[Record]]) -> list[str]:
    answers: list[str] = []

    async def one(records: list[Record]) -> None:
        await log.append(records)
        answers.append("durable")

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for records in appends:
                nursery.start_soon(one, records)
    assert len(answers) == len(appends)
    return answers


def _modes(directory: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in (directory, *directory.iterdir())}


async def test_only_the_owner_can_read_the_files_of_a_store(directory: Path) -> None:
    async with open_sqlite_log(directory) as log:
        await log.append([History().created()])
        modes = _modes(directory)
    assert modes.pop(directory.name) == 0o700
    assert modes == dict.fromkeys(("events.db", "events.db-wal", "events.db-shm", "lock"), 0o600)
