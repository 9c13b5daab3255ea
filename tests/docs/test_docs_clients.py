"""docs/clients.md: what it tells users to write connects their clients, and the errors that it lists are those."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from clients_shown import CLIENTS, SHOWN_AT, Entry, entries
from documents import DOCUMENTS, command_lines, fenced
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from server_process import COMMAND, ServerProcess, running
from test_docs_facts import rows, words

from transports import tokens

pytestmark = pytest.mark.filterwarnings(
    # the official client leaves generators of its HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning"
)

SECONDS = 60
TOKEN = tokens.new_token()
ADD_COMMANDS = [
    line for document in DOCUMENTS for line in command_lines(document) if line.startswith("claude mcp add ")
]


@dataclass(frozen=True)
class Servers:
    """Both that the document's texts are about."""

    open: ServerProcess
    """For everybody, with every door that a port has."""
    guarded: ServerProcess
    """For those who have TOKEN."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("clients")
    file = folder / "tokens.txt"
    file.write_text(tokens.line(TOKEN, "alice", "laptop") + "\n")
    file.chmod(0o600)
    with (
        running("--directory-path", str(folder / "open"), port_flag="--sse-port") as everybody,
        running("--directory-path", str(folder / "guarded"), "--tokens", str(file)) as guarded,
    ):
        yield Servers(everybody, guarded)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Of a user whose home has no sessions yet, and an image that was made before."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    (tmp_path / ".cache").symlink_to(cache)
    path = f"{Path(COMMAND).parent}:{os.environ['PATH']}"
    return {"HOME": str(tmp_path), "PATH": path, "MCP_V8_TOKEN": TOKEN}


async def run_through(entry: Entry, servers: Servers, environment: dict[str, str]) -> Sequence[str]:
    """The lines of a result that a client with this entry gets."""
    async with AsyncExitStack() as stack:
        stack.enter_context(trio.fail_after(SECONDS))
        if entry.command:
            where: Any = StdioServerParameters(command=entry.command, args=list(entry.args), env=environment)
        else:
            server = servers.guarded if entry.headers else servers.open
            url = entry.url.replace(SHOWN_AT, server.url)
            assert url != entry.url
            where = sse_client(url)
            if entry.type != "sse":
                http = httpx2.AsyncClient(headers=entry.headers_with(TOKEN), timeout=SECONDS)
                where = streamable_http_client(url, http_client=await stack.enter_async_context(http))
        client = await stack.enter_async_context(Client(where))
        result = await client.call_tool("run_js", {"code": "1 + 2"})
        told = result.content[0].text  # type: ignore[union-attr]
        assert isinstance(told, str)
        return told.splitlines()


def added(line: str) -> Entry:
    """What ``claude mcp add`` writes down."""
    _, _, _, *rest = shlex.split(line)
    if rest[0] != "--transport":
        assert rest[:2] == ["js", "--"]
        assert rest[2] == "$PWD/.venv/bin/mcp-v8"  # of a checkout, as README.md makes it
        return Entry(command="mcp-v8", args=tuple(rest[3:]))
    _, kind, name, url, *options = rest
    assert name == "js"
    entry = Entry(type=kind, url=url)
    if options:
        flag, header = options
        assert flag == "--header"
        header_name, _, value = header.partition(": ")
        entry = replace(entry, headers={header_name: value.replace("$TOKEN", "${TOKEN}")})
    return entry


CONNECTED_HERE = {
    str(entry): entry for entry in (*entries(), *map(added, ADD_COMMANDS)) if entry.command != "npx"
}
"""Once each of those that lead to the same."""


@pytest.mark.parametrize("entry", CONNECTED_HERE.values(), ids=str)
async def test_what_a_client_is_told_to_use_leads_to_the_session(
    entry: Entry, servers: Servers, environment: dict[str, str]
) -> None:
    lines = await run_through(entry, servers, environment)
    assert lines[0] == "=> 3"
    assert re.fullmatch(r"\[demo@\d+\]", lines[-1])


@pytest.mark.parametrize("program", fenced(CLIENTS, "python"), ids=["http", "token", "stdio"])
def test_the_programs_in_python_run(
    program: str, servers: Servers, environment: dict[str, str], tmp_path: Path
) -> None:
    server = servers.guarded if "MCP_V8_TOKEN" in program else servers.open
    file = tmp_path / "program.py"
    file.write_text(program.replace(SHOWN_AT, server.url))
    ended = subprocess.run(
        [sys.executable, file], env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[-2] == "=> 3"
    assert re.fullmatch(r"\[demo@\d+\]", lines[-1])
    assert ("so far: on my way" in lines) == ("tell" in program)


async def test_a_session_goes_on_after_a_kill_by_its_name_and_by_its_handle(tmp_path: Path) -> None:
    async def call(url: str, code: str, **session: str) -> list[str]:
        with trio.fail_after(SECONDS):
            async with Client(url) as client:
                result = await client.call_tool("run_js", {"code": code, **session})
        told = result.content[0].text  # type: ignore[union-attr]
        return str(told).splitlines()

    with running("--directory-path", str(tmp_path)) as server:
        named, unnamed = f"{server.url}/mcp?session=demo", f"{server.url}/mcp"
        assert (await call(named, "let xs = [1, 2]"))[-1] == "[demo@1]"
        handle = (await call(unnamed, "let n = 1"))[-1]
        assert re.fullmatch(r"\[s_\w+@1\]", handle)
        server.process.kill()
        server.wait()
    with running("--directory-path", str(tmp_path)) as server:
        named, unnamed = f"{server.url}/mcp?session=demo", f"{server.url}/mcp"
        assert await call(named, "xs.push(3); xs") == ["=> [ 1, 2, 3 ]", "[demo@2]"]
        lines = await call(unnamed, "n", session=handle[1:-1])
        assert lines == ["=> 1", handle.replace("@1", "@2")]


HANDSHAKE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    },
}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
FAULTS: dict[str, dict[str, Any]] = {
    "400 bad_request": {"method": "GET"},
    "400 a session is needed": {"json": LIST},
    "401 unauthorized": {"json": HANDSHAKE},
    "403 origin_not_allowed": {"json": HANDSHAKE, "headers": {"origin": "https://example.com"}},
    "404 not_found at /mcp": {"json": LIST, "headers": {"mcp-session-id": "gone"}},
    "404 not_found at /sse": {"method": "GET", "url": "/sse"},
    "406 not_acceptable": {"json": HANDSHAKE, "headers": {"accept": "text/html"}},
    "415 unsupported_media_type": {"content": b"{}", "headers": {"content-type": "text/plain"}},
    "421 host_not_allowed": {"json": HANDSHAKE, "headers": {"host": "example.com"}},
}
"""Requests that get what the first cells of the table say."""
SEEN = {row[0].replace("`", ""): row for row in rows(CLIENTS, "what you see")}


def test_every_refusal_that_is_listed_is_tried() -> None:
    listed = {seen for seen in SEEN if re.match(r"\d{3} ", seen)}
    assert listed - set(FAULTS) == {"429 too_many_requests, busy"}  # which docs/limits.md is about
    assert set(FAULTS) <= listed


@pytest.mark.parametrize("seen", FAULTS)
def test_what_is_wrong_with_a_request_is_told_as_listed(seen: str, servers: Servers) -> None:
    status, word = seen.split()[0], words(SEEN[seen][0])[0]
    authorized = {} if status == "401" else {"authorization": f"Bearer {TOKEN}"}
    how = {"method": "POST", "url": "/mcp", **FAULTS[seen]}
    how["headers"] = authorized | how.get("headers", {})
    with httpx2.Client(base_url=servers.guarded.url, timeout=SECONDS) as http:
        answer = http.request(**how)
    assert answer.status_code == int(status)
    assert word in answer.text


@pytest.mark.parametrize(
    ("flags", "status", "sentence"),
    [
        ((), 2, "there is no port to serve on"),
        (("--stdio", "--directory-path", "{store}"), 1, "is in use"),
    ],
)
def test_a_program_that_does_not_serve_says_why(
    flags: tuple[str, ...], status: int, sentence: str, servers: Servers, environment: dict[str, str]
) -> None:
    store = re.search(r"^Store: (\S+)$", servers.open.log, re.MULTILINE)
    assert store is not None
    assert any(f"ends with {status}" in seen and sentence in seen for seen in SEEN)
    ended = subprocess.run(
        [COMMAND, *(flag.format(store=store[1]) for flag in flags)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == status
    assert sentence in ended.stderr
