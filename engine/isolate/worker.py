"""The worker process: one session's isolate behind one socket. No thread, no other descriptor."""

from __future__ import annotations

import array
import contextlib
import os
import select
import socket
from typing import NoReturn

from engine.events import Line
from engine.isolate import wire
from engine.isolate.checkpoint import Snapshots
from engine.isolate.executor import Executor

_CHUNK = 1 << 14
"""Bytes read at once. Python allocates as much for each read, and what is large comes from mmap."""
_ANCILLARY = socket.CMSG_SPACE(array.array("i").itemsize)
STDERR = 2
"""Closed in a worker, so that the descriptor which comes with ``Checkpoint`` takes its number: what V8 says
when it ends the copy goes there, too."""


def warm(executor: Executor) -> None:
    """Do what every worker will do, so that those forked from here share what it took."""
    executor.warm()
    frames: wire.FrameBuffer[wire.ToWorker] = wire.FrameBuffer(wire.ToWorker)
    frames.feed(wire.encode(wire.Look()))
    frames.next()


def hand_over(sock: socket.socket, listener: int) -> None:
    """Give the server the listener for this worker's forks, and close it here."""
    socket.send_fds(sock, [wire.encode(wire.Listener())], [listener])
    os.close(listener)


def serve(executor: Executor, snapshots: Snapshots, sock: socket.socket) -> NoReturn:
    """Answer messages until the parent closes the socket; then end the process.

    ``executor`` and ``snapshots`` were made before the fork and the sandbox: making them looks at files.
    """
    frames: wire.FrameBuffer[wire.ToWorker] = wire.FrameBuffer(wire.ToWorker)
    hangup = select.poll()
    hangup.register(sock, select.POLLRDHUP)

    def console(lines: tuple[Line, ...]) -> None:
        sock.sendall(wire.encode(wire.Console(lines)))

    def sleep(seconds: float) -> None:
        if hangup.poll(seconds * 1_000):
            os._exit(0)  # the parent is gone, or has given up on this execution

    def answer(message: wire.ToWorker) -> wire.FromWorker:
        match message:
            case wire.Run() as run:
                return executor.execute(run, console, sleep)
            case wire.Look() as look:
                return executor.look(look)
            case wire.Restore(snapshot):
                snapshots.restore(executor, snapshot)
                return wire.Restored()
            case wire.Renew():
                executor.renew()
                return wire.Renewed()
            case wire.Checkpoint():
                return _fork_copy(executor, snapshots, sock)

    try:
        sock.sendall(wire.encode(wire.Ready()))
        while True:
            message = frames.next()
            if message is not None:
                sock.sendall(wire.encode(answer(message)))
                continue
            received, *_ = sock.recvmsg(_CHUNK, _ANCILLARY)
            if not received:
                os._exit(0)
            frames.feed(received)
    except ConnectionError:
        os._exit(0)
    except BaseException:  # noqa: BLE001 - whatever it was, this state is not to be used again
        os._exit(wire.EXIT_BROKEN)


def _fork_copy(executor: Executor, snapshots: Snapshots, sock: socket.socket) -> wire.Forked:
    """Let a copy of this process make a snapshot; the kernel reaps it."""
    try:
        pid = os.fork()
    except OSError as failed:
        os.close(STDERR)
        return wire.Forked(failure=f"the kernel gave no process for it: {failed.strerror}")
    if pid != 0:
        os.close(STDERR)
        return wire.Forked(pid=pid)
    try:
        sock.close()  # only the worker's own end of it may say that the worker is there
        snapshots.write(executor, STDERR)
        os._exit(0)
    except BaseException as failed:  # noqa: BLE001 - told to the server, and nothing goes on from here
        with contextlib.suppress(OSError):
            os.write(STDERR, f"{type(failed).__name__}: {failed}".encode(errors="replace"))
    finally:
        os._exit(wire.EXIT_BROKEN)
