# ruff: noqa: ARG001 (a fixture that makes time pass)
"""Who may stay connected to ``/mcp``, for how long, and whose session a call enters."""

from __future__ import annotations

import json
import logging
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
import trio.testing
from in_process import application, read_to_end, response, serving
from mcp.server.lowlevel import Server
from mcp_types import CallToolResult, TextContent
from server_process import ServerProcess

from engine.limits import LimitPolicy
from engine.opening import open_supervisor
from transports import asgi
from transports.identity import SCOPE_KEY as IDENTITY_KEY
from transports.identity import Identity
from transports.mcp import sessions as mcp_sessions
from transports.mcp.call import SCOPE_KEY
from transports.mcp.server import create_server
from transports.mcp.sessions import IDLE_SECONDS, UNUSED_SECONDS, Sessions
from transports.mcp.streamable import StreamableDoor
from transports.settings import DEFAULTS

HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "t", "version": "1"},
}
MODERN = "2026-07-28"
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def message(method: str, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


class Peer:
    """A client of the session protocol that shows its bytes."""

    def __init__(self, http: httpx2.Client) -> None:
        self.http = http
        self.headers = dict(HEADERS)
        opened = http.post("/mcp", content=message("initialize", **HELLO), headers=self.headers)
        self.headers["mcp-session-id"] = opened.headers["mcp-session-id"]

    def run(self, code: str) -> str:
        return text_of(
            self.http.post(
                "/mcp",
                content=message("tools/call", name="run_js", arguments={"code": code}),
                headers=self.headers,
            )
        )


def text_of(answered: httpx2.Response) -> str:
    assert answered.status_code == 200, answered.text
    data = answered.text
    if answered.headers["content-type"].startswith("text/event-stream"):
        data = next(line for line in data.splitlines() if line.startswith("data: {"))[6:]
    told = json.loads(data)["result"]["content"][0]["text"]
    assert isinstance(told, str)
    return told


def test_a_claimed_session_id_opens_nobodys_session_without_the_session_protocol(
    client: httpx2.Client,
) -> None:
    victim = Peer(client)
    handle = victim.run("let secret = 42; secret").splitlines()[-1]
    claim = {
        **victim.headers,
        "mcp-protocol-version": MODERN,
        "mcp-method": "tools/call",
        "mcp-name": "run_js",
    }
    asked = message("tools/call", name="run_js", arguments={"code": "typeof secret"}, _meta=ENVELOPE)
    told = text_of(client.post("/mcp", content=asked, headers=claim))
    assert told.startswith("=> 'undefined'\n[s_")
    assert victim.run("secret") == f"=> 42\n{handle.replace('@1]', '@2]')}"


def test_an_ended_session_is_a_404_and_its_javascript_session_is_still_there_by_name(
    client: httpx2.Client,
) -> None:
    peer = Peer(client)
    handle = peer.run("let kept = 7; kept").splitlines()[-1]
    assert client.delete("/mcp", headers=peer.headers).status_code == 200
    gone = client.post("/mcp", content=message("tools/list"), headers=peer.headers)
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, -32001)
    name = handle.strip("[]").partition("@")[0]
    assert client.post("/api/exec", json={"code": "kept", "session": name}).json()["result"] == "7"


def test_a_client_that_leaves_half_a_request_leaves_one_line(
    server: ServerProcess, client: httpx2.Client
) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port)) as half:
            head = "\r\n".join(f"{name}: {value}" for name, value in HEADERS.items())
            half.sendall(
                f"POST /mcp HTTP/1.1\r\nHost: localhost\r\n{head}\r\nContent-Length: 99\r\n\r\n{{".encode()
            )
            half.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert Peer(client).run("1").startswith("=> 1")
    assert "Traceback" not in server.log


@pytest.fixture
async def door(cache_dir: Path) -> AsyncIterator[StreamableDoor]:
    opened = open_supervisor(stores=None, policy=LimitPolicy(), cache_dir=cache_dir, max_workers=2)
    async with opened as engine:
        door = StreamableDoor(create_server(engine, DEFAULTS))
        async with door.run():
            yield door


@pytest.mark.parametrize("version", [b"", b"MCP-Protocol-Version: 2026-07-28\r\n"])
async def test_a_body_that_does_not_come_is_a_408_and_opens_nothing(
    door: StreamableDoor, version: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi, "BODY_SECONDS", 0.1)
    async with serving(application(door)) as server, await server.connect() as stream:
        await stream.send_all(
            b"POST /mcp HTTP/1.1\r\nHost: a\r\n" + version + b"Content-Length: 100\r\n\r\n{"
        )
        told = await response(stream)
        assert told.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"timeout"' in told
        assert len(door.sessions) == 0


async def test_a_body_over_the_limit_is_refused_as_elsewhere(door: StreamableDoor) -> None:
    async with serving(application(door)) as server, await server.connect() as stream:
        await stream.send_all(b"POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n{")
        told = await response(stream)
        assert told.startswith(b"HTTP/1.1 413 ")
        assert b'"code":"too_large"' in told


