"""The tools beside ``run_js``, with the official client against a real server."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from broken_sessions import make_store
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult
from server_process import ServerProcess, running

pytestmark = pytest.mark.filterwarnings(
    # the official client leaves generators of its HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning"
)

LISTED = {
    "run_js",
    "get_execution_output",
    "cancel_execution",
    "list_sessions",
    "session_log",
    "session_state",
    "fork_session",
}
UNLISTED = {
    "get_execution",
    "list_executions",
    "list_session_snapshots",
    "get_heap_tags",
    "set_heap_tags",
    "delete_heap_tags",
    "query_heaps_by_tags",
    "replay_session",
    "diff_session",
}
CHARS_PER_TOKEN = 3.0
"""Tokenizers of today make 3.8 to 4.1 characters of such JSON one token."""


@pytest.fixture(scope="module")
def with_all_tools() -> Iterator[ServerProcess]:
    with running("--stateless", "--tools", "all") as server:
        yield server


@asynccontextmanager
async def connected(server: ServerProcess, session: str | None = None) -> AsyncIterator[Client]:
    query = "" if session is None else f"?session={session}"
    with trio.fail_after(60):
        async with Client(f"{server.url}/mcp{query}", mode="legacy") as client:
            yield client


def text(result: CallToolResult) -> str:
    (content,) = result.content
    told = content.text  # type: ignore[union-attr]
    assert isinstance(told, str)
    return told


async def ran(client: Client, *codes: str) -> None:
    for code in codes:
        await client.call_tool("run_js", {"code": code})


async def told(client: Client, tool: str, **arguments: object) -> dict[str, Any]:
    """Structured content of a call that works, which is the same as its text but for the log."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error is False, text(result)
    assert isinstance(result.structured_content, dict)
    if tool != "session_log":
        assert json.loads(text(result)) == result.structured_content
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: object) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error is True
    return text(result)


# --- the list ----------------------------------------------------------------------------------------


async def test_few_tools_are_listed_in_few_tokens(server: ServerProcess) -> None:
    async with connected(server) as client:
        tools = (await client.list_tools()).tools
    assert {tool.name for tool in tools} == LISTED
    assert tools[0].name == "run_js"
    assert all(tool.output_schema is None for tool in tools)
    chars = len(
        json.dumps([tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools])
    )
    assert chars / CHARS_PER_TOKEN < 1_500


async def test_all_tools_are_listed_with_the_shapes_of_their_results_where_that_is_asked_for(
    tmp_path: Path,
) -> None:
    with running("--directory-path", str(tmp_path), "--tools", "all") as server:
        async with connected(server, "a") as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert set(tools) == LISTED | UNLISTED
            assert {name for name, tool in tools.items() if tool.output_schema is None} == {"run_js"}
            await ran(client, "console.log(1); let n = 1", "null.x")
            # the client checks results against the shapes
            point = {"session": "a@1"}
            state = {"heap": "a@1"}
            for tool, arguments in (
                ("list_sessions", {}),
                ("session_log", point),
                ("session_state", point),
                ("fork_session", point),
                ("list_executions", {}),
                ("list_session_snapshots", {}),
                ("set_heap_tags", {**state, "tags": {"k": "v"}}),
                ("get_heap_tags", state),
                ("query_heaps_by_tags", {"tags": {"k": "v"}}),
                ("delete_heap_tags", state),
                ("replay_session", {}),
                ("diff_session", {"a": "a@0", "b": "a@1"}),
            ):
                await told(client, tool, **arguments)
            (entry, *_) = (await told(client, "list_executions"))["executions"]
            for tool in ("get_execution", "get_execution_output", "cancel_execution"):
                await told(client, tool, execution_id=entry["execution_id"])


async def test_without_sessions_only_what_is_of_use_is_listed(with_all_tools: ServerProcess) -> None:
    async with connected(with_all_tools) as client:
        tools = (await client.list_tools()).tools
        assert {tool.name for tool in tools} == {
            "run_js",
            "get_execution_output",
            "cancel_execution",
            "get_execution",
            "list_executions",
        }
        assert tools[0].annotations is not None
        assert tools[0].annotations.read_only_hint is True
        assert "stateless" in await refused(client, "session_log", session="a")
        assert (await told(client, "list_executions"))["executions"] == []


