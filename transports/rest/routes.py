"""A REST route as data: what it takes, what it answers, and the view that serves it.

One table of routes makes both the application and the OpenAPI document, so that neither can say
anything that the other does not.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from engine.errors import InvalidField
from engine.events import Caller
from transports.asgi import JsonAnswer, Scope
from transports.execute import caller, unsupported
from transports.identity import Identity
from transports.request import json_faults, query_parameters

if TYPE_CHECKING:
    from quart import Response

Q = TypeVar("Q")
B = TypeVar("B")
T = TypeVar("T")

_object = msgspec.json.Decoder(dict[str, Any])
_MISSING = re.compile(r"missing required field `([^`]*)`")
_FORM = re.compile("Invalid enum value|Expected `str` matching regex")
"""What says nothing to a reader of what the value could be instead."""
_PLACE = re.compile(r"(?P<what>.*?) - at .*?`\$\.(?P<field>\w+).*", re.DOTALL)
"""A message of msgspec's, and the field that it is about."""


class NoQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """No query parameters."""


class Asked(Struct, Generic[Q, B], frozen=True):
    """A request to a route, checked."""

    path: Mapping[str, str]
    query: Q
    body: B
    caller: Caller
    owner: str


class Content(Struct, frozen=True):
    """What a route answers with one status."""

    text: str
    """When this is the answer."""
    kind: type[Struct] | None = None
    """Shape of the JSON, or of each line of LINES; None for any other media type, or no body."""
    schema: dict[str, Any] | None = None
    """Where there is no ``kind``: what is known of the content."""
    last: type[Struct] | None = None
    """Of LINES: shape of the one that ends them."""
    media: str | None = "application/json"
    """None where there is no body."""
    links: tuple[tuple[str, str, str], ...] = ()
    """Where to go on: name of a route, its path parameter, and the field of the answer that is its value."""


if TYPE_CHECKING:
    View = Callable[[Asked[Any, Any]], Awaitable[JsonAnswer | Response]]
else:
    View = Callable[..., Awaitable[Any]]
    """The command has no Quart at hand, nor a view that needs it."""

Tell = Callable[[Struct], Awaitable[None]]
"""Sends one line, at the pace of the client."""
Stream = Callable[[Asked[Any, Any], Tell], Awaitable[None]]
"""A view that answers in lines: what it raises before the first one is the answer instead."""

Download = Callable[[Asked[Any, Any]], Awaitable[tuple[str, AsyncGenerator[bytes, None]]]]
"""A view that answers with a file: its name, and its bytes."""
Upload = Callable[[Asked[Any, Any], AsyncIterator[bytes]], Awaitable[JsonAnswer]]
"""A view that takes a file as it comes. It may leave the rest of it."""

LINES = "application/x-ndjson"


class Route(Struct, frozen=True, kw_only=True):
    """One method of one path."""

    name: str
    """Unique, in snake case: the operation's id."""
    method: str
    path: str
    """With parameters in braces."""
    group: str
    summary: str
    text: str = ""
    """What else there is to know, in Markdown."""
    view: View | None
    """None where another door serves it, before the application."""
    stream: Stream | None = None
    """What answers in lines, by ``transports.rest.lines``."""
    download: Download | None = None
    upload: Upload | None = None
    """What sends or takes files, by ``transports.rest.files``; of an upload ``raw_body`` says which."""
    query: type[Struct] = NoQuery
    body: type[Struct] | None = None
    body_example: Any = None
    raw_body: tuple[str, ...] = ()
    """Media types beside JSON that the body may have."""
    headers: tuple[dict[str, Any], ...] = ()
    """Request headers that mean something here, as OpenAPI parameters."""
    answers: dict[int, Content]
    errors: tuple[int, ...] = ()
    """Statuses of the errors to be expected, beside 400 and those of every route."""

    def pattern(self) -> re.Pattern[str]:
        """What its paths match, with a group for each parameter."""
        return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", self.path))


