"""What becomes of a container: how it starts, what it may do, how it ends."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from container_engine import READY_SECONDS, Container, Containers

pytestmark = pytest.mark.containers

HARDENED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
"""As in docs/docker.md."""


def stopped(container: Container) -> int:
    """Its exit status after ``docker stop``: 137 if it had to be killed."""
    container.do("stop", "-t", str(READY_SECONDS))
    return container.wait_until_ended()


def test_without_any_right_the_sandbox_is_whole_and_what_runs_is_finished_at_the_end(
    containers: Containers,
) -> None:
    volume = f"{containers.name('hardened')}:/tmp/mcp-v8-heaps"
    with containers.running(*HARDENED, "-v", volume, command=("--sandbox", "strict")) as container:
        sandbox = container.wait_until_ready()["sandbox"]
        assert sandbox["mode"] == "strict"
        assert sandbox["seccomp"] is True
        assert sandbox["landlock_abi"] > 0
        assert (sandbox["forks"], sandbox["user"]) == ("asked", "server")

        lines = container.inside("cat", "/proc/1/status").splitlines()
        status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
        assert set(status["Uid"]) == {"1000"}
        assert {int(status[name][0], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}
        assert (status["NoNewPrivs"], status["Seccomp"]) == (["1"], ["2"])
        assert "Read-only file system" in container.inside("sh", "-c", "touch /home/mcpuser/x 2>&1 || true")

        answers: list[dict[str, Any]] = []
        code = "await new Promise(done => setTimeout(done, 2000)); 'in time'"
        waits = threading.Thread(target=lambda: answers.append(container.execute(code, session="demo")))
        waits.start()
        wait_until_one_runs(container)
        assert stopped(container) == 0
        waits.join(READY_SECONDS)
        assert [answer["result_json"] for answer in answers] == ["in time"]


def wait_until_one_runs(container: Container) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while container.wait_until_ready()["running"] == 0:
        assert time.monotonic() < deadline, container.log()
        time.sleep(0.05)


def test_a_session_survives_a_kill_and_a_second_server_is_told_that_the_store_is_in_use(
    containers: Containers,
) -> None:
    volume = f"{containers.name('kept')}:/tmp/mcp-v8-heaps"
    with containers.running("-v", volume) as container:
        container.execute("let xs = [1, 2]", session="demo")
        with containers.running("-v", volume, ready=False) as second:
            assert second.wait_until_ended() == 1
            assert "is in use" in second.log()
        container.do("kill")
        container.do("start")
        container.wait_until_ready()
        answer = container.execute("xs.push(3); xs", session="demo")
        assert (answer["event"], answer["result"]) == (2, "[ 1, 2, 3 ]")
        assert stopped(container) == 0


def test_without_sessions_nothing_is_kept_from_one_execution_to_the_next(containers: Containers) -> None:
    with containers.running(command=("--stateless",)) as container:
        assert container.wait_until_ready()["store"] == "none"
        container.execute("globalThis.x = 1")
        assert container.execute("typeof x")["result_json"] == "undefined"


def test_a_container_that_is_stopped_while_it_starts_ends_at_once(containers: Containers) -> None:
    with containers.running(ready=False) as container:
        process = Path("/proc") / str(container.state()["Pid"]) / "status"
        wait_until_caught(process, signal.SIGTERM)
        assert stopped(container) in {0, 128 + signal.SIGTERM}


def wait_until_caught(status: Path, number: int) -> None:
    """Until the process of that file in ``/proc`` has a handler for the signal."""
    deadline = time.monotonic() + READY_SECONDS
    while True:
        (caught,) = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigCgt")]
        if int(caught, 16) >> (number - 1) & 1:
            return
        assert time.monotonic() < deadline, "nothing handles the signal"
        time.sleep(0.01)
