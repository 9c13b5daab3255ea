"""The server's end of one worker process: run code in it, kill it, close it.

A worker is used by one task at a time. It serves any number of runs, one after the other, until it
dies, is killed, or a run does not return (cancelled or failed half-way): from then on it can only be
killed, asked for what it said last, and closed.

Two sources tell its end, in no order: the end of its socket (nothing more will be said) and the
zygote's report (why). A ``Done`` that is complete in the socket counts, whatever came after it.
"""

from __future__ import annotations

import array
import contextlib
import mmap
import os
import select
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal, TypeVar

import trio

from engine.copies import CheckpointDeclined, Copy
from engine.errors import WorkerFailed
from engine.events import Line
from engine.isolate import copy_wire, process, wire
from engine.isolate.sandbox import forks
from engine.limits import MIB, Limits

CLOSE_SECONDS: Final = 1.0
"""How long a killed process may take to be gone, and the zygote to tell: longer than they do."""
_CHUNK: Final = 1 << 16
LINE_COST: Final = 32
CUT_MARK: Final = 64
"""What a console line takes of the limit beside its text, and room for the mark of one that was cut: see
``console.js``."""
_CPU_CLOCK: Final = 2
"""CPUCLOCK_SCHED, by which the kernel names the clock of a process (include/linux/posix-timers_types.h): what
all its threads have used, to the nanosecond. The C library has it as clock_getcpuclockid(3)."""

DeathReason = Literal["out_of_memory", "crashed", "killed"]
OnConsole = Callable[[tuple[Line, ...]], None]
A = TypeVar("A")


class WorkerDied(WorkerFailed):
    """The worker ended before it had said that its run was over; the run's effects are lost.

    ``status`` is its wait status (SIGKILL's where nobody could know). ``reason`` is ``killed`` for
    ``Worker.kill``, ``out_of_memory`` where V8 or an allocator gave up, else ``crashed``.
    """

    def __init__(self, number: int, status: int, reason: DeathReason, detail: str | None = None) -> None:
        super().__init__(f"worker {number} {detail or _how(status)}")
        self.status = status
        self.reason: DeathReason = reason
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        self.lost = killed and detail is None
        """Whether it was killed from outside (with its zygote, by an operator, by the kernel): not the
        doing of the code that it ran."""


def allowance(limits: Limits) -> int:
    """Bytes that a worker which keeps ``limits`` can need for one run's answer, generously.

    A console line costs less to send than it takes of the limit, a character four in each of two texts, a
    run of the clock trace two integers; an error, and the timers that fired, are small. A worker that sends
    more is no longer ours. Decoded, lines without text take ten times as much.
    """
    return 4 * MIB + 2 * limits.console_bytes + 8 * limits.result_chars + 18 * limits.clock_reads


def _look_allowance(message: wire.Look) -> int:
    return MIB + message.max_globals * (4 * message.preview_chars + 4 * 1024)


