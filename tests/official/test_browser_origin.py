"""Pages of other origins in a real browser: those that are allowed can use every door, others none."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx2
import official_tools
import pytest
from official_tools import HERE, OfficialTools
from server_process import ServerProcess, running

ALLOWED, OTHER = "https://app.example.com", "https://other.example.com"
SECONDS = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    store = str(tmp_path_factory.mktemp("store"))
    with running("--directory-path", store, "--allowed-origins", ALLOWED, port_flag="--sse-port") as server:
        yield server


def page_of(origin: str, tools: OfficialTools, server: ServerProcess) -> dict[str, Any]:
    """What a page of that origin could do, in the session ``page``."""
    script = [tools.node, str(HERE / "browser_origin.mjs"), str(tools.module("playwright-core"))]
    ended = subprocess.run(
        [*script, official_tools.browser(), origin, server.url, "page"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert isinstance(told, dict)
    return told


def test_a_page_of_another_origin_is_blocked_and_runs_nothing(
    tools: OfficialTools, server: ServerProcess
) -> None:
    assert page_of(OTHER, tools, server) == {"blocked": "TypeError: Failed to fetch"}
    assert httpx2.get(f"{server.url}/api/sessions/page").status_code == 404


def test_a_page_of_an_allowed_origin_can_use_every_door(tools: OfficialTools, server: ServerProcess) -> None:
    told = page_of(ALLOWED, tools, server)
    assert "=> 3\\n[page@1]" in told["mcp"]
    assert told["gone"] == 200
    assert told["rest"] == "7"
    assert told["stream"].startswith("/message?session_id=")
