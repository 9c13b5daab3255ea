"""Servers of any application in this process, and the little of HTTP that speaks to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from transports.hypercorn_trio import Hot, ServerConfig, serve

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Running:
    """A server in this process."""

    def __init__(self, port: int, stop: trio.Event, ended: trio.Event) -> None:
        self.port, self.stop, self.ended = port, stop, ended

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def get(self) -> bytes:
        async with await self.connect() as stream:
            await stream.send_all(GET)
            return await response(stream)


@asynccontextmanager
async def serving(app: Any, hot: Hot | None = None, **settings: object) -> AsyncIterator[Running]:
    config = ServerConfig()
    for name, value in settings.items():
        assert hasattr(config, name)
        setattr(config, name, value)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    stop, ended = trio.Event(), trio.Event()

    async def run(task_status: trio.TaskStatus[None]) -> None:
        await serve(app, config, listeners, stop, hot=hot, task_status=task_status)
        ended.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda *, task_status: run(task_status))
            yield Running(listeners[0].socket.getsockname()[1], stop, ended)
            stop.set()
            await ended.wait()


async def response(stream: trio.SocketStream) -> bytes:
    """Status line, headers and body of one response with a length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += (await stream.receive_some()) or pytest.fail(f"the connection ended after {data!r}")
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += await stream.receive_some()
    return head + b"\r\n\r\n" + body


async def read_to_end(stream: trio.SocketStream) -> None:
    """Until the server ends the connection, in whatever way."""
    try:
        while await stream.receive_some():
            pass
    except trio.BrokenResourceError:
        return


def application(handler: Callable[..., Any]) -> Any:
    """An ASGI application that does ``handler`` and acknowledges the lifespan."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})
        else:
            await handler(scope, receive, send)

    return app


async def answer(send: Any, body: bytes = b"hello", status: int = 200) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
