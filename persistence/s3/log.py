"""The event log in a bucket: a write-ahead log of group commits, with a SQLite database as its index.

The index answers all that is read. What is appended is written into a transaction of the index first, which
says whether it fits; then it is put into the bucket (``persistence.s3.journal``), and only then the
transaction is committed and the appends are answered. So what the index has is in the bucket, and what the
bucket has comes into the index at the next start if it is not there.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from engine.errors import StoreError, StoreFailed, StoreLocked, StoreMissing
from engine.timestamps import now_us
from persistence import folders, threads
from persistence.adoption import Lineage
from persistence.changes import Adopted, Change
from persistence.eventlog import Purged
from persistence.lock import own
from persistence.s3 import imports, segments
from persistence.s3.batches import BEGINNING
from persistence.s3.compaction import Compaction
from persistence.s3.index import Index, keep
from persistence.s3.journal import Fenced, Journal, Patience
from persistence.s3.objects import Objects, Refused, Unanswered
from persistence.s3.segments import Manifest
from persistence.sqlite import SqliteEventLog
from persistence.writer import Append, behind

_log = logging.getLogger(__name__)

CLAIMS = 20
"""Attempts to take over a log that somebody goes on writing to."""
ROOM_BYTES = 8 << 20
"""What must be free on the disk of the index before a batch is put: once it is, the index has to have it, or
the server ends. A commit writes less, of however much: what SQLite's cache of 2 MB does not hold, is written
before.
"""
LEAVE_SECONDS = 1.0
"""What is under way when the log is closed is waited for so long."""
CLOSE_SECONDS = 3.0
"""Time to say that the server ended in good order: else a command that writes is refused until one has."""
SENDERS = 4
"""Imports whose records are put at once."""
LONGEST_IMPORT_SECONDS = 3_000.0
"""Until it is in the log; what its records are in may be removed an hour after it was put."""
COMPACT_SECONDS = 10.0
"""How often it is looked whether there is enough for a segment."""

T = TypeVar("T")


@asynccontextmanager
async def open_s3_log(
    objects: Objects, directory: Path, *, only_if_free: bool = False
) -> AsyncIterator[S3EventLog]:
    """Own the log among ``objects`` until the end of the block, with its index in ``directory``.

    Whoever owned it before does not any more; ``only_if_free``: it is refused where that one has not ended in
    good order. Raises StoreLocked if another process uses the directory,
    StoreCorrupt or StoreError if the log cannot be used, OSError if the directory cannot.
    """
    await trio.to_thread.run_sync(folders.make, directory)
    with own(directory):
        index, journal = Index(objects, directory, trio.from_thread.check_cancelled), Journal(objects)
        manifest = await trio.to_thread.run_sync(_take_over, objects, index, journal, only_if_free)
        log = S3EventLog(objects, index, journal, manifest)
        async with log.running(), trio.open_nursery() as nursery:
            nursery.start_soon(log.compact)
            yield log
            nursery.cancel_scope.cancel()
        if not journal.is_fenced:
            # the next one only learns that it was not said
            with contextlib.suppress(StoreError), trio.move_on_after(CLOSE_SECONDS):
                await trio.to_thread.run_sync(journal.close, abandon_on_cancel=True)
                await trio.to_thread.run_sync(index.keep, journal)


async def open_s3_index(objects: Objects, directory: Path) -> None:
    """Bring the index in ``directory`` to the end of the log, to be read there, and own nothing.

    Raises StoreMissing if there is no log, StoreLocked, StoreCorrupt, StoreError, OSError.
    """

    def bring() -> None:
        journal = Journal(objects)
        Index(objects, directory, trio.from_thread.check_cancelled).open(journal)
        if journal.position == BEGINNING:
            raise missing_in_bucket()

    await trio.to_thread.run_sync(folders.make, directory)
    with own(directory):
        await trio.to_thread.run_sync(bring)


def missing_in_bucket() -> StoreMissing:
    """What is raised where there is none."""
    return StoreMissing("there is no store in the bucket below that prefix")


def _take_over(objects: Objects, index: Index, journal: Journal, only_if_free: bool) -> Manifest:
    """Bring both to the end of the log and let that be ours. Raises StoreLocked, StoreError, OSError."""
    manifest = index.open(journal)
    for _ in range(CLAIMS):
        if (holder := journal.holder) is not None:
            who = (
                f"{holder.program}, process {holder.pid} on {holder.host}, which has not ended in good order"
            )
            if only_if_free:
                raise StoreLocked(
                    f"the store was opened by {who}: stop it, or start a server on the store and stop that, "
                    "if that one does not run any more"
                )
            _log.warning("the store was opened by %s: if it still runs, it takes nothing more", who)
        begin = journal.position
        claimed = journal.claim(late_for=0) if only_if_free else journal.claim()
        end = journal.position
        is_next = claimed and end.number == begin.number + 1
        if is_next and segments.newest(objects, manifest).number == manifest.number:
            # nobody wrote in between, and nothing behind the beginning has become a segment
            index.keep(journal)
            return manifest
        manifest = index.open(journal)
        if claimed and journal.position == end:
            return manifest
    raise StoreError("another server goes on writing to the store: stop it, or choose another --s3-prefix")


class S3EventLog(SqliteEventLog):
    """An ``EventLog``; made by ``open_s3_log``."""

    def __init__(self, objects: Objects, index: Index, journal: Journal, manifest: Manifest) -> None:
        shipping = _Shipping(journal, index.path)
        super().__init__(index.path, shipping, leave_seconds=LEAVE_SECONDS)
        self._objects = objects
        self._index = index
        self._journal = journal
        self._put_imports = imports.Sending()
        self._compaction = Compaction(objects, index, manifest, journal.written, self._put_imports)
        self._senders = trio.CapacityLimiter(SENDERS)
        self._sending: set[trio.CancelScope] = set()
        """Around the imports that are being sent."""
        self._removed_bytes = 0
        """Of events that are still in a base or in segments; what earlier owners removed is estimated."""

    @property
    def loose_batches(self) -> int:
        """How many are in no segment yet: who has no index reads each by itself."""
        return self._journal.position.number - self._compaction.manifest.end.number

    async def compact(self) -> None:
        """Make segments of what is appended, for ever; what fails is logged once, and tried again."""
        compaction, thread = self._compaction, trio.CapacityLimiter(1)
        self._removed_bytes += max(0, compaction.size - self.used_bytes)
        told = ""
        while not self._journal.is_fenced:
            removed = self._removed_bytes
            try:
                if compaction.is_long(self._journal.position):
                    extend = partial(compaction.extend, self._journal.position)
                    await threads.run_awhile(extend, thread, LEAVE_SECONDS)
                    continue
                if compaction.is_wasteful(removed):
                    rewrite = partial(compaction.rewrite, self._journal.position)
                    await threads.run_awhile(rewrite, thread, LEAVE_SECONDS)
                    self._removed_bytes -= removed
                if compaction.is_untidy():
                    await threads.run_awhile(compaction.tidy, thread, LEAVE_SECONDS)
            except (StoreError, Refused, Unanswered, OSError, threads.NoThread) as failed:
                if str(failed) != told:  # not every ten seconds the same
                    told = str(failed)
                    _log.warning("no segment could be made of the log: %s", told)
            else:
                told = ""
            await trio.sleep(COMPACT_SECONDS)

    def leave(self) -> None:
        """See ``EventLog``."""
        super().leave()
        for scope in self._sending:
            scope.deadline = trio.current_time() + LEAVE_SECONDS

    async def _adopt(self, lineage: Lineage) -> None:
        """Let it be written. What it holds is put before, while others append, and may take long."""
        adopted = await self._send(lineage)
        await self._append(Append((), trio.lowlevel.current_task(), lineage=lineage, adopted=adopted))

    async def _send(self, lineage: Lineage) -> Adopted:
        """Put its parts. Raises StoreFailed."""

        def put() -> Adopted:
            with self._put_imports.one():
                return imports.put(self._objects, lineage)

        with trio.CancelScope(shield=True) as scope:
            self._sending.add(scope)
            try:
                return await threads.run(put, self._senders, abandon=True)
            except (Refused, Unanswered, OSError, threads.NoThread) as failed:
                raise StoreFailed(f"the import could not be stored, and was not: {failed}") from failed
            finally:
                self._sending.remove(scope)
        raise StoreFailed("the import was not stored: the server is stopping")

    async def purge(self, session: str, before: int) -> Purged:
        """See ``EventLog``."""
        purged = await super().purge(session, before)
        self._removed_bytes += purged.size
        return purged

    async def checkpoint_blobs(self) -> set[str]:
        """See ``EventLog``. Raises Fenced where another server has taken the log over.

        That shows only when something is written, and an idle server may not have noticed: by what it knows,
        all blobs that the other has put for hours would be needed by nobody.
        """
        await self.append(())
        return await super().checkpoint_blobs()

    def _run_query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """See ``SqliteQueries``. Raises Fenced where the index may be behind the log, for good."""
        if self._journal.is_fenced:
            raise Fenced
        return super()._run_query(query)


class _Shipping:
    """The journal as the writer sees it."""

    def __init__(self, journal: Journal, index_path: Path) -> None:
        self._journal = journal
        self._index_path = index_path

    def ship(self, db: sqlite3.Connection, written: Sequence[Change], patience: Patience) -> None:
        """See ``Elsewhere``."""
        directory = self._index_path.parent
        if not folders.has_room(directory, ROOM_BYTES):
            raise StoreFailed(
                "the event could not be stored, and was not: there is no room for the index of the log: "
                f"free space in {directory}"
            )
        oldest = now_us() - LONGEST_IMPORT_SECONDS * 1e6
        if any(isinstance(change, Adopted) and change.at < oldest for change in written):
            raise StoreFailed("the import took too long, and was not stored: is S3 slow? Try again later")
        self._journal.ship(written, patience)
        try:
            keep(db, self._journal)
        except sqlite3.Error as failure:
            raise behind(self._index_path, failure) from failure
