"""The open connections of MCP's session protocol (2025 and before), and how long each may stay.

The SDK's own manager keeps every session for the same time and refuses new ones when it is full, so
that abandoned handshakes lock everybody out. Here a session that never called a tool is given up
soon, and a full house makes room by ending the one that has been idle longest, of the owner with most.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from math import inf
from typing import Any

import trio
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_loop
from mcp.server.streamable_http import StreamableHTTPServerTransport

from transports import asgi, errors
from transports.identity import identity
from transports.mcp.call import SCOPE_KEY, Connection, http_call
from transports.mcp.names import new_name
from transports.mcp.refusal import refuse
from transports.mcp.resumption import Budget, StreamLog

logger = logging.getLogger(__name__)

MAX_SESSIONS = 1_000
"""Sessions that may be open at once."""
IDLE_SECONDS = 1_800.0
"""Time without a request after which a session ends."""
UNUSED_SECONDS = 60.0
"""The same for a session that never called a tool."""
RETRY_MS = 1_000
"""Time after which a client comes back to a stream that ended before its answer, in milliseconds."""


class Session:
    """One open session: its transport, and since when it has had nothing to do."""

    def __init__(self, name: str, owner: str, budget: Budget) -> None:
        self.owner = owner
        """For everybody else it does not exist."""
        self.connection = Connection()
        self.idle_since = inf
        """Trio's clock; infinite while a request is in flight."""
        self.streams = StreamLog(budget)
        self.transport = StreamableHTTPServerTransport(
            name, event_store=self.streams, retry_interval=RETRY_MS
        )
        self.life = trio.CancelScope()
        self._requests = 0

    @property
    def id(self) -> str:
        """What clients name it by."""
        assert self.transport.mcp_session_id is not None
        return self.transport.mcp_session_id

    @property
    def over(self) -> bool:
        """Whether it takes no more requests."""
        return self.life.cancel_called or self.transport.is_terminated

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request is in flight, or a stream open: it holds the session."""
        self._requests += 1
        self.idle_since = self.life.deadline = inf
        try:
            yield
        finally:
            self._requests -= 1
            if not self._requests:
                self.idle_since = trio.current_time()
                self.life.deadline = self.idle_since + (
                    IDLE_SECONDS if self.connection.used else UNUSED_SECONDS
                )


class Sessions:
    """An ASGI application for requests of the session protocol. It serves while ``run`` is open."""

    def __init__(self, server: Server[Any], node: str = "") -> None:
        """``node``: this one's id in its cluster."""
        self._server = server
        self._node = node
        self._budget = Budget()
        self._open: dict[str, Session] = {}
        self._nursery: trio.Nursery | None = None
        self._lifespan: Any = None

    def __len__(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Take requests; on the way out every session is ended, and with it its open streams."""
        async with self._server.lifespan(self._server) as self._lifespan, trio.open_nursery() as nursery:
            self._nursery = nursery
            yield
            nursery.cancel_scope.cancel()

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one HTTP request; one without a session's id opens a session."""
        name = asgi.header(scope, b"mcp-session-id")
        if name is None:
            await self._serve_opening(scope, receive, send)
        elif (session := self._find(name, identity(scope).owner)) is None:
            gone = "there is no such MCP session: begin anew with `initialize`"
            await refuse(scope, send, errors.answer(404, gone, "not_found"))
        else:
            await _serve(session, scope, receive, send)
            if session.over:  # by DELETE
                self._forget(session)

    async def _serve_opening(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if not self._make_room():
            full = f"{MAX_SESSIONS:,} MCP sessions are busy: try again, and end with DELETE those not needed"
            await refuse(scope, send, errors.answer(503, full, "busy"))
            return
        session = Session(new_name(self._node), identity(scope).owner, self._budget)
        status = 500

        async def watch(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        self._open[session.id] = session
        try:
            assert self._nursery is not None
            await self._nursery.start(self._live, session)
            await _serve(session, scope, receive, watch)
        finally:
            if status >= 400:  # it was no handshake
                session.life.cancel()
                self._forget(session)

    def _make_room(self) -> bool:
        """End an idle session if there are too many, so that no owner's crowd out those of others.

        One of the owner that has most; one that was never used before others; the one idle longest.
        """
        if len(self._open) < MAX_SESSIONS:
            return True
        idle = [session for session in self._open.values() if session.idle_since < inf]
        if not idle:
            return False
        held = Counter(session.owner for session in self._open.values())
        last = min(
            idle,
            key=lambda session: (-held[session.owner], session.connection.used, session.idle_since),
        )
        last.life.cancel()
        self._forget(last)
        return True

    async def _live(self, session: Session, task_status: trio.TaskStatus[None]) -> None:
        """Pass the session's messages to the server until it ends, in whatever way."""
        try:
            async with session.transport.connect() as (incoming, outgoing):
                task_status.started()
                with session.life:
                    await serve_loop(
                        self._server,
                        incoming,
                        outgoing,
                        lifespan_state=self._lifespan,
                        session_id=session.id,
                    )
        except* Exception:
            logger.exception("an MCP session failed")
        finally:
            self._forget(session)
            session.streams.close()
            with trio.CancelScope(shield=True):
                await session.transport.terminate()

    def _find(self, name: str, owner: str) -> Session | None:
        """The owner's session of that id, if it takes requests."""
        session = self._open.get(name)
        return None if session is None or session.over or session.owner != owner else session

    def _forget(self, session: Session) -> None:
        self._open.pop(session.id, None)


async def _serve(session: Session, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    with session.request():
        call = http_call("mcp", scope, session.connection)
        await session.transport.handle_request({**scope, SCOPE_KEY: call}, receive, send)
