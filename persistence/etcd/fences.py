"""Under what a node appends: keys that only it can have made, and that are gone before another takes its
place.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Fence(Struct, frozen=True):
    """A key in etcd, and the revision at which it was created."""

    key: bytes
    revision: int


class Fences(Protocol):
    """What a node has. Read in any thread."""

    @property
    def node(self) -> Fence | None:
        """The node's own; None while it is no member of the cluster."""
        ...

    def of(self, owner: str, name: str) -> Fence | None:
        """The session's of that name; None if this node does not have it."""
        ...
