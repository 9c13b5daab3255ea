"""Moves the log from etcd to S3: what one node of a cluster does, the leader.

What is in etcd is put into the log in S3, as a single server would have written it, with a mark before each
batch of which writer's it is; then one transaction says so, and deletes it there if this node still leads.
Interrupted in between, the next leader sees in S3 what is there. A leader that does not know that another one
has taken its place finds S3's log taken over, or does not get that transaction; what it has put until then is
there for all. What came twice into S3 counts once, by its mark.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import NoReturn

import trio

from engine.errors import StoreCorrupt, StoreError
from persistence import threads
from persistence.changes import Came, Entry
from persistence.etcd import archived, batches
from persistence.etcd.archived import KEPT_WRITERS, Archived
from persistence.etcd.bringing import Bringing
from persistence.etcd.failures import EtcdError, NoSpace
from persistence.etcd.fences import Fence
from persistence.etcd.requests import KeyValue, created, delete, get, put
from persistence.etcd.space import Space
from persistence.s3 import index, indexed, segments, servicetime
from persistence.s3.compaction import Compaction
from persistence.s3.journal import Journal
from persistence.s3.log import CLAIMS
from persistence.s3.objects import Objects, Refused, Unanswered
from persistence.s3.upkeep import Upkeep
from persistence.schema import connect

_log = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
"""So often what is in etcd is moved, however little it is."""
LEAST_SECONDS = 0.5
"""And no more often."""
RETRY_SECONDS = 2.0
GIVE_UP_SECONDS = 30.0
"""A leader that could not move the log for so long lets another node try: it may be its own way to S3 that is
cut, or its own clock, for which S3 refuses it.
"""
READ_BYTES = 4 << 20
"""Of batches, as etcd has them, that are read before they are put into S3, and deleted."""
MAX_BATCH_BYTES = 4 << 20
"""A batch in S3 ends with the batch of a node that brings it to this."""
MAX_WRITERS = 50
"""Whose batches are deleted in one transaction."""
TAILS_EVERY_SECONDS = 600.0
TAILS_GRACE = timedelta(days=1)
"""What was too large for etcd stays so long in S3 at least: longer than an append waits for etcd."""
PUT_ATTEMPTS = 4


class NotLeader(Exception):
    """Another node leads, or none."""


class _Led:
    """The log in S3 while this node has it, and what is there of each writer."""

    def __init__(self, objects: Objects) -> None:
        self.journal = Journal(objects)
        self.writers: dict[str, int] = {}
        """Number of the last batch, of those last that wrote last."""

    def note(self, entries: Sequence[Entry]) -> None:
        """These are in S3."""
        for entry in entries:
            if isinstance(entry, Came):
                self.writers.pop(entry.writer, None)
                self.writers[entry.writer] = entry.number
        while len(self.writers) > KEPT_WRITERS:
            del self.writers[next(iter(self.writers))]


class Archive:
    """Of one node, for when it leads.

    ``used_bytes``: what its index takes; ``until_due`` waits until there is so much in etcd that it should be
    moved at once.
    """

    def __init__(
        self,
        bringing: Bringing,
        used_bytes: Callable[[], int],
        until_due: Callable[[], Awaitable[None]],
        space: Space,
    ) -> None:
        self._bringing = bringing
        self._etcd = bringing.etcd
        self._objects = bringing.objects
        self._prefix = bringing.prefix
        self._used_bytes = used_bytes
        self._until_due = until_due
        self._space = space
        self._thread = trio.CapacityLimiter(1)
        self.loose_batches = 0
        """How many are in no segment yet, while this node leads."""
        self._upkeep: Upkeep | None = None
        self._moved_at = 0.0
        """In Trio's time: all that was in etcd was in S3 then; or this node began to lead."""

    def removed(self, size: int) -> None:
        """So many bytes of events were removed."""
        if self._upkeep is not None:
            self._upkeep.removed_bytes += size

    async def run(self, leader: Fence) -> None:
        """Lead until that is cancelled; what fails is logged once, and tried again, for GIVE_UP_SECONDS."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._space.keep_small)
            await self._try(leader)
            nursery.cancel_scope.cancel()

    async def _try(self, leader: Fence) -> None:
        told, self._moved_at = "", trio.current_time()
        while True:
            try:
                led, upkeep = await self._begin(leader)
                told = ""
                await self._lead(leader, led, upkeep)
            except NotLeader:
                _log.info("another node leads the cluster by now")
                await trio.sleep_forever()
            except (StoreError, EtcdError, Refused, Unanswered, OSError, threads.NoThread) as failed:
                if str(failed) != told:
                    told = str(failed)
                    _log.warning("the log could not be moved from etcd to S3: %s", told)
            if trio.current_time() > self._moved_at + GIVE_UP_SECONDS:
                return
            await trio.sleep(RETRY_SECONDS)

    async def _begin(self, leader: Fence) -> tuple[_Led, Upkeep]:
        """Take over the log in S3, if this node leads. Raises NotLeader."""
        answer = await self._etcd.transact(
            [created(leader.key, leader.revision)], [get(archived.key(self._prefix))], again=True
        )
        if not answer.succeeded:
            raise NotLeader
        (found,) = answer.found
        known = archived.decode(found[0].value) if found else None

        def take_over() -> tuple[_Led, Upkeep]:
            led = self._taken_over(known)
            manifest = segments.newest(self._objects)
            journal = led.journal
            compaction = Compaction(
                self._objects, self._bringing.index, manifest, journal.written, imports_elsewhere=True
            )
            return led, Upkeep(compaction)

        led, upkeep = await threads.run_awhile(take_over, self._thread, indexed.LEAVE_SECONDS)
        upkeep.estimate(self._used_bytes())
        self._upkeep = upkeep
        return led, upkeep

    def _taken_over(self, known: Archived | None) -> _Led:
        """The log in S3, which is this node's from now on. Raises StoreError."""
        led = _Led(self._objects)
        journal = led.journal
        with closing(connect(self._bringing.index.path)) as db:
            journal.position, journal.holder = index.kept(db)
        if known is not None:
            led.writers = known.writers
            if known.position.number > journal.position.number:
                journal.position, journal.holder = known.position, known.holder
        for _ in range(CLAIMS):
            for batch, _ in journal.read():
                led.note(batch.changes)
            end, holder = journal.position, journal.holder
            if journal.claim(only_if_quiet=True, cluster=self._bringing.cluster):
                return led
            journal.position, journal.holder = end, holder  # what came in between is read, not passed over
        raise StoreError("another node goes on writing to the log in S3")

    async def _lead(self, leader: Fence, led: _Led, upkeep: Upkeep) -> NoReturn:
        collected = time.monotonic()
        while True:
            await self._move(leader, led)
            self._moved_at = trio.current_time()
            while await upkeep.work(led.journal.position):
                pass
            self.loose_batches = led.journal.position.number - upkeep.compaction.manifest.end.number
            now = time.monotonic()
            if collected < now - TAILS_EVERY_SECONDS:
                await self._collect_tails()
                collected = now
            await trio.sleep(LEAST_SECONDS)
            with trio.move_on_after(EVERY_SECONDS - LEAST_SECONDS):
                await self._until_due()

    async def _move(self, leader: Fence, led: _Led) -> None:
        """Move all that is in etcd now. Raises NotLeader."""
        revision = await self._bringing.now()
        some: list[KeyValue] = []
        size = 0
        writers: set[str] = set()
        async for item in self._bringing.read(revision):
            some.append(item)
            size += len(item.value)
            writers.add(batches.place(self._prefix, item.key)[0])
            if size >= READ_BYTES or len(writers) == MAX_WRITERS:
                await self._archive(leader, led, some)
                some, size, writers = [], 0, set()
        if some:
            await self._archive(leader, led, some)

    async def _archive(self, leader: Fence, led: _Led, some: Sequence[KeyValue]) -> None:
        """Put batches into S3, say so, and delete them."""
        await threads.run_awhile(partial(self._put, led, some), self._thread, indexed.LEAVE_SECONDS)
        assert led.journal.holder is not None, "it was taken over"
        known = Archived(led.journal.position, led.journal.holder, led.writers)
        last = dict(batches.place(self._prefix, item.key) for item in some)
        leads = [created(leader.key, leader.revision)]
        said = put(archived.key(self._prefix), archived.encode(known))
        moved = [
            delete(batches.key(self._prefix, one, 0), batches.key(self._prefix, one, number + 1))
            for one, number in last.items()
        ]
        try:
            answer = await self._etcd.transact(leads, [said, *moved], again=True)
        except NoSpace:  # it deletes all the same; what is in S3 says that it is there
            answer = await self._etcd.transact(leads, moved, again=True)
        if not answer.succeeded:
            raise NotLeader

    def _put(self, led: _Led, some: Sequence[KeyValue]) -> None:
        """Put those batches into S3 that are not there. Raises StoreCorrupt, StoreError."""
        entries: list[Entry] = []
        size = at = 0
        for item in some:
            whole = batches.whole(self._objects, self._prefix, item.key, item.value)
            writer, number = whole.batch.writer, whole.batch.number
            known = led.writers.get(writer)
            if known is not None and number <= known:
                continue
            if known is not None and number > known + 1:
                raise StoreCorrupt(f"batch {known + 1} of writer {writer} is neither in etcd nor in S3")
            if not entries:
                at = whole.batch.at
            entries += whole.entries
            size += whole.size
            led.writers[writer] = number
            if size >= MAX_BATCH_BYTES:
                led.journal.ship(entries, _bounded(), at)
                led.note(entries)
                entries, size = [], 0
        if entries:
            led.journal.ship(entries, _bounded(), at)
            led.note(entries)

    async def _collect_tails(self) -> None:
        """Remove what was too large for etcd, and that nothing there names any more."""

        def find() -> set[str]:
            before = servicetime.now(self._objects) - TAILS_GRACE
            return {one.key for one in self._objects.find(batches.PARTS) if one.modified < before}

        old = await threads.run_awhile(find, self._thread, indexed.LEAVE_SECONDS)
        if not old:
            return
        async for item in self._bringing.read(await self._bringing.now()):
            batch, _ = batches.opened(self._prefix, item.key, item.value)
            if batch.elsewhere is not None:
                old.discard(batches.PARTS + batch.elsewhere.name)
        remove = partial(self._objects.delete, old)
        await threads.run_awhile(remove, self._thread, indexed.LEAVE_SECONDS)


def _bounded() -> Callable[[str, float], None]:
    """Patience for some attempts: then it is found out in S3 what became of them."""
    left = PUT_ATTEMPTS

    def wait(reason: str, seconds: float) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise StoreError(reason)
        time.sleep(seconds)

    return wait
