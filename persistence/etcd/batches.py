"""The form in which a group commit of a node is kept in etcd: one key for each, sealed as objects in S3 are.

Each writer, that is, each life of a node, numbers its own without gaps and names the one before by its hash.
What would be too large for etcd is among the objects, and the key names it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from engine.errors import StoreCorrupt
from persistence import markers
from persistence.changes import Appended, Came, Change, Entry, Part
from persistence.s3 import envelope, named
from persistence.s3.objects import Objects

FOLDER = b"log/"
"""Below the prefix of the cluster."""
PARTS = "tails/"
"""What is too large for etcd, among the objects."""
KIND, VERSION = b"mcpv8et", 1
_PART_KIND, _PART_VERSION = b"mcpv8ep", 1
MAX_VALUE_BYTES = 512 << 10
"""Of a value in etcd, as it is kept; the changes of a batch that would be larger are among the objects."""
_WRITER_BYTES = 8
_NUMBER_DIGITS = 12


class Batch(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Changes that became durable together, in their order."""

    writer: str
    """Whose, in hex digits."""
    number: int
    prev: bytes
    """SHA-256 of the body of the writer's batch before; ``markers.NOTHING`` of the first."""
    at: int
    """Microseconds since the epoch, by the writer's clock."""
    changes: tuple[Change, ...] = ()
    elsewhere: Part | None = None
    """Where the changes are, if not here."""


class Whole(Struct, frozen=True):
    """A batch with all that is kept of it elsewhere."""

    batch: Batch
    digest: bytes
    """SHA-256 of its body."""
    changes: tuple[Change, ...]

    @property
    def entries(self) -> Sequence[Entry]:
        """What is written of it where batches of several writers come after each other."""
        return (Came(self.batch.writer, self.batch.number, self.digest), *self.changes)

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, roughly."""
        return sum(
            len(record.body) + sum(map(len, record.large.values()))
            for change in self.changes
            if isinstance(change, Appended)
            for record in change.records
        )


class Sealed(Struct, frozen=True):
    """A batch as it is to be put."""

    value: bytes
    digest: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Batch)
_changes = msgspec.msgpack.Decoder(tuple[Change, ...])


def new_writer() -> str:
    """A name that no writer ever had."""
    return os.urandom(_WRITER_BYTES).hex()


def key(prefix: bytes, writer: str, number: int) -> bytes:
    """Where a batch is, below the prefix of the cluster; a writer's keys sort as their numbers do."""
    return prefix + FOLDER + f"{writer}/{number:0{_NUMBER_DIGITS}d}".encode()


def place(prefix: bytes, found: bytes) -> tuple[str, int]:
    """The writer and the number of a key. Raises StoreCorrupt for a key that is none of these."""
    writer, _, digits = found.removeprefix(prefix + FOLDER).decode(errors="replace").partition("/")
    if not digits.isdecimal() or key(prefix, writer, int(digits)) != found:
        raise StoreCorrupt(f"{found!r} is no part of a log: something else is kept below this prefix in etcd")
    return writer, int(digits)


def seal(objects: Objects, batch: Batch) -> Sealed:
    """What is to be put of a batch, after its part among the objects. Raises Refused, Unanswered of S3."""
    body = _encoder.encode(batch)
    value = envelope.seal(KIND, VERSION, body)
    if len(value) > MAX_VALUE_BYTES:
        part = named.put(objects, PARTS, _PART_KIND, _PART_VERSION, _encoder.encode(batch.changes))
        body = _encoder.encode(msgspec.structs.replace(batch, changes=(), elsewhere=part))
        value = envelope.seal(KIND, VERSION, body)
    return Sealed(value, envelope.digest(body))


def opened(prefix: bytes, found: bytes, value: bytes) -> tuple[Batch, bytes]:
    """The batch in a key's value, and its digest. Raises StoreCorrupt, StoreError."""
    writer, number = place(prefix, found)
    name = found.decode()
    body = envelope.unseal(KIND, VERSION, value, name)
    try:
        batch = _decoder.decode(body)
    except msgspec.DecodeError as broken:
        raise StoreCorrupt(f"{name} cannot be decoded: {broken}") from broken
    if (batch.writer, batch.number) != (writer, number):
        raise StoreCorrupt(f"{name} holds batch {batch.number} of writer {batch.writer}")
    if number == 0 and batch.prev != markers.NOTHING:
        raise StoreCorrupt(f"{name} is the first of its writer, and says that it is not")
    return batch, envelope.digest(body)


def whole(objects: Objects, prefix: bytes, found: bytes, value: bytes) -> Whole:
    """All of the batch in a key's value. Raises StoreCorrupt, StoreError."""
    batch, digest = opened(prefix, found, value)
    if batch.elsewhere is None:
        return Whole(batch, digest, batch.changes)
    body = named.get(objects, PARTS, _PART_KIND, _PART_VERSION, batch.elsewhere)
    try:
        return Whole(batch, digest, _changes.decode(body))
    except msgspec.DecodeError as broken:
        raise StoreCorrupt(f"{PARTS}{batch.elsewhere.name} cannot be decoded: {broken}") from broken
