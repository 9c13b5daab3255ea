"""Routes with a view, as an ASGI application without Quart, which takes longer than most views do."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from transports import errors
from transports.asgi import (
    Gone,
    JsonAnswer,
    Receive,
    Scope,
    Send,
    read_body,
    send_answer,
    while_there,
)
from transports.identity import identity
from transports.rest.routes import Route, answer_route


class ViewsDoor:
    """Serves those of ``routes`` that have a view, with bodies of at most so many bytes."""

    def __init__(self, routes: Iterable[Route], body_bytes: int) -> None:
        self._views = [(route.pattern(), route, route.view) for route in routes if route.view is not None]
        self._body_bytes = body_bytes

    def serves(self, method: str, path: str) -> bool:
        """Whether there is such a route."""
        return any(method == route.method and pattern.fullmatch(path) for pattern, route, _ in self._views)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        try:
            told = await self._answer(scope, receive)
        except Gone:
            return
        except Exception as error:  # noqa: BLE001 (the boundary: what is no refusal is logged, and a 500)
            told = errors.failure_answer(error)
        await send_answer(scope, send, told)

    async def _answer(self, scope: Scope, receive: Receive) -> JsonAnswer:
        method, path = scope["method"], scope["path"]
        for pattern, route, view in self._views:
            match = pattern.fullmatch(path)
            if match is None or route.method != method:
                continue
            body = partial(read_body, scope, receive, self._body_bytes)
            query = scope["query_string"]
            view_it = partial(
                answer_route, route, view, match.groupdict(), query, scope, identity(scope), body
            )
            # What takes no body is watched from the beginning: it may wait long.
            told = await (while_there(receive, view_it) if route.body is None else view_it())
            assert isinstance(told, JsonAnswer), "what answers otherwise is Quart's"
            return told
        return errors.answer(404, f"there is no {method} {path[:200]} here", "not_found")
