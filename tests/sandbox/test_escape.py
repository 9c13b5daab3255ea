"""The escape drill: an attacker who has the worker process itself, on kernels with and without each layer."""

from __future__ import annotations

import errno
import os
import platform
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from engine import idle, zygote
from engine.copies import CheckpointDeclined
from engine.errors import PlatformRefused
from engine.isolate import process, wire
from engine.isolate.process import may_have_children
from engine.isolate.sandbox import forks, identity, landlock, layers
from engine.limits import Limits
from engine.worker import Worker, WorkerDied
from engine.workers import Workers, open_workers

DRILL = Path(__file__).with_name("drill_zygote.py")
AS_ROOT = os.geteuid() == 0
BUDGET_MB = 512

Open = Callable[..., AbstractAsyncContextManager[Workers]]


@pytest.fixture
def drill(monkeypatch: pytest.MonkeyPatch, cache_dir: Path) -> Open:
    """Opens a pool of workers that obey an attacker, on a kernel without what a variant takes away."""

    @asynccontextmanager
    async def open_(variant: str = "as-it-is", mode: layers.Mode = "auto") -> AsyncIterator[Workers]:
        monkeypatch.setattr(zygote, "ZYGOTE", (str(DRILL), variant))
        with trio.fail_after(60):
            async with open_workers(cache_dir=cache_dir, data_budget_mb=BUDGET_MB, sandbox=mode) as workers:
                yield workers

    return open_


def order(code: str) -> wire.Run:
    return wire.Run(seq=1, code=code, limits=Limits(), start=0, seed=bytes(16))


async def obeyed(worker: Worker, code: str) -> Any:
    """What the worker's native code found."""
    done = await worker.run(order(code), lambda lines: None)
    assert done.outcome.result is not None
    return msgspec.json.decode(done.outcome.result)


async def denied(workers: Workers, what: str = "denied") -> dict[str, int | str]:
    """What came of everything that must fail, or of some of it, with another worker as the victim."""
    worker, sibling = await workers.acquire(), await workers.acquire()
    found: dict[str, int | str] = await obeyed(
        worker, f"{what} {workers.zygote_pid} {os.getpid()} {sibling.pid}"
    )
    assert sibling.running()
    await worker.aclose()
    await sibling.aclose()
    return found


def refusals(found: dict[str, int | str]) -> dict[str, int | str]:
    """All that was not refused with EPERM. Python reports a refused thread without the error's number."""
    return {
        name: came
        for name, came in found.items()
        if came not in (errno.EPERM, "RuntimeError: can't start new thread")
    }


VARIANTS = ["as-it-is", "no-landlock", "no-permits", "root-alone", "ordinary-user"]
VARIANTS += [f"old-landlock={abi}" for abi in range(1, landlock.abi())]
needs_root = pytest.mark.skipif(not AS_ROOT, reason="only root can let workers be other users")


@pytest.mark.parametrize("variant", VARIANTS)
async def test_everything_outside_of_the_worker_is_denied(drill: Open, variant: str) -> None:
    if variant in ("ordinary-user", "root-alone") and not AS_ROOT:
        pytest.skip("these tests run as an ordinary user anyway")
    async with drill(variant) as workers:
        found = await denied(workers)
    assert len(found) > 90
    assert refusals(found) == {}


async def test_every_call_that_is_not_listed_is_denied(drill: Open) -> None:
    async with drill() as workers:
        found = await obeyed(await workers.acquire(), "unlisted")
    assert len(found) > 550
    # by another name a thread or a child that shares memory: the number of clone is listed, clone3 is not
    assert {number: came for number, came in found.items() if came != errno.EPERM} == {}


async def test_memory_and_address_space_are_bounded(drill: Open) -> None:
    async with drill() as workers:
        found = await obeyed(await workers.acquire(), "memory")
    assert found == dict.fromkeys(found, errno.ENOMEM)
    assert len(found) == 2


@pytest.mark.parametrize("variant", ["as-it-is", "no-landlock", "no-permits"])
async def test_what_v8_needs_is_allowed(drill: Open, variant: str) -> None:
    async with drill(variant) as workers:
        found = await obeyed(await workers.acquire(), "allowed")
    assert found == dict.fromkeys(found, "ok")
    assert len(found) > 10


