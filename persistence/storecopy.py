"""A copy of a whole store in another place, made beside whoever owns the store, which is never altered.

The log is copied as it is at one moment, then the blobs of the checkpoints that it knows then.
``persistence.copysources`` says how they are read, ``persistence.copytargets`` how they become a store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import trio

from engine.errors import BlobCorrupt, BlobMissing
from persistence import duplicate, folders, pointers
from persistence.copysources import Source, from_bucket, from_directory
from persistence.copytargets import Target, to_bucket, to_directory
from persistence.duplicate import Step
from persistence.place import Bucket, Directory, Place, Staged
from persistence.readonly import ReadOnlyEventLog
from persistence.schema import DATABASE_NAME, READ_ERRORS, connect, read_error
from persistence.stores import index_folder, reached


class StoreCopy:
    """A copy that is being made; see ``copying``."""

    def __init__(self, source: Source, target: Target) -> None:
        self._source = source
        self._target = target

    @property
    def place(self) -> Directory | Staged:
        """What can be read of it, once the log was sent and until the end of the block."""
        return self._target.place

    async def copy_log(self, step: Step) -> None:
        """Copy the log; ``step`` hears, in a thread, of pages.

        Raises StoreMissing, StoreCorrupt, StoreError, and OSError where the copy cannot be written.
        """
        await self._source.copy_log(self._target.folder, step)

    async def copy_blobs(self, step: Step) -> None:
        """Copy the blobs of its checkpoints; ``step`` hears of these.

        A blob that is damaged is left out, and so is one that is missing; if that is so because the owner of
        the original has forgotten its checkpoint meanwhile, the copy forgets it, too. Raises StoreError,
        BlobStoreFailed.
        """
        path = self._target.folder / DATABASE_NAME
        copy = ReadOnlyEventLog(self._target.folder, path)
        try:
            names = sorted(await copy.known_blobs())
        finally:
            with trio.CancelScope(shield=True):
                await copy.close()
        vanished = set()
        for number, name in enumerate(names, 1):
            try:
                await self._target.blobs.put(await self._source.blobs.get(name))
            except BlobMissing:
                vanished.add(name)
            except BlobCorrupt:
                pass  # as whoever checks the copy will say
            step(number, len(names))
        if vanished and (known := await self._source.known_blobs()) is not None:
            await trio.to_thread.run_sync(_forget, path, vanished - known)

    async def send_log(self, step: Step) -> None:
        """Bring the log to where the copy is made, if that is elsewhere; ``step`` hears of parts.

        Raises StoreError, OSError.
        """
        await self._target.send_log(step)

    def keep(self) -> None:
        """It shall be kept, if the block ends well."""
        self._target.is_kept = True


@asynccontextmanager
async def copying(source: Place, to: Place) -> AsyncIterator[StoreCopy]:
    """A copy of the store in ``source``, to be made in the block, which is ``to`` once it was told to
    ``keep``; if it is not, there is no store.

    Raises StoreMissing if there is none to copy, StoreError where ``to`` is something already, OSError.
    """
    async with AsyncExitStack() as stack:
        if isinstance(source, Bucket):
            read = await stack.enter_async_context(reached(source, None, owned=False))
            origin = await stack.enter_async_context(from_bucket(read))
        else:
            origin = await stack.enter_async_context(from_directory(source.path))
        if isinstance(to, Bucket):
            written = await stack.enter_async_context(reached(to, None, owned=True))
            folder = stack.enter_context(index_folder(to))
            await trio.to_thread.run_sync(folders.make, folder)
            target = await stack.enter_async_context(to_bucket(written, to, folder))
        else:
            target = await stack.enter_async_context(to_directory(to.path))
        yield StoreCopy(origin, target)


def _forget(copy: Path, blobs: set[str]) -> None:
    """Let the copy know no checkpoint that has one of these blobs. Raises StoreError, OSError."""
    try:
        with duplicate.room(copy), closing(connect(copy)) as db:
            db.execute("BEGIN IMMEDIATE")
            pointers.forget_all_with(db, blobs)
            db.execute("COMMIT")
    except READ_ERRORS as failed:
        raise read_error(failed, copy) from failed
