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


def test_the_end_of_a_process_looks_through_nothing() -> None:
    code = (
        "import atexit, gc, sys; atexit.register(lambda: print(len(gc.get_objects()))); "
        "sys.argv = ['mcp-v8', '--version']; from cli.entry import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    left = int(ended.stdout.splitlines()[-1])
    assert left < 1_000, "of some ten thousand objects"


def send_at_import(folder: Path, signal: str, module: str) -> None:
    """Write what lets a Python with ``folder`` on its path send itself the signal when it imports the module."""
    (folder / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "class Sending:\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {module!r}:\n"
        "            sys.meta_path.remove(self)\n"
        f"            os.kill(os.getpid(), signal.{signal})\n"
        "sys.meta_path.insert(0, Sending())\n"
    )


@pytest.mark.parametrize("module", ["cli.main", "cli.commands.log", "cli.target.store"])
def test_ctrl_c_before_anything_is_done_is_its_quiet_end(module: str, tmp_path: Path) -> None:
    send_at_import(tmp_path, "SIGINT", module)
    ended = subprocess.run(
        [COMMAND, "log", "a", "--directory-path", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr.strip()) == (130, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a process the first of a namespace")
@pytest.mark.parametrize("module", ["cli.main", "cli.serve"])
def test_the_first_process_of_a_container_can_be_ended_while_it_starts(module: str, tmp_path: Path) -> None:
    send_at_import(tmp_path, "SIGTERM", module)
    server = [COMMAND, "--http-port", "0", "--directory-path", str(tmp_path / "store")]
    ended = subprocess.run(
        ["unshare", "--pid", "--fork", "--kill-child", *server],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (143, "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_may_be_closed(closed: str, tmp_path: Path) -> None:
    make(tmp_path / "store", "a", [executed("1")])
    for words in ("log a", "export a", "report a --no-replay -o -"):
        line = f"{COMMAND} {words} --directory-path {tmp_path}/store {closed}"
        ended = subprocess.run(["sh", "-c", line], capture_output=True, timeout=60, check=False)
        assert (ended.returncode, b"Traceback" in ended.stderr) == (0, False), words
