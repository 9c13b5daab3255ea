"""How far an index is in what each node of a cluster has written: the same batch may come twice, by two ways.

That is a row of its own for each writer, in the transactions of what it is about.
"""

from __future__ import annotations

import sqlite3

from engine.errors import StoreCorrupt

TABLE = """
CREATE TABLE IF NOT EXISTS writers (
    writer TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    digest BLOB NOT NULL
) WITHOUT ROWID
"""
NOTHING = bytes(32)
"""What a writer's first batch comes after."""


def last(db: sqlite3.Connection, writer: str) -> tuple[int, bytes]:
    """Number and digest of the writer's last batch that is here; -1 and ``NOTHING`` if there is none."""
    row = db.execute("SELECT number, digest FROM writers WHERE writer = ?", (writer,)).fetchone()
    return (-1, NOTHING) if row is None else row


def all_last(db: sqlite3.Connection) -> dict[str, int]:
    """Number of the last batch of each writer that is here."""
    return dict(db.execute("SELECT writer, number FROM writers"))


def are_in(db: sqlite3.Connection) -> bool:
    """Whether any node of a cluster has written what is here; of a database that may lack the table."""
    has_table = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'writers'").fetchone() is not None
    return has_table and bool(all_last(db))


def follow(db: sqlite3.Connection, writer: str, number: int, digest: bytes) -> bool:
    """Say that a batch is here from now on; False if it was before.

    Raises StoreCorrupt if the one before it is not.
    """
    before, known = last(db, writer)
    if number < before:
        return False
    if number == before:
        if digest != known:
            raise StoreCorrupt(f"batch {number} of writer {writer} is there twice, and differs")
        return False
    if number > before + 1:
        raise StoreCorrupt(f"batch {before + 1} of writer {writer} is missing: a part of the log was lost")
    db.execute("INSERT OR REPLACE INTO writers VALUES (?, ?, ?)", (writer, number, digest))
    return True
