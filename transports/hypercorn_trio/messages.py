"""Requests on their way to the application."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable

import trio
from hypercorn.config import Config
from hypercorn.trio.task_group import TaskGroup
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, Scope

from transports.hypercorn_trio import limits

logger = logging.getLogger(__name__)


class Messages:
    """Bounded queue of ASGI messages from one connection to one application call."""

    def __init__(self) -> None:
        self._waiting: deque[ASGIReceiveEvent] = deque()
        self._filled = trio.lowlevel.ParkingLot()
        self._drained = trio.lowlevel.ParkingLot()
        self._closed = False

    async def put(self, message: ASGIReceiveEvent) -> None:
        """Add a message; wait while the application is behind. A disconnect is last, and never waits."""
        if message["type"].endswith("disconnect"):
            self.close(message)
            return
        while len(self._waiting) >= limits.MAX_MESSAGES and not self._closed:
            await self._drained.park()
        if not self._closed:
            self._waiting.append(message)
            self._filled.unpark()

    async def get(self) -> ASGIReceiveEvent:
        """The next message. Several tasks may wait; after a disconnect the rest wait forever."""
        while not self._waiting:
            await self._filled.park()
        self._drained.unpark()
        return self._waiting.popleft()

    def close(self, last: ASGIReceiveEvent | None = None) -> None:
        """Take no more messages after ``last``, and let whoever waits to put one go on."""
        if not self._closed and last is not None:
            self._waiting.append(last)
            self._filled.unpark()
        self._closed = True
        self._drained.unpark_all()


class Applications(TaskGroup):
    """The application calls of one connection."""

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,  # noqa: ARG002 (Hypercorn's signature)
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start the application for one request; returns how to pass it messages."""
        messages = Messages()
        if scope["type"] == "websocket":
            send = _yielding(send)
        assert self._nursery is not None
        self._nursery.start_soon(_call, app, scope, messages, send)
        return messages.put


def _yielding(
    send: Callable[[ASGISendEvent | None], Awaitable[None]],
) -> Callable[[ASGISendEvent | None], Awaitable[None]]:
    """``send`` for a WebSocket: Hypercorn's returns at once when that is closed, and an application that
    sends on and on would keep the run to itself.
    """

    async def send_and_yield(message: ASGISendEvent | None) -> None:
        await send(message)
        await trio.lowlevel.checkpoint()

    return send_and_yield


async def _call(
    app: AppWrapper,
    scope: Scope,
    messages: Messages,
    send: Callable[[ASGISendEvent | None], Awaitable[None]],
) -> None:
    try:
        await app(scope, messages.get, send, trio.to_thread.run_sync, trio.from_thread.run)
    except* Exception:
        logger.exception("the application failed")
    finally:
        messages.close()
        await send(None)
