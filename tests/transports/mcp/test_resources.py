"""What clients can read without a tool, with the official client against a real server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from mcp_types import ResourceTemplateReference, TextResourceContents
from server_process import ServerProcess, running

pytestmark = pytest.mark.filterwarnings(
    # the official client leaves generators of its HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning"
)

LOG, STATE = "mcp-v8://sessions/{name}/log", "mcp-v8://sessions/{name}/state"


OF_A: dict[str, dict[str, Any]] = {
    "session_log": {},
    "session_state": {"session": "a@1"},
    "fork_session": {"session": "a@1"},
    "diff_session": {"a": "a@0", "b": "a@1"},
    "replay_session": {},
    "list_session_snapshots": {},
    "list_executions": {"session": "a"},
    "get_heap_tags": {"heap": "a@1"},
    "set_heap_tags": {"heap": "a@1", "tags": {"k": "v"}},
    "delete_heap_tags": {"heap": "a", "keys": "k"},
}
"""Calls about the session "a", which is also the default of who makes them."""


@pytest.fixture(scope="module")
def stateless() -> Iterator[ServerProcess]:
    with running("--stateless") as server:
        yield server


@asynccontextmanager
async def connected(server: ServerProcess, session: str = "", mode: Any = "legacy") -> AsyncIterator[Client]:
    with trio.fail_after(60):
        query = f"?session={session}" if session else ""
        async with Client(f"{server.url}/mcp{query}", mode=mode) as client:
            yield client


@asynccontextmanager
async def as_owner(server: ServerProcess, token: str) -> AsyncIterator[Client]:
    http = httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=30)
    with trio.fail_after(60):
        async with (
            http,
            Client(streamable_http_client(f"{server.url}/mcp?session=a", http_client=http)) as client,
        ):
            yield client


async def read(client: Client, uri: str) -> TextResourceContents:
    (contents,) = (await client.read_resource(uri)).contents
    assert isinstance(contents, TextResourceContents)
    assert contents.uri == uri
    return contents


async def ran(client: Client, *codes: str) -> None:
    for code in codes:
        await client.call_tool("run_js", {"code": code})


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_the_servers_documents_can_be_read(server: ServerProcess, mode: Any) -> None:
    async with connected(server, mode=mode) as client:
        listed = {one.uri: one for one in (await client.list_resources()).resources}
        texts = {uri: (await read(client, uri)).text for uri in listed}
    assert set(texts) == {f"mcp-v8://docs/{name}" for name in ("readme.md", "llms.txt", "openapi.json")}
    assert all(one.title and one.description and one.mime_type for one in listed.values())
    assert texts["mcp-v8://docs/readme.md"].startswith("# mcp-v8\n")  # as it was when this was installed
    assert texts["mcp-v8://docs/llms.txt"] == httpx2.get(f"{server.url}/llms.txt").text
    assert texts["mcp-v8://docs/openapi.json"] == httpx2.get(f"{server.url}/openapi.json").text


async def test_a_sessions_log_is_a_line_for_each_event_and_its_state_is_as_the_tool_tells_it(
    server: ServerProcess, name: str
) -> None:
    async with connected(server, name) as client:
        await ran(client, "let n = 1", "n = 2", "null.x")
        templates = (await client.list_resource_templates()).resource_templates
        assert [one.uri_template for one in templates] == [LOG, STATE]
        log = await read(client, LOG.format(name=name))
        assert log.mime_type == "text/plain"
        lines = log.text.splitlines()
        assert [line.split()[:2] for line in lines[:-1]] == [
            ["0", "created"],
            ["1", "completed"],
            ["2", "completed"],
            ["3", "failed"],
        ]
        assert lines[-1] == f"[{name}@3]"
        past = await read(client, LOG.format(name=f"{name}@1"))
        assert past.text.splitlines()[1].endswith("let n = 1 => undefined")
        state = await read(client, STATE.format(name=f"{name}%401"))  # as clients may write the @
        told = (await client.call_tool("session_state", {"session": f"{name}@1"})).structured_content
        assert (state.mime_type, json.loads(state.text)) == ("application/json", told)


async def test_a_long_log_says_how_to_see_the_earlier_events(server: ServerProcess, name: str) -> None:
    async with connected(server, name) as client:
        await ran(client, *["1"] * 101)
        lines = (await read(client, LOG.format(name=name))).text.splitlines()
    assert lines[0] == f'… 2 earlier: session_log {{"session":"{name}","before":2}}'
    assert lines[1].startswith("2 completed ")
    assert len(lines) == 102


@pytest.mark.parametrize(("mode", "code"), [("legacy", -32002), ("auto", -32602)])
@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("mcp-v8://docs/x", "there is no such resource; there are mcp-v8://docs/readme.md, "),
        ("mcp-v8://sessions/nobody/log", "there is no session nobody"),
        ("mcp-v8://sessions/nobody/events", "there is no such resource; "),
        ("file:///etc/passwd", "there is no such resource; "),
        ("", "there is no such resource; "),
    ],
)
async def test_what_is_not_there_is_the_error_of_the_clients_revision(
    server: ServerProcess, uri: str, told: str, mode: Any, code: int
) -> None:
    async with connected(server, mode=mode) as client:
        with pytest.raises(MCPError) as refusal:
            await client.read_resource(uri)
        assert refusal.value.error.code == code
        assert refusal.value.error.message.startswith(told)
        assert refusal.value.error.data == {"uri": uri}
        assert (await client.list_resources()).resources


async def test_a_name_that_cannot_be_is_refused(server: ServerProcess) -> None:
    async with connected(server) as client:
        with pytest.raises(MCPError, match="invalid_field: `session` must be a name") as refusal:
            await client.read_resource("mcp-v8://sessions/a%20b/log")
    assert refusal.value.error.code == -32602


async def test_names_of_sessions_are_completed(server: ServerProcess, name: str) -> None:
    async with connected(server, f"{name}-b") as client:
        await ran(client, "1")
    async with connected(server, f"{name}-a") as client:
        await ran(client, "1")
        for template in (LOG, STATE):
            found = await client.complete(
                ResourceTemplateReference(uri=template), {"name": "name", "value": name}
            )
            assert found.completion.values == [f"{name}-a", f"{name}-b"]
        other = await client.complete(ResourceTemplateReference(uri=LOG), {"name": "code", "value": ""})
        assert other.completion.values == []
        with pytest.raises(MCPError, match="there is nothing to complete but"):
            await client.complete(ResourceTemplateReference(uri="x://{y}"), {"name": "y", "value": ""})


async def test_without_sessions_there_are_documents_alone(stateless: ServerProcess) -> None:
    async with connected(stateless) as client:
        assert len((await client.list_resources()).resources) == 3
        assert (await client.list_resource_templates()).resource_templates == []
        found = await client.complete(ResourceTemplateReference(uri=LOG), {"name": "name", "value": ""})
        assert found.completion.values == []
        with pytest.raises(MCPError, match="there is no such resource") as refusal:
            await client.read_resource(LOG.format(name="a"))
        assert "sessions" not in refusal.value.error.message


async def test_what_is_another_owners_is_not_there(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("token-of-alice-0001 alice\ntoken-of-bob-000002 bob\n")
    tokens.chmod(0o600)
    with running("--directory-path", str(tmp_path / "store"), "--tokens", str(tokens)) as server:
        async with (
            as_owner(server, "token-of-alice-0001") as alice,
            as_owner(server, "token-of-bob-000002") as bob,
        ):
            await ran(alice, "let n = 1")
            assert (await read(alice, LOG.format(name="a"))).text
            for uri in (LOG.format(name="a"), STATE.format(name="a")):
                with pytest.raises(MCPError, match="there is no session a"):
                    await bob.read_resource(uri)
            found = await bob.complete(ResourceTemplateReference(uri=LOG), {"name": "name", "value": ""})
            assert found.completion.values == []
            for tool, arguments in OF_A.items():
                refusal = await bob.call_tool(tool, arguments)
                assert refusal.is_error is True
                (content,) = refusal.content
                assert content.text.startswith("not_found: ")  # type: ignore[union-attr]
            listed = await bob.call_tool("list_sessions", {})
            assert listed.structured_content == {"sessions": []}
