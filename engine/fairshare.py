"""Fair shares of the processors: which jobs run and which are held. Pure: told of time and of CPU time.

A *job* is a piece of a session's work in a worker, such as an execution. It begins at once, and nobody is
held as long as jobs are short, or leave processors idle. A job that has lasted for a tick, used some CPU time
and wants more is a *long* one; the best of these run, as many as fill the processors and one more, and the
others are held. Best is whose owner, then whose session has used least lately, then who has waited longest:
owners get equal shares, however many sessions they have, and so do the sessions of an owner. What was used
counts half after ``HALF_LIFE``, so that many short jobs of a session weigh as much as a long one. Where they
would be in the way of a long job that is better, short ones are held from their beginning.

What a job wants of a processor is what it used and what it waited for one, whoever had it meanwhile. So jobs
that mostly wait for a timer take little room, and are held only where better ones take it all.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

TICK = 0.05
"""Seconds between two rounds of ``FairShare.tick``."""
HALF_LIFE = 1.0
"""Seconds after which what was used counts half."""
_WHOLE = 0.75
"""A job that wants this part of a processor wants all of it: what is measured may be a little less."""
_SHORT = 0.002
"""Seconds of CPU time: a job that has used less is not worth stopping, which costs a tenth of that."""
_QUANTUM = 0.001
"""Seconds of CPU time: smaller differences are none, so that whoever waits long is first one day."""
_FORGET = 10 * HALF_LIFE
"""What was used before that is less than a quantum by now."""

K = TypeVar("K")


class Usage(Generic[K]):
    """CPU time that was used lately, by whom, in seconds. Who used none for a while is forgotten."""

    def __init__(self) -> None:
        self._sums: OrderedDict[K, tuple[float, float]] = OrderedDict()
        """What was used, as of when; last charged, last in order."""

    def charge(self, who: K, seconds: float, now: float) -> None:
        """Somebody has used so much."""
        self._sums[who] = (self.of(who, now) + seconds, now)
        self._sums.move_to_end(who)
        while next(iter(self._sums.values()))[1] < now - _FORGET:  # one is there: who was just charged
            self._sums.popitem(last=False)

    def of(self, who: K, now: float) -> float:
        """What somebody has used."""
        used, then = self._sums.get(who, (0.0, now))
        return used * math.exp2((then - now) / HALF_LIFE)

    def most(self, count: int, now: float) -> list[tuple[K, float]]:
        """Those who have used most, and how much; the most first."""
        every = [(who, self.of(who, now)) for who in self._sums]
        return sorted(every, key=lambda one: -one[1])[:count]


class Job:
    """One job of a session: it lasts from ``FairShare.begin`` to ``FairShare.end``."""

    __slots__ = ("began", "demand", "eager", "held", "owner", "served", "session", "total", "used", "waited")

    def __init__(self, owner: str, session: str, now: float) -> None:
        self.owner = owner
        self.session = session
        self.held = False
        """Whether it is not to run."""
        self.eager = False
        """Whether it is known to wait for nothing, so that it wants whatever it can get."""
        self.demand = 1.0
        """What part of a processor it is thought to want."""
        self.began = now
        self.served = now
        """When it was last seen to have used CPU time, or began."""
        self.total = 0.0
        """CPU time that it has used, in seconds."""
        self.used = 0.0
        """CPU time since the last tick, in seconds."""
        self.waited = 0.0
        """Time since the last tick for which it could have run, but there was no processor, in seconds."""

    @property
    def is_short(self) -> bool:
        """Whether it has used so little that it need not be told what it waited for."""
        return self.total < _SHORT


Rank = Callable[[Job], tuple[int, int, float]]


class _Load:
    """How much some jobs, the best first, fill of the processors."""

    def __init__(self, processors: int) -> None:
        self._processors = processors
        self._last = self._others = 0.0

    def add(self, job: Job) -> None:
        """One more."""
        self._others += self._last
        self._last = job.demand

    @property
    def is_full(self) -> bool:
        """Whether they fill the processors, and there is one more to take over from one that ends."""
        return self._others >= self._processors


class FairShare:
    """The jobs that there are, and who of them may run. Times are seconds of one clock, any."""

    def __init__(self, processors: int) -> None:
        self._processors = processors
        self.owners: Usage[str] = Usage()
        self.sessions: Usage[tuple[str, str]] = Usage()
        """By owner and name."""
        self._jobs: dict[Job, None] = {}
        self._long: dict[Job, None] = {}
        """Those who wanted CPU time at the last tick, and those who are held."""
        self._ticked = 0.0

    @property
    def held(self) -> int:
        """How many jobs are held."""
        return sum(job.held for job in self._long)

    def begin(self, owner: str, session: str, now: float) -> Job:
        """A new job, which may be ``held``."""
        if not self._jobs:
            self._ticked = now
        job = Job(owner, session, now)
        if self._long and self._is_in_the_way(job, now):
            job.held = True
            self._long[job] = None
        self._jobs[job] = None
        return job

    def charge(self, job: Job, seconds: float, now: float) -> None:
        """A job has used so much CPU time."""
        job.total += seconds
        job.used += seconds
        self.owners.charge(job.owner, seconds, now)
        self.sessions.charge((job.owner, job.session), seconds, now)

    def end(self, job: Job, now: float) -> Job | None:
        """A job is over. Another one that may go on in its place, if there is one."""
        del self._jobs[job]
        self._long.pop(job, None)
        held = [other for other in self._long if other.held]
        if job.held or not held:
            return None
        rank = self._rank_at(now)
        if self._fill([other for other in self._jobs if not other.held], rank):
            return None
        best = min(held, key=rank)
        best.held = False
        return best

    def tick(self, now: float) -> list[Job]:
        """Judge by what was used and waited for since the last tick. The jobs whose ``held`` has changed."""
        self._judge(now)
        changed = []
        load = _Load(self._processors)
        for job in sorted(self._long, key=self._rank_at(now)):
            if job.held != load.is_full:
                job.held = not job.held
                changed.append(job)
            load.add(job)
        return changed

    def _judge(self, now: float) -> None:
        """Find out what the jobs that run want."""
        elapsed = now - self._ticked
        self._long.clear()
        for job in self._jobs:
            if job.used > 0:
                job.served = now
            is_long = job.began <= self._ticked and not job.is_short
            if is_long and not job.held:
                wanted = elapsed if job.eager else job.used and job.used + job.waited
                job.demand = 1.0 if wanted >= _WHOLE * elapsed else wanted / elapsed
            if job.held or (is_long and job.demand > 0):
                self._long[job] = None
            job.used = job.waited = 0.0
        self._ticked = now

    def _is_in_the_way(self, job: Job, now: float) -> bool:
        """Whether better jobs want all there is, one of whom is long."""
        rank = self._rank_at(now)
        own = rank(job)
        if not any(rank(other) < own for other in self._long):
            return False
        return self._fill([other for other in self._jobs if rank(other) < own], rank)

    def _fill(self, jobs: list[Job], rank: Rank) -> bool:
        load = _Load(self._processors)
        for job in sorted(jobs, key=rank):
            load.add(job)
        return load.is_full

    def _rank_at(self, now: float) -> Rank:
        """Less is better."""

        def rank(job: Job) -> tuple[int, int, float]:
            return (
                int(self.owners.of(job.owner, now) / _QUANTUM),
                int(self.sessions.of((job.owner, job.session), now) / _QUANTUM),
                job.served,
            )

        return rank
