"""MCP over server-sent events, as clients of 2024 speak it: a stream to listen to, and a place to post to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import trio
from mcp.server.lowlevel import Server
from msgspec.structs import replace

from engine.errors import EngineError, InvalidField, Unavailable
from transports import asgi, errors
from transports.identity import identity
from transports.mcp.call import Connection, http_call
from transports.mcp.duplex import Duplex
from transports.mcp.envelope import Malformed
from transports.mcp.names import new_name
from transports.mcp.paths import POST_PATH, STREAM_PARAMETER, STREAM_PATH
from transports.mcp.streamable import ANSWER_SECONDS
from transports.request import query_parameters
from transports.settings import HttpSettings
from transports.streamplaces import StreamPlaces

MAX_STREAMS = 500
"""Clients at once."""
PING_SECONDS = 15.0
"""Time between comments, by which both sides notice that the other is gone."""
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class _Stream:
    """One client: where its messages go, and how they come."""

    def __init__(
        self, server: Server[Any], settings: HttpSettings, scope: asgi.Scope, send: asgi.Send
    ) -> None:
        self.name = new_name(settings.node)
        self.connection = Connection()
        self.call = http_call("sse", scope, self.connection)
        self.life = trio.CancelScope()
        self.duplex = Duplex(server, self._tell, settings.body_bytes)
        self._send = send

    async def _tell(self, message: bytes) -> None:
        await self.write(b"event: message\ndata: %b\n\n" % message)

    async def write(self, data: bytes) -> None:
        """Send a piece of the stream."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})


class SseDoor:
    """ASGI applications for STREAM_PATH and POST_PATH. They serve while ``run`` is open."""

    def __init__(self, server: Server[Any], settings: HttpSettings) -> None:
        self._server = server
        self._settings = settings
        self._streams: dict[str, _Stream] = {}
        self._places = StreamPlaces("streams of MCP clients")
        self._open = False

    def __len__(self) -> int:
        return len(self._streams)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Take clients; on the way out calls are answered, then every stream is ended."""
        self._open = True
        try:
            yield
            self._open = False
            with trio.move_on_after(ANSWER_SECONDS):
                for stream in list(self._streams.values()):
                    await stream.duplex.answered()
        finally:
            self._open = False
            for stream in list(self._streams.values()):
                stream.connection.gone = True
                stream.life.cancel()

    async def listen(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one client's stream to its end."""
        if scope["method"] != "GET":
            refusal = errors.method_answer(scope["method"], STREAM_PATH, "GET")
        elif not self._open:
            refusal = errors.engine_answer(Unavailable("the server is stopping"))
        elif (full := self._places.refusal(identity(scope), MAX_STREAMS)) is not None:
            refusal = errors.answer(503, full, "busy")
        else:
            with self._places.taken(identity(scope)):
                await self._serve(_Stream(self._server, self._settings, scope, send), scope, receive, send)
            return
        await asgi.send_answer(scope, send, refusal)

    async def _serve(
        self, stream: _Stream, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send
    ) -> None:
        self._streams[stream.name] = stream
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            place = f"{quote(scope.get('root_path', ''))}{POST_PATH}?{STREAM_PARAMETER}={stream.name}"
            await stream.write(b"event: endpoint\ndata: %b\n\n" % place.encode())
            with stream.life:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch, stream, receive)
                    nursery.start_soon(_ping, stream)
                    await stream.duplex.run()
                    nursery.cancel_scope.cancel()
        finally:
            del self._streams[stream.name]
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _watch(self, stream: _Stream, receive: asgi.Receive) -> None:
        """End the stream when its client leaves; what it began goes on."""
        while (await receive())["type"] != "http.disconnect":
            pass
        stream.connection.gone = True
        stream.life.cancel()

    async def post(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Take one message."""
        try:
            told = await self._take(scope, receive)
        except asgi.Gone:
            return
        except asgi.BodyRefused as unread:
            told = errors.body_answer(unread)
        except EngineError as refused:
            told = errors.engine_answer(refused)
        except Malformed as malformed:
            told = asgi.JsonAnswer(400, malformed.answer)
        await asgi.send_answer(scope, send, told)

    async def _take(self, scope: asgi.Scope, receive: asgi.Receive) -> asgi.JsonAnswer:
        if scope["method"] != "POST":
            return errors.method_answer(scope["method"], POST_PATH, "POST")
        name = query_parameters(scope["query_string"]).get(STREAM_PARAMETER)
        if name is None:
            sentence = f"`{STREAM_PARAMETER}` is missing: post to the address that {STREAM_PATH} tells"
            raise InvalidField(sentence, field=STREAM_PARAMETER)
        kind = asgi.header(scope, b"content-type") or ""
        if kind.partition(";")[0].strip().lower() != "application/json":
            sentence = "a message is JSON: send it with Content-Type: application/json"
            return errors.answer(415, sentence, "unsupported_media_type", "Content-Type")
        body = await asgi.read_body(scope, receive, self._settings.body_bytes)
        stream, who = self._streams.get(name), identity(scope)
        if stream is None or stream.call.owner != who.owner:
            gone = f"there is no such stream: connect to {STREAM_PATH} again"
            return errors.answer(404, gone, "not_found", STREAM_PARAMETER)
        traceparent = asgi.header(scope, b"traceparent") or ""
        await stream.duplex.receive(body, replace(stream.call, identity=who, traceparent=traceparent))
        return asgi.JsonAnswer(202, b'"accepted"')


async def _ping(stream: _Stream) -> None:
    while True:
        await trio.sleep(PING_SECONDS)
        await stream.write(b": ping\n\n")
