"""The bounded number of live workers: who gets the next one, and who gives one up when all are taken."""

from __future__ import annotations

from collections import Counter
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

    owner: str
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


class _Waiter:
    """Who waits for a place."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.worker: Worker | None = None
        """One that comes with the place."""
        self.has_place = trio.Event()


class Places:
    """Hands out at most ``limit`` workers at a time.

    When all places are taken, an idle holder retires: of the owner who has most places the one that has been
    idle longest, those last that are costly to wake; where none is idle, the first that is done with a job
    after its turn. The next place goes to whose owner has fewest, so that a client with many sessions does
    not keep others from their first, then to who has waited longest.
    """

    def __init__(
        self, workers: Workers, nursery: trio.Nursery, limit: int, holders: Callable[[], Iterable[Holder]]
    ) -> None:
        self._workers = workers
        self._nursery = nursery
        self._limit = limit
        self._held: Counter[str] = Counter()
        """Places by owner, those who have some."""
        self._owners: dict[Worker, str] = {}
        """Of the workers that are handed out."""
        self._waiting: list[_Waiter] = []
        """First come first."""
        self._holders = holders

    @property
    def taken(self) -> int:
        """Places that are not free."""
        return self._held.total()

    @property
    def are_waited_for(self) -> bool:
        """Whether somebody waits for one."""
        return bool(self._waiting)

    async def take(self, owner: str) -> Worker:
        """A fresh worker, or one as good as that, which counts until ``give_back``. Raises Unavailable."""
        if self.taken < self._limit:
            self._held[owner] += 1
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            worker = await self._wait(owner)
            if worker is not None:
                return worker
        try:
            worker = await self._workers.acquire()
        except BaseException:
            self._free(owner)
            raise
        self._owners[worker] = owner
        return worker

    def give_back(self, worker: Worker) -> None:
        """Kill the worker and free its place."""
        worker.kill()
        self._nursery.start_soon(worker.aclose)
        self._free(self._owners.pop(worker))

    def owner(self, worker: Worker) -> str:
        """Whose place a worker has that is handed out."""
        return self._owners[worker]

    def hand_on(self, worker: Worker) -> bool:
        """Whether somebody waits for a place: the next one gets this worker if the owner is the same, else
        the place alone. ``worker`` must be as good as a fresh one.
        """
        if not self._waiting:
            return False
        owner = self._owners[worker]
        following = self._next(owner)
        if following.owner != owner:
            self.give_back(worker)
            return True
        self._waiting.remove(following)
        following.worker = worker
        following.has_place.set()
        return True

    def done_with_a_job(self, holder: Holder) -> None:
        """Others may be waiting for the place of ``holder``."""
        had_its_turn = trio.current_time() - holder.awake_since > TURN_SECONDS
        if self._waiting and (holder.idle or had_its_turn):
            holder.retire(EVICT_SECONDS)

    async def _wait(self, owner: str) -> Worker | None:
        """Until a place of this owner's is counted; the worker that comes with it."""
        waiter = _Waiter(owner)
        self._waiting.append(waiter)
        self._let_one_retire()
        try:
            await waiter.has_place.wait()
        except BaseException:
            if waiter.worker is not None:
                self.give_back(waiter.worker)
            elif waiter.has_place.is_set():
                self._free(owner)
            else:
                self._waiting.remove(waiter)
            raise
        return waiter.worker

    def _free(self, owner: str) -> None:
        """Give a place of this owner's to the next one."""
        following = self._next(owner) if self._waiting else None
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
        if following is not None:
            self._waiting.remove(following)
            self._held[following.owner] += 1
            following.has_place.set()

    def _next(self, owner: str) -> _Waiter:
        """Who gets a place that this owner gives up."""
        return min(self._waiting, key=lambda waiter: self._held[waiter.owner] - (waiter.owner == owner))

    def _let_one_retire(self) -> None:
        idle = [
            holder for holder in self._holders() if holder.awake and holder.idle and not holder.is_retiring
        ]
        if idle:
            min(idle, key=self._rank_to_retire).retire(EVICT_SECONDS)

    def _rank_to_retire(self, holder: Holder) -> tuple[bool, int, float]:
        return holder.is_costly_to_wake, -self._held[holder.owner], holder.last_used
