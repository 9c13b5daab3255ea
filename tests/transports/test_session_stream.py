"""A session followed over a WebSocket, with real clients."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from engines import opened
from in_process import serving
from restarts import restarting
from server_process import ServerProcess
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

from transports.identity import LOCAL
from transports.rest import create_app, session_stream
from transports.rest.session_stream import SessionStreams

UPGRADE = (
    "GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{}"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def address(server: ServerProcess, name: str, query: str = "") -> str:
    return f"ws://127.0.0.1:{server.port}/api/sessions/{name}/stream{query}"


def run(client: httpx2.Client, session: str, code: str, **more: object) -> dict[str, Any]:
    told = client.post("/api/exec", json={"code": code, "session": session, **more}).json()
    assert isinstance(told, dict)
    return told


def upgrade(name: str) -> bytes:
    """The request that begins to follow a session."""
    return UPGRADE.format(f"/api/sessions/{name}/stream", "").encode()


@asynccontextmanager
async def follow(url: str) -> AsyncIterator[WebSocketConnection]:
    async with open_websocket_url(url) as socket:
        try:
            yield socket
        finally:
            await socket.aclose()
            await socket._stream.aclose()  # which it leaves open where the server was first to close


async def refusal(port: int, path: str, header: str = "") -> tuple[int, str]:
    """Status and code of the answer to an upgrade that is refused."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(UPGRADE.format(path, header).encode())
        data = b""
        with trio.fail_after(10):
            while chunk := await stream.receive_some():
                data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["code"]


async def message(socket: WebSocketConnection) -> dict[str, Any]:
    with trio.fail_after(20):
        told = json.loads(await socket.get_message())
    assert isinstance(told, dict)
    return told


async def until(socket: WebSocketConnection, kind: str) -> list[dict[str, Any]]:
    """Messages up to the first of that type."""
    told = [await message(socket)]
    while told[-1]["type"] != kind:
        told.append(await message(socket))
    return told


async def code_of_close(socket: WebSocketConnection) -> int:
    """With which the server closes, after whatever it still says."""
    with trio.fail_after(20):
        while True:
            try:
                await socket.get_message()
            except ConnectionClosed as closed:
                reason = closed.reason
                break
    assert reason is not None
    return int(reason.code)


async def test_events_come_in_the_shape_of_the_list_and_console_lines_before_them(
    server: ServerProcess, client: httpx2.Client, name: str
) -> None:
    run(client, name, "let n = 1")
    async with follow(address(server, name)) as socket:
        assert await message(socket) == {"type": "begun", "session": name, "after": 1, "version": 1}
        code = "console.log('a'); console.warn('b'); n = 2"
        asked = await trio.to_thread.run_sync(run, client, name, code)
        told = await until(socket, "event")
    execution = asked["execution_id"]
    lines = {"execution_id": execution, "provisional": True}
    assert told[:3] == [
        {"type": "accepted", "execution_id": execution, "code": code},
        {"type": "console", **lines, "line": 1, "level": "log", "text": "a"},
        {"type": "console", **lines, "line": 2, "level": "warn", "text": "b"},
    ]
    listed = client.get(f"/api/sessions/{name}/events?first=2").json()["events"]
    assert [told[3]["event"]] == listed


async def test_a_follower_that_names_its_last_event_gets_all_that_came_after(
    server: ServerProcess, client: httpx2.Client, name: str
) -> None:
    for n in range(5):
        run(client, name, f"var n = {n}")
    for after, numbers in ((-1, [0, 1, 2, 3, 4, 5]), (3, [4, 5])):
        async with follow(address(server, name, f"?after={after}")) as socket:
            assert (await message(socket))["after"] == after
            assert [(await message(socket))["event"]["event"] for _ in numbers] == numbers


