"""Files by the hash of what is in them, as many as have room: those not used for longest go first.

It may be damaged, and removed, at any time: what is read is compared with its name, and what is not as it
should be is removed, as if it had never been there. So nothing is ever synced. A file is written
under a temporary name and renamed; what was left half-written is removed when the folder is looked through,
before its first use. Only names, sizes and times are read then: the time of a file is that of its last use.

All of it blocks, may be called in any thread, and raises OSError where the disk fails.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Collection
from pathlib import Path
from typing import Final

FOLDER: Final = "cached-blobs"
"""Not that of a store: what is in here is removed without asking."""
_FILE: Final = re.compile(r"(?P<name>[0-9a-f]{64})(?P<temporary>\.[0-9a-f]{16}\.tmp)?")
_log = logging.getLogger(__name__)


class CacheFolder:
    """A folder in ``directory``, which must be there, with at most ``max_bytes`` of data."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self.path = directory / FOLDER
        self.max_bytes = max_bytes
        self.used_bytes = 0
        """What is in it, and what is being written."""
        self.evictions = 0
        """Files that went to make room."""
        self._deciding = threading.Lock()
        """Held where a file comes or goes, so that what is known of it is so."""
        self._found: OrderedDict[str, int] | None = None

    def read(self, name: str) -> bytes | None:
        """What is in the file of that name; None if there is none, or it was altered."""
        with self._deciding:
            if name not in self._sizes:
                return None
        path = self._path(name)
        try:
            data = path.read_bytes()
        except FileNotFoundError:  # somebody removed it
            self.remove(name)
            return None
        if hashlib.sha256(data).hexdigest() != name:
            _log.warning("%s was altered, by the disk or by somebody: it is removed", path)
            self.remove(name)
            return None
        self._use(name)
        return data

    def write(self, name: str, data: bytes) -> None:
        """Make room for a file and write it, unless it is there, or larger than all the room."""
        with self._deciding:
            is_there = name in self._sizes
            if not is_there and not self._reserve(len(data)):
                return
        if is_there:
            self._use(name)
            return
        try:
            self._write(self._path(name), data)
        except BaseException:
            with self._deciding:
                self.used_bytes -= len(data)
            raise

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with self._deciding:
            self._remove(name)

    def retain(self, names: Collection[str]) -> None:
        """Remove all others."""
        with self._deciding:
            for name in self._sizes.keys() - names:
                self._remove(name)

    def _use(self, name: str) -> None:
        """Now it is the one that was used last."""
        with self._deciding, contextlib.suppress(OSError):  # then the order is forgotten at the end, no more
            if name in self._sizes:
                self._sizes.move_to_end(name)
                _stamp(self._path(name))

    def _write(self, path: Path, data: bytes) -> None:
        for folder in (self.path, path.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            _stamp(temporary)
            with self._deciding:
                temporary.rename(path)
                self.used_bytes -= self._sizes.pop(path.name, 0)  # somebody else wrote the same
                self._sizes[path.name] = len(data)
        except BaseException:
            with contextlib.suppress(OSError):  # what went wrong first is told
                temporary.unlink(missing_ok=True)
            raise

    def _path(self, name: str) -> Path:
        return self.path / name[:2] / name

    # --- while it is decided --------------------------------------------------------------------

    @property
    def _sizes(self) -> OrderedDict[str, int]:
        """Bytes by name, those first that were not used for longest."""
        if self._found is None:
            self._found = self._look()
            self.used_bytes = sum(self._found.values())
            self._reserve(0)
        return self._found

    def _look(self) -> OrderedDict[str, int]:
        files: list[tuple[int, str, int]] = []
        for path in self.path.glob("??/*"):
            known = _FILE.fullmatch(path.name)
            if known is None:
                continue
            with contextlib.suppress(OSError):  # who cannot look at it, or remove it, does without
                if known["temporary"]:
                    path.unlink()
                else:
                    found = path.stat()
                    files.append((found.st_mtime_ns, path.name, found.st_size))
        return OrderedDict((name, size) for _, name, size in sorted(files))

    def _reserve(self, size: int) -> bool:
        """Make room for so many bytes; whether there is as much."""
        while self.used_bytes + size > self.max_bytes:
            oldest = next(iter(self._sizes), None)
            if oldest is None or size > self.max_bytes:
                return False
            self._remove(oldest)
            self.evictions += 1
        self.used_bytes += size
        return True

    def _remove(self, name: str) -> None:
        if name in self._sizes:
            self._path(name).unlink(missing_ok=True)
            self.used_bytes -= self._sizes.pop(name)


def _stamp(path: Path) -> None:
    """Its time is now: finer than the kernel has it."""
    now = time.time_ns()
    os.utime(path, ns=(now, now))
