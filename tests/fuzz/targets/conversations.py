"""Whole conversations of the server with a worker that says what it likes, over a socket."""

from __future__ import annotations

import array
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio

from engine.copies import CheckpointDeclined
from engine.events import Line
from engine.isolate import copy_wire, wire
from engine.limits import Limits
from engine.worker import Worker, WorkerDied
from fuzz.data import Data
from fuzz.shapes import packed, value
from fuzz.targets.worker import ATTEMPT, KNOWN

_LIMITS: Final = Limits(console_bytes=2_000, result_chars=100, clock_reads=10)
_RUN: Final = wire.Run(seq=1, code="1", limits=_LIMITS, start=ATTEMPT.start, seed=ATTEMPT.seed)
_MESSAGES: Final = (wire.Done, wire.Console, wire.Seen, wire.Restored, wire.Forked, wire.Ready)
_STATUSES: Final = (0, 9, 11, wire.EXIT_OUT_OF_MEMORY << 8, wire.EXIT_BROKEN << 8)


class Reaped(Worker):
    """A worker whose process is this one, which nobody shall kill."""

    def _signal(self) -> None:
        pass


def conversations(raw: bytes) -> None:
    """A worker answers what it was asked, within its limits, or has died; and nothing else comes of it."""
    data = Data(raw)
    said = bytearray() if data.rarely() else bytearray(wire.encode(wire.Ready()))
    for _ in range(data.byte() % 6):
        body = packed(data, value(data, data.choose(_MESSAGES), KNOWN))
        said += len(body).to_bytes(4, "little") + body
    if data.rarely():
        said += data.octets()
    written = data.octets() if data.byte() % 2 else b"".join(copy_wire.encode(data.octets()))
    before = _open_descriptors()
    trio.run(_converse, data, bytes(said), written)
    assert _open_descriptors() == before, "a descriptor was left open"


def _open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def _converse(data: Data, said: bytes, written: bytes) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    worker = Reaped(1, os.getpid(), ours, os.pidfd_open(os.getpid()), lambda _: None)
    worker.note_end(data.choose(_STATUSES))
    told: list[Line] = []
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_peer, theirs, said, written)
            try:
                await worker.wait_ready()
                for _ in range(data.byte() % 5):
                    if worker.is_free:
                        told.clear()
                        await _ask(worker, data.byte() % 4, told)
            except WorkerDied:
                assert not worker.is_free
            else:
                assert worker.is_free
            if data.byte() % 2:
                await worker.kill_and_collect()
            await worker.aclose()
    assert sum(32 + len(line.text) for line in told) <= _LIMITS.console_bytes + 64


async def _ask(worker: Worker, what: int, told: list[Line]) -> None:
    match what:
        case 0:
            assert isinstance(await worker.run(_RUN, told.extend), wire.Done)
        case 1:
            assert isinstance(await worker.look(wire.Look()), wire.Seen)
        case 2:
            await worker.restore(b"snapshot")
        case _:
            try:
                copy = await worker.checkpoint()
                await copy.snapshot()
            except CheckpointDeclined as failed:
                declined = failed.message
                assert 1 <= len(declined) <= 400


async def _peer(end: socket.socket, said: bytes, written: bytes) -> None:
    """Say it all; write to every descriptor that comes; hang up when the server does, or has nothing to say."""
    stream = trio.SocketStream(trio.socket.from_stdlib_socket(end))
    rights = array.array("i")
    async with stream:
        try:
            await stream.send_all(said)
            await stream.send_eof()
            while True:
                received, ancillary, _, _ = await stream.socket.recvmsg(1 << 16, socket.CMSG_SPACE(64))
                for _, _, passed in ancillary:
                    rights.frombytes(passed)
                while rights:
                    with os.fdopen(rights.pop(), "wb", buffering=0) as sink, suppress(BrokenPipeError):
                        sink.write(written)
                if not received:
                    return
        except (OSError, trio.BrokenResourceError):
            return
