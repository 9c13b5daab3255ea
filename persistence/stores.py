"""Where a store is, and the way from there to its log and its blobs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import trio
from msgspec import Struct

from engine.errors import StoreFailed, StoreLocked
from persistence import folders
from persistence.blobstore import BlobStore
from persistence.directory_blobs import DirectoryBlobStore
from persistence.lock import own
from persistence.s3.settings import Settings
from persistence.sqlite import SqliteEventLog, open_sqlite_log

if TYPE_CHECKING:  # boto3 takes as long to import as all the rest
    from persistence.s3.client import S3Objects
    from persistence.s3.requests import Observer

_INDEX, _BLOBS = "index", "blobs"
"""Folders of the cache."""
_TEMPORARY = "mcp-v8-index-"


class Directory(Struct, frozen=True):
    """A store in a directory of this machine."""

    path: Path

    def __str__(self) -> str:
        return f"sqlite:{self.path}"


class Bucket(Struct, frozen=True):
    """A store in a bucket of S3."""

    settings: Settings
    cache: Path | None = None
    """Directory for what need not be read again; None: nothing is kept here."""
    cache_bytes: int = 1 << 30
    """What the blobs in it may take."""

    def __str__(self) -> str:
        return f"s3://{self.settings.bucket}/{self.settings.key('')}".rstrip("/")


Place = Directory | Bucket


class Opened(NamedTuple):
    """A store that is owned."""

    log: SqliteEventLog
    blobs: BlobStore


@asynccontextmanager
async def open_stores(place: Place, observe: Observer | None = None) -> AsyncIterator[Opened]:
    """Own the store there until the end of the block; ``observe`` is told of requests to S3.

    Raises StoreLocked if another process owns it, StoreError if it cannot be used, OSError if a directory
    cannot.
    """
    if isinstance(place, Directory):
        async with open_sqlite_log(place.path) as log:
            yield Opened(log, DirectoryBlobStore(place.path))
        return
    from persistence.s3.blobs import S3BlobStore
    from persistence.s3.cache import CachedBlobStore
    from persistence.s3.log import open_s3_log

    with _index(place) as index:
        objects = await trio.to_thread.run_sync(_reach, place, observe)
        with objects:
            async with open_s3_log(objects, index) as log:
                blobs = S3BlobStore(objects)
                if place.cache is None:
                    yield Opened(log, blobs)
                    return
                folder = place.cache / _BLOBS  # owned by who owns the index
                await trio.to_thread.run_sync(folders.make, folder)
                yield Opened(log, CachedBlobStore(blobs, folder, place.cache_bytes))


def _reach(place: Bucket, observe: Observer | None) -> S3Objects:
    """The objects in a bucket that can do what is asked of it. Raises StoreFailed."""
    from persistence.s3.checks import check_bucket
    from persistence.s3.client import S3Objects
    from persistence.s3.objects import ObjectsError
    from persistence.s3.requests import unobserved

    try:
        check_bucket(place.settings, observe=observe or unobserved)
        return S3Objects(place.settings, observe=observe or unobserved)
    except ObjectsError as failed:
        raise StoreFailed(str(failed)) from failed


@contextmanager
def _index(place: Bucket) -> Iterator[Path]:
    """A directory for the index: in the cache, or one that is removed at the end of the block."""
    if place.cache is not None:
        yield place.cache / _INDEX
        return
    _sweep()
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY, ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def _sweep() -> None:
    """Remove the directories that processes have left that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        try:
            with own(path):
                shutil.rmtree(path, ignore_errors=True)
        except (StoreLocked, OSError):  # in use, or somebody else's
            continue
