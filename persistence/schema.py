"""The SQLite database behind the embedded log: its tables, and rows to records and back.

``events`` is a rowid table, so that appends go to the end of one B-tree whatever the session
(``WITHOUT ROWID`` was measured three times slower). Large fields are kept beside the body of their
event, as one MessagePack map of hash to bytes: no second write and no second look-up, at the price
of storing a field again when another event repeats it. ``sessions`` and ``tags`` say nothing that the
events do not say; they are there to find sessions, and to notice when the end of a log is missing.

A database of an older version is brought to this one when it is opened, in one transaction.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from engine.chain import Record, unseal
from engine.errors import StoreCorrupt, StoreError
from engine.events import Aborted, Accepted, Event, Executed
from engine.outcomes import status_of
from persistence import folders
from persistence.eventlog import SessionRow

_log = logging.getLogger(__name__)

DATABASE_NAME = "events.db"
STORE_VERSION = 4
FIRST_WITH_CHECKPOINTS = 3
_MARK = b"mcv8"
_MARK_AT = 68
"""Where it is in a database's first page."""
APPLICATION_ID = int.from_bytes(_MARK)
"""Marks a database as this program's."""

BUSY_SECONDS = 5.0
"""How long to wait for a stranger (a backup, the sqlite3 shell) that holds the database."""

READ_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What damage can raise: Python cannot decode SQLite's message if that quotes a damaged schema."""

WAL_KEPT_BYTES = 64 << 20
"""The write-ahead log is cut back to this after a checkpoint."""

_USED = (
    "SELECT page_size * (page_count - freelist_count) "
    "FROM pragma_page_size, pragma_page_count, pragma_freelist_count"
)

EVENT_COLUMNS = "session, seq, execution_id, owner, idempotency_key, status, id, prev, body, large"
SESSION_COLUMNS = "session, owner, name, created_at, last_at, head_seq, head_id, state_seq, state_id, closed"
INSERT_EVENT = f"INSERT INTO events ({EVENT_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
INSERT_SESSION = (
    f"INSERT INTO sessions ({SESSION_COLUMNS}, parent, first_seq) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"  # noqa: S608
)
INSERT_TAG = "INSERT OR REPLACE INTO tags (session, target, key, value) VALUES (?,?,?,?)"

_TABLES = """
CREATE TABLE events (
    session         TEXT NOT NULL,
    seq             INTEGER NOT NULL,
    id              BLOB NOT NULL UNIQUE,
    prev            BLOB NOT NULL,
    body            BLOB NOT NULL,
    large           BLOB,
    execution_id    TEXT,
    owner           TEXT,
    idempotency_key TEXT,
    status          TEXT,
    UNIQUE (session, seq)
);
CREATE UNIQUE INDEX events_execution ON events (execution_id) WHERE execution_id IS NOT NULL;
CREATE UNIQUE INDEX events_key ON events (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE sessions (
    session    TEXT PRIMARY KEY,
    owner      TEXT NOT NULL,
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    head_seq   INTEGER NOT NULL,
    head_id    BLOB NOT NULL,
    state_seq  INTEGER NOT NULL,
    state_id   BLOB NOT NULL,
    closed     INTEGER NOT NULL,
    parent     TEXT
) WITHOUT ROWID;
CREATE UNIQUE INDEX sessions_open ON sessions (owner, name) WHERE NOT closed;
"""

_INDEXES = """
CREATE INDEX events_status ON events (owner, status) WHERE status IS NOT NULL;
CREATE TABLE tags (
    session TEXT NOT NULL,
    target  INTEGER NOT NULL,
    key     TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (session, target, key)
) WITHOUT ROWID;
CREATE INDEX tags_key ON tags (key, value);
"""
"""What version 2 added: both are derived from the events."""

_CHECKPOINTS = """
CREATE TABLE checkpoints (
    session TEXT NOT NULL,
    seq     INTEGER NOT NULL,
    engine  TEXT NOT NULL,
    state   BLOB NOT NULL,
    blob    TEXT NOT NULL,
    size    INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    cost_us INTEGER NOT NULL,
    PRIMARY KEY (session, seq, engine)
) WITHOUT ROWID;
"""
"""What version 3 added, beside the column ``parent`` of sessions: where recoveries may begin."""

