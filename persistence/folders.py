"""Folders whose names, and the names in them, are on the disk."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


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
