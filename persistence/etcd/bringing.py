"""Brings the index of a node to the end of the log: what is in S3, then what is in etcd.

etcd is read as it was at one revision, before which S3 was not looked at: what was deleted from etcd by then
is in S3. So nothing is missed, whatever the leader moves meanwhile; what comes twice is left out.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing

import trio
from msgspec import Struct

from engine.chain import Record
from engine.errors import StoreCorrupt, StoreError
from persistence import markers
from persistence.changes import Adopted
from persistence.etcd import archived, batches, tail
from persistence.etcd.archived import Archived
from persistence.etcd.client import Etcd
from persistence.etcd.failures import Compacted, EtcdError
from persistence.etcd.requests import KeyValue
from persistence.s3 import index
from persistence.s3.index import Index
from persistence.s3.journal import Journal
from persistence.s3.log import CLAIMS
from persistence.s3.objects import Objects
from persistence.schema import connect

_log = logging.getLogger(__name__)

ATTEMPTS = 5
"""To read what etcd forgets just then."""
TAKEN_AT_ONCE = 64
"""Batches that are brought into the index in one transaction."""


class Taken(Struct, frozen=True):
    """What came of a batch."""

    records: Sequence[Record] = ()
    sessions: frozenset[str] = frozenset()
    """Internal ids of those that it has changed."""


NOTHING = Taken()


class Bringing:
    """Of one node; ``prefix`` is the cluster's in etcd."""

    def __init__(self, etcd: Etcd, prefix: bytes, objects: Objects, index: Index) -> None:
        self.etcd = etcd
        self.prefix = prefix
        self.objects = objects
        self.index = index

    @property
    def cluster(self) -> str:
        """Its name."""
        return self.prefix.decode().strip("/").rpartition("/")[2]

    async def whole(self) -> tuple[int, dict[bytes, int]]:
        """Bring the index, which nobody has open, to the end. The revision of etcd that it is of then, and
        the bytes of each batch there.

        One that does not fit what is in etcd is made again. Raises StoreLocked, StoreCorrupt, StoreError,
        OSError.
        """
        for left in reversed(range(ATTEMPTS)):
            try:
                revision = await self.now()
                await trio.to_thread.run_sync(self._open)
                if (sizes := await self._take_tail(revision, or_remove=left > 0)) is not None:
                    return revision, sizes
            except Compacted:
                continue
            except EtcdError as failed:
                raise StoreError(str(failed)) from failed
        raise forgotten()

    async def now(self) -> int:
        """The revision of etcd. Raises EtcdError."""
        return (await self.etcd.get(archived.key(self.prefix))).revision

    def read(self, revision: int) -> AsyncIterator[KeyValue]:
        """What of the log was in etcd then. Raises StoreCorrupt, EtcdError."""
        return tail.read(self.etcd, self.prefix, revision)

    def take(self, db: sqlite3.Connection, item: KeyValue) -> Taken:
        """Bring a batch into the index, in a transaction, unless it is there.

        Raises StoreCorrupt if it does not fit, StoreError, OSError.
        """
        name = item.key.decode()
        batch, digest = batches.opened(self.prefix, item.key, item.value)
        number, known = markers.last(db, batch.writer)
        if batch.number <= number:
            markers.follow(db, batch.writer, batch.number, digest)
            return NOTHING
        if batch.number == number + 1 and batch.prev != known:
            raise StoreCorrupt(f"{name} does not follow the batch that is here before it")
        whole = batches.whole(self.objects, self.prefix, item.key, item.value)
        records = self.index.make(db, whole.entries, name)
        sessions = {record.event.session for record in records}
        for change in whole.changes:
            if isinstance(change, Adopted):
                sessions.update(change.sessions)
        return Taken(records, frozenset(sessions))

    def catch_up(self, db: sqlite3.Connection) -> Taken:
        """Bring what is behind the index in S3 into it, in a transaction. Raises StoreCorrupt, StoreError."""
        records = self.index.catch_up_in(db, Journal(self.objects))
        return Taken(records, frozenset(record.event.session for record in records))

    def take_archived(self, db: sqlite3.Connection, found: Archived) -> Taken:
        """Let the index say, in a transaction, how far the log is in S3, if it has all that is there."""
        position, _ = index.kept(db)
        here = markers.all_last(db)
        has_all = all(here.get(writer, -1) >= number for writer, number in found.writers.items())
        if has_all and found.position.number > position.number:
            index.keep_at(db, found.position, found.holder)
        return NOTHING

    def _open(self) -> None:
        """Bring the index to the end of the log in S3, which is the cluster's from now on."""
        journal = Journal(self.objects)
        self.index.open(journal)
        for _ in range(CLAIMS):
            holder = journal.holder
            if holder is not None and holder.cluster == self.cluster:
                return
            journal.check_holder(self.cluster)
            if holder is not None:
                _log.warning("the store was opened by %s: if it still runs, it takes nothing more", holder)
            journal.claim(cluster=self.cluster)
            self.index.open(journal)
        raise StoreError(
            "another server goes on writing to the store: stop it, or choose another --s3-prefix"
        )

    async def _take_tail(self, revision: int, *, or_remove: bool) -> dict[bytes, int] | None:
        """Bring what is in etcd into the index; None if it was removed, since that did not fit."""
        found: list[KeyValue] = []
        sizes: dict[bytes, int] = {}
        try:
            async for item in self.read(revision):
                found.append(item)
                sizes[item.key] = len(item.value)
                if len(found) == TAKEN_AT_ONCE:
                    await trio.to_thread.run_sync(self._take_all, found)
                    found = []
            await trio.to_thread.run_sync(self._take_all, found)
        except StoreCorrupt as broken:
            if not or_remove:
                raise
            _log.warning("%s does not fit the log, and is made again: %s", self.index.path, broken)
            await trio.to_thread.run_sync(self.index.remove)
            return None
        return sizes

    def _take_all(self, found: Sequence[KeyValue]) -> None:
        with closing(connect(self.index.path)) as db:
            db.execute("BEGIN IMMEDIATE")
            for item in found:
                self.take(db, item)
            db.execute("COMMIT")


def forgotten() -> StoreError:
    """Of a log that cannot be read as fast as it goes on."""
    return StoreError("etcd forgets faster than the log can be read: see its --auto-compaction-retention")
