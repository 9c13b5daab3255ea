"""Which checkpoints are kept."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.checkpoints import Checkpoint
from engine.retention import MAX_BYTES, NEWEST, superfluous


def made_at(seq: int) -> Checkpoint:
    return Checkpoint(
        session="i_1", seq=seq, state=bytes(32), engine="e", blob=f"{seq:064x}", size=1, made_at=0, cost_us=1
    )


def test_of_large_ones_the_oldest_are_forgotten_but_never_the_newest() -> None:
    large = [replace(made_at(seq), size=MAX_BYTES // 2) for seq in (1, 40, 90, 100)]
    assert [one.seq for one in superfluous(large)] == [40, 1]
    assert superfluous([replace(one, size=2 * MAX_BYTES) for one in large[-NEWEST:]]) == []


def kept_after(every: int, until: int) -> list[int]:
    """What is left when a checkpoint was made every so many events, and superfluous ones were forgotten."""
    kept: list[Checkpoint] = []
    for seq in range(every, until + 1, every):
        kept.append(made_at(seq))
        gone = superfluous(kept)
        kept = [one for one in kept if one not in gone]
    return [one.seq for one in kept]


def test_of_nothing_nothing_is_superfluous() -> None:
    assert superfluous([]) == []
    assert superfluous([made_at(5)]) == []


@pytest.mark.parametrize("every", [1, 7, 1_000])
def test_the_newest_are_kept(every: int) -> None:
    assert kept_after(every, 200 * every)[-NEWEST:] == [199 * every, 200 * every]


@pytest.mark.parametrize(("every", "until"), [(1, 5_000), (100, 100_000), (977, 1_000_000)])
def test_few_are_kept_however_long_a_history_is(every: int, until: int) -> None:
    assert len(kept_after(every, until)) <= NEWEST + until.bit_length() // 2 + 1


def test_a_new_one_of_the_past_is_kept_until_the_next_one_is_made() -> None:
    known = [made_at(seq) for seq in (10_000, 60_000, 90_000, 99_000, 99_900, 100_000)]
    for seq in range(11_000, 50_000, 1_000):
        new = made_at(seq)
        known.append(new)
        gone = superfluous(known, new=new)
        assert new not in gone
        known = [one for one in known if one not in gone]
    assert len(known) <= 8


@pytest.mark.parametrize(("every", "until"), [(1, 3_000), (100, 70_000)])
def test_travelling_to_the_past_replays_no_more_than_a_small_multiple_of_its_age(
    every: int, until: int
) -> None:
    kept = kept_after(every, until)
    for seq in range(every, until, every):
        before = [one for one in kept if one <= seq]
        start = max(before, default=0)
        age = until - seq
        assert seq - start <= 16 * age + every, f"from {start} to {seq} of {until}, with {kept}"
