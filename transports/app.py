"""The server's HTTP side: every door behind one guard, and its life from start to drained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import trio

from transports import asgi, hypercorn_trio
from transports.guard import HostGuard
from transports.mcp import PATH as MCP_PATH
from transports.mcp import McpDoor
from transports.rest import create_app
from transports.settings import HttpSettings

if TYPE_CHECKING:
    from engine.supervisor import Supervisor


class Front:
    """ASGI application in front of the REST application: checks ``Host``, and leads ``/mcp`` aside."""

    def __init__(self, rest: asgi.Application, mcp: asgi.Application, guard: HostGuard) -> None:
        self._rest = rest
        self._mcp = mcp
        self._guard = guard

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one connection scope."""
        if scope["type"] == "lifespan":
            await self._rest(scope, receive, send)
        elif (refusal := self._guard.refusal(scope["headers"])) is not None:
            await asgi.send_error(scope, send, refusal)
        elif scope["type"] == "http" and scope["path"] == MCP_PATH:
            await self._mcp(scope, receive, send)
        else:
            await self._rest(scope, receive, send)


async def serve(
    engine: Supervisor,
    listeners: Sequence[trio.SocketListener],
    settings: HttpSettings,
    stop: trio.Event,
    started: Callable[[], None],
) -> None:
    """Serve ``engine`` until ``stop`` is set, then drain and end.

    ``started`` is called once requests are taken. While the engine drains, requests are still
    answered (with 503, where they would run something), so that clients can tell a server that stops
    from one that is gone. Then MCP sessions end, and with them their open streams, then connections.
    """
    mcp = McpDoor(engine)
    app = create_app(engine, exec_async=settings.exec_async)
    guard = HostGuard(settings.allowed_hosts)
    app.asgi_app = Front(app.asgi_app, mcp, guard)  # type: ignore[method-assign]
    drained = trio.Event()
    async with trio.open_nursery() as nursery:
        async with mcp.run():
            config = hypercorn_trio.ServerConfig()
            await nursery.start(hypercorn_trio.serve, app, config, listeners, drained)
            started()
            await stop.wait()
            await engine.drain(settings.drain_seconds)
        drained.set()
