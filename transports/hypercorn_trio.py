"""Hypercorn's protocols on Trio connections of our own.

Hypercorn parses HTTP/1.1, HTTP/2 (prior knowledge and upgrade) and WebSocket well; its Trio worker is
replaced here, for safety and for speed.

Safety. An error in one connection ends that connection, never the process. Every send is bounded:
a peer that stops reading loses its connection after ``SEND_TIMEOUT`` seconds, and at the end of the
grace period at shutdown. Connections are capped. A response that is sent before the request was read
(413, say) is not lost to a TCP reset: the connection is half-closed and what the peer still sends is
discarded for a moment.

Speed. The idle timer is the deadline of a cancel scope instead of a task per request; the head and
body of a response whose length is known leave in one send; a send that the socket takes at once needs
no pass of the scheduler; requests reach the application through a queue without checkpoints.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from socket import SHUT_WR
from typing import Any, cast

import h2.errors
import h2.events
import h2.exceptions
import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.events import Body, Data, EndBody, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import (
    H2CProtocolRequiredError,
    H2ProtocolAssumedError,
    H11Protocol,
    H11WSConnection,
)
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import (
    AppWrapper,
    ASGIFramework,
    ASGIReceiveEvent,
    ASGISendEvent,
    ConnectionState,
    LifespanState,
    Scope,
)
from hypercorn.utils import parse_socket_addr
from priority.priority import PriorityError

from transports import accept_log

logger = logging.getLogger(__name__)

SEND_TIMEOUT = 20.0
"""Seconds that one send may take before the peer counts as gone."""
LINGER = 1.0
"""Seconds for which a half-closed connection's input is discarded."""
RECEIVE_SIZE = 1 << 16
MAX_GATHERED = 1 << 16
"""Bytes of a response that are gathered into one send."""
MAX_MESSAGES = 16
"""ASGI messages that may wait for an application: with RECEIVE_SIZE, about 1 MB of a request."""

MAX_RESETS = 100
"""Requests that an HTTP/2 client may take back beyond as many as were answered."""

_FULL = (
    b"HTTP/1.1 503 \r\ncontent-type: application/json\r\ncontent-length: 60\r\n"
    b"retry-after: 1\r\nconnection: close\r\n\r\n"
    b'{"error":"too many connections","code":"busy","field":null}\n'
)


class ServerConfig(Config):
    """Hypercorn's configuration with our defaults and a ``date`` header computed once a second."""

    include_server_header = False
    keep_alive_timeout = 30.0
    keep_alive_max_requests = 1_000_000
    max_connections = 1_000
    grace = 1.0
    """Seconds that open responses have at shutdown."""

    def __init__(self) -> None:
        self.accesslog = None
        self.errorlog = logging.getLogger("hypercorn.error")
        self._headers_at = 0
        self._headers: dict[str, list[tuple[bytes, bytes]]] = {}

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        """Headers that every response gets."""
        now = int(time.time())
        if now != self._headers_at:
            self._headers_at = now
            self._headers.clear()
        headers = self._headers.get(protocol)
        if headers is None:
            headers = self._headers[protocol] = super().response_headers(protocol)
        return headers


class _Messages:
    """Bounded queue of ASGI messages from one connection to one application call."""

    def __init__(self) -> None:
        self._waiting: deque[ASGIReceiveEvent] = deque()
        self._filled = trio.lowlevel.ParkingLot()
        self._drained = trio.lowlevel.ParkingLot()
        self._closed = False

    async def put(self, message: ASGIReceiveEvent) -> None:
        """Add a message; wait while the application is behind. A disconnect is last, and never waits."""
        if message["type"].endswith("disconnect"):
            self.close(message)
            return
        while len(self._waiting) >= MAX_MESSAGES and not self._closed:
            await self._drained.park()
        if not self._closed:
            self._waiting.append(message)
            self._filled.unpark()

    async def get(self) -> ASGIReceiveEvent:
        """The next message. Several tasks may wait; after a disconnect the rest wait forever."""
        while not self._waiting:
            await self._filled.park()
        self._drained.unpark()
        return self._waiting.popleft()

    def close(self, last: ASGIReceiveEvent | None = None) -> None:
        """Take no more messages after ``last``, and let whoever waits to put one go on."""
        if not self._closed and last is not None:
            self._waiting.append(last)
            self._filled.unpark()
        self._closed = True
        self._drained.unpark_all()


