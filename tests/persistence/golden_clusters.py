"""What a cluster has left, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

GOLDEN = Path(__file__).parents[1] / "golden" / "cluster1.msgpack"
NAME = "golden"
"""Of the cluster."""


class Golden(msgspec.Struct, frozen=True):
    """In S3 and in etcd, and what must come of it."""

    objects: dict[str, bytes]
    """By key."""
    etcd: dict[str, bytes]
    """By key, below the prefix of the cluster."""
    content: dict[str, list[list[Any]]]
    """Of an index of all that."""


def load() -> Golden:
    """The golden cluster."""
    return msgspec.msgpack.decode(GOLDEN.read_bytes(), type=Golden)
