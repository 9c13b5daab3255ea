"""MCP over SSE, as clients of 2024 speak it."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from in_process import Running, application, response, serving
from mcp import Client
from mcp.client.sse import sse_client
from mcp_types import CallToolResult
from server_process import ServerProcess, running

from engine.limits import LimitPolicy
from engine.opening import open_supervisor
from transports.mcp import duplex, sse
from transports.mcp.server import create_server
from transports.mcp.sse import SseDoor
from transports.settings import DEFAULTS

pytestmark = pytest.mark.filterwarnings(
    # the official client leaves generators of its HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning"
)

JSON = {"content-type": "application/json"}
HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2024-11-05",
        "capabilities": {},
        "clientInfo": {"name": "by hand", "version": "1"},
    },
}
READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running("--directory-path", str(tmp_path_factory.mktemp("store")), port_flag="--sse-port") as server:
        yield server


def run_js(code: str, id: int = 1, **params: object) -> dict[str, Any]:
    params = {"name": "run_js", "arguments": {"code": code}, **params}
    return {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}


def text(result: CallToolResult) -> str:
    told = result.content[0].text  # type: ignore[union-attr]
    assert isinstance(told, str)
    return told


class Listener:
    """A client by hand: its stream's events, and where it posts."""

    def __init__(self, http: httpx2.Client, response: httpx2.Response) -> None:
        self.http = http
        self._lines = response.iter_lines()
        kind, self.address = self.event()
        assert kind == "endpoint"

    def event(self) -> tuple[str, str]:
        """The next event's name and data."""
        lines: dict[str, str] = {}
        for line in self._lines:
            if not line and lines:
                break
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                lines[name] = value
        return lines.get("event", ""), lines.get("data", "")

    def message(self) -> dict[str, Any]:
        kind, data = self.event()
        assert kind == "message"
        told = json.loads(data)
        assert isinstance(told, dict)
        return told

    def post(self, message: object) -> httpx2.Response:
        return self.http.post(self.address, json=message)

    def greet(self) -> None:
        assert self.post(HELLO).status_code == 202
        assert self.message()["result"]["protocolVersion"] == "2024-11-05"
        assert self.post(READY).status_code == 202


@pytest.fixture
def http(server: ServerProcess) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, timeout=30) as http:
        yield http


async def test_the_official_client_connects_and_keeps_its_session(server: ServerProcess) -> None:
    with trio.fail_after(60):
        async with Client(sse_client(f"{server.url}/sse"), mode="legacy") as client:
            first = await client.call_tool("run_js", {"code": "let n = 1"})
            second = await client.call_tool("run_js", {"code": "++n"})
    handle = text(first).splitlines()[-1]
    assert text(second) == f"=> 2\n{handle.replace('@1]', '@2]')}"


async def test_the_address_names_a_session_that_outlives_the_connection(
    server: ServerProcess, name: str
) -> None:
    for code, told in (("var n = 1", "=> undefined"), ("++n", "=> 2")):
        with trio.fail_after(60):
            async with Client(sse_client(f"{server.url}/sse?session={name}"), mode="legacy") as client:
                assert text(await client.call_tool("run_js", {"code": code})).startswith(told)


def test_a_client_of_2024_by_hand(http: httpx2.Client) -> None:
    with http.stream("GET", "/sse") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        listener = Listener(http, response)
        assert listener.address.startswith("/message?session_id=")
        listener.greet()
        listener.post(run_js("1 + 2", 7))
        told = listener.message()
    assert told["id"] == 7
    assert told["result"]["content"][0]["text"].startswith("=> 3")


