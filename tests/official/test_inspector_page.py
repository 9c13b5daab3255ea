"""The official Inspector's page in a real browser, once."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import official_tools
from official_tools import HERE, OfficialTools
from server_process import ServerProcess

from benchmarks.processes import free_port

START_SECONDS = 30
PAGE_SECONDS = 120

_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+\S*TOKEN=\w+")


@contextmanager
def inspector(tools: OfficialTools, home: Path, url: str) -> Iterator[str]:
    """The Inspector's web server, with ``url`` in its list of servers: the address of its page."""
    launcher = ("@modelcontextprotocol", "inspector", "clients", "launcher", "build", "index.js")
    ports = {"CLIENT_PORT": str(free_port()), "MCP_SANDBOX_PORT": "0", "MCP_APP_ORIGIN_PORT": "0"}
    alone = {"HOME": str(home), "MCP_AUTO_OPEN_ENABLED": "false", "MCP_INSPECTOR_SECRET_STORE": "memory"}
    process = subprocess.Popen(
        [*tools.command(*launcher), "--web", "--transport", "http", "--server-url", url],
        env={**os.environ, **ports, **alone},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield _address(process)
    finally:
        process.terminate()
        process.communicate(timeout=START_SECONDS)


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    told = ""
    for line in process.stdout:
        told += line
        if match := _ADDRESS.search(line):
            return match[0]
    raise AssertionError(f"the Inspector did not start:\n{told}")


def test_the_page_connects_lists_the_tools_and_runs_code(
    tools: OfficialTools, product: ServerProcess, tmp_path: Path
) -> None:
    browser = official_tools.browser()
    screenshot = tmp_path / "page.png"
    with inspector(tools, tmp_path, f"{product.url}/mcp") as address:
        script = [tools.node, str(HERE / "inspector_page.mjs"), str(tools.module("playwright-core"))]
        ended = subprocess.run(
            [*script, browser, address, "page", str(screenshot)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PAGE_SECONDS,
            check=False,
        )
    assert ended.returncode == 0, f"{ended.stderr}\nThe page as it was then: {screenshot}"
