"""``/mcp``: MCP's streamable HTTP, in the revisions with sessions (2025) and without (2026)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import trio
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from engine.errors import Unavailable
from transports import asgi, errors
from transports.mcp.call import SCOPE_KEY, http_call
from transports.mcp.paths import PATH
from transports.mcp.posted import unfit
from transports.mcp.refusal import as_json_rpc, refuse
from transports.mcp.sessions import Sessions
from transports.settings import DEFAULTS, HttpSettings

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 1.0
"""Time that answers to what is over have to leave when the server ends."""
_METHODS = ("GET", "POST", "DELETE")

_HOW_TO_POST = (
    "this is an MCP endpoint: POST JSON-RPC to it, beginning with `initialize`, with "
    "'Content-Type: application/json' and 'Accept: application/json, text/event-stream'"
)


class StreamableDoor:
    """An ASGI application for ``PATH``. It serves while ``run`` is open."""

    def __init__(self, server: Server[Any], settings: HttpSettings = DEFAULTS) -> None:
        self._settings = settings
        self._open = False
        self._posts = 0
        self._answered = trio.Event()
        self.sessions = Sessions(server, settings.node)
        self._sessionless = StreamableHTTPSessionManager(server, stateless=True)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Take requests; on the way out calls are answered, then every session and its open streams end."""
        try:
            async with self._sessionless.run(), self.sessions.run():
                self._open = True
                yield
                self._open = False
                with trio.move_on_after(ANSWER_SECONDS):
                    while self._posts:
                        await self._answered.wait()
        finally:
            self._open = False

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one HTTP request: its body is complete before the SDK hears of it."""
        try:
            body = await asgi.read_body(scope, receive, self._settings.body_bytes)
        except asgi.Gone:
            logger.info("a client went away before its request was complete")
        except asgi.BodyRefused as refused:
            await refuse(scope, send, errors.body_answer(refused))
        else:
            if (refusal := self._refusal(scope, body)) is None:
                with self._answering(scope):
                    await self._serve(scope, asgi.replay(body, receive), send)
            else:
                await asgi.send_answer(scope, send, refusal)

    @contextmanager
    def _answering(self, scope: asgi.Scope) -> Iterator[None]:
        """A request is being answered; those that only listen are not waited for."""
        posted = scope["method"] == "POST"
        self._posts += posted
        try:
            yield
        finally:
            self._posts -= posted
            answered, self._answered = self._answered, trio.Event()
            answered.set()

    def _refusal(self, scope: asgi.Scope, body: bytes) -> asgi.JsonAnswer | None:
        """The answer to what the SDK need not see."""
        if not self._open:
            return as_json_rpc(errors.engine_answer(Unavailable("the server is stopping")))
        if scope["method"] == "POST":
            return unfit(scope, body)
        methods = _METHODS if _has_sessions(scope) else ("POST",)
        if scope["method"] not in methods:
            return as_json_rpc(errors.method_answer(scope["method"], PATH, ", ".join(methods)))
        if asgi.header(scope, b"mcp-session-id") is None:
            return as_json_rpc(errors.answer(400, _HOW_TO_POST, "bad_request"))
        return None

    async def _serve(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if _has_sessions(scope):
            await self.sessions(scope, receive, send)
        else:
            scope = {**scope, SCOPE_KEY: http_call("mcp", scope, None)}
            await self._sessionless.handle_request(scope, receive, send)


def _has_sessions(scope: asgi.Scope) -> bool:
    """Whether the request is of a revision that has sessions."""
    version = asgi.header(scope, b"mcp-protocol-version")
    return version is None or version in HANDSHAKE_PROTOCOL_VERSIONS
