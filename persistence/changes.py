"""What is done to a log, as data, and how the database says so afterwards.

The writer makes changes that are asked for; a database that is only an index of a log kept elsewhere is
brought up to date by making, in their order, those that another one has made. So a change says what came of a
decision, not how it was made: made twice from the same beginning, it leads to the same.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from msgspec import Struct

from engine.chain import Record, unseal
from engine.checkpoints import Checkpoint
from engine.errors import AppendConflict
from engine.events import Closed, Created, Forked, Tagged
from persistence import markers, pointers, purge
from persistence.eventlog import SessionRow
from persistence.heads import advance
from persistence.schema import (
    INSERT_EVENT,
    INSERT_SESSION,
    INSERT_TAG,
    SESSION_COLUMNS,
    event_row,
    session_row,
    session_values,
)

_SELECT_SESSION = f"SELECT {SESSION_COLUMNS} FROM sessions WHERE session = ?"  # noqa: S608
_UPDATE_SESSION = (
    "UPDATE sessions SET last_at = ?, head_seq = ?, head_id = ?, state_seq = ?, state_id = ?, closed = ? "
    "WHERE session = ?"
)
_DELETE_TAG = "DELETE FROM tags WHERE session = ? AND target = ? AND key = ?"


class Stored(Struct, frozen=True, array_like=True):
    """A record without its event, which is in the body."""

    id: bytes
    prev: bytes
    body: bytes
    large: dict[bytes, bytes]


class Part(Struct, frozen=True):
    """Something large that is kept elsewhere."""

    name: str
    """SHA-256 of its body, in 64 hex digits."""
    size: int
    """Bytes of its body."""


class Appended(Struct, frozen=True, tag="appended"):
    """Consecutive records of one session."""

    records: tuple[Stored, ...]


class Remembered(Struct, frozen=True, tag="remembered"):
    """A checkpoint that took the place of what was known of its state and engine."""

    checkpoint: Checkpoint


class Forgotten(Struct, frozen=True, tag="forgotten"):
    """A checkpoint that is no longer known, unless another one has taken its place."""

    checkpoint: Checkpoint


class ForgottenAll(Struct, frozen=True, tag="forgotten_all"):
    """All checkpoints of a session."""

    session: bytes
    """Internal id, in UTF-8, or what damage made of it."""


class Removed(Struct, frozen=True, tag="removed"):
    """A session's events from a number on; what is left, if anything, is what its forks need."""

    session: str
    first: int
    is_over: bool
    """Whether nothing more will be removed while its forks are there: the last event is a state then."""
    is_whole: bool
    """Whether nothing of it is left."""


class Adopted(Struct, frozen=True, tag="adopted"):
    """A session of another log was taken in, with all that it comes from (``persistence.adoption``)."""

    sessions: tuple[str, ...]
    """Internal ids of those that the history goes through; the last is the one that was taken in."""
    parts: tuple[Part, ...]
    """Where the records of the history are, in order."""
    at: int
    """When it was, in microseconds since the epoch."""


class Came(Struct, frozen=True, tag="came"):
    """What follows, up to the next of these, is one batch of a node of a cluster (``persistence.etcd``)."""

    writer: str
    """Whose, in 32 hex digits."""
    number: int
    """Of the batch; each writer's are without gaps, from 0."""
    digest: bytes
    """SHA-256 of its body there."""


Noted = Remembered | Forgotten | ForgottenAll
"""What is known of checkpoints, of which no event says anything."""
Change = Appended | Noted | Removed | Adopted
"""What is done to a log."""
Entry = Change | Came
"""What is written of it."""


def stored(records: Sequence[Record]) -> tuple[Stored, ...]:
    """Records without their events."""
    return tuple(Stored(one.id, one.prev, one.body, one.large) for one in records)


def opened(records: Sequence[Stored]) -> list[Record]:
    """Records with their events, verified. Raises StoreCorrupt."""
    return [unseal(one.id, one.prev, one.body, one.large) for one in records]


Adopt = Callable[[sqlite3.Connection, Adopted], object]
"""Makes a change whose parts are elsewhere."""


def make_all(db: sqlite3.Connection, entries: Sequence[Entry], adopt: Adopt) -> list[Record]:
    """Make changes, in a transaction, that were made to another database of the same content.

    A batch of a cluster's node that has come already is left out. The records that were appended. Raises
    AppendConflict, Conflict, StoreCorrupt, sqlite3.Error where this is not that.
    """
    records: list[Record] = []
    is_new = True
    for entry in entries:
        if isinstance(entry, Came):
            is_new = markers.follow(db, entry.writer, entry.number, entry.digest)
        elif is_new:
            records += _make(db, entry, adopt)
    return records


def _make(db: sqlite3.Connection, change: Change, adopt: Adopt) -> list[Record]:
    match change:
        case Adopted():
            adopt(db, change)
        case Appended(records):
            whole = opened(records)
            append(db, session_of(db, whole[0].event.session), whole)
            return whole
        case Removed(session, first, is_over, _):
            purge.remove(db, session, first, is_over=is_over)
        case _:
            note(db, change)
    return []


def note(db: sqlite3.Connection, change: Noted) -> None:
    """Make a change of what is known of checkpoints, in a transaction."""
    match change:
        case Remembered(checkpoint):
            pointers.remember(db, checkpoint)
        case Forgotten(checkpoint):
            pointers.forget(db, checkpoint)
        case ForgottenAll(session):
            pointers.forget_all_of(db, session)


def session_of(db: sqlite3.Connection, session: str) -> SessionRow | None:
    """The entry of the session with that internal id, as it is in this transaction."""
    row = db.execute(_SELECT_SESSION, (session,)).fetchone()
    return None if row is None else session_row(row)


def append(db: sqlite3.Connection, head: SessionRow | None, records: Sequence[Record]) -> SessionRow:
    """Write consecutive records behind a session's ``head``, in a transaction; the entry after them.

    Raises AppendConflict, sqlite3.IntegrityError if they do not fit; nothing is written then if it is one
    record that does not begin a session.
    """
    first = records[0].event
    after = advance(head, records)
    if isinstance(first, Forked):
        _check_parent(db, first, records[0].prev)
    db.executemany(INSERT_EVENT, map(event_row, records))
    if isinstance(first, Created | Forked):
        parent = first.parent if isinstance(first, Forked) else None
        db.execute(INSERT_SESSION, (*session_values(after), parent, first.seq))
    else:
        db.execute(_UPDATE_SESSION, (*session_values(after)[4:], after.session))
    _label(db, records)
    return after


def _check_parent(db: sqlite3.Connection, fork: Forked, prev: bytes) -> None:
    parent = (fork.parent, fork.seq - 1)
    row = db.execute("SELECT id FROM events WHERE session = ? AND seq = ?", parent).fetchone()
    if row is None or row[0] != prev:
        raise AppendConflict(f"session {fork.parent} has no event {fork.seq - 1} with id {prev.hex()}")


def _label(db: sqlite3.Connection, records: Sequence[Record]) -> None:
    """Keep the labels as the events say; a closed session has none."""
    for event in (record.event for record in records):
        if isinstance(event, Tagged):
            place = (event.session, event.target)
            for key, value in event.tags.items():
                if value is None:
                    db.execute(_DELETE_TAG, (*place, key))
                else:
                    db.execute(INSERT_TAG, (*place, key, value))
        elif isinstance(event, Closed):
            db.execute("DELETE FROM tags WHERE session = ?", (event.session,))
