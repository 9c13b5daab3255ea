"""Takes in a session that another log kept: kept aside first, then written in one transaction.

The records wait in a file without a name beside the database, which is gone with the process that holds it,
so that memory stays bounded and the writer's thread waits for nobody. Of the sessions that the history goes
through the last is the one that is adopted; of the others only the beginning is known, up to the event at
which they were forked. It becomes what a purge leaves of a deleted session for its forks: a closed entry,
whose head is that event. Such *remains* may be there already, shorter or longer; then they are extended, and
so is one of which the session itself is adopted later.

Since records are chained, two histories with the same id at some event are the same up to it.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import msgspec
import trio
from msgspec import Struct
from msgspec.structs import replace

from engine.chain import Record
from engine.errors import Conflict, StoreCorrupt, StoreFailed
from engine.events import Closed, Created, Forked, Tagged
from persistence import reader, threads
from persistence.eventlog import SessionRow
from persistence.heads import advance
from persistence.schema import (
    INSERT_EVENT,
    INSERT_SESSION,
    INSERT_TAG,
    Row,
    event_row,
    record_of,
    session_values,
)

_LENGTH_BYTES = 8


class _Stretch(Struct):
    """A session of the history: its entry after the last of its events that are part of it."""

    row: SessionRow
    parent: str | None
    first_seq: int


class Lineage:
    """The history of one session, kept aside. Its methods block, and are for one thread at a time.

    It is taken in at the time ``at``, in microseconds since the epoch. Raises OSError.
    """

    def __init__(self, directory: Path, at: int) -> None:
        self.at = at
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=directory, prefix="import-")  # noqa: SIM115
        self._stretches: list[_Stretch] = []
        self._tags: dict[tuple[int, str], str] = {}
        self.size = 0
        """Bytes."""

    @property
    def row(self) -> SessionRow:
        """The entry of the session."""
        return self._stretches[-1].row

    @property
    def sessions(self) -> tuple[str, ...]:
        """Internal ids of the sessions of the history, its own last."""
        return tuple(stretch.row.session for stretch in self._stretches)

    def add(self, records: Sequence[Record]) -> None:
        """Keep the next records."""
        for record in records:
            event = record.event
            if isinstance(event, Created | Forked):
                parent = event.parent if isinstance(event, Forked) else None
                self._stretches.append(_Stretch(advance(None, [record]), parent, event.seq))
                self._tags = {}
            else:
                self._stretches[-1].row = advance(self.row, [record])
            if isinstance(event, Tagged):
                for key, value in event.tags.items():
                    self._tags.pop((event.target, key), None)
                    if value is not None:
                        self._tags[event.target, key] = value
            row = msgspec.msgpack.encode(event_row(record))
            self._file.write(len(row).to_bytes(_LENGTH_BYTES, "big") + row)
            self.size += len(row)

    def close(self) -> None:
        """Forget it."""
        self._file.close()

    def write(self, db: sqlite3.Connection) -> None:
        """Write what is not there yet, in a transaction.

        Raises Conflict, StoreCorrupt; what was written is to be rolled back then.
        """
        known = self._known(db)
        if not _is_open(known[self.row.session]):
            self._insert(db, known)

    def is_there(self, db: sqlite3.Connection) -> bool:
        """Whether there is nothing to write. Raises Conflict, StoreCorrupt."""
        return _is_open(self._known(db)[self.row.session])

    def is_stored(self, db: sqlite3.Connection) -> bool:
        """Whether the session is in the log as it is here."""
        found = reader.session_by_id(db, self.row.session)
        return found is not None and not found.closed and found.head_id == self.row.head_id

    def _known(self, db: sqlite3.Connection) -> dict[str, SessionRow | None]:
        """The entries that there are of the sessions of the history."""
        *ancestors, own = self._stretches
        known = {stretch.row.session: _known_of_ancestor(db, stretch.row) for stretch in ancestors}
        return known | {own.row.session: _entry_of_own(db, own.row)}

    def _insert(self, db: sqlite3.Connection, known: dict[str, SessionRow | None]) -> None:
        """Write the events that come after the ``known`` ones, then the entries."""
        extended: set[str] = set()
        """Sessions whose ``known`` head was met in the history: what comes after it is theirs."""
        for row in self._rows():
            session, seq, name = row[0], row[1], row[6]
            entry = known.get(session)
            if entry is not None and seq == entry.head_seq and name == entry.head_id:
                extended.add(session)
            elif entry is None or (seq > entry.head_seq and session in extended):
                _insert_event(db, row)
            elif seq >= entry.head_seq:
                raise _another_history(entry, seq)
        for stretch in self._stretches:
            entry, is_own = known.get(stretch.row.session), stretch is self._stretches[-1]
            if entry is not None and not is_own and entry.head_seq >= stretch.row.head_seq:
                continue
            after = stretch.row
            if not is_own:  # of a clock that was far ahead, nothing would be removed for as long
                after = replace(after, closed=True, last_at=min(after.last_at, self.at))
            values = session_values(after)
            db.execute("DELETE FROM sessions WHERE session = ?", (stretch.row.session,))
            db.execute(INSERT_SESSION, (*values, stretch.parent, stretch.first_seq))
        labels = [(self.row.session, target, key, value) for (target, key), value in self._tags.items()]
        db.executemany(INSERT_TAG, labels)

    def records(self) -> Iterator[Record]:
        """All of it, in order. Raises StoreCorrupt if the file was altered."""
        return map(record_of, self._rows())

    def _rows(self) -> Iterator[Row]:
        self._file.seek(0)
        while length := self._file.read(_LENGTH_BYTES):
            yield tuple(msgspec.msgpack.decode(self._file.read(int.from_bytes(length, "big"))))


class LogAdoption:
    """An ``Adoption`` of the SQLite log.

    ``query`` asks the database something, ``append`` lets the writer write a lineage; both wait for that.
    """

    def __init__(
        self,
        lineage: Lineage,
        query: Callable[[Callable[[sqlite3.Connection], bool]], Awaitable[bool]],
        append: Callable[[Lineage], Awaitable[None]],
    ) -> None:
        self._lineage = lineage
        self._query = query
        self._append = append
        self._thread = trio.CapacityLimiter(1)

    @property
    def size(self) -> int:
        """See ``Adoption``."""
        return self._lineage.size

    async def add(self, records: Sequence[Record]) -> None:
        """See ``Adoption``."""
        try:
            await threads.run(lambda: self._lineage.add(records), self._thread)
        except (OSError, threads.NoThread) as failed:
            raise StoreFailed(f"the import could not be kept, and nothing of it is: {failed}") from failed

    async def is_there(self) -> bool:
        """See ``Adoption``."""
        return await self._query(self._lineage.is_there)

    async def commit(self) -> None:
        """See ``Adoption``."""
        await self._append(self._lineage)


def _is_open(entry: SessionRow | None) -> bool:
    return entry is not None and not entry.closed


def _known_of_ancestor(db: sqlite3.Connection, row: SessionRow) -> SessionRow | None:
    """What is there of a session up to the event at which it was forked. Raises Conflict."""
    entry = reader.session_by_id(db, row.session)
    _check_owner(entry, row)
    if entry is None:
        return None
    if entry.head_seq >= row.head_seq:
        if _id_of(db, row.session, row.head_seq) != row.head_id:
            raise _another_history(entry, row.head_seq)
        return entry
    if not _is_remains(db, entry):
        raise Conflict(
            f"the session was forked from {entry.name}@{row.head_seq}, and session {entry.name} has fewer "
            f"events here, {entry.head_seq + 1:,}: import it into another store",
            field="session",
        )
    return entry


def _entry_of_own(db: sqlite3.Connection, row: SessionRow) -> SessionRow | None:
    """What is there of the session itself: nothing, remains, or all of it, open. Raises Conflict."""
    entry = reader.session_by_id(db, row.session)
    _check_owner(entry, row)
    if not _is_open(entry) and reader.session_by_name(db, row.owner, row.name) is not None:
        raise Conflict(
            f"there is another session {row.name} here: delete it, or import into another store",
            field="session",
        )
    if entry is None:
        return None
    if entry.closed and not _is_remains(db, entry):
        raise Conflict(
            f"session {row.name} was deleted here, and is in the store until what is left of it is removed, "
            "an hour after that: import it then",
            field="session",
        )
    if entry.head_seq > row.head_seq:
        if _id_of(db, row.session, row.head_seq) != row.head_id:
            raise _another_history(entry, row.head_seq)
        raise _differs(entry, row, "so the session here is longer, and holds all that is in the file")
    if entry.head_seq == row.head_seq and entry.head_id != row.head_id:
        raise _another_history(entry, row.head_seq)
    if not entry.closed and entry.head_seq < row.head_seq:
        raise _differs(entry, row, "so the file is longer: delete the session here to import it")
    return entry


def _check_owner(entry: SessionRow | None, row: SessionRow) -> None:
    """Raises Conflict, which tells nothing of another owner's session."""
    if entry is not None and entry.owner != row.owner:
        raise Conflict("a session of the history is here as somebody else's", field="session")


