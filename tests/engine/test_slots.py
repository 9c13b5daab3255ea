"""Room for checkpoints: a few at a time, of which long ones get their share and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from checkpointing import Checkpoints
from engines import OpenEngine
from trio.testing import MockClock, wait_all_tasks_blocked

from engine import slots
from engine.checkpointer import Checkpointer, Making
from engine.copies import Copy
from engine.slots import Slots


async def test_there_are_as_many_as_there_are_and_then_none() -> None:
    room = Slots()
    taken = [await room.take(who, long=False, wait=False) for who in range(slots.AT_ONCE + 1)]
    assert taken == [True] * slots.AT_ONCE + [False]
    room.give_back(0)
    assert await room.take("again", long=False, wait=False)


async def test_long_ones_leave_room_for_others() -> None:
    room = Slots()
    assert await room.take("long", long=True, wait=False)
    assert not await room.take("another long", long=True, wait=False)
    assert await room.take("short", long=False, wait=False)


async def test_one_that_becomes_long_goes_on_if_no_other_is() -> None:
    room = Slots()
    for who in ("first", "second"):
        await room.take(who, long=False, wait=False)
    assert room.lengthen("first")
    assert room.lengthen("first")
    assert not room.lengthen("second")
    room.give_back("first")
    assert room.lengthen("second")


async def test_whoever_waits_gets_the_first_that_is_given_back() -> None:
    room = Slots()
    await room.take("long", long=True, wait=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: room.take("waiting", long=True, wait=True))
        await wait_all_tasks_blocked()
        room.give_back("long")
    assert not room.are_free
    room.give_back("waiting")
    assert room.are_free


async def test_whoever_stops_waiting_leaves_no_trace() -> None:
    room = Slots()
    for who in range(slots.AT_ONCE):
        await room.take(who, long=False, wait=False)
    with trio.move_on_after(0):
        await room.take("impatient", long=True, wait=True)
    for who in range(slots.AT_ONCE):
        room.give_back(who)
    assert room.are_free
    assert await room.take("long", long=True, wait=False)


async def test_sessions_with_large_states_do_not_keep_others_from_their_checkpoints(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished, snapshot = trio.Event(), Copy.snapshot

    async def slow(copy: Copy) -> bytes:
        await finished.wait()
        return await snapshot(copy)

    told = Checkpoints()
    async with open_engine(tmp_path, observers=[told], restore_target_seconds=0) as engine:
        with monkeypatch.context() as patched:
            patched.setattr(slots, "LONG_SECONDS", 0.05)
            patched.setattr(Copy, "snapshot", slow)
            for name in ("greedy", "greedier"):
                await engine.run("let kept = 1", session=name)
            given_up = await told.wait(lambda made: made.declined is not None)
        assert given_up.declined == (
            "the snapshot takes long, and so does another one: one of such is made at a time"
        )
        await engine.run("let n = 1", session="modest")
        await told.wait(lambda made: made.declined is None)
        finished.set()
        await told.wait(lambda made: len(told.kept) == 2)


async def test_a_copy_that_ends_just_when_it_becomes_long_leaves_no_trace(
    nursery: trio.Nursery,
    autojump_clock: MockClock,  # noqa: ARG001
) -> None:
    nobody: Any = None
    for _ in range(30):  # the two that wake at the same time run in any order
        checkpointer = Checkpointer(nursery, nobody, nobody, nobody, nobody, lambda made: None)
        making = Making(lambda: None)
        await checkpointer._slots.take(making, long=False, wait=False)
        async with trio.open_nursery() as both:
            both.start_soon(checkpointer._watch, making)
            await trio.sleep(slots.LONG_SECONDS)
            making.is_over.set()
            checkpointer._slots.give_back(making)
        assert await checkpointer._slots.take("long", long=True, wait=False)