class _Applications(TaskGroup):
    """The application calls of one connection."""

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,  # noqa: ARG002 (Hypercorn's signature)
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start the application for one request; returns how to pass it messages."""
        messages = _Messages()
        assert self._nursery is not None
        self._nursery.start_soon(_call, app, scope, messages, send)
        return messages.put


async def _call(
    app: AppWrapper,
    scope: Scope,
    messages: _Messages,
    send: Callable[[ASGISendEvent | None], Awaitable[None]],
) -> None:
    try:
        await app(scope, messages.get, send, trio.to_thread.run_sync, trio.from_thread.run)
    except* Exception:
        logger.exception("the application failed")
    finally:
        messages.close()
        await send(None)


class _H11(H11Protocol):
    """HTTP/1.1 that sends the head of a response with its body when the length is known."""

    _gathered: bytearray | None = None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._forward = self.send
        self.send = self._gather

    async def stream_send(self, event: StreamEvent) -> None:
        """Send a part of a response."""
        if isinstance(event, Response) and event.status_code >= 200:
            sized = any(name == b"content-length" for name, _ in event.headers)
            self._gathered = bytearray() if sized else None
            if isinstance(self.connection, h11.Connection) and self.connection.their_state is h11.SEND_BODY:
                # answered early: the connection ends with it, and must not be used again
                event = replace(event, headers=[*event.headers, (b"connection", b"close")])
        await super().stream_send(event)
        if isinstance(event, (Body, Data)) and self._gathered is None:
            # an endless stream must not keep the run to itself, even if nobody is there to read it
            await trio.lowlevel.checkpoint()
        elif isinstance(event, EndBody):
            await self._flush()
            if isinstance(self.connection, H11WSConnection):
                # an upgrade was refused; Hypercorn leaves some of these connections open
                await self.send(Closed())

    async def _gather(self, event: Event) -> None:
        if isinstance(event, RawData) and self._gathered is not None:
            self._gathered += event.data
            if len(self._gathered) > MAX_GATHERED:
                await self._flush()
        else:
            await self._forward(event)

    async def _flush(self) -> None:
        data, self._gathered = self._gathered, None
        if data:
            await self._forward(RawData(bytes(data)))


class _H2(H2Protocol):
    """HTTP/2 that takes back what Hypercorn could not read, ends the connection of a client most of whose
    requests are taken back, and lets no application wait for ever for a client to take a response.
    """

    _resets = 0
    """Less the requests that were answered."""

    async def handle(self, event: Event) -> None:
        """Take what came; at the end of the connection, nobody takes the rest of a response any more."""
        await super().handle(event)
        if isinstance(event, Closed):
            for buffer in list(self.stream_buffers.values()):
                await buffer.close()

    async def stream_send(self, event: StreamEvent) -> None:
        """Send a part of a response; a client that opens no window for it loses its connection."""
        if isinstance(event, Response):
            self._resets -= 1
        with trio.move_on_after(SEND_TIMEOUT) as limit:
            await super().stream_send(event)
        if limit.cancelled_caught:
            await self.send(Closed())

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        self._resets += sum(isinstance(event, h2.events.StreamReset) for event in events)
        if self._resets > MAX_RESETS:
            self.connection.close_connection(h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
            await self._flush()
            await self.send(Closed())
            return
        for event in events:
            if isinstance(event, h2.events.DataReceived) and event.stream_id not in self.streams:
                # of a request that was answered early, which Hypercorn would look for in vain
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.RequestReceived) and _is_malformed(event):
                self._resets += 1
                self.connection.reset_stream(event.stream_id, h2.errors.ErrorCodes.PROTOCOL_ERROR)
            else:
                await super()._handle_events([event])
        await self._flush()


def _is_malformed(request: h2.events.RequestReceived) -> bool:
    """Whether its method or path is missing, or is not ASCII as RFC 3986 wants it; h2 does not look."""
    told = dict(request.headers)
    return not all(name in told and told[name].isascii() for name in (b":method", b":path"))


class _Protocol(ProtocolWrapper):
    """Hypercorn's choice of protocol, from our own."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.protocol = _H11(*self._settings())

    async def handle(self, event: Event) -> None:
        """Pass an event to the protocol, which it may change."""
        try:
            await self.protocol.handle(event)
        except H2ProtocolAssumedError as change:
            await self._change(change.data)
        except H2CProtocolRequiredError as change:
            await self._change(change.data, change.headers, change.settings)

    async def _change(self, data: bytes, *request: Any) -> None:
        """Go on in HTTP/2, with the request that asked for it if there is one."""
        self.protocol = changed = _H2(*self._settings())
        await changed.initiate(*request)
        if data:
            await changed.handle(RawData(data))
        # to Hypercorn the request that changed it counts as under way until a stream ends
        await self.send(Updated(changed.idle))

    def _settings(self) -> tuple[Any, ...]:
        return (
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.state,
            self.ssl,
            self.client,
            self.server,
            self.send,
        )


