"""Whom a command asks: by option, by variable, or by default."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from server_process import COMMAND


def asked(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command that has ended."""
    environment = {**os.environ, "XDG_STATE_HOME": "/nonexistent", **variables}
    return subprocess.run(
        [COMMAND, *words], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_an_option_goes_before_the_variable_of_the_other_one(tmp_path: Path) -> None:
    nobody, store = "http://localhost:1", str(tmp_path)
    at_the_store = asked("log", "a", "--directory-path", store, MCP_V8_URL=nobody)
    assert at_the_store.returncode == 3
    assert f"there is no store in {store}" in at_the_store.stderr
    at_the_server = asked("log", "a", "--url", nobody, MCP_V8_DIRECTORY_PATH=store)
    assert at_the_server.returncode == 1
    assert f"the server at {nobody} does not answer" in at_the_server.stderr


def test_both_options_are_a_wrong_command_line(tmp_path: Path) -> None:
    both = asked("log", "a", "--url", "http://localhost:1", "--directory-path", str(tmp_path))
    assert both.returncode == 2
    assert "give one of them" in both.stderr


def test_without_any_of_them_the_servers_default_store_is_asked() -> None:
    ended = asked("log", "a")
    assert ended.returncode == 3
    assert ended.stderr.startswith("mcp-v8: there is no store in /nonexistent/mcp-v8: ")
    assert ended.stdout == ""
