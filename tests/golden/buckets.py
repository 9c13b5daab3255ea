"""Buckets as folders of files, and what is in an index, to be compared."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from histories import FOLDER
from s3_memory import MemoryObjects, utc_now

GOLDEN = FOLDER / "bucket1"
"""The golden bucket: a folder of its objects, and what must come of it beside that."""
CONTENT = GOLDEN.with_suffix(".json")


def load(folder: Path) -> MemoryObjects:
    """The objects in a folder."""
    objects = MemoryObjects()
    for path in folder.rglob("*"):
        if path.is_file():
            objects.stored[path.relative_to(folder).as_posix()] = path.read_bytes(), utc_now()
    return objects


def write(objects: MemoryObjects, folder: Path) -> None:
    """Make a folder that is not there yet of objects. Raises FileExistsError."""
    folder.mkdir()
    for key, (data, _) in objects.stored.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


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
