"""Nodes of a cluster in this process: their doors on loopback, and what connects them."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio_websocket import WebSocketConnection, wrap_client_stream

from cluster.peers import Call, Exchange, Handler, Passport, PeerDoor, Peers
from cluster.peers.calling import Caller
from cluster.peers.frames import MAX_MESSAGE
from cluster.peers.serving import Service
from cluster.peers.wire import Closed
from cluster.tunnel import METHOD, Tunnel
from transports.hypercorn_trio import ServerConfig, serve

SECRET = b"a secret of the tests' own"


async def echo(call: Call) -> None:
    """Says what it is told, to the end."""
    await call.send(call.request)
    while (frame := await call.receive()) is not None:
        await call.send(frame)


class Node:
    """One node: what it is called by, and what it calls others with."""

    def __init__(self, door: PeerDoor, peers: Peers, tunnel: Tunnel, port: int) -> None:
        self.door, self.peers, self.tunnel, self.port = door, peers, tunnel, port

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
    peers = Peers(passport, book.get)
    tunnel = Tunnel(peers)
    door = PeerDoor(
        passport, {METHOD: tunnel.serve} | ({"echo": echo} if handlers is None else dict(handlers))
    )

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
            yield Node(door, peers, tunnel, port)
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


@asynccontextmanager
async def socket_to(port: int, path: str, **options: Any) -> AsyncIterator[WebSocketConnection]:
    """A WebSocket of a client who may do what it wants."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream, trio.open_nursery() as nursery:
        yield await wrap_client_stream(nursery, stream, "localhost", path, **options)
        nursery.cancel_scope.cancel()


class Proxy:
    """Passes bytes on to a node, until it is told not to."""

    def __init__(self, port: int) -> None:
        self.port = 0
        self._to = port
        self.silent = False
        self._streams: list[trio.SocketStream] = []

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        await trio.serve_listeners(self._serve, listeners, task_status=task_status)

    async def cut(self) -> None:
        for stream in self._streams:
            await trio.aclose_forcefully(stream)

    async def _serve(self, near: trio.SocketStream) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", self._to) as far, trio.open_nursery() as nursery:
            self._streams += [near, far]
            nursery.start_soon(self._pass, near, far)
            nursery.start_soon(self._pass, far, near)

    async def _pass(self, source: trio.SocketStream, target: trio.SocketStream) -> None:
        try:
            while data := await source.receive_some():
                if not self.silent:
                    await target.send_all(data)
            await target.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            await trio.aclose_forcefully(target)


@asynccontextmanager
async def between(book: dict[str, str], name: str) -> AsyncIterator[Proxy]:
    """What is between all others and a node."""
    proxy = Proxy(int(book[name].rpartition(":")[2]))
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.run)
        book[name] = f"127.0.0.1:{proxy.port}"
        yield proxy
        nursery.cancel_scope.cancel()


class MemoryWire:
    """One end of a connection that is no socket."""

    def __init__(self, out: trio.MemorySendChannel[bytes], into: trio.MemoryReceiveChannel[bytes]) -> None:
        self._out, self._into = out, into
        self.silent = False
        """Whether what is sent gets lost."""
        self.heard: list[bytes] | None = None
        """What was sent."""
        self.why = "the other end is gone"

    async def send(self, message: bytes) -> None:
        assert len(message) <= MAX_MESSAGE
        if self.heard is not None:
            self.heard.append(message)
        try:
            if not self.silent:
                await self._out.send(message)
        except trio.BrokenResourceError:
            raise Closed(1006, self.why) from None

    async def receive(self) -> bytes:
        try:
            return await self._into.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise Closed(1006, self.why) from None

    def cut(self) -> None:
        """End the connection, for both."""
        self._out.close()
        self._into.close()


def wires() -> tuple[MemoryWire, MemoryWire]:
    """Both ends."""
    one, other = trio.open_memory_channel[bytes](math.inf), trio.open_memory_channel[bytes](math.inf)
    return MemoryWire(one[0], other[1]), MemoryWire(other[0], one[1])


class Pair:
    """Both sides of a connection that is no socket."""

    def __init__(self, caller: Caller, service: Service, near: MemoryWire, far: MemoryWire) -> None:
        self.caller, self.service, self.near, self.far = caller, service, near, far

    @asynccontextmanager
    async def call(self, method: str, request: bytes = b"") -> AsyncIterator[Exchange]:
        flow = await self.caller.open(method, request)
        try:
            yield Exchange(flow)
        finally:
            self.caller.close(flow)


@asynccontextmanager
async def paired(handlers: Mapping[str, Handler]) -> AsyncIterator[Pair]:
    """A node that calls another, without sockets."""
    near, far = wires()
    pair = Pair(Caller("b", near), Service("a", far, handlers), near, far)
    with trio.fail_after(1_000):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pair.caller.run)
            nursery.start_soon(pair.service.run)
            yield pair
            nursery.cancel_scope.cancel()