HINTS = {
    "run_js": (False, False, False),
    "cancel_execution": (False, True, True),
    "fork_session": (False, False, False),
    "set_heap_tags": (False, True, True),
    "delete_heap_tags": (False, True, True),
}
"""Whether the tools that change something only read, may destroy, and can be repeated; the others only read."""


async def test_clients_are_told_what_each_tool_may_do(server: ServerProcess) -> None:
    async with connected(server) as client:
        for tool in (await client.list_tools()).tools:
            assert tool.title
            hints = tool.annotations
            assert hints is not None
            assert hints.open_world_hint is False
            found = (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint)
            assert found == HINTS.get(tool.name, (True, None, None))


async def test_a_tool_that_is_not_there_is_an_error_of_the_protocol_that_names_those_that_are(
    server: ServerProcess,
) -> None:
    async with connected(server) as client:
        with pytest.raises(MCPError) as refusal:
            await client.call_tool("run", {"code": "1"})
    assert refusal.value.error.code == -32602
    assert refusal.value.error.message.startswith("there is no tool 'run'; there are run_js, ")
    assert set(re.findall(r"\w+", refusal.value.error.message)) >= LISTED | UNLISTED


# --- sessions ----------------------------------------------------------------------------------------


async def test_the_log_is_a_line_for_each_event_latest_last_and_ends_with_the_handle(
    server: ServerProcess, name: str
) -> None:
    async with connected(server, name) as client:
        await ran(
            client,
            "let rows = [1, 2]\nconsole.log('a'); console.log('b')\nrows",
            "null.x",
            "new Promise(() => {})",
            f"'{'y' * 200}'",
        )
        await client.call_tool("run_js", {"code": "for (;;);", "execution_timeout_secs": "0.2"})
        await told(client, "set_heap_tags", heap=f"{name}@1", tags={"stage": "raw"})
        result = await client.call_tool("session_log", {})
    lines = re.sub(r"e_\w{16}", "e_ID", re.sub(r"\S+ m?s ", "T ", text(result))).splitlines()
    assert lines == [
        "0 created",
        "1 completed T let rows = [1, 2]… => [ 1, 2 ] (2 console lines: e_ID)",
        "2 failed T null.x => TypeError: Cannot read properties of null (reading 'x')",
        "3 completed T new Promise(() => {}) => a pending promise",
        f"4 completed T '{'y' * 79}… => '{'y' * 79}…",
        "5 timed_out T for (;;); => undone: timed out after 0.2 s",
        '6 tagged 1: {"stage":"raw"}',
        f"[{name}@6]",
    ]
    assert result.structured_content is not None
    events = result.structured_content["events"]
    assert [one["event"] for one in events] == list(range(7))
    assert (events[1]["status"], events[1]["result"], events[1]["console_lines"]) == (
        "completed",
        "[ 1, 2 ]",
        2,
    )
    assert result.structured_content["handle"] == f"[{name}@6]"


async def test_a_long_log_is_read_backwards_page_by_page(server: ServerProcess, name: str) -> None:
    async with connected(server, name) as client:
        await ran(client, *(f"{n}" for n in range(1, 26)))
        seen: list[int] = []
        arguments: dict[str, object] = {}
        while True:
            result = await client.call_tool("session_log", arguments)
            assert result.structured_content is not None
            seen = [one["event"] for one in result.structured_content["events"]] + seen
            first = text(result).partition("\n")[0]
            if (earlier := re.fullmatch(r"… (\d+) earlier: session_log (\{.*\})", first)) is None:
                break
            assert int(earlier[1]) == seen[0]
            arguments = json.loads(earlier[2])
        assert seen == list(range(26))
        part = await told(client, "session_log", session=f"[{name}@9]", limit="3")
        assert [one["event"] for one in part["events"]] == [7, 8, 9]
        assert (part["before"], part["handle"]) == (7, f"[{name}@25]")
        assert await refused(client, "session_log", session=f"{name}@26") == (
            f"not_found: session {name} has no event 26: its last is {name}@25."
        )


