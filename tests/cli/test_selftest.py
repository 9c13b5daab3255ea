"""``mcp-v8 selftest`` says whether this machine will do, and leaves what makes the next start faster."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from server_process import COMMAND, running

from engine.isolate.native import V8_VERSION


def run_it(home: Path, *flags: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """The command, with its cache below ``home``, behind some words of a shell."""
    words = " ".join([COMMAND, "selftest", *flags])
    environment = {**os.environ, "XDG_CACHE_HOME": str(home)}
    return subprocess.run(
        ["bash", "-c", f"{before} exec {words}"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def files(home: Path) -> dict[str, int]:
    """What is in the cache folder, and when it was written."""
    return {path.name: path.stat().st_mtime_ns for path in (home / "mcp-v8").iterdir()}


def test_it_says_what_was_checked_and_a_server_writes_nothing_then(tmp_path):
    ended = run_it(tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    v8, checked, engine, sandbox, image = ended.stdout.splitlines()
    assert v8.startswith(f"V8 {V8_VERSION} of mini-racer ")
    assert v8.endswith(": all is well")
    assert checked == (
        "Checked: memory layouts, running code, optimizing code, executions, a snapshot round trip"
    )
    assert sandbox.startswith("Sandbox: auto: ")
    assert image == f"Base image: kept in {tmp_path / 'mcp-v8'}"
    before = files(tmp_path)
    assert sorted(name.rpartition(".")[2] for name in before) == ["digests", "image", "passed"]
    with running("--stateless", environment={"XDG_CACHE_HOME": str(tmp_path)}) as server:
        pass
    assert engine.removeprefix("Engine: ") in server.log
    assert files(tmp_path) == before


def test_a_machine_that_will_not_do_is_named_in_a_sentence(tmp_path):
    ended = run_it(tmp_path, before="ulimit -s 4096;")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "mcp-v8: a process may have 4096 KiB of stack; 8192 are needed (see ulimit -Hs)\n"
    )


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "mcp-v8").touch()
    ended = run_it(tmp_path)
    assert ended.returncode == 0
    assert ended.stdout.endswith(f"{tmp_path / 'mcp-v8'} cannot be written: each start makes it again\n")
