"""Long replays take turns."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from engine.turns import FREE_SECONDS, TURN_SECONDS, Turn, Turns


@pytest.fixture
def clock(autojump_clock: trio.testing.MockClock) -> trio.testing.MockClock:
    return autojump_clock


async def replay(turn: Turn, order: list[str], name: str, events: int, seconds: float) -> None:
    """So many events that take so long each."""
    for _ in range(events):
        await trio.sleep(seconds)
        order.append(name)
        await turn.step()
    turn.end()


@pytest.mark.usefixtures("clock")
async def test_a_short_replay_waits_for_nobody() -> None:
    turns = Turns(1)
    long = turns.turn()
    await replay_until_it_holds(long)
    short = turns.turn()
    with trio.fail_after(FREE_SECONDS):
        await replay(short, [], "short", 5, FREE_SECONDS / 10)
    long.end()


async def replay_until_it_holds(turn: Turn) -> None:
    await trio.sleep(FREE_SECONDS)
    await turn.step()


@pytest.mark.usefixtures("clock")
async def test_long_replays_alternate() -> None:
    turns, order = Turns(1), []
    async with trio.open_nursery() as nursery:
        for name in "ab":
            nursery.start_soon(replay, turns.turn(), order, name, 100, TURN_SECONDS / 5)
    free = int(FREE_SECONDS / TURN_SECONDS * 5)
    middle = "".join(order[3 * free : 100])
    assert {"a", "b"} == set(middle)
    assert max(map(len, middle.replace("ab", "a b").replace("ba", "b a").split())) <= 7


@pytest.mark.usefixtures("clock")
async def test_a_long_replay_that_ends_lets_the_next_go_on() -> None:
    turns = Turns(1)
    first, second = turns.turn(), turns.turn()
    await replay_until_it_holds(first)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(second.step)
        await trio.testing.wait_all_tasks_blocked()
        first.end()
        first.end()  # as often as one likes
    second.end()


@pytest.mark.usefixtures("clock")
async def test_a_replay_that_is_cancelled_while_it_waits_takes_no_turn() -> None:
    turns = Turns(1)
    first, second, third = turns.turn(), turns.turn(), turns.turn()
    await replay_until_it_holds(first)
    with trio.move_on_after(1):
        await second.step()
    second.end()
    first.end()
    with trio.fail_after(1):
        await third.step()
    third.end()
