"""How many sessions an owner may have, and that nothing is miscounted whatever becomes of one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trio
from engines import CALLER, OWNER, Engine, OpenEngine, both_stores, submission

from engine.errors import Conflict, StoreFailed, TooManySessions
from engine.limits import LimitPolicy

MOST = 3
POLICY = LimitPolicy(max_owner_sessions=MOST)


@pytest.fixture
async def engine(open_engine: OpenEngine, tmp_path: Path) -> AsyncIterator[Engine]:
    async with open_engine(tmp_path / "store", policy=POLICY) as engine:
        yield engine


async def fill(engine: Engine, count: int = MOST) -> None:
    for number in range(count):
        await engine.run("let n = 1", session=f"s{number}")


async def fork(engine: Engine, at: int | None = None, into: str | None = None) -> object:
    return await engine.supervisor.requests.fork(OWNER, "s0", at=at, into=into, caller=CALLER)


BEGINNINGS: list[Callable[[Engine], Awaitable[object]]] = [
    lambda engine: engine.run("1"),
    lambda engine: engine.run("1", session="another"),
    lambda engine: engine.run("1", session="s0", at=0),
    fork,
    lambda engine: fork(engine, at=1),
    lambda engine: fork(engine, into="named"),
]
IDS = ["no name", "a new name", "name@n", "fork", "fork of the past", "named fork"]


@pytest.mark.parametrize("begin", BEGINNINGS, ids=IDS)
async def test_one_session_more_is_refused_until_one_is_deleted(
    engine: Engine, begin: Callable[[Engine], Awaitable[object]]
) -> None:
    await fill(engine)
    with pytest.raises(TooManySessions, match=r"you have 3 sessions.*delete some"):
        await begin(engine)
    assert await engine.value("n", session="s0") == "1"
    await engine.supervisor.requests.delete(OWNER, "s2", CALLER)
    await begin(engine)
    with pytest.raises(TooManySessions):
        await engine.run("1")
    assert len((await engine.supervisor.sessions(OWNER)).items) == MOST


async def test_other_owners_have_their_own(engine: Engine) -> None:
    await fill(engine)
    await engine.run("1", owner="somebody else")


async def test_of_those_that_are_made_at_once_as_many_as_may_be_are(engine: Engine) -> None:
    came: list[object] = []

    async def begin(number: int) -> None:
        try:
            came.append((await engine.run("1", session=f"s{number}")).status)
        except TooManySessions:
            came.append(None)

    async with trio.open_nursery() as nursery:
        for number in range(4 * MOST):
            nursery.start_soon(begin, number)
    assert sorted(map(str, came)) == ["None"] * 3 * MOST + ["completed"] * MOST


async def test_what_waits_behind_a_deletion_begins_a_session_that_counts(engine: Engine) -> None:
    await fill(engine, MOST)
    slow = await engine.supervisor.executions.submit(
        submission("await new Promise((r) => setTimeout(r, 50))", session="s0")
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(engine.supervisor.requests.delete, OWNER, "s0", CALLER)
        await trio.testing.wait_all_tasks_blocked()
        again = await engine.supervisor.executions.submit(submission("typeof n", session="s0"))
    assert (await slow.wait(30)) is not None
    report = await again.wait(30)
    assert report is not None
    assert (report.created, report.result) == (True, "'undefined'")
    with pytest.raises(TooManySessions):
        await engine.run("1")


async def test_what_does_not_become_a_session_does_not_count(engine: Engine) -> None:
    await fill(engine, MOST - 1)
    for _ in range(2 * MOST):
        with pytest.raises(Conflict):
            await fork(engine, into="s1")
    came: list[bool] = []

    async def begin() -> None:
        try:
            await fork(engine, into="twice")
        except (Conflict, TooManySessions):
            came.append(False)
        else:
            came.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(begin)
        nursery.start_soon(begin)
    assert sorted(came) == [False, True]
    assert len((await engine.supervisor.sessions(OWNER)).items) == MOST
    await engine.supervisor.requests.delete(OWNER, "twice", CALLER)
    await engine.run("1", session="last")


async def test_an_execution_that_could_not_be_recorded_leaves_no_count(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_: object) -> None:
        await trio.lowlevel.checkpoint()
        raise StoreFailed("no")

    with monkeypatch.context() as patched:
        patched.setattr(engine.log, "append", fails)
        for _ in range(2 * MOST):
            with pytest.raises(StoreFailed):
                await engine.run("1")
    await fill(engine)


@both_stores
async def test_sessions_are_counted_again_after_a_restart(open_engine: OpenEngine, tmp_path: Path) -> None:
    async with open_engine(tmp_path / "store", policy=POLICY) as engine:
        await fill(engine)
        await engine.supervisor.requests.delete(OWNER, "s1", CALLER)
    async with open_engine(tmp_path / "store", policy=POLICY) as engine:
        await engine.run("1")
        with pytest.raises(TooManySessions):
            await engine.run("1")
