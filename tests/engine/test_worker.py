"""One worker's protocol, with the test in the worker's place: a real process and a real socket, but
what is said on it, and when, is the test's choice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator

import msgspec
import pytest
import trio
import trio.testing

from engine.errors import WorkerFailed
from engine.events import Line, Outcome, Trace
from engine.isolate import wire
from engine.limits import Limits
from engine.worker import Worker, WorkerDied, allowance

FEW = Limits(console_bytes=1_000, result_chars=1, clock_reads=1)
RUN = wire.Run(seq=1, code="1", limits=FEW, start=0, seed=bytes(16))
DONE = wire.Done(
    outcome=Outcome(status="completed", result="1"),
    trace=Trace(start=0, seed=bytes(16)),
    digest=bytes(32),
    duration_us=1,
    cpu_us=1,
)
HELLO = (Line("log", "hello"),)


class Script:
    """A worker whose process does nothing, and the other end of its socket."""

    def __init__(self) -> None:
        ours, self.socket = socket.socketpair()
        ours.setblocking(False)
        self.socket.setblocking(False)
        self.process = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL)
        self.pidfd = os.pidfd_open(self.process.pid)
        self.reaped = trio.Event()
        self.forgotten: list[int] = []
        self.worker = Worker(7, self.process.pid, ours, self.pidfd, self.forgotten.append)

    async def ready(self) -> Worker:
        self.say(wire.Ready())
        await self.worker.wait_ready()
        return self.worker

    def say(self, *messages: wire.FromWorker) -> None:
        self.socket.sendall(b"".join(map(wire.encode, messages)))

    def hang_up(self) -> None:
        self.socket.close()

    async def reap(self) -> None:
        """What the zygote does: wait for the process, and report its end."""
        await trio.lowlevel.wait_readable(self.pidfd)
        self.process.wait()
        code = self.process.returncode
        self.worker.note_end(-code if code < 0 else code << 8)
        self.reaped.set()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.worker.note_end(signal.SIGKILL)
        self.socket.close()


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    script = Script()
    yield script
    script.end()
    await script.worker.aclose()
    assert script.forgotten == [7]  # closed exactly once


@pytest.fixture(autouse=True)
async def bounded(nursery: trio.Nursery) -> None:
    """No test of this module may wait for ever."""

    async def give_up() -> None:
        await trio.sleep(20)
        raise TimeoutError("the test took more than 20 s")

    nursery.start_soon(give_up)


class Stop(Exception):
    """Raised by a console callback, to leave a run in its middle."""


def stop(_lines: tuple[Line, ...]) -> None:
    raise Stop


async def test_a_run_delivers_console_and_returns_done(script: Script) -> None:
    worker = await script.ready()
    lines: list[Line] = []
    script.say(wire.Console(HELLO), wire.Console(HELLO), DONE)
    assert await worker.run(RUN, lines.extend) == DONE
    assert lines == [*HELLO, *HELLO]
    sent: wire.FrameBuffer[wire.Run] = wire.FrameBuffer(wire.Run)
    sent.feed(script.socket.recv(1 << 16))
    assert sent.next() == RUN


async def test_a_look_returns_what_was_seen_and_the_worker_goes_on(script: Script) -> None:
    worker = await script.ready()
    seen = wire.Seen((wire.Global("x", "lexical", "number", "1"),), more=0)
    script.say(seen, DONE)
    assert await worker.look(wire.Look(max_globals=1)) == seen
    assert await worker.run(RUN, stop) == DONE
    sent: wire.FrameBuffer[wire.ToWorker] = wire.FrameBuffer(wire.ToWorker)
    sent.feed(script.socket.recv(1 << 16))
    assert [sent.next(), sent.next()] == [wire.Look(max_globals=1), RUN]


async def test_a_look_that_is_given_up_leaves_a_worker_that_cannot_be_used(script: Script) -> None:
    worker = await script.ready()
    with trio.move_on_after(0):
        await worker.look(wire.Look())
    with pytest.raises(RuntimeError):
        await worker.look(wire.Look())


@pytest.mark.parametrize("said", [DONE, wire.Console(HELLO)])
async def test_a_look_answered_with_anything_else_is_a_crash(
    script: Script, nursery: trio.Nursery, said: wire.FromWorker
) -> None:
    worker = await script.ready()
    nursery.start_soon(script.reap)
    script.say(said)
    with pytest.raises(WorkerDied, match="where Seen was expected"):
        await worker.look(wire.Look())


async def test_a_look_may_not_be_answered_with_more_than_was_asked_for(
    script: Script, nursery: trio.Nursery
) -> None:
    worker = await script.ready()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(script.socket))

    async def flood() -> None:
        await stream.send_all(wire.MAX_FRAME.to_bytes(4, "little"))
        while True:
            await stream.send_all(bytes(100_000))

    nursery.start_soon(script.reap)
    nursery.start_soon(flood)
    with pytest.raises(WorkerDied, match="more than its limits allow"):
        await worker.look(wire.Look(max_globals=1))
    assert len(worker._frames._buffer) < 2 << 20
    nursery.cancel_scope.cancel()


async def test_a_worker_must_begin_with_ready(script: Script, nursery: trio.Nursery) -> None:
    nursery.start_soon(script.reap)
    script.say(DONE)
    with pytest.raises(WorkerDied, match="said Done"):
        await script.worker.wait_ready()


async def test_no_run_before_ready_and_none_after_a_broken_one(script: Script) -> None:
    with pytest.raises(RuntimeError):
        await script.worker.run(RUN, stop)
    worker = await script.ready()
    script.say(wire.Console(HELLO))
    with pytest.raises(Stop):
        await worker.run(RUN, stop)
    with pytest.raises(RuntimeError):
        await worker.run(RUN, stop)


async def test_a_complete_done_wins_over_a_later_death(script: Script) -> None:
    worker = await script.ready()
    script.say(wire.Console(HELLO), DONE)
    script.process.kill()
    await script.reap()
    script.hang_up()
    assert await worker.run(RUN, lambda _: None) == DONE


async def test_an_incomplete_done_is_a_death(script: Script) -> None:
    worker = await script.ready()
    script.socket.sendall(wire.encode(DONE)[:-1])
    script.process.send_signal(signal.SIGSEGV)
    await script.reap()
    script.hang_up()
    with pytest.raises(WorkerDied, match="SIGSEGV") as died:
        await worker.run(RUN, stop)
    assert (died.value.reason, died.value.status) == ("crashed", signal.SIGSEGV)


async def test_exit_70_is_out_of_memory(script: Script) -> None:
    worker = await script.ready()
    worker.note_end(wire.EXIT_OUT_OF_MEMORY << 8)
    script.hang_up()
    with pytest.raises(WorkerDied) as died:
        await worker.run(RUN, stop)
    assert died.value.reason == "out_of_memory"


async def test_a_kill_of_ours_is_told_from_a_crash(script: Script, nursery: trio.Nursery) -> None:
    worker = await script.ready()
    nursery.start_soon(script.reap)
    worker.kill()
    worker.kill()
    await script.reaped.wait()
    script.hang_up()
    with pytest.raises(WorkerDied) as died:
        await worker.run(RUN, stop)
    assert (died.value.reason, died.value.status) == ("killed", signal.SIGKILL)


async def test_a_worker_that_only_hangs_up_is_killed(script: Script, nursery: trio.Nursery) -> None:
    worker = await script.ready()
    nursery.start_soon(script.reap)
    script.hang_up()
    with pytest.raises(WorkerDied) as died:
        await worker.run(RUN, stop)
    assert died.value.reason == "crashed"
    assert script.process.returncode == -signal.SIGKILL


async def test_what_an_interrupted_run_still_said_is_collected(script: Script) -> None:
    worker = await script.ready()
    lines: list[Line] = []

    def note(new: tuple[Line, ...]) -> None:
        lines.extend(new)
        if len(lines) == 1:
            raise Stop

    script.say(wire.Console(HELLO))
    with pytest.raises(Stop):
        await worker.run(RUN, note)
    script.say(wire.Console(HELLO), DONE)
    script.hang_up()
    assert await worker.kill_and_collect() == DONE
    assert lines == [*HELLO, *HELLO]


async def test_collecting_without_done_returns_none(script: Script) -> None:
    worker = await script.ready()
    script.say(wire.Console(HELLO))
    with pytest.raises(Stop):
        await worker.run(RUN, stop)
    script.socket.sendall(wire.encode(DONE)[:20])
    script.hang_up()
    assert await worker.kill_and_collect() is None


async def test_collecting_is_not_interrupted_by_cancellation(script: Script) -> None:
    worker = await script.ready()
    script.say(wire.Console(HELLO))
    with pytest.raises(Stop):
        await worker.run(RUN, stop)
    script.say(DONE)
    script.hang_up()
    with trio.CancelScope() as scope:
        scope.cancel()
        assert await worker.kill_and_collect() == DONE


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xff\xff\xff\xff",
        b"\x01\x00\x00\x00\xc1",
        b"\x00\x00\x00\x00",
        b"\x03\x00\x00\x00\x93\x01\x02",
        (10_000).to_bytes(4, "little") + b"\x91" * 10_000,
        (10_014).to_bytes(4, "little") + b"\x82\xa4type\xa5ready\xa1x" + b"\x91" * 10_000,
        b"\x1c\x00\x00\x00\x82\xa4type\xa7console\xa5lines\x91\x92\xa3log\xa1\xff",
    ],
)
async def test_nonsense_kills_the_worker(script: Script, nursery: trio.Nursery, nonsense: bytes) -> None:
    worker = await script.ready()
    nursery.start_soon(script.reap)
    script.socket.sendall(nonsense)
    with pytest.raises(WorkerDied) as died:
        await worker.run(RUN, stop)
    assert died.value.reason == "crashed"
    assert isinstance(died.value.__cause__, WorkerFailed)
    await script.reaped.wait()


@pytest.mark.parametrize("message", [wire.Console(HELLO * 100), wire.Console(())])
async def test_an_endless_console_ends_the_worker(
    script: Script, nursery: trio.Nursery, message: wire.Console
) -> None:
    worker = await script.ready()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(script.socket))
    received = 0

    async def flood() -> None:
        chunk = wire.encode(message) * (100_000 // len(wire.encode(message)))
        while True:
            await stream.send_all(chunk)

    def count(lines: tuple[Line, ...]) -> None:
        nonlocal received
        received += sum(len(line.text) for line in lines)

    nursery.start_soon(script.reap)
    nursery.start_soon(flood)
    with pytest.raises(WorkerDied, match="more than its limits allow") as died:
        await worker.run(RUN, count)
    nursery.cancel_scope.cancel()
    assert died.value.reason == "crashed"
    assert received <= allowance(FEW)


@pytest.mark.parametrize("length", [0, 31, 33, 1_000_000])
async def test_a_digest_of_another_length_is_no_answer(script: Script, length: int) -> None:
    worker = await script.ready()
    whole = wire.encode(msgspec.structs.replace(DONE, digest=bytes(length)))
    script.socket.setblocking(True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, script.socket.sendall, whole)
        with pytest.raises(WorkerDied, match="no message"):
            await worker.run(RUN, stop)


@pytest.mark.parametrize("line", [Line("log", ""), Line("log", "x" * 100)])
async def test_more_console_than_the_limit_is_never_delivered(script: Script, line: Line) -> None:
    worker = await script.ready()
    told: list[Line] = []
    script.say(wire.Console((line,) * 7), wire.Console((line,) * 40), DONE)
    with pytest.raises(WorkerDied, match="printed more than its limits allow"):
        await worker.run(RUN, told.extend)
    assert told == [line] * 7


async def test_an_endless_frame_takes_no_endless_memory(script: Script, nursery: trio.Nursery) -> None:
    worker = await script.ready()
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(script.socket))

    async def flood() -> None:
        await stream.send_all(wire.MAX_FRAME.to_bytes(4, "little"))
        while True:
            await stream.send_all(bytes(100_000))

    nursery.start_soon(script.reap)
    nursery.start_soon(flood)
    with pytest.raises(WorkerDied, match="more than its limits allow"):
        await worker.run(RUN, stop)
    assert len(worker._frames._buffer) <= allowance(FEW)
    nursery.cancel_scope.cancel()


async def test_a_worker_that_does_not_read_can_be_cancelled_and_closed(
    script: Script, nursery: trio.Nursery
) -> None:
    worker = await script.ready()
    run = wire.Run(seq=1, code="x" * (8 << 20), limits=Limits(), start=0, seed=bytes(16))
    async with trio.open_nursery() as inner:
        inner.start_soon(worker.run, run, stop)
        await trio.testing.wait_all_tasks_blocked()
        inner.cancel_scope.cancel()
    assert inner.cancel_scope.cancelled_caught
    nursery.start_soon(script.reap)
    await worker.aclose()
    await worker.aclose()
    assert script.forgotten == [7]
    assert script.process.returncode == -signal.SIGKILL


async def test_a_long_message_arrives_whole(script: Script, nursery: trio.Nursery) -> None:
    worker = await script.ready()
    run = wire.Run(seq=1, code="x" * (8 << 20), limits=Limits(), start=0, seed=bytes(16))
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(script.socket))

    async def answer() -> None:
        frames: wire.FrameBuffer[wire.Run] = wire.FrameBuffer(wire.Run)
        while (received := frames.next()) is None:
            frames.feed(await stream.receive_some(1 << 16))
        assert received == run
        await stream.send_all(wire.encode(DONE))

    nursery.start_soon(answer)
    assert await worker.run(run, stop) == DONE


async def test_closing_wakes_a_run_in_another_task(script: Script, nursery: trio.Nursery) -> None:
    worker, ended = await script.ready(), trio.Event()

    async def run() -> None:
        with pytest.raises(WorkerDied) as died:
            await worker.run(RUN, stop)
        assert died.value.reason == "killed"
        ended.set()

    nursery.start_soon(run)
    await trio.testing.wait_all_tasks_blocked()
    nursery.start_soon(script.reap)
    await worker.aclose()
    await ended.wait()
