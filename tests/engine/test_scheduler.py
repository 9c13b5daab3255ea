"""Workers are stopped and go on as their shares of the processors say, and none is left stopped.

In virtual time, which a test has that takes ``autojump_clock`` itself.
"""

# ruff: noqa: ARG001

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
import trio.testing

from engine.fairshare import TICK
from engine.scheduler import Scheduler, Work

OWNER, BUSY = "honest", "busy"
STEP = 0.001


class Clockwork:
    """Stands for a worker; its process uses ``rate`` of a processor by Trio's clock, while it is not stopped."""

    def __init__(self, rate: float = 1.0) -> None:
        self.rate = rate
        self.stopped = False
        self.dead = False
        self.reads = 0
        self._used = 0.0
        self._since = trio.current_time()

    @property
    def used(self) -> float:
        """CPU time, in seconds."""
        self._pass()
        return self._used

    async def use(self, seconds: float) -> None:
        """Until it has used so much more."""
        until = self.used + seconds
        while self.used < until:  # noqa: ASYNC110 (time is virtual)
            await trio.sleep(STEP)

    def cpu_ns(self) -> int | None:
        self.reads += 1
        return None if self.dead else round(self.used * 1e9)

    clock_ns = cpu_ns

    def waited_ns(self) -> int | None:
        return 1

    def pause(self) -> None:
        self._pass()
        self.stopped = True

    def resume(self) -> None:
        self._pass()
        self.stopped = False

    def _pass(self) -> None:
        now = trio.current_time()
        if not self.stopped:
            self._used += (now - self._since) * self.rate
        self._since = now


@pytest.fixture
async def scheduler(nursery: trio.Nursery) -> Scheduler:
    """Of one processor."""
    scheduler = Scheduler(1)
    nursery.start_soon(scheduler.serve)
    return scheduler


async def compute(work: Work, worker: Any, seconds: float, **limits: float) -> bool:
    """Use so much CPU time; whether that was within the limits."""
    limit = limits.pop("limit", math.inf)
    with work, trio.move_on_after(limit) as scope, work.on(worker, scope, may_wait=True, **limits):
        await worker.use(seconds)
    assert not worker.stopped
    return not scope.cancelled_caught


async def test_work_that_was_held_has_its_time_all_the_same(
    scheduler: Scheduler, autojump_clock: trio.testing.MockClock
) -> None:
    in_time = []

    async def one(number: int) -> None:
        work = scheduler.work("execution", BUSY, str(number))
        began = trio.current_time()
        in_time.append(await compute(work, Clockwork(), 1.0, limit=1.1))
        took = trio.current_time() - began
        assert work.cpu_seconds == pytest.approx(1.0, abs=0.01)
        assert work.cpu_seconds + work.held_seconds == pytest.approx(took, abs=0.01)
        if number:
            assert work.held_seconds > 1

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(one, number)
    assert in_time == [True] * 8


