"""Where the command begins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from made_sessions import executed, make
from server_process import COMMAND


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_than_on_linux_one_sentence_gives_the_docker_command(platform: str) -> None:
    code = f"import sys; sys.platform = {platform!r}; sys.modules['fcntl'] = None; from cli.entry import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"mcp-v8: this runs on Linux, not on {platform}; in a container: "
        "docker run -p 8080:8080 -v mcp-v8-data:/tmp/mcp-v8-heaps mcp-v8:latest\n"
    )


@pytest.mark.parametrize("module", ["cli.main", "cli.commands.log", "cli.target.store"])
def test_ctrl_c_before_anything_is_done_is_its_quiet_end(module: str, tmp_path: Path) -> None:
    """SIGINT comes while that module is imported."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {module!r}:\n"
        "            sys.meta_path.remove(self)\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
    )
    ended = subprocess.run(
        [COMMAND, "log", "a", "--directory-path", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr.strip()) == (130, "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_may_be_closed(closed: str, tmp_path: Path) -> None:
    make(tmp_path / "store", "a", [executed("1")])
    for words in ("log a", "export a", "report a --no-replay -o -"):
        line = f"{COMMAND} {words} --directory-path {tmp_path}/store {closed}"
        ended = subprocess.run(["sh", "-c", line], capture_output=True, timeout=60, check=False)
        assert (ended.returncode, b"Traceback" in ended.stderr) == (0, False), words