async def test_aborts_labels_and_deletion_are_told_and_deletion_ends_it(
    server: ServerProcess, client: httpx2.Client, name: str
) -> None:
    run(client, name, "let n = 1")
    async with follow(address(server, name)) as socket:
        await message(socket)
        await trio.to_thread.run_sync(lambda: run(client, name, "for (;;);", execution_timeout_secs=0.2))
        assert (await until(socket, "event"))[-1]["event"]["status"] == "timed_out"
        labels = {"tags": {"stage": "raw"}}
        await trio.to_thread.run_sync(lambda: client.put(f"/api/sessions/{name}/tags", json=labels))
        assert (await message(socket))["event"]["type"] == "tagged"
        await trio.to_thread.run_sync(lambda: client.delete(f"/api/sessions/{name}"))
        assert await message(socket) == {"type": "closed"}
        assert await code_of_close(socket) == 1000


async def test_a_new_session_of_the_same_name_is_another_one(
    server: ServerProcess, client: httpx2.Client, name: str
) -> None:
    run(client, name, "let n = 1")
    async with follow(address(server, name)) as socket:
        await message(socket)

        def again() -> None:
            client.delete(f"/api/sessions/{name}")
            run(client, name, "let other = 1")

        await trio.to_thread.run_sync(again)
        told = await until(socket, "closed")
        assert all(one["type"] != "event" for one in told)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/sessions/nobody/stream", 404, "not_found"),
        ("/api/sessions/{}/stream?after=x", 400, "invalid_field"),
        ("/api/sessions/{}/stream?after=-2", 400, "invalid_field"),
        ("/api/sessions/{}/stream?since=1", 400, "invalid_field"),
        ("/api/sessions/{}", 404, "not_found"),
        ("/mcp", 404, "not_found"),
    ],
)
async def test_what_cannot_be_followed_is_refused_before_the_upgrade(
    server: ServerProcess, client: httpx2.Client, name: str, path: str, status: int, code: str
) -> None:
    run(client, name, "1")
    assert await refusal(server.port, path.format(name)) == (status, code)


async def test_another_host_or_origin_may_not_follow(
    server: ServerProcess, client: httpx2.Client, name: str
) -> None:
    run(client, name, "1")
    path = f"/api/sessions/{name}/stream"
    told = await refusal(server.port, path, "Origin: http://evil.example\r\n")
    assert told == (403, "origin_not_allowed")


async def test_who_says_something_is_closed_and_pings_are_answered(
    server: ServerProcess, client: httpx2.Client, name: str
) -> None:
    run(client, name, "1")
    async with follow(address(server, name)) as socket:
        await message(socket)
        with trio.fail_after(10):
            await socket.ping(b"there?")
        await socket.send_message("hello")
        assert await code_of_close(socket) == 1003


@pytest.mark.parametrize("count", range(1, 8))
async def test_bytes_behind_an_upgrade_end_the_connection_and_no_other(
    server: ServerProcess, client: httpx2.Client, name: str, count: int
) -> None:
    run(client, name, "1")
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        await stream.send_all(upgrade(name) + b"\x89\x80\0\0\0\0\0"[:count])
        with trio.fail_after(10):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")
    assert run(client, name, "1 + 1")["result"] == "2"


async def test_the_end_of_the_server_is_told_as_going_away(tmp_path: Path) -> None:
    server = await trio.to_thread.run_sync(lambda: ServerProcess("--directory-path", str(tmp_path)))
    with httpx2.Client(base_url=server.url, timeout=30) as client:
        run(client, "s", "1")
        async with follow(address(server, "s")) as socket:
            await message(socket)
            server.process.send_signal(signal.SIGTERM)
            assert await code_of_close(socket) == 1001
    assert await trio.to_thread.run_sync(server.wait) == 0
    assert server.process.stdout is not None
    server.process.stdout.close()


