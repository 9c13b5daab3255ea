"""Checkpoints as rows of the log's database: written by the writer's thread, read beside it.

The rows are no part of the hash chain. What one says is checked against the blob that it names, so that here
a row need only have the right form; one that has not is left out.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence

import msgspec

from engine.checkpoints import Checkpoint

_log = logging.getLogger(__name__)

_COLUMNS = ("session", "seq", "state", "engine", "blob", "size", "made_at", "cost_us")
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM checkpoints"  # noqa: S608
_INSERT = f"INSERT OR REPLACE INTO checkpoints ({', '.join(_COLUMNS)}) VALUES (?,?,?,?,?,?,?,?)"  # noqa: S608
_DELETE = "DELETE FROM checkpoints WHERE session = ? AND seq = ? AND engine = ? AND blob = ?"

Statement = tuple[str, tuple[object, ...]]
"""SQL and its values."""


def remember(checkpoint: Checkpoint) -> Statement:
    """Adds a checkpoint, or puts it in the place of another one of the same state and engine."""
    return _INSERT, tuple(getattr(checkpoint, column) for column in _COLUMNS)


def forget(checkpoints: Sequence[Checkpoint]) -> list[Statement]:
    """Removes those, unless others have taken their places."""
    return [(_DELETE, (one.session, one.seq, one.engine, one.blob)) for one in checkpoints]


def of_session(db: sqlite3.Connection, session: str, first: int, last: int | None) -> list[Checkpoint]:
    """Those of states with ``first <= seq <= last``, newest first."""
    query = f"{_SELECT} WHERE session = ? AND seq >= ? AND (? IS NULL OR seq <= ?) ORDER BY seq DESC"
    found = []
    for row in db.execute(query, (session, first, last, last)):
        try:
            found.append(msgspec.convert(dict(zip(_COLUMNS, row, strict=True)), Checkpoint))
        except msgspec.ValidationError as broken:
            _log.warning("a checkpoint of session %s is left out, its row is damaged: %s", session, broken)
    return found


def blobs(db: sqlite3.Connection) -> set[str]:
    """The names of all blobs that are needed."""
    return {str(row[0]) for row in db.execute("SELECT DISTINCT blob FROM checkpoints")}
