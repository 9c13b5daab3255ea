"""Ctrl-C: the end of some work, after which a command still says what it came to; heard at any moment."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

_NUDGE = signal.SIGURG
_NUDGE_SECONDS = 0.05


@asynccontextmanager
async def until_interrupted() -> AsyncIterator[trio.CancelScope]:
    """A block that Ctrl-C ends, quietly: then the scope has ``cancelled_caught``. A second one ends all."""
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(_wait, scope)
            yield scope
            nursery.cancel_scope.cancel()


async def _wait(scope: trio.CancelScope, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            scope.cancel()
            return


@contextmanager
def heard() -> Iterator[None]:
    """See to it in the block that a signal is handled, whatever the main thread waits for.

    Python only notes a signal; what the main thread waits for in C (a key, a lock) is then to be interrupted.
    A signal that comes just before such a wait begins interrupts nothing, and would be noticed with the next
    key. So others, which mean nothing, follow each until it is handled.
    """
    is_handled = True

    def handle(_number: int, _frame: object) -> None:
        nonlocal is_handled
        is_handled = True  # as is each that was noted before: Python handles them by their numbers

    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(writer, False)
    main = threading.get_ident()
    before = signal.signal(_NUDGE, handle)
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def nudge() -> None:
        nonlocal is_handled
        while numbers := os.read(reader, 64):
            if numbers.strip(bytes([_NUDGE])):
                is_handled = False
                while not is_handled:
                    time.sleep(_NUDGE_SECONDS)
                    signal.pthread_kill(main, _NUDGE)

    thread = threading.Thread(target=nudge, name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(wakeup)
        os.close(writer)
        thread.join()
        os.close(reader)
        signal.signal(_NUDGE, before)
