"""Reading a session's history across its forks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from engine.chain import Record
from engine.errors import NotFound, StoreCorrupt
from engine.events import STATE_EVENTS, Forked
from engine.session import ForkPoint
from persistence.eventlog import EventLog

_MAX_FORKS = 10_000
"""Longest line of ancestors that is followed."""


async def lineage(log: EventLog, session: str, last: int) -> list[tuple[str, int, int]]:
    """The stretches ``(session, first, last)`` that make up a history, oldest first.

    Raises StoreCorrupt if an ancestor is missing.
    """
    stretches: list[tuple[str, int, int]] = []
    while len(stretches) < _MAX_FORKS:
        first = await _first(log, session)
        stretches.append((session, first.event.seq, last))
        if not isinstance(first.event, Forked):
            return stretches[::-1]
        session, last = first.event.parent, first.event.seq - 1
    raise StoreCorrupt(f"session {session} has more than {_MAX_FORKS} ancestors")


async def history(log: EventLog, session: str, last: int) -> AsyncGenerator[Record, None]:
    """All records from the beginning of the oldest ancestor to event ``last``, in order.

    The chain is verified across forks. Raises StoreCorrupt.
    """
    expected: bytes | None = None
    for ancestor, first, until in await lineage(log, session, last):
        async with aclosing(log.read(ancestor, first, until)) as records:
            async for record in records:
                if expected is not None and record.prev != expected:
                    raise StoreCorrupt(
                        f"the chain of {session} breaks at event {record.event.seq} of {ancestor}"
                    )
                expected = record.id
                yield record


async def state_at(log: EventLog, session: str, seq: int) -> ForkPoint:
    """The state event that ``session@seq`` stands for. Raises NotFound if there is no such event."""
    for ancestor, first, last in reversed(await lineage(log, session, seq)):
        for at in range(min(seq, last), first - 1, -1):
            record = await _one(log, ancestor, at)
            if record is None:
                raise NotFound(f"this session has no event {seq}", field="session")
            if isinstance(record.event, STATE_EVENTS):
                return ForkPoint(ancestor, at, record.id)
    raise StoreCorrupt(f"session {session} has no state at or before event {seq}")


async def _first(log: EventLog, session: str) -> Record:
    async with aclosing(log.read(session)) as records:
        async for record in records:
            return record
    raise StoreCorrupt(f"session {session} is in the index but has no events")


async def _one(log: EventLog, session: str, seq: int) -> Record | None:
    async with aclosing(log.read(session, seq, seq)) as records:
        async for record in records:
            return record
    return None
