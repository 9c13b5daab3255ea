"""When a checkpoint is worth what it costs."""

from __future__ import annotations

from engine.debt import COST_US, REPLAY_US, Debt

TARGET_US = 500_000


def owing(replay_us: int, *, target_us: int = TARGET_US) -> Debt:
    debt = Debt(target_us)
    debt.is_now(replay_us)
    return debt


def test_a_session_without_history_owes_nothing() -> None:
    debt = Debt(TARGET_US)
    assert not debt.is_due
    assert not debt.is_worth_it_before_sleep


def test_each_event_owes_its_cpu_time_and_what_its_replay_takes_beside() -> None:
    debt = Debt(TARGET_US)
    debt.ran(1_000)
    debt.ran(0)
    assert debt.replay_us == 1_000 + 2 * REPLAY_US


def test_a_checkpoint_is_due_once_a_recovery_would_miss_its_target() -> None:
    assert not owing(TARGET_US).is_due
    assert owing(TARGET_US + 1).is_due


def test_a_checkpoint_that_costs_much_is_due_later() -> None:
    debt = owing(10 * TARGET_US)
    debt.begin()
    debt.paid(2 * TARGET_US, 0)
    debt.is_now(4 * TARGET_US)
    assert not debt.is_due
    debt.is_now(4 * TARGET_US + 1)
    assert debt.is_due


def test_before_sleep_a_checkpoint_is_worth_it_if_it_costs_less_than_the_replay() -> None:
    assert not owing(COST_US).is_worth_it_before_sleep
    assert owing(COST_US + 1).is_worth_it_before_sleep


def test_only_one_checkpoint_is_made_at_a_time() -> None:
    debt = owing(TARGET_US + 1)
    debt.begin()
    assert debt.is_being_paid
    assert not debt.is_due
    assert not debt.is_worth_it_before_sleep


def test_what_ran_while_the_checkpoint_was_made_is_still_owed() -> None:
    debt = owing(TARGET_US + 1)
    debt.begin()
    debt.ran(7)
    debt.paid(COST_US, 0)
    assert debt.replay_us == 7 + REPLAY_US


def test_a_restored_state_owes_what_was_replayed_also_while_a_checkpoint_of_before_is_made() -> None:
    debt = owing(TARGET_US + 1)
    debt.begin()
    debt.is_now(10)
    debt.paid(COST_US, 0)
    assert debt.replay_us == 0


def test_a_state_that_cannot_be_kept_is_tried_again_when_the_debt_has_doubled() -> None:
    debt = owing(TARGET_US + 1)
    debt.begin()
    debt.refused("it holds a live Intl.Collator", 0, lasting=True)
    assert debt.declined == "it holds a live Intl.Collator"
    assert not debt.is_due
    debt.is_now(2 * (TARGET_US + 1))
    assert not debt.is_due
    debt.is_now(2 * (TARGET_US + 1) + 1)
    assert debt.is_due
    debt.begin()
    debt.refused("again", 0, lasting=True)
    assert not debt.is_due
    debt.is_now(5 * TARGET_US)
    debt.begin()
    debt.paid(COST_US, 0)
    assert debt.declined is None
    debt.is_now(TARGET_US + 1)
    assert debt.is_due


def test_a_state_that_can_never_be_kept_is_tried_ever_more_seldom() -> None:
    debt, tried = Debt(TARGET_US), 0
    for _ in range(100_000):
        debt.ran(1_000_000)
        if debt.is_due:
            tried += 1
            debt.begin()
            debt.refused("it holds a live Intl.Collator", 0, lasting=True)
    assert tried <= (100_000).bit_length() + 1


def test_a_large_checkpoint_is_due_only_after_the_session_has_run_long_enough_for_its_bytes() -> None:
    debt = owing(TARGET_US + 1)
    debt.begin()
    debt.paid(COST_US, 40 << 20)
    debt.is_now(40 << 20)
    assert not debt.is_due
    debt.is_now((40 << 20) + 1)
    assert debt.is_due


def test_what_an_attempt_in_vain_cost_counts_where_the_state_is_to_blame() -> None:
    debt = owing(TARGET_US + 1)
    debt.begin()
    debt.refused("the disk is full", 9 * TARGET_US, lasting=False)
    assert (debt.cost_us, debt.is_unkeepable) == (COST_US, False)
    debt.is_now(3 * TARGET_US)
    debt.begin()
    debt.refused("it takes too long", 9 * TARGET_US, lasting=True)
    assert (debt.cost_us, debt.is_unkeepable) == (9 * TARGET_US, True)


def test_a_target_of_nothing_asks_for_a_checkpoint_after_every_event() -> None:
    debt = Debt(0)
    assert not debt.is_due
    debt.ran(0)
    assert debt.is_due
    debt.begin()
    debt.refused("it holds a live Intl.Collator", 0, lasting=True)
    assert not debt.is_due, "the same state would be refused again and again"
    debt.ran(0)
    assert debt.is_due
