"""The official Inspector's command over each door."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from official_tools import OfficialTools
from sampling import each
from server_process import COMMAND, ServerProcess, running

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
"""Where servers find the base image that was built for others: the Inspector has another home."""
DOORS: dict[str, Callable[[ServerProcess, Path], list[str]]] = {
    "http": lambda product, _: [f"{product.url}/mcp"],
    "http-2026": lambda product, _: [f"{product.url}/mcp", "--protocol-era", "modern"],
    "sse": lambda product, _: [f"{product.url}/sse"],
    "stdio": lambda _, store: [
        COMMAND,
        "--stdio",
        "--directory-path",
        str(store),
        "-e",
        f"XDG_CACHE_HOME={CACHE}",
    ],
}
"""The words that tell the Inspector which door to take."""

SECONDS = 90
TOOL_FAILED = 5
"""Its exit status for a result with ``isError``."""
TOKEN_NEEDED = 3
"""The same for a 401."""

_PATIENT = ("--connect-timeout", "60000")
"""Milliseconds: on stdio a server has to start, on a machine that does other things too."""


class Inspector:
    """The command, with a home of its own, on one door."""

    def __init__(self, tools: OfficialTools, home: Path, door: list[str]) -> None:
        launcher = ("@modelcontextprotocol", "inspector", "clients", "launcher", "build", "index.js")
        self._command = [*tools.command(*launcher), "--cli", "--format", "json", *_PATIENT, *door]
        self._environment = {**os.environ, "HOME": str(home)}

    def asks(self, *words: str, status: int = 0) -> dict[str, Any]:
        """The result of one request, each on a connection of its own."""
        ended = self.ends(*words)
        assert ended.returncode == status, ended.stdout + ended.stderr
        result = json.loads(ended.stdout)["result"]
        assert isinstance(result, dict)
        return result

    def ends(self, *words: str) -> subprocess.CompletedProcess[str]:
        """What it said, and its exit status."""
        return subprocess.run(
            [*self._command, *words],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def runs(self, code: str, session: str, *, status: int = 0) -> str:
        """The text that a model reads after ``run_js``."""
        arguments = json.dumps({"code": code, "session": session})
        words = ("--method", "tools/call", "--tool-name", "run_js", "--tool-args-json", arguments)
        told = self.asks(*words, status=status)["content"][0]["text"]
        assert isinstance(told, str)
        return told

    def reads(self, uri: str) -> str:
        """The text of a resource."""
        (content,) = self.asks("--method", "resources/read", "--uri", uri)["contents"]
        told = content["text"]
        assert isinstance(told, str)
        return told


@pytest.fixture(params=each(2, sorted(DOORS, reverse=True)))
def inspector(
    request: pytest.FixtureRequest, tools: OfficialTools, product: ServerProcess, tmp_path: Path
) -> Inspector:
    return Inspector(tools, tmp_path, DOORS[request.param](product, tmp_path / "store"))


def test_it_lists_the_tools_and_finds_no_fault_in_their_schemas(inspector: Inspector) -> None:
    listed = inspector.asks("--method", "tools/list", "--strict")["tools"]
    assert {"run_js", "get_execution_output", "cancel_execution"} <= {tool["name"] for tool in listed}


def test_it_runs_code_in_a_session_that_outlives_its_connection(
    inspector: Inspector, request: pytest.FixtureRequest
) -> None:
    name = f"inspector-{request.node.callspec.id}"
    assert inspector.runs("let xs = [1, 2]", name) == f"=> undefined\n[{name}@1]"
    assert inspector.runs("xs.push(3); xs", name) == f"=> [ 1, 2, 3 ]\n[{name}@2]"


def test_it_shows_a_failure_as_one(inspector: Inspector, request: pytest.FixtureRequest) -> None:
    name = f"failing-{request.node.callspec.id}"
    assert inspector.runs("xs[0]", name, status=TOOL_FAILED).startswith("ReferenceError: xs is not defined")


def test_it_reads_the_documents_and_the_log_of_a_session(
    inspector: Inspector, request: pytest.FixtureRequest
) -> None:
    name = f"reading-{request.node.callspec.id}"
    inspector.runs("let xs = [1, 2]", name)
    listed = {each["name"]: each["uri"] for each in inspector.asks("--method", "resources/list")["resources"]}
    assert inspector.reads(listed["readme.md"]).startswith("# mcp-v8\n")
    log = inspector.reads(f"mcp-v8://sessions/{name}/log")
    assert "let xs = [1, 2]" in log
    assert log.endswith(f"[{name}@1]")


@pytest.mark.parametrize("path", ["mcp", "sse"])
def test_it_comes_in_with_a_token_and_not_without(tools: OfficialTools, tmp_path: Path, path: str) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("token-of-alice-0001 alice\n")
    tokens.chmod(0o600)
    flags = ("--directory-path", str(tmp_path / "store"), "--tokens", str(tokens))
    with running(*flags, port_flag="--sse-port") as server:
        inspector = Inspector(tools, tmp_path, [f"{server.url}/{path}", "--stored-auth-only"])
        refused = inspector.ends("--method", "tools/list")
        assert refused.returncode == TOKEN_NEEDED
        assert '"code":"auth_required"' in refused.stderr
        token = ("--header", "Authorization: Bearer token-of-alice-0001")
        listed = inspector.asks("--method", "tools/list", *token)["tools"]
        assert "run_js" in {tool["name"] for tool in listed}
