"""What parent and worker say to each other over their socket.

A frame is a 4-byte little-endian length and that many bytes of MessagePack: one of the messages
below, tagged by ``type``. The parent sends ``Run``; the worker answers with any number of
``Console`` and then exactly one ``Done``, or dies. Between runs it may send ``Look``, answered by
``Seen``, and ``Checkpoint``, answered by ``Forked``. A worker speaks first, with ``Ready``, and where the
kernel has such with ``Listener`` before that; the first message to it may be ``Restore``, answered by
``Restored``. Without a session, ``Renew``, answered by ``Renewed``, may come after a run.

Pure: no socket here. ``FrameBuffer`` turns received chunks into messages.
"""

from __future__ import annotations

import functools
import struct
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from engine.errors import WorkerFailed
from engine.events import Line, Outcome, Trace
from engine.limits import Limits

MAX_FRAME = 64 << 20
"""Largest frame either side accepts, in bytes: far above every limit on its parts together."""

EXIT_OUT_OF_MEMORY = 70
EXIT_V8_FATAL = 71
EXIT_BROKEN = 72
"""The worker found itself in a state that it cannot go on from (a bug, or a hostile guest)."""

_LENGTH = struct.Struct("<I")


class Run(Struct, frozen=True, kw_only=True, tag="run"):
    """Run code as event ``seq`` of the session."""

    seq: int
    code: str
    input: str | None = None
    limits: Limits
    start: int
    """Clock at the start, ticks of 0.1 ms since the epoch."""
    seed: bytes
    """16 bytes."""
    trace: Trace | None = None
    """None: live. Else replay this, with more stack and memory, and without sleeping."""


class Look(Struct, frozen=True, kw_only=True, tag="look"):
    """Say what variables the session has. Leaves no trace in it."""

    max_globals: int = 1000
    preview_chars: int = 200


class Restore(Struct, frozen=True, tag="restore"):
    """Begin in the state of a snapshot."""

    snapshot: bytes


class Renew(Struct, frozen=True, tag="renew"):
    """Forget all that was run: go on in a new context, as a fresh worker has it."""


class Checkpoint(Struct, frozen=True, tag="checkpoint"):
    """Fork a copy that makes a snapshot. The frame carries a descriptor, to which the copy writes; see
    ``engine.isolate.checkpoint``.
    """


class Listener(Struct, frozen=True, tag="listener"):
    """The frame carries the descriptor over which the worker's forks are permitted; see
    ``engine.isolate.sandbox.forks``.
    """


class Ready(Struct, frozen=True, tag="ready"):
    """The worker is sandboxed and waits for ``Run``."""


class Console(Struct, frozen=True, tag="console"):
    """Console lines, in order, while code runs."""

    lines: tuple[Line, ...]


class Done(Struct, frozen=True, kw_only=True, tag="done"):
    """The execution is over. After ``overflow`` the worker's state must not be used again."""

    outcome: Outcome
    trace: Trace
    digest: Annotated[bytes, Meta(min_length=32, max_length=32)]
    duration_us: int
    cpu_us: int
    overflow: bool = False
    """The stack came within the watermark: an abort, whatever the outcome says."""


class Global(Struct, frozen=True):
    """A variable of the session."""

    name: str
    """Cut to 256 characters; of a symbol, its text."""
    scope: Literal["lexical", "global"]
    """Whether it was declared with let, const, class or using, or is a property of globalThis."""
    type: str
    """What ``typeof`` says of a primitive; "null"; "function" or "class"; the class of an object;
    "Proxy"; "accessor"; "uninitialized" before a declaration was reached, or when it threw."""
    preview: str
    """One line of inspection; "…" where the time for all previews, half a second, was over."""


class Seen(Struct, frozen=True, tag="seen"):
    """The variables: lexical ones in the order of declaration, then properties of globalThis."""

    globals: tuple[Global, ...]
    more: int
    """How many were left out."""


class Restored(Struct, frozen=True, tag="restored"):
    """The worker is in the state of the snapshot."""


class Renewed(Struct, frozen=True, tag="renewed"):
    """The worker is in a new context."""


class Forked(Struct, frozen=True, tag="forked"):
    """A copy makes the snapshot, as process ``pid``; or there is none, and why."""

    pid: int = 0
    failure: str | None = None


ToWorker = Run | Look | Restore | Renew | Checkpoint
FromWorker = Listener | Ready | Console | Done | Seen | Restored | Renewed | Forked
M = TypeVar("M")

_encoder = msgspec.msgpack.Encoder()


def encode(message: ToWorker | FromWorker) -> bytes:
    """One frame."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


@functools.cache
def _decoder(kind: object) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(kind)


class FrameBuffer(Generic[M]):
    """Collects received bytes and yields the messages that are complete.

    ``kind`` is the union of messages to accept. ``next`` raises WorkerFailed for a frame that is
    too long or is no such message.
    """

    def __init__(self, kind: object) -> None:
        self._buffer = bytearray()
        self._decoder: msgspec.msgpack.Decoder[M] = _decoder(kind)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Add received bytes."""
        self._buffer += data

    def next(self) -> M | None:
        """The next complete message, or None."""
        if len(self._buffer) < 4:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > MAX_FRAME:
            raise WorkerFailed(f"a worker sent a frame of {length} bytes; at most {MAX_FRAME} are allowed")
        if len(self._buffer) < 4 + length:
            return None
        body = bytes(self._buffer[4 : 4 + length])
        del self._buffer[: 4 + length]
        try:
            return self._decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as broken:
            raise WorkerFailed(f"a worker sent a frame that is no message: {broken}") from broken
