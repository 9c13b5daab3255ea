"""The little of ASGI that the doors speak by themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from transports.errors import ErrorAnswer

Scope = Any
"""A connection's scope; Hypercorn, Quart and Starlette each have their own type for it."""
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that (lower-case) name."""
    return next((value.decode("latin1") for key, value in scope["headers"] if key == name), None)


async def send_error(scope: Scope, send: Send, told: ErrorAnswer) -> None:
    """Answer an HTTP request, or refuse a WebSocket, with an error."""
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(told.body)).encode()),
        *((name.encode(), value.encode()) for name, value in told.headers),
    ]
    await send({"type": f"{kind}.start", "status": told.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": told.body, "more_body": False})
