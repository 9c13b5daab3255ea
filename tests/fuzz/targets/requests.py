"""What a client sends over REST, as far as it is read before anything is done."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine import acceptance, chain, labels
from engine.attempt import conclude
from engine.errors import EngineError
from engine.events import FORMAT_VERSION, Caller, Tagged
from engine.isolate import wire
from engine.isolate.executor import _begin
from engine.limits import LimitPolicy
from engine.outcomes import Abort
from fuzz import answers, jsons
from fuzz.data import Data
from fuzz.shapes import value
from fuzz.targets.worker import ATTEMPT
from transports import errors, execute
from transports.identity import LOCAL
from transports.metrics import Metrics
from transports.request import submission
from transports.rest.application import all_routes
from transports.rest.executions import ShowQuery
from transports.rest.routes import Route, decode_body, decode_query
from transports.rest.sessions import TagsBody
from transports.rest.submit import ExecBody, ExecQuery
from transports.settings import DEFAULTS

_TYPES: Final = (
    b"application/json",
    b"application/json; charset=utf-8",
    b"text/javascript",
    b"application/x-www-form-urlencoded",
    b"multipart/form-data",
    b"",
)
_PREFERENCES: Final = (
    b"wait=10",
    b"respond-async",
    b"wait=0",
    b'wait="5", respond-async',
    b"wait=" + b"9" * 300,
)
_FIELDS: Final = {
    "code": '"1"',
    "input": "{}",
    "session": '"demo"',
    "heap": f'"{"a" * 64}"',
    "execution_timeout_secs": "1",
    "heap_memory_max_mb": "64",
    "idempotency_key": '"key"',
    "name": '"another"',
    "event": "1",
    "tags": '{"a":"b","c":null}',
}
_PARAMETERS: Final = {
    "session": "demo",
    "heap": "a" * 64,
    "execution_timeout_secs": "1.5",
    "heap_memory_max_mb": "64",
    "idempotency_key": "key",
    "limit": "10",
    "after": "r1.e_a",
    "status": "completed",
    "tag": "a:b",
    "first": "0",
    "event": "1",
    "key": "a",
    "wait": "0",
    "line_offset": "1",
    "line_limit": "2",
    "byte_offset": "0",
    "byte_limit": "3",
}


def submissions(raw: bytes) -> None:
    """A request to run code is refused with a 4xx, or can be run and recorded."""
    data = Data(raw)
    headers = headers_of(data)
    query = query_of(data, names_of(ExecQuery)) if data.byte() % 2 else b""
    body = exec_body(data)
    try:
        refusal = execute.unsupported(headers)
        if refusal is not None:
            _check_refusal(refusal.status, refusal.body)
            return
        fields = execute._fields(headers, query, body)
        asked = submission(fields, execute.caller(headers, LOCAL), owner=LOCAL.owner)
        preference = execute._preference(headers.get(b"prefer"), 35.0)
        acceptance.check(asked, LimitPolicy())
    except EngineError as error:
        told = errors.engine_answer(error)
        _check_refusal(told.status, told.body)
        return
    assert 0 <= preference.wait <= execute.MAX_WAIT
    limits = LimitPolicy().clamp(time_ms=asked.time_ms, heap_mb=asked.heap_mb)
    assert 1 <= limits.time_ms <= 300_000
    assert 16 <= limits.heap_mb <= 1_024
    attempt = replace(ATTEMPT, submission=asked, limits=limits)
    event = conclude(attempt, "s1", Abort("crashed", 1), ())
    record = chain.seal(b"p" * 32, event)
    assert chain.unseal(record.id, b"p" * 32, record.body, record.large) == record
    run = wire.Run(seq=1, code=asked.code, input=asked.input, limits=limits, start=0, seed=bytes(16))
    wire.encode(run)
    begun = answers.check_json(_begin(run).encode())
    if begun is not None and asked.input is not None:
        assert jsons.is_finite(begun["input"]), "JavaScript reads another number than was sent"


def queries(raw: bytes) -> None:
    """A query string is the route's parameters, or refused with a 4xx."""
    data = Data(raw)
    route = data.choose(_routes())
    names = [field.encode_name for field in msgspec.structs.fields(route.query)]
    try:
        asked = decode_query(route.query, query_of(data, (*names, "x")))
    except EngineError as error:
        told = errors.engine_answer(error)
        _check_refusal(told.status, told.body)
        return
    msgspec.json.encode(asked)
    if isinstance(asked, ShowQuery):
        assert 0 <= min(asked.wait, execute.MAX_WAIT) <= execute.MAX_WAIT


