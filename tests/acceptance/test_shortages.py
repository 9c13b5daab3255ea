"""The machine runs out of something: the server says what is wrong, goes on, and recovers without a restart.

What was acknowledged is there at the end.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import control_groups
import httpx2
import pytest
from server_process import COMMAND, ServerProcess, running

from transports import accept_log

SOME_USER = 64_001
"""One who has no process yet, so that those of the server can be counted."""
ADD = "globalThis.n = (globalThis.n ?? 0) + 1"


def mount(path: Path, options: str) -> None:
    ran = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        pytest.skip(f"a file system cannot be mounted here: {ran.stderr.strip()}")


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MiB."""
    place = tmp_path / "mounted"
    place.mkdir()
    mount(place, "size=6m")
    yield place
    subprocess.run(["umount", place], check=True)


def client_of(server: ServerProcess) -> httpx2.Client:
    return httpx2.Client(base_url=server.url, timeout=30)


def execute(client: httpx2.Client, code: str, session: str) -> httpx2.Response:
    return client.post("/api/exec", json={"code": code, "session": session})


def values(client: httpx2.Client, sessions: list[str]) -> dict[str, str]:
    return {session: execute(client, "n", session).json()["result"] for session in sessions}


def test_a_full_disk(tmpfs: Path) -> None:
    store = tmpfs / "store"
    with running("--directory-path", str(store)) as server, client_of(server) as client:
        acknowledged = 0
        flood = f"{ADD}; console.log('x'.repeat(500000))"
        while (answer := execute(client, flood, "a")).status_code == 200:
            acknowledged += 1
        assert acknowledged > 2
        assert (answer.status_code, answer.json()["code"]) == (503, "store_failed")
        assert f"free space in {store}" in answer.json()["error"]
        assert answer.headers["retry-after"]
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "store_failed")
        assert client.get("/healthz").status_code == 200
        assert client.get("/api/sessions/a").json()["event"] == acknowledged
        shown = client.get("/api/sessions/a/state").json()["globals"]
        assert [one["preview"] for one in shown if one["name"] == "n"] == [str(acknowledged)]
        mount(tmpfs, "remount,size=64m")
        assert execute(client, "n", "a").json()["result"] == str(acknowledged)
        assert client.get("/readyz").status_code == 200
    with running("--directory-path", str(store)) as server, client_of(server) as client:
        assert values(client, ["a"]) == {"a": str(acknowledged)}


