"""Where blobs are kept, as it looks to somebody who is not the store: what is there, and how it is altered."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Protocol

from bucket import Bucket

from persistence.blobstore import BlobStore
from persistence.directory_blobs import DirectoryBlobStore
from persistence.s3.blobs import S3BlobStore
from persistence.s3.cache import CachedBlobStore
from persistence.s3.cachefolder import FOLDER
from persistence.s3.servicetime import CLOCK

SMALL = bytes(range(97))
HOUR = 3_600.0


def name_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Place(Protocol):
    def open(self) -> BlobStore:
        """A store on it, as after a restart."""
        ...

    def names(self) -> list[str]:
        """Of blobs, and of what else is there that is no blob."""
        ...

    def read(self, name: str) -> bytes: ...

    def alter(self, name: str, data: bytes) -> None: ...

    def age(self, name: str, seconds: float) -> None:
        """It was put so much earlier."""
        ...

    def size(self) -> int:
        """Bytes of all blobs."""
        ...

    def written(self) -> object:
        """Something else once anything was written or removed."""
        ...


class InDirectory:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def open(self) -> BlobStore:
        return DirectoryBlobStore(self.directory)

    def path(self, name: str) -> Path:
        return self.directory / "blobs" / name[:2] / name

    def names(self) -> list[str]:
        return sorted(path.name for path in self.directory.rglob("*") if path.is_file())

    def read(self, name: str) -> bytes:
        return self.path(name).read_bytes()

    def alter(self, name: str, data: bytes) -> None:
        self.path(name).write_bytes(data)

    def age(self, name: str, seconds: float) -> None:
        moment = self.path(name).stat().st_mtime - seconds
        os.utime(self.path(name), (moment, moment))

    def written(self) -> object:
        return {path: path.stat().st_mtime_ns for path in self.directory.rglob("*")}

    def size(self) -> int:
        return sum(path.stat().st_size for path in self.directory.glob("blobs/??/*"))


class InBucket:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bucket = Bucket()

    def open(self) -> BlobStore:
        return S3BlobStore(self.bucket)

    def names(self) -> list[str]:
        return sorted(key.rpartition("/")[2] for key in self.bucket.stored if key != CLOCK)

    def read(self, name: str) -> bytes:
        return self.bucket.stored[key_of(name)][0]

    def alter(self, name: str, data: bytes) -> None:
        self.bucket.alter(key_of(name), data)

    def age(self, name: str, seconds: float) -> None:
        self.bucket.age(key_of(name), seconds)

    def written(self) -> object:
        return [call for call in self.bucket.calls if call[0] in ("put", "delete")]

    def size(self) -> int:
        return sum(len(data) for data, _ in self.bucket.stored.values())


class Cached(InBucket):
    """In a bucket, and in a cache of it. Who alters a blob alters both."""

    def open(self) -> BlobStore:
        return CachedBlobStore(super().open(), self.directory, 10_000_000)

    def path(self, name: str) -> Path:
        return self.directory / FOLDER / name[:2] / name

    def alter(self, name: str, data: bytes) -> None:
        super().alter(name, data)
        if self.path(name).exists():
            self.path(name).write_bytes(data)


def key_of(name: str) -> str:
    return f"blobs/{name[:2]}/{name}"


PLACES = [InDirectory, InBucket, Cached]
