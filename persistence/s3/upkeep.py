"""Keeps a log in a bucket in few objects: what ``persistence.s3.compaction`` does, when it is due."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from persistence import threads
from persistence.s3 import indexed
from persistence.s3.batches import Position
from persistence.s3.compaction import Compaction


class Upkeep:
    """Of the log of which this server is the one that makes segments."""

    def __init__(self, compaction: Compaction) -> None:
        self.compaction = compaction
        self._thread = trio.CapacityLimiter(1)
        self.removed_bytes = 0
        """Of events that are still in a base or in segments."""

    def estimate(self, used_bytes: int) -> None:
        """Guess what earlier owners have removed, by what the index takes."""
        self.removed_bytes += max(0, self.compaction.size - used_bytes)

    async def work(self, end: Position) -> bool:
        """Do what is due, of the log up to there; whether more is, at once.

        Raises StoreError, Refused, Unanswered, OSError, NoThread.
        """
        compaction, removed = self.compaction, self.removed_bytes
        if compaction.is_long(end):
            await self._run(partial(compaction.extend, end))
            return True
        if compaction.is_wasteful(removed):
            await self._run(partial(compaction.rewrite, end))
            self.removed_bytes -= removed
        if compaction.is_untidy():
            await self._run(compaction.tidy)
        return False

    async def _run(self, work: Callable[[], None]) -> None:
        await threads.run_awhile(work, self._thread, indexed.LEAVE_SECONDS)