def test_everything_else_is_at_the_same_port(http: httpx2.Client) -> None:
    assert http.post("/api/exec", json={"code": "1 + 2"}).json()["result"] == "3"
    assert http.get("/mcp").status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "code"),
    [
        ("POST", "/sse", JSON, b"{}", 405, "method_not_allowed"),
        ("GET", "/message", {}, b"", 405, "method_not_allowed"),
        ("POST", "/message", JSON, b"{}", 400, "invalid_field"),
        ("POST", "/message?session_id=0", JSON, b"{}", 404, "not_found"),
        (
            "POST",
            "/message?session_id=0",
            {"content-type": "text/plain"},
            b"{}",
            415,
            "unsupported_media_type",
        ),
        ("POST", "/message?session_id=0&session_id=1", JSON, b"{}", 400, "invalid_field"),
    ],
)
def test_what_is_wrong_with_a_request_is_told(
    http: httpx2.Client, method: str, path: str, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    told = http.request(method, path, content=body, headers=headers)
    assert (told.status_code, told.json()["code"]) == (status, code)


@pytest.mark.parametrize(("body", "code"), [(b"{", -32700), (b"[]", -32600), (b'{"id": 1}', -32600)])
def test_a_message_that_is_none_is_refused_and_the_next_one_works(
    http: httpx2.Client, body: bytes, code: int
) -> None:
    with http.stream("GET", "/sse") as response:
        listener = Listener(http, response)
        listener.greet()
        refused = http.post(listener.address, content=body, headers=JSON)
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == code
        listener.post(run_js("1 + 2"))
        assert listener.message()["result"]["content"][0]["text"].startswith("=> 3")


def test_what_a_client_began_goes_on_when_its_stream_breaks(http: httpx2.Client, name: str) -> None:
    code = "console.log('on'); await new Promise(done => setTimeout(done, 700)); var done = 'over'"
    with http.stream("GET", f"/sse?session={name}") as response:
        listener = Listener(http, response)
        listener.greet()
        listener.post(run_js(code, _meta={"progressToken": "p"}))
        assert listener.message()["method"] == "notifications/progress"
    told = http.post("/api/exec", json={"code": "done", "session": name}).json()
    assert (told["event"], told["result"]) == (2, "'over'")


def test_a_cancelled_call_is_undone(http: httpx2.Client, name: str) -> None:
    with http.stream("GET", f"/sse?session={name}") as response:
        listener = Listener(http, response)
        listener.greet()
        listener.post(run_js("var n = 1; console.log('on'); for (;;);", _meta={"progressToken": "p"}))
        assert listener.message()["method"] == "notifications/progress"
        listener.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}})
        told = http.post("/api/exec", json={"code": "typeof n", "session": name}).json()
    assert (told["event"], told["result"]) == (2, "'undefined'")


def test_the_end_of_the_server_ends_the_streams(tmp_path: Path) -> None:
    server = ServerProcess("--directory-path", str(tmp_path), port_flag="--sse-port")
    with httpx2.Client(base_url=server.url, timeout=30) as http, http.stream("GET", "/sse") as response:
        listener = Listener(http, response)
        listener.greet()
        server.process.send_signal(signal.SIGTERM)
        assert listener.event() == ("", "")
    assert server.wait() == 0


@asynccontextmanager
async def door(cache_dir: Path) -> AsyncIterator[tuple[SseDoor, Running]]:
    opened = open_supervisor(stores=None, policy=LimitPolicy(), cache_dir=cache_dir, max_workers=2)
    async with opened as engine:
        door = SseDoor(create_server(engine, DEFAULTS), DEFAULTS)

        async def serve(scope: Any, receive: Any, send: Any) -> None:
            await (door.post if scope["method"] == "POST" else door.listen)(scope, receive, send)

        async with door.run(), serving(application(serve)) as server:
            yield door, server


async def test_more_clients_than_there_may_be_are_told_so(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "MAX_STREAMS", 2)
    async with door(cache_dir) as (served, server):
        streams = [await listening(server) for _ in range(2)]
        refused = await server.get()
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1" in refused
        await streams[0].aclose()
        with trio.fail_after(10):
            while len(served) == 2:
                await trio.lowlevel.checkpoint()
        streams.append(await listening(server))
        for stream in streams:
            await stream.aclose()


async def test_a_silent_stream_gets_comments(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "PING_SECONDS", 0.02)
    async with door(cache_dir) as (_, server):
        stream = await listening(server)
        data = b""
        while data.count(b": ping\n\n") < 2:
            data += await stream.receive_some()
        await stream.aclose()


async def test_a_client_with_too_much_under_way_is_told_so_at_once_and_may_still_cancel(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplex, "MAX_UNDER_WAY", 1)
    async with door(cache_dir) as (served, server):
        stream = await listening(server)
        (name,) = served._streams
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
        assert b" 202 " in await posted(server, name, HELLO)
        while b'"id":0' not in await stream.receive_some():
            pass
        assert b" 202 " in await posted(server, name, READY)
        assert b" 202 " in await posted(server, name, run_js("for (;;);", 1))
        refused = await posted(server, name, run_js("1", 2))
        assert refused.startswith(b"HTTP/1.1 429")
        assert b'"busy"' in refused
        assert b" 202 " in await posted(server, name, cancel)
        while b" 429 " in await posted(server, name, run_js("1 + 2", 3)):
            pass
        while b"=> 3" not in await stream.receive_some():
            pass
        await stream.aclose()


async def posted(server: Running, name: str, message: object) -> bytes:
    """The answer to a message that is posted to a stream."""
    body = json.dumps(message).encode()
    head = (
        f"POST /?session_id={name} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    async with await server.connect() as stream:
        await stream.send_all(head.encode() + body)
        return await response(stream)


async def listening(server: Running) -> trio.SocketStream:
    """A connection that has been told where to post."""
    stream = await server.connect()
    await stream.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    data = b""
    while b"event: endpoint" not in data:
        data += await stream.receive_some()
    return stream
