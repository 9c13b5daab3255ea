"""A *base*: the index as it was at one place of the log, kept in a bucket in place of all that came before.

It is the SQLite database without what says how far it is, cut into parts. Each is an object that is named by
the hash of its body, so that a base is read as it was written or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from persistence import markers
from persistence.changes import Part
from persistence.s3 import named
from persistence.s3.objects import Objects
from persistence.schema import EVENT_COLUMNS, READ_ERRORS, connect, read_error, record_of

BASES = "bases/"
PART_BYTES = 64 << 20
"""Of the database; the last part is what is left."""
_KIND, _VERSION = b"mcpv8ba", 2
"""Version 2 is of the index of a cluster, which says what of its nodes has come."""

Step = Callable[[int, int], object]
"""Hears how many of how many parts are done."""


def put(objects: Objects, database: Path, step: Step = lambda done, of: None) -> tuple[Part, ...]:
    """Keep a database that is all in its file and that nobody writes to.

    Raises Refused, Unanswered, StoreError, OSError.
    """
    version = 2 if _is_of_cluster(database) else 1
    count = -(-database.stat().st_size // PART_BYTES)
    parts = []
    with database.open("rb") as file:
        while body := file.read(PART_BYTES):
            parts.append(named.put(objects, BASES, _KIND, version, body))
            step(len(parts), count)
    return tuple(parts)


def get(objects: Objects, parts: Sequence[Part], database: Path) -> None:
    """Make the database again, on the disk, in its own version.

    Raises StoreCorrupt if a part of it is not there or altered, StoreError, OSError.
    """
    descriptor = os.open(database, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(named.get(objects, BASES, _KIND, _VERSION, part) for part in parts)
        file.flush()
        os.fsync(file.fileno())


def check(database: Path) -> None:
    """See that each event in it is as it was written: of a base, nothing but the base has the events.

    Raises StoreCorrupt, StoreError.
    """
    try:
        with closing(connect(database)) as db:
            for row in db.execute(f"SELECT {EVENT_COLUMNS} FROM events"):  # noqa: S608
                record_of(row)
    except READ_ERRORS as failed:
        raise read_error(failed, database) from failed


def strip(database: Path) -> None:
    """Let a copy of an index say no more how far it is, and be all in its file. Raises StoreError."""
    try:
        with closing(connect(database)) as db:
            db.execute("DROP TABLE IF EXISTS journal")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            db.execute("PRAGMA journal_mode = DELETE")
    except READ_ERRORS as failed:
        raise read_error(failed, database) from failed


def _is_of_cluster(database: Path) -> bool:
    try:
        with closing(connect(database)) as db:
            return markers.are_in(db)
    except READ_ERRORS as failed:
        raise read_error(failed, database) from failed
