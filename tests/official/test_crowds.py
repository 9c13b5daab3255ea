"""Many clients of the official SDK at once, clients that come and go, and a server that is killed under them."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from mcp import Client
from mcp.client.sse import sse_client
from mcp.shared.exceptions import MCPError
from restarts import restarting
from server_process import ServerProcess

from benchmarks.processes import free_port

pytestmark = pytest.mark.filterwarnings(
    # streams that are left early leave generators of the HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning"
)

SECONDS = 120

HEADERS = {"accept": "application/json, text/event-stream"}
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    },
}


async def run_js(client: Client, code: str, session: str) -> str:
    told = await client.call_tool("run_js", {"code": code, "session": session})
    text = told.content[0].text  # type: ignore[union-attr]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("clients", [60, pytest.param(200, marks=pytest.mark.torture)])
async def test_many_clients_at_once_each_have_their_session(product: ServerProcess, clients: int) -> None:
    connected, everybody = [], trio.Event()

    async def one(number: int) -> None:
        where: Any = f"{product.url}/mcp" if number % 4 < 2 else sse_client(f"{product.url}/sse")
        async with Client(where, mode=("legacy", "2026-07-28")[number % 2]) as client:
            connected.append(number)
            if len(connected) == clients:
                everybody.set()
            await everybody.wait()
            name = f"crowd-of-{clients}-{number}"
            assert await run_js(client, f"let n = {number}; n", name) == f"=> {number}\n[{name}@1]"
            assert await run_js(client, "n + 1", name) == f"=> {number + 1}\n[{name}@2]"

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            for number in range(clients):
                nursery.start_soon(one, number)


class Stormer:
    """A client that leaves in the middle of something, again and again."""

    def __init__(self, product: ServerProcess, chance: random.Random) -> None:
        self._product = product
        self._ways = [
            self._half_a_head,
            self._half_a_body,
            self._handshake,
            self._stream,
            self._sse,
            self._run,
        ]
        self._chance = chance

    async def come_and_go(self, times: int) -> None:
        for _ in range(times):
            await self._chance.choice(self._ways)()

    async def _half_a_head(self) -> None:
        await self._send(b"POST /mcp HTTP/1.1\r\nHost: loc")

    async def _half_a_body(self) -> None:
        await self._send(b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")

    async def _send(self, data: bytes) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", self._product.port) as stream:
            await stream.send_all(data)

    def _http(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self._product.url, headers=HEADERS, timeout=SECONDS)

    async def _handshake(self) -> None:
        async with self._http() as http:
            assert (await http.post("/mcp", json=HELLO)).status_code == 200

    async def _stream(self) -> None:
        async with self._http() as http:
            session = (await http.post("/mcp", json=HELLO)).headers["mcp-session-id"]
            async with http.stream("GET", "/mcp", headers={"mcp-session-id": session}) as stream:
                assert stream.status_code == 200

    async def _sse(self) -> None:
        async with self._http() as http, http.stream("GET", "/sse") as stream:
            assert stream.status_code == 200

    async def _run(self) -> None:
        arguments = {"code": "var n = (globalThis.n ?? 0) + 1; n", "session": "storm"}
        asked = {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "tools/call",
            "params": {"name": "run_js", "arguments": arguments},
        }
        async with self._http() as http:
            session = (await http.post("/mcp", json=HELLO)).headers["mcp-session-id"]
            async with http.stream("POST", "/mcp", json=asked, headers={"mcp-session-id": session}) as stream:
                assert stream.status_code == 200


def connections(port: int) -> int:
    """How many of a port's connections one side still holds."""
    states = Counter[str]()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, state, *_ = line.split()
        if int(local.rpartition(":")[2], 16) == port:
            states[state] += 1
    listening, time_wait = "0A", "06"
    return sum(count for state, count in states.items() if state not in (listening, time_wait))


async def test_clients_that_come_and_go_leave_nothing_behind(product: ServerProcess) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")  # noqa: T201
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            for number in range(16):
                stormer = Stormer(product, random.Random(seed + number))
                nursery.start_soon(stormer.come_and_go, 15)
        async with Client(f"{product.url}/mcp") as client:
            assert (await run_js(client, "1 + 2", "storm")).startswith("=> 3\n")
        while connections(product.port):  # noqa: ASYNC110 (nobody tells)
            await trio.sleep(0.05)
    assert "Traceback" not in product.log


@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_a_call_under_which_the_server_is_killed_is_undone_and_its_session_goes_on(
    tmp_path: Path, era: str
) -> None:
    running, ended = trio.Event(), trio.Event()

    async def on_progress(_done: float, _total: float | None, _message: str | None) -> None:
        running.set()

    async def fail(client: Client) -> None:
        arguments = {"code": "kept = 2; console.log('on its way'); for (;;);", "session": "killed"}
        with pytest.raises(MCPError):
            await client.call_tool("run_js", arguments, progress_callback=on_progress)
        ended.set()

    # on one port, so that clients find it again
    async with restarting(tmp_path, "--http-port", str(free_port())) as server:
        url = f"{await server.url()}/mcp"
        with trio.fail_after(SECONDS):
            async with Client(url, mode=era) as client, trio.open_nursery() as nursery:
                assert await run_js(client, "let kept = 1", "killed") == "=> undefined\n[killed@1]"
                nursery.start_soon(fail, client)
                await running.wait()
                await server.kill_and_restart()
                await ended.wait()
                if era == "legacy":  # whose sessions end with the server, as a client is told
                    with pytest.raises(MCPError, match="no such MCP session: begin anew"):
                        await run_js(client, "kept", "killed")
                else:
                    assert await run_js(client, "kept", "killed") == "=> 1\n[killed@2]"
            async with Client(url, mode=era) as client:
                assert (await run_js(client, "kept", "killed")).startswith("=> 1\n")
            await server.stop()
