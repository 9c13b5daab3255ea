"""One client's messages, both ways, where a connection stays open: what SSE and stdio have in common.

The SDK's own transports for these read stdin in a thread, which no signal ends, and know neither our owners
nor default sessions; its server, which this feeds, does the protocol in every revision.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pydantic_core
import trio
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp_types import (
    INVALID_REQUEST,
    PARSE_ERROR,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCRequest,
    JSONRPCResponse,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from engine.errors import Busy
from transports.mcp.call import Call
from transports.mcp.envelope import Malformed, open_envelope

MAX_UNDER_WAY = 256
"""Requests of one client that are under way at once."""


class Duplex:
    """Feeds the server with what ``receive`` is given, and gives what it says to ``send``."""

    def __init__(self, server: Server[Any], send: Callable[[bytes], Awaitable[None]], max_bytes: int) -> None:
        self._server = server
        self._send = send
        self._max_bytes = max_bytes
        """Length of a message."""
        self._to_server, self._incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        self._outgoing, self._from_server = anyio.create_memory_object_stream[SessionMessage](0)
        self._under_way = 0
        self._answered = trio.Event()

    async def run(self) -> None:
        """Serve until cancelled; what is under way then is cancelled, too."""
        with self._to_server, self._incoming, self._from_server:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._pass_on)
                async with self._server.lifespan(self._server) as state:
                    await serve_dual_era_loop(
                        self._server, self._incoming, self._outgoing, lifespan_state=state
                    )

    async def receive(self, data: bytes, call: Call) -> None:
        """Take one message of the client's. Raises Malformed, and Busy where ``room`` was not awaited."""
        if len(data) > self._max_bytes:
            raise Malformed(INVALID_REQUEST, f"the message is over {self._max_bytes:,} bytes")
        message = decode(data)
        metadata = ServerMessageMetadata(request_context=call, on_request_unanswered=self._settle)
        if isinstance(message, JSONRPCRequest):
            if self._under_way >= MAX_UNDER_WAY:
                raise Busy(f"{MAX_UNDER_WAY} requests of this client are under way: wait for an answer")
            self._under_way += 1
        try:
            await self._to_server.send(SessionMessage(message, metadata))
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):  # it was hung up meanwhile
            return

    async def room(self) -> None:
        """Wait until one request more may be taken."""
        while self._under_way >= MAX_UNDER_WAY:
            await self._answered.wait()

    async def answered(self) -> None:
        """Wait until nothing is under way."""
        while self._under_way:
            await self._answered.wait()

    async def _pass_on(self) -> None:
        async for said in self._from_server:
            await self._send(encode(said.message))
            if isinstance(said.message, JSONRPCResponse | JSONRPCError) and said.message.id is not None:
                await self._settle()

    async def _settle(self) -> None:
        """A request is over."""
        self._under_way -= 1
        answered, self._answered = self._answered, trio.Event()
        answered.set()


def decode(data: bytes) -> JSONRPCMessage:
    """The message in ``data``. Raises Malformed."""
    open_envelope(data)
    try:
        decoded = pydantic_core.from_json(data)
    except ValueError as broken:
        raise Malformed(PARSE_ERROR, f"the message is not JSON: {broken}") from broken
    try:
        message: JSONRPCMessage = jsonrpc_message_adapter.validate_python(decoded, by_name=False)
    except ValidationError as broken:
        raise Malformed(
            INVALID_REQUEST, "the message is no JSON-RPC request, notification or response"
        ) from broken
    return message


def encode(message: JSONRPCMessage) -> bytes:
    """The message as JSON, on one line."""
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode()
