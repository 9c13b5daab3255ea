"""Trio in a thread beside the main one."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from concurrent.futures import TimeoutError as NotInTime
from contextlib import asynccontextmanager

import pytest
import trio

from cli.repl.background import Background
from cli.target.failures import Failed

SECONDS = 20


class Opened:
    """Something that is open in the block; ``events`` tells of its life."""

    def __init__(self, *, hangs: bool = False, fails: bool = False) -> None:
        self.events: list[str] = []
        self.begun = threading.Event()
        self._hangs, self._fails = hangs, fails

    @asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        """Hang, fail, or give 7."""
        self.begun.set()
        try:
            if self._hangs:
                await trio.sleep_forever()
            if self._fails:
                raise Failed("it cannot be opened")
            yield 7
        finally:
            self.events.append("closed")


async def answer() -> str:
    """Comes to something, after a while."""
    await trio.lowlevel.checkpoint()
    return "answer"


async def failing() -> None:
    """Fails in a nursery, as most does."""
    async with trio.open_nursery():
        raise Failed("it failed")


def test_work_is_done_in_the_other_thread_and_what_it_comes_to_is_waited_for() -> None:
    opened = Opened()
    background = Background(opened.open)
    assert background.open() == 7
    assert background.call(answer).result(SECONDS) == "answer"
    with pytest.raises(Failed, match="it failed"):
        background.call(failing).result(SECONDS)
    endless = background.call(trio.sleep_forever)
    with pytest.raises(NotInTime):
        endless.result(0)
    endless.cancel()
    with pytest.raises(Failed, match="given up"):
        endless.result(SECONDS)
    assert background.call(answer).result(SECONDS) == "answer"
    left = background.call(trio.sleep_forever)
    background.close(SECONDS)
    assert opened.events == ["closed"]
    with pytest.raises(Failed, match="given up"):
        left.result(SECONDS)
    with pytest.raises(Failed, match="given up"):
        background.call(answer)


def test_what_cannot_be_opened_is_told_where_it_is_waited_for() -> None:
    background = Background(Opened(fails=True).open)
    with pytest.raises(Failed, match="cannot be opened"):
        background.open()
    background.close(SECONDS)


def test_what_is_being_opened_is_given_up_by_closing() -> None:
    opened = Opened(hangs=True)
    background = Background(opened.open)
    failures: list[Exception] = []

    def wait() -> None:
        try:
            background.open()
        except Failed as failed:
            failures.append(failed)

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert opened.begun.wait(SECONDS)
    background.close(SECONDS)
    waiting.join(SECONDS)
    assert opened.events == ["closed"]
    assert len(failures) == 1
