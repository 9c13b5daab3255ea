"""Which protocol a connection speaks; it may change to HTTP/2 on the way."""

from __future__ import annotations

from typing import Any

from hypercorn.events import Event, RawData, Updated
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import H2CProtocolRequiredError, H2ProtocolAssumedError

from transports.hypercorn_trio.http1 import Http1
from transports.hypercorn_trio.http2 import Http2


class Protocol(ProtocolWrapper):
    """Hypercorn's choice of protocol, from our own."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.protocol = Http1(*self._settings())

    @property
    def is_between_requests(self) -> bool:
        """Whether the next byte that comes begins a request of HTTP/1.1."""
        return isinstance(self.protocol, Http1) and self.protocol.is_between_requests

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
        self.protocol = changed = Http2(*self._settings())
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
