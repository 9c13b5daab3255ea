"""A door of their own for some routes of the table, in front of Quart: for what takes long, or is large."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

from transports import errors
from transports.asgi import Gone, JsonAnswer, Receive, Scope, Send, send_answer
from transports.identity import identity
from transports.rest.routes import Route
from transports.streamplaces import StreamPlaces


class RouteDoor(ABC):
    """An ASGI application for ``routes``: serves ``most`` at once, called ``what`` in the plural."""

    def __init__(self, routes: Iterable[Route], what: str, most: int) -> None:
        self._routes = [(route.pattern(), route) for route in routes]
        self._most = most
        self.places = StreamPlaces(what)

    def serves(self, path: str) -> bool:
        """Whether a route of this door has that path."""
        return any(pattern.fullmatch(path) for pattern, _ in self._routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request for a path that this door ``serves``."""
        who = identity(scope)
        if (full := self.places.refusal(who, self._most)) is not None:
            await send_answer(scope, send, errors.answer(429, full, "busy"))
            return
        with self.places.taken(who):
            try:
                told = await self._find(scope, receive, send)
            except Gone:
                return
            except Exception as error:  # noqa: BLE001 (the boundary: what is no refusal is logged, and a 500)
                told = errors.failure_answer(error)
            if told is not None:
                await send_answer(scope, send, told)

    async def _find(self, scope: Scope, receive: Receive, send: Send) -> JsonAnswer | None:
        path, method = scope["path"], scope["method"]
        served = {
            route.method: (route, match.groupdict())
            for pattern, route in self._routes
            if (match := pattern.fullmatch(path)) is not None
        }
        if method not in served:
            return errors.method_answer(method, path[:200], ", ".join(sorted(served)))
        return await self._serve(*served[method], scope, receive, send)

    @abstractmethod
    async def _serve(
        self, route: Route, path: Mapping[str, str], scope: Scope, receive: Receive, send: Send
    ) -> JsonAnswer | None:
        """The answer; None if it was sent. Raises EngineError, BodyRefused, Gone before it is begun."""
