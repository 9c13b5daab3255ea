"""From what a client sent to a validated ``Submission``: one set of fields for every door.

Fields: ``code`` (required), ``input``, ``session`` (``name`` or ``name@n``), ``heap``,
``execution_timeout_secs``, ``heap_memory_max_mb`` and ``idempotency_key``. A field that is null counts
as absent, but for ``input``. Whatever is wrong with one is an InvalidField that names it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import parse_qsl

import msgspec
from msgspec import Raw

from engine.errors import InvalidField
from engine.events import Caller
from engine.execution import Submission

SESSION_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
EXECUTION_ID = re.compile(r"e_[A-Za-z0-9_-]{16}")

FIELDS = (
    "code",
    "input",
    "session",
    "heap",
    "execution_timeout_secs",
    "heap_memory_max_mb",
    "idempotency_key",
)

_DECODED = frozenset(FIELDS) - {"input"}
_object = msgspec.json.Decoder(dict[str, Raw])

_SESSION = re.compile(rf"({SESSION_NAME.pattern})(?:@([0-9]{{1,15}}))?")
HEAP = re.compile(r"[0-9a-fA-F]{64}")
_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")
_MAX_NUMBER = 10**9
"""Numbers are cut to this before the engine clamps them."""

_MAYBE_TOO_LARGE = re.compile(r"[eE]\+?[0-9]{3}|[0-9]{300}|Infinity|NaN")
"""Only JSON with such a piece can hold a number that is too large for JavaScript."""
_SHOWN = 40
_MAX_QUERY_FIELDS = 16

_KINDS = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
}


def submission(fields: Mapping[str, object], caller: Caller, *, owner: str) -> Submission:
    """The request that ``fields`` (decoded JSON, ``input`` perhaps raw) make. Sizes and limits are the
    engine's to check.

    Raises InvalidField for an unknown field, or a wrong type, form or range.
    """
    for name in fields:
        if name not in FIELDS:
            shown = name[:64].encode(errors="replace").decode()  # MCP's decoder lets half a character through
            raise InvalidField(f"unknown field {shown!r}; known are {', '.join(FIELDS)}", field=shown)
    code = _text("code", _code(fields.get("code")))
    argument = _input(fields["input"]) if "input" in fields else None
    session, at = _session(_string(fields, "session"))
    heap = _heap(_string(fields, "heap"))
    time_ms = _time_ms(_number(fields, "execution_timeout_secs"))
    heap_mb = _heap_mb(_number(fields, "heap_memory_max_mb"))
    return Submission(
        code=code,
        owner=owner,
        caller=caller,
        input=argument,
        session=session,
        at=at,
        heap=heap,
        time_ms=time_ms,
        heap_mb=heap_mb,
        idempotency_key=_key(_string(fields, "idempotency_key")),
        request_hash=_request_hash(code, argument, session, at, heap, time_ms, heap_mb),
    )


def decode_object(body: bytes) -> dict[str, object]:
    """A JSON object's fields, of which ``input`` and those that are none of FIELDS stay raw.

    A large input is not taken apart and written again, which would hold up everybody.
    Raises InvalidField for anything else, however deep or long.
    """
    with json_faults(body):
        raw = _object.decode(body)
        return {**raw, **{name: msgspec.json.decode(raw[name]) for name in _DECODED.intersection(raw)}}


@contextmanager
def json_faults(body: bytes) -> Iterator[None]:
    """What is wrong with ``body``, decoded within, as an InvalidField."""
    if body.startswith(BOM_UTF8):
        raise InvalidField("the body begins with a byte order mark: send the JSON without it")
    try:
        yield
    except UnicodeDecodeError as broken:
        raise InvalidField(f"the body is not UTF-8: {broken.reason}") from broken
    except RecursionError as broken:
        raise InvalidField("the body's JSON is nested too deeply") from broken
    except msgspec.DecodeError as broken:
        surrogate = " (a lone surrogate such as \\ud800 is no character)" if b"\\u" in body else ""
        raise InvalidField(f"the body must be a JSON object: {broken}{surrogate}") from broken


def query_parameters(query: bytes) -> dict[str, str]:
    """The parameters of a query string. Raises InvalidField where it cannot be read or repeats one."""
    try:
        pairs = parse_qsl(query.decode("latin1"), keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError as broken:
        raise InvalidField(f"the query string cannot be read: {broken}") from broken
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given:
            raise InvalidField(f"the query parameter `{name[:64]}` is given more than once", field=name[:64])
        given[name] = value
    return given


def number_from_text(text: str) -> object:
    """The number that ``text`` spells, else ``text`` itself for the type check to refuse."""
    try:
        value = msgspec.json.decode(text.encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
        return text
    return value if isinstance(value, int | float) and not isinstance(value, bool) else text


def session_point(text: str, *, field: str = "session") -> tuple[str, int | None]:
    """A session's name, and the number of an event where ``name@n`` is given. Raises InvalidField."""
    match = _SESSION.fullmatch(text)
    if match is None:
        raise InvalidField(
            f"`{field}` must be a name of 1 to 128 of the characters A-Z a-z 0-9 . _ -, "
            "or name@n for the state after event n",
            field=field,
        )
    name, at = match.groups()
    return name, None if at is None else int(at)


