"""The REST door: executions, sessions, the server itself and its documents, as a Quart application."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from quart import Response, current_app, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from engine.errors import EngineError
from transports import errors
from transports.asgi import BodyTooLarge, BodyTooLate, JsonAnswer
from transports.mcp.refusal import PATH as MCP_PATH
from transports.metrics import Metrics
from transports.rest import docs, executions, server, sessions, submit
from transports.rest.routes import Route, add_routes, response
from transports.settings import HttpSettings

if TYPE_CHECKING:
    from engine.supervisor import Supervisor


def all_routes(
    engine: Supervisor, settings: HttpSettings, *, failing: Callable[[], str | None], metrics: Metrics
) -> list[Route]:
    """Every route, those that have a door of their own included.

    For ``/readyz``, ``failing`` says why the log takes no events.
    """
    served = [
        *submit.routes(),
        *executions.routes(engine, settings.answer_console_bytes),
        *sessions.routes(engine),
        *server.routes(engine, settings.store, failing, metrics),
    ]
    return [*served, *docs.routes(engine, served)]


def create_app(routes: list[Route], body_bytes: int) -> QuartTrio:
    """The application that serves the routes, but for those that have a door of their own."""
    app = QuartTrio("mcp-v8", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = body_bytes
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # nothing is served that the table does not name
    app.url_map.merge_slashes = False  # no redirects, whose pages are HTML
    add_routes(app, routes)
    _add_errors(app)
    return app


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
