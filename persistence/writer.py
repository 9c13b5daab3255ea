"""The thread that appends: it owns the write connection and commits in groups.

It takes everything that is queued, checks each append against the state of its session, writes what
passes in one transaction, and syncs once. An append that does not pass is alone in failing. What is
noted beside the log has a transaction of its own. A writer answers for every append that it took, in
one of three ways: ``failure`` None (durable), an AppendConflict or StoreFailed (nothing of it is in
the log, and never will be), or, when a commit failed and nothing can be found out, by dying with a
StoreError: then only a restart can tell.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue

from engine.errors import AppendConflict, Conflict, StoreCorrupt, StoreError, StoreFailed
from engine.events import Created, Forked
from persistence import changes, folders
from persistence.adoption import Lineage
from persistence.appends import UNBOUNDED, Append, Arrival, Elsewhere, Lost
from persistence.eventlog import SessionRow
from persistence.schema import connect, renew_wal, used_bytes

MAX_BATCH_BYTES = 4 << 20
ARRIVAL_PAUSE_SECONDS = 1.0
"""Between attempts to bring into the index what has arrived."""
MAX_WAIT_SECONDS = 20.0
"""While a batch cannot be written because a log is kept elsewhere, those behind it are refused after that."""
MEASURE_BYTES = 256 << 10
"""After so many bytes it is found out what the database takes; in between they are added to what it took."""
HEADS_KEPT = 10_000
"""Session rows remembered, so that an append to a session in use needs no query."""

RETRY_SECONDS = (0.0, 0.1, 0.5, 1.0, 2.0)
"""Pauses before the attempts to find out what came of a commit that failed."""

_UNWRITTEN = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)
"""Failures of a COMMIT that are certain: what makes a transaction valid is written last."""

_TAKEN = {
    "events.session": "that sequence number is taken",
    "events.id": "it is in the log already",
    "events.execution_id": "that execution id exists already",
    "events.owner": "the idempotency key was used before",
    "sessions.owner": "the owner has an open session of that name",
}


class Writer:
    """Appends to the database at ``path``. ``settle`` is called in the writer's thread, once for
    each transaction, with the appends whose outcome is known. If the log is kept ``elsewhere``, each
    transaction is first durable there; ``troubled`` is told, in the same thread, why that takes long."""

    def __init__(
        self,
        path: Path,
        settle: Callable[[list[Append]], object],
        elsewhere: Elsewhere | None = None,
        troubled: Callable[[str], object] = lambda reason: None,
    ) -> None:
        self._path = path
        self._settle = settle
        self._elsewhere = elsewhere
        self._bounds = UNBOUNDED if elsewhere is None else elsewhere.bounds
        self._troubled = troubled
        self._queue: SimpleQueue[Append | None] = SimpleQueue()
        self._waiting: deque[Append] = deque()
        """Those that were taken from the queue while an earlier batch could not be written."""
        self._stopping = False
        self._deciding = threading.Lock()
        """Held while a transaction is committed, so that none is after ``give_up``."""
        self._given_up = False
        self._db: sqlite3.Connection | None = None
        self._heads: dict[str, SessionRow] = {}
        self.used_bytes = 0
        """What is in the database, roughly; to be read by any thread."""
        self._unmeasured = 0
        """Bytes that were appended since it was found out exactly."""
        self.unanswered: list[Append] = []
        """The batch being written. Not to be looked at while ``run`` runs."""

    def put(self, append: Append) -> None:
        """Queue an append (any thread)."""
        self._queue.put(append)

    def stop(self) -> None:
        """Let ``run`` end after what is queued now (any thread)."""
        self._queue.put(None)

    def give_up(self) -> None:
        """Commit nothing more, whatever ``run`` is waiting for; what it settles then is of no interest."""
        with self._deciding:
            self._given_up = True

    def run(self) -> None:
        """Write what is queued until ``stop``. Raises StoreError when it cannot answer."""
        try:
            while batch := self._gather():
                self.unanswered = sorted(batch, key=_kind)
                while part := self._part():
                    if isinstance(part[0], Arrival):
                        self._take_in(part)
                    else:
                        self._write(part)
                    self._settle(part)
                    del self.unanswered[: len(part)]
        finally:
            self._disconnect()

    def abandon(self) -> list[Append]:
        """What is still queued after ``run`` has ended: it was not written and will not be."""
        rest = [*self._waiting]
        while not self._queue.empty():
            append = self._queue.get_nowait()
            if append is not None:
                rest.append(append)
        return rest

    def _gather(self) -> list[Append]:
        """Everything queued, up to a bound; waits for the first. Empty when it is time to stop."""
        batch: list[Append] = []
        size = 0
        while size < MAX_BATCH_BYTES:
            append = self._waiting.popleft() if self._waiting else self._next(block=not batch)
            if append is None:
                break
            batch.append(append)
            size += append.size
        return batch

    def _part(self) -> list[Append]:
        """The next of them that share a transaction; empty when there are none.

        Each kind has its own: for a note, or a lineage, that cannot be written no event may fail.
        """
        part: list[Append] = []
        size = 0
        bounds = self._bounds
        for append in self.unanswered:
            size += append.size
            if part and (
                _kind(append) != _kind(part[0]) or len(part) == bounds.appends or size > bounds.size
            ):
                break
            part.append(append)
        return part

    def _next(self, *, block: bool, seconds: float | None = None) -> Append | None:
        """The next of the queue; None if there is none, or after which it is time to stop."""
        if self._stopping:
            return None
        try:
            append = self._queue.get(block, seconds)
        except Empty:
            return None
        self._stopping = append is None
        return append

    def _be_patient(self, reason: str, seconds: float) -> None:
        """Wait for what is being written; not when it is time to stop."""
        self._wait(reason, seconds)
        if self._stopping:
            raise unknown(reason)

    def _wait(self, reason: str, seconds: float) -> None:
        """Wait, but let nobody wait for long whose append is not yet being written."""
        self._troubled(reason)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._stopping:
            if (append := self._next(block=True, seconds=left)) is not None:
                self._waiting.append(append)
        late = time.monotonic() - MAX_WAIT_SECONDS
        refused = [one for one in self._waiting if one.since < late and not isinstance(one, Arrival)]
        for append in refused:
            self._waiting.remove(append)
            append.failure = StoreFailed(f"the event was not stored: {reason}")
        self._settle(refused)

    def _take_in(self, arrivals: list[Append]) -> None:
        """Bring into the index what has arrived, however long that takes. Raises StoreCorrupt."""
        touched: set[str] = set()
        while True:
            try:
                db = self._connection()
                db.execute("BEGIN IMMEDIATE")
                for arrival in arrivals:
                    assert isinstance(arrival, Arrival)
                    touched.update(arrival.write(db))
                used = used_bytes(db)
                db.execute("COMMIT")
                break
            except StoreCorrupt:
                self._roll_back()
                raise
            except (StoreError, sqlite3.Error, OSError) as failure:
                self._roll_back()
                self._wait(
                    f"what other servers have stored could not be had: {failure}", ARRIVAL_PAUSE_SECONDS
                )
                if self._stopping:  # it comes again at the next start
                    return
        for session in touched:
            self._heads.pop(session, None)
        self.used_bytes, self._unmeasured = used, 0

    def _write(self, batch: list[Append]) -> None:
        """Write all that can be, each whole or not at all."""
        while left := [append for append in batch if append.failure is None]:
            try:
                self._attempt(left)
            except Lost as lost:
                self._roll_back()
                for append, failure in lost.failures.items():
                    append.failure = failure
            else:
                return

    def _attempt(self, batch: list[Append]) -> None:
        """Write them in one transaction. Raises Lost: nothing was written."""
        heads: dict[str, SessionRow] = {}
        try:
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            written = [append for append in batch if self._insert(db, append, heads)]
            size = self._unmeasured + sum(append.size for append in written)
            is_measured = size >= MEASURE_BYTES or any(map(_kind, written))
            used = used_bytes(db) if is_measured else self.used_bytes - self._unmeasured + size
            if self._elsewhere is not None and written:
                self._elsewhere.ship(db, written, self._be_patient)
        except StoreFailed as failed:
            self._roll_back()
            for append in written:
                append.failure = failed
            return
        except (sqlite3.Error, OSError) as failure:
            self._roll_back()
            self._fail([append for append in batch if append.failure is None], failure)
            return
        with self._deciding:
            if self._given_up:
                self._roll_back()
                raise unknown("nobody waits for it any more")
            is_committed = self._commit(db, written)
        if is_committed:
            self._remember(heads)
            self.used_bytes, self._unmeasured = used, 0 if is_measured else size

    def _insert(self, db: sqlite3.Connection, append: Append, heads: dict[str, SessionRow]) -> bool:
        """Write one append into the open transaction, all or none; whether it passed."""
        if append.lineage is not None:
            return _adopt(db, append, append.lineage, heads)
        if not append.records:
            if append.note is None:
                _write_over(db)
            else:
                append.noted = append.note.write(db)
            return True
        first = append.records[0].event
        begins = isinstance(first, (Created, Forked))
        # Of one event's statements only the first can be refused, and then nothing is written.
        guarded = begins or len(append.records) > 1
        if guarded:
            db.execute("SAVEPOINT append")
        try:
            after = changes.append(db, self._head(db, first.session, heads), append.records)
        except AppendConflict as conflict:
            append.failure = conflict
        except sqlite3.IntegrityError as violated:
            if violated.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
                raise
            append.failure = _conflict(append, violated)
        else:
            if guarded:
                db.execute("RELEASE append")
            heads[after.session] = after
            return True
        if guarded:
            db.execute("ROLLBACK TO append")
            db.execute("RELEASE append")
        return False

    def _head(self, db: sqlite3.Connection, session: str, heads: dict[str, SessionRow]) -> SessionRow | None:
        """The session as of this point of the transaction."""
        return heads.get(session) or self._heads.get(session) or changes.session_of(db, session)

    def _remember(self, heads: dict[str, SessionRow]) -> None:
        for session, head in heads.items():
            self._heads.pop(session, None)
            self._heads[session] = head
        while len(self._heads) > HEADS_KEPT:
            del self._heads[next(iter(self._heads))]

    def _commit(self, db: sqlite3.Connection, written: list[Append]) -> bool:
        """Make the transaction durable; if that failed, say so to every append of it."""
        try:
            db.execute("COMMIT")
        except sqlite3.Error as failure:
            self._roll_back()
            if self._elsewhere is not None:  # which has it: only a new start can bring the index there
                raise behind(self._path, failure) from failure
            certain = failure.sqlite_errorcode in _UNWRITTEN or all(map(_is_beside, written))
            if certain or not self._has_committed(written, failure):
                self._fail(written, failure)
                return False
        return True

    def _has_committed(self, written: list[Append], failure: sqlite3.Error) -> bool:
        """Read back what a failed COMMIT came to. Raises StoreError if it cannot be found out.

        A transaction that was written but not synced is invisible now, yet could come back when the
        write-ahead log is recovered after a crash. Once another transaction was written in its
        place it cannot, so "no" is said only after that.
        """
        reason: Exception = failure
        for pause in RETRY_SECONDS:
            time.sleep(pause)
            try:
                self._disconnect()
                renew_wal(self._path)
                db = self._connection()
                stored = [_is_stored(db, append) for append in written if append.records or append.lineage]
                if stored and all(stored):
                    return True
                _write_over(db)
            except (sqlite3.Error, OSError) as again:
                reason = again
            else:
                return False
        raise StoreError(
            f"a write to {self._path} failed and it cannot be found out what became of it ({reason}): "
            "look at the disk and start mcp-v8 again"
        )

    def _fail(self, appends: list[Append], failure: sqlite3.Error | OSError) -> None:
        full = isinstance(failure, sqlite3.Error) and failure.sqlite_errorcode in _UNWRITTEN
        todo = "free space in" if full else "look at the disk of"
        for append in appends:
            what = "the import" if append.lineage is not None else "the event"
            what = what if append.note is None else append.note.what
            append.failure = StoreFailed(
                f"{what} could not be stored, and was not ({failure}): {todo} {self._path.parent}"
            )

    def _connection(self) -> sqlite3.Connection:
        """Raises OSError besides SQLite's errors."""
        if self._db is None:
            db = connect(self._path)
            try:
                # SQLite syncs the name of a write-ahead log that it made, but ignores whether that failed.
                db.execute("SELECT 1 FROM sqlite_master").fetchone()
                if self._elsewhere is None:
                    folders.sync(self._path.parent)
                else:  # what the index loses in a crash is read again
                    db.execute("PRAGMA synchronous = NORMAL")
            except (sqlite3.Error, OSError):
                db.close()
                raise
            self._db = db
        return self._db

    def _roll_back(self) -> None:
        if self._db is not None and self._db.in_transaction:
            try:
                self._db.execute("ROLLBACK")
            except sqlite3.Error:
                self._disconnect()  # which ends the transaction too

    def _disconnect(self) -> None:
        if self._db is not None:
            db, self._db = self._db, None
            db.close()


