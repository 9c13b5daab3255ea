"""The end of the log in etcd, as the writer's thread sees it: it puts one batch after the other.

That is certain when it returns, or raises StoreFailed: an attempt without an answer is made again, the same
to the byte, until something says what became of it. The leader may have moved a batch to S3 meanwhile; then
what it says of the archive has the number.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from engine.errors import EngineError, StoreCorrupt, StoreError, StoreFailed
from engine.timestamps import now_us
from persistence import markers
from persistence.appends import Append, Bounds, Lost, told
from persistence.changes import Came
from persistence.etcd import archived, batches, guards
from persistence.etcd.blocking import BlockingEtcd
from persistence.etcd.failures import LeaseGone, NoSpace, NotTaken, Refused, Unanswered
from persistence.etcd.fences import Fences
from persistence.etcd.guards import Guard, Guards
from persistence.etcd.requests import KeyValue, created, get
from persistence.etcd.space import Space
from persistence.s3 import index
from persistence.s3 import objects as s3
from persistence.s3.indexed import check_before
from persistence.s3.journal import Journal
from persistence.s3.objects import Objects
from persistence.writer import MAX_WAIT_SECONDS, behind

MAX_APPENDS = 60
"""In a transaction: each may have an owner, an idempotency key and an execution, and etcd takes 128 keys."""
MAX_BYTES = 1 << 20
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
"""Between two attempts to put a batch."""

Patience = Callable[[str, float], object]


class Shipping:
    """An ``Elsewhere``. ``keys_lease`` tells the lease of idempotency keys; 0: there is none just now."""

    bounds = Bounds(MAX_APPENDS, MAX_BYTES)

    def __init__(
        self,
        etcd: BlockingEtcd,
        prefix: bytes,
        objects: Objects,
        index_path: Path,
        fences: Fences,
        keys_lease: Callable[[], int],
        space: Space,
    ) -> None:
        self._etcd = etcd
        self._prefix = prefix
        self._objects = objects
        self._index_path = index_path
        self._fences = fences
        self._keys_lease = keys_lease
        self._space = space
        self.writer = batches.new_writer()
        self.revision = 0
        """Of etcd, at which the last batch was there; to be read by any thread."""
        self._number = -1
        self._digest = markers.NOTHING
        """Of the last batch."""

    def connect(self) -> None:
        """Have a connection before the first batch comes, which may be when name servers are lost.

        Blocks. Raises EtcdError.
        """
        self._etcd.get(archived.key(self._prefix))

    def ship(self, db: sqlite3.Connection, written: Sequence[Append], patience: Patience) -> None:
        """See ``Elsewhere``. Raises NodeFenced if this node is no member any more."""
        made = told(written)
        check_before(self._index_path.parent, made)
        self._space.check()
        node = self._fences.node
        if node is None:
            raise guards.not_a_member()
        number = self._number + 1
        log_key = batches.key(self._prefix, self.writer, number)
        needed = Guards(node, self._guards(db, written), log_key)
        batch = batches.Batch(
            writer=self.writer, number=number, prev=self._digest, at=now_us(), changes=tuple(made)
        )
        try:
            sealed = batches.seal(self._objects, batch)
        except (s3.Refused, s3.Unanswered) as failed:
            raise StoreFailed(f"the event is large, and could not be stored in S3: {failed}") from failed
        self._put(db, needed, _Item(log_key, sealed.value, number), patience)
        self._number, self._digest = number, sealed.digest
        try:
            markers.follow(db, self.writer, number, sealed.digest)
        except sqlite3.Error as failure:
            raise behind(self._index_path, failure) from failure

    def _guards(self, db: sqlite3.Connection, written: Sequence[Append]) -> list[Guard]:
        """What each append needs. Raises Lost."""
        found: list[Guard] = []
        refused: dict[Append, EngineError] = {}
        for append in written:
            one = guards.guard(db, self._prefix, append, self._fences)
            if isinstance(one, Guard):
                found.append(one)
            else:
                refused[append] = one
        if refused:
            raise Lost(refused)
        return found

    def _put(self, db: sqlite3.Connection, needed: Guards, item: _Item, patience: Patience) -> None:
        """Put a batch. Blocks until it is certain."""
        pause, is_open, since = FIRST_PAUSE_SECONDS, False, time.monotonic()
        while True:
            try:
                self._attempt(db, needed, item, is_open=is_open)
            except Unanswered as unanswered:
                reason = str(unanswered)
                is_open = is_open or not isinstance(unanswered, NotTaken)
            else:
                return
            if not is_open and time.monotonic() - since > MAX_WAIT_SECONDS:
                raise StoreFailed(f"the event was not stored: {reason}")
            patience(reason, random.uniform(0.5, 1) * pause)  # noqa: S311 (not for secrets)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _attempt(self, db: sqlite3.Connection, needed: Guards, item: _Item, *, is_open: bool) -> None:
        """Put a batch, of which it ``is_open`` whether it is there. Returns if it is there.

        Raises NotTaken if it was not put now, Unanswered if it may have been; StoreFailed, Lost if it is not
        there, and will not be.
        """
        lease = self._keys_lease() if needed.keys else 0
        if needed.keys and not lease:
            raise NotTaken("etcd has granted no lease for idempotency keys")
        failure = [get(item.key), get(archived.key(self._prefix)), *needed.failure()]
        success = needed.success(item.value, lease)
        try:
            # Not sent again before it is noted that it may be there: the leader may move it to S3 meanwhile.
            answer = self._etcd.transact(needed.compare(), success, failure)
        except NoSpace as full:
            if self._is_there(db, item):
                return
            if is_open:
                raise
            raise StoreFailed(f"the event was not stored: {full}") from full
        except LeaseGone as gone:
            raise NotTaken(str(gone)) from gone
        except Refused as refused:
            if is_open:
                raise Unanswered(str(refused)) from refused
            raise StoreFailed(f"the event was not stored: {refused}") from refused
        self.revision = answer.revision
        if not answer.succeeded:
            there, archive, *rest = answer.found
            if not (item.is_in(there) or (is_open and self._is_moved(db, item, archive))):
                raise Lost(needed.judge(rest))

    def _is_there(self, db: sqlite3.Connection, item: _Item) -> bool:
        """Whether a batch was put of which etcd says that it has no space: the last that it takes, it takes.

        Raises Unanswered.
        """
        answer = self._etcd.transact(
            [created(item.key, 0)], [get(archived.key(self._prefix))], [get(item.key)], again=True
        )
        (found,) = answer.found
        return self._is_moved(db, item, found) if answer.succeeded else item.is_in(found)

    def _is_moved(self, db: sqlite3.Connection, item: _Item, archive: Sequence[KeyValue]) -> bool:
        """Whether a batch that is not in etcd is in S3. Raises Unanswered.

        What etcd says of that may be older than what was deleted: it cannot be put where there is no space.
        """
        if archive and archived.decode(archive[0].value).writers.get(self.writer, -1) >= item.number:
            return True
        journal = Journal(self._objects)
        journal.position, journal.holder = index.kept(db)
        try:
            return any(
                isinstance(entry, Came) and (entry.writer, entry.number) == (self.writer, item.number)
                for batch, _ in journal.read()
                for entry in batch.changes
            )
        except StoreError as failed:
            raise Unanswered(str(failed)) from failed


class _Item(Struct, frozen=True):
    """A batch that is to be put."""

    key: bytes
    value: bytes
    number: int

    def is_in(self, found: Sequence[KeyValue]) -> bool:
        """Whether it is what is there. Raises StoreCorrupt if something else is."""
        if found and found[0].value != self.value:
            raise StoreCorrupt(f"{self.key.decode()} in etcd is not what this node has put there")
        return bool(found)
