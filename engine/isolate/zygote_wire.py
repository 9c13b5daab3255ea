"""What the server and its zygote say to each other: one message of MessagePack per packet.

The server starts it with a ``Start``. The zygote speaks first, with ``Booted``, ``Refused`` or ``Broken``
(and ends after the last two). Then the server sends ``Fork``; each is answered with ``Forked`` or
``ForkFailed``, in order. ``Exited`` comes at any time, once for every ``Forked``.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct

from engine.isolate.sandbox.layers import Layers, Mode

MAX_PACKET = 1 << 16
"""Bytes; longer reasons are cut by ``clip``."""


class Start(Struct, frozen=True, kw_only=True):
    """What a zygote is to be: its only argument, as JSON."""

    socket: int
    """Descriptor of its end of a SOCK_SEQPACKET pair."""
    server: int
    """Process id of the server, with which it ends."""
    budget_mib: int
    """Private writable memory that a worker may take beyond what it is forked with."""
    sandbox: Mode
    worker_cpus: tuple[int, ...] | None
    """Processors that workers run on; None: on those of the zygote."""
    cache: str | None
    """Folder of the base image, and of what the self-test came to."""
    test_again: bool
    """Whether the self-test is run also where it has passed."""


class Fork(Struct, frozen=True, tag="fork"):
    """Start worker ``number`` (the server's choice, never used twice)."""

    number: int


class Booted(Struct, frozen=True, kw_only=True, tag="booted"):
    """The self-test passed and the isolate is warm."""

    engine_id: str
    image_id: str
    sandbox: Layers


class Refused(Struct, frozen=True, tag="refused"):
    """V8, the kernel or the machine is not what the engine needs; trying again cannot help."""

    reason: str


class Broken(Struct, frozen=True, tag="broken"):
    """Start-up failed for a reason that nobody foresaw."""

    reason: str


class Forked(Struct, frozen=True, tag="forked"):
    """Worker ``number`` runs. The packet carries two descriptors: its socket and its pidfd."""

    number: int
    pid: int


class ForkFailed(Struct, frozen=True, tag="fork_failed"):
    """Worker ``number`` could not be started, for want of processes, memory or descriptors."""

    number: int
    reason: str


class Exited(Struct, frozen=True, tag="exited"):
    """Worker ``number`` ended and was reaped; ``status`` as waitpid(2) gives it."""

    number: int
    status: int


ToZygote = Fork
FromZygote = Booted | Refused | Broken | Forked | ForkFailed | Exited

M = TypeVar("M")

_encoder = msgspec.msgpack.Encoder()
_to_zygote: msgspec.msgpack.Decoder[ToZygote] = msgspec.msgpack.Decoder(ToZygote)
_from_zygote: msgspec.msgpack.Decoder[FromZygote] = msgspec.msgpack.Decoder(FromZygote)


def encode_start(start: Start) -> str:
    """The argument."""
    return msgspec.json.encode(start).decode()


def decode_start(argument: str) -> Start:
    """The argument; raises msgspec.DecodeError (or its ValidationError)."""
    return msgspec.json.decode(argument, type=Start)


def encode(message: ToZygote | FromZygote) -> bytes:
    """One packet."""
    return _encoder.encode(message)


def decode_request(packet: bytes) -> ToZygote:
    """A packet from the server; raises msgspec.DecodeError (or its ValidationError)."""
    return _decoded(_to_zygote, packet)


def decode_report(packet: bytes) -> FromZygote:
    """A packet from the zygote; raises msgspec.DecodeError (or its ValidationError)."""
    return _decoded(_from_zygote, packet)


def _decoded(decoder: msgspec.msgpack.Decoder[M], packet: bytes) -> M:
    try:
        return decoder.decode(packet)
    except (UnicodeDecodeError, RecursionError) as broken:  # which msgspec lets through
        raise msgspec.DecodeError(str(broken)) from broken


def clip(reason: str) -> str:
    """``reason``, cut so that a message with it surely fits in a packet."""
    return reason if len(reason) <= 8_000 else reason[:8_000] + " …"
