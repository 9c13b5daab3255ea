"""The log of a real server: what it tells of executions, and what it does when nobody reads it."""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from broken_sessions import make_store
from mcp import Client
from mcp.types import Implementation
from server_process import COMMAND, ServerProcess, running

from cli.executionlog import ExecutionLog
from cli.logformat import FIELDS
from engine.events import Caller, ErrorDetail
from engine.execution import Execution, Report

EVIL = "evil\n\x1b[2J\x9b status=completed"


def executions(server: ServerProcess) -> list[dict[str, Any]]:
    """The lines about executions, of a server that has ended and logged JSON."""
    entries = [json.loads(line) for line in server.log.splitlines()]
    return [entry for entry in entries if entry["event"] == "execution"]


async def test_each_execution_of_every_transport_is_a_line(tmp_path: Path) -> None:
    with running("--directory-path", str(tmp_path), "--log-format", "json") as server, trio.fail_after(60):
        async with httpx2.AsyncClient(base_url=server.url, timeout=30) as client:
            fields = {"code": "console.log('hé'); throw new RangeError('secret')", "session": "a"}
            headers = {"user-agent": "agent/1.2", "x-request-id": "r7"}
            answer = (await client.post("/api/exec", json=fields, headers=headers)).json()
            await client.post("/api/exec", json={"code": "1", "session": "a", "heap": "0" * 64})
        info = Implementation(name=EVIL, version="1\r")
        async with Client(f"{server.url}/mcp?session=b", client_info=info) as mcp:
            await mcp.call_tool("run_js", {"code": "const secret = 1"})
    rest, refused, asked = executions(server)
    assert rest["execution_id"] == answer["execution_id"]
    assert (rest["session"], rest["seq"], rest["status"], rest["error"]) == ("a", 1, "failed", "RangeError")
    assert (rest["transport"], rest["client"], rest["client_version"]) == ("rest", "agent", "1.2")
    assert (rest["request_id"], rest["console_lines"], rest["console_bytes"]) == ("r7", 1, 4)
    assert all(rest[f"{stage}_ms"] > 0 for stage in ("queued", "restored", "ran", "appended"))
    assert (refused["status"], refused["error"], refused["level"]) == ("unrecorded", "conflict", "info")
    assert (asked["transport"], asked["client"], asked["client_version"]) == ("mcp", EVIL, "1\r")
    assert "secret" not in server.log
    assert server.log.replace("\n", "").isprintable()


async def test_the_line_of_an_execution_that_was_stopped_says_why(tmp_path: Path) -> None:
    codes = {
        "timed_out": "for (;;);",
        "out_of_memory": "const kept = []; for (;;) kept.push(new Array(1000).fill(1.5))",
        "failed": "(function deeper() { deeper() })()",
        "cancelled": "await new Promise(() => setInterval(() => {}, 1))",
    }
    with running("--directory-path", str(tmp_path), "--log-format", "json") as server, trio.fail_after(60):
        async with httpx2.AsyncClient(base_url=server.url, timeout=30) as client:
            for status, code in codes.items():
                fields = {"code": code, "execution_timeout_secs": 1, "heap_memory_max_mb": 32}
                if status == "cancelled":
                    fields["execution_timeout_secs"] = 60
                    asked = await client.post("/api/exec", json=fields, headers={"prefer": "respond-async"})
                    await client.post(f"{asked.headers['location']}/cancel")
                else:
                    told = (await client.post("/api/exec", json=fields)).json()
                    assert told["status"] == status, told
    stopped = {line["status"]: line for line in executions(server)}
    assert {status: line["why"] for status, line in stopped.items()} == {
        "timed_out": "timed out after 1 s",
        "out_of_memory": "needed more than 32 MB of heap or 128 MB of buffers",
        "failed": "the call stack overflowed: too deep a recursion, or too many arguments",
        "cancelled": "cancelled before it was over",
    }
    assert "ended with status 70" in stopped["out_of_memory"]["death"]
    assert {line["level"] for line in stopped.values()} == {"info"}


def test_a_worker_that_crashed_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    execution = Execution("e_1", "local", caller=Caller(transport="rest"), accepted_at=0)
    execution.death = "worker 3 was ended by SIGSEGV"
    error = ErrorDetail(name="Crashed", message="the worker process died", undone=True)
    execution.finish(Report(execution_id="e_1", session="a", event=1, status="crashed", error=error))
    ExecutionLog().executed(execution)
    (record,) = caplog.records
    told = getattr(record, FIELDS)
    assert (record.levelname, told["why"], told["death"]) == (
        "WARNING",
        "the worker process died",
        "worker 3 was ended by SIGSEGV",
    )


