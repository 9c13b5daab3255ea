"""Requests that another node is to answer: passed there whole, with what comes and goes after them.

What travels are the messages of ASGI, of HTTP requests and of WebSockets. The node that a client is connected
to has let it in, and says who it is; the other one runs its own application, behind its gate.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import msgspec
import trio
from msgspec import Struct

from cluster.peers import Call, Exchange, Peers
from engine.errors import EngineError, Unavailable
from transports import asgi
from transports.identity import SCOPE_KEY, Identity, identity

_log = logging.getLogger(__name__)

METHOD: Final = "asgi"
"""Of the calls that carry requests."""
FORWARDED: Final = "mcp-v8.forwarded"
"""Where the scope of a request that came from another node has that node's name."""
_MAX_BODY: Final = 1 << 20
"""Bytes of a response's body that travel in one message."""
_CARRIED: Final = (
    "type",
    "asgi",
    "http_version",
    "method",
    "scheme",
    "path",
    "raw_path",
    "query_string",
    "root_path",
    "headers",
    "client",
    "server",
    "subprotocols",
)
"""Of a scope; what is left out means something to the process alone that it is of."""
_DISCONNECT: Final = {
    "http": {"type": "http.disconnect"},
    "websocket": {"type": "websocket.disconnect", "code": 1001},
}


class _Request(Struct, array_like=True, frozen=True):
    """What begins a call."""

    scope: dict[str, Any]
    identity: Identity | None
    """Who asks; None where the gate found that nobody needs to be known."""


_decode_request = msgspec.msgpack.Decoder(_Request).decode
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode
_encode = msgspec.msgpack.Encoder().encode


class Tunnel:
    """Both ends of it, at one node."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._app: asgi.Application | None = None
        self._nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def running(self, app: asgi.Application) -> AsyncIterator[None]:
        """Answer other nodes' requests with ``app``; what is not over on the way out is cancelled."""
        async with trio.open_nursery() as self._nursery:
            self._app = app
            try:
                yield
            finally:
                self._app = None
                self._nursery.cancel_scope.cancel()

    async def forward(self, node: str, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Let another node serve a connection scope.

        Raises NodeLost and other errors of the engine if that came to nothing, so that something else can be
        answered; once an answer has begun it is cut off instead.
        """
        carried = {key: scope[key] for key in _CARRIED if key in scope}
        request = _Request(carried, identity(scope) if SCOPE_KEY in scope else None)
        async with self._peers.call(node, METHOD, _encode(request)) as exchange:
            answer = _Answer(exchange, send)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_tell, exchange, receive, nursery.cancel_scope)
                await answer.pass_on()
                nursery.cancel_scope.cancel()
        if answer.failure is None:
            return
        if not answer.begun:
            raise answer.failure
        _log.info("the answer of node %s was cut off: %s", node, answer.failure)

    async def serve(self, call: Call) -> None:
        """Serve a request of another node: the handler of METHOD.

        An application whose client goes away is told that, and not cancelled.
        """
        if self._app is None or self._nursery is None:
            raise Unavailable("the node that was asked is starting or stopping")
        request = _decode_request(call.request)
        served = _Served(call, _scope(request, call.node))
        self._nursery.start_soon(served.run, self._app)
        try:
            await served.over.wait()
        finally:
            served.leave()
        if served.failed:
            raise EngineError("the node that was asked failed")


def _scope(request: _Request, node: str) -> dict[str, Any]:
    """What the application gets, of a request that came from a node."""
    scope = {**request.scope, "state": {}, "extensions": {}, FORWARDED: node}
    scope["headers"] = [tuple(header) for header in scope["headers"]]
    if scope["type"] == "websocket":
        scope["extensions"]["websocket.http.response"] = {}
    if request.identity is not None:
        scope[SCOPE_KEY] = request.identity
    return scope


async def _tell(exchange: Exchange, receive: asgi.Receive, life: trio.CancelScope) -> None:
    """Tell the other node what the client says; when it leaves, cancel ``life``."""
    try:
        while not (message := await receive())["type"].endswith(".disconnect"):
            await exchange.send(_encode(message))
    except EngineError:
        return  # that it came to nothing, the answer says
    life.cancel()


class _Answer:
    """What the other node answers."""

    def __init__(self, exchange: Exchange, send: asgi.Send) -> None:
        self._exchange = exchange
        self._send = send
        self.begun = False
        self.failure: EngineError | None = None
        """Why it did not come to its end."""

    async def pass_on(self) -> None:
        """Tell the client, to the end."""
        try:
            while (message := await self._exchange.receive()) is not None:
                self.begun = True
                await self._send(_decode(message))
        except EngineError as error:
            self.failure = error


class _Served:
    """A request of another node, being answered here."""

    def __init__(self, call: Call, scope: dict[str, Any]) -> None:
        self._call = call
        self._scope = scope
        self._gone = trio.Event()
        self._sending = trio.Lock()
        self._waiting: set[trio.CancelScope] = set()
        self.over = trio.Event()
        self.failed = True
        """Whether the application did not answer to the end."""

    def leave(self) -> None:
        """The client is gone, or the node that it is connected to."""
        self._gone.set()
        for waiting in self._waiting:
            waiting.cancel()

    async def run(self, app: asgi.Application) -> None:
        """Let the application answer. Its errors are logged and go no further."""
        try:
            await app(self._scope, self._receive, self._send)
            self.failed = False
        except Exception:  # noqa: BLE001 (the boundary: logged, and told)
            _log.exception("the application failed")
        finally:
            self.over.set()

    async def _receive(self) -> Any:
        with self._until_gone():
            message = None if self._gone.is_set() else await self._call.receive()
            if message is not None:
                return _decode(message)
        await self._gone.wait()
        return _DISCONNECT[self._scope["type"]]

    async def _send(self, message: Any) -> None:
        if self._sending.locked():  # an application may answer from several tasks
            await self._sending.acquire()
        else:  # without a pass of the scheduler, so that head, body and end share a message
            self._sending.acquire_nowait()
        try:
            if not self._gone.is_set():
                with self._until_gone():
                    for part in _parts(message):
                        await self._call.send(_encode(part))
        finally:
            self._sending.release()

    @contextmanager
    def _until_gone(self) -> Iterator[None]:
        """What is done in the block is cut off when the client goes."""
        with trio.CancelScope() as waiting:
            self._waiting.add(waiting)
            try:
                yield
            finally:
                self._waiting.discard(waiting)


def _parts(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same, in messages that are not too long."""
    body = message.get("body", b"")
    if len(body) <= _MAX_BODY:
        yield message
        return
    for begin in range(0, len(body), _MAX_BODY):
        end = begin + _MAX_BODY
        yield {
            **message,
            "body": body[begin:end],
            "more_body": end < len(body) or message.get("more_body", False),
        }
