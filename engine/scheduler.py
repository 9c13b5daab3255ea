"""The processors shared out among workers: who runs is decided by ``engine.fairshare``, and done here.

Everything that is done in a worker for a session is *work*: an execution, a replay, a look at the variables.
Work that is held has its worker stopped (SIGSTOP) until its turn comes; time that passes until then does not
count towards its time limit. A worker that is in no work is never stopped.

What work has used is read from the kernel's clock of the worker's process, whatever the worker says, and
counted while it runs: once it has used more than it may, it is cancelled.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final, Literal, NoReturn, get_args

import trio

from engine.fairshare import TICK, FairShare, Job
from engine.worker import Worker

Kind = Literal["execution", "replay", "look"]

_LEAST_NAP: Final = 0.005
"""Seconds between two looks at work that has used nearly all it may: by so much may it use more."""


class Scheduler:
    """The work that goes on. ``serve`` must run meanwhile."""

    def __init__(self, processors: int) -> None:
        self.cpu_seconds: dict[Kind, float] = dict.fromkeys(get_args(Kind), 0.0)
        """CPU time that was used, by kind of work."""
        self._shares = FairShare(processors)
        self._works: dict[Job, Work] = {}
        self._nap = trio.CancelScope()
        self._wake_at = math.inf
        self._tick_at = math.inf

    @property
    def held(self) -> int:
        """Work whose worker is stopped, or would be."""
        return self._shares.held

    def busiest_sessions(self, count: int) -> list[tuple[tuple[str, str], float]]:
        """Owner and name of the sessions that used most CPU time lately, and how many seconds of it count."""
        return self._shares.sessions.most(count, trio.current_time())

    def busiest_owners(self, count: int) -> list[tuple[str, float]]:
        """The same of owners."""
        return self._shares.owners.most(count, trio.current_time())

    def work(self, kind: Kind, owner: str, session: str) -> Work:
        """Work for a session, which begins when the context is entered and is over when it is left."""
        return Work(self, kind, owner, session)

    async def serve(self) -> NoReturn:
        """Look at the work now and then, as long as there is any, for ever."""
        while True:
            with trio.CancelScope(deadline=self._wake_at) as self._nap:
                await trio.sleep_forever()
            self._look()

    def _look(self) -> None:
        now = trio.current_time()
        self._wake_at = math.inf
        for work in self._works.values():
            work._look(now)
        if now >= self._tick_at:
            for job in self._shares.tick(now):
                self._works[job]._obey(now)
            self._tick_at = now + TICK
        if self._works:
            self._wake_by(self._tick_at)

    def _begin(self, work: Work, now: float) -> Job:
        if not self._works:
            self._tick_at = now + TICK
        job = self._shares.begin(work.owner, work.session, now)
        self._works[job] = work
        self._wake_by(self._tick_at)
        return job

    def _charge(self, work: Work, job: Job, seconds: float, now: float) -> None:
        self.cpu_seconds[work.kind] += seconds
        self._shares.charge(job, seconds, now)

    def _end(self, job: Job, now: float) -> None:
        del self._works[job]
        successor = self._shares.end(job, now)
        if successor is not None:
            self._works[successor]._obey(now)

    def _wake_by(self, when: float) -> None:
        """Look no later than that."""
        if when < self._wake_at:
            self._wake_at = self._nap.deadline = when


class Work:
    """Some work for a session, in any number of workers, one after the other. Made by ``Scheduler.work``."""

    def __init__(self, scheduler: Scheduler, kind: Kind, owner: str, session: str) -> None:
        self.kind: Kind = kind
        self.owner = owner
        self.session = session
        self.cpu_seconds = 0.0
        """CPU time that it has used."""
        self.held_seconds = 0.0
        """Time for which its worker was stopped."""
        self.has_used_up = False
        """Whether it was cancelled since it had used the CPU time that it may."""
        self._scheduler = scheduler
        self._job: Job
        self._worker: Worker | None = None
        self._scope: trio.CancelScope
        self._most = math.inf
        self._clock_ns: int | None = None
        """The worker's clock when it was read last; None once it has ended."""
        self._read_at = 0.0
        self._waited_ns: int | None = None
        """What it had waited for a processor when that was read last."""
        self._stopped_at: float | None = None
        self._left = math.inf
        """While stopped: what was left until the deadline of the scope."""

    def __enter__(self) -> Work:
        self._job = self._scheduler._begin(self, trio.current_time())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._scheduler._end(self._job, trio.current_time())

    def on(
        self,
        worker: Worker,
        scope: trio.CancelScope,
        *,
        cpu_seconds: float = math.inf,
        may_wait: bool = False,
    ) -> AbstractContextManager[None]:
        """What is done in a worker in the block, until the deadline of ``scope``, is this work.

        ``scope`` is cancelled once this work has used ``cpu_seconds``. ``may_wait``: it may do something else
        than computing.
        """
        return _InWorker(self, worker, scope, cpu_seconds, may_wait=may_wait)

    def _enter(self, worker: Worker, scope: trio.CancelScope, cpu_seconds: float, *, may_wait: bool) -> None:
        now = trio.current_time()
        self._worker, self._scope, self._most = worker, scope, cpu_seconds
        self._clock_ns, self._waited_ns, self._read_at = worker.clock_ns(), None, now
        self._job.eager = not may_wait
        self._obey(now)

    def _leave(self, worker: Worker) -> None:
        now = trio.current_time()
        self._charge(worker, now)
        self._go_on(worker, now)
        self._job.eager = False
        self._worker = None

    def _look(self, now: float) -> None:
        """Charge what was used, and end what has used too much."""
        if self._worker is None:
            return
        self._charge(self._worker, now)
        if self.cpu_seconds >= self._most:
            self.has_used_up = True
            self._scope.cancel()
        elif self._stopped_at is None:
            self._watch(now)
            if not (self._job.is_short or self._job.eager):
                self._note_wait(self._worker)

    def _note_wait(self, worker: Worker) -> None:
        before, self._waited_ns = self._waited_ns, worker.waited_ns()
        if before is None or self._waited_ns is None:  # perhaps all the time when it did not run
            self._job.waited = math.inf
        else:
            self._job.waited += (self._waited_ns - before) / 1e9

    def _obey(self, now: float) -> None:
        """Stop the worker, or let it go on."""
        if self._worker is None:
            return
        if not self._job.held:
            self._go_on(self._worker, now)
            self._watch(now)
        elif self._stopped_at is None:
            self._worker.pause()
            self._left, self._scope.deadline = self._scope.deadline - now, math.inf
            self._stopped_at = now

    def _watch(self, now: float) -> None:
        """Be looked at when what it may use could be used up: with one thread, not before that time."""
        self._scheduler._wake_by(now + max(self._most - self.cpu_seconds, _LEAST_NAP))

    def _go_on(self, worker: Worker, now: float) -> None:
        if self._stopped_at is None:
            return
        worker.resume()
        self._scope.deadline = now + self._left
        self.held_seconds += now - self._stopped_at
        self._stopped_at, self._read_at = None, now

    def _charge(self, worker: Worker, now: float) -> None:
        if self._clock_ns is None or self._stopped_at is not None:
            return
        before, self._clock_ns = self._clock_ns, worker.cpu_ns()
        # nobody knows any more what a dead one has used: having one thread, not more than time has passed
        used = now - self._read_at if self._clock_ns is None else (self._clock_ns - before) / 1e9
        self._read_at = now
        self.cpu_seconds += used
        self._scheduler._charge(self, self._job, used, now)


class _InWorker(AbstractContextManager[None]):
    """Some work while it is in a worker: by hand, as every execution has one."""

    def __init__(
        self, work: Work, worker: Worker, scope: trio.CancelScope, cpu_seconds: float, *, may_wait: bool
    ) -> None:
        self._work = work
        self._worker = worker
        self._scope = scope
        self._cpu_seconds = cpu_seconds
        self._may_wait = may_wait

    def __enter__(self) -> None:
        self._work._enter(self._worker, self._scope, self._cpu_seconds, may_wait=self._may_wait)

    def __exit__(self, *raised: object) -> None:
        self._work._leave(self._worker)