_SPACE = """
ALTER TABLE sessions ADD COLUMN first_seq INTEGER;
UPDATE sessions SET first_seq = (SELECT min(seq) FROM events WHERE events.session = sessions.session);
CREATE INDEX sessions_parent ON sessions (parent, first_seq) WHERE parent IS NOT NULL;
CREATE INDEX sessions_closed ON sessions (last_at) WHERE closed;
"""
"""What version 4 added: the number of each session's first event, and what it takes to find which events of
deleted sessions nobody needs (``persistence.purge``)."""

_FROM_VERSION_2 = f"""
ALTER TABLE sessions ADD COLUMN parent TEXT;
UPDATE sessions SET parent = (
    SELECT origin.session FROM events AS first JOIN events AS origin ON origin.id = first.prev
    WHERE first.session = sessions.session
    AND first.seq = (SELECT min(seq) FROM events WHERE events.session = sessions.session)
);
{_CHECKPOINTS}
{_SPACE}
"""  # noqa: S608
"""Of all first events only a fork's follows another one."""

_FROM_VERSION_1 = f"""
ALTER TABLE events RENAME COLUMN key_owner TO owner;
ALTER TABLE events ADD COLUMN status TEXT;
UPDATE events SET
    owner = (SELECT owner FROM sessions WHERE sessions.session = events.session),
    status = execution_status(id, prev, body, large)
WHERE execution_id IS NOT NULL;
{_INDEXES}
{_FROM_VERSION_2}
"""  # noqa: S608

ACCEPTED = "accepted"
"""What is in the column of the status for an Accepted event, which has no owner there, to find it by."""

_large = msgspec.msgpack.Decoder(dict[bytes, bytes])

Row = tuple[Any, ...]


def connect(path: Path) -> sqlite3.Connection:
    """A connection whose commits are on disk when they return. May be passed between threads."""
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
    except READ_ERRORS:
        db.close()
        raise
    return db


def prepare(directory: Path) -> Path:
    """Make or check the database in ``directory``; its path.

    Raises StoreError if a newer mcp-v8 wrote it, StoreCorrupt if it is no database of this program.
    """
    path = directory / DATABASE_NAME
    # Made here and not by SQLite for its mode, which SQLite copies to the files beside it.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        ours = os.pread(descriptor, len(_MARK), _MARK_AT) == _MARK
    finally:
        os.close(descriptor)
    if ours:
        renew_wal(path)
    try:
        with closing(connect(path)) as db:
            _adopt(db, path)
    except READ_ERRORS as failure:
        raise read_error(failure, path) from failure
    folders.sync(directory)
    return path