async def test_models_see_sessions_last_used_first(server: ServerProcess, name: str) -> None:
    for session in (f"{name}-a", f"{name}-b"):
        async with connected(server, session) as client:
            await ran(client, "1")
    async with connected(server) as client:
        first = await told(client, "list_sessions", limit=1)
        assert [(one["session"], one["event"]) for one in first["sessions"]] == [(f"{name}-b", 1)]
        second = await told(client, "list_sessions", limit=1, after=first["next"])
        assert [one["session"] for one in second["sessions"]] == [f"{name}-a"]
        assert (await refused(client, "list_sessions", after="?")).startswith(
            "invalid_field: `after` must be what the page before gave as `next`, not '?'"
        )


async def test_a_fork_goes_on_from_a_point_and_the_other_session_stays(
    server: ServerProcess, name: str
) -> None:
    async with connected(server, name) as client:
        await ran(client, "let n = 1", "n = 2")
        made = await told(client, "fork_session", session=f"{name}@1", name=f"{name}-b")
        assert made == {
            "session": f"{name}-b",
            "forked_from": f"{name}@1",
            "handle": f"[{name}-b@2]",
        }
        result = await client.call_tool("run_js", {"code": "n", "session": f"[{name}-b]"})
        assert text(result) == f"=> 1\n[{name}-b@3]"
        unnamed = await told(client, "fork_session")
        assert re.fullmatch(r"s_\w{16}", unnamed["session"])
        assert unnamed["forked_from"] == f"{name}@2"
        assert (await refused(client, "fork_session", name=name)).startswith("conflict: ")


async def test_the_connections_own_session_is_meant_where_none_is_named(server: ServerProcess) -> None:
    async with connected(server) as client:
        assert await refused(client, "session_state") == (
            "invalid_field: `session` is missing, and you have no session of your own yet: list_sessions names "
            "those that there are."
        )
        result = await client.call_tool("run_js", {"code": "let n = 1"})
        assert (await told(client, "session_state"))["handle"] == text(result).splitlines()[-1]


# --- states ------------------------------------------------------------------------------------------


async def test_variables_are_told_with_types_and_previews_at_any_point(
    server: ServerProcess, name: str
) -> None:
    async with connected(server, name) as client:
        await ran(client, "let rows = [1, 2]; class Row {}", "rows.push(3); var more = 'x'.repeat(1000)")
        now = await told(client, "session_state")
        assert [(one["name"], one["type"]) for one in now["variables"]] == [
            ("rows", "Array"),
            ("Row", "class"),
            ("more", "string"),
        ]
        assert now["handle"] == f"[{name}@2]"
        then = await told(client, "session_state", session=f"{name}@1", name="rows")
        assert then == {
            "session": name,
            "variables": [{"name": "rows", "type": "Array", "preview": "[ 1, 2 ]"}],
            "handle": f"[{name}@1]",
        }
        (one,) = (await told(client, "session_state", name="more"))["variables"]
        assert len(one["preview"]) > 1_000 > len(now["variables"][2]["preview"])
        assert await refused(client, "session_state", name="row") == (
            f"not_found: there is no variable `row` in {name}@2: it has rows, Row, more."
        )


async def test_many_variables_are_told_as_far_as_there_is_room(server: ServerProcess, name: str) -> None:
    async with connected(server, name) as client:
        await ran(client, "for (let i = 0; i < 1200; i++) globalThis['v' + i] = 'x'.repeat(100)")
        result = await client.call_tool("session_state", {})
        assert result.structured_content is not None
        assert len(text(result)) < 20_000
        shown = result.structured_content["variables"]
        assert len(shown) + result.structured_content["more"] == 1_200


async def test_two_states_are_compared(server: ServerProcess, name: str) -> None:
    long = "x" * 150
    async with connected(server, name) as client:
        await ran(
            client,
            f"var gone = 1, same = 2, rows = [1], text = '{long}{long}a'",
            f"rows.push(2); globalThis.added = new Map(); text = '{long}{long}b'; gone = null",
        )
        found = await told(client, "diff_session", a=f"{name}@1", b=name)
        assert (found["a"], found["b"], found["same"]) == (f"[{name}@1]", f"[{name}@2]", 1)
        assert found["added"] == [{"name": "added", "type": "Map", "preview": "Map(0) {}"}]
        assert found["removed"] == []
        changed = {one["name"]: (one["before"], one["after"]) for one in found["changed"]}
        assert changed["rows"] == ("[ 1 ]", "[ 1, 2 ]")
        assert changed["gone"] == ("1", "null")
        assert changed["text"] == (f"{'x' * 40}a'", f"{'x' * 40}b'")
        back = await told(client, "diff_session", a=name, b=f"{name}@1")
        assert [one["name"] for one in back["removed"]] == ["added"]
        assert (await refused(client, "diff_session", a=name)).startswith(
            'invalid_field: `b` is missing; for example {"b":"demo@14"}'
        )


