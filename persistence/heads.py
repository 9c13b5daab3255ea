"""What appending a record does to its session's row: a pure fold over the log."""

from __future__ import annotations

from collections.abc import Sequence

from engine.chain import GENESIS, Record
from engine.errors import AppendConflict
from engine.events import STATE_EVENTS, Closed, Created, Forked
from persistence.eventlog import SessionRow


def advance(row: SessionRow | None, records: Sequence[Record]) -> SessionRow:
    """The row of a session after ``records``; ``row`` is None if there is no such session yet.

    Raises AppendConflict if the first record does not follow the head or the others do not follow
    each other. That a fork's parent exists is for the store to check.
    """
    for record in records:
        row = _after(row, record)
    if row is None:
        raise ValueError("an append needs at least one record")
    return row


def _after(row: SessionRow | None, record: Record) -> SessionRow:
    event = record.event
    if isinstance(event, (Created, Forked)):
        return _opened(row, record, event)
    if row is None or row.session != event.session:
        raise AppendConflict(f"there is no session {event.session} to append event {event.seq} to")
    if row.closed:
        raise AppendConflict(f"session {row.session} is closed: nothing can be appended to it")
    if event.seq != row.head_seq + 1 or record.prev != row.head_id:
        raise AppendConflict(
            f"event {event.seq} does not follow the head of session {row.session}, which is event "
            f"{row.head_seq} ({row.head_id.hex()}): read the session again"
        )
    moves = isinstance(event, STATE_EVENTS)
    return SessionRow(
        session=row.session,
        owner=row.owner,
        name=row.name,
        created_at=row.created_at,
        last_at=event.at,
        head_seq=event.seq,
        head_id=record.id,
        state_seq=event.seq if moves else row.state_seq,
        state_id=record.id if moves else row.state_id,
        closed=isinstance(event, Closed),
    )


def _opened(row: SessionRow | None, record: Record, event: Created | Forked) -> SessionRow:
    if row is not None:
        raise AppendConflict(f"session {event.session} has begun already")
    if isinstance(event, Created) and (event.seq != 0 or record.prev != GENESIS):
        raise AppendConflict(f"session {event.session} must be created by event 0, not event {event.seq}")
    return SessionRow(
        session=event.session,
        owner=event.owner,
        name=event.name,
        created_at=event.at,
        last_at=event.at,
        head_seq=event.seq,
        head_id=record.id,
        state_seq=event.seq,
        state_id=record.id,
        closed=False,
    )
