"""Keeps a store from growing for ever: from time to time, and soon where somebody needs the space.

Sessions to which their clients gave no name are closed when they were not used for long; what closed sessions
have left behind is removed after a grace period, a step at a time; and so are blobs that nothing needs. What
cannot be done now is told, and tried again the next time.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio
from msgspec import Struct
from msgspec.structs import replace

from engine.commands import Delete
from engine.errors import EngineError
from engine.events import Caller
from engine.session import GIVEN_NAME
from engine.sessions import Sessions
from engine.space import Space
from engine.timestamps import now_us
from persistence.blobstore import BlobStore, Swept
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


class Garbage(Struct, frozen=True, kw_only=True):
    """What a store has that nobody needs."""

    sessions: int = 0
    """Deleted sessions with events that no other session's history needs."""
    events: int = 0
    event_bytes: int = 0
    blobs: int = 0
    blob_bytes: int = 0
    later: Garbage | None = None
    """What comes to that once the grace period of each is over."""


async def _nobody(_garbage: Garbage) -> None:
    """Nobody wants to hear of it."""


class Upkeep:
    """The upkeep of one store. ``ttl_seconds`` is for unnamed sessions; 0: they are kept until deleted.

    Of a store's nodes one does it: ``is_mine``. ``now`` is the time in microseconds since the epoch.
    """

    def __init__(
        self,
        sessions: Sessions,
        log: EventLog,
        blobs: BlobStore,
        space: Space,
        *,
        ttl_seconds: float,
        is_mine: Callable[[], bool] = lambda: True,
        now: Callable[[], int] = now_us,
    ) -> None:
        self._sessions = sessions
        self._log = log
        self._blobs = blobs
        self._space = space
        self._is_mine = is_mine
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
            if self._is_mine():
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

    async def survey(self) -> Garbage:
        """What there is to remove, without removing anything."""
        keep = await self._log.checkpoint_blobs()
        found = []
        for before, age in ((self._before(), GRACE_SECONDS), (self._now() + 1, 0.0)):
            events = await self._log.removable(before)
            blobs = await self._blobs.survey(keep, older_than=age)
            found.append(
                Garbage(
                    sessions=events.sessions,
                    events=events.events,
                    event_bytes=events.size,
                    blobs=blobs.removed,
                    blob_bytes=blobs.removed_bytes,
                )
            )
        now, ever = found
        return replace(
            now,
            later=Garbage(
                sessions=max(0, ever.sessions - now.sessions),
                events=max(0, ever.events - now.events),
                event_bytes=max(0, ever.event_bytes - now.event_bytes),
                blobs=max(0, ever.blobs - now.blobs),
                blob_bytes=max(0, ever.blob_bytes - now.blob_bytes),
            ),
        )

    async def clean(self, tell: Callable[[Garbage], Awaitable[None]], *, share: float) -> Garbage:
        """Remove it, and tell of what is removed so far; what that was. ``share``: see ``purge``."""
        removed = await self.purge(tell, share=share)
        swept = await self.collect()
        return replace(removed, blobs=swept.removed, blob_bytes=swept.removed_bytes)

    async def purge(
        self, tell: Callable[[Garbage], Awaitable[None]] = _nobody, *, share: float = PURGE_SHARE
    ) -> Garbage:
        """Remove what closed sessions have left behind, after a grace period, in so much of the time."""
        before = self._before()
        events = size = 0
        touched: set[str] = set()
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
                        await trio.sleep((trio.current_time() - began) * (1 / share - 1))
                        if purged.events:
                            touched.add(session)
                        await tell(Garbage(sessions=len(touched), events=events + removed, event_bytes=size))
                events += removed
                if not removed:
                    break  # what is left is damaged
            return Garbage(sessions=len(touched), events=events, event_bytes=size)
        finally:
            if events:
                _log.info("%d events of deleted sessions removed (%d bytes)", events, size)

    def _before(self) -> int:
        """What was closed before that time is removed."""
        grace = FULL_GRACE_SECONDS if self._space.is_full else GRACE_SECONDS
        return self._now() - round(grace * _SECOND)

    async def collect(self) -> Swept:
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
        return swept
