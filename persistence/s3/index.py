"""The local database that is derived from the log in a bucket: made from it, and brought up to date.

How far it is, is a row of its own in it, written in the transactions of what it is about. What is damaged, or
behind what has become segments (which may have lost what was removed since) is made again. One that has what
the log does not have is left alone: it may be all that is left of what was answered.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from engine.chain import Record
from engine.errors import AppendConflict, Conflict, EngineError, StoreCorrupt, StoreError
from persistence import changes, duplicate, markers
from persistence.changes import Adopted, Entry
from persistence.s3 import bases, batches, imports, segments
from persistence.s3.batches import BEGINNING, Batch, Opened, Position
from persistence.s3.journal import Journal
from persistence.s3.objects import Objects
from persistence.s3.segments import Manifest
from persistence.schema import DATABASE_NAME, READ_ERRORS, connect, prepare, read_error

_log = logging.getLogger(__name__)

ATTEMPTS = 3
"""To read a log of which another process just then makes segments."""
_COMMIT_BYTES = 4 << 20
"""Of batches that are taken over in one transaction: it takes that room on the disk once more."""
_TABLE = """
CREATE TABLE IF NOT EXISTS journal (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL,
    digest BLOB NOT NULL,
    holder BLOB NOT NULL
)
"""
_holder = msgspec.msgpack.Decoder(Opened | None)


class Index:
    """The index in ``directory`` of the log among ``objects``. Its methods block.

    ``check`` is called before each batch that is taken over, and ends that by raising.
    """

    def __init__(self, objects: Objects, directory: Path, check: Callable[[], object] = lambda: None) -> None:
        self._objects = objects
        self._check = check
        self._directory = directory
        self.path = directory / DATABASE_NAME

    def open(self, journal: Journal) -> Manifest:
        """Bring the index, made if need be, and the journal to the end of the log; what of it is in segments.

        Raises StoreCorrupt if the log has a gap, does not fit, or is not the one of which the index is;
        StoreError, also where there is no room for the index; OSError.
        """
        for left in reversed(range(ATTEMPTS)):
            manifest = segments.newest(self._objects)
            try:
                self._bring(journal, manifest)
            except StoreCorrupt:
                if not left or segments.newest(self._objects).number == manifest.number:
                    raise
            except READ_ERRORS as failed:
                raise self._unwritten(failed) from failed
            else:
                break
        return manifest

    def keep(self, journal: Journal) -> None:
        """Say that the index is as far as the journal: what that has passed since has no changes.

        Raises StoreError.
        """
        try:
            with closing(connect(self.path)) as db:
                keep(db, journal)
        except READ_ERRORS as failed:
            raise self._unwritten(failed) from failed

    def catch_up(self, journal: Journal) -> None:
        """Take over what is behind the index in the log. Raises StoreCorrupt, StoreError."""
        with closing(connect(self.path)) as db:
            self._apply(db, (batch for batch, _ in journal.read()), journal)

    def catch_up_in(self, db: sqlite3.Connection, journal: Journal) -> list[Record]:
        """The same, in an open transaction of one that is in use; the records that were appended."""
        journal.position, journal.holder = kept(db)
        records: list[Record] = []
        for batch, _ in journal.read():
            records += self.make(db, batch.changes, batches.key(batch.number))
        keep(db, journal)
        return records

    def remove(self) -> None:
        """Let it be made again when it is opened; nobody has it open now. Raises OSError."""
        _remove(self.path)

    def distrust(self) -> None:
        """Let it be made again when it is opened the next time. Raises StoreError."""
        try:
            with closing(connect(self.path)) as db:
                db.execute("DELETE FROM journal")
        except READ_ERRORS as failed:
            raise self._unwritten(failed) from failed

    def snapshot(self, copy: Path) -> tuple[Position, Opened | None, dict[str, int]]:
        """Make a base, in its file alone, of what the index is at one moment; beside who writes to it.

        The place in the log that it stands for, and who has the log there; the number of the last batch of
        each node of a cluster that is in it. What was deleted is not in it.
        Raises StoreCorrupt if an event in it is not as it was written, StoreError, OSError.
        """
        duplicate.make(copy)
        try:
            with closing(connect(self.path)) as db:
                db.execute("VACUUM INTO ?", (str(copy),))
            with closing(connect(copy)) as db:
                stands_for = (*kept(db), markers.all_last(db))
        except READ_ERRORS as failed:
            raise read_error(failed, self.path) from failed
        bases.strip(copy)
        bases.check(copy)
        return stands_for

    def _unwritten(self, failed: Exception) -> StoreError:
        return StoreError(
            f"the index {self.path} of the log could not be written ({failed}): free space in "
            f"{self._directory}, or choose a folder on another disk with --cache-dir"
        )

    def _bring(self, journal: Journal, manifest: Manifest) -> None:
        _prepare(self._directory)
        with closing(connect(self.path)) as db:
            position, holder = kept(db)
        journal.position, journal.holder = position, holder
        if position.number >= manifest.end.number and not _is_of(position, manifest, journal):
            raise StoreCorrupt(
                f"the index {self.path} has events that the log does not have: the bucket has lost what was "
                "answered, or was set back, or has another store than the one that this folder was used for. "
                "Bring back the objects of the bucket; or, to go on with what it has, remove "
                f"{self._directory}"
            )
        # one that does not say how far it is may have been left half made
        if position.number < manifest.end.number or position == BEGINNING:
            if position != BEGINNING:
                _log.info("%s is of no use: it is too far behind the log, and made again", self.path)
            _remove(self.path)
            if manifest.base:
                bases.get(self._objects, manifest.base, self.path)
                _make_tables(self._directory)
            else:
                _prepare(self._directory)
            journal.position, journal.holder = manifest.end, manifest.holder
            with closing(connect(self.path)) as db:
                self._apply(db, self._archived(manifest), journal)
        self.catch_up(journal)

    def _archived(self, manifest: Manifest) -> Iterator[Batch]:
        """What is in segments."""
        for segment in manifest.segments:
            yield from segments.get(self._objects, segment)

    def _apply(self, db: sqlite3.Connection, found: Iterable[Batch], journal: Journal) -> None:
        """Make the changes in batches, some batches in one transaction: then it is as far as the journal.

        Until it is as far as the journal was at the beginning, it does not say how far.
        """
        size = 0
        db.execute("BEGIN IMMEDIATE")
        try:
            for batch in found:
                self._check()
                self.make(db, batch.changes, batches.key(batch.number))
                size += batches.size(batch)
                if size >= _COMMIT_BYTES:
                    if batch.number == journal.position.number:
                        keep(db, journal)
                    db.execute("COMMIT")
                    db.execute("BEGIN IMMEDIATE")
                    size = 0
            keep(db, journal)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def make(self, db: sqlite3.Connection, entries: Sequence[Entry], name: str) -> list[Record]:
        """Make the changes of a batch, in a transaction; the records that were appended.

        Raises StoreCorrupt, which calls it by its name, if they do not fit; StoreError, OSError.
        """
        try:
            return changes.make_all(db, entries, self._adopt)
        except (AppendConflict, Conflict, sqlite3.IntegrityError) as refused:
            raise StoreCorrupt(f"{name} does not fit what comes before it: {refused}") from refused

    def _adopt(self, db: sqlite3.Connection, adopted: Adopted) -> None:
        with closing(imports.get(self._objects, adopted, self._directory)) as lineage:
            lineage.write(db)


def keep(db: sqlite3.Connection, journal: Journal) -> None:
    """Say that the index is as far as the journal."""
    keep_at(db, journal.position, journal.holder)


def keep_at(db: sqlite3.Connection, end: Position, holder: Opened | None) -> None:
    """Say how far the index is, and who has the log there."""
    values = (end.number, end.digest, msgspec.msgpack.encode(holder))
    db.execute("INSERT OR REPLACE INTO journal VALUES (1, ?, ?, ?)", values)


def kept(db: sqlite3.Connection) -> tuple[Position, Opened | None]:
    """How far the index says it is, and who has the log there."""
    row = db.execute("SELECT number, digest, holder FROM journal").fetchone()
    return (BEGINNING, None) if row is None else (Position(*row[:2]), _holder.decode(row[2]))


def _is_of(position: Position, manifest: Manifest, journal: Journal) -> bool:
    """Whether there is that place in the log, which is not before the manifest's."""
    if position.number == manifest.end.number:
        return position == manifest.end
    return journal.holds(position)


def _prepare(directory: Path) -> None:
    """Make a database with the tables, empty if what was there is of no use."""
    try:
        _make_tables(directory)
        _check(directory / DATABASE_NAME)
    except (EngineError, *READ_ERRORS) as failed:
        path = directory / DATABASE_NAME
        _log.warning("%s is of no use as an index, and made again: %s", path, failed)
        _remove(path)
        _make_tables(directory)


def _make_tables(directory: Path) -> None:
    with closing(connect(prepare(directory))) as db:
        db.execute(_TABLE)
        db.execute(markers.TABLE)


def _check(path: Path) -> None:
    """Raise StoreCorrupt if the database is damaged: what it says would be written into the log.

    It takes far less time than to make it again from the log.
    """
    with closing(connect(path)) as db:
        (found,) = db.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise StoreCorrupt(f"it is damaged: {found}")


def _remove(path: Path) -> None:
    for end in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + end).unlink()
