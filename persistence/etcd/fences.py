"""What a node must hold so that what it writes is taken: keys in etcd, by the revisions that made them."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Fence(Struct, frozen=True):
    """A key that a node has put. Once it is gone it never comes back with the same revision."""

    key: bytes
    revision: int
    """That created it."""


class Fences(Protocol):
    """Those that this node holds, as far as it knows. Read in the thread of the writer."""

    @property
    def node(self) -> Fence | None:
        """Of its membership; None: it is no member now."""
        ...

    def of(self, owner: str, name: str) -> Fence | None:
        """Of the session of that name; None: it does not have it."""
        ...