async def test_the_environment_holds_nothing_of_the_servers(
    drill: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "drill-secret")
    async with drill() as workers:
        found = await obeyed(await workers.acquire(), "environment")
    assert sorted(found) == ["LANG", "LC_ALL", "TZ"]


async def test_no_secret_of_the_server_is_in_the_memory_of_zygote_or_worker(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = f"drill-{os.urandom(16).hex()}"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    async with open_workers(cache_dir=cache_dir, data_budget_mb=BUDGET_MB) as workers:
        worker = await workers.acquire()
        await worker.run(order("1"), lambda lines: None)
        # it would be found; these tests themselves may have large parts
        assert secret.encode() in memory_of(os.getpid(), most=4 << 30)
        assert secret.encode() not in memory_of(workers.zygote_pid)
        assert secret.encode() not in memory_of(worker.pid)


def memory_of(pid: int, most: int = 64 << 20) -> bytes:
    """All that a process may write to, but for parts of ``most`` bytes, which are only reserved."""
    found = bytearray()
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for line in maps:
            addresses, rights, *_ = line.split()
            begin, end = (int(address, 16) for address in addresses.split("-"))
            if rights.startswith("rw") and end - begin < most:
                memory.seek(begin)
                found += memory.read(end - begin)
    return bytes(found)


# --- forks ---------------------------------------------------------------------------------------


def children(worker: Worker) -> list[int]:
    return children_of(worker.pid)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def listener_of(worker: Worker) -> int:
    assert worker._listener is not None
    return worker._listener


@pytest.mark.parametrize("variant", ["as-it-is", "root-alone"])
async def test_descriptors_that_its_user_has_on_their_way_keep_no_worker_from_starting(
    drill: Open, variant: str
) -> None:
    if variant == "root-alone" and not AS_ROOT:
        pytest.skip("the user of these tests is no root")
    sender, receiver = socket.socketpair()
    with sender, receiver:
        for _ in range(4 * layers.MAX_DESCRIPTORS):
            socket.send_fds(sender, [b"."], [0])
        async with drill(variant) as workers:
            await (await workers.acquire()).aclose()


async def test_a_fork_that_nobody_asked_for_never_happens(drill: Open) -> None:
    async with drill() as workers:
        worker = await workers.acquire()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(obeyed_until_killed, worker, "fork")
            await trio.lowlevel.wait_readable(listener_of(worker))  # the kernel asks
            assert children(worker) == []
            worker.kill()


async def obeyed_until_killed(worker: Worker, code: str) -> None:
    with pytest.raises(WorkerDied):
        await obeyed(worker, code)


async def test_a_refused_fork_is_an_error_for_the_worker(drill: Open) -> None:
    async with drill() as workers:
        worker = await workers.acquire()
        async with trio.open_nursery() as nursery:

            async def fork() -> None:
                assert await obeyed(worker, "fork") == errno.EPERM

            nursery.start_soon(fork)
            await trio.lowlevel.wait_readable(listener_of(worker))
            assert not forks.answer(listener_of(worker), pid=1)
        assert children(worker) == []


async def test_a_copy_cannot_fork(drill: Open) -> None:
    async with drill() as workers:
        worker = await workers.acquire()
        await obeyed(worker, "forking")
        first = await worker.checkpoint()
        await trio.lowlevel.wait_readable(listener_of(worker))  # the copy's attempt
        second = await worker.checkpoint()  # which is refused on this occasion
        assert len(children(worker)) == 2
        await first.aclose()
        await second.aclose()


async def test_a_copy_that_is_given_up_is_killed(drill: Open) -> None:
    async with drill() as workers:
        worker = await workers.acquire()
        copy = await worker.checkpoint()
        (pid,) = children(worker)
        pidfd = os.pidfd_open(pid)
        await copy.aclose()
        await trio.lowlevel.wait_readable(pidfd)
        os.close(pidfd)


async def test_a_worker_that_holds_the_pipe_of_its_copy_delays_nobody(drill: Open) -> None:
    async with drill() as workers:
        worker = await workers.acquire()
        await obeyed(worker, "holding")
        with pytest.raises(CheckpointDeclined, match=r"^holding$"):
            await (await worker.checkpoint()).snapshot()


SERVER = """
import sys, trio
from pathlib import Path
from engine import zygote
from engine.workers import open_workers
zygote.ZYGOTE = (sys.argv[1], "as-it-is")
async def main():
    async with open_workers(cache_dir=Path(sys.argv[2]), spares=0, data_budget_mb=512) as workers:
        worker = await workers.acquire()
        copy = await worker.checkpoint()
        print(worker.pid, flush=True)
        await trio.sleep_forever()
trio.run(main)
"""


@pytest.fixture
def server(cache_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server with a copy that never ends; it prints the pid of the copy's worker."""
    with subprocess.Popen([sys.executable, "-c", SERVER, DRILL, cache_dir], stdout=subprocess.PIPE) as server:
        yield server
        server.kill()


async def test_a_copy_ends_with_a_server_that_is_killed(server: subprocess.Popen[bytes]) -> None:
    assert server.stdout is not None
    with trio.fail_after(60):
        await trio.lowlevel.wait_readable(server.stdout.fileno())
        (copy,) = map(os.pidfd_open, children_of(int(server.stdout.readline())))
        server.kill()
        await trio.lowlevel.wait_readable(copy)
        os.close(copy)


@pytest.mark.parametrize("manner", ["lying", "accusing"])
async def test_a_worker_that_names_another_process_as_its_copy_is_ended(drill: Open, manner: str) -> None:
    async with drill() as workers:
        worker = await workers.acquire()
        zygote = workers.zygote_pid
        await obeyed(worker, manner)
        with pytest.raises(WorkerDied, match=r"said something impossible: (process )?\d+ is no copy of"):
            await worker.checkpoint()
        await trio.lowlevel.wait_readable(worker._pidfd)  # it ends
        assert workers.zygote_pid == zygote
        await (await workers.acquire()).aclose()


async def test_a_worker_that_denies_its_copy_is_ended_with_it(
    drill: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[int] = []

    def look(pid: int) -> bool:
        copies.extend(os.pidfd_open(copy) for copy in children(worker))
        return may_have_children(pid)

    monkeypatch.setattr(process, "may_have_children", look)
    async with drill() as workers:
        worker = await workers.acquire()
        await obeyed(worker, "denying")
        with pytest.raises(WorkerDied, match="said something impossible"):
            await worker.checkpoint()
        (copy,) = copies
        await trio.lowlevel.wait_readable(copy)
        os.close(copy)


async def test_without_permits_a_fork_bomb_ends_at_a_number_and_with_its_worker(drill: Open) -> None:
    if not AS_ROOT:
        pytest.skip("processes of an ordinary user are counted together with those of these tests")
    async with drill("no-permits") as workers:
        assert workers.sandbox.forks == "counted"
        worker = await workers.acquire()
        assert 0 < await obeyed(worker, "bomb") < layers.MAX_OWN_PROCESSES
        bombs = [os.pidfd_open(pid) for pid in children(worker)]
        await worker.aclose()
        for bomb in bombs:
            await trio.lowlevel.wait_readable(bomb)
            os.close(bomb)


async def test_a_worker_that_computes_after_its_answer_is_ended(
    drill: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(idle, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(idle, "MOST_NS", 5_000_000)
    async with drill() as workers:
        honest, hostile = await workers.acquire(), await workers.acquire()
        await obeyed(honest, "environment")
        assert await obeyed(hostile, "go on") is None
        await trio.lowlevel.wait_readable(hostile._pidfd)
        assert honest.running()
    assert f"worker {hostile.number} computes while it is asked nothing" in caplog.text


# --- layers --------------------------------------------------------------------------------------


def kernel_file(worker: Worker, name: str) -> str:
    """What the kernel tells of the process."""
    return Path(f"/proc/{worker.pid}/{name}").read_text()


async def test_the_kernel_shows_what_is_in_force(drill: Open) -> None:
    async with drill() as workers:
        worker = await workers.acquire()
        shown, limits = kernel_file(worker, "status"), kernel_file(worker, "limits")
    assert "\nNoNewPrivs:\t1\n" in shown
    assert "\nSeccomp:\t2\n" in shown
    assert "\nCapEff:\t0000000000000000\n" in shown
    assert "\nCapPrm:\t0000000000000000\n" in shown
    hard = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
    assert hard["Max core file size"] == hard["Max file size"] == ["0", "0"]
    assert hard["Max open files"] == ["4", "4"]
    assert "unlimited" not in hard["Max address space"] + hard["Max data size"] + hard["Max stack size"]


@needs_root
async def test_each_worker_is_a_user_of_its_own_who_is_nobody_else(drill: Open) -> None:
    async with drill() as workers:
        assert workers.sandbox.user == "own"
        owners = []
        for worker in [await workers.acquire(), await workers.acquire()]:
            shown = kernel_file(worker, "status").splitlines()
            ids = {line.split(":")[0]: line.split(":")[1].split() for line in shown}
            assert len({*ids["Uid"], *ids["Gid"]}) == 1
            assert ids["Groups"] == []
            owners.append(int(ids["Uid"][0]))
    assert owners[0] != owners[1]
    assert all(owner in identity.USERS for owner in owners)


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("as-it-is", {"seccomp": True}),
        ("no-landlock", {"landlock_abi": 0}),
        ("no-permits", {"forks": "counted"}),
        pytest.param("root-alone", {"user": "root"}, marks=needs_root),
        pytest.param("ordinary-user", {"user": "server"}, marks=needs_root),
    ],
)
async def test_what_is_missing_is_told(drill: Open, variant: str, expected: dict[str, object]) -> None:
    async with drill(variant) as workers:
        told = msgspec.to_builtins(workers.sandbox)
    assert told.items() >= expected.items()


@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        ("no-landlock", "has no Landlock"),
        ("no-permits", "does not let the server permit each fork"),
        pytest.param("root-alone", "does not let root run workers as other users", marks=needs_root),
    ],
)
async def test_strict_refuses_to_start_without_a_layer(drill: Open, variant: str, reason: str) -> None:
    with pytest.raises(PlatformRefused, match=rf"--sandbox strict demands every layer.* {reason}"):
        async with drill(variant, mode="strict"):
            raise AssertionError("it started")


async def test_strict_starts_where_everything_is_there(drill: Open) -> None:
    if landlock.abi() == 0:
        pytest.skip("this kernel has no Landlock")
    async with drill(mode="strict") as workers:
        assert workers.sandbox.mode == "strict"


async def test_auto_refuses_to_start_without_a_filter_and_says_what_does_not(drill: Open) -> None:
    with pytest.raises(
        PlatformRefused, match=r"does not allow the sandbox: .*\(--sandbox off does without it\)"
    ):
        async with drill("no-seccomp"):
            raise AssertionError("it started")
    async with drill("no-seccomp", mode="off") as workers:
        assert workers.sandbox.mode == "off"


async def test_off_filters_nothing_and_says_so(drill: Open) -> None:
    async with drill(mode="off") as workers:
        found = await denied(workers, "harmless")
        told = workers.sandbox
    assert (told.seccomp, told.landlock_abi) == (False, 0)
    assert told.describe().startswith("off: ")
    assert found["open"] == "ok"


@pytest.mark.skipif(landlock.abi() == 0, reason="this kernel has no Landlock")
async def test_landlock_alone_denies_files_and_signals(drill: Open) -> None:
    async with drill("no-filter") as workers:
        found = await denied(workers, "harmless")
    assert found["open"] == found["create"] == found["listdir"] == errno.EACCES
    if landlock.abi() >= 6:
        assert found["kill the server"] == errno.EPERM
    assert found["local socket"] == "ok"  # without the filter, which shows that it was Landlock that denied


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the 32-bit entry is x86's")
async def test_a_call_by_another_architectures_numbers_kills(drill: Open) -> None:
    async with drill() as workers:
        worker = await workers.acquire()
        with pytest.raises(WorkerDied) as died:
            await obeyed(worker, "foreign")
    # SIGSEGV where the kernel was built without 32-bit emulation
    assert os.WTERMSIG(died.value.status) in (signal.SIGSYS, signal.SIGSEGV)
