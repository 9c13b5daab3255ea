"""A copy of a whole store in another folder, made beside whoever owns the store, which is never altered.

The log is copied as it is at one moment, then the blobs of the checkpoints that it knows then. All of that
is in a folder with a name of its own, beside the one that is meant, until it is on the disk; then that is
renamed. An empty folder that is there, maybe since a disk is mounted there, has it inside, and what is in it
is moved up, the log last. So where a copy shall be there is a whole one or no store, whatever ended the
process.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import trio

from engine.errors import BlobCorrupt, BlobMissing, StoreError
from persistence import duplicate, folders, pointers
from persistence.directory_blobs import FOLDER, DirectoryBlobStore
from persistence.duplicate import Step
from persistence.readonly import ReadOnlyEventLog, missing, settled
from persistence.schema import DATABASE_NAME, READ_ERRORS, connect, read_error, version_of

PARTIAL = ".partial"
"""End of the name of a folder in which a copy is being made."""


class StoreCopy:
    """A copy that is being made; see ``copying``."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.folder = folder
        """Where it is until it is kept."""
        self.is_kept = False
        self._source = source
        self._original = ReadOnlyEventLog(source, source / DATABASE_NAME)
        self._copy = ReadOnlyEventLog(folder, folder / DATABASE_NAME)
        self._is_alive = True
        """Whether somebody may alter the original meanwhile."""

    async def copy_log(self, step: Step) -> None:
        """Copy the log; ``step`` hears, in a thread, of pages.

        Raises StoreMissing, StoreCorrupt, StoreError, and OSError where the copy cannot be written.
        """
        path, copy = self._source / DATABASE_NAME, self.folder / DATABASE_NAME
        condition = await trio.to_thread.run_sync(settled, path)
        self._is_alive = condition.is_readable
        if self._is_alive:

            def passed(done: int, of: int) -> None:
                trio.from_thread.check_cancelled()
                step(done, of)

            await self._original.copy_to(copy, passed)
        else:
            await trio.to_thread.run_sync(duplicate.copy_files, path, copy)
            await trio.to_thread.run_sync(_put_in_order, path, copy)

    async def copy_blobs(self, step: Step) -> None:
        """Copy the blobs of its checkpoints; ``step`` hears of these.

        A blob that is damaged is left out, and so is one that is missing; if that is so because the owner of
        the original has forgotten its checkpoint meanwhile, the copy forgets it, too. Raises StoreError,
        BlobStoreFailed.
        """
        names = sorted(await self._copy.known_blobs())
        original, copy = DirectoryBlobStore(self._source), DirectoryBlobStore(self.folder)
        vanished = set()
        for number, name in enumerate(names, 1):
            try:
                await copy.put(await original.get(name))
            except BlobMissing:
                vanished.add(name)
            except BlobCorrupt:
                pass  # as whoever checks the copy will say
            step(number, len(names))
        if vanished and self._is_alive:
            forgotten = vanished - await self._original.known_blobs()
            await trio.to_thread.run_sync(_forget, self.folder / DATABASE_NAME, forgotten)

    def keep(self) -> None:
        """It shall be kept, if the block ends well."""
        self.is_kept = True

    async def close(self) -> None:
        """Let go of both logs, once."""
        await self._original.close()
        await self._copy.close()


@asynccontextmanager
async def copying(source: Path, to: Path) -> AsyncIterator[StoreCopy]:
    """A copy of the store in ``source``, to be made in the block, which is ``to`` once it was told to
    ``keep``; if it is not, nothing is left of it.

    Raises StoreMissing if there is none, StoreError where ``to`` is something already, OSError.
    """
    await trio.to_thread.run_sync(settled, source / DATABASE_NAME)
    to = await trio.to_thread.run_sync(to.resolve)
    folder = await trio.to_thread.run_sync(_begin, to)
    copy = StoreCopy(source, folder)
    is_whole = False
    try:
        yield copy
        is_whole = copy.is_kept
    finally:
        with trio.CancelScope(shield=True):
            await copy.close()
            await trio.to_thread.run_sync(_end, folder, to if is_whole else None)


def _begin(to: Path) -> Path:
    """The folder in which it is made."""
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise StoreError(f"{to} is something already: a copy gets a new folder, or an empty one")
    name = f".{to.name}.{secrets.token_hex(4)}{PARTIAL}"
    folder = to / name if to.exists() else to.with_name(name)
    folders.make(folder)
    return folder


def _end(folder: Path, to: Path | None) -> None:
    """Put the copy where it shall be, if it shall; else nothing is left of it. Raises StoreError, OSError."""
    try:
        if to is not None:
            _publish(folder, to)
    finally:
        if folder.exists():
            shutil.rmtree(folder)


def _publish(folder: Path, to: Path) -> None:
    folders.sync(folder)
    if folder.parent != to:
        folder.rename(to)
        folders.sync(to.parent)
        return
    if any(path != folder for path in to.iterdir()):
        raise StoreError(f"{to} was empty, and something has come to it meanwhile")
    for name in (FOLDER, DATABASE_NAME):
        if (folder / name).exists():
            (folder / name).rename(to / name)
            folders.sync(to)


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


def _forget(copy: Path, blobs: set[str]) -> None:
    """Let the copy know no checkpoint that has one of these blobs. Raises StoreError, OSError."""
    try:
        with duplicate.room(copy), closing(connect(copy)) as db:
            db.execute("BEGIN IMMEDIATE")
            pointers.forget_all_with(db, blobs)
            db.execute("COMMIT")
    except READ_ERRORS as failed:
        raise read_error(failed, copy) from failed
