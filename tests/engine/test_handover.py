"""A session that comes from another node goes on in a worker that was made ready for it before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing
from engines import CALLER, OWNER, Engine, OpenEngine, append_altered

from engine import debt
from engine.checkpointer import Made
from engine.commands import Change
from engine.execution import Execution
from engine.recovery import Recovered
from engine.replay import Diverged


class Recoveries:
    """Counts what was restored, by session."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def executed(self, execution: Execution) -> None:
        pass

    def changed(self, change: Change) -> None:
        pass

    def checkpointed(self, made: Made) -> None:
        pass

    def recovered(self, recovered: Recovered) -> None:
        self.names.append(recovered.name)


async def ended(engine: Engine) -> None:
    """The session x is not used here any more."""
    actor = engine.supervisor._sessions.actor(OWNER, "x")
    engine.supervisor.peers.lose(OWNER, "x")
    if actor is not None:
        await actor.ended.wait()


@asynccontextmanager
async def elsewhere(engine: Engine) -> AsyncIterator[None]:
    """What is done with the session x in the block, another node does: it knows nothing of the worker here."""
    ready = engine.supervisor._sessions.ready.pop((OWNER, "x"))
    yield
    await ended(engine)
    engine.supervisor._sessions.ready[OWNER, "x"] = ready


async def test_it_goes_on_after_what_was_recorded_since_and_nothing_is_restored_again(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    recoveries = Recoveries()
    async with open_engine(tmp_path, observers=[recoveries]) as engine:
        await engine.run("let n = 1", session="x")
        await ended(engine)
        async with engine.supervisor.handing.ready(OWNER, "x"):
            (ready,) = engine.supervisor._sessions.ready.values()
            async with elsewhere(engine):
                assert await engine.value("++n", session="x") == "2"
                assert (await engine.run("throw ++n", session="x")).status == "failed"
            restored = len(recoveries.names)
            assert await engine.value("++n", session="x") == "4"
            assert len(recoveries.names) == restored
            assert ready.worker.running()
        assert await engine.value("++n", session="x") == "5"  # it is the session's now
        assert ready.worker.running()
        assert len(recoveries.names) == restored


async def test_it_waits_for_the_session_and_is_given_back_if_that_does_not_come(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    async with open_engine(tmp_path) as engine:
        await engine.run("let n = 1", session="x")
        await ended(engine)
        places = engine.supervisor.places
        before = places.taken
        async with engine.supervisor.handing.ready(OWNER, "x"):
            assert places.taken == before + 1
        assert places.taken == before
        async with engine.supervisor.handing.ready(OWNER, "x"):
            await engine.supervisor.handing.take(OWNER, "x")
            await trio.testing.wait_all_tasks_blocked()
            assert engine.supervisor.handing.is_awake(OWNER, "x")
        assert places.taken == before + 1
        assert await engine.value("n", session="x") == "1"
        assert places.taken == before + 1
        async with engine.supervisor.handing.ready(OWNER, "nobody's"):
            assert places.taken == before + 1


async def test_it_is_not_used_for_another_session_of_that_name(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    async with open_engine(tmp_path) as engine:
        await engine.run("let n = 1", session="x")
        await ended(engine)
        async with engine.supervisor.handing.ready(OWNER, "x"):
            async with elsewhere(engine):
                await engine.supervisor.requests.delete(OWNER, "x", CALLER)
                await engine.run("let m = 5", session="x")
            assert await engine.value("[typeof n, m].join()", session="x") == "'undefined,5'"
        async with engine.supervisor.handing.ready(OWNER, "x"):
            pass
        await ended(engine)
        async with engine.supervisor.handing.ready(OWNER, "x"):
            async with elsewhere(engine):
                await engine.supervisor.requests.delete(OWNER, "x", CALLER)
            assert await engine.value("typeof m", session="x") == "'undefined'"


async def test_what_it_cannot_replay_is_found_out_as_ever(open_engine: OpenEngine, tmp_path: Path) -> None:
    async with open_engine(tmp_path) as engine:
        await engine.run("let n = 7", session="x")
        await ended(engine)
        async with engine.supervisor.handing.ready(OWNER, "x"):
            await append_altered(engine, "x", "n + 1", result="9")
            with pytest.raises(Diverged, match="expected '9', got '8'"):
                await engine.run("n", session="x")


async def test_no_checkpoint_is_made_of_a_worker_that_is_behind(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debt, "COST_US", 1)
    async with open_engine(tmp_path, restore_target_seconds=1_000.0) as engine:
        assert engine.log is not None
        await engine.run("let n = 1", session="x")
        await ended(engine)
        async with engine.supervisor.handing.ready(OWNER, "x"):
            async with elsewhere(engine):
                await engine.run("++n", session="x")
            await engine.supervisor.handing.take(OWNER, "x")
            actor = engine.supervisor._sessions.actor(OWNER, "x")
            assert actor is not None
            await trio.testing.wait_all_tasks_blocked()
            assert actor.awake
            actor.retire()
            await actor.ended.wait()
        row = await engine.log.session_named(OWNER, "x")
        assert row is not None
        assert await engine.log.checkpoints(row.session) == []
        assert await engine.value("n", session="x") == "2"
