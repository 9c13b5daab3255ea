"""The form in which changes are kept in a bucket: one object for each group commit.

Objects are numbered without gaps, and each names the one before it by the hash of its body, so that what is
missing or altered shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec
from msgspec import Struct

from engine.errors import StoreCorrupt
from persistence.changes import Appended, Came, Entry
from persistence.s3 import envelope
from persistence.s3.objects import Objects

PREFIX = "log/"
CLAIMS = "claims/"
"""Says which batches are never removed: those by which a log was taken over from a server that may still run.
Where such a one was removed, that server would find its place free, and answer for what nobody reads.
"""
KIND, VERSION = b"mcpv8lg", 2
"""Version 2 added what a cluster writes; what has nothing of that is written as version 1."""
NOTHING = bytes(32)
"""What the first batch comes after."""
NONCE_BYTES = 16


class Opened(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A server has taken the log over: who had it before must not write any more."""

    host: str
    pid: int
    program: str
    """Name and version."""
    cluster: str = ""
    """Name of the cluster, whose newest events are elsewhere; empty for a single server."""


class Batch(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Changes that became durable together, in their order."""

    number: int
    prev: bytes
    """SHA-256 of the body of the batch before."""
    nonce: bytes
    """16 random bytes, by which a server knows what it has written itself."""
    at: int
    """Microseconds since the epoch, by the server's clock."""
    changes: tuple[Entry, ...] = ()
    opened: Opened | None = None
    closed: bool = False
    """Whether the server ended in good order after it."""


class Position(Struct, frozen=True):
    """A place in the log: behind the batch of that number."""

    number: int
    """-1 at the beginning."""
    digest: bytes
    """SHA-256 of the body of that batch."""


BEGINNING = Position(-1, NOTHING)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Batch)


def key(number: int) -> str:
    """The object's key; keys sort as their numbers do."""
    return f"{PREFIX}{number:020d}"


def number_of(found: str) -> int:
    """The number in an object's key. Raises StoreCorrupt for a key that is none of these."""
    digits = found.removeprefix(PREFIX)
    if not digits.isdecimal() or key(int(digits)) != found:
        raise StoreCorrupt(f"{found} is no part of a log: something else is kept below this prefix")
    return int(digits)


def encode(batch: Batch) -> bytes:
    """Its body."""
    return _encoder.encode(batch)


def version_of(found: Iterable[Batch]) -> int:
    """The first version of the form that has all that is in these."""
    return max((2 if _is_of_cluster(batch) else 1 for batch in found), default=1)


def _is_of_cluster(batch: Batch) -> bool:
    opened = batch.opened is not None and bool(batch.opened.cluster)
    return opened or any(isinstance(entry, Came) for entry in batch.changes)


def decode(body: bytes, number: int) -> Batch:
    """The batch in the body of that number. Raises StoreCorrupt."""
    try:
        batch = _decoder.decode(body)
    except msgspec.DecodeError as broken:
        raise StoreCorrupt(f"{key(number)} cannot be decoded: {broken}") from broken
    if batch.number != number:
        raise StoreCorrupt(f"{key(number)} holds batch {batch.number}")
    return batch


def behind(batch: Batch, body: bytes) -> Position:
    """The place behind a batch."""
    return Position(batch.number, envelope.digest(body))


def size(batch: Batch) -> int:
    """Bytes that it takes in memory, roughly."""
    return sum(
        len(record.body) + sum(map(len, record.large.values()))
        for change in batch.changes
        if isinstance(change, Appended)
        for record in change.records
    )


def keep(objects: Objects, number: int) -> None:
    """Let the batch of that number, which is yet to be put, never be removed. Raises Refused, Unanswered."""
    objects.put(_claim(number), b"")


def is_claimed(objects: Objects, after: int) -> bool:
    """Whether that was done for any behind that one. Raises Refused, Unanswered."""
    return any(True for _ in objects.find(CLAIMS, after=_claim(after)))


def _claim(number: int) -> str:
    return f"{CLAIMS}{number:020d}"


def upto(objects: Objects, end: Position, before: datetime) -> Iterator[str]:
    """Keys of the batches up to a place, put before that time, that may be removed.

    Raises Refused, Unanswered.
    """
    kept = {PREFIX + found.key.removeprefix(CLAIMS) for found in objects.find(CLAIMS)}
    for found in objects.find(PREFIX):
        if found.key > key(end.number) or found.modified > before:
            return
        if found.key not in kept:
            yield found.key
