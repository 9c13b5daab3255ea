"""The check of histories: it finds what is wrong, and nothing else."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from told_histories import Append, Look, faults, longest_gap

A = Append("a", 0, 1, 1)
B = Append("b", 2, 3, 2)


def test_one_after_the_other_is_right() -> None:
    assert faults([A, B], [Look(1.2, 1.5, 1), Look(4, 5, 2)], [None, "a", "b"]) == []


def test_at_the_same_time_any_order_is_right() -> None:
    a, b = Append("a", 0, 3, 2), Append("b", 1, 2, 1)
    assert faults([a, b], [Look(0, 3, 0), Look(0, 3, 1), Look(0, 3, 2)], [None, "b", "a"]) == []


def test_what_was_not_answered_may_be_there_or_not_and_late() -> None:
    lost = Append("x", 0)
    assert faults([lost, A], [], [None, "a"]) == []
    assert faults([lost, A, B], [], [None, "a", "b", "x"]) == []
    assert faults([lost, Append("a", 0, 1, 2)], [], [None, "x", "a"]) == []


@pytest.mark.parametrize(
    ("appends", "looks", "log", "fault"),
    [
        ([A, B], [], [None, "a"], "b was answered as event 2; in the log it is none"),
        ([A, B], [], [None, "b", "a"], "a was answered as event 1; in the log it is 2"),
        ([A], [], [None, "a", "a"], "a is there twice, as events 1 and 2"),
        ([A], [], [None, "a", "z"], "z is there as event 2, and nobody asked for it"),
        ([Append("a", 0, 1, 2), Append("b", 2, 3, 1)], [], [None, "b", "a"], "before b was asked for"),
        ([Append("x", 5), A], [], [None, "x", "a"], "in the log it is 2"),
        ([Append("x", 5), Append("a", 0, 1, 2)], [], [None, "x", "a"], "before x was asked for"),
        ([A, B], [Look(2, 2.5, 0)], [None, "a", "b"], "before a look at event 0 was asked for"),
        ([A, B], [Look(3.5, 4, 1)], [None, "a", "b"], "before a look at event 1 was asked for"),
        ([A, B], [Look(0.1, 0.2, 2)], [None, "a", "b"], "before b was asked for"),
        ([A], [Look(4, 5, 2)], [None, "a"], "event 2 was told of, and there is none"),
        ([], [Look(4, 5, 1), Look(6, 7, 0)], [None, None], "a look at event 1"),
    ],
)
def test_what_cannot_have_happened_is_told(
    appends: list[Append], looks: list[Look], log: list[str | None], fault: str
) -> None:
    assert any(fault in one for one in faults(appends, looks, log)), faults(appends, looks, log)


moments = st.integers(0, 6)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Append], list[Look], list[str | None]]:
    """Small ones, of which about half are right."""
    keys = list("abc")[: draw(st.integers(0, 3))]
    log: list[str | None] = [None, *draw(st.permutations(keys))]
    appends = []
    for key in keys:
        called = draw(moments)
        returned = draw(st.none() | st.integers(called, 7))
        event = None if returned is None else log.index(key)
        appends.append(Append(key, called, returned, event))
    looks = []
    for _ in range(draw(st.integers(0, 2))):
        called = draw(moments)
        looks.append(Look(called, draw(st.integers(called, 7)), draw(st.integers(0, len(log) - 1))))
    return appends, looks, log


@given(histories())
@settings(max_examples=500)
def test_it_says_the_same_as_trying_all_orders(
    history: tuple[list[Append], list[Look], list[str | None]],
) -> None:
    appends, looks, log = history
    assert (faults(*history) == []) == any(fits(order, log) for order in permutations([*appends, *looks]))


def fits(order: tuple[Append | Look, ...], log: list[str | None]) -> bool:
    """Whether the operations can have taken effect in that order."""
    last = 0
    for n, operation in enumerate(order):
        if any(later.returned is not None and later.returned < operation.called for later in order[n + 1 :]):
            return False
        if isinstance(operation, Append):
            last += 1
            if last >= len(log) or log[last] != operation.key:
                return False
        elif operation.event != last:
            return False
    return True


def test_the_longest_gap_is_between_neighbours() -> None:
    assert longest_gap([3, 1, 2, 7, 8]) == 4
    assert longest_gap([]) == longest_gap([1]) == 0
