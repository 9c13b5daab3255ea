"""Folders whose names, and the names in them, are on the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from engine.errors import StoreError


def make(folder: Path) -> None:
    """Make a folder for its owner only, and its parents, if need be. Raises OSError.

    Its name is on the disk then, also where another process made it that had no time to see to that.
    """
    missing = [path for path in folder.parents if not path.exists()]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (folder, *missing):
        with contextlib.suppress(PermissionError):  # whose parent nobody may list: it was there before
            sync(path.parent)


def sync(folder: Path) -> None:
    """Make the names in a folder as durable as what they name. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def has_room(folder: Path, size: int) -> bool:
    """Whether so many bytes may be written there, as far as the file system says. Raises OSError."""
    disk = shutil.disk_usage(folder)
    return disk.free >= size or disk.total == 0  # that has no limit, as a tmpfs may


@contextlib.contextmanager
def explained(store: Path) -> Iterator[None]:
    """Raise StoreError with what to do if in the block the store's folder turns out not to be writable.

    Mostly it is a volume that belongs to somebody else, or that is mounted to be read.
    """
    try:
        yield
    except PermissionError as error:
        user, there = os.geteuid(), Path(error.filename or store)
        while not os.path.lexists(there):
            there = there.parent
        raise StoreError(
            f"user {user} cannot write the store in {store}: {there} belongs to user {there.lstat().st_uid} "
            f"({error.strerror}): `chown -R {user}` what is mounted there, or take a named volume, or choose "
            "another directory with --directory-path"
        ) from error
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        raise StoreError(
            f"the store in {store} cannot be written ({error.strerror}): mount a volume there that can be, "
            "or choose another directory with --directory-path"
        ) from error
