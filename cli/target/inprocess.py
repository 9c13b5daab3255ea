"""Requests to an ASGI application in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio

from cli.target.client import Body, Response
from transports.asgi import Application, Scope
from transports.identity import SCOPE_KEY, Identity


class InProcess:
    """Asks ``application`` in the name of ``who``, by way of the program ``agent``."""

    def __init__(self, application: Application, where: str, who: Identity, agent: str) -> None:
        self._application = application
        self.where = where
        self._who = who
        self._agent = agent

    @asynccontextmanager
    async def send(
        self, method: str, path: str, query: str, body: Body, headers: Mapping[str, str]
    ) -> AsyncIterator[Response]:
        """See ``Transport``."""
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [
                (b"user-agent", self._agent.encode()),
                *((name.encode(), value.encode()) for name, value in headers.items()),
            ],
            SCOPE_KEY: self._who,
        }
        exchange = _Exchange(body)
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange.run, self._application, scope)
            await exchange.started.wait()
            try:
                yield Response(exchange.status, exchange.chunks())
            except Exception as error:  # noqa: BLE001 (raised again below, and not in a group)
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure


class _Exchange:
    """One request, and what comes back; the application waits until it is read."""

    def __init__(self, body: Body) -> None:
        self._body = body if isinstance(body, bytes) else aiter(body)
        self._is_read = False
        self._put, self._got = trio.open_memory_channel[bytes](0)
        self.started = trio.Event()
        self.status = 0

    async def run(self, application: Application, scope: Scope) -> None:
        """Let the application serve it. An answer that it has not sent to its end ends with it."""
        with self._put:
            await application(scope, self.receive, self.send)

    async def receive(self) -> dict[str, Any]:
        """The body, then nothing more: whoever asks leaves by ending the application."""
        if self._is_read:
            await trio.sleep_forever()
        piece = self._body if isinstance(self._body, bytes) else await anext(self._body, None)
        self._is_read = piece is None or isinstance(self._body, bytes)
        return {"type": "http.request", "body": piece or b"", "more_body": not self._is_read}

    async def send(self, message: dict[str, Any]) -> None:
        """A part of the answer."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.started.set()
            return
        if message["body"]:
            await self._put.send(message["body"])
        if not message.get("more_body", False):
            await self._put.aclose()

    async def chunks(self) -> AsyncIterator[bytes]:
        """What was sent."""
        async for chunk in self._got:
            yield chunk
