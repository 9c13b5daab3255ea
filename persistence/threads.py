"""Blocking work in threads, on a machine that may have none to give."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")

NO_THREAD = "no thread could be started, since there may be no more processes, or no memory is left"


class NoThread(Exception):
    """The machine gave none; nothing was done."""


async def run(work: Callable[[], T], limiter: trio.CapacityLimiter) -> T:
    """What ``work`` comes to in a thread; once it has begun, a cancellation waits for its end.

    Raises NoThread.
    """
    begun = False

    def begin() -> T:
        nonlocal begun
        begun = True
        return work()

    try:
        return await trio.to_thread.run_sync(begin, limiter=limiter)
    except RuntimeError as failed:  # of Python's threads; one that ``work`` raises is a bug
        if begun:
            raise
        raise NoThread(NO_THREAD) from failed
