"""The examples in the help of commands work as they are, on a store."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from made_sessions import executed, make
from server_process import COMMAND
from typed import environment

from cli.commands.completion import completion
from cli.commands.find import find
from cli.commands.log import log
from cli.commands.sessions import sessions
from cli.commands.show import show

COMMANDS = (sessions, log, show, find, completion)
GO_ON = re.compile("--follow")
FOUND_NOTHING = 1


def examples(text: str) -> list[str]:
    """The commands, without the remarks behind them."""
    lines = (re.split(r"\s{2,}", line.strip())[0] for line in text.splitlines())
    return [line for line in lines if re.match(r'mcp-v8 |eval "\$\(mcp-v8 ', line)]


EXAMPLES = [line for command in COMMANDS for line in examples(command.help or "")]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("store")
    make(directory, "demo", [executed(f"rows.length // {n}") for n in range(9)])
    return directory


def test_each_command_has_examples() -> None:
    assert all(len(examples(command.help or "")) >= 3 for command in COMMANDS)


@pytest.mark.parametrize("line", [line for line in EXAMPLES if not GO_ON.search(line)])
def test_every_example_works(line: str, store: Path, tmp_path: Path) -> None:
    (tmp_path / ".config/fish/completions").mkdir(parents=True)
    path = f"{Path(COMMAND).parent}:/usr/bin:/bin"
    variables = environment(PATH=path, HOME=str(tmp_path), MCP_V8_DIRECTORY_PATH=str(store))
    if "zsh" in line:
        line = "mcp-v8 completion zsh"  # which bash cannot evaluate
    ended = subprocess.run(
        ["bash", "-c", line], env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stderr == ""
    assert ended.returncode in (0, FOUND_NOTHING if line.startswith("mcp-v8 find") else 0), ended


def test_the_example_that_goes_on_is_tested_where_it_is_interrupted() -> None:
    assert [line for line in EXAMPLES if GO_ON.search(line)] == ["mcp-v8 log demo --follow"]
