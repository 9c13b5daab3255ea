"""A session followed over a WebSocket, with real clients."""

from __future__ import annotations

import base64
import gc
import json
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from socket import SO_RCVBUF, SOL_SOCKET
from typing import Any
from weakref import ref

import httpx2
import msgspec
import pytest
import trio
from engines import opened, submission
from in_process import serving
from restarts import restarting
from server_process import ServerProcess
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url, wrap_client_stream

from engine.errors import StoreError
from transports.identity import LOCAL
from transports.rest import session_stream
from transports.rest.application import create_app
from transports.rest.session_stream import SessionStreams
from transports.rest.shapes import event_answer

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


def begin(client: httpx2.Client, session: str, code: str) -> str:
    """Run code without waiting for it; the execution's id."""
    asked = {"code": code, "session": session}
    told = client.post("/api/exec", json=asked, headers={"Prefer": "respond-async"})
    return str(told.json()["execution_id"])


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


async def test_lines_come_while_code_runs_and_then_the_event_in_the_shape_of_the_list(
    server: ServerProcess, client: httpx2.Client, name: str
) -> None:
    run(client, name, "let n = 1")
    async with follow(address(server, name)) as socket:
        assert await message(socket) == {"type": "begun", "session": name, "after": 1, "version": 1}
        code = "console.log('a'); console.warn('b'); for (;;);"
        execution = await trio.to_thread.run_sync(begin, client, name, code)
        told = [await message(socket) for _ in range(3)]
        await trio.to_thread.run_sync(lambda: client.post(f"/api/executions/{execution}/cancel"))
        told.append(await message(socket))
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


async def test_what_goes_on_in_a_fork_is_gone_from_here_and_its_console_is_told_there(
    server: ServerProcess, client: httpx2.Client, name: str
) -> None:
    for n in range(2):
        run(client, name, f"var n = {n}")
    async with follow(address(server, name)) as socket:
        await message(socket)

        def branch() -> tuple[str, str, str]:
            first = begin(client, name, "for (;;);")
            second = begin(client, f"{name}@1", "console.log('elsewhere'); for (;;);")
            return first, second, begin(client, name, "console.log('here')")

        first, second, third = await trio.to_thread.run_sync(branch)
        assert [(await message(socket))["execution_id"] for _ in range(3)] == [first, second, third]
        await trio.to_thread.run_sync(lambda: client.post(f"/api/executions/{first}/cancel"))
        told: list[dict[str, Any]] = []
        while sorted(one["type"] for one in told if one["type"] != "console") != ["event", "event", "gone"]:
            told.append(await message(socket))
        fork = client.get(f"/api/executions/{second}").json()["session"]
        async with follow(address(server, fork, "?after=-1")) as other:
            there = await until(other, "console")
            await trio.to_thread.run_sync(lambda: client.post(f"/api/executions/{second}/cancel"))
            there += [await message(other) for _ in range(4)]
    assert [one["event"]["execution_id"] for one in told if one["type"] == "event"] == [first, third]
    assert {"type": "gone", "execution_id": second, "error": None} in told
    assert all(one["text"] == "here" for one in told if one["type"] == "console")
    assert [one["type"] for one in there] == ["begun", "accepted", "console", *["event"] * 4]
    assert [one["event"]["event"] for one in there[3:]] == [0, 1, 2, 3]
    assert (there[1]["execution_id"], there[2]["text"]) == (second, "elsewhere")


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
        ("/api/sessions/{}/stream?after=2", 400, "invalid_field"),
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
async def streams(store: Path | None, cache_dir: Path) -> AsyncIterator[tuple[Any, Streams]]:
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


async def test_a_server_without_sessions_says_so(cache_dir: Path) -> None:
    async with streams(None, cache_dir) as (_, served):
        assert await refusal(served.port, "/api/sessions/s/stream") == (400, "invalid_field")


