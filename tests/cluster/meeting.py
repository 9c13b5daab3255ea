"""Nodes of a cluster in this process: their doors on loopback, and what connects them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio

from cluster.peers import Call, Handler, Passport, PeerDoor, Peers
from transports.hypercorn_trio import ServerConfig, serve

SECRET = b"a secret of the tests' own"


async def echo(call: Call) -> None:
    """Says what it is told, to the end."""
    await call.send(call.request)
    while (frame := await call.receive()) is not None:
        await call.send(frame)


class Node:
    """One node: what it is called by, and what it calls others with."""

    def __init__(self, passport: Passport, door: PeerDoor, peers: Peers, port: int) -> None:
        self.passport, self.door, self.peers, self.port = passport, door, peers, port

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@asynccontextmanager
async def node(
    name: str,
    book: dict[str, str],
    handlers: Mapping[str, Handler] | None = None,
    secret: bytes = SECRET,
    cluster: str = "mcp-v8",
) -> AsyncIterator[Node]:
    """A node that finds others in ``book``, and is found there."""
    passport = Passport(cluster, name, secret)
    door = PeerDoor(passport, {"echo": echo} if handlers is None else handlers)
    peers = Peers(passport, book.get)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})
        else:
            assert scope["type"] == "websocket"
            await door(scope, receive, send)

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, app, ServerConfig(), listeners, stop)
        async with door.running(), peers.running():
            book[name] = f"127.0.0.1:{port}"
            yield Node(passport, door, peers, port)
            book.pop(name, None)
        stop.set()


async def ask(peers: Peers, node: str, request: bytes, method: str = "echo") -> list[bytes]:
    """The frames of the answer to a call with no further frames."""
    answer = []
    with trio.fail_after(20):
        async with peers.call(node, method, request) as exchange:
            await exchange.end()
            while (frame := await exchange.receive()) is not None:
                answer.append(frame)
    return answer