async def asked_of(
    route: Route,
    path: Mapping[str, str],
    query: bytes,
    scope: Scope,
    who: Identity,
    body: Callable[[], Awaitable[bytes]],
) -> Asked[Any, Any] | JsonAnswer:
    """The request to a route, or the refusal of its body. Raises InvalidField, and what ``body`` raises."""
    headers = dict(scope["headers"])
    parameters = decode_query(route.query, query)
    fields = None
    if route.body is not None:
        if (refusal := unsupported(headers)) is not None:
            return refusal
        fields = decode_body(route.body, await body())
    return Asked(path, parameters, fields, caller(headers, who), who.owner)


async def answer_route(
    route: Route,
    view: View,
    path: Mapping[str, str],
    query: bytes,
    scope: Scope,
    who: Identity,
    body: Callable[[], Awaitable[bytes]],
) -> JsonAnswer | Response:
    """What a route says to a request. Raises EngineError, and what ``body`` raises."""
    asked = await asked_of(route, path, query, scope, who, body)
    return asked if isinstance(asked, JsonAnswer) else await view(asked)


def json_answer(value: Struct, status: int = 200, *headers: tuple[str, str]) -> JsonAnswer:
    """The answer that says ``value``."""
    return JsonAnswer(status, msgspec.json.encode(value), headers)


def decode_query(kind: type[Q], query: bytes) -> Q:
    """The parameters of a query string. Raises InvalidField for an unknown, repeated or wrong one."""
    return _convert(query_parameters(query), kind, "query parameter", strict=False)


def decode_body(kind: type[B], body: bytes) -> B:
    """A JSON body; an empty one is an empty object. Raises InvalidField."""
    with json_faults(body):
        fields = _object.decode(body or b"{}")
    for name, value in fields.items():
        if isinstance(value, float) and value.is_integer():  # to JSON, 1.0 is an integer
            fields[name] = int(value)
    return _convert(fields, kind, "field", strict=True)


def _convert(fields: Mapping[str, object], kind: type[T], what: str, *, strict: bool) -> T:
    known = [field.encode_name for field in msgspec.structs.fields(kind)]  # type: ignore[arg-type]
    for name in fields:
        if name not in known:
            listed = f"known are {', '.join(known)}" if known else "there are none here"
            raise InvalidField(f"unknown {what} {name[:64]!r}; {listed}", field=name[:64])
    try:
        return msgspec.convert(fields, kind, strict=strict)
    except msgspec.ValidationError as wrong:
        raise _invalid(wrong, kind) from wrong


def _invalid(wrong: msgspec.ValidationError, kind: type) -> InvalidField:
    """The sentence for a field that is missing or wrong."""
    if missing := _MISSING.search(str(wrong)):
        return InvalidField(f"`{missing[1]}` is missing", field=missing[1])
    match = _PLACE.fullmatch(str(wrong))
    assert match is not None
    field, why = match["field"], match["what"]
    if _FORM.match(why) and (expected := _expected(kind, field)):
        return InvalidField(f"`{field}` must be {expected}", field=field)
    return InvalidField(f"`{field}` is wrong: {why[0].lower()}{why[1:300]}", field=field)


def _expected(kind: type, name: str) -> str | None:
    """The words that a field may be, or what the schema says of its form."""
    described = msgspec.inspect.type_info(kind)
    assert isinstance(described, msgspec.inspect.StructType)
    field = next(field.type for field in described.fields if field.encode_name == name)
    for part in field.types if isinstance(field, msgspec.inspect.UnionType) else (field,):
        if isinstance(part, msgspec.inspect.LiteralType):
            return f"one of {', '.join(map(str, part.values))}"
        if isinstance(part, msgspec.inspect.Metadata) and part.extra_json_schema:
            text = str(part.extra_json_schema["description"])
            return text[:1].lower() + text[1:]
    return None