def _is_remains(db: sqlite3.Connection, entry: SessionRow) -> bool:
    """Whether it is of a session of which only what its forks need is there."""
    found = reader.record_by(db, id=entry.head_id)
    if found is None:
        raise StoreCorrupt(f"session {entry.session} has lost its head; the store was altered")
    return entry.closed and not isinstance(found.event, Closed)


def _id_of(db: sqlite3.Connection, session: str, seq: int) -> bytes | None:
    row = db.execute("SELECT id FROM events WHERE session = ? AND seq = ?", (session, seq)).fetchone()
    return None if row is None else row[0]


def _insert_event(db: sqlite3.Connection, row: Row) -> None:
    try:
        db.execute(INSERT_EVENT, row)
    except sqlite3.IntegrityError as violated:
        if violated.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
            raise
        column = str(violated).removeprefix("UNIQUE constraint failed: ").partition(",")[0]
        if column == "events.execution_id":
            what = f"execution {row[2]} of event {row[1]} is in another session here"
        elif column == "events.owner":
            what = f"the idempotency key of event {row[1]}, {row[4]!r}, was used here for something else"
        else:
            raise StoreCorrupt(
                f"session {row[0]}, event {row[1]}: it is in the store without its session; "
                "the store was altered"
            ) from violated
        raise Conflict(f"{what}: import into another store", field="session") from violated


def _another_history(entry: SessionRow, seq: int) -> Conflict:
    return Conflict(
        f"session {entry.name} is here with another history: event {seq} is not the one in the file",
        field="session",
    )


def _differs(entry: SessionRow, row: SessionRow, so: str) -> Conflict:
    return Conflict(
        f"session {entry.name} is there already, with {entry.head_seq + 1:,} events; the file has "
        f"{row.head_seq + 1:,}, {so}",
        field="session",
    )
