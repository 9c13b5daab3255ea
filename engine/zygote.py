"""The server's end of the zygote process: start it, ask it for workers, hear of their ends."""

from __future__ import annotations

import array
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import trio

from engine.errors import PlatformRefused, WorkerFailed
from engine.isolate import zygote_wire as wire
from engine.isolate.sandbox.layers import Layers, Mode
from engine.placement import Placement
from engine.worker import CLOSE_SECONDS, Worker

BOOT_SECONDS: Final = 60.0
ZYGOTE: Final = ("-m", "engine.isolate.zygote")
"""What Python runs."""

# All that the zygote and its workers see of an environment: V8 and ICU take time zone and locale
# from it, and they are part of what makes executions repeatable.
ENVIRONMENT: Final = {"TZ": "UTC", "LANG": "en_US.UTF-8", "LC_ALL": "en_US.UTF-8"}

_log = logging.getLogger(__name__)

OnForked = Callable[[Worker], None]
OnForkFailed = Callable[[int, str], None]


class Zygote:
    """A zygote process. What it forks goes into ``workers``, by number, and stays there until closed."""

    def __init__(
        self, process: subprocess.Popen[bytes], control: socket.socket, workers: dict[int, Worker]
    ) -> None:
        self.engine_id: str
        self.image_id: str
        self.sandbox: Layers
        self._workers = workers
        self._process = process
        self._pidfd = os.pidfd_open(process.pid)
        self._control = control
        self._closed = False

    @property
    def pid(self) -> int:
        """Its process id, for diagnosis: it may have ended."""
        return self._process.pid

    def fork(self, number: int) -> None:
        """Ask for a worker; ``serve`` reports it. A few may be asked for at once (the kernel keeps
        as many packets as net.unix.max_dgram_qlen says, 10 by default)."""
        with contextlib.suppress(ConnectionError):  # a dead zygote: serve is about to return
            self._control.send(wire.encode(wire.Fork(number)))

    async def serve(self, on_forked: OnForked, on_fork_failed: OnForkFailed) -> None:
        """Report workers and their ends until the zygote has ended.

        Raises WorkerFailed if it sends what the protocol forbids.
        """
        while True:
            packet, descriptors = await self._receive()
            if not packet:
                return
            match _decode(packet):
                case wire.Forked(number, pid) if len(descriptors) == 2:
                    on_forked(self._adopt(number, pid, *descriptors))
                case wire.Forked(number):
                    _close_all(descriptors)
                    on_fork_failed(number, "the server has no descriptors left")
                case wire.ForkFailed(number, reason):
                    on_fork_failed(number, reason)
                case wire.Exited(number, status):
                    if number in self._workers:
                        self._workers[number].note_end(status)
                case unexpected:
                    raise WorkerFailed(f"the zygote said {type(unexpected).__name__} after its start")

    async def aclose(self) -> None:
        """End the zygote and all its workers, and close its descriptors; those of the workers stay
        open until their users close them.

        Not interrupted by cancellation; bounded. Further calls do nothing.
        """
        if self._closed:
            return
        self._closed = True
        trio.lowlevel.notify_closing(self._control)
        self._control.close()
        with trio.CancelScope(shield=True):
            with trio.move_on_after(CLOSE_SECONDS):
                await trio.lowlevel.wait_readable(self._pidfd)
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)  # until reaped, there to be sent to
            await trio.lowlevel.wait_readable(self._pidfd)
            self._process.wait()
            os.close(self._pidfd)
            for worker in list(self._workers.values()):
                await worker.bury()

    async def boot(self) -> None:
        """Wait for the first report. Raises PlatformRefused and WorkerFailed."""
        with trio.move_on_after(BOOT_SECONDS) as limit:
            packet, _ = await self._receive()
        if limit.cancelled_caught:
            raise WorkerFailed(
                f"the zygote was not ready within {BOOT_SECONDS:.0f} s: is the machine overloaded?"
            )
        if not packet:
            raise WorkerFailed(f"the zygote ended while it started; {await self._why_ended()}")
        match _decode(packet):
            case wire.Booted() as booted:
                self.engine_id, self.image_id = booted.engine_id, booted.image_id
                self.sandbox = booted.sandbox
            case wire.Refused(reason):
                raise PlatformRefused(reason)
            case wire.Broken(reason):
                raise WorkerFailed(f"the zygote could not start: {reason}")
            case unexpected:
                raise WorkerFailed(f"the zygote began with {type(unexpected).__name__}")

    async def _why_ended(self) -> str:
        """Where to look for the cause: who was killed could say nothing. It is left to be reaped."""
        with trio.move_on_after(CLOSE_SECONDS):
            await trio.lowlevel.wait_readable(self._pidfd)
        look = os.WEXITED | os.WNOWAIT | os.WNOHANG
        ended = os.waitid(os.P_PIDFD, self._pidfd, look)  # noqa: ASYNC222 (it does not wait)
        if ended is not None and (ended.si_code, ended.si_status) == (os.CLD_KILLED, signal.SIGKILL):
            return "it was killed from outside, perhaps since memory ran out"
        return "its standard error says why"

    def _adopt(self, number: int, pid: int, descriptor: int, pidfd: int) -> Worker:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=descriptor)
        sock.setblocking(False)
        self._workers[number] = Worker(number, pid, sock, pidfd, self._workers.pop)
        return self._workers[number]

    async def _receive(self) -> tuple[bytes, list[int]]:
        """The next packet and its descriptors; an empty packet at the end."""
        space = socket.CMSG_SPACE(2 * array.array("i").itemsize)
        while True:
            await trio.lowlevel.wait_readable(self._control)
            try:
                # Received descriptors would survive an exec without the flag.
                packet, ancillary, _, _ = self._control.recvmsg(
                    wire.MAX_PACKET, space, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                continue
            except ConnectionError:
                return b"", []
            descriptors = array.array("i")
            for level, kind, data in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
            return packet, list(descriptors)


async def start_zygote(
    workers: dict[int, Worker],
    *,
    cache_dir: Path | None,
    data_budget_mb: int,
    sandbox: Mode = "auto",
    placement: Placement | None = None,
    test_again: bool = False,
) -> Zygote:
    """A zygote that is ready to fork, into ``workers``: a pool's, which no other live zygote has.

    It forks on any processor of ``placement``, where this process may have only one; its workers move to
    theirs. The self-test is not run where it has passed as everything is now, unless it is to be run again.

    Raises PlatformRefused where the self-test or the sandbox probe says no, WorkerFailed if it
    cannot start or takes more than ``BOOT_SECONDS``.
    """
    zygote = _spawn(workers, cache_dir, data_budget_mb, sandbox, placement, test_again)
    try:
        if placement is not None:
            os.sched_setaffinity(zygote.pid, placement.server | placement.workers)
        await zygote.boot()
    except BaseException:
        await zygote.aclose()
        raise
    _log.info("zygote %d is ready, engine %s", zygote.pid, zygote.engine_id)
    if not zygote.sandbox.seccomp:
        _log.warning("the sandbox is off: code that breaks out of V8 can do what this server's user can")
    return zygote


def _spawn(
    workers: dict[int, Worker],
    cache_dir: Path | None,
    data_budget_mb: int,
    sandbox: Mode,
    placement: Placement | None,
    test_again: bool,
) -> Zygote:
    """Start the process, in this thread: the kernel ends the zygote with the thread that started it,
    and a thread of a pool would end soon."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    start = wire.Start(
        socket=theirs.fileno(),
        server=os.getpid(),
        budget_mib=data_budget_mb,
        sandbox=sandbox,
        worker_cpus=None if placement is None else tuple(sorted(placement.workers)),
        cache=None if cache_dir is None else str(cache_dir.absolute()),
        test_again=test_again,
    )
    try:
        with theirs:
            process = start_process(start)
    except OSError as failed:
        ours.close()
        raise WorkerFailed(f"the zygote could not be started: {failed}") from failed
    return Zygote(process, ours, workers)


def start_process(start: wire.Start) -> subprocess.Popen[bytes]:
    """What ``start`` says, as a process that gets this one's standard error. Raises OSError."""
    return subprocess.Popen(
        [sys.executable, "-I", "-X", "utf8", *ZYGOTE, wire.encode_start(start)],
        env=ENVIRONMENT,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(start.socket,),
        start_new_session=True,
    )


def _decode(packet: bytes) -> wire.FromZygote:
    try:
        return wire.decode_report(packet)
    except msgspec.DecodeError as broken:
        raise WorkerFailed(f"the zygote sent a packet that is no message: {broken}") from broken


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
