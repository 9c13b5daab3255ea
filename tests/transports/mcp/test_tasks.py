"""Long calls as tasks, for clients of 2026 that know the extension."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from engines import opened
from in_process import application, serving

from engine.errors import StoreFailed
from transports.mcp import tasks
from transports.mcp.server import create_server
from transports.mcp.streamable import StreamableDoor
from transports.settings import DEFAULTS

MODERN = "2026-07-28"
SLOW = "console.log('on'); await new Promise(done => setTimeout(done, 400)); 'over'"


class Peer:
    """A client by hand."""

    def __init__(self, http: httpx2.AsyncClient, *, knows_tasks: bool = True) -> None:
        self.http = http
        self.capabilities = {"extensions": {tasks.EXTENSION: {}}} if knows_tasks else {}

    async def ask(self, method: str, *, header: str | None = None, **params: Any) -> httpx2.Response:
        """Ask; ``header`` is what Mcp-Name says instead of what the request is about."""
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": self.capabilities,
        }
        headers = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": MODERN,
            "mcp-method": method,
            "mcp-name": header or params.get("name") or params.get("taskId", ""),
        }
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return await self.http.post("/mcp", json=message, headers=headers)

    async def result(self, method: str, **params: Any) -> dict[str, Any]:
        answer = await self.ask(method, **params)
        assert answer.status_code == 200, answer.text
        told = json.loads(answer.text)["result"]
        assert isinstance(told, dict)
        told.pop("_meta", None)
        return told

    async def run(self, code: str, **arguments: Any) -> dict[str, Any]:
        return await self.result("tools/call", name="run_js", arguments={"code": code, **arguments})

    async def error(self, method: str, **params: Any) -> tuple[int, int]:
        """The status, and the code of the error."""
        answer = await self.ask(method, **params)
        return answer.status_code, answer.json()["error"]["code"]

    async def end(self, task: str) -> dict[str, Any]:
        """The task when it is over."""
        with trio.fail_after(20):
            while (told := await self.result("tasks/get", taskId=task))["status"] == "working":
                await trio.lowlevel.checkpoint()
        return told


@pytest.fixture
async def http(
    cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx2.AsyncClient]:
    monkeypatch.setattr(tasks, "TASK_SECONDS", 0.15)
    async with opened(tmp_path, cache_dir) as engine:
        door = StreamableDoor(create_server(engine.supervisor, DEFAULTS))
        async with (
            door.run(),
            serving(application(door)) as server,
            httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as http,
        ):
            yield http


async def test_a_call_that_takes_long_is_a_task_whose_result_is_the_calls(http: httpx2.AsyncClient) -> None:
    peer = Peer(http)
    told = await peer.run(SLOW, session="s")
    task = told.pop("taskId")
    assert told.pop("createdAt") <= told.pop("lastUpdatedAt")
    assert told == {"resultType": "task", "status": "working", "ttlMs": None, "pollIntervalMs": 1_000}
    over = await peer.end(task)
    assert (over["resultType"], over["status"], over["taskId"]) == ("complete", "completed", task)
    assert over["result"]["content"][0]["text"] == "on\n=> 'over'\n[s@1]"


async def test_a_call_that_is_over_soon_is_none(http: httpx2.AsyncClient) -> None:
    told = await Peer(http).run("1 + 2")
    assert told["resultType"] == "complete"
    assert told["content"][0]["text"].startswith("=> 3")


async def test_a_client_that_does_not_know_tasks_waits_and_may_not_ask_for_them(
    http: httpx2.AsyncClient,
) -> None:
    told = await Peer(http, knows_tasks=False).run(SLOW)
    assert told["content"][0]["text"].startswith("on\n=> 'over'")
    refused = await Peer(http, knows_tasks=False).ask("tasks/get", taskId="e_0000000000000000")
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert error["code"] == -32021
    assert error["data"] == {"requiredCapabilities": {"extensions": {tasks.EXTENSION: {}}}}


async def test_code_that_throws_has_completed_with_an_error_result(http: httpx2.AsyncClient) -> None:
    peer = Peer(http)
    over = await peer.end((await peer.run(f"{SLOW}; throw new Error('no')"))["taskId"])
    assert (over["status"], over["result"]["isError"]) == ("completed", True)


async def test_a_cancelled_task_is_undone_and_has_no_result(http: httpx2.AsyncClient) -> None:
    peer = Peer(http)
    task = (await peer.run("var n = 1; for (;;);", session="s"))["taskId"]
    assert await peer.result("tasks/cancel", taskId=task) == {"resultType": "complete"}
    over = await peer.end(task)
    assert (over["status"], "result" in over) == ("cancelled", False)
    assert await peer.result("tasks/cancel", taskId=task) == {"resultType": "complete"}
    assert (await peer.run("typeof n", session="s"))["content"][0]["text"].startswith("=> 'undefined'")


async def test_what_is_no_task_of_the_callers_is_wrong(http: httpx2.AsyncClient) -> None:
    peer = Peer(http)
    for method in ("tasks/get", "tasks/update", "tasks/cancel"):
        for task in ("e_0000000000000000", "no task"):
            assert (await peer.error(method, taskId=task))[1] == -32602
    task = (await peer.run(SLOW))["taskId"]
    assert await peer.error("tasks/get", taskId=task, header="e_0000000000000000") == (400, -32020)
    assert (await peer.error("tasks/list"))[1] == -32601
    assert await peer.result("tasks/update", taskId=task, inputResponses={}) == {"resultType": "complete"}


async def test_the_extension_is_announced(http: httpx2.AsyncClient) -> None:
    told = await Peer(http).result("server/discover")
    assert tasks.EXTENSION in told["capabilities"]["extensions"]


async def test_a_refusal_by_the_servers_fault_is_in_the_log(
    cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: object) -> None:
        raise StoreFailed("the disk is full")

    async with opened(tmp_path, cache_dir) as engine:
        monkeypatch.setattr(engine.supervisor.executions, "submit", fail)
        door = StreamableDoor(create_server(engine.supervisor, DEFAULTS))
        async with (
            door.run(),
            serving(application(door)) as server,
            httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as http,
        ):
            told = await Peer(http).run("1")
    assert told["isError"] is True
    assert "the disk is full" in told["content"][0]["text"]
    assert "store_failed: the disk is full" in caplog.text
