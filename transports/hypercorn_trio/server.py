"""All connections of one application, from the first to the end of the grace period."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import inf
from typing import cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.trio.lifespan import Lifespan
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ASGIFramework, LifespanState

from transports import accept_log
from transports.hypercorn_trio import limits
from transports.hypercorn_trio.config import ServerConfig
from transports.hypercorn_trio.connection import Connection, send_now
from transports.hypercorn_trio.plain import Hot

_FULL = (
    b"HTTP/1.1 503 \r\ncontent-type: application/json\r\ncontent-length: 60\r\n"
    b"retry-after: 1\r\nconnection: close\r\n\r\n"
    b'{"error":"too many connections","code":"busy","field":null}\n'
)


class Server:
    """All connections of one application."""

    def __init__(self, app: AppWrapper, hot: Hot | None, config: ServerConfig, state: LifespanState) -> None:
        self.app = app
        self.hot = hot
        self.config = config
        self.state = state
        self.context = WorkerContext(None)
        self.stopping = False
        self._connections: set[Connection] = set()
        self._sends: set[trio.CancelScope] = set()
        self._end = inf

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one accepted connection."""
        if len(self._connections) >= self.config.max_connections:
            send_now(stream.socket.fileno(), _FULL)
            stream.socket.close()
            return
        connection = Connection(self, stream)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    async def send_all(self, stream: trio.SocketStream, data: memoryview) -> None:
        """Send, within SEND_TIMEOUT and the end of the server.

        Shielded: a cancelled request must not leave half a response on a connection that lives on.
        Raises BrokenResourceError when the peer did not read in time.
        """
        deadline = min(trio.current_time() + limits.SEND_TIMEOUT, self._end)
        with trio.CancelScope(deadline=deadline, shield=True) as scope:
            self._sends.add(scope)
            try:
                await stream.send_all(data)
            finally:
                self._sends.discard(scope)
        if scope.cancelled_caught:
            raise trio.BrokenResourceError("the peer does not read")

    async def stop(self) -> float:
        """End idle connections, and the others after their response; returns the time of the end."""
        self.stopping = True
        await self.context.terminated.set()
        self._end = trio.current_time() + self.config.grace
        for scope in self._sends:
            scope.deadline = min(scope.deadline, self._end)
        for connection in self._connections:
            connection.stop_if_idle()
        return self._end


async def serve(
    app: ASGIFramework,
    config: ServerConfig,
    listeners: Sequence[trio.SocketListener],
    stop: trio.Event,
    *,
    hot: Hot | None = None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve ``app`` until ``stop`` is set, then for at most ``config.grace`` seconds.

    Plain requests for routes that are ``hot`` go to that. Takes over the listeners. ``task_status`` is told
    once connections are accepted. A peer that has vanished acknowledges nothing, and what is sent to it may
    still fit into the kernel's buffer: TCP_USER_TIMEOUT (tcp(7)) ends its connection after the time that a
    send may take.
    """
    for listener in listeners:  # whose connections inherit it
        listener.socket.setsockopt(
            trio.socket.IPPROTO_TCP, trio.socket.TCP_USER_TIMEOUT, round(limits.SEND_TIMEOUT * 1_000)
        )
    wrapped = cast(AppWrapper, ASGIWrapper(app))
    state: LifespanState = LifespanState({})
    lifespan = Lifespan(wrapped, config, state)
    async with trio.open_nursery() as outer:
        await outer.start(lifespan.handle_lifespan)
        await lifespan.wait_for_startup()
        server = Server(wrapped, hot, config, state)
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as accepting:
                accept = partial(trio.serve_listeners, handler_nursery=connections)
                with accept_log.telling_seldom():
                    await accepting.start(accept, server.handle, list(listeners))
                    task_status.started()
                    await stop.wait()
                    accepting.cancel_scope.cancel()
            connections.cancel_scope.deadline = await server.stop()
        await lifespan.wait_for_shutdown()
        outer.cancel_scope.cancel()
