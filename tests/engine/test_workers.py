"""The pool on real processes: V8, sandbox, zygote, kernel."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
from backports import zstd

from engine import workers as pool
from engine.errors import Unavailable, WorkerFailed
from engine.events import Line
from engine.isolate import process, wire, zygote_wire
from engine.limits import Limits
from engine.workers import Worker, WorkerDied, Workers, open_workers

pytestmark = pytest.mark.own_zygote  # counts this process's children

BUDGET_MB = 512
PR_SET_CHILD_SUBREAPER = 36


def code(text: str, *, heap_mb: int = 64) -> wire.Run:
    return wire.Run(
        seq=1, code=text, limits=Limits(heap_mb=heap_mb), start=17_000_000_000_000, seed=bytes(16)
    )


async def value(worker: Worker, text: str) -> str | None:
    return (await worker.run(code(text), lambda _: None)).outcome.result


def descriptors() -> set[str]:
    """Open descriptors of this process and what they are."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.add(f"{entry.name} {entry.readlink()}")
    return found


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """No process and no descriptor more after the block than before."""
    before = descriptors(), children()
    yield
    assert (descriptors(), children()) == before


def environment(pid: int) -> set[str]:
    """Names of the variables that the process was started with."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return {entry.partition("=")[0] for entry in entries if entry}


def open_files(pid: int) -> dict[str, str]:
    """What the descriptors of the process are."""
    return {entry.name: str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}


def exists(pid: int) -> bool:
    """Whether there is such a process, be it a zombie."""
    return Path(f"/proc/{pid}").exists()


async def until_dead(pid: int) -> None:
    """Until the process has ended, whoever's child it is."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await trio.lowlevel.wait_readable(pidfd)
    finally:
        os.close(pidfd)


@pytest.fixture
async def workers(cache_dir: Path) -> AsyncIterator[Workers]:
    with trio.fail_after(60):
        async with open_workers(cache_dir=cache_dir, spares=1, data_budget_mb=BUDGET_MB) as workers:
            yield workers


async def test_a_worker_runs_code_and_remembers(workers: Workers) -> None:
    worker = await workers.acquire()
    lines: list[Line] = []
    await worker.run(code("let n = 41; console.log('hello')"), lines.extend)
    assert lines == [Line("log", "hello")]
    assert await value(worker, "n + 1") == "42"


async def test_a_worker_can_be_looked_at_before_and_between_runs(workers: Workers) -> None:
    worker = await workers.acquire()
    assert await worker.look(wire.Look()) == wire.Seen((), more=0)
    await value(worker, "let n = 41; class Foo {} var foo = new Foo()")
    seen = await worker.look(wire.Look(max_globals=2, preview_chars=20))
    assert [(one.name, one.type) for one in seen.globals] == [("n", "number"), ("Foo", "class")]
    assert seen.more == 1
    assert await value(worker, "n + 1") == "42"


async def test_every_worker_is_another_one(workers: Workers) -> None:
    acquired: list[Worker] = []

    async def acquire() -> None:
        acquired.append(await workers.acquire())

    async with trio.open_nursery() as nursery:
        for _ in range(8):  # more at once than spares, and than forks that may be asked for at once
            nursery.start_soon(acquire)
    assert len({worker.pid for worker in acquired}) == 8
    for worker in acquired:
        await worker.run(code("globalThis.mine = 1"), lambda _: None)
    assert await value(await workers.acquire(), "typeof mine") == "'undefined'"


async def test_a_killed_worker_is_reaped_and_its_run_told(workers: Workers) -> None:
    worker = await workers.acquire()
    live = workers.live

    def kill(_lines: tuple[Line, ...]) -> None:
        worker.kill()

    with pytest.raises(WorkerDied) as died:
        await worker.run(code("console.log(1); for (;;);"), kill)
    assert (died.value.reason, died.value.status) == ("killed", signal.SIGKILL)
    assert not worker.alive
    assert workers.live <= live  # the spare that replaces it may be there
    assert not exists(worker.pid)


async def test_cancelling_an_endless_loop_keeps_its_console(workers: Workers) -> None:
    worker = await workers.acquire()
    lines: list[Line] = []
    seen = trio.Event()

    def note(new: tuple[Line, ...]) -> None:
        lines.extend(new)
        seen.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker.run, code("console.log('going'); for (;;);"), note)
        await seen.wait()
        nursery.cancel_scope.cancel()
    assert await worker.kill_and_collect() is None
    assert lines == [Line("log", "going")]
    await worker.aclose()
    assert not exists(worker.pid)


async def test_a_full_heap_is_told_as_out_of_memory(workers: Workers) -> None:
    worker = await workers.acquire()
    with pytest.raises(WorkerDied) as died:
        await worker.run(code("const a = []; for (;;) a.push(new Array(1000).fill(0))", heap_mb=16), print)
    assert died.value.reason == "out_of_memory"