def bodies(raw: bytes) -> None:
    """A body is the route's fields, or refused with a 4xx; labels can be recorded."""
    data = Data(raw)
    route = data.choose([route for route in _routes() if route.body is not None])
    assert route.body is not None
    try:
        asked = decode_body(route.body, fields_body(data, route.body))
        if isinstance(asked, TagsBody):
            labels.check(asked.tags)
    except EngineError as error:
        told = errors.engine_answer(error)
        _check_refusal(told.status, told.body)
        return
    if isinstance(asked, TagsBody):
        event = Tagged(
            session="s1",
            seq=3,
            at=1,
            caller=Caller(transport="rest"),
            target=asked.event or 0,
            tags=dict(asked.tags),
            v=FORMAT_VERSION,
        )
        record = chain.seal(b"p" * 32, event)
        assert chain.unseal(record.id, b"p" * 32, record.body, record.large) == record


@functools.cache
def _routes() -> list[Route]:
    return all_routes(None, DEFAULTS, failing=lambda: None, metrics=Metrics())  # type: ignore[arg-type]


def _check_refusal(status: int, body: bytes) -> None:
    told = jsons.strict(body)
    assert 400 <= status < 500, told
    assert told["error"]
    assert told["code"]


def headers_of(data: Data) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for name, usual in (
        (b"content-type", _TYPES),
        (b"prefer", _PREFERENCES),
        (b"idempotency-key", (b"key", b"other")),
        (b"content-encoding", (b"identity", b"gzip")),
        (b"user-agent", (b"curl/8.0",)),
        (b"x-request-id", (b"7",)),
        (b"traceparent", (b"00-1-2-03",)),
    ):
        match data.byte() % 8:
            case 0 | 1 | 2:
                headers[name] = data.choose(usual)
            case 3:
                headers[name] = data.take(data.byte() % 40).translate(None, b"\0\r\n")
    return headers


def query_of(data: Data, names: Sequence[str]) -> bytes:
    """A query string, mostly of these parameters."""
    if data.rarely():
        return data.octets()
    pairs = [f"{name}={_parameter(data, name)}" for name in names if data.byte() % 2]
    if data.rarely():
        name = data.choose((*names, "x")) if data.byte() % 2 else data.text()[:100]
        pairs.append(f"{name}={_parameter(data, name)}")
    return "&".join(pairs).encode()


def _parameter(data: Data, name: str) -> str:
    match data.byte() % 16:
        case 0:
            return data.text()[:1_000]
        case 1:
            return str(data.integer())
        case 2:
            return str(data.number())
        case 3:
            return data.choose(
                ("1", "nan", "inf", "1e5", "true", "d", "0.a", "r1.e_a", "%ff", "%00", "+", "1" * 400)
            )
        case _:
            return _PARAMETERS.get(name, "1")


def names_of(kind: type[Struct]) -> tuple[str, ...]:
    """The fields of a body or a query."""
    return tuple(field.encode_name for field in msgspec.structs.fields(kind))


def fields_body(data: Data, kind: type[Struct]) -> bytes:
    """A body for a route that takes this."""
    return _object(data, {name: _FIELDS.get(name, "1") for name in names_of(kind)}, kind)


def exec_body(data: Data) -> bytes:
    """A body of ``POST /api/exec``."""
    return _object(data, {name: _FIELDS[name] for name in names_of(ExecBody)}, None)


def _object(data: Data, known: dict[str, str], kind: Any) -> bytes:
    """A JSON object with fields that are known, or almost any bytes."""
    match data.byte() % 8:
        case 0:
            return data.rest()
        case 1:
            return jsons.text(data).encode()
        case 2 | 3 if kind is not None:
            made = value(data, kind)
            return json.dumps(made, default=str, skipkeys=True).encode()
        case _:
            pass
    fields = []
    for name, usual in known.items():
        match data.byte() % 16:
            case 0 | 1 | 2:
                continue
            case 3:
                fields.append(f"{json.dumps(name)}:{jsons.text(data)}")
            case 4:
                fields.append(f"{json.dumps(name)}:{json.dumps(data.text())}")
            case _ if name == "input":
                fields.append(f"{json.dumps(name)}:{jsons.text(data)}")
            case _:
                fields.append(f"{json.dumps(name)}:{usual}")
    if data.rarely():
        fields.append(f"{json.dumps(data.text())}:1")
    body = bytearray(("{" + ",".join(fields) + "}").encode())
    if data.rarely():
        at = data.below(len(body))
        body[at : at + data.byte() % 3] = data.take(data.byte() % 6)
    return bytes(body)
