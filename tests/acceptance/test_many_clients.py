"""Many MCP clients at once, clients that come and go, and a server that dies in the middle of an answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from mcp import Client
from mcp.client.sse import sse_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult
from restarts import restarting
from server_process import ServerProcess, running

pytestmark = pytest.mark.filterwarnings(
    # the official client leaves generators of its HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning"
)

CLIENTS = 200
STORM = 400
HELLO = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 0,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "storm", "version": "1"},
        },
    }
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    store = str(tmp_path_factory.mktemp("store"))
    with running("--directory-path", store, "--max-workers", "60", port_flag="--sse-port") as server:
        yield server


def text(result: CallToolResult) -> str:
    told = result.content[0].text  # type: ignore[union-attr]
    assert isinstance(told, str)
    return told


def open_files(server: ServerProcess) -> int:
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def clients(server: ServerProcess, number: int) -> tuple[Any, Any]:
    """What the client of that number connects to, and how: each door in turn."""
    address = f"?session=client-{number}"
    return (
        (f"{server.url}/mcp{address}", "legacy"),
        (f"{server.url}/mcp{address}", "2026-07-28"),
        (sse_client(f"{server.url}/sse{address}"), "legacy"),
    )[number % 3]


async def test_two_hundred_clients_at_once_each_keep_their_session(server: ServerProcess) -> None:
    together = trio.Semaphore(0)
    told: dict[int, str] = {}

    async def one(number: int) -> None:
        target, mode = clients(server, number)
        async with Client(target, mode=mode) as client:
            first = await client.call_tool("run_js", {"code": f"let mine = {number}"})
            assert text(first) == f"=> undefined\n[client-{number}@1]"
            together.release()
            if together.value == CLIENTS:
                everybody.set()
            await everybody.wait()
            told[number] = text(await client.call_tool("run_js", {"code": "++mine"}))

    everybody = trio.Event()
    with trio.fail_after(150):
        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS):
                nursery.start_soon(one, number)
    assert told == {number: f"=> {number + 1}\n[client-{number}@2]" for number in range(CLIENTS)}


async def test_a_storm_of_reconnects_leaves_nothing_behind(server: ServerProcess) -> None:
    request = (
        f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Accept: application/json, text/event-stream\r\nContent-Length: {len(HELLO)}\r\n\r\n{HELLO}"
    ).encode()
    pieces = [b"", request[:40], request[:-10], request, b"GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n"]

    def settled() -> int:
        """Open files when they have stopped becoming fewer."""
        before = open_files(server)
        while True:
            httpx2.get(f"{server.url}/healthz")
            now = open_files(server)
            if now >= before:
                return now
            before = now

    def come_and_go(number: int) -> None:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(pieces[number % len(pieces)])
            if number % 2 and number % len(pieces) > 2:
                connection.recv(100)

    before = settled()
    async with trio.open_nursery() as nursery:
        room = trio.CapacityLimiter(20)
        for number in range(STORM):
            nursery.start_soon(lambda n=number: trio.to_thread.run_sync(come_and_go, n, limiter=room))
        async with Client(f"{server.url}/mcp?session=neighbour") as neighbour:
            with trio.fail_after(60):
                assert text(await neighbour.call_tool("run_js", {"code": "6 * 7"})).startswith("=> 42")
    with trio.fail_after(40):
        while settled() > before + 20:
            await trio.lowlevel.checkpoint()
    assert "Traceback" not in server.log


async def test_a_cancelled_call_ends_and_the_session_is_as_before(server: ServerProcess) -> None:
    for number in range(3):
        target, mode = clients(server, number)
        async with Client(target, mode=mode) as client:
            await client.call_tool("run_js", {"code": "var kept = 1"})
            began = trio.Event()

            async def heard(*_: object, began: trio.Event = began) -> None:
                began.set()

            async with trio.open_nursery() as nursery:

                async def long(client: Client = client, heard: Any = heard) -> None:
                    code = "kept = 2; console.log('on'); for (;;);"
                    await client.call_tool("run_js", {"code": code}, progress_callback=heard)

                with trio.fail_after(30):
                    nursery.start_soon(long)
                    await began.wait()
                    nursery.cancel_scope.cancel()
            with trio.fail_after(15):  # the time limit of code is 30 s
                assert text(await client.call_tool("run_js", {"code": "kept"})).startswith("=> 1")


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_server_that_dies_while_it_answers_is_told_and_its_sessions_go_on(
    tmp_path: Path, mode: Any
) -> None:
    async with restarting(tmp_path) as server:
        async with Client(f"{await server.url()}/mcp?session=s", mode=mode) as client:
            await client.call_tool("run_js", {"code": "let n = 1"})
            began = trio.Event()

            async def heard(*_: object) -> None:
                began.set()

            async def interrupted() -> None:
                code = "n = 2; console.log('on'); await new Promise(done => setTimeout(done, 20_000))"
                with pytest.raises(MCPError):
                    await client.call_tool("run_js", {"code": code}, progress_callback=heard)

            with trio.fail_after(30):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(interrupted)
                    await began.wait()
                    await server.kill()
        await server.start()
        async with Client(f"{await server.url()}/mcp?session=s", mode=mode) as client:
            with trio.fail_after(30):
                assert text(await client.call_tool("run_js", {"code": "++n"})) == "=> 2\n[s@2]"
