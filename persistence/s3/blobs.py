"""Blobs in a bucket: one object each, ``blobs/{aa}/{sha256}``, named by the hash of what is in it.

An object is there whole or not at all, so what was put is there once the service said so. Each put writes,
also where the blob is there: that mends one that was altered, and makes it new for a sweep.

**Why no sweep removes a blob that is needed**, one that the log names or is about to:

- It is in ``keep``, or its entry in the log came after that was read. A sweep leaves what was put in its last
  ``older_than`` seconds, by the clock of the service, which gives objects their time: that of no server
  matters. What it removes it has asked for within ``SWEEP_SECONDS`` of its own beginning, also where the
  machine slept meanwhile. So with an hour it leaves all that was put within 50 minutes before ``keep`` was
  read, or later, by this server or by one that has taken over from it; and no entry comes so late. That no
  other had taken over by then, the log makes sure of when it is asked for ``keep``.
- An old one that nothing needed may be put again while it is about to be removed. In one server, the removal
  of a blob and its puts exclude each other: what is being put, or was since the sweep began, is not removed,
  and what is being removed is put once that was answered.
- Between two servers nothing excludes that: one stopped in the midst of its sweep, and the one that took over
  makes the very checkpoint anew that its log forgot an hour ago. Nor is it excluded where a removal that was
  not answered takes effect late. S3 has no condition against it, since equal bytes are the same object to it.
  Then a blob goes missing, which costs time and nothing else: its checkpoint is forgotten, and the session
  replayed from the log.

Everything blocks in threads, a few at a time, for as long as ``Objects`` does.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, TypeVar

import trio

from engine.errors import BlobCorrupt, BlobMissing, BlobStoreFailed
from persistence import threads
from persistence.blobstore import Swept
from persistence.s3 import servicetime
from persistence.s3.objects import Missing, Objects, ObjectsError

FOLDER: Final = "blobs/"
THREADS: Final = 8
"""Calls that go on at once."""
REMOVED_AT_ONCE: Final = 500
"""Blobs that a sweep asks to be removed together."""
LEAVE_SECONDS: Final = 1.0
"""Whoever is cancelled waits so long for what has begun; then it goes on without."""
SWEEP_SECONDS: Final = 600.0
"""What a sweep removes it has asked for within that time; it is much less than it is asked to leave alone."""
_NAME: Final = re.compile(r"[0-9a-f]{64}")
_KEY: Final = re.compile(rf"{FOLDER}(?P<aa>..)/(?P<name>(?P=aa)[0-9a-f]{{62}})")

T = TypeVar("T")

awake_or_asleep: Final = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
"""Seconds, also those that the machine sleeps."""


class S3BlobStore:
    """A ``BlobStore`` in ``objects``. ``clock`` counts seconds, for what a sweep may take."""

    def __init__(self, objects: Objects, *, clock: Callable[[], float] = awake_or_asleep) -> None:
        self._objects = objects
        self._clock = clock
        self._threads = trio.CapacityLimiter(THREADS)
        self._sweeping = trio.Lock()
        """Two sweeps at once would both count what one of them has removed."""
        self._changed = threading.Condition()
        """Guards what follows, and tells when a removal is over."""
        self._putting: list[str] = []
        """Names of those that are being put, once for each who does."""
        self._fresh: set[str] = set()
        """Names of those that were put, or are being put, since a sweep has begun."""
        self._removing: set[str] = set()
        """Names of those whose removal was asked for and is not answered."""
        self._sizes: dict[str, int] = {}
        """Bytes of those that are known to be there."""
        self._used = 0
        """Bytes of all those."""

    @property
    def used_bytes(self) -> int:
        """See ``BlobStore``. What other servers put and remove is known from the next sweep on."""
        return self._used

    async def put(self, data: bytes) -> str:
        """See ``BlobStore``. Once it has begun, a cancellation waits for its end, but not for long."""
        return await self._run(lambda: self._put(data))

    async def get(self, name: str) -> bytes:
        """See ``BlobStore``."""
        return await self._run(lambda: self._get(name))

    async def discard(self, name: str) -> None:
        """See ``BlobStore``. One that is being put stays: who puts it needs it."""
        await self._run(lambda: self._remove([name]))

    async def survey(self, keep: Collection[str], *, older_than: float) -> Swept:
        """See ``BlobStore``. By the clock of this machine, since nothing is written either."""
        return await self._run(lambda: self._survey(keep, older_than))

    async def sweep(self, keep: Collection[str], *, older_than: float) -> Swept:
        """See ``BlobStore``. Raises BlobStoreFailed also where it takes longer than SWEEP_SECONDS."""
        until = self._clock() + SWEEP_SECONDS
        async with self._sweeping:
            return await self._run(lambda: self._sweep(keep, older_than, until))

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await threads.run_awhile(work, self._threads, LEAVE_SECONDS)
        except (ObjectsError, threads.NoThread) as failed:
            raise BlobStoreFailed(str(failed)) from failed

    # --- in threads -----------------------------------------------------------------------------

    def _put(self, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        with self._changed:
            self._changed.wait_for(lambda: name not in self._removing)
            self._putting.append(name)
            self._fresh.add(name)
        try:
            self._objects.put(_key(name), data)
        finally:
            with self._changed:
                self._putting.remove(name)
        with self._changed:
            self._used += len(data) - self._sizes.get(name, 0)
            self._sizes[name] = len(data)
        return name

    def _get(self, name: str) -> bytes:
        key = _key(name)
        try:
            data = self._objects.get(key)
        except Missing:
            raise BlobMissing(f"there is no blob {name} in the bucket") from None
        if hashlib.sha256(data).hexdigest() != name:
            raise BlobCorrupt(f"{key} in the bucket is not what was put there: somebody altered it")
        return data

    def _remove(self, names: Collection[str], spare: Collection[str] = ()) -> set[str]:
        """Remove blobs, but for those in ``spare`` and those that are being put; the names of what was."""
        with self._changed:
            going = set(names).difference(spare, self._putting, self._removing)
            self._removing |= going
        try:
            if going:
                self._objects.delete([_key(name) for name in sorted(going)])
            with self._changed:
                self._used -= sum(self._sizes.pop(name, 0) for name in going)
        finally:
            with self._changed:
                self._removing -= going
                self._changed.notify_all()
        return going

    def _survey(self, keep: Collection[str], older_than: float) -> Swept:
        kept: dict[str, int] = {}
        removed: dict[str, int] = {}
        for page in self._old(keep, datetime.now(UTC) - timedelta(seconds=older_than), kept):
            removed |= page
        return _swept(kept, removed)

    def _sweep(self, keep: Collection[str], older_than: float, until: float) -> Swept:
        with self._changed:
            self._fresh = set(self._putting)
        before = servicetime.now(self._objects) - timedelta(seconds=older_than)
        kept: dict[str, int] = {}
        removed: dict[str, int] = {}
        for page in self._old(keep, before, kept):
            if self._clock() > until:
                raise BlobStoreFailed(
                    f"what nothing needs was not removed within {SWEEP_SECONDS:g} s: the next sweep goes on"
                )
            gone = self._remove(page, spare=self._fresh)
            for name, size in page.items():
                (removed if name in gone else kept)[name] = size
        with self._changed:  # what was discarded meanwhile may still be counted, until the next sweep
            put = {name: self._sizes[name] for name in self._fresh if name in self._sizes}
            self._sizes = kept | put
            self._used = sum(self._sizes.values())
        return _swept(kept, removed)

    def _old(self, keep: Collection[str], before: datetime, kept: dict[str, int]) -> Iterator[dict[str, int]]:
        """Sizes of the blobs that may be removed, by name, some at a time; ``kept`` gets the others."""
        page: dict[str, int] = {}
        for found in self._objects.find(FOLDER):
            key = _KEY.fullmatch(found.key)
            if key is None:  # somebody else's
                continue
            name = key["name"]
            if name in keep or found.modified > before:
                kept[name] = found.size
                continue
            page[name] = found.size
            if len(page) == REMOVED_AT_ONCE:
                yield page
                page = {}
        yield page


def _key(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise BlobMissing(f"{name[:80]!r} is no name of a blob")
    return f"{FOLDER}{name[:2]}/{name}"


def _swept(kept: dict[str, int], removed: dict[str, int]) -> Swept:
    return Swept(
        kept=len(kept),
        kept_bytes=sum(kept.values()),
        removed=len(removed),
        removed_bytes=sum(removed.values()),
    )
