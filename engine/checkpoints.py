"""Checkpoints as data: what a log remembers of each, and the envelope in which its blob is stored.

A checkpoint is a heap snapshot of a session in one state, so that a recovery need not replay from the first
event. It is only a shortcut: the log is the truth, and without any checkpoint nothing is lost.

What is stored is an *envelope*: which state of which engine is in it, then the snapshot, compressed by the
process that made it. That begins with the fingerprint of the base image; only a sandboxed worker ever looks
into the rest.

An *image id* is the engine id, a dot, and 16 hex digits of the fingerprint of a base image
(``engine.isolate.image``).
"""

from __future__ import annotations

import struct
from typing import Annotated

from msgspec import Meta, Struct

from engine.errors import BlobCorrupt

_MAGIC = b"mcpv8cp\x01"
"""The last byte is the version of the envelope."""
_HEADER = struct.Struct("<8s32s16s")
_FINGERPRINT_BYTES = 8

_Count = Annotated[int, Meta(ge=0)]


class Checkpoint(Struct, frozen=True, kw_only=True):
    """A stored snapshot of the state after event ``seq`` of ``session``."""

    session: str
    """Internal id of the session that has the event; its forks use the checkpoint, too."""
    seq: _Count
    state: Annotated[bytes, Meta(min_length=32, max_length=32)]
    """32 bytes: the id of that event."""
    engine: str
    """Image id: who has another base image cannot restore it. What earlier versions of the program made has
    the engine id alone."""
    blob: str
    """Name of the envelope in the blob store."""
    size: _Count
    """Bytes of the envelope."""
    made_at: _Count
    """Microseconds since the epoch."""
    cost_us: _Count
    """What it took to make and to try."""


def image_id(engine: str, fingerprint: bytes) -> str:
    """Names the base image of that fingerprint of an engine."""
    return f"{engine}.{fingerprint[:_FINGERPRINT_BYTES].hex()}"


def engine_of(image: str) -> str:
    """The engine id in an image id, or in the name that earlier versions gave."""
    return image.partition(".")[0]


def seal(state: bytes, image: str, snapshot: bytes) -> bytes:
    """The envelope of a compressed snapshot."""
    return _HEADER.pack(_MAGIC, state, bytes.fromhex(engine_of(image))) + snapshot


def unseal(envelope: bytes, state: bytes, image: str) -> bytes:
    """The compressed snapshot in an envelope. Raises BlobCorrupt if it is another."""
    engine, _, fingerprint = image.partition(".")
    try:
        beginning = _HEADER.pack(_MAGIC, state, bytes.fromhex(engine)) + bytes.fromhex(fingerprint)
    except ValueError:  # what the log says of it was altered
        beginning = b""
    if not beginning or not envelope.startswith(beginning):
        raise BlobCorrupt("the blob is not a checkpoint of that state for this base image")
    return envelope[_HEADER.size :]
