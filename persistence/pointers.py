"""Checkpoints as rows of the log's database: written by the writer's thread, read beside it.

The rows are no part of the hash chain. What one says is checked against the blob that it names, so that here
a row need only have the right form; one that has not is left out.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from engine.checkpoints import Checkpoint

_log = logging.getLogger(__name__)

_COLUMNS = ("session", "seq", "state", "engine", "blob", "size", "made_at", "cost_us")
_TEXTS = ("session", "engine", "blob")
_RAW = ", ".join(f"CAST({column} AS BLOB)" if column in _TEXTS else column for column in _COLUMNS)
_SELECT = f"SELECT {_RAW} FROM checkpoints"  # noqa: S608
"""Texts as bytes: of a damaged one SQLite's would end the whole query."""
_INSERT = f"INSERT OR REPLACE INTO checkpoints ({', '.join(_COLUMNS)}) VALUES (?,?,?,?,?,?,?,?)"  # noqa: S608
_DELETE = "DELETE FROM checkpoints WHERE session = ? AND seq = ? AND engine = ? AND blob = ?"
_DELETE_OF_SESSION = "DELETE FROM checkpoints WHERE session = CAST(? AS TEXT)"
_DELETE_OF_BLOB = "DELETE FROM checkpoints WHERE blob = ?"
_NEEDED = """
WITH RECURSIVE needed (session) AS (
    SELECT session FROM sessions WHERE NOT closed
    UNION
    SELECT parent FROM sessions JOIN needed USING (session) WHERE parent IS NOT NULL
)
"""
_UNNEEDED = f"{_NEEDED} SELECT DISTINCT CAST(session AS BLOB) FROM checkpoints WHERE session NOT IN needed"  # noqa: S608
_BLOBS = "SELECT DISTINCT CAST(blob AS BLOB) FROM checkpoints"


def remember(db: sqlite3.Connection, checkpoint: Checkpoint) -> None:
    """Add a checkpoint, or put it in the place of another one of the same state and engine."""
    db.execute(_INSERT, tuple(getattr(checkpoint, column) for column in _COLUMNS))


def forget(db: sqlite3.Connection, one: Checkpoint) -> None:
    """Remove it, unless another one has taken its place."""
    db.execute(_DELETE, (one.session, one.seq, one.engine, one.blob))


def forget_all_of(db: sqlite3.Connection, session: bytes) -> None:
    """Remove all checkpoints of a session, whose id is given in UTF-8."""
    db.execute(_DELETE_OF_SESSION, (session,))


def forget_all_with(db: sqlite3.Connection, blobs: Iterable[str]) -> None:
    """Remove all checkpoints that have one of these blobs."""
    db.executemany(_DELETE_OF_BLOB, ((blob,) for blob in blobs))


def unneeded(db: sqlite3.Connection) -> list[bytes]:
    """The ids, in UTF-8, of closed sessions with checkpoints of which no fork is open, nor a fork of a fork.

    Looks at open sessions and those that they come from, not at events.
    """
    return [session for (session,) in db.execute(_UNNEEDED)]


def of_session(db: sqlite3.Connection, session: str, first: int, last: int | None) -> list[Checkpoint]:
    """Those of states with ``first <= seq <= last``, newest first; as many as can be read."""
    query = f"{_SELECT} WHERE session = ? AND seq >= ? AND (? IS NULL OR seq <= ?) ORDER BY seq DESC"
    found = []
    try:
        for row in db.execute(query, (session, first, last, last)):
            try:
                found.append(_checkpoint(row))
            except (msgspec.ValidationError, UnicodeDecodeError) as broken:
                _log.warning(
                    "a checkpoint of session %s is left out, its row is damaged: %s", session, broken
                )
    except sqlite3.DatabaseError as failure:
        _log.warning("not all checkpoints of session %s can be read: %s", session, failure)
    return found


def _checkpoint(row: tuple[Any, ...]) -> Checkpoint:
    values = dict(zip(_COLUMNS, row, strict=True))
    for column in _TEXTS:
        values[column] = str(values[column], "utf-8")
    return msgspec.convert(values, Checkpoint)


def blobs(db: sqlite3.Connection) -> set[str]:
    """The names of all blobs that are known."""
    return _names(db, _BLOBS)


def needed_blobs(db: sqlite3.Connection) -> set[str]:
    """The names of those that are still known once all ``unneeded`` is forgotten."""
    return _names(db, f"{_NEEDED} {_BLOBS} WHERE session IN needed")


def _names(db: sqlite3.Connection, query: str) -> set[str]:
    return {str(name, "utf-8", "replace") for (name,) in db.execute(query)}