def test_a_store_that_can_only_be_read(tmpfs: Path) -> None:
    store = tmpfs / "store"
    with running("--directory-path", str(store)) as server, client_of(server) as client:
        execute(client, ADD, "a")
    mount(tmpfs, "remount,ro")
    refused = subprocess.run(
        [COMMAND, "--http-port", "0", "--directory-path", store],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("mcp-v8: ")
    assert "Read-only file system" in refused.stderr
    assert str(store) in refused.stderr
    assert "Traceback" not in refused.stderr
    mount(tmpfs, "remount,rw")
    with running("--directory-path", str(store)) as server, client_of(server) as client:
        assert values(client, ["a"]) == {"a": "1"}


def test_blobs_that_can_only_be_read(tmp_path: Path, tmpfs: Path) -> None:
    """Executions go on without checkpoints, and what is deleted later makes no trouble."""
    store = tmp_path / "store"
    store.mkdir(mode=0o700)
    (store / "blobs").symlink_to(tmpfs)
    mount(tmpfs, "remount,ro")
    flags = ("--directory-path", str(store), "--restore-target", "0")
    with running(*flags) as server, client_of(server) as client:
        for expected in ("1", "2", "3"):
            assert execute(client, ADD, "a").json()["result"] == expected
        while (declined := client.get("/api/sessions/a").json()["checkpoint_declined"]) is None:
            pass
        assert "Read-only file system" in declined
        mount(tmpfs, "remount,rw")
        while client.get("/api/sessions/a").json()["checkpoint"] is None:
            execute(client, ADD, "a")


def limited(server: ServerProcess, kind: int, soft: int) -> tuple[int, int]:
    """Set a limit of the running server; what it was."""
    before = resource.prlimit(server.process.pid, kind)
    resource.prlimit(server.process.pid, kind, (soft, before[1]))
    return before


def stuck(server: ServerProcess, stack: ExitStack) -> socket.socket:
    """A connection that is not accepted, since those before it have taken what there was."""
    while True:
        one = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        one.settimeout(2)
        one.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        try:
            assert one.recv(12) == b"HTTP/1.1 200"
        except TimeoutError:
            return one


def test_no_descriptors_left(tmp_path: Path) -> None:
    began = time.monotonic()
    flags = ("--directory-path", str(tmp_path), "--max-workers", "50")
    with (
        running(*flags, before=["env"]) as server,  # no fork, which has nothing left to import for MCP
        client_of(server) as client,
        ExitStack() as stack,
    ):
        acknowledged = [f"s{number}" for number in range(3)]
        for session in acknowledged:
            assert execute(client, ADD, session).status_code == 200
        count = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        before = limited(server, resource.RLIMIT_NOFILE, count)
        waiting = stuck(server, stack)
        assert values(client, acknowledged) == dict.fromkeys(acknowledged, "1")
        while (refused := execute(client, ADD, f"s{len(acknowledged)}")).status_code == 200:
            acknowledged.append(f"s{len(acknowledged)}")
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert "descriptors" in refused.json()["error"]
        limited(server, resource.RLIMIT_NOFILE, before[0])
        waiting.settimeout(20)
        assert waiting.recv(12) == b"HTTP/1.1 200"
        assert execute(client, ADD, "late").status_code == 200
        assert values(client, acknowledged) == dict.fromkeys(acknowledged, "1")
    told = [line for line in server.log.splitlines() if "connections wait" in line]
    assert 1 <= len(told) <= 1 + (time.monotonic() - began) // accept_log.INTERVAL_SECONDS
    assert "Traceback" not in server.log


def test_too_few_descriptors_to_begin_with(tmp_path: Path) -> None:
    command = ["prlimit", "--nofile=100:100", COMMAND, "--http-port", "0", "--directory-path", str(tmp_path)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert refused.stderr == "mcp-v8: 100 files may be open, but 128 are needed: see `ulimit -n`\n"


def test_connections_leave_workers_their_descriptors(tmp_path: Path) -> None:
    """Of 140, 64 are the server's and 24 those of 8 workers."""
    flags = ("--directory-path", str(tmp_path), "--max-workers", "8")
    with (
        running(*flags, before=["prlimit", "--nofile=140:140"]) as server,
        client_of(server) as client,
        ExitStack() as stack,
    ):
        assert "so 52 connections are taken, not 1000" in server.log
        assert execute(client, ADD, "s0").status_code == 200
        for _ in range(51):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        for number in range(1, 8):
            assert execute(client, ADD, f"s{number}").status_code == 200
        with client_of(server) as another:
            assert another.get("/healthz").json()["code"] == "busy"
    assert "connections wait" not in server.log


@pytest.fixture
def some_user(tmp_path: Path) -> list[str]:
    """The command that runs another as a user without rights, but for reading this program."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can be another user, with setpriv")
    os.chown(tmp_path, SOME_USER, SOME_USER)
    for parent in tmp_path.parents[:3]:
        if parent != Path(parent.root):
            parent.chmod(parent.stat().st_mode | 0o011)
    who = ["setpriv", f"--reuid={SOME_USER}", f"--regid={SOME_USER}", "--clear-groups"]
    return [*who, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


def processes() -> set[int]:
    """Those of the user."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if path.stat().st_uid == SOME_USER:
                found.add(int(path.name))
        except FileNotFoundError:  # it ended just now
            continue
    return found


def test_no_processes_left(tmp_path: Path, some_user: list[str]) -> None:
    """Neither for workers nor for threads."""
    homes = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    started = [*some_user, "prlimit", "--nproc=12:4096"]
    flags = ("--directory-path", str(tmp_path / "store"))
    with (
        running(*flags, before=started, environment=homes) as server,
        client_of(server) as client,
    ):
        acknowledged = []
        for number in range(12):
            answer = execute(client, ADD, f"s{number}")
            if answer.status_code == 200:
                acknowledged.append(f"s{number}")
            else:
                assert (answer.status_code, answer.json()["code"]) in [
                    (503, "unavailable"),
                    (500, "store_error"),
                ]
                assert "processes" in answer.json()["error"]
        assert 0 < len(acknowledged) < 12
        assert values(client, acknowledged) == dict.fromkeys(acknowledged, "1")
        assert client.get("/healthz").status_code == 200
        for process in processes():
            subprocess.run(
                [*some_user, "prlimit", "--pid", str(process), "--nproc=4096:4096"], check=True, timeout=20
            )
        for number in range(12):
            expected = "2" if f"s{number}" in acknowledged else "1"
            assert execute(client, ADD, f"s{number}").json()["result"] == expected
    assert "Traceback" not in server.log


def test_a_container_has_no_processes_left(tmp_path: Path) -> None:
    """Sessions that have their process go on, others are refused, and nothing ends."""
    with (
        control_groups.limited("pids", control_groups.PROCESSES, 24) as group,
        running("--directory-path", str(tmp_path), "--max-workers", "64", before=group.before) as server,
        client_of(server) as client,
    ):
        acknowledged: list[str] = []
        while (answer := execute(client, ADD, f"s{len(acknowledged)}")).status_code == 200:
            acknowledged.append(f"s{len(acknowledged)}")
            assert len(acknowledged) < 24
        assert acknowledged
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "processes" in answer.json()["error"]
        assert client.get("/readyz").status_code == 200
        assert values(client, acknowledged[:1]) == {acknowledged[0]: "1"}
        (group.path / "pids.max").write_text("max")
        assert execute(client, ADD, "late").json()["result"] == "1"
        assert values(client, acknowledged) == dict.fromkeys(acknowledged, "1")
    assert "Traceback" not in server.log


def test_a_container_has_no_memory_left(tmp_path: Path) -> None:
    """The kernel ends the worker that has most of it; its execution is undone, and the server goes on."""
    fill = (
        "globalThis.parts = [];"
        "for (let i = 0; i < 120; i++) { parts.push(new Uint8Array(1 << 20).fill(1)); }"
        "for (let i = 0; i < 110; i++) { parts.push(new Array(1 << 17).fill(i + 0.5)); }"
    )
    with (
        control_groups.limited("memory", control_groups.MEMORY, 300 << 20) as group,
        running("--directory-path", str(tmp_path), before=group.before) as server,
        client_of(server) as client,
    ):
        assert execute(client, ADD, "a").json()["result"] == "1"
        assert execute(client, ADD, "b").json()["result"] == "1"
        died = execute(client, fill, "a").json()
        assert (died["status"], died["error_detail"]["undone"]) == ("crashed", True)
        assert "no memory left" in died["error"]
        assert client.get("/readyz").status_code == 200
        assert values(client, ["a", "b"]) == {"a": "1", "b": "1"}
    assert "was ended by SIGKILL" in server.log
    assert "Traceback" not in server.log
