"""Tokens as an operator handles them: making, giving, changing and revoking them."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import httpx2
import pytest
import trio
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from server_process import COMMAND, ServerProcess, running
from typed import piped, run

from cli.serve import is_loopback
from transports.tokens import parse

ALICE, BOB = "token-of-alice-0001", "token-of-bob-000002"
DEADLINE_SECONDS = 20

pytestmark = pytest.mark.filterwarnings(
    # the official client leaves generators of its HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning"
)


def make_token(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run("token", *arguments)


def file_of(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def status(server: ServerProcess, token: str) -> int:
    return httpx2.get(f"{server.url}/api/sessions", headers=bearer(token)).status_code


def until(server: ServerProcess, line: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while line not in server.log:
        assert time.monotonic() < deadline, server.log
        time.sleep(0.01)


def test_a_token_is_made_and_lets_its_owner_in(tmp_path: Path) -> None:
    made = make_token("alice", "laptop")
    assert made.returncode == 0
    token = made.stderr.split()[-1]
    assert token not in made.stdout
    file = file_of(tmp_path / "tokens", made.stdout)
    with running("--directory-path", str(tmp_path / "s"), "--tokens", str(file)) as server:
        assert "whoever reaches" not in server.log
        url, headers = f"{server.url}/api/exec", bearer(token)
        assert httpx2.post(url, json={"code": "1"}).status_code == 401
        told = httpx2.post(url, json={"code": "1 + 2", "session": "a"}, headers=headers)
        assert (told.status_code, told.json()["result"]) == (200, "3")
        events = httpx2.get(f"{server.url}/api/sessions/a/events", headers=headers).json()["events"]
        assert [event["caller"]["subject"] for event in events] == ["laptop", "laptop"]
        metrics = httpx2.get(f"{server.url}/metrics", headers=headers).text
        assert 'mcp_v8_requests_refused_total{status="401"} 1.0\n' in metrics
        for path in ("/healthz", "/readyz", "/docs"):
            assert httpx2.get(f"{server.url}{path}").status_code == 200
    assert token not in server.log


async def test_the_official_client_shows_its_token(tmp_path: Path) -> None:
    file = file_of(tmp_path / "tokens", f"{ALICE} alice\n")
    with running("--stateless", "--tokens", str(file)) as server, trio.fail_after(40):
        async with httpx2.AsyncClient(headers=bearer(ALICE), timeout=30) as http:
            transport = streamable_http_client(f"{server.url}/mcp", http_client=http)
            async with Client(transport) as client:
                told = await client.call_tool("run_js", {"code": "1 + 2"})
        assert told.content[0].text.startswith("=> 3")  # type: ignore[union-attr]


async def test_the_official_client_without_a_token_is_told_what_it_needs(tmp_path: Path) -> None:
    file = file_of(tmp_path / "tokens", f"{ALICE} alice\n")
    with (
        running("--stateless", "--tokens", str(file)) as server,
        trio.fail_after(40),
        pytest.RaisesGroup(
            pytest.RaisesExc(MCPError, match="a token is needed: send it as 'Authorization: Bearer TOKEN'"),
            flatten_subgroups=True,
        ),
    ):
        async with Client(f"{server.url}/mcp"):
            pass


def test_sighup_reads_the_tokens_again_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    file = file_of(tmp_path / "tokens", f"{ALICE} alice\n")
    with running("--stateless", "--tokens", str(file)) as server:
        assert (status(server, ALICE), status(server, BOB)) == (200, 401)
        file_of(file, f"{BOB} bob\n")
        server.process.send_signal(signal.SIGHUP)
        until(server, f"tokens read again: 1 in {file}")
        assert (status(server, ALICE), status(server, BOB)) == (401, 200)
        file_of(file, f"{BOB} bob\n{ALICE} al/ice\n")
        server.process.send_signal(signal.SIGHUP)
        until(server, f"the tokens stay as they were: {file}, line 2: an owner or name is")
        assert (status(server, ALICE), status(server, BOB)) == (401, 200)
    assert ALICE not in server.log
    assert BOB not in server.log


@pytest.mark.parametrize(
    ("text", "mode", "sentence"),
    [
        ("short alice\n", 0o600, "line 1: a token has 16 to 512 characters"),
        (f"{ALICE} alice\n", 0o606, "everybody may write"),
    ],
)
def test_a_file_that_cannot_be_used_ends_the_start_with_a_sentence(
    tmp_path: Path, text: str, mode: int, sentence: str
) -> None:
    file = file_of(tmp_path / "tokens", text)
    file.chmod(mode)
    ended = run("--http-port", "0", "--stateless", "--tokens", file)
    assert ended.returncode == 1
    assert ended.stderr.startswith("mcp-v8: --tokens: ")
    assert sentence in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert ALICE not in ended.stderr


@pytest.mark.parametrize(
    "arguments", [(), ("al ice",), ("alice", "x/y"), ("alice", "x" * 65), ("",), ("", "x")]
)
def test_no_token_is_made_for_an_owner_that_cannot_be(arguments: tuple[str, ...]) -> None:
    made = make_token(*arguments)
    assert (made.returncode, made.stdout) == (2, "")


def test_two_tokens_differ_and_their_lines_make_a_file() -> None:
    lines = "".join(make_token("alice", name).stdout for name in ("laptop", "phone"))
    assert len(parse(lines)) == 2


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_only_loopback_addresses_need_no_warning(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


def test_a_command_is_told_how_to_give_a_token_and_a_follower_that_its_own_is_gone(tmp_path: Path) -> None:
    file = file_of(tmp_path / "tokens", f"{ALICE} alice\n")
    with running("--directory-path", str(tmp_path / "store"), "--tokens", str(file)) as server:
        told = piped("exec", "1", "--session", "a", "--url", server.url, status=1)
        assert told.err == (
            "mcp-v8: a token is needed: send it as 'Authorization: Bearer TOKEN'; give one by --token, or as "
            "MCP_V8_TOKEN\n"
        )
        piped("exec", "1", "--session", "a", "--url", server.url, MCP_V8_TOKEN=ALICE)
        follower = subprocess.Popen(
            [COMMAND, "log", "a", "--follow", "--json", "--url", server.url, "--token", ALICE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with follower:
            assert follower.stdout is not None
            assert follower.stderr is not None
            while '"begun"' not in (line := follower.stdout.readline()):
                assert line, follower.stderr.read()
            file_of(file, f"{BOB} bob\n")
            server.process.send_signal(signal.SIGHUP)
            assert follower.wait(DEADLINE_SECONDS) == 1
            assert follower.stderr.read().startswith(
                "mcp-v8: the token is not one of this server's, or not any more"
            )
