"""``POST /api/exec``: the hot route, an ASGI application of its own in front of Quart.

A Quart view costs several times what an execution costs the engine; what this route needs of a request
(method, a few headers, the query string, the body) it reads by itself.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from engine.errors import EngineError, InvalidField
from engine.events import Caller
from engine.execution import Execution
from transports import answer, errors
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
from transports.identity import Identity, identity
from transports.request import decode_object, number_from_text, query_parameters, submission
from transports.settings import HttpSettings

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

PATH = "/api/exec"
DEFAULT_WAIT = 30.0
"""Seconds that a request waits for the end, unless the client says otherwise."""
MAX_WAIT = 300.0
QUICK_SECONDS = 0.25
"""Most executions are over by then; only for longer ones the client's leaving is watched for."""

_JSON = ("application/json", "text/json")
_PROBABLY_JSON = ("", "application/x-www-form-urlencoded")
"""Content types of a client that did not set any (curl's default is the second)."""
_QUERY_TEXT = ("session", "heap", "idempotency_key")
_QUERY_NUMBERS = ("execution_timeout_secs", "heap_memory_max_mb")
_WAIT = re.compile(r'wait\s*=\s*"?([0-9]{1,300})"?')
_MAX_CALLER = 128
"""Characters kept of each thing that a client says about itself."""

Headers = dict[bytes, bytes]


class Preference(Struct, frozen=True):
    """How long the client wants to wait for the end (RFC 7240)."""

    wait: float
    """Seconds; 0 for an answer at once."""
    applied: str | None = None
    """Value of ``Preference-Applied``."""


class ExecuteDoor:
    """An ASGI application for ``PATH``.

    With ``exec_async`` in the settings it answers at once unless the client asks to wait.
    """

    def __init__(self, engine: Supervisor, settings: HttpSettings) -> None:
        self._executions = engine.executions
        self._settings = settings
        self._default_wait = 0.0 if settings.exec_async else DEFAULT_WAIT

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
        if scope["method"] != "POST":
            return errors.method_answer(scope["method"], PATH, "POST")
        body = await read_body(scope, receive, self._settings.body_bytes)
        headers: Headers = dict(scope["headers"])
        if (refusal := unsupported(headers)) is not None:
            return refusal
        who = identity(scope)
        fields = _fields(headers, scope["query_string"], body)
        asked = submission(fields, caller(headers, who), owner=who.owner)
        preference = _preference(headers.get(b"prefer"), self._default_wait)
        execution = await self._executions.submit(asked)
        if not preference.wait:
            await self._executions.promise(execution)
        else:
            await _wait(execution, preference.wait, receive)
            if not execution.done:
                with suppress(EngineError):  # it runs all the same, and the client is told by which id
                    await self._executions.promise(execution)
        return execution_answer(execution, preference, self._settings.answer_console_bytes)


def execution_answer(execution: Execution, preference: Preference, console_bytes: int) -> JsonAnswer:
    """200 with the outcome, or 202 with where to find it (always when asked to answer at once)."""
    headers: tuple[tuple[str, str], ...] = ()
    if preference.applied is not None:
        headers = (("preference-applied", preference.applied),)
    if execution.report is not None and preference.wait:
        return JsonAnswer(200, answer.encode(execution, console_bytes), headers)
    place = ("location", f"/api/executions/{execution.id}")
    return JsonAnswer(202, answer.encode(execution, console_bytes), (place, *headers))


async def _wait(execution: Execution, seconds: float, receive: Receive) -> None:
    """Wait for the end, at most ``seconds``. Raises Gone if the client does not; that cancels nothing."""
    quick = min(seconds, QUICK_SECONDS)
    if await execution.wait(quick) is not None or quick == seconds:
        return
    await while_there(receive, partial(execution.wait, seconds - quick))


def _fields(headers: Headers, query: bytes, body: bytes) -> dict[str, object]:
    """The fields of a request: of a JSON body, or of the query string with the code as the body."""
    kind = _media_type(headers)
    if kind in _JSON or (kind.startswith("application/") and kind.endswith("+json")):
        fields = decode_object(body)
    else:
        fields = _fields_of_raw(body, kind)
    if query:
        fields = _query_fields(query) | fields
    key = headers.get(b"idempotency-key")
    if key is not None:
        told = key.decode("latin1")
        if fields.setdefault("idempotency_key", told) != told:
            raise InvalidField(
                "the Idempotency-Key header and `idempotency_key` differ: send one", field="idempotency_key"
            )
    return fields


def _media_type(headers: Headers) -> str:
    return headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin1")


def unsupported(headers: Headers) -> JsonAnswer | None:
    """The refusal of a body that would have to be unpacked first."""
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding != b"identity":
        sentence = "the body must not be compressed: send it without Content-Encoding"
        return errors.answer(415, sentence, "unsupported_media_type", "Content-Encoding")
    if _media_type(headers).startswith("multipart/"):
        sentence = "a form is not taken: send JSON, or the code as text/javascript"
        return errors.answer(415, sentence, "unsupported_media_type", "Content-Type")
    return None


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


def _query_fields(query: bytes) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, value in query_parameters(query).items():
        if name in _QUERY_TEXT:
            fields[name] = value
        elif name in _QUERY_NUMBERS:
            fields[name] = number_from_text(value)
        else:
            known = ", ".join(_QUERY_TEXT + _QUERY_NUMBERS)
            raise InvalidField(f"unknown query parameter {name[:64]!r}; known are {known}", field=name[:64])
    return fields


def _preference(header: bytes | None, default_wait: float) -> Preference:
    """What the ``Prefer`` header asks for; what it says beyond that is ignored, as RFC 7240 wants."""
    if header is None:
        return Preference(default_wait)
    asynchronous = False
    for part in header.decode("latin1").lower().split(","):
        preference = part.partition(";")[0].strip()  # parameters mean nothing here
        if match := _WAIT.fullmatch(preference):
            wait = min(float(match[1]), MAX_WAIT)
            return Preference(wait, f"wait={wait:.0f}")
        asynchronous |= preference == "respond-async"
    return Preference(0.0, "respond-async") if asynchronous else Preference(default_wait)


def caller(headers: Headers, who: Identity) -> Caller:
    """Who asks: in their own words, and as whom they were recognized."""
    agent = headers.get(b"user-agent", b"").decode("latin1")
    product, _, version = agent.partition(" ")[0].partition("/")
    return Caller(
        transport="rest",
        client=product[:_MAX_CALLER],
        client_version=version[:_MAX_CALLER],
        subject=who.subject,
        request_id=headers.get(b"x-request-id", b"").decode("latin1")[:_MAX_CALLER],
        traceparent=headers.get(b"traceparent", b"").decode("latin1")[:_MAX_CALLER],
    )
