"""The little of ASGI that the doors speak by themselves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import trio
from msgspec import Struct

T = TypeVar("T")

BODY_SECONDS = 60.0
"""Time that a request's body may take to arrive."""

WHOLE_BODY = "mcp_v8.http.body"
"""Among a scope's extensions: all of the request's body, if it is there already; ``Receive`` has it, too."""

Scope = Any
"""A connection's scope; Hypercorn, Quart and Starlette each have their own type for it."""
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Gone(Exception):
    """The client went away before its request was complete."""


class BodyRefused(Exception):
    """A request's body is not taken."""


class BodyTooLarge(BodyRefused):
    """It is over the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        """In bytes."""


class BodyTooLate(BodyRefused):
    """It was not complete within BODY_SECONDS."""


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
    """The request's body, of at most so many bytes. Raises BodyTooLarge, BodyTooLate and Gone."""
    whole: bytes | None = scope.get("extensions", {}).get(WHOLE_BODY)
    if whole is not None and len(whole) <= limit:
        return whole
    declared = header(scope, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise BodyTooLarge(limit)
    with trio.move_on_after(BODY_SECONDS):
        return await _read(receive, limit)
    raise BodyTooLate


async def _read(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    room = limit
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        chunks.append(message.get("body", b""))
        room -= len(chunks[-1])
        if room < 0:
            raise BodyTooLarge(limit)
        more = message.get("more_body", False)
    return b"".join(chunks)


def replay(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body, which was read before, in one message, then what comes after it."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Any:
        return waiting.pop() if waiting else await receive()

    return replayed


async def cancel_when_gone(receive: Receive, scope: trio.CancelScope) -> None:
    """Cancel ``scope`` when the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def while_there(receive: Receive, work: Callable[[], Awaitable[T]]) -> T:
    """What ``work`` returns, or raises. Raises Gone if the client leaves before that, which cancels it."""
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as working:
            nursery.start_soon(cancel_when_gone, receive, working)
            try:
                result = await work()
            except Exception as error:  # noqa: BLE001 (raised again below, and not in a group)
                failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if working.cancelled_caught:
        raise Gone
    return result


async def send_answer(scope: Scope, send: Send, answer: JsonAnswer) -> None:
    """Answer an HTTP request, or refuse a WebSocket."""
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer.body))]
    headers += [(name.encode(), value.encode()) for name, value in answer.headers]
    await send({"type": f"{kind}.start", "status": answer.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": answer.body, "more_body": False})