def test_each_change_of_a_session_is_a_line(tmp_path: Path) -> None:
    agent = {"user-agent": "agent/1.2"}
    with (
        running("--directory-path", str(tmp_path), "--log-format", "json") as server,
        httpx2.Client(base_url=server.url, timeout=30, headers=agent) as client,
    ):
        client.post("/api/exec", json={"code": "1", "session": "a"})
        client.put("/api/sessions/a/tags", json={"tags": {"secret": "hidden"}})
        client.post("/api/sessions/a/fork", json={"name": "b"})
        client.delete("/api/sessions/a", headers={"x-request-id": "r7"})
        client.delete("/api/sessions/a")
    entries = [json.loads(line) for line in server.log.splitlines()]
    told = [entry for entry in entries if entry["event"] in ("delete", "fork", "tag")]
    who = {"level": "info", "transport": "rest", "client": "agent", "client_version": "1.2"}
    for entry in told:
        del entry["time"], entry["logger"]
    assert told == [
        {"event": "tag", "session": "a", "seq": 2, **who},
        {"event": "fork", "session": "a", "into": "b", "seq": 2, **who},
        {"event": "delete", "session": "a", "seq": 3, "request_id": "r7", **who},
    ]


def test_what_a_recovery_found_is_a_line(tmp_path: Path) -> None:
    make_store(tmp_path)
    with (
        running("--directory-path", str(tmp_path), "--log-format", "json") as server,
        httpx2.Client(base_url=server.url, timeout=30) as client,
    ):
        for name in ("diverged", "failed", "drifted"):
            for _ in range(2):
                client.post("/api/exec", json={"code": "n", "session": name})
        client.post("/api/sessions/diverged/accept", headers={"user-agent": "agent/1.2"})
    entries = [json.loads(line) for line in server.log.splitlines()]
    told = [entry for entry in entries if entry["event"] in ("recovery", "accept")]
    for entry in told:
        for field in ("time", "logger", "took_ms"):
            entry.pop(field, None)
    at = {"event": "recovery", "differs_at": 2, "seq": 2}
    diverged = {"level": "error", "error": "session_diverged", "field": "result_json", "replayed": 1}
    failed = {"level": "error", "error": "session_failed", "replayed": 1}
    drifted = {"level": "warning", "differs_at": 1, "field": "result", "drift": 1, "seq": 1, "replayed": 1}
    who = {"transport": "rest", "client": "agent", "client_version": "1.2"}
    assert told == [
        {**at, **diverged, "session": "diverged", "session_id": "i_diverged"},
        {**at, **failed, "session": "failed", "session_id": "i_failed"},
        {**at, **drifted, "session": "drifted", "session_id": "i_drifted"},
        {"event": "accept", "level": "info", "session": "diverged", "seq": 3, **who},
    ]


async def test_even_debugging_shows_no_code_no_result_and_no_secret(tmp_path: Path) -> None:
    with running("--directory-path", str(tmp_path), "--log-level", "debug") as server, trio.fail_after(60):
        headers = {"authorization": "Bearer hidden"}
        async with httpx2.AsyncClient(base_url=server.url, timeout=30, headers=headers) as client:
            body = {"code": "console.log('hid' + 'den'); throw Error('hid' + 'den')", "session": "a"}
            await client.post("/api/exec", json=body)
            told = {"name": "hidden", "version": "1"}
            parameters = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": told}
            message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": parameters}
            accepted = {"accept": "application/json, text/event-stream"}
            hello = await client.post("/mcp", json=message, headers=accepted)
            session = {"mcp-session-id": hello.headers["mcp-session-id"], **accepted}
            arguments = {"code": "console.log('hidden'); input", "input": "hidden"}
            call = {"name": "run_js", "arguments": arguments}
            message = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call}
            answer = await client.post("/mcp", json=message, headers=session)
            assert "hidden" in answer.text
    assert [
        line for line in server.log.splitlines() if "hidden" in line and "client=hidden" not in line
    ] == []
    assert len([line for line in server.log.splitlines() if " execution " in line]) == 2


async def test_a_hostile_client_cannot_forge_a_line_of_text(tmp_path: Path) -> None:
    with running("--directory-path", str(tmp_path)) as server, trio.fail_after(60):
        info = Implementation(name=EVIL, version="1")
        async with Client(f"{server.url}/mcp", client_info=info) as mcp:
            code = f"class E extends Error {{ name = {json.dumps(EVIL)} }}; throw new E()"
            await mcp.call_tool("run_js", {"code": code})
    (line,) = [line for line in server.log.splitlines() if " execution " in line]
    assert f"client={EVIL!r}" in line
    assert "error='" in line
    assert server.log.replace("\n", "").isprintable()


def test_a_reader_that_stops_reading_neither_slows_executions_nor_the_end(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [COMMAND, "--http-port", "0", "--directory-path", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    fcntl.fcntl(process.stderr, fcntl.F_SETPIPE_SZ, 4_096)
    try:
        url = ""
        for line in process.stderr:
            if line.startswith("Listening on "):
                url = line.split()[2]
            if line.startswith("Try: "):
                break
        with httpx2.Client(base_url=url, timeout=30) as client:
            for number in range(60):  # each a line of some 300 bytes
                answer = client.post("/api/exec", json={"code": f"{number}", "session": "a"}).json()
                assert answer["result"] == str(number)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.stderr.close()
        process.wait()
