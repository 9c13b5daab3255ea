"""The REST door as a Quart application."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from quart import Response, current_app, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from engine.errors import EngineError
from transports import errors
from transports.asgi import BodyTooLarge, BodyTooLate, JsonAnswer
from transports.identity import identity
from transports.mcp.paths import PATH as MCP_PATH
from transports.metrics import Metrics
from transports.rest import docs, server
from transports.rest.operations import operations
from transports.rest.routes import Route, View, answer_route
from transports.settings import HttpSettings

if TYPE_CHECKING:
    from engine.supervisor import Supervisor


def all_routes(
    engine: Supervisor, settings: HttpSettings, *, failing: Callable[[], str | None], metrics: Metrics
) -> list[Route]:
    """Every route, those that have a door of their own included.

    For ``/readyz``, ``failing`` says why the log takes no events.
    """
    served = [*operations(engine, settings), *server.routes(engine, settings.store, failing, metrics)]
    return [*served, *docs.routes(engine, served)]


def create_app(routes: list[Route], body_bytes: int) -> QuartTrio:
    """The application that serves the routes, but for those that have a door of their own."""
    app = QuartTrio("mcp-v8", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = body_bytes
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # nothing is served that the table does not name
    app.url_map.merge_slashes = False  # no redirects, whose pages are HTML
    _add_routes(app, routes)
    _add_errors(app)
    return app


def _add_routes(app: QuartTrio, routes: Iterable[Route]) -> None:
    for route in routes:
        if route.view is not None:
            rule = re.sub(r"{(\w+)}", r"<\1>", route.path)
            app.add_url_rule(rule, route.name, _endpoint(route, route.view), methods=[route.method])


def _endpoint(route: Route, view: View) -> Callable[..., Awaitable[Response]]:
    async def serve(**path: str) -> Response:
        async def body() -> bytes:
            data = await request.get_data()
            assert isinstance(data, bytes)
            return data

        scope = request.scope
        told = await answer_route(route, view, path, request.query_string, scope, identity(scope), body)
        return told if isinstance(told, Response) else response(told)

    return serve


def response(told: JsonAnswer) -> Response:
    """The answer as Quart sends it."""
    made = Response(told.body, told.status, content_type="application/json")
    made.headers.extend(told.headers)
    return made


def _add_errors(app: QuartTrio) -> None:
    @app.errorhandler(EngineError)
    async def engine_error(error: EngineError) -> Response:
        return response(errors.engine_answer(error))

    @app.errorhandler(HTTPException)
    async def http_error(error: HTTPException) -> Response:
        return response(_http_answer(error))

    @app.errorhandler(Exception)
    async def internal_error(error: Exception) -> Response:
        return response(errors.internal_answer(error))


def _http_answer(error: HTTPException) -> JsonAnswer:
    """The answer for what Quart itself refuses."""
    path = request.path[:200]
    if isinstance(error, MethodNotAllowed):
        return errors.method_answer(request.method, path, ", ".join(sorted(error.valid_methods or ())))
    match error.code:
        case 404:
            mcp = f"; MCP is at {MCP_PATH}" if path.startswith(MCP_PATH) else ""
            return errors.answer(404, f"there is no {path} here{mcp}", "not_found")
        case 413:
            return errors.body_answer(BodyTooLarge(current_app.config["MAX_CONTENT_LENGTH"]))
        case 408:
            return errors.body_answer(BodyTooLate())
        case code:
            return errors.answer(code or 500, error.name, error.name.lower().replace(" ", "_"))