def unknown(reason: str) -> StoreError:
    """The end of a log that had something to write, and cannot say what became of it."""
    return StoreError(f"the server stops, and whether the last events were stored is not known: {reason}")


def behind(path: Path, failure: sqlite3.Error) -> StoreError:
    """The index at ``path`` could not be brought to what is durable elsewhere."""
    return StoreError(
        f"what was stored could not be written to its index {path} ({failure}): "
        f"look at the disk of {path.parent} and start mcp-v8 again"
    )


def _is_beside(append: Append) -> bool:
    """Whether it only writes beside the log, what may as well be lost or come back."""
    return append.note is not None


def _kind(append: Append) -> int:
    """What may share a transaction, in the order in which it is written."""
    if isinstance(append, Arrival):
        return 3
    return 2 if append.lineage is not None else int(_is_beside(append))


def _adopt(db: sqlite3.Connection, append: Append, lineage: Lineage, heads: dict[str, SessionRow]) -> bool:
    """Write a lineage into the open transaction, all or none; whether it passed."""
    db.execute("SAVEPOINT append")
    try:
        lineage.write(db)
    except (Conflict, StoreCorrupt) as refused:
        append.failure = refused
        db.execute("ROLLBACK TO append")
    else:
        heads[lineage.row.session] = lineage.row
    db.execute("RELEASE append")
    return append.failure is None


def _is_stored(db: sqlite3.Connection, append: Append) -> bool:
    if append.lineage is not None:
        return append.lineage.is_stored(db)
    last = append.records[-1].id
    return db.execute("SELECT 1 FROM events WHERE id = ?", (last,)).fetchone() is not None


def _write_over(db: sqlite3.Connection) -> None:
    """Commit a transaction that changes nothing: it writes the first page again."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    db.execute(f"PRAGMA user_version = {version}")


def _conflict(append: Append, violated: sqlite3.IntegrityError) -> AppendConflict:
    event = append.records[0].event
    column = str(violated).removeprefix("UNIQUE constraint failed: ").partition(",")[0]
    reason = _TAKEN.get(column, str(violated))
    return AppendConflict(f"event {event.seq} cannot be appended to session {event.session}: {reason}")
