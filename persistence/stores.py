"""The way from where a store is to its log and its blobs."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from stat import S_ISDIR
from typing import TYPE_CHECKING, NamedTuple

import trio

from engine.errors import StoreFailed, StoreLocked
from persistence.blobstore import BlobStore
from persistence.directory_blobs import DirectoryBlobStore
from persistence.lock import own
from persistence.place import Bucket, Directory, Place, Staged
from persistence.readonly import ReadOnlyEventLog, open_sqlite_reader
from persistence.readonly_blobs import ReadOnlyBlobStore
from persistence.scratch import ScratchBlobStore, ScratchEventLog
from persistence.sqlite import SqliteEventLog, open_sqlite_log

if TYPE_CHECKING:  # boto3 takes as long to import as all the rest
    from persistence.s3.client import S3Objects
    from persistence.s3.requests import Observer

_INDEX = "index"
"""Folder in the cache; whoever owns it owns all of the cache."""
_TEMPORARY = "mcp-v8-index-"
_NEW_SECONDS = 10
"""A temporary directory is left alone for so long: who has made it may be just about to own it."""


class Opened(NamedTuple):
    """A store that is owned."""

    log: SqliteEventLog
    blobs: BlobStore


class Seen(NamedTuple):
    """A store that is only read."""

    log: ReadOnlyEventLog
    blobs: BlobStore


@asynccontextmanager
async def open_stores(
    place: Place, observe: Observer | None = None, *, only_if_free: bool = False
) -> AsyncIterator[Opened]:
    """Own the store there until the end of the block; ``observe`` is told of requests to S3.

    A bucket is taken over from whoever owns it; ``only_if_free``: unless that one may still run. Raises
    StoreLocked if another process owns the store, StoreError if it cannot be used, OSError.
    """
    if isinstance(place, Directory):
        async with open_sqlite_log(place.path) as log:
            yield Opened(log, DirectoryBlobStore(place.path))
        return
    from persistence.s3.log import open_s3_log

    with index_folder(place) as index:
        async with (
            reached(place, observe, owned=True) as objects,
            open_s3_log(objects, index, only_if_free=only_if_free) as log,
        ):
            yield Opened(log, blobs_of(place, objects))


@asynccontextmanager
async def see_stores(
    place: Place | Staged, tell: Callable[[str], object], *, revisits: bool = False
) -> AsyncIterator[Seen]:
    """Read the store there until the end of the block, also beside its owner.

    ``revisits``: checkpoints can be made, which are in memory. ``tell`` hears, in a sentence, what has to be
    copied. Raises StoreMissing if there is none, StoreError if it cannot be used, OSError.
    """
    log_kind, blob_kind = (ScratchEventLog, ScratchBlobStore) if revisits else (None, ReadOnlyBlobStore)
    if isinstance(place, Directory):
        async with open_sqlite_reader(place.path, tell, log_kind) as log:
            yield Seen(log, blob_kind(DirectoryBlobStore(place.path)))
        return
    if isinstance(place, Staged):
        async with (
            reached(place.bucket, None, owned=False) as objects,
            open_sqlite_reader(place.path, tell, log_kind) as log,
        ):
            yield Seen(log, blob_kind(blobs_of(place.bucket, objects)))
        return
    from persistence.s3.log import open_s3_index

    with index_folder(place) as index:
        async with reached(place, None, owned=False) as objects:
            await open_s3_index(objects, index)
            async with open_sqlite_reader(index, tell, log_kind) as log:
                yield Seen(log, blob_kind(blobs_of(place, objects)))


@asynccontextmanager
async def reached(place: Bucket, observe: Observer | None, *, owned: bool) -> AsyncIterator[S3Objects]:
    """The objects in a bucket; one to be ``owned`` is tried first. Raises StoreFailed."""
    from persistence.s3.checks import check_bucket
    from persistence.s3.client import S3Objects
    from persistence.s3.objects import ObjectsError
    from persistence.s3.requests import unobserved

    def reach() -> S3Objects:
        try:
            if owned:
                check_bucket(place.settings, observe=observe or unobserved)
            return S3Objects(place.settings, observe=observe or unobserved)
        except ObjectsError as failed:
            raise StoreFailed(str(failed)) from failed

    objects = await trio.to_thread.run_sync(reach)
    try:
        yield objects
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(objects.close)


def blobs_of(place: Bucket, objects: S3Objects) -> BlobStore:
    """The blobs in a bucket, with the cache that belongs to it."""
    from persistence.s3.blobs import S3BlobStore
    from persistence.s3.cache import CachedBlobStore

    blobs = S3BlobStore(objects)
    if place.cache is None:
        return blobs
    return CachedBlobStore(blobs, place.cache, place.cache_bytes)


@contextmanager
def index_folder(place: Bucket) -> Iterator[Path]:
    """A directory for the index: in the cache, or one that is removed at the end of the block."""
    if place.cache is not None:
        yield place.cache / _INDEX
        return
    with temporary_index_folder() as folder:
        yield folder


@contextmanager
def temporary_index_folder() -> Iterator[Path]:
    """One that is removed at the end of the block, or by the next process where this one is killed."""
    _sweep()
    with (
        tempfile.TemporaryDirectory(prefix=_TEMPORARY, ignore_cleanup_errors=True) as directory,
        own(Path(directory)),
    ):
        yield Path(directory) / _INDEX


def _sweep() -> None:
    """Remove the directories that processes have left that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        try:
            found = path.lstat()
            # Where everybody may write, one of another user may be a trap: its lock a link to a file of ours.
            if not S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                continue
            if found.st_mtime > time.time() - _NEW_SECONDS:
                continue
            with own(path):
                shutil.rmtree(path, ignore_errors=True)
        except (StoreLocked, OSError):  # in use, or somebody else's
            continue
