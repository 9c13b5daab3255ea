"""The embedded event log: one SQLite database in a directory, owned by one process.

Appends go through a queue to the one thread that writes (``persistence.writer``), which wakes all
appends of a group commit with one call into the Trio run: a thread hop for each would cost more than
the write. Reads go on beside it (``persistence.queries``).
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import outcome
import trio

from engine.chain import Record
from engine.checkpoints import Checkpoint
from engine.errors import EngineError, NotOwner, StoreError, StoreFailed
from engine.timestamps import now_us
from persistence import changes, folders, pointers, purge, threads
from persistence.adoption import Lineage, LogAdoption
from persistence.appends import Append, Elsewhere, Note
from persistence.changes import Change, Forgotten, ForgottenAll, Noted, Remembered, Removed
from persistence.eventlog import Purged
from persistence.lock import own
from persistence.queries import SqliteQueries
from persistence.schema import READ_ERRORS, connect, prepare, read_error, used_bytes
from persistence.writer import Writer, unknown

MAX_QUEUED_BYTES = 64 << 20
"""Appends wait for room, in order of arrival, once this much is in the queue."""

PROBE_SECONDS = 5.0
"""While appends fail, it is tried that often whether they still would."""

T = TypeVar("T")


@asynccontextmanager
async def open_sqlite_log(directory: Path) -> AsyncIterator[SqliteEventLog]:
    """Own the log in ``directory``, made if need be, until the end of the block.

    Leaving the block writes what is queued first. Raises StoreLocked if another process owns the
    store, StoreCorrupt or StoreError if it cannot be used or written, OSError if there can be no directory.
    """
    with ExitStack() as owned:
        with folders.explained(directory):
            await trio.to_thread.run_sync(folders.make, directory)
            owned.enter_context(own(directory))
            log = SqliteEventLog(await trio.to_thread.run_sync(prepare, directory))
        async with log.running():
            yield log


class SqliteEventLog(SqliteQueries):
    """An ``EventLog``; made by ``open_sqlite_log``. ``elsewhere``: see ``Writer``.

    ``leave_seconds``: how long appends are waited for once nobody will have any more.
    """

    def __init__(
        self, path: Path, elsewhere: Elsewhere | None = None, *, leave_seconds: float = math.inf
    ) -> None:
        super().__init__(path)
        self._token = trio.lowlevel.current_trio_token()
        self._idle: list[sqlite3.Connection] = []
        self._writer = Writer(
            path,
            lambda batch: self._token.run_sync_soon(self._settle, batch),
            elsewhere,
            lambda reason: self._token.run_sync_soon(self._troubled, reason),
        )
        self.failing: str | None = None
        """While the last append was not stored, as on a full disk: what is wrong and what to do."""
        self._failed = trio.Event()
        self._probing = trio.CancelScope()
        self._leave_seconds = leave_seconds
        self._is_left = False
        self._writing = trio.CancelScope(shield=True)
        self._undecided: set[Append] = set()
        self._queued = 0
        """Bytes of those."""
        self._door = trio.Lock()
        self._room = trio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take appends until the end of the block, which writes first what is queued."""
        try:
            self._writer.used_bytes = await self._query(used_bytes)
            async with trio.open_nursery() as nursery:
                await nursery.start(self._write)
                nursery.start_soon(self._probe)
                try:
                    yield
                finally:
                    self._close()
        finally:
            await self._disconnect()

    def leave(self) -> None:
        """See ``EventLog``."""
        self._is_left = True
        self._bound()

    def _bound(self) -> None:
        """Let the writer have so much time from now on for what is to be decided."""
        if self._is_left:
            seconds = self._leave_seconds if self._undecided else math.inf
            self._writing.deadline = trio.current_time() + seconds

    @property
    def queued_bytes(self) -> int:
        """Size of the appends that are not yet decided, at most MAX_QUEUED_BYTES or one append."""
        return self._queued

    @property
    def used_bytes(self) -> int:
        """See ``EventLog``."""
        return self._writer.used_bytes

    async def append(self, records: Sequence[Record]) -> None:
        """See ``EventLog``. Cannot be cancelled, not even before it began. No records: only try to write."""
        await self._append(Append(records, trio.lowlevel.current_task()))

    async def _append(self, append: Append) -> None:
        if self._queued + append.size > MAX_QUEUED_BYTES or self._door.locked():
            await self._wait_for_room(append.size)
        if self._closed:
            raise StoreFailed("the event log is closed: the server is stopping")
        self._queued += append.size
        self._undecided.add(append)
        if len(self._undecided) == 1:
            self._bound()
        self._writer.put(append)
        await trio.lowlevel.wait_task_rescheduled(_not_now)

    @asynccontextmanager
    async def adoption(self) -> AsyncIterator[LogAdoption]:
        """See ``EventLog``."""
        try:
            lineage = await threads.run(lambda: Lineage(self._path.parent, now_us()), self._readers)
        except (OSError, threads.NoThread) as failed:
            raise StoreFailed(f"nothing can be imported into {self._path.parent}: {failed}") from failed
        try:
            yield LogAdoption(lineage, self._query, self._adopt)
        finally:
            lineage.close()

    async def _adopt(self, lineage: Lineage) -> None:
        await self._append(Append((), trio.lowlevel.current_task(), lineage=lineage))

    async def add_checkpoint(self, checkpoint: Checkpoint, forget: Sequence[Checkpoint] = ()) -> None:
        """See ``EventLog``."""
        await self._note([Remembered(checkpoint), *map(Forgotten, forget)])

    async def forget_checkpoints(self, checkpoints: Sequence[Checkpoint]) -> None:
        """See ``EventLog``."""
        await self._note([*map(Forgotten, checkpoints)])

    async def checkpoint_blobs(self) -> set[str]:
        """See ``EventLog``."""
        await self._note([*map(ForgottenAll, await self._query(pointers.unneeded))])
        return await self._query(pointers.blobs)

    async def purge(self, session: str, before: int) -> Purged:
        """See ``EventLog``."""
        step = purge.Step(session, before)

        def take(db: sqlite3.Connection) -> Sequence[Change]:
            taken = step.take(db)
            return () if taken is None else (Removed(*taken),)

        await self._append_note(Note("what a deleted session has left behind", take))
        return step.purged

    def _run_query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """See ``SqliteQueries``."""
        try:
            db = self._idle.pop() if self._idle else connect(self._path)
            try:
                return query(db)
            finally:
                self._idle.append(db)
        except READ_ERRORS as failure:
            raise read_error(failure, self._path) from failure

    async def _disconnect(self) -> None:
        """Close the readers' connections once the reads that have begun are over."""
        await self._rest()
        while self._idle:
            self._idle.pop().close()

    async def _note(self, about: Sequence[Noted]) -> None:
        """Make changes that concern checkpoints."""

        def write(db: sqlite3.Connection) -> Sequence[Change]:
            for change in about:
                changes.note(db, change)
            return about

        if about:
            await self._append_note(Note("what is known of a checkpoint", write, size=1_024 * len(about)))

    async def _append_note(self, note: Note) -> None:
        await self._append(Append((), trio.lowlevel.current_task(), note))

    async def _write(self, task_status: trio.TaskStatus[None]) -> None:
        """Run the writer's thread until ``_close``; answer what it left unanswered if it failed."""
        task_status.started()
        try:
            with self._writing:
                await trio.to_thread.run_sync(
                    self._writer.run, limiter=trio.CapacityLimiter(1), abandon_on_cancel=True
                )
        finally:
            self._closed = True
            if self._writing.cancelled_caught:
                self._writer.give_up()
                lost = unknown(self.failing or "it takes too long")
                self._fail([*self._undecided], lost)
            else:
                died = "the writer died: whether the event was stored is unknown"
                self._fail(self._writer.unanswered, StoreError(died))
                died = "the event was not stored: the writer died before"
                self._fail(self._writer.abandon(), StoreFailed(died))
        if self._writing.cancelled_caught:
            raise lost

    async def _probe(self) -> None:
        """While appends fail, append nothing now and then: no client may be sent here to try it."""
        with self._probing:
            while True:
                await self._failed.wait()
                await trio.sleep(PROBE_SECONDS)
                with contextlib.suppress(StoreError):  # which says that they still fail
                    await self.append(())

    def _troubled(self, reason: str) -> None:
        """What is being written is not stored yet; the writer tries again."""
        self.failing = reason

    def _fail(self, batch: Sequence[Append], failure: StoreError) -> None:
        for append in batch:
            append.failure = failure
        self._settle(batch)

    def _settle(self, batch: Sequence[Append]) -> None:
        """Wake the tasks whose appends are decided, unless they have been woken."""
        for append in batch:
            if append.task is None or append not in self._undecided:
                continue
            self._undecided.remove(append)
            self._queued -= append.size
            if append.failure is None:
                self.failing = None
                if self._failed.is_set():  # else it is the one that is waited for
                    self._failed = trio.Event()
            elif _is_of_all(append.failure) and append.note is None:
                self.failing = append.failure.message
                self._failed.set()
            answer = outcome.Value(None) if append.failure is None else outcome.Error(append.failure)
            trio.lowlevel.reschedule(append.task, answer)
        if not self._undecided:
            self._bound()
        self._room.set()

    async def _wait_for_room(self, size: int) -> None:
        with trio.CancelScope(shield=True):
            async with self._door:
                while self._queued and self._queued + size > MAX_QUEUED_BYTES:
                    self._room = trio.Event()
                    await self._room.wait()

    def _close(self) -> None:
        self._closed = True
        self._probing.cancel()
        self._writer.stop()
        self.leave()


def _is_of_all(failure: EngineError) -> bool:
    """Whether it is the store that fails, not a session that is another node's."""
    return isinstance(failure, StoreFailed) and not isinstance(failure, NotOwner)


def _not_now(_: object) -> trio.lowlevel.Abort:
    """An append in flight runs to its end; a cancellation waits for the next checkpoint."""
    return trio.lowlevel.Abort.FAILED
