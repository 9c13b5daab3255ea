"""The zygote: a process with V8 booted and warm, that does nothing but fork workers.

Started by the server as ``python -I -m engine.isolate.zygote START`` with an empty environment. What START
is, and what is said over the socket, is in ``zygote_wire``.

It has a single thread: a fork copies only the thread that calls it, and V8 in a child must find its
world whole. It never runs code of users. It ends when the server does, at the end of the control socket,
after it has killed its workers and their copies. Where it is killed itself the kernel ends its workers.
"""

from __future__ import annotations

import array
import contextlib
import gc
import os
import resource
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec

from engine.errors import PlatformRefused
from engine.isolate import image, passed, process, selftest, stack, throwaway, worker
from engine.isolate import zygote_wire as wire
from engine.isolate.checkpoint import Snapshots
from engine.isolate.executor import Executor
from engine.isolate.sandbox import forks, layers
from engine.isolate.wire import EXIT_BROKEN

_REHEARSAL_SECONDS = 10.0
"""What entering the sandbox may take."""
_LISTENER, _FINE = b".", "fine"


def main(arguments: list[str]) -> int:
    """Run until the server is gone, whenever that is. Returns the exit status."""
    try:
        return run(arguments)
    except ConnectionError:
        return 0


def run(arguments: list[str]) -> int:
    """Boot, then serve. Raises ConnectionError when the server is gone and had not read everything."""
    start = wire.decode_start(*arguments)
    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fileno=start.socket)
    control.set_inheritable(False)
    process.die_with(start.server)
    process.adopt_orphans()
    process.ignore_termination()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (process.MAX_DESCRIPTORS, process.MAX_DESCRIPTORS))
    try:
        process.allow_stack(stack.PROCESS_BYTES)
        found = find_layers(start.sandbox)
        executor, base = boot(
            Path(start.cache) if start.cache is not None else None, test_again=start.test_again
        )
        sandbox = layers.Sandbox(
            found,
            data_limit=process.memory_bytes("VmData") + (start.budget_mib << 20),
            stack_limit=stack.PROCESS_BYTES,
        )
        zygote = Zygote(control, executor, Snapshots(base), sandbox, start.worker_cpus)
        zygote.rehearse()
        booted = wire.Booted(engine_id=base.engine_id, image_id=base.image_id, sandbox=found)
    except PlatformRefused as refused:
        control.send(wire.encode(wire.Refused(wire.clip(refused.message))))
        return 1
    except Exception as broken:
        reason = "".join(traceback.format_exception_only(broken)).strip()
        control.send(wire.encode(wire.Broken(wire.clip(reason))))
        raise
    gc.collect()
    gc.freeze()  # a collection in a child would write to, and so copy, every page that holds an object
    control.send(wire.encode(booted))
    zygote.serve()
    return 0


def find_layers(mode: layers.Mode) -> layers.Layers:
    """The layers of the sandbox here. Raises PlatformRefused if ``mode`` demands more."""
    ended = throwaway.run(lambda: msgspec.msgpack.encode(layers.find(mode)))
    if ended.status:
        raise PlatformRefused(
            f"what the sandbox can use here cannot be found out: the child {ended.describe()}"
        )
    found = msgspec.msgpack.decode(ended.output, type=layers.Layers)
    layers.check(found)
    return found


def boot(cache: Path | None, *, test_again: bool = False) -> tuple[Executor, image.BaseImage]:
    """An executor in a warm isolate, and its image. Raises PlatformRefused if the self-test says no."""
    difference = selftest.versions()
    if difference is not None:
        raise PlatformRefused(difference)
    base = image.load(cache)
    difference = passed.check(base, cache, again=test_again)
    if difference is not None:
        raise PlatformRefused(difference)
    executor = Executor(image.boot(base))
    worker.warm(executor)
    return executor, base


