"""The write-ahead log in a bucket: who writes it, and that only one does.

A batch is put under the next number on condition that nothing is there. So of two servers one goes on, and
the other learns at its next write that it does not: what is there is not its own. A server takes the log over
by writing a batch of its own at the end, which says so; whoever wrote before is *fenced* from then on.

An answer may be lost, and the batch be there or not. It is put again until something says which: the same
bytes, under the same number. Only then the changes in it are answered for.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

from engine.errors import StoreCorrupt, StoreError, StoreFailed, StoreLocked
from engine.timestamps import now_us
from persistence.changes import Entry
from persistence.s3 import batches, envelope, named
from persistence.s3.batches import Batch, Opened, Position
from persistence.s3.objects import Exists, Missing, Objects, Refused, Unanswered
from persistence.s3.written import Written
from persistence.threads import NO_THREAD

_log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
"""Between two attempts to write a batch."""
CLAIM_TRIES = 64
"""To take over from a server that goes on writing, until the index is brought to the end again."""
MOST_CHASED = 32
"""Batches that are passed between two of them."""
LOOK_BATCHES = 64
"""How often a server looks whether another one tries to take its log over: each time is a request."""
LET_SECONDS = 1.0
"""What it leaves that one: far more than three requests take."""
READERS = 8
"""Batches that are read at once."""
_CHUNK = 8 * READERS
"""Batches that are in memory at once, at most, while the log is read."""
_CHUNK_BYTES = 4 << 20
"""As they are kept; fewer of them where these are more. Even one may be."""

_FENCED = (
    "another server has taken over the store, and this one takes nothing more: stop one of them, or give "
    "each a --s3-prefix of its own"
)

Patience = Callable[[str, float], object]
"""Told why a batch is not written yet, it waits for so many seconds. Raises StoreError to give up."""


class Fenced(StoreFailed):
    """Another server has taken the log over: nothing of this one's is written any more."""

    code = "store_taken_over"

    def __init__(self) -> None:
        super().__init__(_FENCED)


