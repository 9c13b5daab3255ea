"""How far the log in etcd is in S3: a key that the leader puts, with the deletion of what is there."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from engine.errors import StoreCorrupt
from persistence.s3.batches import Opened, Position

KEY = b"archived"
"""Below the prefix of the cluster."""
KEPT_WRITERS = 1_000
"""So many are told of, those that wrote last."""


class Archived(Struct, frozen=True):
    """What is in S3."""

    position: Position
    """How far the log is there."""
    holder: Opened
    """Who has it there: the leader, as a server."""
    writers: dict[str, int]
    """The number of each writer's last batch that is there; of the last of them only."""


def key(prefix: bytes) -> bytes:
    """Where that is."""
    return prefix + KEY


def encode(archived: Archived) -> bytes:
    """Its value, in JSON."""
    return msgspec.json.encode(archived)


def decode(value: bytes) -> Archived:
    """Raises StoreCorrupt."""
    try:
        return msgspec.json.decode(value, type=Archived)
    except msgspec.DecodeError as broken:
        raise StoreCorrupt(f"what etcd says of the archive cannot be decoded: {broken}") from broken
