"""Checkpoints as data: what a log remembers of each, and the envelope in which its blob is stored.

A checkpoint is a heap snapshot of a session in one state, so that a recovery need not replay from the first
event. It is only a shortcut: the log is the truth, and without any checkpoint nothing is lost.

What is stored is an *envelope*: which state of which engine is in it, then the snapshot, compressed by the
process that made it. Only a sandboxed worker ever looks into that.
"""

from __future__ import annotations

import struct
from typing import Annotated

from msgspec import Meta, Struct

from engine.errors import BlobCorrupt

_MAGIC = b"mcpv8cp\x01"
"""The last byte is the version of the envelope."""
_HEADER = struct.Struct("<8s32s16s")

_Count = Annotated[int, Meta(ge=0)]


class Checkpoint(Struct, frozen=True, kw_only=True):
    """A stored snapshot of the state after event ``seq`` of ``session``."""

    session: str
    """Internal id of the session that has the event; its forks use the checkpoint, too."""
    seq: _Count
    state: Annotated[bytes, Meta(min_length=32, max_length=32)]
    """32 bytes: the id of that event."""
    engine: str
    """Engine id: other engines cannot restore it."""
    blob: str
    """Name of the envelope in the blob store."""
    size: _Count
    """Bytes of the envelope."""
    made_at: _Count
    """Microseconds since the epoch."""
    cost_us: _Count
    """What it took to make and to try."""


def seal(state: bytes, engine: str, snapshot: bytes) -> bytes:
    """The envelope of a compressed snapshot."""
    return _HEADER.pack(_MAGIC, state, bytes.fromhex(engine)) + snapshot


def unseal(envelope: bytes, state: bytes, engine: str) -> bytes:
    """The compressed snapshot in an envelope. Raises BlobCorrupt if it is another."""
    if len(envelope) < _HEADER.size or envelope[: _HEADER.size] != _HEADER.pack(
        _MAGIC, state, bytes.fromhex(engine)
    ):
        raise BlobCorrupt("the blob is not a checkpoint of that state for this engine")
    return envelope[_HEADER.size :]
