"""The OpenAPI document, made from the table of routes and the types of what they take and answer. Pure."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from importlib.metadata import version
from itertools import pairwise
from typing import Any, get_args

import msgspec
from msgspec import Struct, UnsetType

from transports.auth import OPEN_PATHS
from transports.errors import ErrorBody
from transports.rest.routes import Content, NoQuery, Route

JSON = "application/json"
_REFERENCE = "#/components/schemas/{name}"
_EVERYWHERE = (400, 403, 421, 429, 500)
"""Errors of every route."""
_UNAUTHORIZED = 401
"""The same of those that need a token, where the server has tokens."""
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token, where the operator has given out tokens",
}
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_RETRY = (429, 503)
_PATH_PARAMETERS = {
    "id": ("Id of an execution", {"type": "string", "pattern": "^e_[A-Za-z0-9_-]{16}$"}),
    "name": ("Name of a session", {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"}),
    "event": ("Number of an event", {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}),
}
_ABOUT = """JavaScript sessions that remember. `POST /api/exec` runs code, the rest looks at what ran.

A request at fault is answered with 4xx and `{error, code, field}`: a sentence, a stable word, and the part
of the request. Unknown fields and query parameters are errors. A server with tokens answers 401 to who has
none. All times are in UTC.

What happens in a session is also told as it happens, over a WebSocket at
`/api/sessions/{name}/stream?after=N`.
"""

Document = dict[str, Any]


def document(routes: Sequence[Route]) -> Document:
    """The OpenAPI 3.1 document of the routes."""
    paths: dict[str, Document] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "mcp-v8", "version": version("mcp-v8"), "description": _ABOUT},
        "paths": paths,
        "security": [{}, {"bearer": []}],
        "components": {"schemas": _schemas(routes), "securitySchemes": {"bearer": _BEARER}},
    }


def _operation(route: Route) -> Document:
    told: Document = {
        "operationId": route.name,
        "tags": [route.group],
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route.query), *route.headers],
        "responses": {
            **{str(status): _response(status, content) for status, content in route.answers.items()},
            **{
                str(status): _error(status)
                for status in sorted(set(_errors(route)))
                if status not in route.answers
            },
        },
    }
    if route.path in OPEN_PATHS:
        told["security"] = []
    if route.text:
        told["description"] = route.text
    if route.body is not None:
        told["requestBody"] = _body(route, route.body)
    elif route.raw_body:
        told["requestBody"] = {"required": True, "content": dict.fromkeys(route.raw_body, _BYTES)}
    return told


def _errors(route: Route) -> Iterable[int]:
    """Statuses of its errors."""
    yield from _EVERYWHERE
    yield from route.errors
    if route.path not in OPEN_PATHS:
        yield _UNAUTHORIZED


def _path_parameters(route: Route) -> Iterable[Document]:
    for name in re.findall(r"{(\w+)}", route.path):
        text, schema = _PATH_PARAMETERS[name]
        yield {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def _query_parameters(kind: type[Struct]) -> Iterable[Document]:
    if kind is NoQuery:
        return
    for field in msgspec.structs.fields(kind):
        _, components = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
        schema = dict(components[kind.__name__]["properties"][field.encode_name])
        text = schema.pop("description", "")
        yield {
            "name": field.encode_name,
            "in": "query",
            "required": field.required,
            **({"description": text} if text else {}),
            "schema": schema,
        }


def _body(route: Route, kind: type[Struct]) -> Document:
    json: Document = {"schema": {"$ref": _REFERENCE.format(name=kind.__name__)}}
    if route.body_example is not None:
        json["example"] = route.body_example
    required = any(field.required for field in msgspec.structs.fields(kind))
    raw = {media: {"schema": {"type": "string"}} for media in route.raw_body}
    return {"required": required, "content": {JSON: json, **raw}}


def _response(status: int, content: Content) -> Document:
    told: Document = {"description": content.text}
    if content.kind is not None:
        kinds = [content.kind] if content.last is None else [content.kind, content.last]
        shapes: list[Document] = [{"$ref": _REFERENCE.format(name=kind.__name__)} for kind in kinds]
        told["content"] = {content.media: {"schema": shapes[0] if len(shapes) == 1 else {"oneOf": shapes}}}
    elif content.media is not None:
        told["content"] = {content.media: {"schema": content.schema or {"type": "string"}}}
    if content.links:
        told["links"] = {
            name: {"operationId": name, "parameters": {parameter: f"$response.body#/{field}"}}
            for name, parameter, field in content.links
        }
    if status in (201, 202):
        told["headers"] = {"Location": {"description": "Where to look", "schema": {"type": "string"}}}
    return told


def _error(status: int) -> Document:
    shape = {"$ref": _REFERENCE.format(name=ErrorBody.__name__)}
    told: Document = {
        "description": HTTPStatus(status).phrase,
        "content": {JSON: {"schema": shape}},
    }
    if status == _UNAUTHORIZED:
        told["headers"] = {"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}}
    if status in _RETRY:
        told["headers"] = {"Retry-After": {"description": "Seconds", "schema": {"type": "string"}}}
    return told


def _schemas(routes: Sequence[Route]) -> Document:
    """The shapes of everything taken and answered, by name."""
    taken = [route.body for route in routes if route.body is not None]
    told: list[type[Struct]] = [ErrorBody]
    for content in (content for route in routes for content in route.answers.values()):
        told += [kind for kind in (content.kind, content.last) if kind is not None]
    _, schemas = msgspec.json.schema_components([*taken, *told], ref_template=_REFERENCE)
    for kind in _structs(told):
        if kind.__struct_config__.omit_defaults:
            continue
        # what is answered is complete: only what can be UNSET is ever left out
        schemas[kind.__name__]["required"] = [
            field.encode_name
            for field in msgspec.structs.fields(kind)
            if UnsetType not in get_args(field.type)
        ]
    for kind in _structs([*taken, *told]):
        for name, text in _texts(kind):
            schemas[kind.__name__]["properties"][name].setdefault("description", text)
    return dict(sorted(schemas.items()))


def _texts(kind: type[Struct]) -> Iterable[tuple[str, str]]:
    """What the strings below the fields of a struct, and of those that it inherits from, say of them."""
    for ancestor in kind.__mro__[:-1]:
        if ancestor is Struct or not issubclass(ancestor, Struct):
            continue
        (defined,) = ast.parse(textwrap.dedent(inspect.getsource(ancestor))).body
        assert isinstance(defined, ast.ClassDef)
        for field, below in pairwise(defined.body):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    yield name, inspect.cleandoc(text)


def _structs(kinds: Iterable[Any]) -> set[type[Struct]]:
    """The struct types in ``kinds``, and in the types of their fields."""
    found: set[type[Struct]] = set()
    waiting = list(kinds)
    while waiting:
        kind = waiting.pop()
        if isinstance(kind, type) and issubclass(kind, Struct):
            if kind not in found:
                found.add(kind)
                waiting += [field.type for field in msgspec.structs.fields(kind)]
        else:
            waiting += get_args(kind)
    return found
