"""Random sessions come out the same on every road: live, replayed, looked at, restored from snapshots in
between, optimized at once or never.

The number of a failing test is the seed: ``random_sessions.session(SEED)`` is the session.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing

import isolates
import pytest
from random_sessions import session

from engine.isolate.wire import Done

QUICK = range(16)
MANY = range(1_000, 1_600)
INPUT = '{"k":[1,2]}'

Make = Callable[..., isolates.Session]
Step = Callable[[isolates.Session, int], isolates.Session]
"""What happens before an execution of that number; the session to go on with."""


def run(
    make: Make, codes: list[str], traces: list[Done] | None = None, before: Step = lambda s, _: s
) -> list:
    """Each execution's (done, console): live, or the replay of ``traces``."""
    ran, here = [], make()
    for number, code in enumerate(codes):
        here = before(here, number)
        trace = None if traces is None else traces[number].trace
        done = here.run(code, trace=trace, input=INPUT if number == 0 else None)
        assert not done.overflow
        ran.append((done, here.lines))
    here.close()
    return ran


def seen(ran: list) -> list:
    return [(done.digest, done.outcome, lines) for done, lines in ran]


def looking(chance: random.Random) -> Step:
    def step(here: isolates.Session, _: int) -> isolates.Session:
        if chance.random() < 0.7:
            here.look(max_globals=chance.choice([1, 50]), preview_chars=chance.choice([10, 200]))
        return here

    return step


def restoring(make: Make, chance: random.Random) -> Step:
    def step(here: isolates.Session, number: int) -> isolates.Session:
        if number > 0 and chance.random() < 0.5:
            with closing(here):
                here = make(here.snapshot())
            here.seq = number
        return here

    return step


def agree(make: Make, seed: int) -> None:
    codes, chance = session(seed), random.Random(seed)
    first = run(make, codes)
    traces = [done for done, _ in first]
    assert seen(run(make, codes, traces)) == seen(first), "replayed"
    assert seen(run(make, codes, traces, looking(chance))) == seen(first), "looked at"
    assert seen(run(make, codes, traces, restoring(make, chance))) == seen(first), "restored"


@pytest.mark.parametrize("seed", QUICK)
def test_a_random_session_comes_out_the_same_replayed_looked_at_and_restored(Session, seed):  # noqa: N803
    agree(Session, seed)


@pytest.mark.torture
@pytest.mark.parametrize("seed", MANY)
def test_many_random_sessions_come_out_the_same(Session, seed):  # noqa: N803
    agree(Session, seed)


@pytest.mark.torture
@pytest.mark.parametrize("seed", MANY)
def test_a_random_session_comes_out_the_same_however_v8_optimizes_it(Session, other_host, seed):  # noqa: N803
    codes = session(seed)
    first = run(Session, codes)
    traces = [done for done, _ in first]
    assert seen(run(lambda: isolates.Session(other_host), codes, traces)) == seen(first)
