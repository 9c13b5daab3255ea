"""The operations as an ASGI application without Quart and sockets, for a command that works on a store
itself.

The same routes, doors and answers as the server's, in front of an engine in the same process.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import EngineError
from transports import errors
from transports.asgi import BodyRefused, Gone, JsonAnswer, Receive, Scope, Send, read_body, send_answer
from transports.execute import PATH as EXECUTE_PATH
from transports.execute import ExecuteDoor
from transports.identity import identity
from transports.rest.files import FilesDoor
from transports.rest.lines import LinesDoor
from transports.rest.operations import operations
from transports.rest.routes import answer_route
from transports.rest.stream import PATH as EVENTS_PATH
from transports.rest.stream import EventsDoor
from transports.settings import HttpSettings

if TYPE_CHECKING:
    from engine.supervisor import Supervisor


class DirectApp:
    """Serves one HTTP scope at a time, or many."""

    def __init__(self, engine: Supervisor, settings: HttpSettings) -> None:
        routes = operations(engine, settings)
        self._views = [(route.pattern(), route, route.view) for route in routes if route.view is not None]
        self._execute = ExecuteDoor(engine, settings)
        self._events = EventsDoor(engine, settings)
        self._lines = LinesDoor(routes, settings, stalled_seconds=math.inf)
        self._files = FilesDoor(routes)
        self._body_bytes = settings.body_bytes

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
            await send_answer(scope, send, await self._answer(scope, receive))

    async def _answer(self, scope: Scope, receive: Receive) -> JsonAnswer:
        try:
            for pattern, route, view in self._views:
                match = pattern.fullmatch(scope["path"])
                if match is None or route.method != scope["method"]:
                    continue
                body = partial(read_body, scope, receive, self._body_bytes)
                query = scope["query_string"]
                told = await answer_route(route, view, match.groupdict(), query, scope, identity(scope), body)
                assert isinstance(told, JsonAnswer), "what answers otherwise is the server's"
                return told
        except EngineError as error:
            return errors.engine_answer(error)
        except BodyRefused as refused:
            return errors.body_answer(refused)
        except Gone:
            raise
        except Exception as error:  # noqa: BLE001 (the boundary: logged, and a 500)
            return errors.internal_answer(error)
        return errors.answer(404, f"there is no {scope['method']} {scope['path'][:200]} here", "not_found")
