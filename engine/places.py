"""The bounded number of live workers, and who gives one up when all are taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import trio

from engine.workers import Worker, Workers

EVICT_SECONDS = 2.0
"""What a holder may take to give its place to one who waits."""
TURN_SECONDS = 1.0
"""A holder with more to do keeps its worker that long while others wait for a place."""


class Holder(Protocol):
    """Something that keeps a worker between uses."""

    last_used: float
    """In Trio's time."""

    @property
    def awake_since(self) -> float:
        """When it got its worker, in Trio's time."""
        ...

    @property
    def awake(self) -> bool:
        """Whether it has a worker."""
        ...

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do."""
        ...

    @property
    def is_retiring(self) -> bool:
        """Whether it is about to give its worker up."""
        ...

    @property
    def is_costly_to_wake(self) -> bool:
        """Whether it would take long to bring another worker to where this one is."""
        ...

    def retire(self, seconds: float) -> None:
        """Give the worker up within ``seconds``, by ``Places.give_back``."""
        ...


class Places:
    """Hands out at most ``limit`` workers at a time.

    When all places are taken, the holder that has been idle longest retires, those last that are costly to
    wake; where none is idle, the first that is done with a job after its turn.
    """

    def __init__(
        self, workers: Workers, nursery: trio.Nursery, limit: int, holders: Callable[[], Iterable[Holder]]
    ) -> None:
        self._workers = workers
        self._nursery = nursery
        self._limit = limit
        self._free = trio.Semaphore(limit)
        self._holders = holders

    @property
    def taken(self) -> int:
        """Workers that are handed out."""
        return self._limit - self._free.value

    async def take(self) -> Worker:
        """A fresh worker, which counts until ``give_back``. Raises Unavailable."""
        if self._free.value == 0:
            self._let_one_retire()
        await self._free.acquire()
        try:
            return await self._workers.acquire()
        except BaseException:
            self._free.release()
            raise

    def give_back(self, worker: Worker) -> None:
        """Kill the worker and free its place."""
        worker.kill()
        self._nursery.start_soon(worker.aclose)
        self._free.release()

    def done_with_a_job(self, holder: Holder) -> None:
        """Others may be waiting for the place of ``holder``."""
        had_its_turn = trio.current_time() - holder.awake_since > TURN_SECONDS
        if self._free.statistics().tasks_waiting and (holder.idle or had_its_turn):
            holder.retire(EVICT_SECONDS)

    def _let_one_retire(self) -> None:
        idle = [
            holder for holder in self._holders() if holder.awake and holder.idle and not holder.is_retiring
        ]
        if idle:
            min(idle, key=lambda holder: (holder.is_costly_to_wake, holder.last_used)).retire(EVICT_SECONDS)
