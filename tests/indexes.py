"""What is in an index of a log, to be compared."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def content(database: Path) -> dict[str, list[list[Any]]]:
    """What an index says, with bytes in hexadecimal: events by their ids, which say all of them."""
    asked = {
        "events": "SELECT session, seq, hex(id) FROM events ORDER BY session, seq",
        "sessions": "SELECT session, owner, name, head_seq, hex(head_id), closed, parent, first_seq "
        "FROM sessions ORDER BY session",
        "tags": "SELECT session, target, key, value FROM tags ORDER BY session, target, key",
        "checkpoints": "SELECT session, seq, engine, blob FROM checkpoints ORDER BY session, seq, engine",
    }
    with closing(sqlite3.connect(database)) as db:
        return {table: [list(row) for row in db.execute(question)] for table, question in asked.items()}
