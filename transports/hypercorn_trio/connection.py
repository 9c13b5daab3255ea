"""One TCP connection."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from math import inf
from socket import SHUT_WR
from typing import TYPE_CHECKING

import h2.exceptions
import h11
import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr
from priority.priority import PriorityError

from transports.asgi import Application
from transports.hypercorn_trio import limits
from transports.hypercorn_trio.messages import Applications
from transports.hypercorn_trio.plain import Answering, Plain, recognized
from transports.hypercorn_trio.protocol import Protocol

if TYPE_CHECKING:
    from transports.hypercorn_trio.server import Server

logger = logging.getLogger(__name__)


class Connection:
    """One TCP connection: reads, passes bytes to the protocol, writes what it answers."""

    def __init__(self, server: Server, stream: trio.SocketStream) -> None:
        self._server = server
        self._stream = stream
        self._sending = trio.Lock()
        self._reading = trio.CancelScope()
        self._idle = True
        self._closing = False

    async def run(self) -> None:
        """Serve the connection to its end. Its errors are logged and go no further."""
        try:
            await self._serve()
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            logger.debug("a connection broke", exc_info=True)
        except* (h11.ProtocolError, h2.exceptions.ProtocolError, PriorityError) as broken:
            logger.info("a client broke the protocol: %s", broken.exceptions[0])
        except* Exception:
            logger.exception("a connection failed")
        finally:
            self._stream.socket.close()

    async def _serve(self) -> None:
        self._set_idle(True)
        data = b""
        with self._reading:
            data = await self._receive()
        if data:  # else nothing has been made for it that would have to be ended
            self._reading = trio.CancelScope(deadline=self._reading.deadline)
            await self._serve_protocol(data)

    async def _serve_protocol(self, data: bytes) -> None:
        """From the first bytes to the end."""
        server, socket = self._server, self._stream.socket
        self._peer = parse_socket_addr(socket.family, socket.getpeername())
        self._own = parse_socket_addr(socket.family, socket.getsockname())
        async with Applications() as applications:
            self._protocol = Protocol(
                server.app,
                server.config,
                server.context,
                applications,
                ConnectionState(server.state.copy()),
                False,
                self._peer,
                self._own,
                self._send,
            )
            await self._protocol.initiate()
            with self._reading:
                await self._handle(data)
                while data:
                    data = await self._receive()
                    await self._handle(data)
            with trio.move_on_after(limits.LINGER, shield=True):
                await self._protocol.handle(Closed())

    async def _receive(self) -> bytes:
        """What came; nothing at the end. Most often there is nothing yet, so nothing is tried before that."""
        while True:
            await trio.lowlevel.wait_readable(self._stream.socket)
            try:
                return os.read(self._stream.socket.fileno(), limits.RECEIVE_SIZE)
            except BlockingIOError:
                continue
            except OSError:
                return b""  # a reset is an end: applications are told, and none is cancelled half-way

    async def _handle(self, data: bytes) -> None:
        """Take what came; nothing is the end."""
        hot = self._server.hot
        while not self._closing:
            plain = None
            if hot is not None and self._protocol.is_between_requests:
                plain = recognized(data, hot.serves)
            if hot is None or plain is None:
                await self._protocol.handle(RawData(data))
                return
            data = await self._answer(plain, hot.application)
            if not data:
                return

    async def _answer(self, plain: Plain, application: Application) -> bytes:
        """Answer a plain request; what came after it."""
        server = self._server
        self._set_idle(False)
        answering = Answering(plain, self._receive, server.config, self._peer, self._own, server.state)
        try:
            await answering.run(application)
        except BaseException:  # the end of the server: its client is told of it, as far as that takes no time
            with suppress(OSError):
                send_now(self._stream.socket.fileno(), answering.answer(closes=True))
            raise
        closes = answering.must_close or server.stopping
        await self._write(answering.answer(closes=closes))
        if closes:
            await self._half_close()
            return b""
        self._set_idle(True)
        return answering.rest

    async def _send(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._write(event.data)
        elif isinstance(event, Updated):
            self._set_idle(event.idle)
        elif isinstance(event, Closed):
            await self._half_close()

    async def _write(self, data: bytes) -> None:
        """Send ``data``; if that fails or takes too long, give the connection up."""
        if self._sending.locked():
            await self._sending.acquire()
        else:
            self._sending.acquire_nowait()
        try:
            sent = send_now(self._stream.socket.fileno(), data)
            if sent < len(data):
                await self._server.send_all(self._stream, memoryview(data)[sent:])
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            self._reading.cancel()
            await self._protocol.handle(Closed())
        finally:
            self._sending.release()

    async def _half_close(self) -> None:
        """End our side and let the peer end its own, so that it can read what was sent."""
        if self._closing:
            return
        self._closing = True
        self._reading.deadline = trio.current_time() + limits.LINGER
        try:  # without waiting: an application may end the task that sends as soon as it has answered
            self._stream.socket.shutdown(SHUT_WR)
        except OSError:
            self._reading.cancel()
        await self._protocol.handle(Closed())

    def _set_idle(self, idle: bool) -> None:
        self._idle = idle
        if not self._closing:
            keep = self._server.config.keep_alive_timeout
            self._reading.deadline = trio.current_time() + keep if idle else inf
            self.stop_if_idle()

    def stop_if_idle(self) -> None:
        """While the server stops: end the connection if no request is in progress."""
        if self._idle and self._server.stopping:
            self._reading.cancel()


def send_now(descriptor: int, data: bytes) -> int:
    """Bytes that the non-blocking socket took at once."""
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        return 0
