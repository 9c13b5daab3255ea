"""Who runs and who is held: owners get equal shares, then sessions, and nobody waits for ever."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fairshare import HALF_LIFE, TICK, FairShare, Job, Usage

STEP = TICK / 5
Wants = Callable[[float], float]
"""What part of a processor a job would use at a time."""


def always(_now: float) -> float:
    return 1.0


class Machine:
    """Processors that a kernel shares out equally among the jobs that are not held."""

    def __init__(self, processors: int) -> None:
        self.processors = processors
        self.shares = FairShare(processors)
        self.slots = processors + 1
        """Jobs that want a whole processor and are not held."""
        self.now = 1_000.0
        self.jobs: dict[Job, Wants] = {}
        self.used: dict[Job, float] = defaultdict(float)
        self.ran_at: dict[Job, float] = {}
        self._next_tick = self.now + TICK

    def begin(self, owner: str, session: str, wants: Wants = always) -> Job:
        if not self.jobs:
            self._next_tick = self.now + TICK
        job = self.shares.begin(owner, session, self.now)
        self.jobs[job] = wants
        self.ran_at[job] = self.now
        return job

    def end(self, job: Job) -> Job | None:
        del self.jobs[job]
        return self.shares.end(job, self.now)

    def unheld(self) -> list[Job]:
        return [job for job in self.jobs if not job.held]

    def step(self) -> bool:
        """Let a little time pass; whether a tick was in it."""
        self.now += STEP
        hungry = {job: wants for job in self.unheld() if (wants := self.jobs[job](self.now)) > 0}
        room = self.processors * STEP
        for count, job in zip(range(len(hungry), 0, -1), sorted(hungry, key=hungry.__getitem__), strict=True):
            used = min(hungry[job] * STEP, room / count)
            room -= used
            self.shares.charge(job, used, self.now)
            job.waited += hungry[job] * STEP - used
            self.used[job] += used
            self.ran_at[job] = self.now
        if self.now < self._next_tick:
            return False
        self._next_tick += TICK
        self.shares.tick(self.now)
        return True

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.step()

    def share(self, jobs: Sequence[Job], seconds: float) -> float:
        """The part of all processors that some jobs get."""
        before = sum(self.used[job] for job in jobs)
        self.run(seconds)
        return (sum(self.used[job] for job in jobs) - before) / (self.processors * seconds)


def test_as_many_as_there_are_slots_are_left_alone() -> None:
    machine = Machine(2)
    jobs = [machine.begin("a", str(i)) for i in range(machine.slots)]
    for _ in range(100):
        machine.step()
        assert machine.unheld() == jobs


def test_short_jobs_are_left_alone_however_many_there_are() -> None:
    machine = Machine(1)
    for i in range(100):
        jobs = [machine.begin("a", str(i)) for i in range(64)]
        assert not any(job.held for job in jobs)
        machine.run(TICK / 2)
        for job in jobs:
            assert machine.end(job) is None


@pytest.mark.parametrize("processors", [1, 2, 4, 16])
def test_an_owner_of_many_sessions_gets_no_more_than_one_of_a_few(processors: int) -> None:
    machine = Machine(processors)
    many = [machine.begin("many", str(i)) for i in range(64)]
    machine.run(3)
    few = [machine.begin("few", str(i)) for i in range(2 * processors)]
    machine.run(3)
    assert machine.share(few, 10) == pytest.approx(1 / 2, abs=0.03)
    assert sum(machine.used[job] for job in many) > sum(machine.used[job] for job in few)


@pytest.mark.parametrize("processors", [1, 2, 8])
def test_a_single_session_gets_nearly_a_processor_beside_an_owner_of_many(processors: int) -> None:
    machine = Machine(processors)
    for i in range(64):
        machine.begin("many", str(i))
    machine.run(3)
    lone = machine.begin("lone", "only")
    assert not lone.held
    got = machine.share([lone], 10) * processors
    assert got >= processors / (processors + 1) - 0.02


@settings(max_examples=8, deadline=None)
@given(processors=st.integers(1, 4), sessions=st.integers(6, 40))
def test_the_sessions_of_an_owner_get_equal_shares(processors: int, sessions: int) -> None:
    machine = Machine(processors)
    jobs = [machine.begin("a", str(i)) for i in range(sessions)]
    machine.run(3)
    before = dict(machine.used)
    machine.run(20)
    got = [machine.used[job] - before[job] for job in jobs]
    assert sum(got) == pytest.approx(20 * processors, rel=0.01)
    assert max(got) - min(got) <= 3 * TICK


def test_many_short_jobs_of_a_session_weigh_as_much_as_a_long_one() -> None:
    machine = Machine(1)
    long = [machine.begin("a", f"long-{i}") for i in range(4)]
    machine.run(3)
    short, got = machine.begin("a", "short"), 0.0
    start = machine.now
    while machine.now < start + 20:
        machine.step()
        if machine.used[short] >= 0.008:
            got += machine.used[short]
            machine.end(short)
            short = machine.begin("a", "short")
    everything = sum(machine.used[job] for job in long) - 3 + got
    assert got / everything == pytest.approx(1 / 5, abs=0.04)


def test_short_jobs_of_a_busy_owner_do_not_crowd_out_a_long_one_of_another() -> None:
    machine = Machine(1)
    lone = machine.begin("lone", "only")
    flood = {str(i): machine.begin("many", str(i)) for i in range(16)}
    machine.run(1)

    def keep_busy(seconds: float) -> None:
        until = machine.now + seconds
        while machine.now < until:
            machine.step()
            for session, job in list(flood.items()):
                if machine.used[job] >= 0.002:
                    machine.end(job)
                    flood[session] = machine.begin("many", session)

    keep_busy(3)
    before = machine.used[lone]
    keep_busy(10)
    assert (machine.used[lone] - before) / 10 == pytest.approx(1 / 2, abs=0.05)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), processors=st.integers(1, 4))
def test_nobody_waits_for_long_whatever_the_others_do(seed: int, processors: int) -> None:
    chance = random.Random(seed)
    machine = Machine(processors)
    for _ in range(400):
        if chance.random() < 0.3:
            owner, session = chance.choice("abc"), str(chance.randrange(20))
            machine.begin(owner, session, always if chance.random() < 0.8 else lambda now: now % 0.2 < 0.1)
        while len(machine.jobs) > 30 or (machine.jobs and chance.random() < 0.05):
            machine.end(chance.choice(list(machine.jobs)))
        ticked = machine.step()
        judged = [job for job in machine.unheld() if machine.now - job.began > TICK and not job.is_short]
        if ticked:
            assert sum(job.demand == 1.0 for job in judged) <= machine.slots
    waiting = [job for job, wants in machine.jobs.items() if wants is always]
    latest = machine.now
    while machine.now < latest + 20:  # newcomers go before, of every owner, and end soon
        newcomers = [machine.begin(owner, f"new-{machine.now}") for owner in "abc"]
        machine.run(TICK)
        for job in newcomers:
            machine.end(job)
    starved = [job for job in waiting if machine.ran_at[job] <= latest]
    assert starved == []


def test_jobs_that_last_without_using_much_are_short_however_long_they_wait() -> None:
    machine = Machine(1)
    jobs = [machine.begin("a", str(i)) for i in range(40)]
    for job in jobs:
        machine.shares.charge(job, 0.001, machine.now)
        job.waited = TICK
    machine.now += 2 * TICK
    assert machine.shares.tick(machine.now) == []


def test_a_job_that_waits_for_something_takes_no_slot_and_is_not_held() -> None:
    machine = Machine(1)
    asleep = [machine.begin("a", f"asleep-{i}", lambda now: 0.0) for i in range(10)]
    light = [machine.begin("a", f"light-{i}", lambda now: 0.003) for i in range(10)]
    busy = [machine.begin("b", f"busy-{i}") for i in range(4)]
    machine.run(1)
    for _ in range(200):
        machine.step()
        assert not any(job.held for job in (*asleep, *light))
        assert sum(not job.held for job in busy) == machine.slots
    assert machine.share(busy, 5) == pytest.approx(1 - 10 * 0.003, abs=0.01)


def test_many_jobs_that_want_little_each_do_not_crowd_out_one_that_wants_much() -> None:
    machine = Machine(1)
    honest = machine.begin("honest", "only")
    for i in range(200):
        machine.begin("many", str(i), lambda now: 0.01)
    machine.run(3)
    assert machine.share([honest], 10) > 0.4


def test_what_is_known_to_want_processors_is_held_though_it_uses_little() -> None:
    machine = Machine(1)
    replays = [machine.begin("a", str(i), lambda now: 0.01) for i in range(6)]
    for job in replays:
        job.eager = True
    machine.run(1)
    assert len(machine.unheld()) == machine.slots


def test_the_end_of_a_job_lets_the_best_that_is_held_go_on() -> None:
    machine = Machine(1)
    jobs = [machine.begin("a", str(i)) for i in range(4)]
    machine.run(1)
    runs = machine.unheld()[0]
    held = [job for job in jobs if job.held]
    least = min(held, key=lambda job: machine.shares.sessions.of(("a", job.session), machine.now))
    assert machine.end(runs) is least
    assert not least.held
    assert machine.end(next(job for job in machine.jobs if job.held)) is None


def test_usage_counts_half_after_a_while_and_is_forgotten() -> None:
    usage: Usage[str] = Usage()
    usage.charge("a", 1.0, 0.0)
    assert usage.of("a", HALF_LIFE) == pytest.approx(0.5)
    usage.charge("a", 1.0, HALF_LIFE)
    assert usage.of("a", HALF_LIFE) == pytest.approx(1.5)
    usage.charge("b", 2.0, 2 * HALF_LIFE)
    assert [who for who, _ in usage.most(5, 2 * HALF_LIFE)] == ["b", "a"]
    assert [who for who, _ in usage.most(1, 2 * HALF_LIFE)] == ["b"]
    usage.charge("c", 1.0, 100 * HALF_LIFE)
    assert [who for who, _ in usage.most(5, 100 * HALF_LIFE)] == ["c"]
