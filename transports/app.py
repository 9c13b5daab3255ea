"""The server's HTTP side: every door behind one guard, and its life from start to drained."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import trio

from transports import asgi, errors, hypercorn_trio
from transports.execute import PATH as EXECUTE_PATH
from transports.execute import ExecuteDoor
from transports.gate import Gate
from transports.hypercorn_trio import Hot
from transports.mcp.late import LateDoors
from transports.metrics import Metrics
from transports.rest.application import all_routes, create_app
from transports.rest.docs import documents
from transports.rest.files import FilesDoor
from transports.rest.lines import LinesDoor
from transports.rest.session_stream import PATH as SESSION_STREAM_PATH
from transports.rest.session_stream import SessionStreams
from transports.rest.stream import PATH as EVENTS_PATH
from transports.rest.stream import EventsDoor
from transports.rest.views import ViewsDoor
from transports.settings import HttpSettings
from transports.tokens import TokenFile

if TYPE_CHECKING:
    from cluster.node import Node
    from engine.supervisor import Supervisor

HOT_ROUTES = frozenset(("get_execution",))
"""Those of Quart's that clients ask again and again."""


class PeersFirst:
    """ASGI application in front of the gate: the other nodes of a cluster have a door of their own."""

    def __init__(self, node: Node, others: asgi.Application) -> None:
        self._node = node
        self._others = others

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one connection scope."""
        is_peer = scope["type"] == "websocket" and scope["path"] == self._node.door_path
        await (self._node.door if is_peer else self._others)(scope, receive, send)


class Front:
    """ASGI application in front of Quart's, behind the gate: leads some paths elsewhere."""

    def __init__(
        self,
        rest: asgi.Application,
        doors: Mapping[str, asgi.Application],
        events: asgi.Application,
        lines: LinesDoor,
        files: FilesDoor,
        hot: ViewsDoor,
    ) -> None:
        self._rest = rest
        self._doors = doors
        self._events = events
        self._lines = lines
        self._files = files
        self._hot = hot

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one connection scope."""
        if scope["type"] == "lifespan":
            await self._rest(scope, receive, send)
        elif scope["type"] == "http":
            path = scope["path"]
            await (self._doors.get(path) or self._door(scope["method"], path))(scope, receive, send)
        elif SESSION_STREAM_PATH.fullmatch(scope["path"]):
            await self._rest(scope, receive, send)
        else:
            told = errors.answer(
                404, "there is no WebSocket here, only at /api/sessions/{name}/stream", "not_found"
            )
            await asgi.send_answer(scope, send, told)

    def is_hot(self, method: str, path: str) -> bool:
        """Whether a route is one that clients ask again and again, and that answers at once."""
        return path == EXECUTE_PATH or self._hot.serves(method, path)

    def _door(self, method: str, path: str) -> asgi.Application:
        """Where paths with parameters lead."""
        if self._hot.serves(method, path):
            return self._hot
        if EVENTS_PATH.fullmatch(path):
            return self._events
        if self._files.serves(path):
            return self._files
        return self._lines if self._lines.serves(path) else self._rest


async def serve(
    engine: Supervisor,
    listeners: Sequence[trio.SocketListener],
    settings: HttpSettings,
    stop: trio.Event,
    started: Callable[[], None],
    failing: Callable[[], str | None],
    metrics: Metrics,
    tokens: TokenFile | None = None,
    node: Node | None = None,
) -> None:
    """Serve ``engine`` until ``stop`` is set, then drain and end.

    ``started`` is called once requests are taken; ``failing`` says why the log takes no events, if it
    does not; ``metrics`` are those that observe the engine; without ``tokens`` everybody
    is the local owner; ``node`` is what this server is of a cluster. While the engine drains, requests are
    still answered (with 503, where they would run something), so that clients can tell a server that stops
    from one that is gone. Then MCP sessions end, and with them their open streams, then connections.
    """
    routes = all_routes(engine, settings, failing=failing, metrics=metrics)
    mcp = LateDoors(engine, settings, documents(engine, routes))
    metrics.watch(engine)
    app = create_app(routes, settings.body_bytes)
    streams = SessionStreams(engine)
    streams.add_to(app)
    doors: dict[str, asgi.Application] = {EXECUTE_PATH: ExecuteDoor(engine, settings), **mcp.applications}
    lines, files = LinesDoor(routes, settings), FilesDoor(routes)
    hot = ViewsDoor((route for route in routes if route.name in HOT_ROUTES), settings.body_bytes)
    front = Front(app.asgi_app, doors, EventsDoor(engine, settings), lines, files, hot)
    behind = front if node is None else node.in_front_of(front)
    gate = Gate(behind, settings, tokens, metrics.refused)
    app.asgi_app = gate if node is None else PeersFirst(node, gate)  # type: ignore[method-assign]
    drained = trio.Event()
    async with trio.open_nursery() as nursery:
        async with AsyncExitStack() as for_others:
            if node is not None:  # first, so that what others asked is answered when MCP ends
                await for_others.enter_async_context(node.serving_others(front))
            async with mcp.run(), streams.run():
                config = hypercorn_trio.ServerConfig()
                config.max_connections = settings.connections
                serving = partial(hypercorn_trio.serve, hot=Hot(gate, front.is_hot))
                await nursery.start(serving, app, config, listeners, drained)
                started()
                await stop.wait()
                if node is not None:
                    await node.drain(settings.drain_seconds)
                await engine.drain(settings.drain_seconds)
        drained.set()
