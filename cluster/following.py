"""An execution that another node carries out, made here into what that one tells of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from cluster import messages
from cluster.messages import CANCEL, Moved, Over, Printed, Taken
from cluster.peers import Exchange
from engine.errors import EngineError, NodeLost
from engine.execution import Execution

CATCH_UP_SECONDS = 5.0
"""The log here is waited for so long, until it has what another node has recorded."""

LOST = (
    "the node that did this was lost before it had answered, and whether it was recorded is not "
    "known yet: send the request again with the same idempotency key, or look at the session"
)

CaughtUp = Callable[[int], Awaitable[None]]
"""Waits until the log here is as far as a revision."""


async def taken(exchange: Exchange) -> Taken:
    """That the other node has begun. Raises what that raises, and NodeLost."""
    told = messages.decode_told(await frame(exchange))
    if not isinstance(told, Taken):
        raise EngineError("another node tells of an execution before it has taken it")
    return told


async def frame(exchange: Exchange) -> bytes:
    """The next frame. Raises NodeLost where there is none."""
    data = await exchange.receive()
    if data is None:
        raise NodeLost(LOST)
    return data


async def follow(execution: Execution, exchange: Exchange, caught_up: CaughtUp) -> None:
    """Until it is over. Who cancels it, cancels it there. Raises NodeLost, and what it failed with there."""
    is_cancelled = False
    while True:
        data = None
        if is_cancelled:
            data = await frame(exchange)
        else:
            with execution.cancellable():
                data = await frame(exchange)
            if data is None:
                is_cancelled = True
                await exchange.send(CANCEL)
                continue
        match messages.decode_told(data):
            case Moved(session):
                execution.session = session
            case Printed(lines):
                execution.emit(lines)
            case Over(report, revision):
                with trio.move_on_after(CATCH_UP_SECONDS):
                    await caught_up(revision)
                execution.finish(report)
                return
            case Taken():
                raise EngineError("another node has taken an execution twice")
