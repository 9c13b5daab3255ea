"""Who gets the next worker when all are taken, and who gives one up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from engines import OpenEngine, submission
from trio.testing import wait_all_tasks_blocked

from engine.places import Places


class Pool:
    """Has a worker for everybody, which does nothing."""

    async def acquire(self) -> Pool.Worker:
        """At once."""
        await trio.lowlevel.checkpoint()
        return Pool.Worker()

    class Worker:
        """Nothing."""

        def kill(self) -> None:
            """Nothing to do."""

        async def aclose(self) -> None:
            """Nothing to do."""


@asynccontextmanager
async def opened(limit: int) -> AsyncIterator[Places]:
    pool: Any = Pool()
    async with trio.open_nursery() as nursery:
        yield Places(pool, nursery, limit, lambda: ())


async def test_the_next_place_goes_to_whose_owner_has_fewest_then_to_who_came_first() -> None:
    got: list[str] = []
    async with opened(3) as places, trio.open_nursery() as nursery:
        held = [await places.take(owner) for owner in ("busy", "busy", "other")]

        async def take(name: str) -> None:
            await places.take(name.split("-")[0])
            got.append(name)

        for name in ("busy-1", "other-1", "new-1", "new-2"):
            nursery.start_soon(take, name)
            await wait_all_tasks_blocked()
        for worker in held:
            places.give_back(worker)
            await wait_all_tasks_blocked()
        assert got == ["new-1", "busy-1", "other-1"]  # who had none, then one of each in order
        nursery.cancel_scope.cancel()


async def test_a_place_that_is_not_waited_for_any_more_is_the_next_ones() -> None:
    async with opened(1) as places, trio.open_nursery() as nursery:
        worker = await places.take("a")
        with trio.move_on_after(0):
            await places.take("impatient")
        scope = trio.CancelScope()

        async def give_up() -> None:
            with scope:
                await places.take("late")

        nursery.start_soon(give_up)
        await wait_all_tasks_blocked()
        places.give_back(worker)
        scope.cancel()  # when it has the place, and does not know yet
        await wait_all_tasks_blocked()
        assert places.taken == 0
        await places.take("b")
        assert places.taken == 1


@pytest.mark.parametrize("stateless", [False, True])
async def test_an_owner_who_asks_for_many_places_leaves_the_next_one_to_others(
    open_engine: OpenEngine, tmp_path_factory: pytest.TempPathFactory, stateless: bool
) -> None:
    store = None if stateless else tmp_path_factory.mktemp("store")
    async with open_engine(store, max_workers=2) as engine:
        spinning = [
            await engine.supervisor.executions.submit(submission("for (;;);", owner="greedy", time_ms=60_000))
            for _ in range(6)
        ]
        while len(running := [one for one in spinning if one.timings.restored_us]) < 2:
            await trio.lowlevel.checkpoint()
        modest = await engine.supervisor.executions.submit(submission("1 + 1", owner="modest"))
        while len(engine.supervisor.places._waiting) < 5:
            await trio.lowlevel.checkpoint()
        running[0].cancel()
        report = await modest.wait(30)
        assert report is not None
        assert report.result == "2"
        for execution in spinning:
            execution.cancel()


async def test_a_worker_that_is_handed_on_goes_to_who_is_next_if_the_owner_is_the_same() -> None:
    got: dict[str, object] = {}
    async with opened(2) as places, trio.open_nursery() as nursery:
        ours, other = [await places.take("a"), await places.take("b")]
        assert not places.hand_on(ours)  # nobody waits

        async def take(owner: str) -> None:
            got[owner] = await places.take(owner)

        nursery.start_soon(take, "a")
        await wait_all_tasks_blocked()
        assert places.hand_on(ours)
        await wait_all_tasks_blocked()
        assert got["a"] is ours
        nursery.start_soon(take, "c")
        await wait_all_tasks_blocked()
        assert places.hand_on(ours)
        await wait_all_tasks_blocked()
        assert got["c"] not in (ours, other)  # the place alone
        assert places.taken == 2


async def test_a_worker_that_comes_too_late_goes_with_its_place() -> None:
    async with opened(1) as places, trio.open_nursery() as nursery:
        worker = await places.take("a")
        scope = trio.CancelScope()

        async def give_up() -> None:
            with scope:
                await places.take("a")

        nursery.start_soon(give_up)
        await wait_all_tasks_blocked()
        scope.cancel()
        assert places.hand_on(worker)  # before who waited knows of its end
        await wait_all_tasks_blocked()
        assert places.taken == 0
