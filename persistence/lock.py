"""One owner of a store at a time."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.errors import StoreError, StoreLocked

LOCK_NAME = "lock"
_MAX_BYTES = 300
"""Of what is in the file."""


@contextmanager
def own(directory: Path) -> Iterator[None]:
    """Own the store in ``directory``, which must exist, until the end of the block.

    The kernel drops the lock when its holder dies, so there is never a stale one. The process id in
    the file is for the message only, and so is the host's name: a container has processes of its own, and
    mostly its id for a name. Raises StoreLocked at once if another process is the owner, and
    StoreError where the file system has no locks.
    """
    descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            process, host = _owner(os.pread(descriptor, _MAX_BYTES, 0))
            where = f" in container or host {host}" if host != socket.gethostname() else ""
            raise StoreLocked(
                f"the store in {directory} is in use by another mcp-v8 (process {process}{where}): "
                "stop that one, or choose another directory"
            ) from None
        except OSError as error:  # such as a network's file system without its lock service
            raise StoreError(
                f"the store in {directory} cannot be locked ({error.strerror}): it belongs on a local disk"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(directory: Path) -> int | None:
    """The process that owns the store in ``directory`` now, if that can be found out, without asking for
    the lock: who asks may keep a server from it that is just starting.
    """
    path = directory / LOCK_NAME
    try:
        named, host = _owner(path.read_bytes()[:_MAX_BYTES])
        if host != socket.gethostname():  # whose processes are not to be seen here
            return None
        process = int(named)
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


def _owner(text: bytes) -> tuple[str, str]:
    """The process that is named in the file, and its host: this one where none is, as in older files."""
    process, _, host = text.decode("ascii", "replace").strip().partition(" ")
    return process or "unknown", host or socket.gethostname()
