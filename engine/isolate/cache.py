"""The cache folder: files that can be made again, each of them whole or not there.

Several servers may share it, also of other versions. Where it cannot be written, as in a container with a
read-only file system, what would be in it is made at each start, which takes time and is no fault: nothing
is said then.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Final

_TORN_SECONDS: Final = 3_600
"""A file of which the writing took that long is what an interrupted one has left."""


def keep(path: Path, data: bytes, *, among: str, most: int) -> None:
    """Write a file, if that can be done, and of those that are called as ``among`` keep the ``most`` that
    were written last, and what somebody may just be writing.
    """
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(f"{path.name}.{os.urandom(8).hex()}.tmp")
        temporary.write_bytes(data)
        temporary.replace(path)
        _remove_old(path.parent, among, most)  # another server may do the same; the next one tries again


def _remove_old(folder: Path, among: str, most: int) -> None:
    newest_first = sorted(folder.glob(among), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in newest_first[most:]:
        path.unlink(missing_ok=True)
    before = time.time() - _TORN_SECONDS
    for path in folder.glob(f"{among}.*.tmp"):
        if path.stat().st_mtime < before:
            path.unlink(missing_ok=True)
