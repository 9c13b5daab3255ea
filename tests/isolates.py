"""Isolates in processes of their own, for tests: run code, snapshot, restore, replay.

Run as a program it is the host: it loads V8, boots the base image and forks a child for each session,
which costs a few milliseconds. Snapshots are made and restored as workers do it. A test process never loads
V8 itself.
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
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from engine.events import Line, Trace
from engine.isolate.wire import Done, Look, Restore, Run, Seen
from engine.limits import Limits

if TYPE_CHECKING:  # they load V8
    from engine.isolate.checkpoint import Snapshots
    from engine.isolate.executor import Executor

_SIZE = struct.Struct("<Q")
_SECONDS = 60.0


class Checkpoint(Struct, tag=True):
    """Let a forked copy make a snapshot and answer with it, a Checkpointed."""


class Checkpointed(Struct):
    """A snapshot; or, in words, why there is none."""

    snapshot: bytes = b""
    refusal: str = ""


class Ran(Struct):
    """The answer to a Run."""

    done: Done
    lines: tuple[Line, ...]


class Session:
    """A live isolate; its state lasts from run to run."""

    def __init__(self, host: Host, snapshot: bytes | None = None) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(_SECONDS)
        with theirs:
            socket.send_fds(host.forks, [b"F"], [theirs.fileno()])
        if snapshot is not None:
            _send(self._socket, Restore(snapshot))
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

    def checkpoint(self) -> Checkpointed:
        """A snapshot of the state, or why there is none; the session goes on."""
        _send(self._socket, Checkpoint())
        return msgspec.msgpack.decode(_receive(self._socket), type=Checkpointed)

    def snapshot(self) -> bytes:
        """A snapshot of the state. Fails if there is none."""
        made = self.checkpoint()
        assert not made.refusal, made.refusal
        return made.snapshot

    def close(self) -> None:
        """End the process."""
        self._socket.close()


class Host:
    """The process that forks sessions; ``flags`` are V8's, beside the usual ones."""

    def __init__(self, cache: Path, *flags: str) -> None:
        self.forks, theirs = socket.socketpair()
        """A session's socket that is sent here gets a process."""
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), str(cache), *flags],
                pass_fds=[theirs.fileno()],
                env={},  # as the zygote
            )
        self.forks.settimeout(_SECONDS)
        assert self.forks.recv(1) == b"R", "the host process did not start"

    @property
    def pid(self) -> int:
        """Of the process, whose children are the sessions."""
        return self._process.pid

    def close(self) -> None:
        """End it and all its sessions."""
        self.forks.close()
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


def _serve(sock: socket.socket, executor: Executor, snapshots: Snapshots) -> None:
    while True:
        try:
            message = msgspec.msgpack.decode(_receive(sock), type=Run | Look | Restore | Checkpoint)
        except EOFError:
            return
        match message:
            case Run():
                lines: list[Line] = []
                done = executor.execute(message, lines.extend, time.sleep)
                _send(sock, Ran(done, tuple(lines)))
            case Look():
                _send(sock, executor.look(message))
            case Restore(snapshot):
                snapshots.restore(executor, snapshot)
            case Checkpoint():
                _send(sock, _checkpoint(executor, snapshots))


def _checkpoint(executor: Executor, snapshots: Snapshots) -> Checkpointed:
    from engine.isolate import copy_wire

    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            os.dup2(writing, sys.stderr.fileno())
            snapshots.write(executor, writing)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        made = copy_wire.read(pipe.read())
    return Checkpointed(refusal=made.reason) if isinstance(made, copy_wire.Declined) else Checkpointed(made)


def _host(control: socket.socket, cache: Path, flags: list[str]) -> None:
    """Serve each socket that comes in a process of its own."""
    from engine.isolate import checkpoint, native, process
    from engine.isolate import image as images
    from engine.isolate.executor import Executor

    checkpoint.NICER = 0  # here somebody waits for the snapshot
    native.FLAGS += tuple(flags)
    image = images.load(cache)
    executor = Executor(images.boot(image))
    executor.warm()
    snapshots = checkpoint.Snapshots(image)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    parent = os.getpid()
    control.sendall(b"R")
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        with socket.socket(fileno=descriptors[0]) as sock:
            if os.fork() == 0:
                process.die_with(parent)  # also where the code runs for ever
                control.close()
                try:
                    _serve(sock, executor, snapshots)
                finally:
                    os._exit(0)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as _control:
        _host(_control, Path(sys.argv[2]), sys.argv[3:])
