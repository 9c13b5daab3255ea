"""MCP's clients before several nodes and a balancer that knows nothing: each request arrives anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
import s3_server
import trio
from etcd_server import EtcdServer
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from real_nodes import RealNode, balanced, cluster

pytestmark = pytest.mark.filterwarnings(
    # the official client leaves generators of its HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning"
)

SECONDS = 120


@pytest.fixture(scope="module")
def nodes(
    tmp_path_factory: pytest.TempPathFactory, etcd: EtcdServer, moto: s3_server.S3
) -> Iterator[list[RealNode]]:
    """Two for all tests here but one; each test takes session names of its own."""
    with cluster(tmp_path_factory.mktemp("nodes"), etcd, moto, port_flag="--sse-port") as nodes:
        yield nodes


def new_connections(**options: Any) -> httpx2.AsyncClient:
    """A client that makes one for each request, so that each goes to another node."""
    options.setdefault("timeout", SECONDS)
    return httpx2.AsyncClient(limits=httpx2.Limits(max_keepalive_connections=0), trust_env=False, **options)


def text(result: Any) -> str:
    told = result.content[0].text
    assert isinstance(told, str)
    return told


@pytest.mark.parametrize("transport", ["http", "sse"])
async def test_the_official_client_works_though_each_request_arrives_at_another_node(
    nodes: list[RealNode], transport: str
) -> None:
    lines: list[str] = []

    async def progress(_: float, __: float | None, message: str | None) -> None:
        lines.append(message or "")

    with trio.fail_after(SECONDS):
        async with balanced(nodes) as url, new_connections() as http:
            where: Any = streamable_http_client(f"{url}/mcp", http_client=http)
            if transport == "sse":
                where = sse_client(
                    f"{url}/sse", httpx_client_factory=lambda **options: new_connections(**options)
                )
            async with Client(where, mode="legacy") as client:
                for count in range(1, 6):
                    code = (
                        "let xs = [1]" if count == 1 else "xs.push(xs.length + 1); console.log(xs.length); xs"
                    )
                    result = await client.call_tool(
                        "run_js", {"code": code, "session": f"mine-{transport}"}, progress_callback=progress
                    )
                    assert text(result).endswith(f"[mine-{transport}@{count}]")
                assert "=> [ 1, 2, 3, 4, 5 ]" in text(result)
                assert {"run_js", "list_sessions"} <= {
                    tool.name for tool in (await client.list_tools()).tools
                }
                assert lines[-1] == "5"


async def test_without_sessions_each_node_serves_for_itself(nodes: list[RealNode]) -> None:
    with trio.fail_after(SECONDS):
        async with balanced(nodes) as url, new_connections() as http:
            where = streamable_http_client(f"{url}/mcp", http_client=http)
            async with Client(where, mode="2026-07-28") as client:
                for count in range(1, 4):
                    arguments = {"code": "globalThis.n = (globalThis.n ?? 0) + 1", "session": "modern"}
                    assert f"=> {count}\n[modern@{count}]" in text(
                        await client.call_tool("run_js", arguments)
                    )


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "by-hand", "version": "1"},
    },
}
HEADERS = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}


def called(code: str, session: str, number: int = 1) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "id": number,
        "method": "tools/call",
        "params": {"name": "run_js", "arguments": {"code": code, "session": session}},
    }


def told(response: httpx2.Response) -> Any:
    """The last message of an answer, which is a stream of events."""
    data = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
    return json.loads(data[-1])


async def begin(http: httpx2.AsyncClient, node: RealNode) -> dict[str, str]:
    """The headers of a session of MCP that a node has."""
    headers = {key: value for key, value in HEADERS.items() if key == "accept"}
    opened = await http.post(f"{node.url}/mcp", json=INITIALIZE, headers=headers)
    name = opened.headers["mcp-session-id"]
    assert name.startswith(f"{node.name}.")
    headers = {**HEADERS, "mcp-session-id": name}
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (await http.post(f"{node.url}/mcp", json=ready, headers=headers)).status_code == 202
    return headers


async def test_a_session_can_be_resumed_and_ended_at_another_node(nodes: list[RealNode]) -> None:
    a, b = nodes
    with trio.fail_after(SECONDS):
        async with new_connections() as http:
            mine = await begin(http, a)
            first = await http.post(f"{b.url}/mcp", json=called("40 + 2", "resumed"), headers=mine)
            assert "=> 42" in json.dumps(told(first))
            event = next(line for line in first.text.splitlines() if line.startswith("id: "))
            again = {**mine, "last-event-id": event.removeprefix("id: ")}
            resumed = await http.get(f"{b.url}/mcp", headers=again)
            assert told(resumed) == told(first)
            async with http.stream("GET", f"{b.url}/mcp", headers=mine) as stream:
                assert stream.status_code == 200
            assert (await http.delete(f"{b.url}/mcp", headers=mine)).status_code == 200
            for node in nodes:
                gone = await http.post(f"{node.url}/mcp", json=called("1", "resumed"), headers=mine)
                assert (gone.status_code, gone.json()["error"]["data"]["code"]) == (404, "not_found")


async def test_the_client_of_a_node_that_died_is_told_404_starts_again_and_finds_its_javascript_session(
    tmp_path: Path, etcd: EtcdServer, moto: s3_server.S3
) -> None:
    with cluster(tmp_path, etcd, moto) as (a, b), trio.fail_after(SECONDS):
        async with new_connections() as http:
            mine = await begin(http, a)
            first = await http.post(f"{b.url}/mcp", json=called("var kept = 7", "survives"), headers=mine)
            assert "survives@1" in json.dumps(told(first))
            a.process.kill()
            statuses = []
            while 404 not in statuses:
                answer = await http.post(f"{b.url}/mcp", json=called("kept", "survives", 2), headers=mine)
                statuses.append(answer.status_code)
                await trio.sleep(0.1)
            assert set(statuses) <= {404, 503}
            anew = await begin(http, b)
            found = await http.post(f"{b.url}/mcp", json=called("kept * 6", "survives", 3), headers=anew)
            assert "=> 42" in json.dumps(told(found))


@pytest.mark.parametrize("stopped", ["the holder", pytest.param("the other", marks=pytest.mark.torture)])
async def test_a_node_that_stops_answers_what_passes_through_it_ends_the_streams_and_is_gone_in_time(
    tmp_path: Path, etcd: EtcdServer, stopped: str
) -> None:
    answers = []

    async def call(http: httpx2.AsyncClient, node: RealNode, mine: dict[str, str]) -> None:
        called = {"name": "run_js", "arguments": {"code": "await new Promise(r => setTimeout(r, 1500)); 42"}}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": called}
        answers.append(await http.post(f"{node.url}/mcp", json=message, headers=mine))

    with cluster(tmp_path, etcd, None) as (a, b), trio.fail_after(SECONDS):
        async with new_connections() as http:
            mine = await begin(http, a)
            async with (
                http.stream("GET", f"{b.url}/mcp", headers=mine) as stream,
                trio.open_nursery() as nursery,
            ):
                assert stream.status_code == 200
                nursery.start_soon(call, http, b, mine)
                while not (await http.get(f"{a.url}/api/executions")).json()["executions"]:  # noqa: ASYNC110
                    await trio.sleep(0.02)
                node = a if stopped == "the holder" else b
                assert await trio.to_thread.run_sync(node.terminate) == 0
                with suppress(httpx2.RemoteProtocolError):  # cut off, as by a node that dies
                    async for _ in stream.aiter_raw():
                        pass
        assert "=> 42" in json.dumps(told(answers[0]))
        assert "Traceback" not in a.log + b.log
