"""When the store takes as much as it may, only what makes room is stored."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trio
from checkpointing import Checkpoints
from engines import CALLER, OWNER, Engine, OpenEngine, StoreKind, both_stores, stored_blobs, submission
from trio.testing import wait_all_tasks_blocked

from engine import upkeep
from engine.errors import StoreFull
from engine.space import Space
from engine.worker import Worker

MIB = 1 << 20


class Counted:
    """A log or a blob store of which only the size is known."""

    def __init__(self, used_bytes: int) -> None:
        self.used_bytes = used_bytes


def test_what_is_stored_may_not_be_larger_than_the_limit() -> None:
    log, blobs = Counted(60), Counted(30)
    space = Space(log, blobs, 100)  # type: ignore[arg-type]
    assert space.used == 90
    space.check(10)
    with pytest.raises(StoreFull):
        space.check(11)
    space.check()
    blobs.used_bytes = 40
    assert space.is_full
    with pytest.raises(StoreFull, match=r"delete sessions.*--max-store-mb"):
        space.check()


def test_that_it_is_nearly_full_is_told_once_until_there_is_room_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = Counted(0)
    space = Space(log, Counted(0), 100 * MIB)  # type: ignore[arg-type]
    for megabytes, lines in [(89, 0), (90, 1), (95, 1), (85, 1), (91, 1), (79, 1), (90, 2)]:
        log.used_bytes = megabytes * MIB
        space.check()
        assert len(caplog.messages) == lines, megabytes
    assert caplog.messages[0].startswith("the store takes 90 MB of the 100 MB that it may")
    assert caplog.records[0].levelno == logging.WARNING


@pytest.fixture
async def engine(open_engine: OpenEngine, tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine whose store is full: the limit has come down to what it takes."""
    async with open_engine(tmp_path / "store") as engine:
        for name in ("kept", "gone"):
            await engine.run(f"let n = '{'x' * 300_000}'", session=name)
        engine.supervisor._space.limit = engine.supervisor._space.used
        yield engine


REFUSED: dict[str, Callable[[Engine], Awaitable[object]]] = {
    "execution": lambda engine: engine.run("1", session="kept"),
    "new session": lambda engine: engine.run("1"),
    "fork": lambda engine: engine.supervisor.requests.fork(OWNER, "kept", at=None, into=None, caller=CALLER),
    "old fork": lambda engine: engine.supervisor.requests.fork(OWNER, "kept", at=0, into=None, caller=CALLER),
    "label": lambda engine: engine.supervisor.requests.tag(
        OWNER, "kept", at=None, tags={"a": "b"}, caller=CALLER
    ),
    "acceptance": lambda engine: engine.supervisor.requests.accept(OWNER, "kept", CALLER),
}


@pytest.mark.parametrize("ask", REFUSED.values(), ids=REFUSED)
async def test_what_would_be_stored_is_refused(
    engine: Engine, ask: Callable[[Engine], Awaitable[object]]
) -> None:
    with pytest.raises(StoreFull, match="delete sessions"):
        await ask(engine)
    assert engine.supervisor.status()["running"] == 0
    engine.supervisor._space.limit *= 2
    assert await engine.value("n.length", session="kept") == "300000"


async def test_reading_goes_on(engine: Engine) -> None:
    assert [one.name for one in (await engine.supervisor.sessions(OWNER)).items] == ["gone", "kept"]
    (executed,) = (await engine.supervisor.executions.page(OWNER, session="kept")).items
    assert (await engine.supervisor.executions.find(OWNER, executed.execution_id)).done
    assert (await engine.supervisor.requests.state(OWNER, "kept", at=None)).globals
    assert len((await engine.supervisor.events(OWNER, "kept")).items) == 2