async def test_what_could_not_be_run_is_gone_and_the_reason_told(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with streams(tmp_path, cache_dir) as (engine, served):
        await engine.run("1", session="s", owner=LOCAL.owner)
        async with follow(f"ws://127.0.0.1:{served.port}/api/sessions/s/stream") as socket:
            await message(socket)
            failing = trio.Event()

            async def append(_: object) -> None:
                await failing.wait()
                raise StoreError("the disk is full")

            monkeypatch.setattr(engine.log, "append", append)
            execution = await engine.supervisor.executions.submit(
                submission("1", session="s", owner=LOCAL.owner)
            )
            assert (await message(socket))["type"] == "accepted"
            failing.set()
            gone = {"type": "gone", "execution_id": execution.id, "error": "the disk is full"}
            assert await message(socket) == gone
        failing = trio.Event()
        await engine.supervisor.executions.submit(submission("1", session="new", owner=LOCAL.owner))
        async with follow(f"ws://127.0.0.1:{served.port}/api/sessions/new/stream") as socket:
            assert (await message(socket))["after"] == -1
            failing.set()
            assert [one["type"] for one in await until(socket, "closed")] == ["accepted", "gone", "closed"]


async def test_a_slow_follower_holds_up_nobody_keeps_no_console_and_gets_all_events(
    tmp_path: Path, cache_dir: Path
) -> None:
    count = 4
    code = "for (let i = 0; i < 400; i++) console.log(long)"
    async with streams(tmp_path, cache_dir) as (engine, served), trio.open_nursery() as nursery:
        await engine.run("var long = 'x'.repeat(2000)", session="s", owner=LOCAL.owner)
        with trio.socket.socket() as plain:
            plain.setsockopt(SOL_SOCKET, SO_RCVBUF, 1 << 15)  # it has room for a few messages
            await plain.connect(("127.0.0.1", served.port))
            stream = trio.SocketStream(plain)
            socket = await wrap_client_stream(nursery, stream, "localhost", "/api/sessions/s/stream")
            await message(socket)
            executions = []
            for _ in range(count):
                execution = await engine.supervisor.executions.submit(
                    submission(code, session="s", owner=LOCAL.owner)
                )
                assert (await execution.wait(30)).status == "completed"
                executions.append(ref(execution))
                del execution
            gc.collect()
            assert sum(one() is not None for one in executions) <= 2
            plain.setsockopt(SOL_SOCKET, SO_RCVBUF, 1 << 22)  # now it hurries
            numbers: list[int] = []
            while len(numbers) < count:
                told = await message(socket)
                if told["type"] == "event":
                    numbers.append(told["event"]["event"])
            assert numbers == list(range(2, count + 2))
            nursery.cancel_scope.cancel()  # the client waits for somebody to take what it has read


async def test_followers_that_come_and_go_at_any_moment_see_what_the_log_has_and_are_forgotten(
    tmp_path: Path, cache_dir: Path
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 (pytest shows it with a failure)
    chance = random.Random(seed)
    async with streams(tmp_path, cache_dir) as (engine, served):
        await engine.run("var n = 0", session="s", owner=LOCAL.owner)
        told: list[list[dict[str, Any]]] = []
        busy = True

        async def listen() -> None:
            """Follow again and again, and leave at some moment without a word."""
            last = -1
            events: list[dict[str, Any]] = []
            told.append(events)
            while busy or last < head():
                path = f"/api/sessions/s/stream?after={last}"
                with trio.move_on_after(chance.random() * 0.2 + 0.05 * (not busy)):
                    async with (
                        await trio.open_tcp_stream("127.0.0.1", served.port) as stream,
                        trio.open_nursery() as reading,
                    ):
                        socket = await wrap_client_stream(reading, stream, "localhost", path)
                        while True:
                            one = await message(socket)
                            if one["type"] == "event":
                                events.append(one["event"])
                                last = one["event"]["event"]

        records: list[Any] = []

        def head() -> int:
            return len(records) - 1

        codes = ["++n", "throw n", "console.log(n); ++n", "for (;;);"]
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(listen)
            for _ in range(30):
                asked = submission(chance.choice(codes), session="s", owner=LOCAL.owner, time_ms=100)
                execution = await engine.supervisor.executions.submit(asked)
                if chance.random() < 0.3:
                    for pid in engine.worker_pids():
                        os.kill(pid, signal.SIGKILL)
                await execution.wait(60)
            records = list((await engine.supervisor.events(LOCAL.owner, "s")).items)
            busy = False
        listed = json.loads(msgspec.json.encode([event_answer(record, listed=True) for record in records]))
        assert len(listed) >= 30
        assert told == [listed] * len(told)
        with trio.fail_after(10):
            while len(served) or len(engine.supervisor.feed):
                await trio.lowlevel.checkpoint()