async def test_many_follow_while_code_runs_and_workers_die_and_none_misses_or_repeats_an_event(
    tmp_path: Path,
) -> None:
    count = 12
    async with restarting(tmp_path) as server:
        url = await server.url()
        async with httpx2.AsyncClient(base_url=url, timeout=60) as client:
            await client.post("/api/exec", json={"code": "var n = 0", "session": "s"})
            seen: list[list[int]] = [[] for _ in range(10)]

            async def listen(events: list[int]) -> None:
                async with follow(f"ws{url[4:]}/api/sessions/s/stream?after=0") as socket:
                    while not events or events[-1] < count + 1:
                        told = await message(socket)
                        if told["type"] == "event":
                            events.append(told["event"]["event"])

            async with trio.open_nursery() as nursery:
                for events in seen:
                    nursery.start_soon(listen, events)
                codes = ["++n", "throw n", "[].at.call(0, Array(2 ** 31).fill(0))"]
                for number in range(count):
                    asked = {"code": codes[number % 3], "session": "s", "heap_memory_max_mb": 16}
                    await client.post("/api/exec", json=asked)
    assert seen == [list(range(1, count + 2))] * len(seen)


class Streams(SessionStreams):
    """Those of an engine in this process, behind a server of their own."""

    port: int


@asynccontextmanager
async def streams(store: Path, cache_dir: Path) -> AsyncIterator[tuple[Any, Streams]]:
    async with opened(store, cache_dir) as engine:
        app = create_app([], 1_000)
        served = Streams(engine.supervisor)
        served.add_to(app)
        async with served.run(), serving(app) as server:
            served.port = server.port
            yield engine, served


async def test_followers_that_leave_in_any_way_are_forgotten(tmp_path: Path, cache_dir: Path) -> None:
    async with streams(tmp_path, cache_dir) as (engine, served):
        await engine.run("1", session="s", owner=LOCAL.owner)
        url = f"ws://127.0.0.1:{served.port}/api/sessions/s/stream"
        async with follow(url) as socket:
            await message(socket)
            assert (len(served), len(engine.supervisor.feed)) == (1, 1)
        for data in (b"", base64.b64decode("gIA="), b"\xff" * 20):  # vanishes, broken frames
            async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
                await stream.send_all(upgrade("s"))
                assert await stream.receive_some()
                await stream.send_all(data or b"")
        with trio.fail_after(10):
            while len(served) or len(engine.supervisor.feed):
                await trio.lowlevel.checkpoint()


async def test_more_followers_than_there_may_be_are_told_so(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_stream, "MAX_STREAMS", 1)
    async with streams(tmp_path, cache_dir) as (engine, served):
        await engine.run("1", session="s", owner=LOCAL.owner)
        url = f"ws://127.0.0.1:{served.port}/api/sessions/s/stream"
        async with follow(url) as socket:
            await message(socket)
            assert await refusal(served.port, "/api/sessions/s/stream") == (429, "busy")


async def test_silence_is_broken_now_and_then(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_stream, "ALIVE_SECONDS", 0.05)
    async with streams(tmp_path, cache_dir) as (engine, served):
        await engine.run("1", session="s", owner=LOCAL.owner)
        async with follow(f"ws://127.0.0.1:{served.port}/api/sessions/s/stream") as socket:
            await message(socket)
            assert await message(socket) == {"type": "alive"}


async def test_a_slow_follower_holds_up_nobody(tmp_path: Path, cache_dir: Path) -> None:
    async with streams(tmp_path, cache_dir) as (engine, served):
        await engine.run("var long = 'x'.repeat(2000)", session="s", owner=LOCAL.owner)
        async with await trio.open_tcp_stream("127.0.0.1", served.port) as stream:
            await stream.send_all(upgrade("s"))
            assert await stream.receive_some()  # and no more
            with trio.fail_after(30):
                for _ in range(20):
                    report = await engine.run(
                        "for (let i = 0; i < 200; i++) console.log(long)", session="s", owner=LOCAL.owner
                    )
                    assert report.status == "completed"
