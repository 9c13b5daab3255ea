"""The operations as an ASGI application without Quart and sockets, for a command that works on a store
itself.

The same routes, doors and answers as the server's, in front of an engine in the same process.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from transports.asgi import Receive, Scope, Send
from transports.execute import PATH as EXECUTE_PATH
from transports.execute import ExecuteDoor
from transports.rest.files import FilesDoor
from transports.rest.lines import LinesDoor
from transports.rest.operations import operations
from transports.rest.stream import PATH as EVENTS_PATH
from transports.rest.stream import EventsDoor
from transports.rest.views import ViewsDoor
from transports.settings import HttpSettings

if TYPE_CHECKING:
    from engine.supervisor import Supervisor


class DirectApp:
    """Serves one HTTP scope at a time, or many."""

    def __init__(self, engine: Supervisor, settings: HttpSettings) -> None:
        routes = operations(engine, settings)
        self._execute = ExecuteDoor(engine, settings)
        self._events = EventsDoor(engine, settings)
        self._lines = LinesDoor(routes, settings, stalled_seconds=math.inf)
        self._files = FilesDoor(routes)
        self._views = ViewsDoor(routes, settings.body_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path = scope["path"]
        if path == EXECUTE_PATH:
            await self._execute(scope, receive, send)
        elif EVENTS_PATH.fullmatch(path):
            await self._events(scope, receive, send)
        elif self._lines.serves(path):
            await self._lines(scope, receive, send)
        elif self._files.serves(path):
            await self._files(scope, receive, send)
        else:
            await self._views(scope, receive, send)
