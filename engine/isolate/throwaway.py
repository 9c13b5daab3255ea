"""Run a function in a forked child that may crash, and learn how it went."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

MAX_OUTPUT = 64 << 20
_STDERR_KEPT = 64 << 10


class Ended(NamedTuple):
    """How a throw-away child ended."""

    status: int
    """Wait status; 0 when the function returned."""
    output: bytes
    """What the function returned."""
    stderr: str
    """The first 64 KiB of what it, or V8, wrote there."""

    def describe(self) -> str:
        """A phrase for a message: how it ended and the first line of its complaint."""
        if os.WIFSIGNALED(self.status):
            how = f"was ended by {signal.Signals(os.WTERMSIG(self.status)).name}"
        else:
            how = f"exited with status {os.waitstatus_to_exitcode(self.status)}"
        lines = [line for line in self.stderr.splitlines() if line.strip(" #")]
        return f"{how}: {' / '.join(lines[:3])}" if lines else how


def run(function: Callable[[], bytes], *, seconds: float = 30.0) -> Ended:
    """Fork, call ``function`` in the child, and collect its bytes, its stderr and its wait status.

    The child is killed after ``seconds``. The calling process must have no other thread.
    """
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(function, out_write, err_write)
    os.close(out_write)
    os.close(err_write)
    deadline = time.monotonic() + seconds
    collected = {out_read: bytearray(), err_read: bytearray()}
    limits = {out_read: MAX_OUTPUT, err_read: _STDERR_KEPT}
    open_ends = set(collected)
    try:
        while open_ends:
            ready = select.select(open_ends, (), (), max(0.0, deadline - time.monotonic()))[0]
            if not ready:
                os.kill(pid, signal.SIGKILL)
                break
            for end in ready:
                chunk = os.read(end, 1 << 20)
                if not chunk:
                    open_ends.discard(end)
                elif len(collected[end]) < limits[end]:
                    collected[end] += chunk
    finally:
        os.close(out_read)
        os.close(err_read)
        _, status = os.waitpid(pid, 0)
    return Ended(status, bytes(collected[out_read]), collected[err_read].decode(errors="replace"))


def _child(function: Callable[[], bytes], out: int, err: int) -> None:
    status = 1
    try:
        os.dup2(err, 2)
        data = memoryview(function())
        while data:
            data = data[os.write(out, data) :]
        status = 0
    except BaseException as error:  # noqa: BLE001 - told to the parent by stderr and the status
        os.write(2, f"{type(error).__name__}: {error}\n".encode(errors="replace"))
    finally:
        os._exit(status)
