"""Who ends without a parent, where this process is the first one of its container and so everybody's last.

The kernel gives it the children of processes that have ended: of a zygote that was killed, and of whatever an
operator runs in the container. They stay in the table of processes until they are waited for.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import trio

_FIRST = 1
_ENDED = "Z"


async def watch() -> None:
    """Reap orphans as they end, for ever; does nothing in a process that gets none."""
    if os.getpid() != _FIRST:
        return
    with trio.open_signal_receiver(signal.SIGCHLD) as signals:
        async for _ in signals:
            reap()


def reap() -> None:
    """Reap the children that have ended and that this process did not start.

    Those that it did, the zygote, lead a session, and whoever started them waits for them. Workers and their
    copies do not, nor does what is forked by a program that is run in the container from outside.
    """
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError, ChildProcessError):  # reaped meanwhile
            child, told = int(path.parent.name), path.read_text("ascii", "replace")
            state, parent, _, session = told.rpartition(")")[2].split()[:4]
            if state == _ENDED and int(parent) == os.getpid() and int(session) != child:
                os.waitpid(child, os.WNOHANG)
