"""Where other nodes connect: an ASGI application for the WebSocket at ``client.PATH``."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import trio

from cluster.peers.handshake import Passport, Refused, admit
from cluster.peers.serving import Handler, Service
from cluster.peers.told import ToldOnce
from cluster.peers.wire import BROKEN_PROTOCOL, GOING_AWAY, REFUSED, Closed, short
from transports import asgi, errors

_log = logging.getLogger(__name__)

MAX_STRANGERS: Final = 64
"""Connections whose introduction is not over."""


class DoorWire:
    """A connection that another node has made, as the ASGI server has it."""

    def __init__(self, receive: asgi.Receive, send: asgi.Send) -> None:
        self._receive = receive
        self._send = send

    async def send(self, message: bytes) -> None:
        """Send a message; one to a connection that is over goes nowhere, as ``receive`` tells."""
        await self._send({"type": "websocket.send", "bytes": message})

    async def receive(self) -> bytes:
        """The next message. Raises Closed."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            raise Closed(message["code"], message.get("reason") or "the other node closed it")
        data: bytes | None = message.get("bytes")
        return message["text"].encode() if data is None else data

    async def close(self, code: int, reason: str) -> None:
        """Close the connection."""
        await self._send({"type": "websocket.close", "code": code, "reason": short(reason)})


class PeerDoor:
    """Serves the calls of the other nodes. It takes connections while ``running`` is open."""

    def __init__(self, passport: Passport, handlers: Mapping[str, Handler]) -> None:
        """``handlers`` serve the methods that they are named by."""
        self._passport = passport
        self._handlers = handlers
        self._strangers = 0
        self._serving: set[Service] = set()
        self._refusals = ToldOnce(_log)
        self._open = False

    def __len__(self) -> int:
        """Connections of nodes."""
        return len(self._serving)

    @property
    def calls(self) -> int:
        """Under way here, of all nodes."""
        return sum(service.calls for service in self._serving)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take connections; on the way out they end, and what is served on them is cancelled."""
        self._open = True
        try:
            yield
        finally:
            self._open = False
            for service in self._serving:
                service.lose("this node stops")

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one connection."""
        await receive()  # websocket.connect
        if not self._open or self._strangers >= MAX_STRANGERS:
            why = "too many nodes connect at once" if self._open else "this node stops"
            await asgi.send_answer(scope, send, errors.answer(503, why, "unavailable"))
            return
        client, wire = (scope.get("client") or ("somewhere",))[0], DoorWire(receive, send)
        self._strangers += 1
        try:
            await send({"type": "websocket.accept"})
            node = await admit(wire, self._passport)
            self._refusals.well(client)
        except Refused as refused:
            self._refusals.warn(client, f"a connection from {client} is no other node's: {refused}")
            await wire.close(REFUSED, str(refused))
            return
        except Closed as closed:
            _log.debug("a connection ended before it was a node's: %s", closed)
            return
        finally:
            self._strangers -= 1
        await self._serve(node, wire)

    async def _serve(self, node: str, wire: DoorWire) -> None:
        service = Service(node, wire, self._handlers)
        self._serving.add(service)
        try:
            await service.run()
        finally:
            self._serving.discard(service)
            code, why = service.end or (GOING_AWAY, "")
            level = logging.WARNING if code == BROKEN_PROTOCOL else logging.INFO
            _log.log(level, "the connection of node %s is over: %s", node, why)
            with trio.CancelScope(shield=True):  # the server bounds each send
                await wire.close(code, why)
