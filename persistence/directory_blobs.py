"""Blobs in a directory: one file each, in ``blobs/``, named by the hash of what is in it.

A blob is written under a temporary name, synced, and renamed; then the folders are synced, and only then
``put`` returns. So a name that is there has all of its bytes, whatever ended the process. Folders are made
when they are needed, again where somebody removed them: what went wrong once may work the next time.

A blob that is there already is read, and written again if it was altered. The folders are synced then, too:
that it can be seen does not mean that its name is on the disk, if an earlier sync failed or is going on.

Everything blocks in threads, a few at a time.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Final, TypeVar

import trio

from engine.errors import BlobCorrupt, BlobMissing, BlobStoreFailed
from persistence import folders, threads
from persistence.blobstore import Swept

FOLDER: Final = "blobs"
THREADS: Final = 4
"""Reads and writes that go on at once."""
_NAME: Final = re.compile(r"[0-9a-f]{64}")
_TEMPORARY: Final = ".tmp"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)

T = TypeVar("T")


class DirectoryBlobStore:
    """A ``BlobStore`` in ``directory``, which one process owns (see ``persistence.lock``)."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / FOLDER
        self._threads = trio.CapacityLimiter(THREADS)
        self._deciding = threading.Lock()
        """Held while it is decided of one blob whether it stays: a put may say so while a sweep removes."""
        self._counting = threading.Lock()
        self._sweeping = trio.Lock()
        """Two sweeps at once would both count what one of them has removed."""
        self._used = 0

    @property
    def used_bytes(self) -> int:
        """See ``BlobStore``."""
        return self._used

    async def put(self, data: bytes) -> str:
        """See ``BlobStore``. Once it has begun, a cancellation waits for its end."""
        return await self._run(lambda: self._put(data))

    async def get(self, name: str) -> bytes:
        """See ``BlobStore``."""
        return await self._run(lambda: self._get(name))

    async def discard(self, name: str) -> None:
        """See ``BlobStore``."""
        await self._run(lambda: self._discard(name))

    async def survey(self, keep: Collection[str], *, older_than: float) -> Swept:
        """See ``BlobStore``."""
        return await self._run(lambda: self._look(keep, older_than, lambda path: None))

    async def sweep(self, keep: Collection[str], *, older_than: float) -> Swept:
        """See ``BlobStore``."""
        async with self._sweeping:
            return await self._run(lambda: self._sweep(keep, older_than))

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await threads.run(work, self._threads)
        except threads.NoThread as none:
            raise BlobStoreFailed(f"{self._folder}: {none}") from none
        except OSError as failed:
            raise self._failure(failed) from failed

    def _failure(self, failed: OSError) -> BlobStoreFailed:
        advice = "free some space" if failed.errno in _FULL else "see that it is there and can be written"
        return BlobStoreFailed(f"{self._folder}: {os.strerror(failed.errno or errno.EIO)}: {advice}")

    # --- in threads -----------------------------------------------------------------------------

    def _put(self, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        path = self._path(name)
        if not self._is_there(path, data):
            self._write(path, data)
        for folder in self._folders(path):
            folders.sync(folder)
        return name

    def _is_there(self, path: Path, data: bytes) -> bool:
        """Whether the blob is, every byte of it; then it counts as new."""
        try:
            with self._deciding:
                os.utime(path)
            return path.stat().st_size == len(data) and path.read_bytes() == data
        except OSError:  # if it is more than that there is none, writing it will say so
            return False

    def _write(self, path: Path, data: bytes) -> None:
        for folder in self._folders(path)[1:]:
            folder.mkdir(mode=0o700, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}{_TEMPORARY}")
        try:
            _write(temporary, data)
            with self._deciding:
                before = path.stat().st_size if path.exists() else 0  # an altered one
                temporary.rename(path)
            self._count(len(data) - before)
        except BaseException:
            with contextlib.suppress(OSError):  # what went wrong first is told
                temporary.unlink(missing_ok=True)
            raise

    def _count(self, size: int) -> None:
        with self._counting:
            self._used += size

    def _discard(self, name: str) -> None:
        path = self._path(name)
        with contextlib.suppress(FileNotFoundError), self._deciding:
            size = path.stat().st_size
            path.unlink()
            self._count(-size)

    def _get(self, name: str) -> bytes:
        path = self._path(name)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            self._folder.parent.stat()  # of a disk that is not mounted no blob is missing, and this fails
            raise BlobMissing(f"there is no blob {name} in {self._folder}") from None
        if hashlib.sha256(data).hexdigest() != name:
            raise BlobCorrupt(f"{path} is not what was put there: the disk or somebody altered it")
        return data

    def _sweep(self, keep: Collection[str], older_than: float) -> Swept:
        known = self._used
        swept = self._look(keep, older_than, Path.unlink)
        self._count(swept.kept_bytes - known)  # what was put or discarded meanwhile is off by itself alone
        return swept

    def _look(self, keep: Collection[str], older_than: float, remove: Callable[[Path], object]) -> Swept:
        kept = kept_bytes = removed = removed_bytes = 0
        before = time.time() - older_than
        for path in self._files():
            try:
                with self._deciding:
                    found = path.stat()
                    if path.name in keep or found.st_mtime > before:
                        kept += 1
                        kept_bytes += found.st_size
                        continue
                    remove(path)
            except FileNotFoundError:  # somebody else removed it
                continue
            removed += 1
            removed_bytes += found.st_size
        return Swept(kept=kept, kept_bytes=kept_bytes, removed=removed, removed_bytes=removed_bytes)

    def _files(self) -> Iterator[Path]:
        """Blobs and what interrupted writes have left; nothing else that is in the folder."""
        for path in self._folder.glob("??/*"):
            name, _, rest = path.name.partition(".")
            if _NAME.fullmatch(name) and (not rest or rest.endswith(_TEMPORARY)):
                yield path

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise BlobMissing(f"{name[:80]!r} is no name of a blob")
        return self._folder / name[:2] / name

    def _folders(self, path: Path) -> tuple[Path, Path, Path]:
        """Those in which a blob's name stands, outermost first; the first is not made here."""
        return self._folder.parent, self._folder, path.parent


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
