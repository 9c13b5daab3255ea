"""Reads whatever is stored of a session, also where the database is damaged, a page at a time.

Nothing is verified here (see ``persistence.audit``). Everything blocks, and belongs in a thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
import trio

from engine.checkpoints import Checkpoint
from persistence import pointers
from persistence.eventlog import SessionRow
from persistence.reader import PAGE_BYTES, PAGE_RECORDS, session_by_id
from persistence.schema import EVENT_COLUMNS, READ_ERRORS, Row

MAX_OF_FILE = 100
"""What SQLite finds wrong with the database, at most."""
_STEPS = 50_000
"""Of SQLite's machine, between two looks whether somebody still waits."""

_EVENTS = f"SELECT {EVENT_COLUMNS} FROM events WHERE session = ? AND typeof(seq) = 'integer'"  # noqa: S608
_BEGINNING = "SELECT first_seq, parent FROM sessions WHERE session = ?"
_WHOLE = "FROM events WHERE session = ? AND typeof(seq) = 'integer'"
_ENDS = f"SELECT (SELECT min(seq) {_WHOLE}), (SELECT max(seq) {_WHOLE})"
_BY_FIRST_EVENT = "SELECT CAST(session AS BLOB) FROM events GROUP BY session ORDER BY min(rowid)"
_ENTRIES = "SELECT CAST(session AS BLOB) FROM sessions"
_LABELS = "SELECT target, key, value FROM tags WHERE session = ?"
_STRAYS = """
SELECT 'labels', session FROM tags WHERE session NOT IN (SELECT session FROM sessions)
UNION SELECT 'checkpoints', session FROM checkpoints WHERE session NOT IN (SELECT session FROM sessions)
"""
Labels = dict[int, dict[str, str]]


class Ending(NamedTuple):
    """What there is besides the events of a session."""

    parent: str | None
    """The session that the entry says it was forked from."""
    origin: tuple[str, int] | None
    """Session and number of the event that its first one follows."""
    labels: Labels | None
    """None if they cannot be read."""
    checkpoints: list[tuple[Checkpoint, bytes | None]]
    """Each with the id of the event of its number."""
    damaged_checkpoints: int


class Page(NamedTuple):
    """A part of what is stored of a session, as it is at one moment."""

    entry: SessionRow | None
    first: int | None
    """Number of the first event, as the entry says."""
    end: int | None
    """Number of the last event that there is."""
    rows: list[Row]
    unreadable: list[int]
    """Numbers of events that the database cannot give."""
    ending: Ending | None
    """There if no event comes behind these."""


def read_page(db: sqlite3.Connection, session: str, begin: int | None) -> Page:
    """What is stored of it from event ``begin`` on, or from its first, as it is at one moment."""
    with _moment(db):
        entry, first, parent = _entry(db, session)
        start, end = db.execute(_ENDS, (session, session)).fetchone()
        begin = start if begin is None else begin
        rows: list[Row] = []
        unreadable: list[int] = []
        if begin is not None and end is not None and begin <= end:
            try:
                rows = list(_bounded(db.execute(f"{_EVENTS} AND seq >= ? ORDER BY seq", (session, begin))))
            except READ_ERRORS as failure:
                _check_damage(failure)
                rows, unreadable = _one_by_one(db, session, range(begin, end + 1)[:PAGE_RECORDS])
        last = max([*(row[1] for row in rows), *unreadable], default=end)
        ending = _ending(db, session, parent) if last == end else None
        return Page(entry, first, end, rows, unreadable, ending)


def _entry(db: sqlite3.Connection, session: str) -> tuple[SessionRow | None, int | None, str | None]:
    """A session's entry, its first event's number and its parent; nothing of an entry that is damaged."""
    try:
        entry = session_by_id(db, session)
        first, parent = db.execute(_BEGINNING, (session,)).fetchone() or (None, None)
        if entry is not None:
            msgspec.convert(msgspec.structs.asdict(entry), SessionRow)
        # Of stores of formats 1 and 2, sessions that are no forks were once noted as their own parents.
        parent = None if parent == session else msgspec.convert(parent, str | None)
        return entry, msgspec.convert(first, int | None), parent
    except READ_ERRORS as failure:
        _check_damage(failure)
    except msgspec.ValidationError:
        pass
    return None, None, None


