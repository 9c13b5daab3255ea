"""The examples in the help of the commands that run code and change sessions are commands that work."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from server_process import COMMAND
from typed import SECONDS, environment, piped

from cli.commands.change import delete, fork, tag
from cli.commands.exec import exec as exec_command
from cli.commands.maintain import accept, checkpoint
from cli.commands.repl import repl

EXAMPLES = [
    line.strip().split("   ")[0]
    for command in (exec_command, repl, fork, tag, accept, checkpoint, delete)
    for line in (command.help or "").splitlines()
    if "mcp-v8 " in line
]
STATUS = {"mcp-v8 accept demo": 1, "mcp-v8 delete demo": 2}
"""Of those that refuse: nothing has diverged, and nobody can be asked."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sessions "demo", of seven events, and "other"."""
    directory = tmp_path_factory.mktemp("store")
    code = "let xs = [1, 2]\n" + "xs.push(3)\n" * 5
    piped("repl", "demo", "--directory-path", directory, stdin=code)
    piped("repl", "other", "--directory-path", directory, stdin=code)
    return directory


def test_there_are_examples_of_each() -> None:
    assert len(EXAMPLES) >= 15


@pytest.mark.parametrize("line", EXAMPLES)
def test_every_example_of_help_works(line: str, store: Path, tmp_path: Path) -> None:
    (tmp_path / "statements.js").write_text("xs.length\n")
    path = f"{Path(COMMAND).parent}:/usr/bin:/bin"
    ended = subprocess.run(
        ["bash", "-c", line],
        cwd=tmp_path,
        env=environment(PATH=path, MCP_V8_DIRECTORY_PATH=str(store)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == STATUS.get(line, 0), ended
    assert "Traceback" not in ended.stderr
