"""HTTP/2, against clients that ask and do not take."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import h2.errors
import h2.events
import h2.exceptions
import trio
from hypercorn.events import Closed, Event
from hypercorn.protocol.events import EndBody, EndData, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import H2Protocol

from transports.hypercorn_trio import limits


class Http2(H2Protocol):
    """HTTP/2 that takes back what Hypercorn could not read, ends the connection of a client most of whose
    requests are taken back, lets no application wait for ever for a client to take a response, and no client
    for the rest of one that its application has left.
    """

    _resets = 0
    """Less the requests that were answered."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._unfinished: set[int] = set()
        """Streams whose responses have begun and not ended."""

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
            self._unfinished.add(event.stream_id)
        elif isinstance(event, EndBody | EndData):
            self._unfinished.discard(event.stream_id)
        elif isinstance(event, StreamClosed) and event.stream_id in self._unfinished:
            with suppress(h2.exceptions.ProtocolError):  # the client has taken it back, or left
                self.connection.reset_stream(event.stream_id, h2.errors.ErrorCodes.INTERNAL_ERROR)
            await self._flush()
        with trio.move_on_after(limits.SEND_TIMEOUT) as limit:
            await super().stream_send(event)
        if limit.cancelled_caught:
            await self.send(Closed())

    async def _close_stream(self, stream_id: int) -> None:
        self._unfinished.discard(stream_id)
        await super()._close_stream(stream_id)

    async def _create_stream(self, request: h2.events.RequestReceived) -> None:
        """Begin a request; a WebSocket gets no compression, as in HTTP/1.1."""
        request.headers = [one for one in request.headers if one[0] != b"sec-websocket-extensions"]
        await super()._create_stream(request)

    async def _handle_events(self, events: list[h2.events.Event]) -> None:
        self._resets += sum(isinstance(event, h2.events.StreamReset) for event in events)
        if self._resets > limits.MAX_RESETS:
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
