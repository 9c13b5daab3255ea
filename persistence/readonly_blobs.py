"""Blobs of a store that is only read: none is ever put or removed."""

from __future__ import annotations

from collections.abc import Collection
from typing import NoReturn

from engine.errors import BlobStoreFailed
from persistence.blobstore import BlobStore, Swept


class ReadOnlyBlobStore:
    """A ``BlobStore``: ``inner``, which others own."""

    def __init__(self, inner: BlobStore) -> None:
        self._inner = inner

    @property
    def used_bytes(self) -> int:
        """See ``BlobStore``."""
        return self._inner.used_bytes

    async def get(self, name: str) -> bytes:
        """See ``BlobStore``."""
        return await self._inner.get(name)

    async def survey(self, keep: Collection[str], *, older_than: float) -> Swept:
        """See ``BlobStore``."""
        return await self._inner.survey(keep, older_than=older_than)

    async def put(self, data: bytes) -> str:  # noqa: ARG002
        """Raises BlobStoreFailed."""
        self._refuse()

    async def discard(self, name: str) -> None:  # noqa: ARG002
        """Raises BlobStoreFailed."""
        self._refuse()

    async def sweep(self, keep: Collection[str], *, older_than: float) -> Swept:  # noqa: ARG002
        """Raises BlobStoreFailed."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise BlobStoreFailed("the blobs are open for reading only")
