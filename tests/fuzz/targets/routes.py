"""Whole requests to the whole HTTP side but MCP, in front of an engine that runs nothing."""

from __future__ import annotations

import functools
import string
from typing import Any, Final
from urllib.parse import quote, unquote

import trio
from msgspec.structs import replace

from fuzz import jsons
from fuzz.data import Data
from fuzz.stub import StubEngine
from fuzz.targets.requests import exec_body, fields_body, headers_of, names_of, query_of
from transports.app import HOT_ROUTES, Front
from transports.asgi import Application
from transports.execute import PATH, ExecuteDoor
from transports.gate import Gate
from transports.metrics import Metrics
from transports.rest.application import all_routes, create_app
from transports.rest.files import FilesDoor
from transports.rest.lines import LinesDoor
from transports.rest.routes import LINES
from transports.rest.stream import EventsDoor
from transports.rest.views import ViewsDoor
from transports.settings import DEFAULTS

_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "\x01")
_PARAMETERS: Final = ("demo", "e_0123456789abcdef", "1", "9" * 15, "9" * 400, "%", "..", "\u0661", "done")


class App:
    """The application, built once, and the engine behind it."""

    def __init__(self) -> None:
        self.engine = StubEngine(Data(b""))
        engine: Any = self.engine
        self.routes = all_routes(engine, DEFAULTS, failing=lambda: None, metrics=Metrics())
        app = create_app(self.routes, DEFAULTS.body_bytes)
        door = ExecuteDoor(engine, DEFAULTS)
        events = EventsDoor(engine, DEFAULTS)
        lines, files = LinesDoor(self.routes, DEFAULTS), FilesDoor(self.routes)
        hot = ViewsDoor((route for route in self.routes if route.name in HOT_ROUTES), DEFAULTS.body_bytes)
        front = Front(app.asgi_app, {PATH: door}, events, lines, files, hot)
        self.front: Application = Gate(front, replace(DEFAULTS, requests_per_second=0))


@functools.cache
def _app() -> App:
    return App()


def routes(raw: bytes) -> None:
    """Every request has an answer, which is not the server's failure, and says in JSON what was wrong."""
    data = Data(raw)
    app = _app()
    scope, body = request(data)
    app.engine.data = data
    sent: list[dict[str, Any]] = []
    trio.run(_serve, app.front, scope, body, sent)
    start, *parts = sent
    status, headers = start["status"], dict(start["headers"])
    told = b"".join(part.get("body", b"") for part in parts)
    assert 200 <= status < 500, (status, told)
    for name, value in headers.items():
        assert not {10, 13, 0} & set(name + value), "a header of its own"
    if headers.get(b"content-type") == b"application/json" and scope["method"] != "HEAD":
        answer = jsons.strict(told)
        assert status < 400 or (answer["error"] and answer["code"])
    else:
        assert status < 400 or scope["method"] == "HEAD", (status, headers)
        if headers.get(b"content-type") == LINES.encode():
            assert all(jsons.strict(line) for line in told.split(b"\n") if line)


def request(data: Data) -> tuple[dict[str, Any], bytes]:
    """A request as the application gets it."""
    route = data.choose(_app().routes)
    method = data.choose(_METHODS) if data.rarely() else route.method
    path = route.path
    for name in ("id", "name", "event"):
        part = data.text()[:300] if data.rarely() else data.choose(_PARAMETERS)
        path = path.replace(f"{{{name}}}", part)
    if data.rarely():
        path = "/" + data.text()[:300]
    path = unquote(quote(path))  # no lone surrogates, as from a socket
    query = (
        quote(query_of(data, names_of(route.query)), safe=string.punctuation).encode()
        if data.byte() % 2
        else b""
    )
    body = b""
    if route.body is not None:
        body = exec_body(data) if route.path == PATH else fields_body(data, route.body)
    elif route.upload is not None:
        body = data.take(data.byte())
    headers = [(b"host", b"localhost:8080"), *headers_of(data).items()]
    if data.byte() % 4 == 0:
        headers.append((b"last-event-id", _header(data)))
    if data.byte() % 4 == 0:
        headers.append((b"accept", _header(data)))
    if data.byte() % 4 == 0:
        headers.append((b"content-length", _header(data)))
    scope = {
        "type": "http",
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8080),
        "extensions": {},
    }
    return scope, body


def _header(data: Data) -> bytes:
    """A value that a header can have."""
    return data.take(data.byte() % 40).translate(None, b"\0\r\n")


async def _serve(app: Application, scope: Any, body: bytes, sent: list[dict[str, Any]]) -> None:
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Any:
        if not waiting:
            await trio.sleep_forever()
        return waiting.pop()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    with trio.fail_after(20):
        await app(scope, receive, send)
