"""The open loop: what is due when, and what came of it."""

from __future__ import annotations

import json

import pytest

from benchmarks.arrivals import Outcome, Plan, schedule
from benchmarks.snippets import SNIPPETS, Snippet

PLAN = Plan(port=1, rate=200, seconds=2.5, seed=11, sessions=4)


def body(request: bytes) -> dict[str, str]:
    sent: dict[str, str] = json.loads(request.partition(b"\r\n\r\n")[2])
    return sent


def test_arrivals_are_due_at_equal_distances_for_as_long_as_was_asked() -> None:
    due = [arrival.due_ns for arrival in schedule(PLAN)]
    assert due == [number * 5_000_000 for number in range(500)]


def test_the_same_seed_asks_for_the_same_and_another_for_something_else() -> None:
    assert schedule(PLAN) == schedule(PLAN)
    assert schedule(PLAN) != schedule(Plan(port=1, rate=200, seconds=2.5, seed=12, sessions=4))


def test_every_snippet_and_every_session_gets_its_turn() -> None:
    sent = [body(arrival.request) for arrival in schedule(PLAN)]
    assert {one["code"] for one in sent} == {snippet.javascript for snippet in SNIPPETS}
    assert {one["session"] for one in sent} == {f"open-{number}" for number in range(4)}


def test_without_sessions_none_is_named() -> None:
    sent = schedule(Plan(port=1, rate=10, seconds=1, seed=1))
    assert all(body(arrival.request).keys() == {"code"} for arrival in sent)


def test_what_is_followed_is_submitted_and_what_is_not_waits_for_its_answer() -> None:
    (followed,) = schedule(Plan(port=1, rate=1, seconds=1, seed=1))
    (waiting,) = schedule(Plan(port=1, rate=1, seconds=1, seed=1, follow=False))
    assert b"prefer: respond-async\r\n" in followed.request
    assert b"prefer" not in waiting.request


def test_executions_that_failed_count_as_having_taken_all_the_patience() -> None:
    outcome = Outcome(asked=100, latencies_us=list(range(1_000, 91_000, 1_000)), seconds=0.5)
    assert outcome.success == 0.9
    assert outcome.per_second == 180
    assert outcome.percentile(0.5) == 51
    assert outcome.percentile(0.89) == 90
    assert outcome.percentile(0.9) == 10_000
    assert outcome.percentile(0.99) == 10_000


def test_when_nothing_was_completed_the_rate_is_none_and_every_percentile_all_the_patience() -> None:
    outcome = Outcome(asked=10, failures={"late": 10})
    assert (outcome.success, outcome.per_second, outcome.percentile(0.5)) == (0, 0, 10_000)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.python)
def test_a_snippet_in_python_has_its_value(snippet: Snippet) -> None:
    assert eval(snippet.python) == snippet.value
