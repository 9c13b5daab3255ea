"""Every door of MCP over HTTP, before one MCP server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from transports import asgi
from transports.mcp.document import Document
from transports.mcp.paths import PATH, POST_PATH, STREAM_PATH
from transports.mcp.server import create_server
from transports.mcp.sse import SseDoor
from transports.mcp.streamable import StreamableDoor
from transports.settings import HttpSettings

if TYPE_CHECKING:
    from engine.supervisor import Supervisor


@asynccontextmanager
async def open_doors(
    engine: Supervisor, settings: HttpSettings, documents: Sequence[Document]
) -> AsyncIterator[Mapping[str, asgi.Application]]:
    """An ASGI application for each path of ``transports.mcp.paths``.

    On the way out calls are answered, then every MCP session and its open streams end.
    """
    server = create_server(engine, settings, documents)
    streamable, sse = StreamableDoor(server, settings), SseDoor(server, settings)
    async with streamable.run(), sse.run():
        yield {PATH: streamable, STREAM_PATH: sse.listen, POST_PATH: sse.post}
