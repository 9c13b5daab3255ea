"""Wherever the upkeep of a store is cancelled, the log is whole, and the next one does the rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from itertools import count
from pathlib import Path

import pytest
import trio
from engines import CALLER, OWNER, Engine, OpenEngine
from test_cancellation import ADD, MOSTLY_GOING_ON, CancelAt, settled

from engine.history import history
from engine.sessions import Sessions
from engine.timestamps import now_us
from engine.upkeep import Upkeep
from persistence import purge

DAY = 24 * 3_600


def upkeep_of(engine: Engine) -> Upkeep:
    """A month later."""
    sessions = engine.supervisor._sessions
    return Upkeep(
        sessions,
        engine.log,
        sessions.blobs,
        sessions.space,
        ttl_seconds=7 * DAY,
        now=lambda: now_us() + 30 * DAY * 1_000_000,
    )


async def a_session_with_a_fork_and_some_without_a_name(engine: Engine, name: str) -> set[int]:
    """The named one is deleted; the numbers of the fork's events."""
    for _ in range(4):
        await engine.run(ADD, session=name)
    await engine.supervisor.requests.fork(OWNER, name, at=2, into=f"fork-of-{name}", caller=CALLER)
    for _ in range(2):
        await engine.run(ADD)
    await engine.supervisor.requests.delete(OWNER, name, CALLER)
    await settled(engine)
    return set(range(4))


async def expire(engine: Engine) -> None:
    await upkeep_of(engine).expire()


async def remove(engine: Engine) -> None:
    await upkeep_of(engine).purge()


async def all_of_it(engine: Engine) -> None:
    keeper = upkeep_of(engine)
    for job in (keeper.collect, keeper.expire, keeper.purge):
        await job()


@MOSTLY_GOING_ON
@pytest.mark.parametrize("job", [expire, remove, all_of_it])
async def test_upkeep_may_be_cancelled_at_any_step(
    open_engine: OpenEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    job: Callable[[Engine], Awaitable[None]],
    waiting: bool,
) -> None:
    monkeypatch.setattr(purge, "STEP_EVENTS", 2)
    cancel = CancelAt(waiting=waiting)
    async with open_engine(tmp_path, restore_target_seconds=3_600.0) as engine:
        trio.lowlevel.add_instrument(cancel)
        for step in count(1):
            name = f"s{step}"
            expected = await a_session_with_a_fork_and_some_without_a_name(engine, name)
            cancel.arm(step)
            await cancel.watched(job)(engine)
            over = cancel.was_too_late
            cancel.arm(0)
            await settled(engine)
            fork = await engine.log.session_named(OWNER, f"fork-of-{name}")
            assert fork is not None
            async with aclosing(history(engine.log, fork.session, fork.head_seq)) as records:
                assert {record.event.seq async for record in records} == expected
            assert await engine.value("n", session=fork.name) == "2"
            await settled(engine)
            await all_of_it(engine)
            await settled(engine)
            left = {info.name for info in (await engine.supervisor.sessions(OWNER)).items}
            assert left == {f"fork-of-s{number}" for number in range(1, step + 1)}
            assert await engine.log.purgeable(1 << 60, limit=1) == []
            if over:
                break
        trio.lowlevel.remove_instrument(cancel)
        assert step > 2


@MOSTLY_GOING_ON
async def test_an_expiring_session_s_own_task_may_be_cancelled_at_any_step(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: bool
) -> None:
    cancel = CancelAt(waiting=waiting)
    monkeypatch.setattr(Sessions, "_run", cancel.watched(Sessions._run))
    async with open_engine(tmp_path, restore_target_seconds=3_600.0) as engine:
        trio.lowlevel.add_instrument(cancel)
        for step in count(1):
            report = await engine.run(ADD)
            await settled(engine)
            cancel.arm(step)
            await upkeep_of(engine).run_once()
            over = cancel.was_too_late
            cancel.arm(0)
            await settled(engine)
            await upkeep_of(engine).run_once()
            await settled(engine)
            assert (await engine.supervisor.sessions(OWNER)).items == ()
            assert await engine.log.execution(report.execution_id) is None
            if over:
                break
        trio.lowlevel.remove_instrument(cancel)
        assert step > 1