class Worker:
    """A sandboxed process with a live isolate.

    Owns ``sock`` and ``pidfd``; ``forget`` is called once, when they have been closed.
    """

    def __init__(
        self, number: int, pid: int, sock: socket.socket, pidfd: int, forget: Callable[[int], object]
    ) -> None:
        self.number = number
        self.pid = pid
        self.asked = 0
        """How often it was asked anything."""
        self._socket = sock
        self._pidfd = pidfd
        self._process_ended = select.poll()
        self._process_ended.register(pidfd, select.POLLIN)
        self._cpu_clock = (~pid << 3) | _CPU_CLOCK
        self._forget = forget
        self._frames: wire.FrameBuffer[wire.FromWorker] = wire.FrameBuffer(wire.FromWorker)
        self._allowance = MIB
        self._console_room = 0
        self._on_console: OnConsole = _drop
        self._usable = False
        self._verdict: DeathReason | None = None
        self._detail: str | None = None
        self._status = signal.SIGKILL.value
        self._ended = trio.Event()
        self._closed = False
        self._has_begun = False
        self._listener: int | None = None
        """Where its forks wait for permission; see ``engine.isolate.sandbox.forks``."""

    @property
    def alive(self) -> bool:
        """Whether its end has not been reported yet."""
        return not self._ended.is_set()

    @property
    def is_free(self) -> bool:
        """Whether it is in no run, and was not left in the middle of one."""
        return self._usable

    def running(self) -> bool:
        """Whether the process is there now; the kernel knows of its end before the zygote tells."""
        if self._closed or not self.alive:
            return False
        return not self._process_ended.poll(0)

    def cpu_ns(self) -> int | None:
        """CPU time that the process has used, as the kernel counts it, in ns; None once it has ended."""
        used = self.clock_ns()
        return used if self.running() else None  # else its number may be another one's by now

    def clock_ns(self) -> int | None:
        """The same, of a process that is known to be there."""
        try:
            return time.clock_gettime_ns(self._cpu_clock)
        except OSError:
            return None

    def data_bytes(self) -> int | None:
        """Private writable memory of the process, used or not, and its stack; None where nobody knows.

        The sixth number in /proc/PID/statm, in pages.
        """
        pages = self._number("statm", 5)
        return pages * mmap.PAGESIZE if pages is not None and self.running() else None

    def waited_ns(self) -> int | None:
        """Time for which the process could have run but had no processor, in ns; None where nobody knows.

        The second number in /proc/PID/schedstat, which is run_delay of the kernel's struct sched_info. Where
        it is not counted it is 0, or there is no such file.
        """
        return self._number("schedstat", 1) or None

    def pause(self) -> None:
        """Let the process not run, until ``resume``. Also then it can be killed, and what it said be read."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the process run again; no effect on one that does."""
        self._signal(signal.SIGCONT)

    async def wait_ready(self) -> None:
        """Until the worker says that it can run code. Raises WorkerDied."""
        try:
            message = await self._receive()
            if isinstance(message, wire.Listener):
                message = await self._receive()
            if message is not None and not isinstance(message, wire.Ready):
                raise WorkerFailed(f"said {type(message).__name__} where Ready was expected")  # noqa: TRY301
        except (WorkerFailed, trio.ClosedResourceError) as broken:
            raise self._translate(broken) from broken
        if message is None:
            raise await self._death()
        self._usable = True

    async def run(self, message: wire.Run, on_console: OnConsole) -> wire.Done:
        """Run code; ``on_console`` is called with its console lines as they come.

        Raises WorkerDied. If it is cancelled, or ``on_console`` raises, the worker cannot be used
        again, only ``kill_and_collect`` and ``aclose``.
        """
        self._on_console = on_console
        self._console_room = message.limits.console_bytes + CUT_MARK
        return await self._ask(message, allowance(message.limits), self._receive_done)

    async def look(self, message: wire.Look) -> wire.Seen:
        """The session's variables, between two runs; leaves no trace in the session.

        Raises WorkerDied. Looking takes as long as what is looked at is large: bound it with a cancel
        scope. If it is cancelled, the worker cannot be used again.
        """
        return await self._ask(message, _look_allowance(message), self._receive_one(wire.Seen))

    async def restore(self, snapshot: bytes) -> None:
        """Begin in the state of a snapshot; to be asked of a worker that has run nothing.

        Raises WorkerDied, also where it is a snapshot that V8 cannot restore. Bound it with a cancel scope.
        """
        await self._ask(wire.Restore(snapshot), MIB, self._receive_one(wire.Restored))

    async def renew(self) -> None:
        """Let nothing be left in it of what it has run; to be asked of a worker that holds no session.

        Raises WorkerDied. Bound it with a cancel scope.
        """
        await self._ask(wire.Renew(), MIB, self._receive_one(wire.Renewed))

    async def checkpoint(self) -> Copy:
        """Fork a copy that makes a snapshot, between two runs: the worker is free again when this returns.

        Raises WorkerDied, and CheckpointDeclined where there can be no copy.
        """
        try:
            source, sink = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as failed:
            raise CheckpointDeclined(f"the server has no descriptors for it: {failed.strerror}") from failed
        try:
            os.set_blocking(sink, True)
            forked = await self._ask(wire.Checkpoint(), MIB, self._receive_forked, sink)
            pidfd = self._open_copy(forked)
        except BaseException:
            os.close(source)
            raise
        finally:
            os.close(sink)
        return Copy(source, pidfd)

    async def _ask(
        self,
        message: wire.ToWorker,
        allowance: int,
        receive: Callable[[], Awaitable[A | None]],
        *descriptors: int,
    ) -> A:
        """Send one message and receive all that answers it, at most ``allowance`` bytes."""
        if not self._usable:
            raise RuntimeError(f"worker {self.number} is in a run, or was left in the middle of one")
        self._usable = False
        self.asked += 1
        self._allowance = allowance
        try:
            await self._send(wire.encode(message), descriptors)
            answer = await receive()
        except (WorkerFailed, trio.ClosedResourceError) as broken:
            raise self._translate(broken) from broken
        if answer is None:
            raise await self._death()
        self._usable = True
        return answer

    def kill(self) -> None:
        """Send SIGKILL, if the process has not ended yet. May be called any number of times."""
        if self.alive and self._verdict is None:
            self._verdict = "killed"
        self._signal()

    async def kill_and_collect(self) -> wire.Done | None:
        """Kill; then what the interrupted run had still said: its ``Done`` if that is complete.

        Console lines before it go to the run's ``on_console``. Not interrupted by cancellation, and
        takes no longer than the kernel needs to end a process (bounded by ``CLOSE_SECONDS``).
        """
        self.kill()
        self._usable = False
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            try:
                return await self._receive_done()
            except (WorkerFailed, trio.ClosedResourceError) as broken:
                self._translate(broken)  # what it said last was no message; it is dead already
        return None

    async def aclose(self) -> None:
        """Kill, wait until it has ended and been reaped, and close the descriptors.

        Not interrupted by cancellation; bounded by ``CLOSE_SECONDS``. Further calls do nothing.
        """
        self.kill()
        with trio.move_on_after(CLOSE_SECONDS, shield=True):
            await self._ended.wait()  # in vain where the zygote's client has been cancelled already
        self._close()

    def note_end(self, status: int) -> None:
        """For the zygote's client: the process was reaped with this wait status."""
        self._status = status
        self._ended.set()

    async def bury(self) -> None:
        """For the zygote's client, when the zygote is dead: see to it that the worker is, too."""
        if not self.alive:
            return
        self._signal()
        with trio.move_on_after(CLOSE_SECONDS):
            await trio.lowlevel.wait_readable(self._pidfd)
        self._reap_orphan()
        self.note_end(signal.SIGKILL)

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._usable = False
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()
        os.close(self._pidfd)
        if self._listener is not None:
            trio.lowlevel.notify_closing(self._listener)
            os.close(self._listener)
        self._forget(self.number)

    def _number(self, file: str, index: int) -> int | None:
        """One of the numbers in a file that the kernel has for the process; None if it is not there."""
        try:
            descriptor = os.open(f"/proc/{self.pid}/{file}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return int(os.read(descriptor, 100).split()[index])
        except (OSError, ValueError, IndexError):
            return None
        finally:
            os.close(descriptor)

    def _signal(self, number: signal.Signals = signal.SIGKILL) -> None:
        if not self._closed:
            process.send_signal(self._pidfd, number)

    def _reap_orphan(self) -> None:
        """Where this process is a container's first one, orphans become its children."""
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)

    async def _send(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send it all; ``descriptors`` go with the first byte."""
        rest = memoryview(data)
        rights = array.array("i", descriptors)
        while rest:
            try:
                ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else ()
                sent = self._socket.sendmsg([rest], ancillary)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket)
            except ConnectionError:
                return  # it has ended; what it said last is still to be read
            else:
                rest = rest[sent:]
                rights = array.array("i")

    async def _receive_done(self) -> wire.Done | None:
        """Pass console on until Done; None at the end of the socket."""
        while True:
            match await self._receive():
                case wire.Console(lines):
                    self._console_room -= sum([LINE_COST + len(line.text) for line in lines])
                    if self._console_room < 0:
                        raise WorkerFailed("printed more than its limits allow")
                    self._on_console(lines)
                case wire.Done() | None as end:
                    return end
                case other:
                    raise WorkerFailed(f"said {type(other).__name__} where Done was expected")

    def _receive_one(self, kind: type[A]) -> Callable[[], Awaitable[A | None]]:
        """Receives a message of that kind; None at the end of the socket."""

        async def receive() -> A | None:
            message = await self._receive()
            if message is not None and not isinstance(message, kind):
                raise WorkerFailed(f"said {type(message).__name__} where {kind.__name__} was expected")
            return message

        return receive

    async def _receive_forked(self) -> wire.Forked | None:
        """Permit the fork, and receive what came of it."""
        while self._listener is not None:
            await trio.lowlevel.wait_readable(self._listener)  # also where its process has ended
            if not self.running() or forks.answer(self._listener, self.pid):
                break
        return await self._receive_one(wire.Forked)()

    def _open_copy(self, forked: wire.Forked) -> int | None:
        """A pidfd of the copy; None if it has ended. Raises WorkerDied, CheckpointDeclined."""
        try:
            if forked.failure is None:
                return process.open_copy(forked.pid, self.pid)
            if process.may_have_children(self.pid):  # nobody would watch it, and end it
                raise ChildProcessError("it has a copy, and has none")  # noqa: TRY301
        except ChildProcessError as lie:
            self._usable = False
            raise self._translate(WorkerFailed(f"said something impossible: {lie}")) from lie
        except OSError as failed:
            self.kill()  # the copy goes with it
            raise CheckpointDeclined(f"the server has no descriptors for it: {failed.strerror}") from failed
        raise CheckpointDeclined(copy_wire.printable(forked.failure) or "its worker gave no reason")

    async def _receive(self) -> wire.FromWorker | None:
        """The next message; None at the end of the socket."""
        while (message := self._frames.next()) is None:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                chunk = self._recv()
            except BlockingIOError:
                continue
            except ConnectionError:
                return None
            if not chunk:
                return None
            self._allowance -= len(chunk)
            if self._allowance < 0:
                raise WorkerFailed("sent more than its limits allow")
            self._frames.feed(chunk)
        return message

    def _recv(self) -> bytes:
        """What there is to receive; a descriptor that comes with the first of it is the listener."""
        if self._has_begun:
            return self._socket.recv(_CHUNK)
        self._has_begun = True
        chunk, listeners, _, _ = socket.recv_fds(self._socket, _CHUNK, 1, socket.MSG_CMSG_CLOEXEC)
        for listener in listeners:
            self._listener = listener
        return chunk

    def _translate(self, broken: WorkerFailed | trio.ClosedResourceError) -> WorkerDied:
        """Kill a worker that breaks the protocol: to its user, it crashed."""
        if isinstance(broken, trio.ClosedResourceError):
            return self._obituary()
        self._verdict, self._detail = "crashed", broken.message
        self._signal()
        return WorkerDied(self.number, signal.SIGKILL, "crashed", broken.message)

    async def _death(self) -> WorkerDied:
        """After the end of the socket: a worker that only closed it is dead, too."""
        self._signal()
        await self._ended.wait()
        return self._obituary()

    def _obituary(self) -> WorkerDied:
        return WorkerDied(self.number, self._status, self._why(), self._detail)

    def _why(self) -> DeathReason:
        if os.WIFEXITED(self._status) and os.WEXITSTATUS(self._status) == wire.EXIT_OUT_OF_MEMORY:
            return "out_of_memory"
        return self._verdict or "crashed"


def _how(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"ended with status {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"


def _drop(_lines: tuple[Line, ...]) -> None:
    """Console of no run: nobody asked."""