async def test_a_client_that_goes_away_is_told_of_in_one_line(
    door: StreamableDoor, caplog: pytest.LogCaptureFixture
) -> None:
    gone = trio.Event()

    @application
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await door(scope, receive, send)
        gone.set()

    with caplog.at_level(logging.INFO):
        async with serving(app) as server:
            async with await server.connect() as stream:
                await stream.send_all(b"POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
                await stream.send_eof()
                await read_to_end(stream)
            await gone.wait()
    (told,) = [record for record in caplog.records if record.name == "transports.mcp.streamable"]
    assert (told.levelname, told.exc_info) == ("INFO", None)
    assert len(door.sessions) == 0


class Site:
    """The session protocol without a network, so that time can be made to pass."""

    def __init__(self, sessions: Any) -> None:
        self.sessions = sessions
        self.told = b""
        """Bodies of all answers."""

    async def request(
        self, body: bytes, session: str | None = None, owner: str = "local"
    ) -> tuple[int, str | None]:
        """The status, and the session's id."""
        headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        if session is not None:
            headers.append((b"mcp-session-id", session.encode()))
        scope = {"type": "http", "method": "POST", "path": "/mcp", "query_string": b"", "headers": headers}
        scope[IDENTITY_KEY] = Identity(owner)
        waiting = [{"type": "http.request", "body": body, "more_body": False}]
        told: dict[str, Any] = {}

        async def receive() -> Any:
            if not waiting:
                await trio.sleep_forever()
            return waiting.pop()

        async def send(part: Any) -> None:
            told.update(part)
            self.told += part.get("body", b"")

        await self.sessions(scope, receive, send)
        name = dict(told["headers"]).get(b"mcp-session-id")
        return told["status"], None if name is None else name.decode()

    async def open(self, owner: str = "local") -> str:
        status, name = await self.request(message("initialize", **HELLO), owner=owner)
        assert status == 200
        assert name is not None
        return name

    async def call(self, session: str, owner: str = "local") -> int:
        return (await self.request(message("tools/call", name="run_js", arguments={}), session, owner))[0]

    async def list(self, session: str) -> int:
        return (await self.request(message("tools/list"), session))[0]


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    async def call(ctx: Any, _: Any) -> CallToolResult:
        ctx.request.scope[SCOPE_KEY].connection.used = True
        return CallToolResult(content=[])

    sessions = Sessions(Server("t", on_call_tool=call))
    async with sessions.run():
        yield Site(sessions)


async def test_a_session_that_called_no_tool_ends_soon_and_one_that_did_stays(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with site() as here:
        unused, used = await here.open(), await here.open()
        assert await here.call(used) == 200
        await trio.sleep(UNUSED_SECONDS + 1)
        assert len(here.sessions) == 1
        assert await here.list(unused) == 404
        await trio.sleep(IDLE_SECONDS - UNUSED_SECONDS - 10)
        assert await here.call(used) == 200
        await trio.sleep(IDLE_SECONDS + 1)
        assert await here.call(used) == 404
        assert len(here.sessions) == 0


async def test_the_crowd_of_one_owner_does_not_end_the_sessions_of_another(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_sessions, "MAX_SESSIONS", 5)
    async with site() as here:
        unused, used = await here.open("alice"), await here.open("alice")
        assert await here.call(used, "alice") == 200
        for _ in range(20):
            await trio.sleep(1)
            crowd = await here.open("bob")
            assert await here.call(crowd, "bob") == 200
        assert len(here.sessions) == 5
        assert await here.call(unused, "alice") == 200
        assert await here.call(used, "alice") == 200


async def test_a_full_house_ends_the_session_idle_longest_unused_ones_first(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_sessions, "MAX_SESSIONS", 3)
    async with site() as here:
        first = await here.open()
        assert await here.call(first) == 200
        for _ in range(20):
            await trio.sleep(1)
            last = await here.open()
        assert len(here.sessions) == 3
        assert await here.call(first) == 200
        assert await here.call(last) == 200
        third = await here.open()
        assert await here.call(third) == 200
        await trio.sleep(1)
        assert await here.call(last) == 200
        await here.open()  # all others are in use: the one idle longest goes
        assert [await here.call(name) for name in (first, third, last)] == [404, 200, 200]


async def test_a_house_full_of_busy_sessions_says_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_sessions, "MAX_SESSIONS", 1)
    asked = trio.Event()

    async def call(_ctx: Any, _: Any) -> CallToolResult:
        asked.set()
        await trio.sleep_forever()
        raise AssertionError

    sessions = Sessions(Server("t", on_call_tool=call))
    with trio.fail_after(20):
        async with sessions.run(), trio.open_nursery() as nursery:
            here = Site(sessions)
            nursery.start_soon(here.call, await here.open())
            await asked.wait()
            assert await here.request(message("initialize", **HELLO)) == (503, None)
            nursery.cancel_scope.cancel()


async def test_what_is_no_handshake_opens_no_session() -> None:
    async with site() as here:
        assert (await here.request(b"{"))[0] == 400
        assert (await here.request(message("tools/list")))[0] == 400
        assert len(here.sessions) == 0


async def test_a_call_that_is_over_when_the_server_ends_is_answered_before_its_session_is() -> None:
    asked, release, stop = trio.Event(), trio.Event(), trio.Event()

    async def call(_ctx: Any, _: Any) -> CallToolResult:
        asked.set()
        await release.wait()
        return CallToolResult(content=[TextContent(text="the outcome")])

    async def run(task_status: trio.TaskStatus[None]) -> None:
        async with door.run():
            task_status.started()
            await stop.wait()

    door = StreamableDoor(Server("t", on_call_tool=call))
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(lambda *, task_status: run(task_status))
            here = Site(door)
            nursery.start_soon(here.call, await here.open())
            await asked.wait()
            stop.set()
            await trio.testing.wait_all_tasks_blocked()
            assert await here.request(message("initialize", **HELLO)) == (503, None)
            release.set()
    assert b"the outcome" in here.told
