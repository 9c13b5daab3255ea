"""Reading a log back: pages of a session's records with their chain verified, and look-ups.

Everything here blocks, and belongs in a thread. Pages keep memory bounded whatever the length of a
log, and hold no transaction between them: what was there stays there, unless the session was deleted
long ago (``persistence.purge``).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from engine.chain import GENESIS, Record
from engine.errors import StoreCorrupt, StoreError
from engine.events import Created, Forked
from persistence.eventlog import SessionRow
from persistence.schema import (
    ACCEPTED,
    EVENT_COLUMNS,
    READ_ERRORS,
    SESSION_COLUMNS,
    Row,
    record_of,
    session_row,
)

PAGE_BYTES = 1 << 20
PAGE_RECORDS = 256

_EVENTS = f"SELECT {EVENT_COLUMNS} FROM events"  # noqa: S608
_ACCEPTED = (
    f"SELECT {EVENT_COLUMNS} FROM events INDEXED BY events_status WHERE owner IS NULL AND status = ? "  # noqa: S608
    "AND session = ? AND seq >= ? AND (? IS NULL OR seq <= ?) ORDER BY seq"
)
"""Of all sessions there are few: the index leads to them without a look at any other event."""
_SESSIONS = f"SELECT {SESSION_COLUMNS} FROM sessions"  # noqa: S608


class Walk:
    """Goes over a session's records with ``first <= seq <= last`` up to what is the head now.

    Verifies every link: of each record to the one before, of the first to what it follows (for a
    fork, the parent's event), of the last to the head.
    """

    def __init__(self, db: sqlite3.Connection, session: str, first: int, last: int | None) -> None:
        """Raises StoreCorrupt if the session's entry is there without events, or the reverse."""
        head = session_by_id(db, session)
        start = db.execute("SELECT min(seq) FROM events WHERE session = ?", (session,)).fetchone()[0]
        if (head is None) != (start is None):
            raise StoreCorrupt(f"session {session} has lost {'its entry' if head is None else 'all events'}")
        self._session = session
        self._head = head
        self._at: bytes | None = None
        self._next = 0 if head is None else max(first, start)
        self._last = -1 if head is None else head.head_seq if last is None else min(last, head.head_seq)

    def page(self, db: sqlite3.Connection) -> list[Record]:
        """The next records; none when it is over. The same ones again until they are ``passed``: a page may
        be read anew if it is not what is in the store. It ends before what is damaged; there the next one
        raises StoreCorrupt.
        """
        records: list[Record] = []
        if self._next > self._last:
            return records
        at = self._at
        try:
            for number, row in enumerate(self._rows(db), self._next):
                record = record_of(row)
                self._verify(db, record, number, at)
                at = record.id
                records.append(record)
        except (StoreCorrupt, *READ_ERRORS):
            if not records:
                raise
        if not records:
            head = session_by_id(db, self._session)
            if head is None or head.head_seq < self._next:
                raise StoreError(f"session {self._session} was deleted, and is being removed from the store")
            raise self._corrupt(self._next, "it is missing")
        return records

    def passed(self, page: Sequence[Record]) -> None:
        """Go on behind a page, which is not empty."""
        self._at = page[-1].id
        self._next += len(page)

    def _rows(self, db: sqlite3.Connection) -> Iterator[Row]:
        """The rows of one page, bounded in number and, but for the last, in bytes."""
        query = f"{_EVENTS} WHERE session = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT {PAGE_RECORDS}"
        size = 0
        for row in db.execute(query, (self._session, self._next, self._last)):
            yield row
            size += sum(len(value) for value in row if isinstance(value, bytes))
            if size > PAGE_BYTES:
                return

    def _verify(self, db: sqlite3.Connection, record: Record, number: int, at: bytes | None) -> None:
        if record.event.seq != number:
            raise self._corrupt(number, "it is missing")
        if record.prev != (at or _predecessor(db, record)):
            raise self._corrupt(number, "it does not follow the event before it")
        assert self._head is not None, "without a head there is nothing to read"
        if number == self._head.head_seq and record.id != self._head.head_id:
            raise self._corrupt(number, "it is not the head that the session's entry names")

    def _corrupt(self, number: int, what: str) -> StoreCorrupt:
        return _corrupt(self._session, number, what)


def _corrupt(session: str, number: int, what: str) -> StoreCorrupt:
    return StoreCorrupt(f"session {session}, event {number}: {what}; the store was altered")


def _predecessor(db: sqlite3.Connection, record: Record) -> bytes | None:
    """The id of the event that ``record`` must follow, if that event is stored."""
    event = record.event
    if isinstance(event, Created):
        return GENESIS
    session = event.parent if isinstance(event, Forked) else event.session
    where = "SELECT id FROM events WHERE session = ? AND seq = ?"
    row = db.execute(where, (session, event.seq - 1)).fetchone()
    return None if row is None else row[0]


def first_record(db: sqlite3.Connection, session: str) -> Record | None:
    """The verified record with which a session begins."""
    row = db.execute(f"{_EVENTS} WHERE session = ? ORDER BY seq LIMIT 1", (session,)).fetchone()
    return None if row is None else record_of(row)


def accepted(db: sqlite3.Connection, session: str, first: int, last: int | None) -> list[Record]:
    """The verified Accepted records of a session with ``first <= seq <= last``."""
    found = db.execute(_ACCEPTED, (ACCEPTED, session, first, last, last))
    return [record_of(row) for row in found]


def record_at(db: sqlite3.Connection, session: str, seq: int) -> Record | None:
    """The verified record of an event, whatever may be wrong with others.

    Raises StoreCorrupt if it is damaged, or not what the event before it and the session's head say, as far
    as these are there.
    """
    record = record_by(db, session=session, seq=seq)
    if record is None:
        return None
    before = _predecessor(db, record)
    head = session_by_id(db, session)
    if before not in (None, record.prev):
        raise _corrupt(session, seq, "it does not follow the event before it")
    if head is not None and seq == head.head_seq and record.id != head.head_id:
        raise _corrupt(session, seq, "it is not the head that the session's entry names")
    return record


def session_by_id(db: sqlite3.Connection, session: str) -> SessionRow | None:
    """The session, open or closed."""
    row = db.execute(f"{_SESSIONS} WHERE session = ?", (session,)).fetchone()
    return None if row is None else session_row(row)


def session_by_name(db: sqlite3.Connection, owner: str, name: str) -> SessionRow | None:
    """The open session of that name."""
    row = db.execute(f"{_SESSIONS} WHERE owner = ? AND name = ? AND NOT closed", (owner, name)).fetchone()
    return None if row is None else session_row(row)


def record_by(db: sqlite3.Connection, **keys: str | bytes | int) -> Record | None:
    """The verified record whose columns ``keys`` (all of one index) have those values."""
    where = " AND ".join(f"{column} = ?" for column in keys)
    row = db.execute(f"{_EVENTS} WHERE {where}", tuple(keys.values())).fetchone()
    return None if row is None else record_of(row)
