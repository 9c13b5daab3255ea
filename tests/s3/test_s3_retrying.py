"""Attempts are repeated after random pauses that grow, for a bounded time."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from persistence.s3.objects import Refused, Unanswered
from persistence.s3.retrying import FIRST_PAUSE, LONGEST_PAUSE, Retrying


class Time:
    """Passes when somebody sleeps, or attempts."""

    def __init__(self, attempt_seconds: float = 0, fraction: float = 1) -> None:
        self.now = 100.0
        self.pauses: list[float] = []
        self.attempts = 0
        self._attempt_seconds = attempt_seconds
        self._fraction = fraction

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def retrying(self, within: float) -> Retrying:
        return Retrying(within, clock=lambda: self.now, sleep=self.sleep, fraction=lambda: self._fraction)

    def attempt(self, outcomes: Iterable[Exception | str]) -> Callable[[], str]:
        coming = iter(outcomes)

        def attempt() -> str:
            self.attempts += 1
            self.now += self._attempt_seconds
            outcome = next(coming)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        return attempt


def test_it_goes_on_until_there_is_an_answer() -> None:
    time = Time()
    answers = [Unanswered("1"), Unanswered("2"), Unanswered("3"), "done"]
    assert time.retrying(60).run(time.attempt(answers)) == "done"
    assert time.pauses == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]


def test_once_stopped_nothing_is_tried_again() -> None:
    time = Time()
    retrying = time.retrying(60)
    retrying.stop()
    with pytest.raises(Unanswered, match="1"):
        retrying.run(time.attempt([Unanswered("1"), "done"]))
    assert retrying.run(time.attempt(["done"])) == "done"


def test_pauses_stop_growing_and_no_attempt_begins_too_late() -> None:
    time = Time(attempt_seconds=1)
    failures = [Unanswered(f"{number}") for number in range(100)]
    with pytest.raises(Unanswered) as raised:
        time.retrying(60).run(time.attempt(failures))
    assert raised.value is failures[time.attempts - 1], "the last one's"
    assert max(time.pauses) == LONGEST_PAUSE
    assert 161 - LONGEST_PAUSE <= time.now <= 161, "it began before 60 s, and took one"


def test_pauses_are_random_from_nothing_on() -> None:
    time = Time(fraction=0)
    assert time.retrying(1).run(time.attempt([Unanswered("")] * 50 + ["done"])) == "done"
    assert set(time.pauses) == {0.0}


def test_a_refusal_and_no_time_end_it_at_once() -> None:
    time = Time()
    with pytest.raises(Refused):
        time.retrying(60).run(time.attempt([Refused("no")]))
    with pytest.raises(Unanswered):
        time.retrying(0).run(time.attempt([Unanswered("")]))
    assert (time.attempts, time.pauses) == (2, [])
