"""The forked copy of a worker that makes a snapshot: what the server has of it."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Final

import trio

from engine.errors import WorkerFailed
from engine.isolate import copy_wire
from engine.isolate.process import send_signal

_CHUNK: Final = 1 << 16


class CheckpointDeclined(WorkerFailed):
    """There is no snapshot of this state, or not now; the worker is as it was."""


class Copy:
    """A forked copy of a worker, which makes a snapshot and ends.

    Owns ``descriptor``, where it writes to, and ``pidfd``; None: it has ended already.
    """

    def __init__(self, descriptor: int, pidfd: int | None) -> None:
        self._stream = trio.lowlevel.FdStream(descriptor)
        self._pidfd = pidfd

    async def snapshot(self) -> bytes:
        """The snapshot, once the copy has ended. Raises CheckpointDeclined.

        Large states take long: bound it with a cancel scope. It is closed then.
        """
        try:
            written = await self._read()
        finally:
            await self.aclose()
        if len(written) > copy_wire.MAX_WRITTEN:
            raise CheckpointDeclined("the process that made the snapshot told more than one may have")
        made = copy_wire.read(written)
        if isinstance(made, copy_wire.Declined):
            raise CheckpointDeclined(made.reason)
        return made

    async def aclose(self) -> None:
        """Kill it, if it has not ended. Further calls do nothing."""
        if self._pidfd is not None:
            send_signal(self._pidfd, signal.SIGKILL)
            os.close(self._pidfd)
            self._pidfd = None
        with trio.CancelScope(shield=True):  # it only closes the descriptor
            await self._stream.aclose()

    async def _read(self) -> bytes:
        """What it writes until it closes the descriptor or ends: its worker may hold that open."""
        written = bytearray()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._wait_for_end, nursery.cancel_scope)
            async for chunk in self._stream:
                written += chunk
                if len(written) > copy_wire.MAX_WRITTEN:
                    break
            nursery.cancel_scope.cancel()
        with contextlib.suppress(BlockingIOError):  # what is left in the pipe, which holds less than a chunk
            written += os.read(self._stream.fileno(), _CHUNK)
        return bytes(written)

    async def _wait_for_end(self, reading: trio.CancelScope) -> None:
        if self._pidfd is not None:
            await trio.lowlevel.wait_readable(self._pidfd)
        reading.cancel()
