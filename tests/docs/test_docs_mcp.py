"""docs/mcp.md: its numbers are the program's, and what it says of clients that go away happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import trio
from documents import ROOT
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from server_process import ServerProcess, running
from test_docs_facts import rows

from transports.mcp import call, console, resumption, sessions, tasks

MCP = ROOT / "docs" / "mcp.md"
SECONDS = 40
CODE = "await new Promise(go => setTimeout(go, 1000)); 'over'"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running("--directory-path", str(tmp_path_factory.mktemp("store"))) as one:
        yield one


def test_its_revisions_are_those_that_are_spoken() -> None:
    first, *_, last = HANDSHAKE_PROTOCOL_VERSIONS
    (modern,) = MODERN_PROTOCOL_VERSIONS
    spoken = f"{first} to {last} after `initialize`; {modern} without"
    assert [row[1] for row in rows(MCP, "door")] == [spoken, "the same", "the same"]


def test_its_numbers_are_those_of_the_program() -> None:
    told = " ".join(MCP.read_text().split())
    for shown in (
        f"after {sessions.IDLE_SECONDS:,.0f} s without a request",
        f"({sessions.UNUSED_SECONDS:.0f} s if it never",
        f"Of more than {sessions.MAX_SESSIONS:,} one ends",
        f"lines of {console.GATHER_SECONDS} s together, up to {console.MAX_CHARS:,} characters",
        f"**{call.CALL_SECONDS:.0f} s.**",
        f"a task after {tasks.TASK_SECONDS:.0f} s",
        f"its last {resumption.MAX_EVENTS} messages, as far as they are {resumption.MAX_BYTES >> 20} MiB",
        f"keep {resumption.MAX_ALL_BYTES >> 20} MiB, and beyond that each only {resumption.LEAST_BYTES >> 10} KiB",
    ):
        assert shown in told


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


class Peer:
    """A client by hand."""

    def __init__(self, http: httpx2.AsyncClient, headers: dict[str, str], meta: dict[str, Any]) -> None:
        self.http = http
        self.headers = headers
        self.meta = meta

    async def call(self, session: str) -> None:
        """Run CODE, and wait for the answer."""
        arguments = {"code": CODE, "session": session}
        asked = message("tools/call", name="run_js", arguments=arguments, **self.meta)
        await self.http.post("/mcp", json=asked, headers=self.headers)

    async def execution(self, session: str) -> str:
        """The id of the session's execution, once there is one."""
        while True:
            listed = await self.http.get("/api/executions", params={"session": session})
            if executions := listed.json().get("executions"):  # else the session is not there yet
                return str(executions[0]["execution_id"])

    async def status(self, execution: str) -> str:
        """How it ends."""
        told = await self.http.get(f"/api/executions/{execution}", params={"wait": SECONDS})
        return str(told.json()["status"])


@asynccontextmanager
async def peer_of(server: ServerProcess, revision: str) -> AsyncIterator[Peer]:
    headers = {"mcp-protocol-version": revision}
    meta: dict[str, Any] = {}
    with trio.fail_after(SECONDS):
        async with httpx2.AsyncClient(base_url=server.url, timeout=SECONDS) as http:
            if revision in MODERN_PROTOCOL_VERSIONS:
                headers |= {"mcp-method": "tools/call", "mcp-name": "run_js"}
                named = {"protocolVersion": revision, "clientCapabilities": {}}
                meta = {"_meta": {f"io.modelcontextprotocol/{name}": value for name, value in named.items()}}
            else:
                client = {"name": "t", "version": "1"}
                hello = message("initialize", protocolVersion=revision, capabilities={}, clientInfo=client)
                headers["mcp-session-id"] = (await http.post("/mcp", json=hello)).headers["mcp-session-id"]
            yield Peer(http, headers, meta)


@pytest.mark.parametrize(
    ("revision", "status"),
    [*((revision, "completed") for revision in HANDSHAKE_PROTOCOL_VERSIONS[1:]), ("2026-07-28", "cancelled")],
)
async def test_a_request_that_is_broken_off(server: ServerProcess, revision: str, status: str) -> None:
    column = 2 if revision in MODERN_PROTOCOL_VERSIONS else 1
    (shown,) = (row[column] for row in rows(MCP, "the client") if row[0] == "breaks the request off")
    assert shown.startswith("cancelled" if status == "cancelled" else "goes on")
    session = f"broken-{revision}"
    async with peer_of(server, revision) as peer:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.call, session)
            execution = await peer.execution(session)
            nursery.cancel_scope.cancel()
        assert await peer.status(execution) == status


async def test_what_runs_when_a_connection_is_deleted_is_cancelled(server: ServerProcess) -> None:
    async with peer_of(server, "2025-11-25") as peer, trio.open_nursery() as nursery:
        nursery.start_soon(peer.call, "deleted")
        execution = await peer.execution("deleted")
        assert (await peer.http.delete("/mcp", headers=peer.headers)).status_code == 200
        assert await peer.status(execution) == "cancelled"


async def test_without_a_connection_each_call_that_names_no_session_begins_one(server: ServerProcess) -> None:
    async with peer_of(server, "2026-07-28") as peer:
        for _ in range(2):
            arguments = {"code": "typeof n === 'undefined'; var n = 1"}
            asked = message("tools/call", name="run_js", arguments=arguments, **peer.meta)
            answer = await peer.http.post("/mcp", json=asked, headers=peer.headers)
            assert answer.headers["content-type"] == "application/json"
            assert answer.json()["result"]["content"][0]["text"].endswith("@1]")
