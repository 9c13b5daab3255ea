"""The REST door, beside ``/api/exec``: executions, sessions and the server itself, as a Quart application."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from engine.errors import EngineError, InvalidField, NotFound
from transports import answer, errors
from transports.asgi import MAX_BODY_BYTES, BodyTooLarge, BodyTooLate, JsonAnswer
from transports.execute import MAX_WAIT, Preference, execution_answer
from transports.mcp import PATH as MCP_PATH
from transports.request import EXECUTION_ID, OWNER, number_from_text

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

CANCEL_SECONDS = 2.0
"""Time that a cancel waits for the execution to be over."""
MAX_SESSIONS = 1_000


def create_app(engine: Supervisor, *, store: str, failing: Callable[[], str | None]) -> QuartTrio:
    """The application that serves ``engine``, but for what has a door of its own.

    For ``/readyz``, ``store`` says what the log is kept in, and ``failing`` why it takes no events.
    """
    app = QuartTrio("mcp-v8", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    _add_executions(app, engine)
    _add_server(app, engine, store, failing)
    _add_errors(app)
    return app


def _add_executions(app: QuartTrio, engine: Supervisor) -> None:
    @app.get("/api/executions/<execution_id>")
    async def show(execution_id: str) -> Response:
        execution = await engine.execution(OWNER, _execution_id(execution_id))
        await execution.wait(_query_wait())
        return _json(answer.encode(execution))

    @app.post("/api/executions/<execution_id>/cancel")
    async def cancel(execution_id: str) -> Response:
        execution = await engine.cancel(OWNER, _execution_id(execution_id))
        await execution.wait(CANCEL_SECONDS)
        return _response(execution_answer(execution, Preference(CANCEL_SECONDS)))

    @app.get("/api/sessions")
    async def sessions() -> Response:
        return _json(answer.encode_sessions(await engine.sessions(OWNER, limit=MAX_SESSIONS)))


def _add_server(app: QuartTrio, engine: Supervisor, store: str, failing: Callable[[], str | None]) -> None:
    @app.get("/healthz")
    async def healthy() -> Response:
        return _json(b'{"status":"ok"}')

    @app.get("/readyz")
    async def ready() -> Response:
        status = engine.status()
        error, ready, name = failing(), status.pop("ready"), status.pop("status")
        code = 200 if ready and error is None else 503
        if error is not None:
            name = "store_failed" if ready else name
            status["error"] = error
        told = {"status": name, "store": store, "sandbox": status.pop("sandbox"), **status}
        return _json(msgspec.json.encode(told), code)

    @app.get("/api/version")
    async def show_version() -> Response:
        told = {"name": "mcp-v8", "version": version("mcp-v8"), "engine": engine.status()["engine"]}
        return _json(msgspec.json.encode(told))


def _add_errors(app: QuartTrio) -> None:
    @app.errorhandler(EngineError)
    async def engine_error(error: EngineError) -> Response:
        return _response(errors.engine_answer(error))

    @app.errorhandler(HTTPException)
    async def http_error(error: HTTPException) -> Response:
        return _response(_http_answer(error))

    @app.errorhandler(Exception)
    async def internal_error(error: Exception) -> Response:
        return _response(errors.internal_answer(error))


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
            return errors.body_answer(BodyTooLarge())
        case 408:
            return errors.body_answer(BodyTooLate())
        case code:
            return errors.answer(code or 500, error.name, error.name.lower().replace(" ", "_"))


def _query_wait() -> float:
    value = request.args.get("wait")
    if value is None:
        return 0.0
    seconds = number_from_text(value)
    if not isinstance(seconds, int | float) or not seconds >= 0:
        raise InvalidField("`wait` must be a number of seconds", field="wait")
    return min(seconds, MAX_WAIT)


def _execution_id(text: str) -> str:
    if EXECUTION_ID.fullmatch(text) is None:
        raise NotFound("no such execution: an id is e_ and 16 characters", field="execution_id")
    return text


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, content_type="application/json")


def _response(told: JsonAnswer) -> Response:
    response = _json(told.body, told.status)
    response.headers.extend(told.headers)
    return response
