"""Ctrl-C as the end of some work, after which the command still says what it came to."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


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
