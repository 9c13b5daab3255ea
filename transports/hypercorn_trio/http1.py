"""HTTP/1.1, with fewer sends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import h11
import trio
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import Body, Data, EndBody, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import H11Protocol, H11WSConnection

from transports.hypercorn_trio import limits


class Http1(H11Protocol):
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
            if len(self._gathered) > limits.MAX_GATHERED:
                await self._flush()
        else:
            await self._forward(event)

    async def _flush(self) -> None:
        data, self._gathered = self._gathered, None
        if data:
            await self._forward(RawData(bytes(data)))