def sessions(db: sqlite3.Connection, owner: str | None) -> list[str]:
    """Internal ids of the sessions that there is anything of, or of those of an owner; those that others were
    forked from before these. Ids that are no text are left out: ``integrity`` tells of them.
    """
    found: dict[bytes, None] = {}
    failures = []
    for query in (_BY_FIRST_EVENT, _ENTRIES):
        try:
            found |= dict.fromkeys(name for (name,) in db.execute(query))
        except READ_ERRORS as failure:
            _check_damage(failure)
            failures.append(failure)
    if len(failures) == 2:
        raise failures[0]
    names = [str(name, "utf-8", "replace") for name in found if isinstance(name, bytes)]
    if owner is None:
        return names
    theirs = {session for (session,) in db.execute("SELECT session FROM sessions WHERE owner = ?", (owner,))}
    return [name for name in names if name in theirs]


def integrity(db: sqlite3.Connection) -> list[str]:
    """What is wrong with the database itself, whatever is in it; interrupted when nobody waits any more."""
    found: list[str] = []
    with _interruptible(db):
        try:
            lines = [str(line) for (line,) in db.execute(f"PRAGMA integrity_check({MAX_OF_FILE})")]
            found += [line for line in lines if line != "ok"]
            found += [
                f"there are {what} of a session {name!r} that is not there"
                for what, name in db.execute(_STRAYS)
            ]
        except READ_ERRORS as failure:
            _check_damage(failure)
            found.append(str(failure))
    return found[:MAX_OF_FILE]


@contextmanager
def _interruptible(db: sqlite3.Connection) -> Iterator[None]:
    def is_over() -> bool:
        try:
            trio.from_thread.check_cancelled()
        except trio.Cancelled:
            return True  # SQLite's call ends; what it raises then is no damage
        return False

    db.set_progress_handler(is_over, _STEPS)
    try:
        yield
    except sqlite3.OperationalError as interrupted:
        if interrupted.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            trio.from_thread.check_cancelled()
        raise
    finally:
        db.set_progress_handler(None, 0)


@contextmanager
def _moment(db: sqlite3.Connection) -> Iterator[None]:
    """Everything is read as it is at one moment."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


def _bounded(rows: Iterable[Row]) -> Iterator[Row]:
    """As many as a page holds."""
    size = 0
    for number, row in enumerate(rows, 1):
        yield row
        size += sum(len(value) for value in row if isinstance(value, bytes))
        if number == PAGE_RECORDS or size > PAGE_BYTES:
            return


def _one_by_one(db: sqlite3.Connection, session: str, numbers: Iterable[int]) -> tuple[list[Row], list[int]]:
    """The events that can be read, and the numbers of those that cannot."""
    rows, unreadable = [], []
    for number in numbers:
        try:
            rows += db.execute(f"{_EVENTS} AND seq = ?", (session, number)).fetchall()
        except READ_ERRORS as failure:
            _check_damage(failure)
            unreadable.append(number)
    return rows, unreadable


def _ending(db: sqlite3.Connection, session: str, parent: str | None) -> Ending:
    query = (
        "SELECT origin.session, origin.seq FROM events AS first JOIN events AS origin "
        "ON origin.id = first.prev WHERE first.session = ? ORDER BY first.seq LIMIT 1"
    )
    checkpoints = pointers.of_session(db, session, 0, None)
    count = db.execute("SELECT count(*) FROM checkpoints WHERE session = ?", (session,)).fetchone()[0]
    return Ending(
        parent=parent,
        origin=db.execute(query, (session,)).fetchone(),
        labels=_labels(db, session),
        checkpoints=[(one, _id_of(db, session, one.seq)) for one in checkpoints],
        damaged_checkpoints=count - len(checkpoints),
    )


def _labels(db: sqlite3.Connection, session: str) -> Labels | None:
    labels: Labels = {}
    try:
        for target, key, value in db.execute(_LABELS, (session,)):
            labels.setdefault(target, {})[key] = value
    except READ_ERRORS as failure:
        _check_damage(failure)
        return None
    return labels


def _id_of(db: sqlite3.Connection, session: str, seq: int) -> bytes | None:
    row = db.execute("SELECT id FROM events WHERE session = ? AND seq = ?", (session, seq)).fetchone()
    return None if row is None else row[0]


def _check_damage(failure: sqlite3.Error | UnicodeDecodeError) -> None:
    """Raises what is no damage, as that the database cannot be read just now."""
    code = getattr(failure, "sqlite_errorcode", None)
    if code is not None and code & 0xFF != sqlite3.SQLITE_CORRUPT:
        raise failure