async def test_a_replay_says_whether_the_log_gives_what_it_says(server: ServerProcess, name: str) -> None:
    async with connected(server, name) as client:
        await ran(client, "let n = Math.random()", "n", "null.x")
        assert await told(client, "replay_session", session=f"{name}@2") == {
            "session": name,
            "agrees": True,
            "executions": 2,
            "different": 0,
            "differences": [],
            "handle": f"[{name}@2]",
        }


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    store = tmp_path_factory.mktemp("store")
    make_store(store)
    with running("--directory-path", str(store)) as server:
        yield server


async def test_a_replay_names_the_events_that_differ(broken: ServerProcess) -> None:
    async with connected(broken) as client:
        diverged = await told(client, "replay_session", session="diverged")
        assert diverged["agrees"] is False
        assert diverged["differences"] == [
            {"event": 2, "field": "result_json", "expected": "71", "got": "70"}
        ]
        failed = await told(client, "replay_session", session="failed")
        assert (failed["agrees"], failed["executions"], failed["failed_event"]) == (False, 1, 2)
        drifted = await told(client, "replay_session", session="drifted")
        assert (drifted["agrees"], drifted["drift"]) == (True, 1)


# --- executions, and the labels of states -----------------------------------------------------------------


async def test_executions_are_listed_and_told(server: ServerProcess, name: str) -> None:
    async with connected(server, name) as client:
        await ran(client, "console.log('hi'); [1]", "null.x")
        failed, *_ = (await told(client, "list_executions", session=name, status="failed"))["executions"]
        assert (failed["event"], failed["code"]) == (2, "null.x")
        page = await told(client, "list_executions", session=name, limit=1)
        page = await told(client, "list_executions", session=name, limit=1, after=page["next"])
        one = await told(client, "get_execution", execution_id=page["executions"][0]["execution_id"])
        assert (one["status"], one["result"], one["output"]) == ("completed", "[ 1 ]", "hi\n")
        assert one["handle"] == f"[{name}@1]"
        assert (await refused(client, "list_executions", status="done")).startswith(
            "invalid_field: `status` must be one of "
        )


async def test_states_are_listed_labelled_and_found_by_their_labels(server: ServerProcess, name: str) -> None:
    async with connected(server, name) as client:
        await ran(client, "let n = 1", "n = 2")
        made, first, second = (await told(client, "list_session_snapshots"))["snapshots"]
        assert (made["event"], first["code"], second["code"]) == (0, "let n = 1", "n = 2")
        heap = first["heap"]
        await told(client, "set_heap_tags", heap=heap, tags={"of": name, "old": "1"})
        labelled = await told(client, "set_heap_tags", heap=f"{name}@1", tags={"of": name, "stage": "raw"})
        assert labelled == {"heap": heap, "tags": {"of": name, "stage": "raw"}, "handle": f"[{name}@1]"}
        await told(client, "set_heap_tags", heap=second["heap"], tags={"of": name})
        found = await told(client, "query_heaps_by_tags", tags={"of": name, "stage": "raw"})
        assert found["results"] == [labelled]
        assert len((await told(client, "query_heaps_by_tags", tags={"of": name}))["results"]) == 2
        left = await told(client, "delete_heap_tags", heap=heap, keys="of, unknown")
        assert left["tags"] == {"stage": "raw"}
        assert (await told(client, "delete_heap_tags", heap=heap))["tags"] == {}
        assert (await told(client, "get_heap_tags", heap=name))["handle"] == f"[{name}@2]"
        assert await refused(client, "get_heap_tags", heap="?") == (
            "invalid_field: `heap` must be 64 hex digits, or `name@n` or `name` of a session."
        )
        assert (await refused(client, "query_heaps_by_tags", tags={})).startswith(
            "invalid_field: `tags` names no label; for example "
        )
