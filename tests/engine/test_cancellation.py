"""Whatever task is cancelled, at whichever step, log, registry and processes are left consistent."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
from engines import CALLER, OWNER, Engine, submission
from sampling import each

from engine import debt
from engine.checkpointer import Checkpointer
from engine.errors import Conflict, EngineError, Unavailable
from engine.events import Executed
from engine.history import history
from engine.sessions import Sessions

T = TypeVar("T")
SPARES = 2
ADD = "globalThis.n = (globalThis.n ?? 0) + 1"


class CancelAt(trio.abc.Instrument):
    """Cancels the tasks that it watches at the ``step``-th time that one of them is about to go on after it
    waited; with ``waiting``, that it waits.
    """

    def __init__(self, *, waiting: bool = False) -> None:
        self._waiting = waiting
        self.step = 0
        """0: never."""
        self.taken = 0
        self._scopes: set[trio.CancelScope] = set()
        self._tasks: set[trio.lowlevel.Task] = set()

    def watched(self, original: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T | None]]:
        """The same, whose task is watched meanwhile; it returns None where it was cancelled."""

        async def run(*arguments: Any) -> T | None:
            with trio.CancelScope() as scope:
                self._scopes.add(scope)
                self._tasks.add(trio.lowlevel.current_task())
                try:
                    return await original(*arguments)
                finally:
                    self._scopes.discard(scope)
                    self._tasks.discard(trio.lowlevel.current_task())
            return None

        return run

    def arm(self, step: int) -> None:
        """Count from now on."""
        self.step, self.taken = step, 0

    @property
    def was_too_late(self) -> bool:
        """Whether all was over before it came to that step."""
        return self.taken < self.step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Some task is about to go on."""
        if not self._waiting:
            self._count(task)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Some task waits."""
        if self._waiting:
            self._count(task)

    def _count(self, task: trio.lowlevel.Task) -> None:
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


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def settled(engine: Engine, most_descriptors: int = sys.maxsize) -> None:
    """Until no session is in use and no checkpoint is made; then nothing may be left."""
    supervisor = engine.supervisor
    with trio.fail_after(20):
        while (
            supervisor.status()["running"]
            or supervisor._admission.requests
            or any(not actor.idle for actor in supervisor._actors)  # with what the server itself asks
        ):
            await trio.lowlevel.checkpoint()  # what goes on though nobody waits for it
        for actor in list(supervisor._actors):
            actor.retire()
            if actor.awake:
                await actor.ended.wait()
        await supervisor._checkpointer.idle()
        ready = supervisor._workers._handed_out
        while (
            supervisor.places.taken
            or not SPARES == supervisor.status()["workers"] == len(engine.worker_pids())
            or ready.statistics().current_buffer_used != SPARES  # else they have not all their descriptors
        ):
            await trio.lowlevel.checkpoint()
        while descriptors() > most_descriptors:  # those of workers are closed a moment after their ends
            await trio.lowlevel.checkpoint()
    assert supervisor.status()["running"] == 0
    assert supervisor._admission.executions == {}
    assert supervisor._admission.requests == set()
    assert supervisor._admission.held_bytes == 0
    assert supervisor.executions._keys._executions == {}
    assert supervisor.executions._keys._lookups == {}
    assert supervisor.past._looks.taken == supervisor.past._walks.taken == 0
    assert supervisor._checkpointer._slots.are_free
    assert supervisor._registry.owners._counts == await engine.log.open_sessions()
    assert supervisor.scheduler._works == {}


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
    await engine.supervisor.requests.fork(OWNER, session, at=None, into=into, caller=CALLER)
    assert await engine.value("n", session=into) == "3"


async def add_under_a_key(engine: Engine, session: str) -> str:
    """Run code under an idempotency key; its execution id."""
    return (await engine.run(ADD, session=session, idempotency_key=session)).execution_id


async def fork_the_past(engine: Engine, session: str) -> None:
    """Begin another session in a state of this one that has gone by, and see that it is."""
    into = f"fork-of-{session}"
    await engine.supervisor.requests.fork(OWNER, session, at=2, into=into, caller=CALLER)
    assert await engine.value("n", session=into) == "2"


async def tag(engine: Engine, session: str) -> None:
    """Label the state."""
    await engine.supervisor.requests.tag(OWNER, session, at=None, tags={"k": "v"}, caller=CALLER)


async def look(engine: Engine, session: str) -> None:
    """See the variables, now and in the past."""
    for at in (None, 1):
        await engine.supervisor.requests.state(OWNER, session, at=at)


async def delete(engine: Engine, session: str) -> None:
    """End the session."""
    await engine.supervisor.requests.delete(OWNER, session, CALLER)


async def stop_a_loop(engine: Engine, session: str) -> None:
    """Run code without end, and cancel it."""
    execution = await engine.supervisor.executions.submit(
        submission("for (;;);", session=session, time_ms=2_000)
    )
    await engine.supervisor.executions.cancel(OWNER, execution.id)
    report = await execution.wait(20)
    assert report is not None
    assert report.status == "cancelled"


async def step_by_step(
    engine: Engine, cancel: CancelAt, prepare: Act, act: Act, check: Act | None = None
) -> int:
    """Let ``act`` be cancelled at its first step, its second and so on in a session each, until it is not.

    How many steps that took.
    """
    trio.lowlevel.add_instrument(cancel)
    await add(engine, "first")
    await settled(engine)
    level = descriptors()
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
        await settled(engine)
        over = cancel.was_too_late
        cancel.arm(0)
        executions = await recorded(engine, session)
        if isinstance(acknowledged, str):
            assert executions[-1].execution_id == acknowledged
        if check is not None:
            await check(engine, session)
            executions = await recorded(engine, session)
        assert await engine.value(ADD, session=session) == str(len(executions) + 1)
        await settled(engine, level)
        if over:
            break
    trio.lowlevel.remove_instrument(cancel)
    return step


WAITING = pytest.mark.parametrize("waiting", [False, True], ids=["going on", "waiting"])
MOSTLY_GOING_ON = pytest.mark.parametrize(
    "waiting",
    [pytest.param(False, id="going on"), pytest.param(True, id="waiting", marks=pytest.mark.torture)],
)
MOSTLY_WAITING = pytest.mark.parametrize(
    "waiting",
    [pytest.param(False, id="going on", marks=pytest.mark.torture), pytest.param(True, id="waiting")],
)


@MOSTLY_GOING_ON
@pytest.mark.parametrize(
    ("prepare", "act", "target", "least"),
    each(
        2,
        [
            pytest.param(nothing, add, 3_600.0, 2, id="the first execution of a session"),
            pytest.param(add, add, 3_600.0, 2, id="an execution of a live session"),
            pytest.param(add, add, 0.0, 2, id="an execution and the checkpoint after it"),
            pytest.param(add_three_times_and_sleep, add, 3_600.0, 6, id="a replay and an execution"),
            pytest.param(
                add_three_times_and_sleep, add, 0.0, 5, id="waking from a checkpoint, and an execution"
            ),
            pytest.param(add, retire, 3_600.0, 1, id="going to sleep with a checkpoint"),
            pytest.param(add_three_times_and_sleep, fork, 3_600.0, 5, id="a fork and its first execution"),
            pytest.param(add, delete, 3_600.0, 1, id="a deletion"),
        ],
    ),
)
async def test_a_session_is_consistent_wherever_its_task_is_cancelled(
    open_engine, tmp_path, monkeypatch, prepare: Act, act: Act, target: float, least: int, waiting: bool
):
    monkeypatch.setattr(debt, "COST_US", 1)
    cancel = CancelAt(waiting=waiting)
    monkeypatch.setattr(Sessions, "_run", cancel.watched(Sessions._run))
    async with open_engine(tmp_path, restore_target_seconds=target) as engine:
        assert await step_by_step(engine, cancel, prepare, act) > least


@MOSTLY_WAITING
@pytest.mark.parametrize(
    ("prepare", "act", "check"),
    each(
        2,
        [
            pytest.param(nothing, add, None, id="an execution"),
            pytest.param(add, add_under_a_key, add_under_a_key, id="an execution under a key, and again"),
            pytest.param(add_three_times_and_sleep, fork, None, id="a fork"),
            pytest.param(add_three_times_and_sleep, fork_the_past, None, id="a fork of the past"),
            pytest.param(add, tag, tag, id="a label"),
            pytest.param(add, delete, None, id="a deletion"),
            pytest.param(add_three_times_and_sleep, look, look, id="a look at now and at the past"),
            pytest.param(add, stop_a_loop, None, id="an execution and its end by a cancel"),
        ],
    ),
)
async def test_a_session_is_consistent_wherever_a_client_gives_up(
    open_engine, tmp_path, prepare: Act, act: Act, check: Act | None, waiting: bool
):
    cancel = CancelAt(waiting=waiting)
    async with open_engine(tmp_path, restore_target_seconds=3_600.0) as engine:
        assert await step_by_step(engine, cancel, prepare, cancel.watched(act), check) > 1


@WAITING
async def test_a_key_stands_for_one_execution_wherever_the_client_gave_up(open_engine, tmp_path, waiting):
    cancel = CancelAt(waiting=waiting)

    async def once(engine: Engine, session: str) -> None:
        assert len(await recorded(engine, session)) == 1
        execution_id = await add_under_a_key(engine, session)
        assert [event.execution_id for event in await recorded(engine, session)] == [execution_id]

    async def give_up_and_insist(engine: Engine, session: str) -> str:
        await cancel.watched(add_under_a_key)(engine, session)
        return await add_under_a_key(engine, session)

    async with open_engine(tmp_path, restore_target_seconds=3_600.0) as engine:
        assert await step_by_step(engine, cancel, nothing, give_up_and_insist, once) > 2


@WAITING
async def test_a_checkpoint_may_be_cancelled_at_any_step_of_its_making(
    open_engine, tmp_path, monkeypatch, waiting
):
    cancel = CancelAt(waiting=waiting)
    monkeypatch.setattr(Checkpointer, "_finish", cancel.watched(Checkpointer._finish))

    async def add_and_wait(engine: Engine, session: str) -> str:
        execution_id = await add(engine, session)
        await settled(engine)
        return execution_id

    async with open_engine(tmp_path, restore_target_seconds=0.0) as engine:
        assert await step_by_step(engine, cancel, nothing, add_and_wait) > 10


@MOSTLY_GOING_ON
async def test_a_drain_that_is_cancelled_at_any_step_can_be_drained_again(
    open_engine, tmp_path, monkeypatch, waiting
):
    monkeypatch.setattr(debt, "COST_US", 1)
    cancel = CancelAt(waiting=waiting)
    for step in count(1):
        async with open_engine(tmp_path / str(step), restore_target_seconds=3_600.0) as engine:
            trio.lowlevel.add_instrument(cancel)
            await add(engine, "a")
            running = await engine.supervisor.executions.submit(submission(ADD, session="b"))
            cancel.arm(step)
            await cancel.watched(engine.supervisor.drain)(20)
            over = cancel.was_too_late
            cancel.arm(0)
            await engine.supervisor.drain(20)
            assert running.report is not None
            assert running.report.status == "completed"
            await settled(engine)
            trio.lowlevel.remove_instrument(cancel)
        async with open_engine(tmp_path / str(step)) as engine:
            for name in "ab":
                assert len(await recorded(engine, name)) == 1
                assert await engine.value("n", session=name) == "1"
        if over:
            break
    assert step > 2


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