async def test_the_time_limit_ends_work_that_was_held_after_the_time_that_it_ran(
    scheduler: Scheduler,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(ends_at_its_limit, scheduler, number)


async def ends_at_its_limit(scheduler: Scheduler, number: int) -> None:
    worker = Clockwork()
    work = scheduler.work("execution", BUSY, str(number))
    assert not await compute(work, worker, math.inf, limit=1.0)
    assert not work.has_used_up
    assert work.cpu_seconds == pytest.approx(1.0, abs=0.01)


async def test_work_ends_when_its_cpu_time_is_used_up_held_or_not(
    scheduler: Scheduler, autojump_clock: trio.testing.MockClock
) -> None:
    async def one(number: int) -> None:
        work = scheduler.work("execution", BUSY, str(number))
        assert not await compute(work, Clockwork(), math.inf, cpu_seconds=0.5)
        assert work.has_used_up
        assert work.cpu_seconds == pytest.approx(0.5, abs=0.01)

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(one, number)


@pytest.mark.parametrize("limit", [0.004, 0.03, 0.3])
async def test_a_limit_on_cpu_time_is_kept_however_small_it_is(
    scheduler: Scheduler, autojump_clock: trio.testing.MockClock, limit: float
) -> None:
    work = scheduler.work("execution", OWNER, "a")
    assert not await compute(work, Clockwork(), math.inf, cpu_seconds=limit)
    assert limit <= work.cpu_seconds <= limit + 0.006


async def test_a_limit_on_cpu_time_does_not_end_what_waits(
    scheduler: Scheduler, autojump_clock: trio.testing.MockClock
) -> None:
    work, worker = scheduler.work("execution", OWNER, "a"), Clockwork(rate=0.001)
    with work, trio.move_on_after(60) as scope, work.on(worker, scope, cpu_seconds=0.1):
        await trio.sleep(30)
    assert not scope.cancelled_caught
    assert worker.reads <= 30 / TICK + 3


async def test_nothing_is_looked_at_while_there_is_no_work(
    scheduler: Scheduler, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    monkeypatch.setattr(scheduler, "_look", lambda look=scheduler._look: (looks.append(1), look()))
    for _ in range(3):
        await compute(scheduler.work("execution", OWNER, "a"), Clockwork(), 0.001)
        await trio.sleep(1_000)
    assert 0 < len(looks) <= 3 * 2


async def test_between_its_runs_work_stops_no_worker(
    scheduler: Scheduler, autojump_clock: trio.testing.MockClock
) -> None:
    others = [scheduler.work("replay", BUSY, str(number)) for number in range(4)]
    workers = [Clockwork() for _ in others]
    async with trio.open_nursery() as nursery:
        for work, worker in zip(others, workers, strict=True):
            nursery.start_soon(compute, work, worker, 3.0)
        work, worker = scheduler.work("replay", BUSY, "events"), Clockwork()
        with work:
            stops = 0
            for _ in range(300):
                with trio.CancelScope() as scope, work.on(worker, scope):
                    stops += worker.stopped
                    await worker.use(0.004)
                assert not worker.stopped
                await trio.sleep(0.001)
    assert stops > 10  # some began while others had their turn
    assert work.held_seconds > 0


async def hold(scheduler: Scheduler, workers: list[Clockwork], scopes: list[trio.CancelScope]) -> None:
    """Work until it is cancelled, in as many workers as there are."""

    async def one(worker: Clockwork, scope: trio.CancelScope) -> None:
        work = scheduler.work("execution", BUSY, str(id(worker)))
        with work, scope, work.on(worker, scope):
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for worker, scope in zip(workers, scopes, strict=True):
            nursery.start_soon(one, worker, scope)


@pytest.mark.parametrize("how", ["each is cancelled", "all are cancelled", "all have died"])
async def test_work_that_ends_while_it_is_held_leaves_its_worker_running(
    scheduler: Scheduler, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery, how: str
) -> None:
    workers = [Clockwork() for _ in range(4)]
    scopes = [trio.CancelScope() for _ in workers]
    outer = trio.CancelScope()

    async def within() -> None:
        with outer:
            await hold(scheduler, workers, scopes)

    nursery.start_soon(within)
    await trio.sleep(10 * TICK)
    assert sum(worker.stopped for worker in workers) == scheduler.held == 2
    for worker in workers:
        worker.dead = how == "all have died"
    for scope in [outer] if how == "all are cancelled" else scopes:
        scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    assert not any(worker.stopped for worker in workers)
    assert scheduler.held == 0
    assert scheduler._works == {}


async def test_who_dies_is_charged_at_most_for_the_time_since_the_last_look(
    scheduler: Scheduler, autojump_clock: trio.testing.MockClock
) -> None:
    work, worker = scheduler.work("execution", OWNER, "a"), Clockwork(rate=0.5)
    with work, trio.CancelScope() as scope, work.on(worker, scope):
        await trio.sleep(10 * TICK + 0.01)
        worker.dead = True
    assert work.cpu_seconds == pytest.approx(5 * TICK + 0.01)
    assert scheduler.cpu_seconds["execution"] == pytest.approx(work.cpu_seconds)


async def test_what_was_used_is_told_by_kind_session_and_owner(
    scheduler: Scheduler, autojump_clock: trio.testing.MockClock
) -> None:
    await compute(scheduler.work("execution", OWNER, "a"), Clockwork(), 0.1)
    await compute(scheduler.work("replay", OWNER, "b"), Clockwork(), 0.2)
    used = scheduler.cpu_seconds
    assert (used["execution"], used["replay"]) == (pytest.approx(0.1, abs=0.01), pytest.approx(0.2, abs=0.01))
    assert [who for who, _ in scheduler.busiest_sessions(5)] == [(OWNER, "b"), (OWNER, "a")]
    assert [who for who, _ in scheduler.busiest_owners(5)] == [OWNER]
