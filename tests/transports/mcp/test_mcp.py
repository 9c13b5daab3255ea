"""``run_js`` over ``/mcp``, with the official client against a real server."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx2
import pytest
import trio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult
from server_process import ServerProcess, running

pytestmark = pytest.mark.filterwarnings(
    # the official client leaves generators of its HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning"
)

NEWEST = "2026-07-28"
MODES = ["legacy", "auto"]
"""The handshake of 2025, and the newest protocol that both sides know."""


def text(result: CallToolResult) -> str:
    (content,) = result.content
    told = content.text  # type: ignore[union-attr]
    assert isinstance(told, str)
    return told


async def call(client: Client, code: str, **arguments: object) -> CallToolResult:
    with trio.fail_after(40):
        return await client.call_tool("run_js", {"code": code, **arguments})


@pytest.mark.parametrize("mode", MODES)
async def test_tools_are_listed_briefly_and_say_what_is_true(server: ServerProcess, mode: Any) -> None:
    async with Client(f"{server.url}/mcp", mode=mode) as client:
        tool = (await client.list_tools()).tools[0]
    assert (tool.name, tool.title) == ("run_js", "Run JavaScript")
    assert "[name@n]" in str(tool.description)
    assert tool.output_schema is None
    assert set(tool.input_schema["properties"]) == {
        "code",
        "session",
        "heap",
        "input",
        "execution_timeout_secs",
        "heap_memory_max_mb",
    }
    assert len(json.dumps(tool.model_dump(mode="json", exclude_none=True))) < 2_000


@pytest.mark.parametrize("mode", MODES)
async def test_the_text_is_console_then_value_then_handle(
    server: ServerProcess, name: str, mode: Any
) -> None:
    async with Client(f"{server.url}/mcp?session={name}", mode=mode) as client:
        result = await call(client, "console.log('sum', 14); [1, 2, 3].map(x => x * x)")
    assert text(result) == f"sum 14\n=> [ 1, 4, 9 ]\n[{name}@1]"
    assert result.is_error is False


async def test_a_throw_is_an_error_result_that_shows_where_and_what_stays(
    server: ServerProcess, name: str
) -> None:
    async with Client(f"{server.url}/mcp?session={name}") as client:
        result = await call(client, "function load() { return [] }\nconst rows = load()\nrows[0].id")
        assert result.is_error is True
        lines = text(result).splitlines()
        assert lines[0] == "TypeError: Cannot read properties of undefined (reading 'id')"
        assert "> 3 | rows[0].id" in text(result)
        assert "  at exec-1.js:3:9" in lines
        assert lines[-1] == f"Earlier changes kept. [{name}@1]"
        assert text(await call(client, "rows.length")) == f"=> 0\n[{name}@2]"


async def test_a_timeout_says_that_the_call_is_undone(server: ServerProcess, name: str) -> None:
    async with Client(f"{server.url}/mcp?session={name}") as client:
        result = await call(client, "for (;;);", execution_timeout_secs=0.25)
    assert result.is_error is True
    assert re.fullmatch(rf"timed_out after 0\.\d+ s\. Call undone\. \[{name}@1\]", text(result))


async def test_the_result_carries_the_rest_object_in_its_meta(server: ServerProcess, name: str) -> None:
    async with Client(f"{server.url}/mcp") as client:
        result = await call(client, "({a: 1})", session=name)
    assert result.meta is not None
    told = result.meta["mcp-v8/execution"]
    rest = httpx2.get(f"{server.url}/api/executions/{told['execution_id']}").json()
    assert told == rest
    assert told["result_json"] == {"a": 1}


async def test_a_connection_keeps_a_session_of_its_own(server: ServerProcess) -> None:
    url = f"{server.url}/mcp"
    async with Client(url, mode="legacy") as one, Client(url, mode="legacy") as two:
        first = text(await call(one, "var n = 1; n"))
        assert text(await call(two, "typeof n")).startswith("=> 'undefined'\n[s_")
        second = text(await call(one, "++n"))
    handle = first.splitlines()[-1]
    assert second == f"=> 2\n{handle.replace('@1]', '@2]')}"


async def test_first_calls_that_come_together_share_the_session(server: ServerProcess) -> None:
    handles: list[str] = []
    async with Client(f"{server.url}/mcp", mode="legacy") as client, trio.open_nursery() as nursery:

        async def one() -> None:
            handles.append(text(await call(client, "1")).splitlines()[-1])

        for _ in range(4):
            nursery.start_soon(one)
    assert len({handle.partition("@")[0] for handle in handles}) == 1


async def test_a_client_without_a_transport_session_gets_a_new_one_each_time(server: ServerProcess) -> None:
    async with Client(f"{server.url}/mcp", mode="2026-07-28") as client:
        handle = text(await call(client, "var n = 1; n")).splitlines()[-1]
        name = handle.strip("[]").partition("@")[0]
        assert text(await call(client, "typeof n")).startswith("=> 'undefined'")
        assert text(await call(client, "n", session=name)) == f"=> 1\n[{name}@2]"


async def test_a_header_names_the_default_session_and_an_argument_wins(
    server: ServerProcess, name: str
) -> None:
    http = httpx2.AsyncClient(headers={"x-mcp-session-id": f"{name}-h"}, timeout=30)
    async with http, Client(streamable_http_client(f"{server.url}/mcp", http_client=http)) as client:
        assert text(await call(client, "1")).endswith(f"[{name}-h@1]")
        assert text(await call(client, "1", session=f"{name}-a")).endswith(f"[{name}-a@1]")


async def test_a_handle_branches(server: ServerProcess, name: str) -> None:
    async with Client(f"{server.url}/mcp?session={name}") as client:
        await call(client, "var n = 1")
        await call(client, "n = 2")
        branch = text(await call(client, "n", session=f"{name}@1"))
    assert branch.startswith("=> 1\n[s_")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({}, "code"),
        ({"code": 1}, "code"),
        ({"code": "1", "session": "a b"}, "session"),
        ({"code": "1", "heap": "xyz"}, "heap"),
        ({"code": "1", "timeout": 3}, "execution_timeout_secs"),
        ({"code": "1", "execution_timeout_secs": "soon"}, "execution_timeout_secs"),
        ({"code": "1", "session": "s_0000000000000000"}, "s_0000000000000000"),
    ],
)
async def test_wrong_arguments_get_an_error_that_a_model_can_act_on(
    server: ServerProcess, arguments: dict[str, object], named: str
) -> None:
    async with Client(f"{server.url}/mcp", mode="legacy") as client:
        result = await client.call_tool("run_js", arguments)
    assert result.is_error is True
    assert named in text(result)
    assert text(result).endswith("Nothing was run.")


async def test_an_unknown_tool_is_a_protocol_error(server: ServerProcess) -> None:
    async with Client(f"{server.url}/mcp", mode="legacy") as client:
        with pytest.raises(MCPError, match="run_js"):
            await client.call_tool("run_python", {"code": "1"})


async def test_a_cancelled_call_is_cancelled_and_undone(server: ServerProcess, name: str) -> None:
    async with Client(f"{server.url}/mcp?session={name}", mode="legacy") as client:
        await call(client, "var n = 1")
        with trio.move_on_after(1):
            await call(client, "n = 2; for (;;);", execution_timeout_secs=60)
        with trio.fail_after(20):
            assert text(await call(client, "n")).startswith("=> 1\n")


def test_a_bare_get_says_how_to_post_and_makes_no_session(client: httpx2.Client) -> None:
    response = client.get("/mcp")
    assert response.status_code == 400
    assert "POST" in response.json()["error"]["message"]
    assert "mcp-session-id" not in response.headers


def test_a_body_over_the_limit_is_a_413(client: httpx2.Client) -> None:
    response = client.post("/mcp", content=b"x" * (5 << 20), headers={"content-type": "application/json"})
    assert response.status_code == 413


async def test_open_event_streams_do_not_hold_up_the_end() -> None:
    with running("--stateless") as server:
        accept = {"accept": "application/json, text/event-stream"}
        hello = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "t", "version": "1"},
            },
        }
        async with httpx2.AsyncClient(base_url=server.url, headers=accept, timeout=40) as http:
            session = (await http.post("/mcp", json=hello)).headers["mcp-session-id"]
            async with http.stream("GET", "/mcp", headers={"mcp-session-id": session}) as stream:
                assert stream.status_code == 200
                began = trio.current_time()
                assert await trio.to_thread.run_sync(server.terminate) == 0
                assert trio.current_time() - began < 5


async def test_a_stateless_server_says_so_and_keeps_nothing() -> None:
    with running("--stateless") as server:
        async with Client(f"{server.url}/mcp?session=x", mode="legacy") as client:
            tool, *_ = (await client.list_tools()).tools
            assert "nothing stays" in str(tool.description)
            assert "session" not in tool.input_schema["properties"]
            assert text(await call(client, "var n = 1; n")) == "=> 1"
            assert text(await call(client, "typeof n")) == "=> 'undefined'"
            assert not text(await call(client, "throw new Error('x')")).endswith(("kept.", "undone."))
            refused = await call(client, "1", session="a")
            assert refused.is_error is True
            assert "stateless" in text(refused)


async def test_an_input_of_null_is_given(server: ServerProcess) -> None:
    async with Client(f"{server.url}/mcp") as client:
        assert text(await call(client, "input === null", input=None)).startswith("=> true\n")


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("run_js", r'{"code": "1", "session": "\ud800"}', "invalid_field: `session` must be a name of"),
        ("run_js", r'{"code": "1", "\ud800": 1}', "invalid_field: unknown field '?'; known are code, input"),
        ("run_js", r'{"code": "\ud800"}', "invalid_field: `code` holds a lone surrogate"),
        (
            "get_execution_output",
            r'{"\ud800": 1}',
            "invalid_field: get_execution_output has no argument `?`: it takes execution_id, line_offset",
        ),
    ],
)
def test_half_a_character_in_arguments_is_refused(
    server: ServerProcess, tool: str, arguments: str, told: str
) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": NEWEST,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    call = f'{{"name": "{tool}", "arguments": {arguments}, "_meta": {json.dumps(meta)}}}'
    answer = httpx2.post(
        f"{server.url}/mcp",
        content=f'{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {call}}}',
        headers={
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": NEWEST,
            "mcp-method": "tools/call",
            "mcp-name": tool,
        },
    )
    result = answer.json()["result"]
    assert result["isError"]
    assert result["content"][0]["text"].startswith(told)
