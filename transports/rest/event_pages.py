"""Pages of sessions' events as text, read once for all who ask for the same at the same time.

A session's followers are woken together by what happens in it, and most of them want the same event then: one
of them reads it, and the others wait for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import trio
from msgspec import Struct

from transports.rest.shapes import event_answer

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

PAGE = 100
"""Events read at a time."""


class EncodedEvent(Struct, frozen=True):
    """An event as JSON, as lists have it."""

    seq: int
    execution_id: str | None
    """Of the execution that it tells of."""
    json: bytes


class EventPage(Struct, frozen=True):
    """Some events in a row."""

    created_at: int
    """When the session began that they are of: tells it from a later one of the same name."""
    events: tuple[EncodedEvent, ...]
    more: bool
    """Whether there were more behind them."""


class _Reading:
    """A page that is being read."""

    def __init__(self) -> None:
        self.over = trio.Event()
        self.page: EventPage | None = None
        """None also where it could not be read."""


class EventPages:
    """Reads pages of events."""

    def __init__(self, engine: Supervisor) -> None:
        self._engine = engine
        self._readings: dict[tuple[str, str, int, int], _Reading] = {}

    async def page(self, owner: str, name: str, after: int) -> EventPage:
        """The events behind number ``after``, as many as a page holds. Raises NotFound, StoreError."""
        # what was begun before the last change may lack what that change recorded
        key = (owner, name, after, self._engine.feed.changes)
        while (other := self._readings.get(key)) is not None:
            await other.over.wait()
            if other.page is not None:
                return other.page
        reading = self._readings[key] = _Reading()
        try:
            reading.page = await self._read(owner, name, after)
            return reading.page
        finally:
            del self._readings[key]
            reading.over.set()

    async def _read(self, owner: str, name: str, after: int) -> EventPage:
        page = await self._engine.events(owner, name, first=after + 1, limit=PAGE)
        # afterwards: if the session of that name is the reader's own still, it was that before
        info = await self._engine.session(owner, name)
        events = []
        for record in page.items:
            told = event_answer(record, listed=True)
            execution_id = told.execution_id if isinstance(told.execution_id, str) else None
            events.append(EncodedEvent(told.event, execution_id, msgspec.json.encode(told)))
        return EventPage(info.created_at, tuple(events), page.next is not None)
