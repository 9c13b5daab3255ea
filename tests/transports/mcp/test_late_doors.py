"""MCP's doors open after the server's start: nobody is turned away meanwhile, and nothing is hidden."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
import trio
import trio.testing
from server_process import running

from transports.asgi import send_answer
from transports.mcp import late
from transports.mcp.late import LateDoors
from transports.rest.routes import json_answer
from transports.settings import DEFAULTS, HttpSettings

HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


class Importing:
    """An import that takes until ``done``, of doors that answer with their path."""

    def __init__(self) -> None:
        self.begun, self.done = threading.Event(), threading.Event()

    def __call__(self) -> Any:
        self.begun.set()
        assert self.done.wait(10)
        return self._open

    @asynccontextmanager
    async def _open(self, *_: object) -> AsyncIterator[Mapping[str, Any]]:
        async def door(scope: Any, _receive: Any, send: Any) -> None:
            await send_answer(scope, send, json_answer({"door": scope["path"]}))

        yield dict.fromkeys(("/mcp", "/sse", "/message"), door)


@pytest.fixture
def importing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Importing]:
    one = Importing()
    monkeypatch.setattr(late, "_import", one)
    yield one
    one.done.set()


def doors(settings: HttpSettings = DEFAULTS) -> LateDoors:
    return LateDoors(None, settings, ())  # type: ignore[arg-type]


async def ask(served: LateDoors, path: str = "/mcp") -> tuple[int, Any]:
    """Status and body of the answer to a request."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await trio.sleep_forever()

    await served.applications[path](
        {"type": "http", "method": "POST", "path": path, "headers": []}, receive, send
    )
    return sent[0]["status"], json.loads(b"".join(message.get("body", b"") for message in sent[1:]))


async def test_a_request_that_comes_early_waits_and_is_what_opens_the_doors(importing, monkeypatch):
    monkeypatch.setattr(late, "OPEN_AFTER_SECONDS", 3_600)
    answers = []
    served = doors()
    async with served.run(), trio.open_nursery() as nursery:

        async def client() -> None:
            answers.append(await ask(served))

        nursery.start_soon(client)
        assert await trio.to_thread.run_sync(importing.begun.wait, 10)
        assert answers == []
        importing.done.set()
    assert answers == [(200, {"door": "/mcp"})]


async def test_a_server_that_is_up_for_a_moment_opens_them_by_itself(importing, mock_clock):
    importing.done.set()
    async with doors().run():
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(late.OPEN_AFTER_SECONDS / 2)
        await trio.testing.wait_all_tasks_blocked()
        assert not importing.begun.is_set()
        mock_clock.jump(late.OPEN_AFTER_SECONDS)
        assert await trio.to_thread.run_sync(importing.begun.wait, 10)


async def test_a_server_that_ends_before_does_not_wait_for_the_import(importing):
    async with doors().run():
        pass
    assert not importing.begun.is_set()


async def test_who_has_waited_long_is_told_so_in_json_rpc(importing, monkeypatch):
    monkeypatch.setattr(late, "PATIENCE_SECONDS", 0.01)
    served = doors()
    async with served.run():
        status, told = await ask(served)
        importing.done.set()
    assert (status, told["jsonrpc"], told["error"]["data"]["code"]) == (503, "2.0", "unavailable")


@pytest.mark.parametrize(
    "failed",
    [
        OSError(errno.EMFILE, "Too many open files", "doors.py"),
        ImportError("core.so: cannot open shared object file: Too many open files"),
    ],
    ids=["module", "library"],
)
async def test_where_no_more_files_may_be_open_it_is_tried_again(importing, monkeypatch, failed):
    importing.done.set()
    attempts = iter([failed])

    def import_once_there_is_room() -> Any:
        for error in attempts:
            raise error
        return importing()

    monkeypatch.setattr(late, "_import", import_once_there_is_room)
    monkeypatch.setattr(late, "RETRY_SECONDS", 0)
    served = doors()
    async with served.run():
        assert await ask(served) == (200, {"door": "/mcp"})


async def test_what_goes_wrong_with_the_import_ends_the_server(monkeypatch):
    def broken() -> Any:
        raise ImportError("no module named mcp")

    monkeypatch.setattr(late, "_import", broken)
    monkeypatch.setattr(late, "OPEN_AFTER_SECONDS", 0)
    with pytest.RaisesGroup(pytest.RaisesExc(ImportError, match="no module named mcp")):
        async with doors().run():
            await trio.sleep_forever()


async def test_the_doors_of_sse_are_there_where_that_is_served(importing):
    importing.done.set()
    served = doors(HttpSettings(sse=True))
    async with served.run():
        assert await ask(served, "/sse") == (200, {"door": "/sse"})
        assert await ask(served, "/mcp/") == (200, {"door": "/mcp/"})
    assert set(doors().applications) == {"/mcp", "/mcp/"}


def test_to_serve_rest_nothing_of_the_sdk_is_imported():
    code = (
        "import sys, cli.serve, transports.app; print({'mcp', 'mcp_types', 'pydantic'} & sys.modules.keys())"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.strip() == "set()"


def test_a_client_that_comes_with_the_start_is_served():
    with running("--stateless") as server:
        told = httpx2.post(
            f"{server.url}/mcp",
            json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO},
            headers={"accept": "application/json, text/event-stream"},
            timeout=40,
        )
    assert told.status_code == 200
    assert '"serverInfo"' in told.text
