"""MCP on stdin and stdout: one process, one client."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import trio
from command_pipes import Piped
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult
from server_process import COMMAND
from typed import run

HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2024-11-05",
        "capabilities": {},
        "clientInfo": {"name": "by hand", "version": "1"},
    },
}
READY = {"jsonrpc": "2.0", "method": "notifications/initialized"}


def run_js(code: str, id: object = 1, **arguments: object) -> dict[str, Any]:
    params = {"name": "run_js", "arguments": {"code": code, **arguments}}
    return {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}


def lines(*messages: object) -> bytes:
    return b"".join(
        message + b"\n" if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        for message in messages
    )


def text(answer: dict[str, Any]) -> str:
    told = answer["result"]["content"][0]["text"]
    assert isinstance(told, str)
    return told


def answers(output: bytes) -> dict[object, dict[str, Any]]:
    """The answers by the id of their request; fails unless every line is JSON-RPC."""
    told = [json.loads(line) for line in output.splitlines()]
    assert all(message["jsonrpc"] == "2.0" for message in told)
    return {message["id"]: message for message in told if "method" not in message}


def started(store: Path, *flags: str) -> Piped:
    """The command with pipes; killed at the end of the block if it still runs."""
    return Piped("--directory-path", store, *flags)


def once(
    store: Path, *messages: object, flags: tuple[str, ...] = ("--stdio",)
) -> dict[object, dict[str, Any]]:
    """What is answered to messages after which stdin ends."""
    with started(store, *flags) as process:
        output, log = process.communicate(lines(*messages), timeout=60)
    assert process.returncode == 0, log.decode()
    return answers(output)


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_the_process_is_the_client_and_keeps_one_session(tmp_path: Path, mode: Any) -> None:
    command = StdioServerParameters(command=COMMAND, args=["--stdio", "--directory-path", str(tmp_path)])
    with trio.fail_after(60):
        async with Client(command, mode=mode) as client:
            first = await client.call_tool("run_js", {"code": "let n = 1"})
            second = await client.call_tool("run_js", {"code": "++n"})
    handles = [content(result).splitlines()[-1] for result in (first, second)]
    assert content(second).startswith("=> 2")
    assert handles[1] == handles[0].replace("@1]", "@2]")


def content(result: CallToolResult) -> str:
    told = result.content[0].text  # type: ignore[union-attr]
    assert isinstance(told, str)
    return told


def test_requests_before_the_end_of_stdin_are_all_answered(tmp_path: Path) -> None:
    told = once(tmp_path, HELLO, READY, *(run_js(f"{n} * 2", n) for n in range(1, 20)))
    assert sorted(told) == list(range(20))  # type: ignore[type-var]
    assert text(told[7]).startswith("=> 14")


def test_a_session_id_names_the_session_and_it_is_there_the_next_time(tmp_path: Path) -> None:
    flags = ("--stdio", "--session-id", "mine")
    assert text(once(tmp_path, HELLO, READY, run_js("let kept = 40"), flags=flags)[1]).endswith("[mine@1]")
    again = once(tmp_path, HELLO, READY, run_js("kept + 2"), run_js("1", 2, session="other"), flags=flags)
    assert text(again[1]) == "=> 42\n[mine@2]"
    assert text(again[2]).endswith("[other@1]")


def test_a_pipe_on_stdin_is_enough(tmp_path: Path) -> None:
    assert text(once(tmp_path, HELLO, READY, run_js("1 + 2"), flags=())[1]).startswith("=> 3")


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[]", -32600),
        (b'"text"', -32600),
        (b'{"jsonrpc":"1.0"}', -32600),
    ],
)
def test_a_line_that_is_no_message_is_answered_and_the_next_one_works(
    tmp_path: Path, broken: bytes, code: int
) -> None:
    told = once(tmp_path, HELLO, READY, broken, b"", run_js("1 + 2"))
    assert told[None]["error"]["code"] == code
    assert text(told[1]).startswith("=> 3")


def test_a_line_that_is_too_long_is_answered_and_the_next_one_works(tmp_path: Path) -> None:
    flags = ("--stdio", "--max-body-bytes", "1024")
    told = once(tmp_path, HELLO, READY, run_js("x" * 300_000, 5), run_js("1 + 2"), flags=flags)
    assert told[None]["error"]["message"] == "the message is over 1,024 bytes"
    assert text(told[1]).startswith("=> 3")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_although_stdin_is_open(tmp_path: Path, number: signal.Signals) -> None:
    with started(tmp_path, "--stdio") as process:
        process.stdin.write(lines(HELLO))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 0
        process.send_signal(number)
        assert process.wait(20) == 0
        assert process.stdout.read() == b""


def test_a_signal_lets_what_runs_end_and_be_answered(tmp_path: Path) -> None:
    code = "console.log('on'); await new Promise(done => setTimeout(done, 1000)); 'over'"
    asked = run_js(code)
    asked["params"]["_meta"] = {"progressToken": "p"}
    with started(tmp_path, "--stdio") as process:
        process.stdin.write(lines(HELLO, READY, asked))
        process.stdin.flush()
        while b"notifications/progress" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGTERM)
        assert text(answers(process.stdout.read())[1]).startswith("on\n=> 'over'")
        assert process.wait(20) == 0


def test_a_client_that_reads_no_more_ends_it(tmp_path: Path) -> None:
    with started(tmp_path, "--stdio") as process:
        process.stdout.close()
        process.stdin.write(lines(HELLO))
        process.stdin.flush()
        assert process.wait(30) == 0


def test_a_cancelled_call_is_undone(tmp_path: Path) -> None:
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    asked = run_js("var n = 1; console.log('on'); for (;;);", session="s")
    asked["params"]["_meta"] = {"progressToken": "p"}
    with started(tmp_path, "--stdio") as process:
        process.stdin.write(lines(HELLO, READY, asked))
        process.stdin.flush()
        while b"notifications/progress" not in process.stdout.readline():
            pass
        output, _ = process.communicate(lines(cancel, run_js("typeof n", 2, session="s")), timeout=60)
    told = answers(output)
    assert text(told[2]) == "=> 'undefined'\n[s@2]"
    assert 1 not in told


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (("--stdio", "--http-port", "0"), {}, "--http-port and --stdio exclude each other"),
        (("--http-port", "0", "--sse-port", "0"), {}, "--http-port and --sse-port exclude each other"),
        (("--http-port", "0", "--session-id", "a"), {}, "--session-id is for stdio"),
        (("--stdio", "--session-id", "a b"), {}, "--session-id takes 1 to 128"),
        ((), {}, "there is no port"),
    ],
)
def test_what_contradicts_itself_is_wrong_usage(
    arguments: tuple[str, ...], environment: dict[str, str], named: str
) -> None:
    ended = run(*arguments, environment={**os.environ, **environment})
    assert ended.returncode == 2
    assert named in ended.stderr


def test_a_flag_goes_before_a_port_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_V8_HTTP_PORT", "0")
    assert text(once(tmp_path, HELLO, READY, run_js("1 + 2"))[1]).startswith("=> 3")
