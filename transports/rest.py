"""The REST door: ``/api/exec`` and what belongs to it, as a Quart application."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from engine.errors import EngineError, InvalidField, NotFound
from engine.events import Caller
from engine.execution import Execution
from transports import answer, errors
from transports.request import EXECUTION_ID, OWNER, decode_object, number_from_text, submission

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

MAX_BODY_BYTES = 4 << 20
DEFAULT_WAIT = 30.0
"""Seconds that ``POST /api/exec`` waits for the end, unless the client says otherwise."""
MAX_WAIT = 300.0
CANCEL_WAIT = 2.0
"""Seconds that a cancel waits for the execution to be over."""
MAX_SESSIONS = 1_000

_JSON = "application/json"
_PROBABLY_JSON = ("", "application/x-www-form-urlencoded")
"""Content types of a client that did not set any (curl's default is the second)."""
_QUERY_TEXT = ("session", "heap", "idempotency_key")
_QUERY_NUMBERS = ("execution_timeout_secs", "heap_memory_max_mb")
_WAIT = re.compile(r'wait\s*=\s*"?([0-9]{1,9})"?')
_MAX_CALLER = 128
"""Characters kept of each thing that a client says about itself."""


class Preference(Struct, frozen=True):
    """How long the client wants to wait for the end (RFC 7240)."""

    wait: float
    """Seconds; 0 for an answer at once."""
    applied: str | None = None
    """Value of ``Preference-Applied``."""


def create_app(engine: Supervisor, *, exec_async: bool = False) -> QuartTrio:
    """The application that serves ``engine``.

    With ``exec_async``, ``POST /api/exec`` answers at once unless the client asks to wait.
    """
    app = QuartTrio("mcp-v8", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    default_wait = 0.0 if exec_async else DEFAULT_WAIT
    _add_executions(app, engine, default_wait)
    _add_server(app, engine)
    _add_errors(app)
    return app


def _add_executions(app: QuartTrio, engine: Supervisor, default_wait: float) -> None:
    @app.post("/api/exec")
    async def run() -> Response:
        fields = _fields(await request.get_data(cache=True, as_text=False, parse_form_data=False))
        asked = submission(fields, _caller())
        preference = _preference(default_wait)
        execution = await engine.submit(asked)
        if preference.wait:
            await execution.wait(preference.wait)
        return _execution(execution, preference, at_once=not preference.wait)

    @app.get("/api/executions/<execution_id>")
    async def show(execution_id: str) -> Response:
        execution = await engine.execution(OWNER, _execution_id(execution_id))
        preference = _preference(0.0)
        await execution.wait(_query_wait() or preference.wait)
        return _json(answer.encode(execution))

    @app.post("/api/executions/<execution_id>/cancel")
    async def cancel(execution_id: str) -> Response:
        execution = await engine.cancel(OWNER, _execution_id(execution_id))
        await execution.wait(CANCEL_WAIT)
        return _execution(execution, Preference(CANCEL_WAIT))

    @app.get("/api/sessions")
    async def sessions() -> Response:
        return _json(answer.encode_sessions(await engine.sessions(OWNER, limit=MAX_SESSIONS)))


def _add_server(app: QuartTrio, engine: Supervisor) -> None:
    @app.get("/healthz")
    async def healthy() -> Response:
        return _json(b'{"status":"ok"}')

    @app.get("/readyz")
    async def ready() -> Response:
        status = engine.status()
        return _json(msgspec.json.encode(status), 200 if status["ready"] else 503)

    @app.get("/api/version")
    async def show_version() -> Response:
        told = {"name": "mcp-v8", "version": version("mcp-v8"), "engine": engine.status()["engine"]}
        return _json(msgspec.json.encode(told))


def _add_errors(app: QuartTrio) -> None:
    @app.errorhandler(EngineError)
    async def engine_error(error: EngineError) -> Response:
        return _error(errors.engine_answer(error))

    @app.errorhandler(HTTPException)
    async def http_error(error: HTTPException) -> Response:
        return _error(_http_answer(error))

    @app.errorhandler(Exception)
    async def internal_error(error: Exception) -> Response:
        return _error(errors.internal_answer(error))


def _http_answer(error: HTTPException) -> errors.ErrorAnswer:
    """The answer for what Quart itself refuses."""
    path = request.path[:200]
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        told = errors.answer(405, f"{request.method} is not for {path}; use {allowed}", "method_not_allowed")
        return errors.ErrorAnswer(told.status, told.body, (("allow", allowed),))
    match error.code:
        case 404:
            return errors.answer(404, f"there is no {path} here", "not_found")
        case 413:
            return errors.answer(413, f"the body is over {MAX_BODY_BYTES:,} bytes", "too_large")
        case 408:
            return errors.answer(408, "the body did not come in time", "timeout")
        case code:
            return errors.answer(code or 500, error.name, error.name.lower().replace(" ", "_"))


def _fields(body: bytes) -> dict[str, object]:
    """The fields of a request: of a JSON body, or of the query string with the code as the body."""
    kind = request.mimetype
    if kind == _JSON or (kind.startswith("application/") and kind.endswith("+json")):
        fields = decode_object(body)
    else:
        fields = _fields_of_raw(body, kind)
    if request.query_string:
        fields = _query_fields() | fields
    key = request.headers.get("Idempotency-Key")
    if key is not None and fields.setdefault("idempotency_key", key) != key:
        raise InvalidField(
            "the Idempotency-Key header and `idempotency_key` differ: send one", field="idempotency_key"
        )
    return fields


def _fields_of_raw(body: bytes, kind: str) -> dict[str, object]:
    if kind in _PROBABLY_JSON and body.lstrip()[:1] == b"{":
        try:
            fields = decode_object(body)
        except InvalidField:
            fields = {}
        if "code" in fields:
            return fields
    if not body:
        raise InvalidField("the body is empty: send the JavaScript to run", field="code")
    try:
        return {"code": body.decode()}
    except UnicodeDecodeError as broken:
        raise InvalidField(f"the code is not UTF-8: {broken.reason}", field="code") from broken


def _query_fields() -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, value in request.args.items():
        if name in _QUERY_TEXT:
            fields[name] = value
        elif name in _QUERY_NUMBERS:
            fields[name] = number_from_text(value)
        else:
            known = ", ".join(_QUERY_TEXT + _QUERY_NUMBERS)
            raise InvalidField(f"unknown query parameter {name[:64]!r}; known are {known}", field=name[:64])
    return fields


def _preference(default_wait: float) -> Preference:
    """What the ``Prefer`` header asks for; what it says beyond that is ignored, as RFC 7240 wants."""
    header = request.headers.get("Prefer")
    if header is None:
        return Preference(default_wait)
    asynchronous = False
    for part in header.lower().split(","):
        preference = part.strip()
        if match := _WAIT.fullmatch(preference):
            wait = min(float(match[1]), MAX_WAIT)
            return Preference(wait, f"wait={wait:.0f}")
        asynchronous |= preference == "respond-async"
    return Preference(0.0, "respond-async") if asynchronous else Preference(default_wait)


def _query_wait() -> float:
    value = request.args.get("wait")
    if value is None:
        return 0.0
    seconds = number_from_text(value)
    if not isinstance(seconds, int | float) or not seconds >= 0:
        raise InvalidField("`wait` must be a number of seconds", field="wait")
    return min(float(min(seconds, MAX_WAIT)), MAX_WAIT)


def _execution_id(text: str) -> str:
    if EXECUTION_ID.fullmatch(text) is None:
        raise NotFound("no such execution: an id is e_ and 16 characters", field="execution_id")
    return text


def _caller() -> Caller:
    headers = request.headers
    product, _, product_version = headers.get("User-Agent", "").partition(" ")[0].partition("/")
    return Caller(
        transport="rest",
        client=product[:_MAX_CALLER],
        client_version=product_version[:_MAX_CALLER],
        request_id=headers.get("X-Request-Id", "")[:_MAX_CALLER],
        traceparent=headers.get("Traceparent", "")[:_MAX_CALLER],
    )


def _execution(execution: Execution, preference: Preference, *, at_once: bool = False) -> Response:
    """200 with the outcome, or 202 with where to find it (always when asked to answer at once)."""
    over = execution.report is not None and not at_once
    response = _json(answer.encode(execution), 200 if over else 202)
    if not over:
        response.headers["Location"] = f"/api/executions/{execution.id}"
    if preference.applied is not None:
        response.headers["Preference-Applied"] = preference.applied
    return response


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, content_type=_JSON)


def _error(told: errors.ErrorAnswer) -> Response:
    headers: dict[str, Any] = dict(told.headers)
    return Response(told.body, told.status, headers, content_type=_JSON)
