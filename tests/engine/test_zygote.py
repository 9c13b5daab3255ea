"""The server's end of the zygote, with the test in the zygote's place; and what a zygote loads."""

from __future__ import annotations

import array
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trio.testing

from engine import zygote as client
from engine.errors import PlatformRefused, WorkerFailed
from engine.isolate import zygote_wire as wire
from engine.isolate.sandbox.layers import Layers
from engine.worker import Worker
from engine.zygote import Zygote

BOOTED = wire.Booted(
    engine_id="e",
    image_id="e.1",
    sandbox=Layers(mode="auto", seccomp=True, landlock_abi=7, forks="asked", user="server"),
)


class Script:
    """A zygote whose process does nothing, and the other end of its socket."""

    def __init__(self) -> None:
        ours, self.socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self.process = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL)
        self.workers: dict[int, Worker] = {}
        self.zygote = Zygote(self.process, ours, self.workers)

    def say(self, message: wire.FromZygote, *descriptors: int) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        self.socket.sendmsg([wire.encode(message)], rights if descriptors else [])


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    script = Script()
    yield script
    if script.process.returncode is None:
        os.kill(script.process.pid, signal.SIGKILL)  # Popen's own would bury it first
    script.socket.close()
    await script.zygote.aclose()
    assert script.process.returncode is not None


def unexpected(*arguments: object) -> None:
    raise AssertionError(arguments)


async def test_a_refusal_is_told_in_its_own_words(script: Script) -> None:
    script.say(wire.Refused("V8 is another one"))
    with pytest.raises(PlatformRefused, match=r"^V8 is another one$"):
        await script.zygote.boot()


async def test_a_broken_start_names_the_reason(script: Script) -> None:
    script.say(wire.Broken("OSError: disk full"))
    with pytest.raises(WorkerFailed, match="could not start: OSError: disk full"):
        await script.zygote.boot()


async def test_a_zygote_that_ends_in_its_start_is_an_error(script: Script) -> None:
    script.socket.close()
    os.kill(script.process.pid, signal.SIGTERM)
    with pytest.raises(WorkerFailed, match="ended while it started; its standard error says why"):
        await script.zygote.boot()


async def test_a_zygote_that_is_killed_in_its_start_cannot_have_said_why(script: Script) -> None:
    os.kill(script.process.pid, signal.SIGKILL)
    script.socket.close()
    with pytest.raises(WorkerFailed, match="it was killed from outside, perhaps since memory ran out"):
        await script.zygote.boot()


async def test_a_zygote_that_says_nothing_is_given_up(
    script: Script,
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
) -> None:
    with pytest.raises(WorkerFailed, match="not ready within 60 s"):
        await script.zygote.boot()


@pytest.mark.parametrize("packet", [b"\xc1", b"\x81", wire.encode(wire.Exited(1, 2))])
async def test_nonsense_instead_of_a_start_is_an_error(script: Script, packet: bytes) -> None:
    script.socket.send(packet)
    with pytest.raises(WorkerFailed):
        await script.zygote.boot()


async def test_nonsense_later_is_an_error(script: Script) -> None:
    script.say(BOOTED)
    await script.zygote.boot()
    script.say(BOOTED)
    with pytest.raises(WorkerFailed, match="said Booted after its start"):
        await script.zygote.serve(unexpected, unexpected)


async def test_a_worker_without_descriptors_is_a_failed_fork(script: Script) -> None:
    """As when this process has none left, and the kernel drops what does not fit."""
    failed: list[int] = []
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    script.say(wire.Forked(1, 4711), 0)
    script.say(wire.Forked(2, 4711))
    script.socket.close()
    await script.zygote.serve(unexpected, lambda number, _: failed.append(number))
    assert failed == [1, 2]
    assert len(os.listdir("/proc/self/fd")) == before - 1  # noqa: PTH208


async def test_the_end_of_an_unknown_worker_is_nobodys_business(script: Script) -> None:
    script.say(wire.Exited(99, 0))
    script.socket.close()
    await script.zygote.serve(unexpected, unexpected)


async def test_asking_a_dead_zygote_is_no_error(script: Script) -> None:
    script.socket.close()
    script.zygote.fork(1)


async def test_a_zygote_that_ignores_the_end_of_its_socket_is_killed(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CLOSE_SECONDS", 0.01)
    await script.zygote.aclose()
    assert script.process.returncode == -9


async def test_a_program_that_cannot_be_started_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent/python")
    with pytest.raises(WorkerFailed, match="could not be started"):
        await client.start_zygote({}, cache_dir=None, data_budget_mb=1)


async def test_a_cache_that_cannot_be_written_is_done_without_and_nothing_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with trio.fail_after(60):
        zygote = await client.start_zygote({}, cache_dir=tmp_path / "file", data_budget_mb=512)
        await zygote.aclose()
    assert capfd.readouterr().err == ""


def test_the_zygote_imports_nothing_that_its_workers_do_not_need() -> None:
    """Every page that it has written to costs each fork, and many of them each worker's memory."""
    code = (
        "import sys; from engine.isolate import image, native, selftest, zygote; "
        "selftest.versions(); native.library(); image.base_source(); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], env={}, capture_output=True, text=True, check=True, timeout=60
    )
    needless = {"asyncio", "email", "importlib.metadata", "logging", "random", "ssl", "tempfile", "threading"}
    assert needless.isdisjoint(done.stdout.split())