async def test_deleting_a_session_makes_room_soon(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The space of what it leaves behind is needed more than that is missed: there is hardly a grace period."""
    monkeypatch.setattr(upkeep, "FULL_GRACE_SECONDS", 0.01)
    used = engine.supervisor._space.used
    gone = (await engine.supervisor.executions.page(OWNER, session="gone")).items[0].execution_id
    await engine.supervisor.requests.delete(OWNER, "gone", CALLER)
    while await engine.log.execution(gone) is not None:
        await wait_all_tasks_blocked()
    while engine.supervisor._space.is_full:
        await wait_all_tasks_blocked()
    assert engine.supervisor._space.used < used
    assert await engine.value("n.length", session="kept") == "300000"


async def test_an_execution_whose_turn_comes_when_it_is_full_is_not_run(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    """It was accepted before; its worker stays as it was."""
    async with open_engine(tmp_path / "store") as engine:
        await engine.run("let n = 1", session="a")
        slow = "await new Promise((r) => setTimeout(r, 30)); console.log('x'.repeat(50000)); n++"
        first = await engine.supervisor.executions.submit(submission(slow, session="a"))
        second = await engine.supervisor.executions.submit(submission("n = 'lost'", session="a"))
        space = engine.supervisor._space
        limit, space.limit = space.limit, space.used + 1
        report = await first.wait(30)
        assert report is not None
        assert report.status == "completed"
        with pytest.raises(StoreFull):
            await second.wait(30)
        (actor,) = engine.supervisor._actors
        assert actor.awake
        space.limit = limit
        assert await engine.value("n", session="a") == "2"


async def test_a_checkpoint_that_there_is_no_room_for_is_declined_with_the_reason(
    open_engine: OpenEngine, tmp_path: Path, store: StoreKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a copy is made, where the last one says how large it will be, or else when it would be stored."""
    copies = []
    copy = Worker.checkpoint

    async def counted(self: Worker) -> object:
        copies.append(self)
        return await copy(self)

    monkeypatch.setattr(Worker, "checkpoint", counted)
    seen = Checkpoints()
    options = {"restore_target_seconds": 0.0, "observers": [seen]}
    async with open_engine(tmp_path / "store", **options) as engine:
        space = engine.supervisor._space
        limit, space.limit = space.limit, space.used + 80_000  # of which an event takes little
        await engine.run("let n = Array.from({ length: 20000 }, Math.random)", session="a")
        first = await seen.wait(lambda made: made.seq == 1)
        assert "--max-store-mb" in (first.declined or "")
        assert len(copies) == 1
        assert [*stored_blobs(tmp_path / "store", store)] == []
        space.limit = limit
        await engine.run("n.length", session="a")
        kept = await seen.of(2)
        await engine.run("n.length", session="a")
        await seen.of(3)
        space.limit = space.used + kept.size // 2
        copies.clear()
        assert await engine.value("n.length", session="a") == "20000"
        assert "--max-store-mb" in str((await seen.wait(lambda made: made.seq == 4)).declined)
        assert not copies
        assert (await engine.supervisor.session(OWNER, "a")).checkpoint_declined is not None


@both_stores
async def test_a_full_store_is_full_after_a_restart(
    open_engine: OpenEngine, tmp_path: Path, store: StoreKind
) -> None:
    """Blobs are counted then, which takes a moment."""
    seen = Checkpoints()
    options = {"restore_target_seconds": 0.0, "observers": [seen]}
    async with open_engine(tmp_path / "store", **options) as engine:
        await engine.run("let n = Array.from({ length: 20000 }, Math.random)", session="a")
        await seen.of(1)
        used = engine.supervisor._space.used
    blobs = sum(map(len, stored_blobs(tmp_path / "store", store).values()))
    assert 20_000 < blobs < used
    async with open_engine(tmp_path / "store", max_store_bytes=used - 8_192) as engine:
        with trio.fail_after(20):
            while not engine.supervisor._space.is_full:
                await wait_all_tasks_blocked()
        with pytest.raises(StoreFull):
            await engine.run("1")
