"""Answers in lines of JSON: long work that tells as it goes, such as a replay.

An ASGI application of its own, in front of Quart: a stream has no response timeout, and sees its client
leave, which ends the work. Whatever fails before the first line is the answer, with its status; what fails
after that is the last line, an error object. The line that ends the work as it should is the view's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import msgspec
import trio
from msgspec import Struct

from transports import errors
from transports.asgi import (
    JsonAnswer,
    Receive,
    Scope,
    Send,
    cancel_when_gone,
    read_body,
)
from transports.identity import identity
from transports.rest.door import RouteDoor
from transports.rest.routes import LINES, Asked, Route, Stream, asked_of
from transports.settings import HttpSettings

MAX_STREAMS = 64
"""Answers of this kind that are on their way at once."""
KEEP_ALIVE_SECONDS = 15.0
"""Silence after which an empty line is sent."""
STALLED_SECONDS = 300.0
"""A client that takes nothing for so long, while there is something to take, has left."""
_HEADERS = [
    (b"content-type", LINES.encode()),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class LinesDoor(RouteDoor):
    """Serves the routes that answer in lines; whoever takes nothing for ``stalled_seconds`` has left."""

    def __init__(
        self, routes: Iterable[Route], settings: HttpSettings, stalled_seconds: float = STALLED_SECONDS
    ) -> None:
        own = (route for route in routes if route.stream is not None)
        super().__init__(own, "answers in lines", MAX_STREAMS)
        self._settings = settings
        self._stalled_seconds = stalled_seconds

    async def _serve(
        self, route: Route, path: Mapping[str, str], scope: Scope, receive: Receive, send: Send
    ) -> JsonAnswer | None:
        assert route.stream is not None
        body = partial(read_body, scope, receive, self._settings.body_bytes)
        asked = await asked_of(route, path, scope["query_string"], scope, identity(scope), body)
        if isinstance(asked, JsonAnswer):
            return asked
        return await _run(route.stream, asked, receive, send, self._stalled_seconds)


async def _run(
    stream: Stream, asked: Asked[Any, Any], receive: Receive, send: Send, stalled_seconds: float
) -> JsonAnswer | None:
    """Let the view send its lines while the client is there; what it came to instead of the first one."""
    failure: JsonAnswer | None = None
    async with trio.open_nursery() as nursery:
        lines = _Lines(send, stalled_seconds, nursery.cancel_scope)
        nursery.start_soon(cancel_when_gone, receive, nursery.cancel_scope)
        nursery.start_soon(lines.keep_alive)
        try:
            await stream(asked, lines.tell)
        except Exception as error:  # noqa: BLE001 (the boundary: what is no refusal is logged, and a 500)
            failure = errors.failure_answer(error)
        if failure is not None and not lines.has_begun:
            nursery.cancel_scope.cancel()
            return failure
        await lines.end(b"" if failure is None else failure.body + b"\n")
        nursery.cancel_scope.cancel()
    return None


class _Lines:
    """What is sent, in order. ``answer`` is cancelled once nothing is taken for so many seconds."""

    def __init__(self, send: Send, stalled_seconds: float, answer: trio.CancelScope) -> None:
        self._send = send
        self._stalled_seconds, self._answer = stalled_seconds, answer
        self._turn = trio.Lock()
        self._last = trio.current_time()
        self.has_begun = False

    async def tell(self, line: Struct) -> None:
        """Send one line."""
        await self._write(msgspec.json.encode(line) + b"\n")

    async def end(self, data: bytes) -> None:
        """Send what is left."""
        await self._write(data, more=False)

    async def keep_alive(self) -> None:
        """For ever: break the silence."""
        while True:
            await trio.sleep_until(self._last + KEEP_ALIVE_SECONDS)
            if trio.current_time() >= self._last + KEEP_ALIVE_SECONDS:
                await self._write(b"\n")

    async def _write(self, data: bytes, *, more: bool = True) -> None:
        async with self._turn:
            with trio.move_on_after(self._stalled_seconds) as patience:
                if not self.has_begun:
                    self.has_begun = True
                    await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
                self._last = trio.current_time()
                await self._send({"type": "http.response.body", "body": data, "more_body": more})
            if patience.cancelled_caught:
                self._answer.cancel()
        await trio.lowlevel.checkpoint_if_cancelled()
