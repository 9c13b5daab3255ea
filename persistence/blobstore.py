"""The interface between the engine and whatever keeps its blobs: large, immutable, named by their content."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from msgspec import Struct


class Swept(Struct, frozen=True, kw_only=True):
    """What a collection found."""

    kept: int
    kept_bytes: int
    removed: int
    removed_bytes: int


class BlobStore(Protocol):
    """Blobs by name: the SHA-256 of their bytes, 64 hex digits. Safe for many tasks of one Trio run."""

    @property
    def used_bytes(self) -> int:
        """What blobs take, as far as is known: from the first ``sweep`` on, which counts them."""
        ...

    async def put(self, data: bytes) -> str:
        """Keep a blob durably; its name. One that is there already counts as new for ``sweep``.

        Cancelled, it leaves nothing that counts as a blob. Raises BlobStoreFailed.
        """
        ...

    async def get(self, name: str) -> bytes:
        """A blob, verified. Raises BlobMissing, BlobCorrupt, BlobStoreFailed."""
        ...

    async def discard(self, name: str) -> None:
        """Remove a blob that nothing needs any more, if it is there. Raises BlobStoreFailed."""
        ...

    async def survey(self, keep: Collection[str], *, older_than: float) -> Swept:
        """What ``sweep`` would come to; nothing is removed. Raises BlobStoreFailed."""
        ...

    async def sweep(self, keep: Collection[str], *, older_than: float) -> Swept:
        """Remove the blobs that are not in ``keep`` and were put more than ``older_than`` seconds ago, and
        what interrupted writes have left behind. Raises BlobStoreFailed.
        """
        ...