class Journal:
    """The end of the log, to one thread at a time. ``written``: what need not be asked for to be read."""

    def __init__(self, objects: Objects, written: Written | None = None) -> None:
        self._objects = objects
        self.written = written or Written()
        """With what this one has written itself."""
        self.position = batches.BEGINNING
        """How far it is known."""
        self.holder: Opened | None = None
        """Who has the log there; None where the last one has ended in good order."""
        self.is_fenced = False
        """Once another server has taken the log over."""
        self._looked = -1
        """Up to which number it is known who has tried to."""

    def read(self) -> Iterator[tuple[Batch, Position]]:
        """The batches behind ``position``, and the place behind each, which is the position then.

        Raises StoreCorrupt if one is missing or altered, or does not follow the one before it; StoreError.
        """
        for number, body in self._ahead():
            batch = self._follow(number, body)
            yield batch, self.position

    def holds(self, position: Position) -> bool:
        """Whether the log has the batch behind which that is.

        Raises StoreCorrupt if that is damaged, StoreError.
        """
        name = batches.key(position.number)
        try:
            data = self._objects.get(name)
        except Missing:
            return False
        except (Refused, Unanswered) as failed:
            raise StoreError(str(failed)) from failed
        body = envelope.unseal(batches.KIND, batches.VERSION, data, name)
        return batches.behind(batches.decode(body, position.number), body) == position

    def claim(self, *, only_if_quiet: bool = False, cluster: str = "") -> bool:
        """Take the log over at its end, for that cluster if any.

        False if others go on writing; ``only_if_quiet``: if anybody has since ``position``. Where they did so
        long ago, and what they wrote is in segments by now, there is room, too: it counts only if it is the
        end of the log when that is read again. Raises StoreLocked if it is that of another cluster,
        StoreCorrupt, StoreError.
        """
        opened = Opened(
            host=socket.gethostname(),
            pid=os.getpid(),
            program=f"mcp-v8 {version('mcp-v8')}",
            cluster=cluster,
        )
        # Whoever goes on writing leaves little time between two batches: none to bring an index up to them,
        # and none to be sure of the next number. It sees that others try (``_let_others``), and leaves some.
        for _ in range(1 if only_if_quiet else CLAIM_TRIES):
            self.check_holder(cluster)
            number = self.position.number + 1
            if self.holder is not None:
                self._keep(number)
            found = self._put(self._next(opened=opened), _impatient)
            if found is None:
                self._looked = number
                return True
            self._follow(number, _unsealed(number, found))
            if not only_if_quiet:
                self._chase()
        return False

    def check_holder(self, cluster: str = "") -> None:
        """See that the log may be taken over for that cluster, or a single server. Raises StoreLocked."""
        if self.holder is not None and self.holder.cluster not in ("", cluster):
            raise StoreLocked(
                f"the store is that of the cluster {self.holder.cluster!r}, which keeps its newest events "
                "elsewhere: start this server as a node of it, or choose another --s3-prefix"
            )

    def ship(self, changes: Sequence[Entry], patience: Patience, at: int | None = None) -> None:
        """Make changes durable, which were made ``at`` that time if not now. Blocks until it is certain.

        Raises StoreFailed if they are not written and will not be, Fenced if another server has taken the
        log over, and what ``patience`` does: then it is not known.
        """
        if self.is_fenced:
            raise Fenced
        if self.position.number - self._looked >= LOOK_BATCHES:
            self._let_others()
        if self._put(self._next(changes=tuple(changes), at=at), patience) is not None:
            self.is_fenced = True
            raise Fenced

    def close(self) -> None:
        """Say that this server has ended in good order. Raises StoreError."""
        self._put(self._next(closed=True), _impatient)

    def _next(
        self,
        changes: tuple[Entry, ...] = (),
        opened: Opened | None = None,
        closed: bool = False,
        at: int | None = None,
    ) -> Batch:
        return Batch(
            number=self.position.number + 1,
            prev=self.position.digest,
            nonce=os.urandom(batches.NONCE_BYTES),
            at=now_us() if at is None else at,
            changes=changes,
            opened=opened,
            closed=closed,
        )

    def _keep(self, number: int) -> None:
        """Let that batch never be removed: it may be ours."""
        try:
            batches.keep(self._objects, number)
        except (Refused, Unanswered) as failed:
            raise StoreError(f"the log cannot be taken over: {failed}") from failed

    def _chase(self) -> None:
        """Pass the batches that are there, one after the other: that takes less time than to write them."""
        for _ in range(MOST_CHASED):
            number = self.position.number + 1
            found = self._found_at(batches.key(number), _impatient)
            if found is None:
                return
            self._follow(number, _unsealed(number, found))

    def _let_others(self) -> None:
        """Wait a little if another server tries to take the log over: else it may be too late each time."""
        after, self._looked = self._looked, self.position.number
        try:
            if not batches.is_claimed(self._objects, after):
                return
        except (Refused, Unanswered):  # what is put next says so, and is tried again
            return
        time.sleep(LET_SECONDS)

    def _put(self, batch: Batch, patience: Patience) -> bytes | None:
        """Make a batch durable; if another server's is in its place, that object."""
        body, where = batches.encode(batch), batches.key(batch.number)
        data = envelope.seal(batches.KIND, batches.version_of([batch]), body)
        pause, is_open = FIRST_PAUSE_SECONDS, False
        while True:
            try:
                self._objects.put(where, data, new=True)
                break
            except Exists:
                found = self._found_at(where, patience)
                if found == data:
                    break
                if found is not None:
                    return found
                # ours, of an earlier attempt: another server has taken over, and has made a segment of it
                reason = f"{where} was there and is not"
            except Refused as refused:
                if not is_open:
                    raise StoreFailed(str(refused)) from refused
                reason = str(refused)
            except Unanswered as unanswered:
                reason, is_open = str(unanswered), True
            patience(reason, random.uniform(0.5, 1) * pause)  # noqa: S311 (not for secrets)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        self.written.add(batch.number, data)
        self._passed(batch, body)
        return None

    def _follow(self, number: int, body: bytes) -> Batch:
        """The next batch, whose place is the position then. Raises StoreCorrupt."""
        batch = batches.decode(body, number)
        if batch.prev != self.position.digest:
            raise StoreCorrupt(
                f"{batches.key(number)} does not follow the batch that is there before it: "
                "one of them was altered"
            )
        self._passed(batch, body)
        return batch

    def _passed(self, batch: Batch, body: bytes) -> None:
        self.position = batches.behind(batch, body)
        self.holder = None if batch.closed else batch.opened or self.holder

    def _found_at(self, where: str, patience: Patience) -> bytes | None:
        """What is there by now."""
        while True:
            try:
                return self._objects.get(where)
            except (Unanswered, Refused) as failed:
                patience(str(failed), LONGEST_PAUSE_SECONDS)
            except Missing:
                return None

    def _ahead(self) -> Iterator[tuple[int, bytes]]:
        """Number and body of each batch behind the position; several of them are asked for at once."""
        with ThreadPoolExecutor(READERS, thread_name_prefix="s3-read") as readers:
            for numbers in self._found():
                try:
                    bodies = readers.map(self._recall, numbers)
                except RuntimeError as failed:  # the process has all the threads that it may have
                    raise StoreError(f"the log cannot be read: {NO_THREAD}") from failed
                yield from zip(numbers, bodies, strict=True)

    def _found(self) -> Iterator[list[int]]:
        """Numbers of the batches behind the position, some at a time."""
        expected = self.position.number + 1
        chunk: list[int] = []
        size = 0
        try:
            for found in self._objects.find(
                batches.PREFIX, after=batches.key(expected - 1) if expected else ""
            ):
                if batches.number_of(found.key) != expected:
                    raise StoreCorrupt(f"{batches.key(expected)} is missing: a part of the log was lost")
                if chunk and size + found.size > _CHUNK_BYTES:
                    yield chunk
                    chunk, size = [], 0
                chunk.append(expected)
                size += found.size
                expected += 1
                if len(chunk) == _CHUNK:
                    yield chunk
                    chunk, size = [], 0
        except (Refused, Unanswered) as failed:
            raise StoreError(str(failed)) from failed
        if chunk:
            yield chunk

    def _recall(self, number: int) -> bytes:
        """A batch's body, of one that is there. Raises what ``_get`` does."""
        data = self.written.get(number)
        if data is None:
            return self._get(number)
        return _unsealed(number, data)

    def _get(self, number: int) -> bytes:
        """A batch's body. Raises StoreCorrupt if there is none, StoreError."""
        return _unsealed(number, named.read(self._objects, batches.key(number)))


def _unsealed(number: int, data: bytes) -> bytes:
    """A batch's body, of the object. Raises StoreCorrupt."""
    return envelope.unseal(batches.KIND, batches.VERSION, data, batches.key(number))


def _impatient(reason: str, seconds: float) -> None:  # noqa: ARG001
    raise StoreError(f"the log cannot be written to: {reason}")
