"""Workers that stateless executions of one owner use one after the other, each in a new context.

A worker's process and isolate are made once, and only the context is the execution's own: that is cheaper by
far, and no wall against code that has got hold of the process. So no worker ever goes from one owner to
another, and it is ended where an execution did not end well, after ``MOST_RUNS``, when it holds more memory
than ``MOST_BYTES`` beyond a fresh one's, and after ``IDLE_SECONDS`` without use.

A kept worker keeps its place. An idle one gives it up where somebody waits for one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NoReturn

import trio

from engine.limits import MIB
from engine.places import Places
from engine.worker import Worker, WorkerDied

Isolation = Literal["process", "context"]
"""What each stateless execution has for itself."""

MOST_RUNS: Final = 1_000
"""Executions in one worker."""
MOST_BYTES: Final = 32 * MIB
"""Private memory that a worker may hold beyond a fresh one's: half of what a run gets beside its limits, so
that none fails for what others left (see ``engine.isolate.exhaustion``)."""
IDLE_SECONDS: Final = 60.0
RENEW_SECONDS: Final = 2.0
"""What a new context may take, which is a few milliseconds."""
_LOOK_SECONDS: Final = 5.0
_ASKED_A_RUN: Final = 2  # to run, and to make the next context


class Kept:
    """A worker that no execution is in."""

    awake = True
    is_costly_to_wake = False
    is_retiring = False
    """One that retires is gone at once."""

    def __init__(self, pool: KeptWorkers, worker: Worker, owner: str) -> None:
        self._pool = pool
        self.worker = worker
        self.owner = owner
        self.last_used = self.awake_since = trio.current_time()
        self.renewed = trio.Event()
        """Set once the worker has its next context, or will not get one."""
        self.fit = False
        """Whether the worker is as good as a fresh one, then."""

    @property
    def idle(self) -> bool:
        """Whether it has its next context."""
        return self.renewed.is_set()

    def retire(self, _seconds: float) -> None:
        """End the worker, which holds nothing."""
        self._pool.drop(self)


class KeptWorkers:
    """The kept workers of all owners. ``serve`` must run meanwhile."""

    def __init__(self, places: Places, nursery: trio.Nursery) -> None:
        self._places = places
        self._nursery = nursery
        self._unused: list[Kept] = []
        """Used last at the end."""
        self._fresh_bytes = 0
        """What a worker held that nobody had used."""

    @property
    def unused(self) -> Sequence[Kept]:
        """Workers that no execution is in or has claimed."""
        return self._unused

    async def take(self, owner: str) -> Worker:
        """A worker in which nobody's code has run, or only this owner's and nothing is left of it.

        Raises Unavailable. It counts until ``keep``, or ``Places.give_back``.
        """
        while not self._places.are_waited_for:  # else whoever waits goes first
            kept = self._choose(owner)
            if kept is None:
                break
            self._unused.remove(kept)
            try:
                await kept.renewed.wait()
            except BaseException:
                self._put_back(kept)
                raise
            if kept.fit and kept.worker.running():
                return kept.worker
            self._places.give_back(kept.worker)
        worker = await self._places.take(owner)
        if not worker.asked:
            self._fresh_bytes = worker.data_bytes() or 0
        return worker

    def keep(self, worker: Worker) -> None:
        """Take back a worker that has run an execution to its end."""
        kept = Kept(self, worker, self._places.owner(worker))
        self._unused.append(kept)
        self._nursery.start_soon(self._renew, kept)

    def drop(self, kept: Kept) -> None:
        """End an idle worker."""
        self._unused.remove(kept)
        self._places.give_back(kept.worker)

    async def serve(self) -> NoReturn:
        """End workers that were idle for long, for ever."""
        while True:
            await trio.sleep(_LOOK_SECONDS)
            horizon = trio.current_time() - IDLE_SECONDS
            for kept in [kept for kept in self._unused if kept.idle and kept.last_used < horizon]:
                self.drop(kept)

    def _choose(self, owner: str) -> Kept | None:
        """The one used last, which is in the processors' caches; else the first that will be ready.

        Another process would take longer to fork, and one for each that is getting ready would be too many.
        """
        mine = [kept for kept in reversed(self._unused) if kept.owner == owner]
        return next((kept for kept in mine if kept.idle), mine[-1] if mine else None)

    async def _renew(self, kept: Kept) -> None:
        """Make the worker as good as a fresh one, or find that it cannot be used again."""
        if self._is_fit(kept.worker):
            with trio.move_on_after(RENEW_SECONDS):
                try:
                    await kept.worker.renew()
                    kept.fit = True
                except WorkerDied:
                    pass  # as workers may at any time: the execution is over, and told
        kept.renewed.set()
        if kept in self._unused:  # else who has claimed it waits for it
            self._unused.remove(kept)
            self._put_back(kept)

    def _put_back(self, kept: Kept) -> None:
        """Give the worker to who waits, or keep it; or end it."""
        if kept.idle and not kept.fit:
            self._places.give_back(kept.worker)
        elif not (kept.idle and self._places.hand_on(kept.worker)):
            self._unused.append(kept)

    def _is_fit(self, worker: Worker) -> bool:
        if not worker.is_free:  # killed when it had answered already
            return False
        held = worker.data_bytes()
        if held is None or (worker.asked + 1) // _ASKED_A_RUN >= MOST_RUNS:
            return False
        return held - self._fresh_bytes <= MOST_BYTES
