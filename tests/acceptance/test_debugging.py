"""What an agent's code did, found out by the commands that INTERFACE.md shows: while its server runs, after a kill, in
the store alone. A story: a session of seven events, made over MCP, whose seventh fails because its fifth emptied a list.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
from mcp import Client
from mcp.types import Implementation
from server_process import ServerProcess
from typed import piped

AGENT = Implementation(name="claude-code", version="2.1.0")
CODE = (
    "const orders = [{ id: 1, total: 20 }, { id: 2, total: 5 }]",
    "let rows = orders.filter(({ total }) => total > 10)",
    "console.log('large orders:', rows.length); rows.length",
    "function best() { return rows.toSorted((a, b) => b.total - a.total)[0] }\nbest()",
    "rows = orders.filter(({ sum }) => sum > 10)",
    "console.warn('about to report'); 'ready'",
    "// the report\nconst winner = best()\nwinner.id",
)
WHY = "TypeError: Cannot read properties of undefined (reading 'id')"


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of server and commands: the store is where it is by default."""
    return {"XDG_STATE_HOME": str(tmp_path / "state")}


@asynccontextmanager
async def serving(home: dict[str, str]) -> AsyncIterator[ServerProcess]:
    """A server on the default store; what is left of it at the end of the block is killed."""
    server = await trio.to_thread.run_sync(lambda: ServerProcess(environment=home))
    try:
        yield server
    finally:
        if server.process.poll() is None:
            await trio.to_thread.run_sync(server.terminate, signal.SIGKILL)


async def work(server: ServerProcess) -> list[str]:
    """The agent's calls; the texts of their results."""
    async with Client(f"{server.url}/mcp?session=a", client_info=AGENT) as agent:
        answers = [await agent.call_tool("run_js", {"code": code}) for code in CODE]
    return [answer.content[0].text for answer in answers]


def debug(home: dict[str, str], since: str, *target: str) -> None:
    """Whoever is asked why it failed."""

    def ask(*words: str, status: int = 0) -> str:
        return piped(*words, *target, status=status, **home).out

    found = ask("find", "--since", since, "--status", "failed")
    assert re.fullmatch(rf"\d\d:\d\d +a@7 +claude-code +{re.escape(WHY)}\n", found)
    shown = ask("show", "a@7")
    assert re.search(r"^ *> 3 \| winner\.id\n +\| +\^$", shown, re.MULTILINE)
    assert f"{WHY}\n" in shown
    assert ask("state", "a@6", "rows.length") == "0\n"
    assert ask("state", "a@4", "rows.length") == "1\n"
    assert ask("bisect", "a", "rows.length === 0") == "a@5\n"
    assert ask("show", "a@5").count(CODE[4]) == 1
    assert ask("diff", "a@4", "a@5", status=1) != ""
    assert ask("replay", "a") == "7/7 agree\n"
    assert json.loads(ask("replay", "a", "--json").splitlines()[-1])["agrees"] is True
    page = ask("report", "a", "-o", "-")
    assert "Replayed: 7/7 agree" in page
    assert re.findall(r'<span class="l bad">(.*?)\n', page) == ["winner.id"]


def files(directory: Path) -> dict[str, str]:
    """The hash of every file."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


async def test_why_an_agents_code_failed_is_found_out_while_its_server_runs_and_after_it_was_killed(
    home: dict[str, str],
) -> None:
    store = Path(home["XDG_STATE_HOME"]) / "mcp-v8"
    since = (datetime.now(UTC) - timedelta(minutes=1)).strftime("%H:%M")
    async with serving(home) as server:
        texts = await work(server)
        assert texts[-1].startswith(f"{WHY}\n")
        assert texts[-1].endswith("[a@7]")
        await trio.to_thread.run_sync(debug, home, since, "--url", server.url)
        # the same on its store, which is only read while the server has it
        await trio.to_thread.run_sync(debug, home, since)
        refused = await trio.to_thread.run_sync(
            lambda: piped("exec", "--session", "a", "rows = orders", status=1, **home)
        )
        assert str(server.process.pid) in refused.err
        assert "--url" in refused.err
        await trio.to_thread.run_sync(server.terminate, signal.SIGKILL)
    left = files(store)
    await trio.to_thread.run_sync(debug, home, since, "--directory-path", str(store))
    assert files(store) == left


async def test_a_session_is_mended_offline_and_goes_on_where_it_is_served_again(home: dict[str, str]) -> None:
    async with serving(home) as server:
        await work(server)
        os.kill(server.process.pid, signal.SIGKILL)
        await trio.to_thread.run_sync(server.wait)
    mended = await trio.to_thread.run_sync(
        lambda: piped("exec", "--session", "a", "rows = orders; best().id", **home)
    )
    assert mended.out == "=> 1\n"
    assert "[a@8]" in mended.err
    async with serving(home) as server, Client(f"{server.url}/mcp?session=a", client_info=AGENT) as agent:
        answer = await agent.call_tool("run_js", {"code": "best()"})
    assert answer.content[0].text == "=> { id: 1, total: 20 }\n[a@9]"
    told = await trio.to_thread.run_sync(lambda: piped("replay", "--all", **home))
    assert "9/9 agree" in told.out
