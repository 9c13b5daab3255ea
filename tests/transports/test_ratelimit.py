"""Token buckets: how much they let through, and what they remember."""

from __future__ import annotations

import random

import pytest

from transports import ratelimit
from transports.ratelimit import RateLimiter


def admitted(limiter: RateLimiter, client: str, now: float, tries: int) -> int:
    return sum(not limiter.take(client, now) for _ in range(tries))


def test_a_client_gets_a_second_s_requests_at_once_and_then_its_rate() -> None:
    limiter = RateLimiter(10)
    assert admitted(limiter, "a", 100.0, 50) == 10
    assert admitted(limiter, "a", 100.05, 5) == 0
    assert admitted(limiter, "a", 100.101, 5) == 1
    assert admitted(limiter, "a", 100.501, 50) == 4
    assert admitted(limiter, "a", 200.0, 50) == 10


def test_a_refusal_says_when_there_is_room_again_and_costs_nothing() -> None:
    limiter = RateLimiter(4)
    assert admitted(limiter, "a", 0.0, 4) == 4
    for _ in range(100):
        wait = limiter.take("a", 0.0)
    assert wait == pytest.approx(0.25)
    assert limiter.take("a", wait + 1e-9) == 0


def test_one_request_a_second_is_let_through() -> None:
    limiter = RateLimiter(1)
    assert [limiter.take("a", float(now)) for now in range(5)] == [0] * 5
    assert limiter.take("a", 4.5) > 0


def test_clients_do_not_use_up_each_other_s() -> None:
    limiter = RateLimiter(3)
    assert admitted(limiter, "a", 0.0, 9) == 3
    assert admitted(limiter, "b", 0.0, 9) == 3


def test_over_a_long_time_the_rate_is_kept_however_requests_come() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 (pytest shows it with a failure)
    source, limiter, now, through = random.Random(seed), RateLimiter(7), 0.0, 0
    while now < 1_000:
        now += source.expovariate(50)
        through += not limiter.take("a", now)
    assert through == pytest.approx(7_000, rel=0.01)


def test_memory_is_bounded_by_forgetting_full_buckets_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratelimit, "MAX_CLIENTS", 100)
    limiter = RateLimiter(2)
    for number in range(100):
        limiter.take(f"once-{number}", 0.0)
    assert admitted(limiter, "busy", 10.0, 9) == 2  # takes the place of those whose buckets are full
    assert len(limiter) == 1
    for number in range(1_000):
        limiter.take(f"flood-{number}", 10.1)
    assert len(limiter) == 100