class Zygote:
    """Forks workers, reaps them, and reports both."""

    def __init__(
        self,
        control: socket.socket,
        executor: Executor,
        snapshots: Snapshots,
        sandbox: layers.Sandbox,
        worker_cpus: tuple[int, ...] | None,
    ) -> None:
        self._control = control
        self._executor = executor
        self._snapshots = snapshots
        self._sandbox = sandbox
        self._worker_cpus = worker_cpus
        self._pid = os.getpid()
        self._numbers: dict[int, int] = {}
        """Worker numbers by pid, of the children that were not reaped yet."""

    def rehearse(self) -> None:
        """Let a child that ends at once enter the sandbox and fork, as workers will, and kill it.

        Raises PlatformRefused with the kernel's reason if it cannot.
        """
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            _run_child(lambda: self._rehearse_worker(theirs))
        theirs.close()
        ours.settimeout(_REHEARSAL_SECONDS)
        listeners: list[int] = []
        try:
            told, listeners, _, _ = socket.recv_fds(ours, len(_LISTENER), 1)
            for listener in listeners:
                if select.select([listener], [], [], _REHEARSAL_SECONDS)[0]:
                    forks.answer(listener, pid)
            told = told.removeprefix(_LISTENER) + ours.recv(wire.MAX_PACKET)
            reason = told.decode() or "a process that enters the sandbox dies of it"
        except TimeoutError:
            reason = f"a process that enters the sandbox hangs for {_REHEARSAL_SECONDS:g} s"
        finally:
            ours.close()
            for listener in listeners:
                os.close(listener)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        if reason != _FINE:
            raise PlatformRefused(
                f"this kernel or container does not allow the sandbox: {reason} "
                "(--sandbox off does without it)"
            )

    def _rehearse_worker(self, theirs: socket.socket) -> None:
        sock = process.keep_only(theirs)

        def hand_over(listener: int) -> None:
            socket.send_fds(sock, [_LISTENER], [listener])

        try:
            self._confine(0, hand_over)
            if os.fork() == 0:  # as for a checkpoint
                os._exit(0)
        except OSError as refused:
            sock.send(str(refused).encode())
        else:
            sock.send(_FINE.encode())
            sock.recvmsg(1)  # until it is killed

    def serve(self) -> None:
        """Until the server closes the control socket or is gone; then no child is left."""
        # The copy of a worker has nobody else who ends it; a kernel that killed us would leave it.
        process.outlive_parent()
        woken, wake = socket.socketpair()
        woken.setblocking(False)
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _note)  # without a handler of Python's, nothing is written
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(woken, select.POLLIN)
        try:
            while True:
                ready = dict(poll.poll())
                if woken.fileno() in ready:
                    with contextlib.suppress(BlockingIOError):
                        woken.recv(4096)
                    self._reap()
                if self._control.fileno() in ready and not self._answer():
                    return
        finally:
            self._kill_all()
            signal.set_wakeup_fd(-1)  # which is closed next; the end of a child's child may come after that

    def _answer(self) -> bool:
        """Serve one packet; False at the end of the socket."""
        packet = self._control.recv(wire.MAX_PACKET)
        if not packet:
            return False
        try:
            request = wire.decode_request(packet)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as bad:
            with contextlib.suppress(OSError):  # nobody need be there to read it
                print(f"zygote: ignored a packet of {len(packet)} bytes: {bad}", file=sys.stderr)  # noqa: T201
            return True
        try:
            self._fork(request.number)
        except OSError as failed:
            self._report(wire.ForkFailed(request.number, str(failed)))
        return True

    def _fork(self, number: int) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            pid = os.fork()
            if pid == 0:
                _run_child(lambda: self._become_worker(number, theirs))
            self._numbers[pid] = number
            try:
                pidfd = os.pidfd_open(pid)
            except OSError:
                os.kill(pid, signal.SIGKILL)  # safe by pid: it is our child and not reaped yet
                del self._numbers[pid]
                os.waitpid(pid, 0)
                raise
            try:
                descriptors = array.array("i", [ours.fileno(), pidfd])
                ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]
                self._control.sendmsg([wire.encode(wire.Forked(number, pid))], ancillary)
            finally:
                os.close(pidfd)

    def _become_worker(self, number: int, theirs: socket.socket) -> NoReturn:
        os.setpgid(0, 0)  # all that it will fork ends with it: see _reap
        signal.set_wakeup_fd(-1)
        process.prefer_for_oom_kill()
        sock = process.keep_only(theirs)
        if self._worker_cpus is not None:
            os.sched_setaffinity(0, self._worker_cpus)
        self._confine(number, lambda listener: worker.hand_over(sock, listener))
        worker.serve(self._executor, self._snapshots, sock)

    def _confine(self, number: int, hand_over: Callable[[int], object]) -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        self._sandbox.enter(number, self._pid, hand_over)

    def _reap(self) -> None:
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            pid = ended.si_pid
            number = self._numbers.pop(pid, None)
            if number is not None:
                process.kill_group(pid)
            _, status = os.waitpid(pid, 0)
            if number is not None:
                self._report(wire.Exited(number, status))

    def _kill_all(self) -> None:
        for pid in self._numbers:
            os.kill(pid, signal.SIGKILL)
        for pid in self._numbers:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            process.kill_group(pid)
            os.waitpid(pid, 0)
        self._numbers.clear()

    def _report(self, message: wire.FromZygote) -> None:
        self._control.send(wire.encode(message))


def _run_child(body: Callable[[], object]) -> NoReturn:
    """Run ``body`` in a forked child, then end: nothing may return into the zygote's own frames."""
    try:
        body()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(EXIT_BROKEN)


def _note(_number: int, _frame: object) -> None:
    """SIGCHLD: the wake-up descriptor has been written to; the loop reaps."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
