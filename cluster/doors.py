"""Requests of an MCP client whose connection another node has: sent there.

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
from transports.mcp.names import node_of
from transports.mcp.paths import PATH, POST_PATH, STREAM_PARAMETER
from transports.mcp.refusal import as_json_rpc
from transports.request import query_parameters

_STREAMABLE = (PATH, f"{PATH}/")


class HeldElsewhere:
    """An ASGI application behind the gate, in front of ``here``, this node's own."""

    def __init__(
        self, here: asgi.Application, tunnel: Tunnel, node: str, is_member: Callable[[str], bool]
    ) -> None:
        """``node`` is this one; ``is_member`` says whether another is there."""
        self._here = here
        self._tunnel = tunnel
        self._node = node
        self._is_member = is_member

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one connection scope."""
        holder = _holder(scope)
        if holder in ("", self._node) or FORWARDED in scope or not self._is_member(holder):
            await self._here(scope, receive, send)
            return
        try:
            await self._tunnel.forward(holder, scope, receive, send)
        except EngineError as error:
            told = errors.engine_answer(error)
            await asgi.send_answer(scope, send, as_json_rpc(told) if scope["path"] in _STREAMABLE else told)


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
