"""Connections to other nodes, by trio-websocket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream
from wsproto.utilities import ProtocolError

from cluster.peers.frames import MAX_MESSAGE
from cluster.peers.handshake import Refused
from cluster.peers.wire import ABNORMAL, BROKEN_PROTOCOL, Closed, short

PATH: Final = "/cluster/peer"
"""Where a node takes the connections of others."""
CONNECT_SECONDS: Final = 2.0
"""Time for a connection to be there."""
_CLOSE_SECONDS: Final = 0.5
_RECEIVE_SIZE: Final = 64 << 10
_QUEUE: Final = 16
"""Messages that have come and were not looked at."""


class ClientWire:
    """A connection that this node has made."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self._socket = socket

    async def send(self, message: bytes) -> None:
        """Send a message. Raises Closed."""
        try:
            await self._socket.send_message(message)
        except ConnectionClosed as closed:
            raise _closed(closed) from None
        except ProtocolError:  # it is being closed, since the other side broke the protocol
            raise Closed(BROKEN_PROTOCOL, "the other side speaks no WebSocket") from None

    async def receive(self) -> bytes:
        """The next message. Raises Closed."""
        try:
            message = await self._socket.get_message()
        except ConnectionClosed as closed:
            raise _closed(closed) from None
        return message if isinstance(message, bytes) else message.encode()

    async def close(self, code: int, reason: str) -> None:
        """Tell the other side, if that does not take long."""
        with trio.move_on_after(_CLOSE_SECONDS, shield=True):
            await self._socket.aclose(code, short(reason))


def _closed(closed: ConnectionClosed) -> Closed:
    if closed.reason is None:
        return Closed(ABNORMAL, "")
    return Closed(closed.reason.code, closed.reason.reason or "")


@asynccontextmanager
async def connected(address: str) -> AsyncIterator[ClientWire]:
    """A connection to the node at ``HOST:PORT``, for a block that raises Refused or Closed and nothing else.

    Raises Refused if there is none in time.
    """
    stream = await _stream(address)
    failed: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            try:
                yield ClientWire(await _opened(nursery, stream, address))
            except (Refused, Closed) as raised:  # which the nursery would put into a group
                failed = raised
            nursery.cancel_scope.cancel()
    except* (HandshakeError, ProtocolError):  # of the task that reads
        failed = Refused(f"at {address} is no node of a cluster")
    finally:
        await trio.aclose_forcefully(stream)
    if failed is not None:
        raise failed


async def _stream(address: str) -> trio.SocketStream:
    host, _, port = address.rpartition(":")
    try:
        with trio.fail_after(CONNECT_SECONDS):
            return await trio.open_tcp_stream(host.strip("[]"), int(port))
    except (OSError, ValueError, trio.TooSlowError) as failed:
        raise Refused(f"there is no connection to {address}") from failed


async def _opened(nursery: trio.Nursery, stream: trio.SocketStream, address: str) -> WebSocketConnection:
    with trio.move_on_after(CONNECT_SECONDS):
        return await wrap_client_stream(
            nursery,
            stream,
            address,
            PATH,
            message_queue_size=_QUEUE,
            max_message_size=MAX_MESSAGE,
            receive_buffer_size=_RECEIVE_SIZE,
        )
    raise Refused(f"at {address} nobody answers as a node does")
