"""The blobs of a store as they look to somebody who is not the store, who may harm them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from s3_memory import MemoryObjects, utc_now

from persistence import directory_blobs
from persistence.s3 import blobs, servicetime

StoredBlobs = MutableMapping[str, bytes]
"""What is kept, by the blob's name."""


class InDirectory(StoredBlobs):
    """Those of the store in a directory."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / directory_blobs.FOLDER

    def __getitem__(self, name: str) -> bytes:
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            raise KeyError(name) from None

    def __setitem__(self, name: str, data: bytes) -> None:
        self._path(name).write_bytes(data)

    def __delitem__(self, name: str) -> None:
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(path.name for path in self._folder.glob("??/*") if path.is_file()))

    def __len__(self) -> int:
        return len([*iter(self)])

    def clear(self) -> None:
        """Remove all, with their folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name


class InBucket(StoredBlobs):
    """Those of the store among objects."""

    def __init__(self, objects: MemoryObjects) -> None:
        self._objects = objects

    def __getitem__(self, name: str) -> bytes:
        return self._objects.stored[self._key(name)][0]

    def __setitem__(self, name: str, data: bytes) -> None:
        self._objects.stored[self._key(name)] = data, utc_now()

    def __delitem__(self, name: str) -> None:
        del self._objects.stored[self._key(name)]

    def __iter__(self) -> Iterator[str]:
        keys = sorted(key for key in [*self._objects.stored] if key.startswith(blobs.FOLDER))
        return (key.rpartition("/")[2] for key in keys if key != servicetime.CLOCK)

    def __len__(self) -> int:
        return len([*iter(self)])

    def _key(self, name: str) -> str:
        return f"{blobs.FOLDER}{name[:2]}/{name}"
