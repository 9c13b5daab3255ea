"""Blobs of a store that is far away, those used last also in a folder here, where they are had at once.

The store is what counts. A put returns when the store has the blob; the folder gets it, too, but whatever
befalls that, a full disk, a damaged file, somebody who empties it, the cache only stops helping: it is told,
once for each kind of trouble, and blobs come from the store, which mends what is damaged or missing here.

Who asks for a blob that is being asked for waits for that answer: it is asked for once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import trio

from engine.errors import BlobError
from persistence import threads
from persistence.blobstore import BlobStore, Swept
from persistence.s3.cachefolder import CacheFolder

THREADS: Final = 4
"""Files that are read or written at once."""
_log = logging.getLogger(__name__)

T = TypeVar("T")


class CachedBlobStore:
    """A ``BlobStore``: ``inner``, with up to ``max_bytes`` of it in ``directory``.

    That must be there, and one process owns it (see ``persistence.lock``).
    """

    def __init__(self, inner: BlobStore, directory: Path, max_bytes: int) -> None:
        self.hits = 0
        """Blobs that were had without asking the store for them."""
        self.misses = 0
        """Blobs that the store was asked for."""
        self.failures = 0
        """Times that the disk of the cache failed, which nobody else notices."""
        self._inner = inner
        self._folder = CacheFolder(directory, max_bytes)
        self._threads = trio.CapacityLimiter(THREADS)
        self._asked: dict[str, _Answer] = {}
        self._told: set[str] = set()

    @property
    def cached_bytes(self) -> int:
        """What the cache takes, as far as is known: from the first use on, which looks through it."""
        return self._folder.used_bytes

    @property
    def evictions(self) -> int:
        """Blobs that had to leave the cache for others."""
        return self._folder.evictions

    @property
    def used_bytes(self) -> int:
        """See ``BlobStore``. The cache is not counted."""
        return self._inner.used_bytes

    async def put(self, data: bytes) -> str:
        """See ``BlobStore``. Once the store has the blob, a cancellation waits for the end."""
        name = await self._inner.put(data)
        self._asked.pop(name, None)
        with trio.CancelScope(shield=True):
            await self._try(partial(self._folder.write, name, data))
        return name

    async def get(self, name: str) -> bytes:
        """See ``BlobStore``."""
        while (asked := self._asked.get(name)) is not None:
            await asked.is_over.wait()
            if asked.error is not None:
                raise asked.error
            if asked.data is not None:
                self.hits += 1
                return asked.data
        answer = self._asked[name] = _Answer()
        try:
            answer.data = await self._get(name)
        except BlobError as failed:
            answer.error = failed
            raise
        finally:
            if self._asked.get(name) is answer:
                del self._asked[name]
            answer.is_over.set()
        return answer.data

    async def _get(self, name: str) -> bytes:
        data = await self._try(partial(self._folder.read, name))
        if data is not None:
            self.hits += 1
            return data
        self.misses += 1
        data = await self._inner.get(name)
        await self._try(partial(self._folder.write, name, data))
        return data

    async def discard(self, name: str) -> None:
        """See ``BlobStore``."""
        await self._inner.discard(name)
        self._asked.pop(name, None)
        await self._try(partial(self._folder.remove, name))

    async def survey(self, keep: Collection[str], *, older_than: float) -> Swept:
        """See ``BlobStore``."""
        return await self._inner.survey(keep, older_than=older_than)

    async def sweep(self, keep: Collection[str], *, older_than: float) -> Swept:
        """See ``BlobStore``. From the cache goes all that is not in ``keep``, new or not."""
        swept = await self._inner.sweep(keep, older_than=older_than)
        await self._try(partial(self._folder.retain, frozenset(keep)))
        return swept

    async def _try(self, work: Callable[[], T]) -> T | None:
        """What it comes to, if the disk, and the machine, let it."""
        try:
            return await threads.run(work, self._threads)
        except OSError as failed:
            self._tell(os.strerror(failed.errno) if failed.errno else str(failed))
        except threads.NoThread as failed:
            self._tell(str(failed))
        return None

    def _tell(self, trouble: str) -> None:
        self.failures += 1
        if trouble not in self._told:
            self._told.add(trouble)
            _log.warning("the cache in %s does not help: %s: blobs come from S3", self._folder.path, trouble)


class _Answer:
    """What becomes of a question; neither data nor an error where who asked was cancelled."""

    def __init__(self) -> None:
        self.is_over = trio.Event()
        self.data: bytes | None = None
        self.error: BlobError | None = None