def _code(value: object) -> str:
    if value is None:
        raise InvalidField("`code` is missing: it is the JavaScript to run", field="code")
    if not isinstance(value, str):
        raise InvalidField(f"`code` must be a string, not {_kind(value)}", field="code")
    return value


def _input(value: object) -> str:
    """JSON text. Raises InvalidField for what JavaScript would read as something else."""
    if isinstance(value, Raw):
        text = _utf8(bytes(value))
    else:
        try:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        except (ValueError, RecursionError) as broken:
            raise InvalidField(f"`input` cannot be written as JSON: {broken}", field="input") from broken
        _text("input", text)
    if _MAYBE_TOO_LARGE.search(text):
        _check_numbers(text)
    return text


def _check_numbers(text: str) -> None:
    """Raises InvalidField if a number in the JSON would be Infinity in JavaScript."""

    def check(number: str) -> None:
        if not math.isfinite(float(number)):
            shown = number if len(number) <= _SHOWN else f"{number[:_SHOWN]}…"
            raise InvalidField(
                f"`input` holds the number {shown}, which JavaScript cannot hold: send it as a string",
                field="input",
            )

    try:
        json.loads(text, parse_int=check, parse_float=check, parse_constant=check)
    except RecursionError as broken:
        raise InvalidField("`input` is nested too deeply", field="input") from broken


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as broken:
        raise InvalidField(f"`input` is not UTF-8: {broken.reason}", field="input") from broken


def _text(field: str, value: str) -> str:
    """``value``, if it can be written as UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError as broken:
        raise InvalidField(
            f"`{field}` holds a lone surrogate, which is no character", field=field
        ) from broken
    return value


def _session(value: str | None) -> tuple[str | None, int | None]:
    return (None, None) if value is None else session_point(value)


def _heap(value: str | None) -> str | None:
    if value is not None and HEAP.fullmatch(value) is None:
        raise InvalidField("`heap` must be the 64 hex digits of a state", field="heap")
    return value and value.lower()


def _key(value: str | None) -> str | None:
    if value is not None and _KEY.fullmatch(value) is None:
        raise InvalidField(
            "`idempotency_key` must be 1 to 255 printable ASCII characters", field="idempotency_key"
        )
    return value


def _time_ms(seconds: float | None) -> int | None:
    if seconds is None:
        return None
    if not seconds > 0:
        raise InvalidField("`execution_timeout_secs` must be above 0", field="execution_timeout_secs")
    return math.ceil(min(seconds * 1000, _MAX_NUMBER))


def _heap_mb(megabytes: float | None) -> int | None:
    if megabytes is None:
        return None
    capped = min(megabytes, _MAX_NUMBER)
    if capped < 1 or capped != int(capped):
        raise InvalidField("`heap_memory_max_mb` must be a whole number from 1", field="heap_memory_max_mb")
    return int(capped)


def _string(fields: Mapping[str, object], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidField(f"`{name}` must be a string, not {_kind(value)}", field=name)
    return value


def _number(fields: Mapping[str, object], name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise InvalidField(f"`{name}` must be a number, not {_kind(value)}", field=name)
    return value


def _kind(value: object) -> str:
    return "null" if value is None else _KINDS.get(type(value), type(value).__name__)


def _request_hash(*parts: str | int | None) -> str:
    """Hex SHA-256 over the request's JSON: equal requests, equal hashes."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