class _Connection:
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
            await trio.aclose_forcefully(self._stream)

    async def _serve(self) -> None:
        server, socket = self._server, self._stream.socket
        async with _Applications() as applications:
            self._protocol = _Protocol(
                server.app,
                server.config,
                server.context,
                applications,
                ConnectionState(server.state.copy()),
                False,
                parse_socket_addr(socket.family, socket.getpeername()),
                parse_socket_addr(socket.family, socket.getsockname()),
                self._send,
            )
            await self._protocol.initiate()
            self._set_idle(True)
            with self._reading:
                await self._read()
            with trio.move_on_after(LINGER, shield=True):
                await self._protocol.handle(Closed())

    async def _read(self) -> None:
        while True:
            try:
                data = await self._stream.receive_some(RECEIVE_SIZE)
            except trio.BrokenResourceError:
                data = b""  # a reset is an end: applications are told, and none is cancelled half-way
            if not self._closing:
                await self._protocol.handle(RawData(bytes(data)))
            if not data:
                return

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
            sent = _send_now(self._stream.socket.fileno(), data)
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
        self._reading.deadline = trio.current_time() + LINGER
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


def _send_now(descriptor: int, data: bytes) -> int:
    """Bytes that the non-blocking socket took at once."""
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        return 0


class Server:
    """All connections of one application."""

    def __init__(self, app: AppWrapper, config: ServerConfig, state: LifespanState) -> None:
        self.app = app
        self.config = config
        self.state = state
        self.context = WorkerContext(None)
        self.stopping = False
        self._connections: set[_Connection] = set()
        self._sends: set[trio.CancelScope] = set()
        self._end = inf

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one accepted connection."""
        if len(self._connections) >= self.config.max_connections:
            _send_now(stream.socket.fileno(), _FULL)
            await trio.aclose_forcefully(stream)
            return
        connection = _Connection(self, stream)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    async def send_all(self, stream: trio.SocketStream, data: memoryview) -> None:
        """Send, within SEND_TIMEOUT and the end of the server.

        Shielded: a cancelled request must not leave half a response on a connection that lives on.
        Raises BrokenResourceError when the peer did not read in time.
        """
        deadline = min(trio.current_time() + SEND_TIMEOUT, self._end)
        with trio.CancelScope(deadline=deadline, shield=True) as scope:
            self._sends.add(scope)
            try:
                await stream.send_all(data)
            finally:
                self._sends.discard(scope)
        if scope.cancelled_caught:
            raise trio.BrokenResourceError("the peer does not read")

    async def stop(self) -> float:
        """End idle connections, and the others after their response; returns the time of the end."""
        self.stopping = True
        await self.context.terminated.set()
        self._end = trio.current_time() + self.config.grace
        for scope in self._sends:
            scope.deadline = min(scope.deadline, self._end)
        for connection in self._connections:
            connection.stop_if_idle()
        return self._end


async def serve(
    app: ASGIFramework,
    config: ServerConfig,
    listeners: Sequence[trio.SocketListener],
    stop: trio.Event,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve ``app`` until ``stop`` is set, then for at most ``config.grace`` seconds.

    Takes over the listeners. ``task_status`` is told once connections are accepted.
    """
    wrapped = cast(AppWrapper, ASGIWrapper(app))
    state: LifespanState = LifespanState({})
    lifespan = Lifespan(wrapped, config, state)
    async with trio.open_nursery() as outer:
        await outer.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        server = Server(wrapped, config, state)
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                accept = partial(trio.serve_listeners, handler_nursery=connections)
                with accept_log.telling_seldom():
                    await accepting.start(accept, server.handle, list(listeners))
                    task_status.started()
                    await stop.wait()
                    accepting.cancel_scope.cancel()
            connections.cancel_scope.deadline = await server.stop()
        await lifespan.wait_for_shutdown()
        outer.cancel_scope.cancel()
