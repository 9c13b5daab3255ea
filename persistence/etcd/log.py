"""The event log of a node of a cluster: its newest part is in etcd, where all nodes write, the rest in S3.

Each node has all of it in a SQLite database, as a single server that keeps its log in S3 has. What it
appends is written into a transaction of that, then put into etcd under the fences that it holds, and only
then committed. What others put, it learns by the one watch of the cluster, and brings into its database in
the order of etcd's revisions. Its own comes earlier than that; but only one node writes of a session at a
time, and it has read all that others wrote of it before it begins, so that both orders lead to the same.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from engine.chain import Record
from engine.errors import EngineError, StoreCorrupt, StoreError, StoreFailed
from engine.events import Created, Forked
from persistence import folders, threads
from persistence.adoption import Lineage
from persistence.appends import Append, Arrival
from persistence.etcd import archived, batches, reserving
from persistence.etcd.archive import Archive
from persistence.etcd.blocking import BlockingEtcd
from persistence.etcd.bringing import ATTEMPTS, NOTHING, Bringing, Taken, forgotten
from persistence.etcd.client import Etcd
from persistence.etcd.failures import Compacted, EtcdError
from persistence.etcd.fences import Fence, Fences
from persistence.etcd.keyleases import KeyLeases
from persistence.etcd.requests import Changes, Event, KeyValue
from persistence.etcd.reserving import Reservation
from persistence.etcd.shipping import Shipping
from persistence.etcd.space import Space
from persistence.eventlog import Purged
from persistence.lock import own
from persistence.s3.index import Index
from persistence.s3.indexed import IndexedLog
from persistence.s3.objects import Objects

QUOTA_BYTES = 2 << 30
"""What etcd takes where it is not told otherwise."""
DUE_BYTES = 16 << 20
DUE_BATCHES = 5_000
"""Once so much is in etcd, it is moved to S3 at once."""
MOST_PENDING = 256
"""Batches that wait to be brought into the index while etcd is read again."""


@asynccontextmanager
async def open_etcd_log(
    etcd: Etcd,
    blocking: BlockingEtcd,
    prefix: bytes,
    objects: Objects,
    directory: Path,
    fences: Fences,
    applied: Callable[[Sequence[Record]], object],
    quota: int = QUOTA_BYTES,
) -> AsyncIterator[EtcdEventLog]:
    """The log of the cluster below ``prefix`` in etcd and among ``objects``, with its index in ``directory``.

    It is brought to the end first; ``applied`` hears, in the Trio run, of the records of others that came
    after. ``quota``: bytes that etcd may take. Raises StoreLocked if another process uses the directory, or
    the log is another cluster's; StoreCorrupt or StoreError if the log cannot be used, OSError if the
    directory cannot.
    """
    await trio.to_thread.run_sync(folders.make, directory)
    with own(directory):
        index = Index(objects, directory, trio.from_thread.check_cancelled)
        bringing = Bringing(etcd, prefix, objects, index)
        revision, sizes = await bringing.whole()
        leases = KeyLeases(etcd)
        space = Space(etcd, quota)
        shipping = Shipping(blocking, prefix, objects, index.path, fences, leases.current, space)
        try:
            await trio.to_thread.run_sync(shipping.connect)
        except EtcdError as failed:
            raise StoreError(str(failed)) from failed
        log = EtcdEventLog(bringing, shipping, applied, space, leases.current, revision, sizes)
        async with log.running(), trio.open_nursery() as nursery:
            await nursery.start(leases.run)
            nursery.start_soon(space.run)
            yield log
            nursery.cancel_scope.cancel()


class EtcdEventLog(IndexedLog):
    """An ``EventLog``; made by ``open_etcd_log``."""

    def __init__(
        self,
        bringing: Bringing,
        shipping: Shipping,
        applied: Callable[[Sequence[Record]], object],
        space: Space,
        keys_lease: Callable[[], int],
        revision: int,
        sizes: dict[bytes, int],
    ) -> None:
        super().__init__(bringing.index.path, shipping, bringing.objects)
        self._bringing = bringing
        self._applied = applied
        self.space = space
        self._keys_lease = keys_lease
        self._shipping = shipping
        self.writer = shipping.writer
        """Names this life of the node among those that write."""
        self.archived: int | None = None
        """Number of the last batch in S3, once this node has seen one come there."""
        self.watch_from = revision + 1
        """Where the watch of the cluster has to begin."""
        self._taken = revision
        """What it has given, up to that revision."""
        self._pending: deque[_Arrived] = deque()
        """What of that is not yet in the index."""
        self._moved = trio.Event()
        self._tail = sizes
        """Bytes of each batch in etcd."""
        self.tail_bytes = sum(sizes.values())
        """Of all of them."""
        self._archive = Archive(bringing, lambda: self.used_bytes, self._until_there_is_much, space)

    @property
    def tail_batches(self) -> int:
        """How many are in etcd."""
        return len(self._tail)

    @property
    def written(self) -> int:
        """The revision at which all was in etcd that this node has appended so far."""
        return self._shipping.revision

    @property
    def lag(self) -> int:
        """Batches of other nodes that came and are not in the index yet."""
        return len(self._pending)

    @property
    def loose_batches(self) -> int:
        """How many in S3 are in no segment yet, as far as this node has to do with them: it leads."""
        return self._archive.loose_batches

    async def archive(self, leader: Fence) -> None:
        """Move the log from etcd to S3, under that fence, until it is cancelled: another node leads then.

        Returns when another node should, since this one could not for some time.
        """
        await self._archive.run(leader)

    async def append(self, records: Sequence[Record]) -> None:
        """See ``EventLog``. Raises StoreFull for a new session where etcd has little room."""
        if records and isinstance(records[0].event, Created | Forked):
            self.space.check_session()
        await super().append(records)

    async def _adopt(self, lineage: Lineage) -> None:
        """See ``IndexedLog``. No other node uses the history's idempotency keys meanwhile."""
        reservation = Reservation(self._bringing.etcd, self._bringing.prefix, self._keys_lease())
        with trio.CancelScope(shield=True) as scope:
            self._sending.add(scope)
            try:
                keys = await threads.run(lambda: reserving.keys_of(lineage.records()), self._senders)
                await reservation.make(
                    lambda: self._query(lambda db: reserving.unknown(db, keys)), self.caught_up
                )
                await super()._adopt(lineage)
            except EngineError:
                await reservation.give_up()
                raise
            except threads.NoThread as none:
                raise StoreFailed(f"the import was not stored: {none}") from none
            finally:
                self._sending.remove(scope)
        if scope.cancelled_caught:
            raise StoreFailed("the import was not stored: the server is stopping")

    async def purge(self, session: str, before: int) -> Purged:
        """See ``EventLog``."""
        purged = await super().purge(session, before)
        self._archive.removed(purged.size)
        return purged

    def take(self, changes: Changes) -> None:
        """What the watch of the cluster gives, in its order. Never blocks."""
        for event in changes.events:
            item = event.item
            if item.key.startswith(self._bringing.prefix + batches.FOLDER):
                self._count(event)
                if event.kind == "put" and not self._is_own(item):
                    self._arrive(changes.revision, partial(self._bringing.take, item=item), len(item.value))
            elif event.kind == "put" and item.key == archived.key(self._bringing.prefix):
                found = archived.decode(item.value)
                self.archived = found.position.number
                self._arrive(changes.revision, partial(self._bringing.take_archived, found=found))
        self._taken = changes.revision
        self._move()

    async def caught_up(self, revision: int) -> None:
        """Wait until all that others put, up to that revision of etcd, is in the index; callers bound it.

        Raises StoreError if the log ends before.
        """
        while self._taken < revision or (self._pending and self._pending[0].revision <= revision):
            if self._closed:
                raise StoreError("the event log is closed: the server is stopping")
            await self._moved.wait()

    async def renew(self) -> int:
        """Bring the index to the end again, where etcd has forgotten what the watch would give next; from
        which revision it goes on. Raises StoreCorrupt, StoreError.
        """
        for _ in range(ATTEMPTS):
            try:
                revision = await self._bringing.now()
                self._arrive(revision, self._bringing.catch_up)
                tail: dict[bytes, int] = {}
                async for item in self._bringing.read(revision):
                    tail[item.key] = len(item.value)
                    self._arrive(revision, partial(self._bringing.take, item=item), len(item.value))
                    while self.lag > MOST_PENDING and not self._closed:
                        await self._moved.wait()
            except Compacted:
                continue
            except EtcdError as failed:
                raise StoreError(str(failed)) from failed
            self._tail, self.tail_bytes = tail, sum(tail.values())
            self._taken = revision
            await self.caught_up(revision)
            self.watch_from = revision + 1
            return self.watch_from
        raise forgotten()

    async def _until_there_is_much(self) -> None:
        """Wait until there is so much in etcd that it is to be moved."""
        while self.tail_bytes < DUE_BYTES and self.tail_batches < DUE_BATCHES and not self.space.is_tight:
            await self._moved.wait()

    def _is_own(self, item: KeyValue) -> bool:
        """Whether it was in the index before it was put."""
        return item.key.startswith(self._bringing.prefix + batches.FOLDER + self.writer.encode())

    def _count(self, event: Event) -> None:
        self.tail_bytes -= self._tail.pop(event.item.key, 0)
        if event.kind == "put":
            self._tail[event.item.key] = len(event.item.value)
            self.tail_bytes += len(event.item.value)

    def _arrive(self, revision: int, take: Callable[[sqlite3.Connection], Taken], size: int = 0) -> None:
        arrived = _Arrived(revision, take, size)
        self._pending.append(arrived)
        self._writer.put(arrived)

    def _settle(self, batch: Sequence[Append]) -> None:
        super()._settle(batch)
        for one in batch:
            if isinstance(one, _Arrived):
                assert self._pending.popleft() is one, "they are written in their order"
                if one.failure is None and one.taken.records:
                    self._applied(one.taken.records)
        self._move()

    def _move(self) -> None:
        """Wake whoever waits for the index to get further."""
        self._moved.set()
        self._moved = trio.Event()

    async def _write(self, task_status: trio.TaskStatus[None]) -> None:
        """See ``SqliteEventLog``. An index that does not fit is made again at the next start."""
        try:
            await super()._write(task_status)
        except StoreCorrupt:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._bringing.index.distrust)
            raise
        finally:
            self._move()


class _Arrived(Arrival):
    """What came in that revision of etcd. Arrivals are settled in the order in which they came."""

    __slots__ = ("_take", "revision", "taken")

    def __init__(self, revision: int, take: Callable[[sqlite3.Connection], Taken], size: int) -> None:
        super().__init__(self._write, size)
        self.revision = revision
        self._take = take
        self.taken = NOTHING

    def _write(self, db: sqlite3.Connection) -> frozenset[str]:
        self.taken = self._take(db)
        return self.taken.sessions
