"""Lists of sessions and executions, a page at a time. Everything here blocks, and belongs in a thread.

Cursors name the last entry that was given, so that turning pages costs nothing between them and
holds nothing open.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from typing import get_args

from engine.chain import Record
from engine.errors import InvalidField
from engine.execution import Status
from engine.search import Search
from persistence import pointers, search
from persistence.eventlog import Page, SessionDetails, SessionRow
from persistence.schema import EVENT_COLUMNS, SESSION_COLUMNS, record_of, session_row

PAGE_BYTES = 4 << 20
"""A page of executions ends after the one that brings its stored bytes to this."""

_STATUSES = get_args(Status)
_END = (1 << 63) - 1
_IS_OPEN = "EXISTS (SELECT 1 FROM sessions WHERE sessions.session = events.session AND NOT closed)"


def sessions(
    db: sqlite3.Connection, owner: str, limit: int, after: str | None, tag: str | None
) -> Page[SessionRow]:
    """Open sessions of an owner, last used first. Raises InvalidField."""
    conditions, values = ["owner = ?", "NOT closed"], [owner]
    if after is not None:
        last_at, session = _cursor(r"(\d{1,18})\.(\w+)", after)
        conditions.append("(last_at < ? OR last_at = ? AND session > ?)")
        values += [last_at, last_at, session]
    if tag is not None:
        labelled, read = _labelled(tag)
        conditions.append(f"session IN (SELECT session FROM tags WHERE {labelled})")  # noqa: S608
        values += read
    query = f"SELECT {SESSION_COLUMNS} FROM sessions WHERE {' AND '.join(conditions)}"  # noqa: S608
    found = db.execute(f"{query} ORDER BY last_at DESC, session LIMIT ?", (*values, limit + 1))
    rows = [session_row(row) for row in found]
    more = len(rows) > limit
    last = rows[limit - 1] if more else None
    return Page(tuple(rows[:limit]), f"{last.last_at}.{last.session}" if last else None)


def size(db: sqlite3.Connection, session: str) -> int:
    """Bytes of a session's events."""
    query = "SELECT sum(length(body) + ifnull(length(large), 0)) FROM events WHERE session = ?"
    return int(db.execute(query, (session,)).fetchone()[0] or 0)


def open_sessions(db: sqlite3.Connection) -> dict[str, int]:
    """How many open sessions each owner has. Reads an index of them, once."""
    return dict(db.execute("SELECT owner, count(*) FROM sessions WHERE NOT closed GROUP BY owner"))


def unused(db: sqlite3.Connection, pattern: str, before: int, after: str, limit: int) -> Page[SessionRow]:
    """Open sessions with such names and no event since ``before``, of the ``limit`` next ones of all."""
    stretch = "FROM sessions WHERE session > ? ORDER BY session LIMIT"
    rows = db.execute(
        f"SELECT {SESSION_COLUMNS} FROM (SELECT * {stretch} ?) "  # noqa: S608
        "WHERE NOT closed AND last_at < ? AND name GLOB ?",
        (after, limit, before, pattern),
    )
    found = tuple(map(session_row, rows))
    end = db.execute(f"SELECT session {stretch} 1 OFFSET ?", (after, limit - 1)).fetchone()
    return Page(found, None if end is None else end[0])


def _labelled(tag: str) -> tuple[str, list[str]]:
    """What a label has to be: its key, or key:value. Both may have colons, so each could part them."""
    colons = [at for at, char in enumerate(tag) if char == ":"]
    pairs = [part for at in colons for part in (tag[:at], tag[at + 1 :])]
    rows = ", ".join(["(?, ?)"] * len(colons))
    return f"key = ? OR (key, value) IN (VALUES {rows})" if rows else "key = ?", [tag, *pairs]


def details(db: sqlite3.Connection, sessions: Sequence[str], most_tags: int) -> dict[str, SessionDetails]:
    """Where sessions were forked, and so many of their labels."""
    found: dict[str, SessionDetails] = {}
    for session in sessions:
        tags: dict[int, dict[str, str]] = {}
        query = "SELECT target, key, value FROM tags WHERE session = ? ORDER BY target, key LIMIT ?"
        rows = db.execute(query, (session, most_tags + 1)).fetchall()
        for target, key, value in rows[:most_tags]:
            tags.setdefault(target, {})[key] = value
        found[session] = SessionDetails(
            forked_from=_forked_from(db, session),
            tags=tags,
            more_tags=len(rows) > most_tags,
            checkpoint=next(iter(pointers.of_session(db, session, 0, None)), None),
        )
    return found


def _forked_from(db: sqlite3.Connection, session: str) -> tuple[str, int] | None:
    first = db.execute(
        "SELECT prev FROM events WHERE session = ? ORDER BY seq LIMIT 1", (session,)
    ).fetchone()
    query = "SELECT name, seq FROM events JOIN sessions USING (session) WHERE id = ?"
    return None if first is None else db.execute(query, first).fetchone()


def executions(
    db: sqlite3.Connection,
    owner: str,
    session: str | None,
    status: str | None,
    limit: int,
    after: str | None,
    wanted: Search | None = None,
) -> Page[Record]:
    """Records of executions, newest first. Raises InvalidField, StoreCorrupt."""
    before = _END if after is None else int(_cursor(r"(\d{1,18})", after)[0])
    if wanted is not None:
        return search.executions(db, owner, session, status, wanted, limit, before, PAGE_BYTES)
    if session is None:
        places = _places_of_owner(db, owner, _STATUSES if status is None else (status,), before, limit + 1)
    else:
        places = _places_in_session(db, owner, session, status, before, limit + 1)
    records: list[Record] = []
    size = 0
    for place in places[:limit]:
        row = db.execute(f"SELECT {EVENT_COLUMNS} FROM events WHERE rowid = ?", (place,)).fetchone()  # noqa: S608
        records.append(record_of(row))
        size += sum(len(value) for value in row if isinstance(value, bytes))
        if size >= PAGE_BYTES:
            break
    more = len(places) > len(records)
    return Page(tuple(records), str(places[len(records) - 1]) if more else None)


def _places_of_owner(
    db: sqlite3.Connection, owner: str, statuses: Sequence[str], before: int, limit: int
) -> list[int]:
    """Row ids, merged from one run of the index for each status."""
    places: list[int] = []
    for status in statuses:
        query = (
            "SELECT rowid FROM events WHERE owner = ? AND status = ? AND rowid < ? "  # noqa: S608
            f"AND {_IS_OPEN} ORDER BY rowid DESC LIMIT ?"
        )
        places += [place for (place,) in db.execute(query, (owner, status, before, limit))]
    return sorted(places, reverse=True)[:limit]


def _places_in_session(
    db: sqlite3.Connection, owner: str, session: str, status: str | None, before: int, limit: int
) -> list[int]:
    query = (
        "SELECT rowid FROM events WHERE session = ? AND owner = ? AND (status = ? OR ? IS NULL) "  # noqa: S608
        f"AND seq < ifnull((SELECT seq FROM events WHERE rowid = ?), {_END}) "
        f"AND {_IS_OPEN} ORDER BY seq DESC LIMIT ?"
    )
    return [place for (place,) in db.execute(query, (session, owner, status, status, before, limit))]


def _cursor(form: str, after: str) -> tuple[str, ...]:
    """The parts of a cursor."""
    match = re.fullmatch(form, after, re.ASCII)
    if match is None:
        raise InvalidField("`after` is not what a page gave as `next`", field="after")
    return match.groups()
