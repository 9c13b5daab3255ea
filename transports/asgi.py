"""The little of ASGI that the doors speak by themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

Scope = Any
"""A connection's scope; Hypercorn, Quart and Starlette each have their own type for it."""
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Gone(Exception):
    """The client went away before its request was complete."""


class BodyTooLarge(Exception):
    """A request's body is over the limit."""


class JsonAnswer(Struct, frozen=True):
    """A JSON response."""

    status: int
    body: bytes
    """JSON text in UTF-8."""
    headers: tuple[tuple[str, str], ...] = ()
    """Beside content-type and content-length; ASCII."""


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that (lower-case) name."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin1")
            return text
    return None


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The request's body. Raises BodyTooLarge over ``limit`` bytes, and Gone."""
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge
    chunks: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        chunks.append(message.get("body", b""))
        limit -= len(chunks[-1])
        if limit < 0:
            raise BodyTooLarge
        more = message.get("more_body", False)
    return b"".join(chunks)


async def disconnected(receive: Receive) -> None:
    """Wait until the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_answer(scope: Scope, send: Send, answer: JsonAnswer) -> None:
    """Answer an HTTP request, or refuse a WebSocket."""
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer.body))]
    headers += [(name.encode(), value.encode()) for name, value in answer.headers]
    await send({"type": f"{kind}.start", "status": answer.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": answer.body, "more_body": False})
