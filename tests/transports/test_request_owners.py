"""Two owners on one server: what is not the caller's does not exist for the caller, at every door."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
import trio
from engines import OpenEngine
from in_process import UPGRADE, response
from trio_websocket import ConnectionClosed, open_websocket_url

from transports import app
from transports.mcp.tools import ENTRIES
from transports.metrics import Metrics
from transports.settings import HttpSettings
from transports.tokens import TokenFile

MCP_HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
MODERN = "2026-07-28"
HELLO = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "t", "version": "1"},
}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
ABSENT = "/api/sessions/absent"


class Owners(NamedTuple):
    alice: httpx2.AsyncClient
    bob: httpx2.AsyncClient


TOKENS = {"alice": "token-of-alice-0001", "bob": "token-of-bob-000002"}


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    """The server's tokens."""
    file = tmp_path / "tokens"
    file.write_text("".join(f"{token} {owner} {owner}-laptop\n" for owner, token in TOKENS.items()))
    file.chmod(0o600)
    return TokenFile(file)


@pytest.fixture
async def owners(open_engine: OpenEngine, tmp_path: Path, tokens: TokenFile) -> AsyncIterator[Owners]:
    """Clients of two owners of one server."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
    stop, started = trio.Event(), trio.Event()
    async with open_engine(tmp_path / "store") as engine, trio.open_nursery() as nursery:
        nursery.start_soon(
            app.serve,
            engine.supervisor,
            listeners,
            HttpSettings(sse=True),
            stop,
            started.set,
            lambda: None,
            Metrics(),
            tokens,
        )
        await started.wait()
        async with _client(url, "alice") as alice, _client(url, "bob") as bob:
            yield Owners(alice, bob)
        stop.set()


@asynccontextmanager
async def _client(url: str, owner: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(
        base_url=url, timeout=40, headers={"authorization": f"Bearer {TOKENS[owner]}"}
    ) as client:
        yield client


async def execute(client: httpx2.AsyncClient, code: str, **fields: object) -> dict[str, Any]:
    answered = await client.post("/api/exec", json={"code": code, **fields})
    assert answered.status_code == 200, answered.text
    told: dict[str, Any] = answered.json()
    return told


async def begin(client: httpx2.AsyncClient, code: str, **fields: object) -> str:
    headers = {"prefer": "respond-async"}
    answered = await client.post("/api/exec", json={"code": code, **fields}, headers=headers)
    assert answered.status_code == 202, answered.text
    return str(answered.json()["execution_id"])


def message(method: str, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


def result_of(answered: httpx2.Response) -> dict[str, Any]:
    assert answered.status_code == 200, answered.text
    data = answered.text
    if answered.headers["content-type"].startswith("text/event-stream"):
        data = next(line for line in data.splitlines() if line.startswith("data: {"))[6:]
    told: dict[str, Any] = json.loads(data)["result"]
    return told


async def tool(client: httpx2.AsyncClient, name: str, **arguments: object) -> dict[str, Any]:
    """Call a tool in the revision without sessions."""
    headers = {
        **MCP_HEADERS,
        "mcp-protocol-version": MODERN,
        "mcp-method": "tools/call",
        "mcp-name": name,
    }
    content = message("tools/call", name=name, arguments=arguments, _meta=ENVELOPE)
    return result_of(await client.post("/mcp", content=content, headers=headers))


def text_of(result: dict[str, Any]) -> str:
    return str(result["content"][0]["text"])


async def test_two_owners_have_sessions_of_one_name_that_know_nothing_of_each_other(owners: Owners) -> None:
    await execute(owners.alice, "let secret = 'of alice'", session="notes")
    theirs = await execute(owners.bob, "typeof secret", session="notes")
    assert (theirs["created"], theirs["result_json"]) == (True, "undefined")
    assert (await execute(owners.alice, "secret", session="notes"))["result_json"] == "of alice"
    for client in owners:
        listed = (await client.get("/api/sessions")).json()["sessions"]
        assert [one["session"] for one in listed] == ["notes"]
    assert (await owners.bob.delete("/api/sessions/notes")).status_code == 200
    assert (await owners.alice.get("/api/sessions/notes")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("DELETE", "", None),
        ("GET", "/events", None),
        ("GET", "/events/1", None),
        ("GET", "/state", None),
        ("POST", "/accept", None),
        ("POST", "/checkpoint", None),
        ("POST", "/fork", {"event": 1, "name": "copy"}),
        ("GET", "/tags", None),
        ("PUT", "/tags", {"event": 1, "tags": {"stage": "raw"}}),
        ("DELETE", "/tags?key=stage", None),
    ],
)
async def test_a_session_of_another_owner_answers_as_one_that_never_was(
    owners: Owners, method: str, path: str, body: object
) -> None:
    await execute(owners.alice, "let secret = 1", session="hers")
    theirs = await owners.bob.request(method, f"/api/sessions/hers{path}", json=body)
    never = await owners.bob.request(method, f"{ABSENT}{path}", json=body)
    assert theirs.status_code == 404, theirs.text
    assert theirs.text == never.text.replace("absent", "hers")
    record = (await owners.alice.get("/api/sessions/hers")).json()
    assert (record["events"], record["tags"]) == (2, {})


async def test_an_execution_of_another_owner_answers_as_one_that_never_was(owners: Owners) -> None:
    done = (await execute(owners.alice, "console.log('secret')", session="hers"))["execution_id"]
    running = await begin(owners.alice, "console.log('secret'); for (;;);", session="hers")
    never = await owners.bob.get("/api/executions/e_0123456789abcdef")
    assert never.status_code == 404
    for name in (done, running):
        for method, path in (("GET", ""), ("GET", "/output"), ("GET", "/events"), ("POST", "/cancel")):
            theirs = await owners.bob.request(method, f"/api/executions/{name}{path}")
            assert (theirs.status_code, theirs.json()["code"]) == (404, "not_found")
            assert "secret" not in theirs.text
    assert (await owners.bob.get("/api/executions")).json()["executions"] == []
    assert (await owners.bob.get("/api/executions?session=hers")).status_code == 404
    assert (await owners.alice.get(f"/api/executions/{running}")).json()["status"] == "running"
    assert (await owners.alice.post(f"/api/executions/{running}/cancel")).json()["ok"]


async def test_a_state_of_another_owner_cannot_be_gone_on_from(owners: Owners) -> None:
    heap = (await execute(owners.alice, "let secret = 1; secret", session="hers"))["heap"]
    for fields in ({"heap": heap}, {"session": "hers@1"}, {"heap": heap, "session": "hers"}):
        theirs = await owners.bob.post("/api/exec", json={"code": "secret", **fields})
        assert (theirs.status_code, theirs.json()["code"]) == (404, "not_found")
    unnamed = (await execute(owners.alice, "let secret = 2"))["session"]
    theirs = await owners.bob.post("/api/exec", json={"code": "secret", "session": unnamed})
    assert (theirs.status_code, theirs.json()["code"]) == (404, "not_found")


async def test_an_idempotency_key_is_its_owners(owners: Owners) -> None:
    hers = await execute(owners.alice, "'of alice'", idempotency_key="k")
    theirs = await execute(owners.bob, "'of bob'", idempotency_key="k")
    assert theirs["result_json"] == "of bob"
    again = await execute(owners.alice, "'of alice'", idempotency_key="k")
    assert again["execution_id"] == hers["execution_id"] != theirs["execution_id"]


async def test_metrics_name_owners_and_sessions_to_themselves_alone(owners: Owners) -> None:
    for client, name in ((owners.alice, "hers"), (owners.bob, "his")):
        await execute(client, "for (let i = 0; i < 1e8; i++);", session=name)
    told = (await owners.alice.get("/metrics")).text
    assert 'mcp_v8_owner_cpu_recent_seconds{owner="alice"}' in told
    assert 'mcp_v8_session_cpu_recent_seconds{owner="alice",session="hers"}' in told
    assert "bob" not in told
    assert "his" not in set(re.findall(r'session="([^"]*)"', told))


async def test_events_record_who_was_recognized(owners: Owners) -> None:
    await execute(owners.alice, "1", session="hers")
    await tool(owners.alice, "run_js", code="2", session="hers")
    events = (await owners.alice.get("/api/sessions/hers/events")).json()["events"]
    assert [event["caller"]["subject"] for event in events] == ["alice-laptop"] * 3


async def test_tools_know_nothing_of_another_owner(owners: Owners) -> None:
    running = await begin(owners.alice, "console.log('secret'); for (;;);", session="hers")
    for name in ("get_execution_output", "cancel_execution"):
        refused = await tool(owners.bob, name, execution_id=running)
        assert refused["isError"]
        assert text_of(refused).startswith("not_found: ")
    refused = await tool(owners.bob, "run_js", code="1", session="hers@0")
    assert refused["isError"]
    assert text_of(refused).startswith("not_found: ")
    assert "=> 'undefined'" in text_of(await tool(owners.bob, "run_js", code="typeof x", session="hers"))
    told = await tool(owners.alice, "cancel_execution", execution_id=running)
    assert told["structuredContent"]["status"] == "cancelled"


def naming(session: str, heap: str, execution: str) -> dict[str, dict[str, object]]:
    """For each tool, arguments that name what somebody has."""
    return {
        "get_execution_output": {"execution_id": execution},
        "cancel_execution": {"execution_id": execution},
        "get_execution": {"execution_id": execution},
        "list_executions": {"session": session},
        "list_sessions": {},
        "session_log": {"session": session},
        "list_session_snapshots": {"session": session},
        "fork_session": {"session": f"{session}@1"},
        "session_state": {"session": f"{session}@1"},
        "diff_session": {"a": f"{session}@0", "b": f"{session}@1"},
        "replay_session": {"session": session},
        "get_heap_tags": {"heap": heap},
        "set_heap_tags": {"heap": heap, "tags": {"stage": "raw"}},
        "delete_heap_tags": {"heap": heap},
        "query_heaps_by_tags": {"tags": {"owner": "alice"}},
    }


async def test_no_tool_finds_what_another_owner_has(owners: Owners) -> None:
    hers = await execute(owners.alice, "let secret = 'of alice'", session="hers")
    await tool(owners.alice, "set_heap_tags", heap=hers["heap"], tags={"owner": "alice"})
    arguments = naming("hers", hers["heap"], hers["execution_id"])
    assert arguments.keys() == ENTRIES.keys()
    for name, named in arguments.items():
        theirs = await tool(owners.bob, name, **named)
        if theirs.get("isError"):
            assert text_of(theirs).startswith("not_found: "), name
        else:  # a list
            assert theirs["structuredContent"] in ({"sessions": []}, {"results": []}), name
        assert "secret" not in text_of(theirs)
    for name, named in arguments.items():
        told = await tool(owners.alice, name, **named)
        assert not told.get("isError"), text_of(told)


async def test_a_task_of_another_owner_is_none(owners: Owners) -> None:
    running = await begin(owners.alice, "console.log('secret'); for (;;);", session="hers")
    meta = ENVELOPE | {
        "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}
    }
    for method in ("tasks/get", "tasks/cancel", "tasks/update"):
        headers = MCP_HEADERS | {
            "mcp-protocol-version": MODERN,
            "mcp-method": method,
            "mcp-name": running,
        }
        content = message(method, taskId=running, _meta=meta)
        theirs = await owners.bob.post("/mcp", content=content, headers=headers)
        assert theirs.json()["error"]["message"] == f"there is no task '{running}'"
    assert (await owners.alice.get(f"/api/executions/{running}")).json()["status"] == "running"
    assert (await owners.alice.post(f"/api/executions/{running}/cancel")).json()["ok"]


async def test_an_mcp_session_of_another_owner_is_a_404_and_lives_on(owners: Owners) -> None:
    opened = await owners.alice.post("/mcp", content=message("initialize", **HELLO), headers=MCP_HEADERS)
    headers = {**MCP_HEADERS, "mcp-session-id": opened.headers["mcp-session-id"]}
    content = message("tools/call", name="run_js", arguments={"code": "1"})
    for theirs in (
        await owners.bob.post("/mcp", content=content, headers=headers),
        await owners.bob.get("/mcp", headers=headers),
        await owners.bob.delete("/mcp", headers=headers),
    ):
        assert theirs.status_code == 404, theirs.text
    assert "=> 1" in text_of(result_of(await owners.alice.post("/mcp", content=content, headers=headers)))


async def test_an_sse_stream_of_another_owner_takes_no_messages(owners: Owners) -> None:
    port = owners.alice.base_url.port
    assert port is not None
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(
            b"GET /sse HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n\r\n"
            % TOKENS["alice"].encode()
        )
        place = (await _read_until(stream, rb"data: (/message\?\S+)\n"))[1].decode()
        headers = {"content-type": "application/json"}
        content = message("initialize", **HELLO)
        theirs = await owners.bob.post(place, content=content, headers=headers)
        assert theirs.status_code == 404, theirs.text
        assert (await owners.alice.post(place, content=content, headers=headers)).status_code == 202
        await _read_until(stream, rb'"serverInfo":\{"name":"mcp-v8"')


async def test_a_session_of_another_owner_cannot_be_followed(owners: Owners) -> None:
    await execute(owners.alice, "let secret = 1", session="hers")
    port, path = owners.alice.base_url.port, "/api/sessions/hers/stream?after=-1"
    assert port is not None
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        bearer = f"\r\nAuthorization: Bearer {TOKENS['bob']}\r\n"
        asked = UPGRADE.decode().replace(" / ", f" {path} ").replace("\r\n", bearer, 1)
        await stream.send_all(asked.encode())
        assert (await response(stream)).startswith(b"HTTP/1.1 404 ")
    token = TOKENS["alice"]
    as_a_program = {"extra_headers": [(b"authorization", f"Bearer {token}".encode())]}
    as_a_page = {"subprotocols": ["mcp-v8", f"bearer.{token}"]}
    for how in (as_a_program, as_a_page):
        async with open_websocket_url(f"ws://127.0.0.1:{port}{path}", **how) as socket:
            assert json.loads(await socket.get_message())["session"] == "hers"
            assert socket.subprotocol == ("mcp-v8" if how is as_a_page else None)


async def test_a_stream_ends_with_its_token_and_those_of_others_do_not(
    owners: Owners, tokens: TokenFile, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        followers = []
        for client in owners:
            await execute(client, "let own = 1", session="s")
            url = f"ws://127.0.0.1:{client.base_url.port}/api/sessions/s/stream"
            given = [(b"authorization", client.headers["authorization"].encode())]
            follower = await stack.enter_async_context(open_websocket_url(url, extra_headers=given))
            assert json.loads(await follower.get_message())["type"] == "begun"
            followers.append(follower)
        events = await stack.enter_async_context(owners.alice.stream("GET", "/sse"))
        assert events.status_code == 200
        (tmp_path / "tokens").write_text(f"{TOKENS['bob']} bob bob-laptop\n")
        await tokens.reload()
        with trio.fail_after(20):
            with pytest.raises(ConnectionClosed):
                await followers[0].get_message()
            await followers[0]._stream.aclose()  # which it leaves open where the server was first to close
            with suppress(httpx2.RemoteProtocolError):
                await events.aread()
            await execute(owners.bob, "own", session="s")
            assert json.loads(await followers[1].get_message())["type"] in ("accepted", "event")
        assert (await owners.alice.get("/api/sessions")).status_code == 401


async def _read_until(stream: trio.SocketStream, pattern: bytes) -> re.Match[bytes]:
    data = b""
    while (match := re.search(pattern, data)) is None:
        data += (await stream.receive_some()) or pytest.fail(f"the stream ended after {data!r}")
    return match
