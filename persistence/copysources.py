"""What a store is copied from: a directory, or a bucket, which are only read, beside whoever owns them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Protocol

import trio

from engine.errors import StoreError
from persistence import duplicate
from persistence.blobstore import BlobStore
from persistence.directory_blobs import DirectoryBlobStore
from persistence.duplicate import Step
from persistence.lock import LOCK_NAME
from persistence.readonly import ReadOnlyEventLog, missing, open_sqlite_reader, settled
from persistence.s3 import bases
from persistence.s3.blobs import S3BlobStore
from persistence.s3.log import missing_in_bucket, open_s3_index
from persistence.s3.objects import Objects, Refused, Unanswered
from persistence.s3.segments import is_begun
from persistence.schema import DATABASE_NAME, READ_ERRORS, connect, read_error, version_of
from persistence.stores import temporary_index_folder


class Source(Protocol):
    """A store to copy from."""

    @property
    def blobs(self) -> BlobStore:
        """Its blobs."""
        ...

    async def copy_log(self, folder: Path, step: Step) -> None:
        """Make the log, as it is at one moment, a database in ``folder``, all in its file.

        ``step`` hears of pages, in a thread. Raises StoreMissing, StoreCorrupt, StoreError, and OSError where
        the copy cannot be written.
        """
        ...

    async def known_blobs(self) -> set[str] | None:
        """Names of the blobs that its checkpoints have by now; None if nobody can have altered it since the
        log was copied. Raises StoreError.
        """
        ...


@asynccontextmanager
async def from_directory(path: Path) -> AsyncIterator[Source]:
    """The store in a directory. Raises StoreMissing if there is none, OSError."""
    await trio.to_thread.run_sync(settled, path / DATABASE_NAME)
    source = _DirectorySource(path)
    try:
        yield source
    finally:
        with trio.CancelScope(shield=True):
            await source.close()


@asynccontextmanager
async def from_bucket(objects: Objects) -> AsyncIterator[Source]:
    """The store among ``objects``. Raises StoreMissing if there is none, StoreError."""
    try:
        if not await trio.to_thread.run_sync(is_begun, objects):
            raise missing_in_bucket()
    except (Refused, Unanswered) as failed:
        raise StoreError(str(failed)) from failed
    yield _BucketSource(objects)


class _DirectorySource:
    """See ``Source``."""

    def __init__(self, directory: Path) -> None:
        self.blobs = DirectoryBlobStore(directory)
        self._path = directory / DATABASE_NAME
        self._log = ReadOnlyEventLog(directory, self._path)
        self._is_alive = True
        """Whether somebody may alter it meanwhile."""

    async def copy_log(self, folder: Path, step: Step) -> None:
        """See ``Source``."""
        copy = folder / DATABASE_NAME
        condition = await trio.to_thread.run_sync(settled, self._path)
        self._is_alive = condition.is_readable
        if self._is_alive:

            def passed(done: int, of: int) -> None:
                trio.from_thread.check_cancelled()
                step(done, of)

            await self._log.copy_to(copy, passed)
        else:
            await trio.to_thread.run_sync(duplicate.copy_files, self._path, copy)
            await trio.to_thread.run_sync(_put_in_order, self._path, copy)

    async def known_blobs(self) -> set[str] | None:
        """See ``Source``."""
        return await self._log.known_blobs() if self._is_alive else None

    async def close(self) -> None:
        """Let go of the log, once."""
        await self._log.close()


class _BucketSource:
    """See ``Source``."""

    def __init__(self, objects: Objects) -> None:
        self.blobs = S3BlobStore(objects)
        self._objects = objects

    async def copy_log(self, folder: Path, step: Step) -> None:  # noqa: ARG002
        """See ``Source``; ``step`` hears nothing, since how much there is nobody knows."""
        await open_s3_index(self._objects, folder)
        (folder / LOCK_NAME).unlink()
        await trio.to_thread.run_sync(bases.strip, folder / DATABASE_NAME)

    async def known_blobs(self) -> set[str] | None:
        """See ``Source``."""
        with temporary_index_folder() as folder:
            await open_s3_index(self._objects, folder)
            async with open_sqlite_reader(folder) as log:
                return await log.known_blobs()


def _put_in_order(path: Path, copy: Path) -> None:
    """Let SQLite move all that belongs to the copy into its file; what is wrong with it is wrong with the
    original. Raises StoreError, OSError.
    """
    try:
        with duplicate.room(copy), closing(connect(copy)) as db:
            version = version_of(db, path)
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except READ_ERRORS as failed:
        raise read_error(failed, path) from failed
    if version == 0:
        raise missing(path.parent)
