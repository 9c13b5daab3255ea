"""Copies of a database of this program, in its own version, whatever is going on in the original.

Everything blocks, and belongs in a thread. A copy is for its owner only, and on the disk when it is made.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

STEP_PAGES = 256
"""Copied at once, a MiB: between two steps whoever waits may give up."""
_BESIDE = ("-wal", "-journal")
"""Ends of the names of the files that hold what is not in a database's own yet."""
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)

Step = Callable[[int, int], object]
"""Hears how many of how many parts are done."""


def back_up(db: sqlite3.Connection, copy: Path, step: Step) -> None:
    """Copy the database as it is at one moment, when this begins; it may be written to meanwhile.

    That moment is held in one read transaction: SQLite would begin anew whenever something was written
    between two steps. What is copied again takes the place of what was. ``step`` hears of pages. Raises
    OSError where there is no room, sqlite3.Error, and what ``step`` raises.
    """
    make(copy)
    with room(copy), closing(sqlite3.connect(copy)) as target:
        db.execute("BEGIN")
        try:
            db.execute("SELECT 1 FROM sqlite_master").fetchone()  # only with a read does the moment begin
            db.backup(target, pages=STEP_PAGES, progress=lambda _, left, of: step(of - left, of))
        finally:
            db.execute("ROLLBACK")


def copy_files(path: Path, copy: Path) -> None:
    """Copy the files of a database that nobody has open, and that only SQLite can put in order: whoever opens
    the copy does. Raises OSError.
    """
    make(copy)
    shutil.copyfile(path, copy)
    for end in _BESIDE:
        with suppress(FileNotFoundError):
            shutil.copyfile(f"{path}{end}", f"{copy}{end}")


@contextmanager
def room(copy: Path) -> Iterator[None]:
    """What SQLite does with a copy in the block: where that has no room, raises OSError."""
    try:
        yield
    except sqlite3.OperationalError as failed:
        if failed.sqlite_errorcode not in _FULL:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(copy)) from failed


def make(copy: Path) -> None:
    """An empty file. Made here for its mode, which SQLite copies to the files beside it."""
    os.close(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
