"""The worker process: one session's isolate behind one socket. No thread, no other descriptor."""

from __future__ import annotations

import os
import select
import socket
from typing import NoReturn

from engine.events import Line
from engine.isolate import wire
from engine.isolate.executor import Executor

_CHUNK = 1 << 14
"""Bytes read at once. Python allocates as much for each read, and what is large comes from mmap."""


_WARM_ROUNDS = 4
"""Python and V8 rewrite what they have run a few times, in memory that is shared if it happens here."""


def warm(executor: Executor) -> None:
    """Do what every worker will do, so that those forked from here share what it took."""
    for _ in range(_WARM_ROUNDS):
        executor.warm()
    frames: wire.FrameBuffer[wire.ToWorker] = wire.FrameBuffer(wire.ToWorker)
    frames.feed(wire.encode(wire.Look()))
    frames.next()


def serve(executor: Executor, sock: socket.socket) -> NoReturn:
    """Answer ``Run`` and ``Look`` messages until the parent closes the socket; then end the process.

    ``executor`` was made before the fork and the sandbox: making it looks at files.
    """
    frames: wire.FrameBuffer[wire.ToWorker] = wire.FrameBuffer(wire.ToWorker)
    hangup = select.poll()
    hangup.register(sock, select.POLLRDHUP)

    def console(lines: tuple[Line, ...]) -> None:
        sock.sendall(wire.encode(wire.Console(lines)))

    def sleep(seconds: float) -> None:
        if hangup.poll(seconds * 1_000):
            os._exit(0)  # the parent is gone, or has given up on this execution

    try:
        sock.sendall(wire.encode(wire.Ready()))
        while True:
            match frames.next():
                case wire.Run() as run:
                    sock.sendall(wire.encode(executor.execute(run, console, sleep)))
                case wire.Look() as look:
                    sock.sendall(wire.encode(executor.look(look)))
                case None:
                    received = sock.recv(_CHUNK)
                    if not received:
                        os._exit(0)
                    frames.feed(received)
    except ConnectionError:
        os._exit(0)
    except BaseException:  # noqa: BLE001 - whatever it was, this state is not to be used again
        os._exit(wire.EXIT_BROKEN)
