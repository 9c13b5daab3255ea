"""HTTP/1.1 and the WebSockets that begin in it, with limits, and fewer sends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import h11
import trio
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import Body, Data, EndBody, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import H11Protocol, H11WSConnection
from hypercorn.protocol.ws_stream import WSStream

from transports import errors
from transports.asgi import JsonAnswer
from transports.hypercorn_trio import limits

_EXTENSIONS = b"sec-websocket-extensions"


class Http1(H11Protocol):
    """HTTP/1.1 that sends the head of a response with its body when the length is known, says what is wrong
    with a request that it cannot read, and ends a WebSocket that gets a message which is too long.
    """

    _gathered: bytearray | None = None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._forward = self.send
        self.send = self._gather

    @property
    def is_between_requests(self) -> bool:
        """Whether the next byte that comes begins a request."""
        connection = self.connection
        return (
            isinstance(connection, h11.Connection)
            and connection.their_state is connection.our_state is h11.IDLE
            and connection.trailing_data == (b"", False)
        )

    async def handle(self, event: Event) -> None:
        """Take what came. A WebSocket that was told that its message is too long is over: Hypercorn would
        read on for as long as its client does not close it.
        """
        await super().handle(event)
        stream = self.stream
        if isinstance(stream, WSStream) and stream.buffer.length > stream.buffer.max_length:
            await self.send(Closed())

    async def _create_stream(self, request: h11.Request) -> None:
        size = len(request.target) + sum([len(name) + len(value) for name, value in request.headers])
        if size > limits.MAX_HEAD_BYTES or len(request.headers) > limits.MAX_HEADERS:
            await self._send_error_response(431)
            await self.send(Closed())
            return
        await super()._create_stream(_without_extensions(request))

    async def _send_error_response(self, status_code: int) -> None:
        """Answer what is no request, with a sentence: h11 says which status, and the connection ends."""
        told = _refusal(status_code)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(told.body)),
            (b"connection", b"close"),
            *self.config.response_headers("h11"),
        ]
        await self._send_h11_event(h11.Response(status_code=status_code, headers=headers))
        await self._send_h11_event(h11.Data(data=told.body))
        await self._send_h11_event(h11.EndOfMessage())

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
            if len(self._gathered) > limits.MAX_GATHERED:
                await self._flush()
        else:
            await self._forward(event)

    async def _flush(self) -> None:
        data, self._gathered = self._gathered, None
        if data:
            await self._forward(RawData(bytes(data)))


def _without_extensions(request: h11.Request) -> h11.Request:
    """The request without those extensions of WebSockets that it offers, of which Hypercorn would take
    compression: some bytes of it can be a thousand times as many, which are unpacked before they are counted.
    """
    if all(name != _EXTENSIONS for name, _ in request.headers):
        return request
    headers = [(name, value) for name, value in request.headers if name != _EXTENSIONS]
    return h11.Request(
        method=request.method, target=request.target, headers=headers, http_version=request.http_version
    )


def _refusal(status: int) -> JsonAnswer:
    if status == 431:
        size, most = limits.MAX_HEAD_BYTES >> 10, limits.MAX_HEADERS
        sentence = f"the head of the request is too large: it may have {size} KiB and {most} headers"
        return errors.answer(status, sentence, "too_large")
    return errors.answer(status, "this is no request of HTTP/1.1 (RFC 9112)", "bad_request")