def _adopt(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables if the database is new, that is, empty; else check that it is ours."""
    version = version_of(db, path)
    new = version == 0
    # Which says so instead of failing. With another journal a commit would not be durable when it returns.
    journal = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if journal != "wal":
        raise StoreError(
            f"{path} cannot be given a write-ahead log (SQLite keeps to {journal!r}): see that there is "
            f"space in {path.parent}, and that it is on a local disk"
        )
    if new:
        _change(db, f"PRAGMA application_id = {APPLICATION_ID}; {_TABLES} {_INDEXES} {_CHECKPOINTS} {_SPACE}")
    elif version == 1:
        _log.info("%s has store format 1: bringing it to format %d, event by event", path, STORE_VERSION)
        db.create_function("execution_status", 4, _status)
        _change(db, _FROM_VERSION_1)
    elif version == 2:
        _change(db, _FROM_VERSION_2)
    elif version == 3:
        _change(db, _SPACE)


def version_of(db: sqlite3.Connection, path: Path) -> int:
    """The store format of the database at ``path``, if it is one that this program knows; 0 if it is empty.

    Raises StoreError if a newer mcp-v8 wrote it, StoreCorrupt if it is no database of this program.
    """
    owner, version = (
        int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("application_id", "user_version")
    )
    if (owner, version) == (0, 0) and db.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
        return 0
    if owner != APPLICATION_ID:
        raise StoreCorrupt(f"{path} is a database of another program: choose another directory")
    if version > STORE_VERSION:
        raise StoreError(
            f"{path} has store format {version}; this program knows format {STORE_VERSION}: "
            "run the newer mcp-v8 that wrote it, or choose another directory"
        )
    if version < 1:
        raise StoreCorrupt(f"{path} has store format {version}, which no mcp-v8 ever wrote")
    return version


def _change(db: sqlite3.Connection, statements: str) -> None:
    """Bring the database to this version, all or nothing: leaving undoes what is not committed."""
    db.executescript(f"BEGIN; {statements} PRAGMA user_version = {STORE_VERSION}; COMMIT")


def _status(name: bytes, prev: bytes, body: bytes, large: bytes | None) -> str | None:
    """The status in a stored execution; None for a damaged one, which is refused when it is read."""
    try:
        event = unseal(name, prev, body, _large_fields(large)).event
    except (StoreCorrupt, msgspec.DecodeError):
        return None
    return status_of(event) if isinstance(event, (Executed, Aborted)) else None


def renew_wal(path: Path) -> None:
    """Write the write-ahead log of a database that nobody writes to once more, as it is, and sync it.

    After a sync that failed, the kernel takes for written what is not, and the next sync succeeds without
    it. SQLite would read it all the same when it recovers, call it committed, and copy it into the database:
    so this comes before it is opened. Raises OSError.
    """
    try:
        descriptor = os.open(f"{path}-wal", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        at = 0
        while chunk := os.pread(descriptor, 1 << 20, at):
            at += os.pwrite(descriptor, chunk, at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_error(failure: sqlite3.Error | UnicodeDecodeError, path: Path) -> StoreError:
    """What a failed read or start means."""
    code = getattr(failure, "sqlite_errorcode", None)
    if code is not None and code & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreError(f"{path} could not be read: {failure}")
    return StoreCorrupt(f"{path} is damaged, or no database of this program: {failure}")


def used_bytes(db: sqlite3.Connection) -> int:
    """What is in the database, as it is in this transaction: its pages but for those that are free."""
    return int(db.execute(_USED).fetchone()[0])


def event_row(record: Record) -> Row:
    """A record as the values of EVENT_COLUMNS."""
    large = msgspec.msgpack.encode(record.large) if record.large else None
    return (*_filed_under(record.event), record.id, record.prev, record.body, large)


def _filed_under(event: Event) -> Row:
    """The first six of EVENT_COLUMNS: what events are found by, besides their id."""
    if isinstance(event, (Executed, Aborted)):
        found_by = (event.execution_id, event.owner, event.idempotency_key, status_of(event))
        return (event.session, event.seq, *found_by)
    status = ACCEPTED if isinstance(event, Accepted) else None
    return (event.session, event.seq, None, None, None, status)


def record_of(row: Row) -> Record:
    """The verified record of a row of EVENT_COLUMNS. Raises StoreCorrupt."""
    session, seq, *_, name, prev, body, large = row
    if not all(isinstance(value, bytes) for value in (name, prev, body)):
        raise StoreCorrupt(
            f"session {session}, event {seq}: what is there is no event: the store was altered"
        )
    try:
        record = unseal(name, prev, body, _large_fields(large))
    except (StoreCorrupt, msgspec.DecodeError, TypeError) as broken:
        raise StoreCorrupt(f"session {session}, event {seq}: {broken}") from broken
    if _filed_under(record.event) != row[:6]:
        raise StoreCorrupt(f"session {session}, event {seq}: the event there is filed under wrong keys")
    return record


def _large_fields(large: bytes | None) -> dict[bytes, bytes]:
    return {} if large is None else _large.decode(large)


def session_row(row: Row) -> SessionRow:
    """The session of a row of SESSION_COLUMNS."""
    return SessionRow(
        session=row[0],
        owner=row[1],
        name=row[2],
        created_at=row[3],
        last_at=row[4],
        head_seq=row[5],
        head_id=row[6],
        state_seq=row[7],
        state_id=row[8],
        closed=bool(row[9]),
    )


def session_values(row: SessionRow) -> Row:
    """A session as the values of SESSION_COLUMNS."""
    return (
        row.session,
        row.owner,
        row.name,
        row.created_at,
        row.last_at,
        row.head_seq,
        row.head_id,
        row.state_seq,
        row.state_id,
        row.closed,
    )
