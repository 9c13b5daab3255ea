"""Sessions as files: what is sent, and taken, as bytes that nobody holds all of.

An ASGI application of its own, in front of Quart, which has limits on a body and on the time of an answer.
What fails before the first byte of a file is the answer, with its status. A file that cannot be sent to its
end is cut off with its connection; and it says itself where its end is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from typing import Any

import trio

from engine.errors import EngineError
from transports import errors
from transports.asgi import (
    BODY_SECONDS,
    BodyTooLate,
    Gone,
    JsonAnswer,
    Receive,
    Scope,
    Send,
    cancel_when_gone,
)
from transports.identity import identity
from transports.rest.door import RouteDoor
from transports.rest.routes import Asked, Download, Route, Upload, asked_of

MAX_STREAMS = 16
"""Files that are on their way at once."""
UPLOAD_SECONDS = 600.0
"""Time that one may take to arrive; between two pieces of it BODY_SECONDS."""
REFUSED_SECONDS = 5.0
"""How long what comes of a file is passed over that is refused: most clients listen only after it."""
MEDIA = "application/zstd"


class FilesDoor(RouteDoor):
    """Serves the routes that send or take files."""

    def __init__(self, routes: Iterable[Route]) -> None:
        own = (route for route in routes if route.download is not None or route.upload is not None)
        super().__init__(own, "files", MAX_STREAMS)

    async def _serve(
        self, route: Route, path: Mapping[str, str], scope: Scope, receive: Receive, send: Send
    ) -> JsonAnswer | None:
        asked = await asked_of(route, path, scope["query_string"], scope, identity(scope), _no_body)
        if isinstance(asked, JsonAnswer):
            return asked
        if route.upload is not None:
            return await _take_file(route.upload, asked, receive)
        assert route.download is not None
        await _send_file(route.download, asked, receive, send)
        return None


async def _no_body() -> bytes:
    return b""


async def _take_file(upload: Upload, asked: Asked[Any, Any], receive: Receive) -> JsonAnswer:
    """What the view says to the body. Raises Gone, BodyTooLate and what the view does."""
    body = _Body(receive)
    try:
        return await upload(asked, body)
    except EngineError:
        with trio.move_on_after(REFUSED_SECONDS):
            async for _ in body:
                pass
        raise


class _Body:
    """A request's body as it comes, to be read once. Raises Gone, BodyTooLate."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._deadline = trio.current_time() + UPLOAD_SECONDS
        self._more = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._more:
            raise StopAsyncIteration
        message = None
        with trio.move_on_at(min(self._deadline, trio.current_time() + BODY_SECONDS)):
            message = await self._receive()
        if message is None:
            raise BodyTooLate
        if message["type"] == "http.disconnect":
            raise Gone
        self._more = message.get("more_body", False)
        data: bytes = message.get("body", b"")
        return data


async def _send_file(download: Download, asked: Asked[Any, Any], receive: Receive, send: Send) -> None:
    """Send the file as long as the client is there. Raises EngineError before its first byte."""
    name, chunks = await download(asked)
    async with aclosing(chunks), trio.open_nursery() as nursery:
        nursery.start_soon(cancel_when_gone, receive, nursery.cancel_scope)
        headers = [
            (b"content-type", MEDIA.encode()),
            (b"content-disposition", f'attachment; filename="{name}"'.encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            async for chunk in chunks:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except EngineError as error:
            errors.engine_answer(error)  # which logs it
        except Exception as error:  # noqa: BLE001 (the boundary: logged, and the file is cut off)
            errors.internal_answer(error)
        else:
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        nursery.cancel_scope.cancel()
