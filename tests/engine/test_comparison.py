"""What a replay is compared with is found at once, however much was accepted, and so is where texts part."""

from __future__ import annotations

import random
import time

import pytest

from engine.comparison import Acceptances, from_where_they_part
from engine.events import Accepted, Caller

CALLER = Caller(transport="test")


def accepted(seq: int, numbers: list[int]) -> Accepted:
    digests = {number: bytes([number % 256]) * 32 for number in numbers}
    return Accepted(session="s1", seq=seq, at=1, caller=CALLER, engine="x", digests=digests)


@pytest.mark.parametrize("seed", range(50))
def test_acceptances_say_what_looking_at_each_of_them_says(seed: int) -> None:
    chance = random.Random(seed)
    seqs = sorted(chance.sample(range(2, 30), chance.randrange(6)))
    events = [accepted(seq, chance.sample(range(1, seq), chance.randrange(min(seq, 4)))) for seq in seqs]
    every = Acceptances(events)
    for seq in range(32):
        assert every.of(seq) is next((one for one in reversed(events) if seq in one.digests), None)
        unnamed = [one for one in events if one.digests and min(one.digests) <= seq < one.seq]
        assert every.is_named(seq) is (not unnamed)


def test_a_million_acceptances_hold_nobody_up() -> None:
    every = Acceptances([accepted(1_000 + n, list(range(1, 1_000))) for n in range(1_000)])
    began = time.process_time()
    for seq in range(10_000):
        assert every.is_named(seq) is (seq == 0 or seq >= 1_999)
        assert (every.of(seq) is not None) is (1 <= seq < 1_000)
    assert time.process_time() - began < 1  # where each is looked at, minutes


@pytest.mark.parametrize("seed", range(20))
def test_texts_are_shown_from_where_they_part(seed: int) -> None:
    chance = random.Random(seed)
    same = "".join(chance.choices("ab", k=chance.randrange(30)))
    one, other = (same + "".join(chance.choices("ab", k=chance.randrange(5))) for _ in range(2))
    assert from_where_they_part(one, other) == (one, other)
    assert from_where_they_part(f"first\n{one}", f"first\n{other}")[0] in (one, f"first\n{one}")
    long = "x" * 1_000
    was, now = from_where_they_part(f"{long}{same}1", f"{long}{same}2")
    assert was.endswith(f"{same}1") or len(same) > 40
    assert (len(was), was[:-1]) == (41, now[:-1])
