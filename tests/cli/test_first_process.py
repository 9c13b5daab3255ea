"""The server as the first process of a container: it ends when it is told to, and buries the dead."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from server_process import ServerProcess

SECONDS = 20
STOP_SECONDS = 10
"""After which `docker stop` kills."""


@pytest.fixture
def first(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that is process 1 of a namespace. ``process`` is the one that waits for it outside."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a namespace of processes")
    words = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    tried = subprocess.run([*words, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"a namespace of processes cannot be made here: {tried.stderr.strip()}")
    server = ServerProcess("--directory-path", str(tmp_path), "--restore-target", "0", before=words)
    yield server
    server.process.kill()
    server.wait()


def processes() -> dict[int, tuple[str, int]]:
    """State and parent of every process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text(errors="replace").rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found[int(path.parent.name)] = (state, int(parent))
    return found


def children(parent: int) -> dict[int, str]:
    """The state of each child."""
    return {pid: state for pid, (state, of) in processes().items() if of == parent}


def pid_of(server: ServerProcess) -> int:
    """Its number out here."""
    (pid,) = children(server.process.pid)
    return pid


def execute(server: ServerProcess, code: str, session: str) -> httpx2.Response:
    return httpx2.post(f"{server.url}/api/exec", json={"code": code, "session": session}, timeout=30)


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_it_drains_and_ends_with_0_before_it_would_be_killed(first: ServerProcess) -> None:
    for number in range(3):
        assert execute(first, "globalThis.n = 1", f"s{number}").json()["status"] == "completed"
    running = httpx2.post(
        f"{first.url}/api/exec",
        json={"code": "for (;;);", "session": "s0"},
        headers={"prefer": "respond-async"},
    )
    assert running.status_code == 202
    began = time.monotonic()
    os.kill(pid_of(first), signal.SIGTERM)
    assert first.wait() == 0
    assert time.monotonic() - began < STOP_SECONDS
    assert "Traceback" not in first.log


def test_what_a_killed_zygote_leaves_is_buried_and_the_server_goes_on(first: ServerProcess) -> None:
    """Workers, and a copy of one that is making a checkpoint."""
    server = pid_of(first)
    filled = "globalThis.xs = Array.from({length: 300000}, (_, i) => ({i, s: 'x' + i})); 1"
    assert execute(first, filled, "a").json()["status"] == "completed"
    (zygote,) = children(server)

    def copying() -> bool:
        workers = children(zygote)
        return any(children(worker) for worker in workers)

    eventually(copying)
    os.kill(zygote, signal.SIGKILL)

    def restarted() -> bool:
        now = children(server)
        return len(now) == 1 and zygote not in now and "Z" not in now.values()

    eventually(restarted)
    assert execute(first, "xs.length", "a").json()["result"] == "300000"
    eventually(restarted)


def test_orphans_of_what_is_run_beside_it_are_buried(first: ServerProcess) -> None:
    server = pid_of(first)
    enter = ["nsenter", f"--target={server}", "--pid", "--mount", "setsid", "sh", "-c"]
    subprocess.run([*enter, "(sleep 0.1 &) ; exit 0"], check=True, timeout=SECONDS)

    def buried() -> bool:
        now = children(server)
        return len(now) == 1 and "Z" not in now.values()

    eventually(buried)
    assert execute(first, "1", "a").json()["result"] == "1"
