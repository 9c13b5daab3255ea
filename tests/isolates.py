"""Isolates in processes of their own, for tests: run code, snapshot, restore, replay.

Run as a program it is the host: it loads V8, boots the base image and forks a child for each session,
which costs a few milliseconds; a second process, without an isolate, forks those that begin with a blob.
A test process never loads V8 itself.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from engine.events import Line, Trace
from engine.isolate.wire import Done, Look, Run, Seen
from engine.limits import Limits

_SIZE = struct.Struct("<Q")
_SECONDS = 60.0


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
            socket.send_fds(host.booted if blob is None else host.empty, [b"F"], [theirs.fileno()])
        if blob is not None:
            _send(self._socket, blob)
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
    """The process that forks sessions; ``flags`` are V8's, beside the usual ones."""

    def __init__(self, cache: Path, *flags: str) -> None:
        self.booted, forks = socket.socketpair()
        """Forks of the isolate that the base image makes are asked for here."""
        self.empty, restores = socket.socketpair()
        """Processes that restore a blob are asked for here."""
        with forks, restores:
            theirs = (forks.fileno(), restores.fileno())
            self._process = subprocess.Popen(
                [sys.executable, __file__, *map(str, theirs), str(cache), *flags],
                pass_fds=theirs,
                env={},  # as the zygote
            )
        self.booted.settimeout(_SECONDS)
        assert self.booted.recv(1) == b"R", "the host process did not start"

    def close(self) -> None:
        """End it and all its sessions."""
        self.booted.close()
        self.empty.close()
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


def _serve(sock: socket.socket, executor: Any) -> None:
    while True:
        try:
            message = msgspec.msgpack.decode(_receive(sock), type=Run | Look | Snapshot)
        except EOFError:
            return
        if isinstance(message, Snapshot):
            _send(sock, executor._isolate.snapshot())
            return
        if isinstance(message, Look):
            _send(sock, executor.look(message))
            continue
        lines: list[Line] = []
        done = executor.execute(message, lines.extend, time.sleep)
        _send(sock, Ran(done, tuple(lines)))


def _fork_each(control: socket.socket, begin: Callable[[socket.socket], Any]) -> None:
    """Serve each socket that comes in a process of its own, by the executor that ``begin`` gives there."""
    from engine.isolate import process

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    parent = os.getpid()
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        with socket.socket(fileno=descriptors[0]) as sock:
            if os.fork() == 0:
                process.die_with(parent)  # also where the code runs for ever
                control.close()
                try:
                    _serve(sock, begin(sock))
                finally:
                    os._exit(0)


def _host(forks: socket.socket, restores: socket.socket, cache: Path, flags: list[str]) -> None:
    from engine.isolate import image as images
    from engine.isolate import native, process
    from engine.isolate.executor import Executor
    from engine.isolate.isolate import Isolate

    native.FLAGS += tuple(flags)
    image = images.load(cache)
    host = os.getpid()
    if os.fork() == 0:
        process.die_with(host)
        forks.close()
        _fork_each(restores, lambda sock: Executor(Isolate(_receive(sock), image.references)))
        return
    restores.close()
    executor = Executor(images.boot(image))
    executor.warm()
    forks.sendall(b"R")
    _fork_each(forks, lambda _: executor)


if __name__ == "__main__":
    _forks, _restores = (socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[1:3])
    with _forks, _restores:
        _host(_forks, _restores, Path(sys.argv[3]), sys.argv[4:])
