"""Where a store is copied to: there is a whole one, or none, whatever ended the process.

In a directory all of it is in a folder with a name of its own, beside the one that is meant, until it is on
the disk; then that is renamed. An empty folder that is there, maybe since a disk is mounted there, has it
inside, and what is in it is moved up, the log last.

In a bucket blobs and a base of the log come first, of which nobody knows; then the manifest that names the
base, on condition that there is none. What is left of a copy that was given up is removed as all is that
nothing names, by the server that has the store there one day; another copy puts the same objects again.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from engine.errors import StoreError
from engine.timestamps import now_us
from persistence import folders
from persistence.blobstore import BlobStore
from persistence.changes import Part
from persistence.directory_blobs import FOLDER, DirectoryBlobStore
from persistence.duplicate import Step
from persistence.place import Bucket, Directory, Staged
from persistence.s3 import bases, batches, segments
from persistence.s3.batches import NOTHING, Batch
from persistence.s3.blobs import S3BlobStore
from persistence.s3.objects import Objects, Refused, Unanswered
from persistence.s3.segments import Manifest
from persistence.schema import DATABASE_NAME

PARTIAL = ".partial"
"""End of the name of a folder in which a copy is being made."""
ATTEMPTS = 5
"""To put the manifest."""
PAUSE_SECONDS = 1.0
"""Between two of them."""


class Target:
    """Where a copy is being made; in a directory, if no more is said."""

    def __init__(self, folder: Path, blobs: BlobStore, place: Directory | Staged) -> None:
        self.folder = folder
        """Where the log is made."""
        self.blobs = blobs
        """Where the blobs are put."""
        self.place = place
        """What can be read of it before it is where it shall be."""
        self.is_kept = False
        """Whether it shall be there, if the block ends well."""

    async def send_log(self, step: Step) -> None:
        """Take the log, once it is whole; ``step`` hears of parts. Raises StoreError, OSError."""


@asynccontextmanager
async def to_directory(to: Path) -> AsyncIterator[Target]:
    """The directory ``to``. Raises StoreError where that is something already, OSError."""
    to = await trio.to_thread.run_sync(to.resolve)
    folder = await trio.to_thread.run_sync(_begin, to)
    target = Target(folder, DirectoryBlobStore(folder), Directory(folder))
    is_whole = False
    try:
        yield target
        is_whole = target.is_kept
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(_end, folder, to if is_whole else None)


@asynccontextmanager
async def to_bucket(objects: Objects, place: Bucket, folder: Path) -> AsyncIterator[Target]:
    """``objects``, which are those of ``place``; the log is made in ``folder``, which is there.

    Raises StoreError where a store is there already, or it cannot be said whether the copy is.
    """
    await trio.to_thread.run_sync(_see_that_none_is_there, objects, place)
    target = _BucketTarget(objects, place, folder)
    yield target
    if target.is_kept:
        await target.publish()


class _BucketTarget(Target):
    def __init__(self, objects: Objects, place: Bucket, folder: Path) -> None:
        super().__init__(folder, S3BlobStore(objects), Staged(folder, place))
        self._objects = objects
        self._bucket = place
        self._base: tuple[Part, ...] = ()

    async def send_log(self, step: Step) -> None:
        """See ``Target``. What is in ``folder`` afterwards came back from the bucket."""

        def passed(done: int, of: int) -> None:
            trio.from_thread.check_cancelled()
            step(done, of)

        def send() -> None:
            database = self.folder / DATABASE_NAME
            try:
                self._base = bases.put(self._objects, database, passed)
            except (Refused, Unanswered) as failed:
                raise StoreError(str(failed)) from failed
            bases.get(self._objects, self._base, database)

        await trio.to_thread.run_sync(send)

    async def publish(self) -> None:
        """Let it be a store. Raises StoreError."""
        manifest = Manifest(0, _beginning(), (), base=self._base)
        await trio.to_thread.run_sync(_see_that_none_is_there, self._objects, self._bucket)
        for attempt in range(ATTEMPTS):
            if attempt:
                await trio.sleep(PAUSE_SECONDS)
            try:
                is_new = await trio.to_thread.run_sync(segments.publish, self._objects, manifest)
            except Refused as refused:
                raise StoreError(f"the copy was not kept: {refused}") from refused
            except Unanswered as unanswered:
                failure = StoreError(f"it is not known whether {self._bucket} has the copy: {unanswered}")
                failure.__cause__ = unanswered
                continue
            if is_new or await trio.to_thread.run_sync(segments.newest, self._objects) == manifest:
                return
            raise _taken(self._bucket)
        raise failure


def _beginning() -> batches.Position:
    """The place in the log for which a copy stands: behind a first batch that was never written.

    It is like no other place, so that no index of another log is taken for one of this.
    """
    batch = Batch(number=0, prev=NOTHING, nonce=os.urandom(batches.NONCE_BYTES), at=now_us(), closed=True)
    return batches.behind(batch, batches.encode(batch))


def _see_that_none_is_there(objects: Objects, place: Bucket) -> None:
    try:
        if segments.is_begun(objects):
            raise _taken(place)
    except (Refused, Unanswered) as failed:
        raise StoreError(str(failed)) from failed


def _taken(place: Bucket) -> StoreError:
    return StoreError(f"{place} has a store already: a copy gets a prefix of its own")


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
