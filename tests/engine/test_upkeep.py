"""Sessions without a name expire, and what deleted sessions leave behind is removed in time."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import trio
from engines import CALLER, OWNER, Engine, OpenEngine, both_stores, first_line, submission

from engine import upkeep
from engine.errors import NotFound, StoreFailed
from engine.events import Closed
from engine.upkeep import Upkeep
from persistence import purge

HOUR = 3_600
DAY = 24 * HOUR
TTL = 7 * DAY


class Clock:
    """A wall clock, so many seconds ahead."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> int:
        from engine.timestamps import now_us

        return now_us() + round(self.ahead * 1_000_000)


def upkeep_of(engine: Engine, clock: Clock, ttl: float = TTL) -> Upkeep:
    supervisor = engine.supervisor
    sessions = supervisor._sessions
    return Upkeep(sessions, engine.log, sessions.blobs, sessions.space, ttl_seconds=ttl, now=clock.now)


async def asleep(engine: Engine) -> None:
    """Until no session is in use."""
    for actor in list(engine.supervisor._actors):
        actor.retire()
        await actor.ended.wait()


async def names(engine: Engine) -> set[str]:
    return {info.name for info in (await engine.supervisor.sessions(OWNER)).items}


async def test_an_unnamed_session_expires_after_its_last_use(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    report = await engine.run("let n = 1")
    await engine.run("1", session="named")
    await asleep(engine)
    clock = Clock()
    keeper = upkeep_of(engine, clock)
    clock.ahead = TTL - 60
    await keeper.expire()
    assert await names(engine) == {"named", report.session}
    clock.ahead = TTL + 60
    await keeper.expire()
    assert await names(engine) == {"named"}
    with pytest.raises(NotFound):
        await engine.run("n", session=report.session)
    record = await engine.log.execution(report.execution_id)
    assert record is not None
    records = [record async for record in engine.log.read(record.event.session)]
    assert isinstance(records[-1].event, Closed)
    assert records[-1].event.caller == upkeep.EXPIRY
    assert [line for line in caplog.messages if "expired" in line] == ["1 sessions without a name expired"]
    await keeper.expire()
    assert len([line for line in caplog.messages if "expired" in line]) == 1


async def test_with_a_time_to_live_of_0_nothing_expires(engine: Engine) -> None:
    report = await engine.run("1")
    await asleep(engine)
    clock = Clock()
    clock.ahead = 1_000 * DAY
    await upkeep_of(engine, clock, ttl=0).expire()
    assert await names(engine) == {report.session}


async def test_names_that_only_look_like_given_ones_are_kept(engine: Engine) -> None:
    await engine.run("1", session="s_ABCDEFGHIJKLMNOP")
    await asleep(engine)
    clock = Clock()
    clock.ahead = 2 * TTL
    await upkeep_of(engine, clock).expire()
    assert await names(engine) == {"s_ABCDEFGHIJKLMNOP"}


async def test_a_session_in_use_does_not_expire(engine: Engine) -> None:
    running = await engine.supervisor.executions.submit(
        submission("console.log('on'); await new Promise(() => {})")
    )
    await first_line(running)
    awake = await engine.run("1")
    clock = Clock()
    clock.ahead = 2 * TTL
    await upkeep_of(engine, clock).expire()
    assert awake.session in await names(engine)
    running.cancel()
    report = await running.wait(30)
    assert report is not None
    assert report.session is not None
    assert await engine.value("1", session=report.session) == "1"


async def test_a_session_that_is_used_just_before_it_would_be_closed_is_kept(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deletion was asked for, and finds another last event."""
    report = await engine.run("let n = 1")
    await asleep(engine)
    clock = Clock()
    clock.ahead = 2 * TTL
    keeper = upkeep_of(engine, clock)
    found = engine.log.unused

    async def used_meanwhile(*arguments: object, **options: object) -> object:
        page = await found(*arguments, **options)
        await engine.run("n += 1", session=report.session)
        await asleep(engine)
        return page

    monkeypatch.setattr(engine.log, "unused", used_meanwhile)
    await keeper.expire()
    assert await engine.value("n", session=report.session) == "2"


async def test_forks_of_an_expired_session_live_on(engine: Engine) -> None:
    report = await engine.run("let n = 1")
    await engine.run("n = 2", session=report.session)
    await engine.supervisor.requests.fork(OWNER, report.session, at=1, into="fork", caller=CALLER)
    await asleep(engine)
    clock = Clock()
    clock.ahead = TTL + 60
    keeper = upkeep_of(engine, clock)
    await keeper.expire()
    clock.ahead += 2 * HOUR
    await keeper.purge()
    assert await names(engine) == {"fork"}
    assert await engine.value("n", session="fork") == "1"
    assert await engine.log.execution(report.execution_id) is not None


async def test_many_expire_a_few_at_a_time(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "EXPIRED_AT_ONCE", 3)
    for _ in range(8):
        await engine.run("1")
    await asleep(engine)
    clock = Clock()
    clock.ahead = 2 * TTL
    most = 0
    close = Upkeep._close

    async def watched(self: Upkeep, rows: list[object]) -> int:
        nonlocal most
        most = max(most, len(rows))
        return await close(self, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(Upkeep, "_close", watched)
    await upkeep_of(engine, clock).expire()
    assert await names(engine) == set()
    assert most == 3
    assert not engine.supervisor._sessions.owners._counts


@both_stores
async def test_what_a_deleted_session_leaves_can_be_read_for_an_hour_and_no_longer(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    report = await engine.run("40 + 2", session="a", idempotency_key="k")
    await engine.supervisor.requests.delete(OWNER, "a", CALLER)
    clock = Clock()
    keeper = upkeep_of(engine, clock)
    clock.ahead = HOUR - 60
    await keeper.purge()
    assert (await engine.supervisor.executions.find(OWNER, report.execution_id)).done
    again = await engine.supervisor.executions.submit(submission("40 + 2", session="a", idempotency_key="k"))
    assert again.id == report.execution_id
    clock.ahead = HOUR + 60
    await keeper.purge()
    with pytest.raises(NotFound):
        await engine.supervisor.executions.find(OWNER, report.execution_id)
    anew = await engine.run("40 + 2", session="a", idempotency_key="k")
    assert anew.created
    assert anew.execution_id != report.execution_id
    (line,) = [line for line in caplog.messages if "removed (" in line and "event" in line]
    assert line.startswith("3 events of deleted sessions removed")


async def test_who_looked_something_up_of_a_session_that_was_removed_meanwhile_is_told(
    engine: Engine,
) -> None:
    report = await engine.run("1", session="a")
    record = await engine.log.execution(report.execution_id)
    assert record is not None
    await engine.supervisor.requests.delete(OWNER, "a", CALLER)
    clock = Clock()
    clock.ahead = 2 * HOUR
    await upkeep_of(engine, clock).purge()
    catalog = engine.supervisor._sessions.catalog
    with pytest.raises(NotFound, match="was deleted"):
        await catalog.recorded(record)
    with pytest.raises(NotFound, match="was deleted"):
        await catalog.info(record.event.session)


async def test_a_purge_leaves_time_for_others_between_its_steps(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purge, "STEP_EVENTS", 1)
    for _ in range(20):
        await engine.run("1", session="a")
    await engine.supervisor.requests.delete(OWNER, "a", CALLER)
    clock = Clock()
    clock.ahead = 2 * HOUR
    async with trio.open_nursery() as nursery:
        nursery.start_soon(upkeep_of(engine, clock).purge)
        for number in range(5):
            assert await engine.value(f"{number}", session="b") == str(number)
    assert await engine.log.purgeable(clock.now(), limit=1) == []


async def test_what_fails_is_told_and_the_rest_is_done_all_the_same(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    report = await engine.run("1", session="a")
    await engine.supervisor.requests.delete(OWNER, "a", CALLER)
    await engine.run("1")
    await asleep(engine)
    clock = Clock()
    clock.ahead = 2 * TTL
    keeper = upkeep_of(engine, clock)

    async def fails(*_: object, **__: object) -> object:
        await trio.lowlevel.checkpoint()
        raise StoreFailed("the disk is gone")

    monkeypatch.setattr(engine.log, "checkpoint_blobs", fails)
    monkeypatch.setattr(engine.log, "unused", fails)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        while await engine.log.execution(report.execution_id) is not None:
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    told = [line for line in caplog.messages if line.startswith("upkeep of the store")]
    assert told == [f"upkeep of the store: {job} failed: the disk is gone" for job in ("collect", "expire")]


async def test_it_is_done_when_the_server_starts(open_engine: OpenEngine, tmp_path: Path) -> None:
    async with open_engine(tmp_path / "store") as engine:
        report = await engine.run("1")
    async with open_engine(tmp_path / "store", session_ttl_seconds=1e-6) as engine:
        while report.session in await names(engine):
            await trio.testing.wait_all_tasks_blocked()


async def test_a_drain_ends_it(engine: Engine) -> None:
    await engine.supervisor.drain(5)
    assert engine.supervisor._upkept.cancel_called


async def test_what_nobody_needs_is_known_before_it_is_removed(engine: Engine) -> None:
    await engine.run("'x'.repeat(2000)", session="old")
    await engine.run("1", session="kept")
    await asleep(engine)
    await engine.supervisor.requests.delete(OWNER, "old", CALLER)
    blobs = engine.supervisor._sessions.blobs
    await blobs.put(b"nobody's")
    clock = Clock()
    keeper = upkeep_of(engine, clock)
    found = await keeper.survey()
    assert (found.sessions, found.events, found.blobs) == (0, 0, 0)
    assert found.later is not None
    assert (found.later.sessions, found.later.events, found.later.blobs) == (1, 3, 1)
    clock.ahead = HOUR + 60
    found = await keeper.survey()
    assert (found.sessions, found.events, found.blobs) == (1, 3, 0), "its age is that of its file"
    assert found.event_bytes > 2_000
    told: list[upkeep.Garbage] = []

    async def tell(removed: upkeep.Garbage) -> None:
        told.append(removed)

    removed = await keeper.clean(tell, share=1.0)
    assert removed == upkeep.Garbage(sessions=1, events=3, event_bytes=found.event_bytes)
    assert told == [removed]
    assert await names(engine) == {"kept"}
    assert (await keeper.survey()).events == 0
