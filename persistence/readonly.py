"""An event log that is only read: beside a server that writes to it, or where nobody may write.

Nothing of a store is ever altered, no file is made in its directory, and its lock is not taken. So SQLite
must be opened by what is there, since even a reader would make files or write to them:

- A write-ahead log with its index: the server's, or what a server that was killed left. The index is opened
  to be read only; SQLite sees each commit, and its locks keep what it reads from being written over.
- No write-ahead log: nobody has the database open, and it is read as one that cannot change. If it does all
  the same, because a server starts, what was read meanwhile is thrown away and read again.
- A write-ahead log without its index, as in a copy of a store, or what an interrupted transaction left: only
  SQLite could put that in order. So it does, in a copy in a temporary folder.

A database of an older version is read through such a copy, too, which is brought to this version.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeVar

import trio

from engine.chain import Record
from engine.checkpoints import Checkpoint
from engine.errors import StoreError, StoreMissing, StoreReadOnly
from persistence import duplicate, pointers
from persistence.eventlog import Adoption, Purged
from persistence.lock import holder
from persistence.queries import SqliteQueries
from persistence.schema import (
    BUSY_SECONDS,
    DATABASE_NAME,
    FIRST_WITH_CHECKPOINTS,
    READ_ERRORS,
    STORE_VERSION,
    prepare,
    read_error,
    used_bytes,
    version_of,
)

_log = logging.getLogger(__name__)

ATTEMPTS = 20
"""A read that a server which starts or stops has spoiled is tried so often."""
PAUSE_SECONDS = 0.025
"""Between two attempts."""

_PASSING = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PROTOCOL)
"""What a server that starts or stops just then makes of a read."""

T = TypeVar("T")


class Condition(NamedTuple):
    """What can be seen of a database without opening it."""

    identity: tuple[int, int, int, int]
    """Of its file: device, inode, size, and when it was written to."""
    log_bytes: int
    """In its write-ahead log; 0 if there is none."""
    has_index: bool
    """Whether the write-ahead log's index is there."""
    is_interrupted: bool
    """Whether a transaction has left a rollback journal, which only older versions had to begin with."""

    @classmethod
    def of(cls, path: Path) -> Condition:
        """That of the database at ``path``. Raises OSError."""
        found = path.stat()
        return cls(
            (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns),
            _size(f"{path}-wal"),
            Path(f"{path}-shm").exists(),
            _size(f"{path}-journal") > 0,
        )

    @property
    def is_shared(self) -> bool:
        """Whether it can be read as one that others write to."""
        return self.log_bytes > 0 and self.has_index and not self.is_interrupted

    @property
    def is_readable(self) -> bool:
        """Whether it can be read where it is."""
        return self.is_shared or self.is_still

    @property
    def is_still(self) -> bool:
        """Whether all is in the database's own file."""
        return self.log_bytes == 0 and not self.is_interrupted


class _Connection(sqlite3.Connection):
    """A connection to a database that was in some condition."""

    condition: Condition

    def is_for(self, condition: Condition) -> bool:
        """Whether it is of use as well for a database in that condition."""
        mine = self.condition
        if mine.is_shared and condition.is_shared:
            return mine.identity[:2] == condition.identity[:2]
        return mine == condition


@asynccontextmanager
async def open_sqlite_reader(
    directory: Path, tell: Callable[[str], object] = _log.info, kind: type[ReadOnlyEventLog] | None = None
) -> AsyncIterator[ReadOnlyEventLog]:
    """Read the log in ``directory`` until the end of the block. ``tell`` hears, in a sentence, of what has to
    be copied for that. ``kind`` is what it is made (by default, a ReadOnlyEventLog).

    Raises StoreMissing if there is none, StoreCorrupt or StoreError if it cannot be used, OSError if it may
    not be read.
    """
    path = directory / DATABASE_NAME
    with ExitStack() as stack:
        condition = await trio.to_thread.run_sync(settled, path)
        make = kind or ReadOnlyEventLog
        log = make(directory, path)
        try:
            version = 0
            if condition.is_readable:
                version = await log._query(lambda db: version_of(db, path))
                if version == 0:
                    raise missing(directory)
            if version < STORE_VERSION:
                why = f"store format {version}" if version else "a write-ahead log without its index"
                size = condition.identity[2] + condition.log_bytes
                tell(f"{path} has {why}: reading a copy of its {size / 1e6:,.1f} MB, brought to this version")
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mcp-v8-")))
                copy = folder / DATABASE_NAME
                with _room(path, folder):
                    if version:
                        await log.copy_to(copy, lambda done, of: None)
                    else:
                        await trio.to_thread.run_sync(duplicate.copy_files, path, copy)
                await trio.to_thread.run_sync(_bring_up, path, folder)
                await log.close()
                log = make(directory, copy)
            log.used_bytes = await log._query(used_bytes)
            yield log
        finally:
            await log.close()


