"""Keeps a store from growing for ever: from time to time, and soon where somebody needs the space.

Sessions to which their clients gave no name are closed when they were not used for long; what closed sessions
have left behind is removed after a grace period, a step at a time; and so are blobs that nothing needs. What
cannot be done now is told, and tried again the next time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from engine.commands import Delete
from engine.errors import EngineError
from engine.events import Caller
from engine.session import GIVEN_NAME
from engine.sessions import Sessions
from engine.space import Space
from engine.timestamps import now_us
from persistence.blobstore import BlobStore
from persistence.eventlog import EventLog, SessionRow

_log = logging.getLogger(__name__)

INTERVAL_SECONDS = 600.0
GRACE_SECONDS = 3_600.0
"""How long the executions of a closed session can be read, unless the store is full; and how long a blob is
kept that the log does not know: it may be about to."""
FULL_GRACE_SECONDS = 2.0
"""How long they can be read where the store is full: whoever closed it shall still get an answer."""
EXPIRED_AT_ONCE = 64
"""Sessions that are closed together."""
PURGED_AT_ONCE = 100
"""Sessions that are looked up together."""
PURGE_SHARE = 0.25
"""Of the time, that the writer may spend on removing events: the rest is for those who wait."""

EXPIRY = Caller(transport="server", client="session-ttl")
"""Who closes unused sessions."""
_GIVEN = "s_" + "?" * 16
_SECOND = 1_000_000


class Upkeep:
    """The upkeep of one store. ``ttl_seconds`` is for unnamed sessions; 0: they are kept until deleted.

    ``now`` is the time in microseconds since the epoch.
    """

    def __init__(
        self,
        sessions: Sessions,
        log: EventLog,
        blobs: BlobStore,
        space: Space,
        *,
        ttl_seconds: float,
        now: Callable[[], int] = now_us,
    ) -> None:
        self._sessions = sessions
        self._log = log
        self._blobs = blobs
        self._space = space
        self._ttl_us = round(ttl_seconds * _SECOND)
        self._now = now
        self._wanted = trio.Event()

    def deleted(self) -> None:
        """A session was: if there is no space left, what it leaves behind is removed soon."""
        if self._space.is_full:
            self._wanted.set()

    async def run(self) -> None:
        """Do it at the start and then from time to time, for ever."""
        while True:
            self._wanted = trio.Event()
            await self.run_once()
            with trio.move_on_after(INTERVAL_SECONDS):
                await self._wanted.wait()
                await trio.sleep(FULL_GRACE_SECONDS)

    async def run_once(self) -> None:
        """Do it; what fails is logged."""
        for job in (self.collect, self.expire, self.purge):
            try:
                await job()
            except EngineError as failed:
                _log.warning("upkeep of the store: %s failed: %s", job.__name__, failed.message)

    async def expire(self) -> None:
        """Close the unnamed sessions that were not used for long, but for those that are in use."""
        if not self._ttl_us:
            return
        before = self._now() - self._ttl_us
        expired, after = 0, ""
        try:
            while True:
                page = await self._log.unused(_GIVEN, before, after=after)
                found = [row for row in page.items if GIVEN_NAME.fullmatch(row.name)]
                for first in range(0, len(found), EXPIRED_AT_ONCE):
                    expired += await self._close(found[first : first + EXPIRED_AT_ONCE])
                if page.next is None:
                    return
                after = page.next
        finally:
            if expired:
                _log.info("%d sessions without a name expired", expired)

    async def _close(self, rows: list[SessionRow]) -> int:
        """Close those that are still as they were found and not in use; how many that were."""
        asked: list[Delete] = []
        for row in rows:
            command = Delete(row.name, EXPIRY, lambda _: None, only_at=row.head_seq)
            if await self._sessions.post_unused(row.owner, row.name, command):
                asked.append(command)
        closed = 0
        for command in asked:
            closed += (await command.result()).event is not None
        return closed

    async def purge(self) -> None:
        """Remove what closed sessions have left behind, after a grace period."""
        grace = FULL_GRACE_SECONDS if self._space.is_full else GRACE_SECONDS
        before = self._now() - round(grace * _SECOND)
        events = size = 0
        try:
            while sessions := await self._log.purgeable(before, limit=PURGED_AT_ONCE):
                removed = 0
                for session in sessions:
                    over = False
                    while not over:
                        began = trio.current_time()
                        purged = await self._log.purge(session, before)
                        removed += purged.events
                        size += purged.size
                        over = purged.over
                        await trio.sleep((trio.current_time() - began) * (1 / PURGE_SHARE - 1))
                events += removed
                if not removed:
                    return  # what is left is damaged
        finally:
            if events:
                _log.info("%d events of deleted sessions removed (%d bytes)", events, size)

    async def collect(self) -> None:
        """Remove blobs that nothing needs, and count the others."""
        swept = await self._blobs.sweep(await self._log.checkpoint_blobs(), older_than=GRACE_SECONDS)
        level = logging.INFO if swept.removed else logging.DEBUG
        _log.log(
            level,
            "blobs: %d removed (%d bytes), %d kept (%d bytes)",
            swept.removed,
            swept.removed_bytes,
            swept.kept,
            swept.kept_bytes,
        )
