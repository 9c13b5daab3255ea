"""Reading a session's history across its forks."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from engine.chain import Record
from engine.errors import Conflict, NotFound, StoreCorrupt
from engine.events import STATE_EVENTS, Forked
from engine.session import ForkPoint, Position
from persistence.eventlog import EventLog

MAX_FORKS = 10_000
"""Longest line of ancestors that is followed."""
_STEP = 64
"""Events read at once when looking backwards for a state."""


Stretch = tuple[str, int, int]
"""Session, first and last: a part of a history."""


async def lineage(log: EventLog, session: str, last: int, first: int = 0) -> list[Stretch]:
    """The stretches that make up a history, oldest first.

    Ancestors all of whose events are before event ``first`` are left out. Raises StoreCorrupt if
    an ancestor is missing.
    """
    stretches: list[Stretch] = []
    while len(stretches) < MAX_FORKS:
        begin = await log.first(session)
        if begin is None:
            raise StoreCorrupt(f"session {session} has no events")
        if begin.event.seq <= last:
            stretches.append((session, max(first, begin.event.seq), last))
        if not isinstance(begin.event, Forked) or begin.event.seq <= first:
            return stretches[::-1]
        session, last = begin.event.parent, min(last, begin.event.seq - 1)
    raise Conflict(f"this session has more than {MAX_FORKS} ancestors", field="session")


async def history(log: EventLog, session: str, last: int, first: int = 0) -> AsyncGenerator[Record, None]:
    """The records of events ``first`` to ``last``, in order, whichever ancestor they are of.

    The chain is verified across forks. Raises StoreCorrupt.
    """
    expected: bytes | None = None
    for ancestor, start, until in await lineage(log, session, last, first):
        async with aclosing(log.read(ancestor, start, until)) as records:
            async for record in records:
                if expected is not None and record.prev != expected:
                    raise StoreCorrupt(
                        f"the chain of {session} breaks at event {record.event.seq} of {ancestor}"
                    )
                expected = record.id
                yield record


async def state_at(log: EventLog, session: str, seq: int, *, field: str = "at") -> ForkPoint:
    """The state event that ``session@seq`` stands for. Raises NotFound, of ``field``, if there is none."""
    head = await log.session(session)
    if head is None or not 0 <= seq <= head.head_seq:
        raise NotFound(f"this session has no event {seq}", field=field)
    if seq >= head.state_seq:
        return ForkPoint(session, head.state_seq, head.state_id)
    for ancestor, first, last in reversed(await lineage(log, session, seq)):
        for start in range(last, first - 1, -_STEP):
            found = await _last_state(log, ancestor, max(first, start - _STEP + 1), start)
            if found is not None:
                return found
    raise StoreCorrupt(f"session {session} has no state at or before event {seq}")


async def _last_state(log: EventLog, session: str, first: int, last: int) -> ForkPoint | None:
    found = None
    async with aclosing(log.read(session, first, last)) as records:
        async for record in records:
            if isinstance(record.event, STATE_EVENTS):
                found = ForkPoint(session, record.event.seq, record.id)
    return found


async def position_named(log: EventLog, owner: str, name: str) -> Position | None:
    """Where the open session of that name is, if there is one."""
    row = await log.session_named(owner, name)
    if row is None:
        return None
    return Position(
        session=row.session,
        owner=row.owner,
        name=row.name,
        head_seq=row.head_seq,
        head_id=row.head_id,
        state_seq=row.state_seq,
        state_id=row.state_id,
        closed=row.closed,
    )