class ReadOnlyEventLog(SqliteQueries):
    """An ``EventLog`` that refuses to be written to; made by ``open_sqlite_reader``."""

    def __init__(self, directory: Path, path: Path) -> None:
        """``path`` is where the database of the store in ``directory``, or a copy of it, is read."""
        super().__init__(path)
        self._directory = directory
        self._connections: list[_Connection] = []
        self.used_bytes = 0
        """See ``EventLog``; what it was when the log was opened."""

    async def append(self, records: Sequence[Record]) -> None:  # noqa: ARG002
        """Raises StoreReadOnly."""
        self._refuse()

    def leave(self) -> None:
        """See ``EventLog``."""

    def adoption(self) -> AbstractAsyncContextManager[Adoption]:
        """Raises StoreReadOnly."""
        self._refuse()

    async def add_checkpoint(self, checkpoint: Checkpoint, forget: Sequence[Checkpoint] = ()) -> None:  # noqa: ARG002
        """Raises StoreReadOnly."""
        self._refuse()

    async def forget_checkpoints(self, checkpoints: Sequence[Checkpoint]) -> None:  # noqa: ARG002
        """Raises StoreReadOnly."""
        self._refuse()

    async def purge(self, session: str, before: int) -> Purged:  # noqa: ARG002
        """Raises StoreReadOnly."""
        self._refuse()

    async def copy_to(self, copy: Path, step: duplicate.Step) -> None:
        """Copy the database, in its own version, as it is when this begins; see ``duplicate.back_up``.

        Raises StoreMissing if there is nothing in it, StoreError, OSError where the copy cannot be written.
        """

        def back_up(db: sqlite3.Connection) -> None:
            if version_of(db, self._path) == 0:
                raise missing(self._directory)
            duplicate.back_up(db, copy, step)

        await self._query(back_up)

    async def known_blobs(self) -> set[str]:
        """Names of the blobs of all checkpoints, in whatever version the database is. Raises StoreError."""

        def names(db: sqlite3.Connection) -> set[str]:
            return pointers.blobs(db) if version_of(db, self._path) >= FIRST_WITH_CHECKPOINTS else set()

        return await self._query(names)

    async def close(self) -> None:
        """Wait for what is being read, and let go of the database."""
        await self._rest()
        while self._connections:
            self._connections.pop().close()

    def _refuse(self) -> NoReturn:
        owner = holder(self._directory)
        ask = f", since process {owner} owns it: ask that one, with --url" if owner else ""
        raise StoreReadOnly(f"the store in {self._directory} is open for reading only{ask}")

    def _run_query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """See ``SqliteQueries``: again where what it came to may be of no moment of the database."""
        failure = StoreError(f"{self._path} is being altered all the time: try again later")
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(PAUSE_SECONDS)
            condition = self._condition()
            if not condition.is_readable:
                continue
            try:
                answer = self._ask(query, condition)
            except READ_ERRORS as failed:
                failure = read_error(failed, self._path)
                is_final = getattr(failed, "sqlite_errorcode", 0) & 0xFF not in _PASSING
            except StoreError as failed:
                failure = failed
                is_final = True
            else:
                if condition.is_shared or self._condition() == condition:
                    return answer
                continue
            if is_final and (condition.is_shared or self._condition() == condition):
                break
        raise failure

    def _condition(self) -> Condition:
        try:
            return Condition.of(self._path)
        except OSError as failed:
            raise StoreError(f"{self._path} could not be read: {failed.strerror}") from failed

    def _ask(self, query: Callable[[sqlite3.Connection], T], condition: Condition) -> T:
        db = self._connected(condition)
        try:
            return query(db)
        finally:
            self._connections.append(db)

    def _connected(self, condition: Condition) -> _Connection:
        """A connection that nobody uses, if there is one that is still of use, or a new one."""
        with suppress(IndexError):
            while db := self._connections.pop():
                if db.is_for(condition):
                    return db
                db.close()
        return _connect(self._path, condition)


def _connect(path: Path, condition: Condition) -> _Connection:
    way = "readonly_shm=1" if condition.is_shared else "immutable=1"
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro&{way}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        factory=_Connection,
    )
    db.condition = condition
    return db


def settled(path: Path) -> Condition:
    """The condition of the database, once no server is just starting or stopping there; blocks.

    Raises StoreMissing if there is none, OSError if it may not be read.
    """
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        try:
            condition = Condition.of(path)
        except (FileNotFoundError, NotADirectoryError):
            raise missing(path.parent) from None
        if condition.is_readable:
            break
    if not os.access(path, os.R_OK):  # SQLite would not say why it cannot open it
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return condition


def missing(directory: Path) -> StoreMissing:
    """What is raised where there is none."""
    return StoreMissing(
        f"there is no store in {directory}: give --directory-path, or start a server, which makes one"
    )


def _bring_up(path: Path, folder: Path) -> None:
    """Bring the copy in ``folder`` to this version; what is wrong with it is wrong with the original."""
    try:
        prepare(folder)
    except StoreError as failed:
        raise type(failed)(failed.message.replace(str(folder / DATABASE_NAME), str(path))) from failed


@contextmanager
def _room(path: Path, folder: Path) -> Iterator[None]:
    """Where copies in ``folder`` do not fit, says what to do. Raises StoreError."""
    try:
        yield
    except OSError as failed:
        if failed.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise StoreError(
            f"{path} can only be read through a copy, for which there is no room in {folder.parent}: "
            "free some, or let TMPDIR name another folder"
        ) from failed


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except FileNotFoundError:
        return 0
