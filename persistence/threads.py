"""Blocking work in threads, on a machine that may have none to give."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")

NO_THREAD = "no thread could be started, since there may be no more processes, or no memory is left"


class NoThread(Exception):
    """The machine gave none; nothing was done."""


async def run(work: Callable[[], T], limiter: trio.CapacityLimiter, *, abandon: bool = False) -> T:
    """What ``work`` comes to in a thread; once it has begun, a cancellation waits for its end.

    ``abandon``: it does not, and the work goes on, of which nobody hears. Raises NoThread.
    """
    begun = False

    def begin() -> T:
        nonlocal begun
        begun = True
        return work()

    try:
        return await trio.to_thread.run_sync(begin, limiter=limiter, abandon_on_cancel=abandon)
    except RuntimeError as failed:  # of Python's threads; one that ``work`` raises is a bug
        if begun:
            raise
        raise NoThread(NO_THREAD) from failed


async def run_awhile(work: Callable[[], T], limiter: trio.CapacityLimiter, seconds: float) -> T:
    """The same; a cancellation waits for so long at most. What ends in time is returned all the same."""
    await trio.lowlevel.checkpoint_if_cancelled()
    begun = False
    result: list[T] = []
    failure: Exception | None = None
    working = trio.CancelScope(shield=True)

    def begin() -> T:
        nonlocal begun
        begun = True
        return work()

    async def watch() -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:  # is not raised here: whoever called meets it at its next checkpoint
            working.deadline = trio.current_time() + (seconds if begun else 0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        with working:
            try:
                result.append(await run(begin, limiter, abandon=True))
            except Exception as failed:  # noqa: BLE001 (raised again, outside of the nursery)
                failure = failed
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if not result:
        await trio.lowlevel.checkpoint_if_cancelled()
    return result[0]
