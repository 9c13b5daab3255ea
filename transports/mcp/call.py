"""What a call brings along beside its arguments: who makes it, how, and its default session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import parse_qs

from mcp.server.context import ServerRequestContext
from mcp_types import LoggingLevel
from msgspec import Struct
from starlette.requests import Request

from engine.events import Caller
from transports import asgi
from transports.identity import LOCAL, Identity, identity
from transports.mcp.home import Home

SCOPE_KEY = "mcp-v8.call"
"""Where the ASGI scope of a request to the SDK has its ``Call``."""
CALL_SECONDS = 45.0
"""A call that takes longer returns its handle: clients give up at 60 s."""
_MAX_CALLER = 128
"""Characters kept of each thing that a client says about itself."""

Transport = Literal["mcp", "sse", "stdio"]
Context = ServerRequestContext[Any, Any]


class Connection:
    """What is kept of a connection as long as it is open."""

    def __init__(self) -> None:
        self.home = Home(CALL_SECONDS)
        """The JavaScript session that is its own."""
        self.used = False
        """Whether it ever called a tool."""
        self.gone = False
        """Whether the client has left: what it began goes on, and nobody is told."""
        self.log_level: LoggingLevel = "info"
        """The least level of log notifications that it wants."""


class Call(Struct, frozen=True, kw_only=True):
    """One request's surroundings."""

    transport: Transport
    connection: Connection | None
    """None in the revision without sessions, on HTTP."""
    default_session: str | None
    """What the client's address, header or flag names."""
    identity: Identity = LOCAL
    traceparent: str = ""

    @property
    def owner(self) -> str:
        """Whose sessions it may see."""
        return self.identity.owner


def http_call(transport: Transport, scope: asgi.Scope, connection: Connection | None) -> Call:
    """The call that an HTTP request makes."""
    named = parse_qs(scope["query_string"].decode("latin1")).get("session", [None])[0]
    return Call(
        transport=transport,
        connection=connection,
        default_session=named or asgi.header(scope, b"x-mcp-session-id"),
        identity=identity(scope),
        traceparent=asgi.header(scope, b"traceparent") or "",
    )


def call_of(ctx: Context) -> Call:
    """The call that a handler of the SDK serves."""
    call = ctx.request.scope[SCOPE_KEY] if isinstance(ctx.request, Request) else ctx.request
    assert isinstance(call, Call)
    return call


def caller_of(ctx: Context) -> Caller:
    """Who calls: in their own words, and as whom they were recognized; what events record."""
    call, params = call_of(ctx), ctx.session.client_params
    return Caller(
        transport=call.transport,
        client="" if params is None else params.client_info.name[:_MAX_CALLER],
        client_version="" if params is None else params.client_info.version[:_MAX_CALLER],
        subject=call.identity.subject,
        request_id=str(ctx.request_id)[:_MAX_CALLER],
        traceparent=call.traceparent[:_MAX_CALLER],
    )


def bare(handle: str) -> str:
    """``name@n`` of ``[name@n]``, as every result ends and models repeat it."""
    return handle[1:-1] if handle.startswith("[") and handle.endswith("]") else handle


def with_default_session(call: Call, arguments: Mapping[str, object]) -> Mapping[str, object]:
    """The arguments, with the session that the client's address, header or flag names, if they name none."""
    if arguments.get("session") is not None or arguments.get("heap") is not None:
        return arguments
    return arguments if call.default_session is None else {**arguments, "session": call.default_session}
