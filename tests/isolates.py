"""Isolates in processes of their own, for tests: run code, snapshot, restore, replay.

Run as a program it is the host process: it loads V8 and the base image once and forks a child for
each session. A test process never loads V8 itself.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from engine.events import Line, Trace
from engine.isolate.wire import Done, Look, Run, Seen
from engine.limits import Limits

_SIZE = struct.Struct("<Q")
_SECONDS = 60.0


class Boot(Struct, tag=True):
    """First message: restore this blob, or the base image."""

    blob: bytes | None


class Snapshot(Struct, tag=True):
    """Answer with a blob and end."""


class Ran(Struct):
    """The answer to a Run."""

    done: Done
    lines: tuple[Line, ...]


class Session:
    """A live isolate; its state lasts from run to run."""

    def __init__(self, host: Host, blob: bytes | None = None) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(_SECONDS)
        with theirs:
            socket.send_fds(host.control, [b"F"], [theirs.fileno()])
        _send(self._socket, Boot(blob))
        self.seq = 0
        self.lines: tuple[Line, ...] = ()
        """Console of the last run."""

    def run(
        self,
        code: str,
        *,
        start_ticks: int | None = None,
        seed: bytes | None = None,
        trace: Trace | None = None,
        limits: Limits | None = None,
        input: str | None = None,
    ) -> Done:
        """Execute ``code`` as the next event; with ``trace``, as a replay of it."""
        self.seq += 1
        if trace is not None:
            start_ticks, seed = trace.start, trace.seed
        run = Run(
            seq=self.seq,
            code=code,
            input=input,
            limits=limits or Limits(),
            start=time.time_ns() // 100_000 if start_ticks is None else start_ticks,
            seed=secrets.token_bytes(16) if seed is None else seed,
            trace=trace,
        )
        _send(self._socket, run)
        ran = msgspec.msgpack.decode(_receive(self._socket), type=Ran)
        self.lines = ran.lines
        return ran.done

    def look(self, **wanted: int) -> Seen:
        """The session's variables."""
        _send(self._socket, Look(**wanted))
        return msgspec.msgpack.decode(_receive(self._socket), type=Seen)

    def value(self, code: str) -> str:
        """The result's text. Fails unless the code completes."""
        done = self.run(code)
        assert done.outcome.status == "completed", done.outcome.error
        assert done.outcome.result is not None
        return done.outcome.result

    def snapshot(self) -> bytes:
        """The state as a blob; the session is over."""
        _send(self._socket, Snapshot())
        return _receive(self._socket)

    def close(self) -> None:
        """End the process."""
        self._socket.close()


class Host:
    """The process that forks sessions."""

    def __init__(self, cache: Path) -> None:
        self.control, theirs = socket.socketpair()
        with theirs:
            environment = {"TZ": "UTC", "LC_ALL": "C.UTF-8"}
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), str(cache)],
                pass_fds=[theirs.fileno()],
                env=environment,
            )
        self.control.settimeout(_SECONDS)
        assert self.control.recv(1) == b"R", "the host process did not start"

    def close(self) -> None:
        """End it and all its sessions."""
        self.control.close()
        self._process.wait(_SECONDS)


def _send(sock: socket.socket, message: Any) -> None:
    body = message if isinstance(message, bytes) else msgspec.msgpack.encode(message)
    sock.sendall(_SIZE.pack(len(body)) + body)


def _receive(sock: socket.socket) -> bytes:
    (size,) = _SIZE.unpack(_exactly(sock, _SIZE.size))
    return _exactly(sock, size)


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        chunk = sock.recv(min(size - len(data), 1 << 20))
        if not chunk:
            raise EOFError("the isolate's process ended")
        data += chunk
    return bytes(data)


def _serve(sock: socket.socket, image: Any) -> None:
    from engine.isolate import image as images
    from engine.isolate.executor import Executor
    from engine.isolate.isolate import Isolate

    boot = msgspec.msgpack.decode(_receive(sock), type=Boot)
    isolate = images.boot(image) if boot.blob is None else Isolate(boot.blob, image.references)
    executor = Executor(isolate)
    while True:
        try:
            message = msgspec.msgpack.decode(_receive(sock), type=Run | Look | Snapshot)
        except EOFError:
            return
        if isinstance(message, Snapshot):
            _send(sock, isolate.snapshot())
            return
        if isinstance(message, Look):
            _send(sock, executor.look(message))
            continue
        lines: list[Line] = []
        done = executor.execute(message, lines.extend, time.sleep)
        _send(sock, Ran(done, tuple(lines)))


def _host(control: socket.socket, cache: Path) -> None:
    from engine.isolate import image as images
    from engine.isolate import process

    image = images.load(cache)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control.sendall(b"R")
    host = os.getpid()
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        with socket.socket(fileno=descriptors[0]) as sock:
            if os.fork() == 0:
                process.die_with(host)  # also where the code runs for ever
                control.close()
                try:
                    _serve(sock, image)
                finally:
                    os._exit(0)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as _control:
        _host(_control, Path(sys.argv[2]))
