"""Where a store is."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from persistence.s3.settings import Settings


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


class Staged(Struct, frozen=True):
    """A store that is being copied to a bucket, to be read: no manifest there says yet that it is one."""

    path: Path
    """Directory with its log; its blobs are in the bucket."""
    bucket: Bucket

    def __str__(self) -> str:
        return f"the copy for {self.bucket}"


Place = Directory | Bucket
