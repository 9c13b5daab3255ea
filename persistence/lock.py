"""One owner of a store at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import StoreLocked

LOCK_NAME = "lock"


@contextmanager
def own(directory: Path) -> Iterator[None]:
    """Own the store in ``directory``, which must exist, until the end of the block.

    The kernel drops the lock when its holder dies, so there is never a stale one. The process id in
    the file is for the message only. Raises StoreLocked at once if another process is the owner.
    """
    descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise StoreLocked(
                f"the store in {directory} is in use by another mcp-v8 (process {holder}): "
                "stop that one, or choose another directory"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(directory: Path) -> int | None:
    """The process that owns the store in ``directory`` now, if that can be found out, without asking for
    the lock: who asks may keep a server from it that is just starting.
    """
    path = directory / LOCK_NAME
    try:
        process = int(path.read_bytes()[:20])
        lock = path.stat()
        for opened in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                if os.path.samestat(opened.stat(), lock):
                    return process
    except PermissionError:  # somebody else's process, which is there
        return process
    except (OSError, ValueError):
        pass
    return None
