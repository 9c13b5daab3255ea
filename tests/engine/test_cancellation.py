"""A session's task that is cancelled, at whichever step, leaves log, registry and processes consistent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from itertools import count

import pytest
import trio
from engines import CALLER, OWNER, Engine

from engine import debt
from engine.errors import Conflict, EngineError, Unavailable
from engine.events import Executed
from engine.history import history
from engine.sessions import Sessions

SPARES = 2
ADD = "globalThis.n = (globalThis.n ?? 0) + 1"


class CancelAt(trio.abc.Instrument):
    """Cancels the tasks of actors at the ``step``-th time that one of them is about to go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.step = 0
        """0: never."""
        self.taken = 0
        self._scopes: set[trio.CancelScope] = set()
        self._tasks: set[trio.lowlevel.Task] = set()
        original = Sessions._run

        async def run(sessions, actor):
            with trio.CancelScope() as scope:
                self._scopes.add(scope)
                self._tasks.add(trio.lowlevel.current_task())
                try:
                    await original(sessions, actor)
                finally:
                    self._scopes.discard(scope)
                    self._tasks.discard(trio.lowlevel.current_task())

        monkeypatch.setattr(Sessions, "_run", run)

    def arm(self, step: int) -> None:
        """Count from now on."""
        self.step, self.taken = step, 0

    @property
    def was_too_late(self) -> bool:
        """Whether all was over before it came to that step."""
        return self.taken < self.step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """One more step of some task."""
        if self.step and task in self._tasks:
            self.taken += 1
            if self.taken == self.step:
                for scope in list(self._scopes):
                    scope.cancel()


async def recorded(engine: Engine, session: str) -> list[Executed]:
    """The executions of a session, from a log whose chain is verified on the way."""
    row = await engine.log.session_named(OWNER, session)
    if row is None:
        return []
    async with aclosing(history(engine.log, row.session, row.head_seq)) as records:
        return [record.event async for record in records if isinstance(record.event, Executed)]


async def settled(engine: Engine) -> None:
    """Until no session is in use and no checkpoint is made; then nothing may be left."""
    supervisor = engine.supervisor
    with trio.fail_after(20):
        for actor in list(supervisor._actors):
            actor.retire()
            if actor.awake:
                await actor.ended.wait()
        await supervisor._checkpointer.idle()
        while supervisor.places.taken or supervisor.status()["workers"] > SPARES:
            await trio.lowlevel.checkpoint()
    assert supervisor.status()["running"] == 0
    assert supervisor._requests == set()
    assert supervisor._held_bytes == 0
    assert supervisor._checkpointer._slots.borrowed_tokens == 0
    assert supervisor._registry.turns._limiter.borrowed_tokens == 0


Act = Callable[[Engine, str], Awaitable[object]]


async def add(engine: Engine, session: str) -> str:
    """Run code; its execution id."""
    return (await engine.run(ADD, session=session)).execution_id


async def add_three_times_and_sleep(engine: Engine, session: str) -> None:
    for _ in range(3):
        await add(engine, session)
    await settled(engine)


async def nothing(engine: Engine, session: str) -> None:
    """Not even a session."""


async def retire(engine: Engine, session: str) -> None:
    """Let the session sleep."""
    (actor,) = [actor for actor in engine.supervisor._actors if actor.name == session]
    actor.retire()
    await actor.ended.wait()


async def fork(engine: Engine, session: str) -> None:
    """Begin another session in the state of this one, and see that it is."""
    into = f"fork-of-{session}"
    await engine.supervisor.fork(OWNER, session, at=None, into=into, caller=CALLER)
    assert await engine.value("n", session=into) == "3"


@pytest.mark.parametrize(
    ("prepare", "act", "target", "least"),
    [
        pytest.param(nothing, add, 3_600.0, 2, id="the first execution of a session"),
        pytest.param(add, add, 3_600.0, 2, id="an execution of a live session"),
        pytest.param(add, add, 0.0, 2, id="an execution and the checkpoint after it"),
        pytest.param(add_three_times_and_sleep, add, 3_600.0, 6, id="a replay and an execution"),
        pytest.param(add_three_times_and_sleep, add, 0.0, 5, id="waking from a checkpoint, and an execution"),
        pytest.param(add, retire, 3_600.0, 1, id="going to sleep with a checkpoint"),
        pytest.param(add_three_times_and_sleep, fork, 3_600.0, 5, id="a fork and its first execution"),
    ],
)
async def test_a_session_is_consistent_wherever_its_task_is_cancelled(
    open_engine, tmp_path, monkeypatch, prepare: Act, act: Act, target: float, least: int
):
    monkeypatch.setattr(debt, "COST_US", 1)
    cancel = CancelAt(monkeypatch)
    async with open_engine(tmp_path, restore_target_seconds=target) as engine:
        trio.lowlevel.add_instrument(cancel)
        for step in count(1):
            session = f"s{step}"
            await prepare(engine, session)
            cancel.arm(step)
            acknowledged = None
            try:
                with trio.fail_after(20):
                    acknowledged = await act(engine, session)
            except (Unavailable, Conflict):
                if cancel.was_too_late:
                    raise
            over = cancel.was_too_late
            cancel.arm(0)
            await settled(engine)
            executions = await recorded(engine, session)
            if isinstance(acknowledged, str):
                assert executions[-1].execution_id == acknowledged
            assert await engine.value(ADD, session=session) == str(len(executions) + 1)
            await settled(engine)
            if over:
                break
        trio.lowlevel.remove_instrument(cancel)
    assert step > least


async def test_the_whole_engine_may_be_cancelled_with_all_that_it_is_doing(open_engine, tmp_path):
    acknowledged = dict.fromkeys("abc", 0)
    turns = 3
    for turn in range(turns):
        with trio.CancelScope() as scope:
            async with open_engine(tmp_path, max_workers=2, restore_target_seconds=0.0) as engine:

                async def work(name: str, engine: Engine = engine) -> None:
                    while True:
                        try:
                            await add(engine, name)
                        except EngineError:
                            return
                        acknowledged[name] += 1

                async with trio.open_nursery() as nursery:
                    for name in acknowledged:
                        nursery.start_soon(work, name)
                    while min(acknowledged.values()) <= 2 * turn:
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
    async with open_engine(tmp_path) as engine:
        for name, least in acknowledged.items():
            executions = await recorded(engine, name)
            assert least <= len(executions) <= least + turns
            assert await engine.value("n", session=name) == str(len(executions))