async def test_a_worker_sees_nothing_of_the_server(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_V8_TEST_SECRET", "swordfish")
    secret = os.open("/dev/zero", os.O_RDONLY)
    os.set_inheritable(secret, True)
    try:
        async with open_workers(cache_dir=cache_dir, data_budget_mb=BUDGET_MB) as workers:
            worker = await workers.acquire()
            for pid in (worker.pid, workers.zygote_pid):
                assert environment(pid) == {"TZ", "LANG", "LC_ALL"}
            links = open_files(worker.pid)
            assert links.pop("3").startswith("socket:")
            assert links == dict.fromkeys("01", "/dev/null")
    finally:
        os.close(secret)


async def test_a_worker_is_confined(workers: Workers) -> None:
    worker = await workers.acquire()
    process = Path(f"/proc/{worker.pid}")
    status = (process / "status").read_text()
    assert "\nSeccomp:\t2\n" in status
    assert "\nNoNewPrivs:\t1\n" in status
    assert "\nThreads:\t1\n" in status
    assert (process / "oom_score_adj").read_text() == "1000\n"


async def test_received_descriptors_do_not_survive_an_exec(workers: Workers) -> None:
    worker = await workers.acquire()
    assert not os.get_inheritable(worker._socket.fileno())
    assert not os.get_inheritable(worker._pidfd)


async def test_signals_of_a_terminal_or_service_manager_pass(workers: Workers) -> None:
    worker = await workers.acquire()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        os.killpg(workers.zygote_pid, number)
    assert await value(worker, "1 + 1") == "2"
    assert await value(await workers.acquire(), "1 + 1") == "2"


async def test_a_dead_zygote_is_replaced_and_takes_its_workers_along(workers: Workers) -> None:
    worker = await workers.acquire()
    zygote = workers.zygote_pid

    def kill_zygote(_lines: tuple[Line, ...]) -> None:
        os.kill(zygote, signal.SIGKILL)

    with pytest.raises(WorkerDied) as died:
        await worker.run(code("console.log(1); for (;;);"), kill_zygote)
    assert died.value.reason == "crashed"
    await until_dead(worker.pid)
    successor = await workers.acquire()
    assert workers.zygote_pid != zygote
    assert await value(successor, "1 + 1") == "2"


@pytest.fixture
def first_process() -> Iterator[None]:
    """Orphans become children of this process, as of a container's first one."""
    process.prctl(PR_SET_CHILD_SUBREAPER, 1)
    yield
    process.prctl(PR_SET_CHILD_SUBREAPER, 0)


@pytest.mark.usefixtures("first_process")
async def test_a_dead_zygote_leaves_no_zombies_to_a_first_process(workers: Workers) -> None:
    zygote, worker = workers.zygote_pid, await workers.acquire()
    os.kill(zygote, signal.SIGKILL)
    await worker._ended.wait()
    await (await workers.acquire()).aclose()  # the next zygote is there
    assert workers.zygote_pid != zygote
    assert not exists(worker.pid)
    assert not exists(zygote)


async def test_an_idle_worker_whose_zygote_died_is_of_no_use(workers: Workers) -> None:
    worker = await workers.acquire()
    os.kill(workers.zygote_pid, signal.SIGKILL)
    await until_dead(worker.pid)
    with pytest.raises(WorkerDied):
        await worker.run(code("1"), lambda _: None)


async def test_a_dead_spare_is_not_handed_out(workers: Workers) -> None:
    with trio.fail_after(10):
        while workers._handed_out.statistics().current_buffer_used == 0:
            await trio.lowlevel.checkpoint()
    (spare,) = workers._workers.values()
    os.kill(spare.pid, signal.SIGKILL)
    await spare._ended.wait()
    worker = await workers.acquire()
    assert worker is not spare
    assert await value(worker, "1 + 1") == "2"


async def test_a_zygote_that_dies_too_often_is_given_up(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_RESTARTS", 0)
    given_up = pytest.RaisesGroup(pytest.RaisesExc(WorkerFailed, match="died 1 times in a row"))
    with nothing_left(), trio.fail_after(30), given_up:
        async with open_workers(cache_dir=cache_dir, data_budget_mb=BUDGET_MB) as workers:
            os.kill(workers.zygote_pid, signal.SIGKILL)
            await trio.sleep_forever()


async def test_a_snapshot_that_is_larger_than_a_worker_may_be_costs_only_the_worker_that_unpacks_it(
    workers: Workers,
) -> None:
    maker = await workers.acquire()
    await value(maker, "1")
    copy = await maker.checkpoint()
    fingerprint = (await copy.snapshot())[:16]
    compressor = zstd.ZstdCompressor()
    block = bytes(1 << 24)
    zeros = b"".join([compressor.compress(block) for _ in range(4 * BUDGET_MB // 16)]) + compressor.flush()
    assert len(zeros) < 1 << 20
    victim = await workers.acquire()
    with pytest.raises(WorkerDied) as died:
        await victim.restore(fingerprint + zeros)
    assert not died.value.lost
    assert await value(maker, "1 + 1") == "2"


async def test_a_bad_message_does_not_hurt_the_zygote(workers: Workers) -> None:
    no_text = b"\x81\xa4type\xa4\xff\xff\xff\xff"
    for packet in (b"\xc1", no_text, b"\x00" * 70_000, zygote_wire.encode(zygote_wire.Exited(1, 2))):
        workers._zygote._control.send(packet)
    zygote = workers.zygote_pid
    taken = [await workers.acquire() for _ in range(3)]
    assert await value(taken[-1], "1 + 1") == "2"
    assert workers.zygote_pid == zygote


async def test_a_fork_that_fails_is_reported_and_not_fatal(workers: Workers) -> None:
    spare = await workers.acquire()
    zygote = workers.zygote_pid
    while workers._forking:
        await trio.lowlevel.checkpoint()
    soft, hard = resource.prlimit(zygote, resource.RLIMIT_NOFILE)
    resource.prlimit(zygote, resource.RLIMIT_NOFILE, (3, hard))
    await workers.acquire()  # the last spare
    with pytest.raises(Unavailable, match="no worker could be started"):
        await workers.acquire()
    resource.prlimit(zygote, resource.RLIMIT_NOFILE, (soft, hard))
    assert await value(await workers.acquire(), "1 + 1") == "2"
    assert workers.zygote_pid == zygote
    await spare.aclose()


async def test_nothing_is_left_behind(cache_dir: Path) -> None:
    with nothing_left():
        async with open_workers(cache_dir=cache_dir, data_budget_mb=BUDGET_MB) as workers:
            used, closed = await workers.acquire(), await workers.acquire()
            await value(used, "1")
            await closed.aclose()
            pids = [used.pid, closed.pid, workers.zygote_pid]
        assert not any(exists(pid) for pid in pids)
        with pytest.raises(Unavailable, match="stopping"):
            await workers.acquire()


async def test_nothing_is_left_behind_by_a_cancelled_run(cache_dir: Path) -> None:
    with nothing_left():
        with trio.CancelScope() as scope:
            async with open_workers(cache_dir=cache_dir, data_budget_mb=BUDGET_MB) as workers:
                worker = await workers.acquire()
                await worker.run(code("console.log(1); for (;;);"), lambda _: scope.cancel())
        assert scope.cancelled_caught


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.1, 0.2, 0.3, 0.4])
async def test_nothing_is_left_behind_by_a_cancelled_start(
    cache_dir: Path, seconds: float, capfd: pytest.CaptureFixture[str]
) -> None:
    with nothing_left():
        with trio.move_on_after(seconds):
            async with open_workers(cache_dir=cache_dir, data_budget_mb=BUDGET_MB) as workers:
                while True:
                    await workers.acquire()
    assert capfd.readouterr().err == ""


async def test_nothing_is_left_behind_when_cancelled_while_a_zygote_is_replaced(cache_dir: Path) -> None:
    with nothing_left():
        async with open_workers(cache_dir=cache_dir, data_budget_mb=BUDGET_MB) as workers:
            os.kill(workers.zygote_pid, signal.SIGKILL)
            await until_dead(workers.zygote_pid)
            with trio.move_on_after(0.05):
                while True:
                    await workers.acquire()


SERVER = """
import sys, trio
from pathlib import Path
from engine.workers import open_workers
async def main():
    async with open_workers(cache_dir=Path(sys.argv[1]), spares=1, data_budget_mb=512) as workers:
        worker = await workers.acquire()
        print(workers.zygote_pid, worker.pid, flush=True)
        await trio.sleep_forever()
trio.run(main)
"""


@pytest.fixture
def server(cache_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server of its own; it prints the pids of its zygote and of a worker."""
    server = subprocess.Popen([sys.executable, "-c", SERVER, cache_dir], stdout=subprocess.PIPE)
    yield server
    server.kill()
    server.communicate()


async def test_everything_ends_with_a_server_that_is_killed(server: subprocess.Popen[bytes]) -> None:
    assert server.stdout is not None
    with trio.fail_after(30):
        await trio.lowlevel.wait_readable(server.stdout.fileno())
        zygote, worker = (int(pid) for pid in server.stdout.readline().split())
        server.kill()
        await until_dead(zygote)
        await until_dead(worker)
