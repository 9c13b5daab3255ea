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
from pathlib import Path
from typing import TypeVar

import trio

from engine.errors import StoreError, StoreLocked, StoreMissing
from persistence import folders, threads
from persistence.appends import UNBOUNDED, Append, told
from persistence.eventlog import Purged
from persistence.lock import own
from persistence.s3 import segments
from persistence.s3.batches import BEGINNING
from persistence.s3.compaction import Compaction
from persistence.s3.index import Index, keep
from persistence.s3.indexed import IndexedLog, check_before
from persistence.s3.journal import Fenced, Journal, Patience
from persistence.s3.objects import Objects, Refused, Unanswered
from persistence.s3.segments import Manifest
from persistence.s3.upkeep import Upkeep
from persistence.writer import behind

_log = logging.getLogger(__name__)

CLAIMS = 20
"""Attempts to take over a log that somebody goes on writing to."""
CLOSE_SECONDS = 3.0
"""Time to say that the server ended in good order: else a command that writes is refused until one has."""
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
        journal.check_holder()
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
        claimed = journal.claim(only_if_quiet=only_if_free)
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


class S3EventLog(IndexedLog):
    """An ``EventLog``; made by ``open_s3_log``."""

    def __init__(self, objects: Objects, index: Index, journal: Journal, manifest: Manifest) -> None:
        shipping = _Shipping(journal, index.path)
        super().__init__(index.path, shipping, objects)
        self._index = index
        self._journal = journal
        self._upkeep = Upkeep(Compaction(objects, index, manifest, journal.written, self._put_imports))

    @property
    def loose_batches(self) -> int:
        """How many are in no segment yet: who has no index reads each by itself."""
        return self._journal.position.number - self._upkeep.compaction.manifest.end.number

    async def compact(self) -> None:
        """Make segments of what is appended, for ever; what fails is logged once, and tried again."""
        self._upkeep.estimate(self.used_bytes)
        told = ""
        while not self._journal.is_fenced:
            try:
                if await self._upkeep.work(self._journal.position):
                    continue
            except (StoreError, Refused, Unanswered, OSError, threads.NoThread) as failed:
                if str(failed) != told:  # not every ten seconds the same
                    told = str(failed)
                    _log.warning("no segment could be made of the log: %s", told)
            else:
                told = ""
            await trio.sleep(COMPACT_SECONDS)

    async def purge(self, session: str, before: int) -> Purged:
        """See ``EventLog``."""
        purged = await super().purge(session, before)
        self._upkeep.removed_bytes += purged.size
        return purged

    def _run_query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """See ``SqliteQueries``. Raises Fenced where the index may be behind the log, for good."""
        if self._journal.is_fenced:
            raise Fenced
        return super()._run_query(query)


class _Shipping:
    """The journal as the writer sees it."""

    bounds = UNBOUNDED

    def __init__(self, journal: Journal, index_path: Path) -> None:
        self._journal = journal
        self._index_path = index_path

    def ship(self, db: sqlite3.Connection, written: Sequence[Append], patience: Patience) -> None:
        """See ``Elsewhere``."""
        made = told(written)
        check_before(self._index_path.parent, made)
        self._journal.ship(made, patience)
        try:
            keep(db, self._journal)
        except sqlite3.Error as failure:
            raise behind(self._index_path, failure) from failure
