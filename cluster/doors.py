"""Requests that belong to another node: those of an MCP client whose connection that has, and those that
follow a session that it has, whose console only it can tell while code runs.

A client's connection is a session of MCP's streamable HTTP, or a stream of server-sent events; its name says
which node has it, and lives in that node's memory. A balancer may send each request anywhere. Where that node
is gone, the application here answers that there is no such connection (404), as MCP wants it: the client
makes a new one, and finds its JavaScript session, which is in the log.
"""

from __future__ import annotations

from collections.abc import Callable

from cluster.tunnel import FORWARDED, Tunnel
from engine.errors import EngineError, InvalidField
from transports import asgi, errors
from transports.identity import identity
from transports.mcp.names import node_of
from transports.mcp.paths import PATH, POST_PATH, STREAM_PARAMETER
from transports.mcp.refusal import as_json_rpc
from transports.request import query_parameters
from transports.rest.session_stream import PATH as SESSION_STREAM_PATH

_STREAMABLE = (PATH, f"{PATH}/")


class HeldElsewhere:
    """An ASGI application behind the gate, in front of ``here``, this node's own."""

    def __init__(
        self,
        here: asgi.Application,
        tunnel: Tunnel,
        node: str,
        is_member: Callable[[str], bool],
        node_of_session: Callable[[str, str], str | None],
    ) -> None:
        """``node`` is this one; ``is_member`` says whether another is there, and ``node_of_session`` which
        one has an owner's session.
        """
        self._here = here
        self._node_of_session = node_of_session
        self._tunnel = tunnel
        self._node = node
        self._is_member = is_member

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one connection scope."""
        holder = self._follows(scope) if scope["type"] == "websocket" else _holder(scope)
        if holder in ("", self._node) or FORWARDED in scope or not self._is_member(holder):
            await self._here(scope, receive, send)
            return
        try:
            await self._tunnel.forward(holder, scope, receive, send)
        except EngineError as error:
            told = errors.engine_answer(error)
            await asgi.send_answer(scope, send, as_json_rpc(told) if scope["path"] in _STREAMABLE else told)

    def _follows(self, scope: asgi.Scope) -> str:
        """The node that has the session which a WebSocket is to follow; empty if none has."""
        path = SESSION_STREAM_PATH.fullmatch(scope["path"])
        return "" if path is None else self._node_of_session(identity(scope).owner, path[1]) or ""


def _holder(scope: asgi.Scope) -> str:
    """The node that has the connection which a request belongs to; empty if it belongs to none."""
    if scope["type"] != "http":
        return ""
    name = None
    if scope["path"] in _STREAMABLE:
        name = asgi.header(scope, b"mcp-session-id")
    elif scope["path"] == POST_PATH:
        try:
            name = query_parameters(scope["query_string"]).get(STREAM_PARAMETER)
        except InvalidField:
            return ""  # as will be answered
    return "" if name is None else node_of(name)
