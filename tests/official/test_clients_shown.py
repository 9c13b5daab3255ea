"""What docs/clients.md shows of clients from npm: the TypeScript SDKs, and mcp-remote for those that know no HTTP."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from clients_shown import CLIENTS, SHOWN_AT, Entry, entries
from documents import fenced
from mcp import Client, StdioServerParameters
from official_tools import OfficialTools
from server_process import ServerProcess, running

from transports import tokens

SECONDS = 60
TOKEN = tokens.new_token()
BY_NPX = [entry for entry in entries() if entry.command == "npx"]
PROGRAM, OTHER_IMPORT = fenced(CLIENTS, "javascript")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("guarded")
    file = folder / "tokens.txt"
    file.write_text(tokens.line(TOKEN, "alice", "laptop") + "\n")
    file.chmod(0o600)
    with running("--directory-path", str(folder), "--tokens", str(file)) as server:
        yield server


def of_2026(program: str) -> str:
    """The program with the imports of the later SDK."""
    lines = program.splitlines()
    assert all(line.startswith("import ") for line in lines[:2])
    return "\n".join([OTHER_IMPORT, *lines[2:]])


@pytest.mark.parametrize("program", [PROGRAM, of_2026(PROGRAM)], ids=["2025", "2026"])
def test_the_program_in_typescript_runs(
    tools: OfficialTools, guarded: ServerProcess, program: str, tmp_path: Path
) -> None:
    (tmp_path / "node_modules").symlink_to(tools.module())
    file = tmp_path / "program.mjs"
    file.write_text(program.replace(SHOWN_AT, guarded.url))
    ended = subprocess.run(
        [tools.node, file],
        env={**os.environ, "MCP_V8_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert re.fullmatch(r"=> 3\n\[demo@\d+\]\n", ended.stdout)


@pytest.mark.parametrize("entry", BY_NPX, ids=["open", "token"])
async def test_a_client_that_starts_programs_gets_through_mcp_remote(
    tools: OfficialTools, product: ServerProcess, guarded: ServerProcess, entry: Entry, tmp_path: Path
) -> None:
    yes, package, *args = entry.args
    assert yes == "-y"
    server = guarded if entry.env else product
    (node, script) = tools.command(package, "dist", "proxy.js")
    variables = {name: value.replace("TOKEN", TOKEN) for name, value in entry.env.items()}
    program = StdioServerParameters(
        command=node,
        args=[script, *(arg.replace(SHOWN_AT, server.url) for arg in args)],
        env={"HOME": str(tmp_path), **variables},
    )
    with trio.fail_after(SECONDS):
        async with Client(program) as client:
            result = await client.call_tool("run_js", {"code": "1 + 2"})
    told = result.content[0].text  # type: ignore[union-attr]
    assert re.fullmatch(r"=> 3\n\[demo@\d+\]", told)
