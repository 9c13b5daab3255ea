"""Makes large objects of many small ones, in the background.

What is in the log up to a batch is written once more, as a segment; a manifest says so; then the batches are
removed, once nobody reads them any more. Interrupted anywhere, it leaves a log that is whole, and some
objects that nobody needs, which a later run removes. Segments of about the same size are merged, so that each
batch is written again some times only, by the logarithm of their number. What need not be written again
(``persistence.s3.superfluous``) is left out; once that would be much, all segments are written again for
that. Where they come after a base (``persistence.s3.bases``), a new base takes its place and theirs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from engine.errors import StoreCorrupt, StoreFailed
from persistence import folders
from persistence.changes import Adopted, Part
from persistence.s3 import bases, batches, imports, segments, servicetime, superfluous
from persistence.s3.batches import Batch, Opened, Position
from persistence.s3.index import Index
from persistence.s3.journal import Journal
from persistence.s3.objects import Objects
from persistence.s3.segments import Manifest, Segment
from persistence.s3.superfluous import Stretch
from persistence.s3.written import Written

DUE_BATCHES = 512
"""So many make a segment."""
MAX_STEP_BYTES = 16 << 20
"""What is read of them at once ends with the batch that brings it to this."""
MAX_SEGMENT_BYTES = 32 << 20
"""Of its body; no larger ones are made by merging."""
RATIO = 4
"""A segment is merged with the next unless it is this many times as large."""
REWRITE_SHARE = 0.25
"""Once what was removed is this part of all segments, they are written again without it."""
REWRITE_LEAST_BYTES = 1 << 20
GRACE = timedelta(hours=1)
"""How long an object is kept that nothing names: somebody may read it, or be about to name it."""
READ_WITHIN = timedelta(minutes=15)
"""How long a batch is kept at least. Who reads a large log comes to its end long after the manifest was read
with which that began, and what was behind that manifest then may be in segments by now.
"""

_BASE = "base.db"
"""File beside the index, in which a base is made."""


class Compaction:
    """Of one log, by the process that owns it and has its ``index``; ``manifest`` is the newest one.

    Batches that are among those ``written`` are not asked for. While an import is ``sending``, what no
    manifest names is left; where it may be ``imports_elsewhere``, by other servers of which nothing is known,
    their parts are left for ever. What it does blocks, and raises StoreError, Refused, Unanswered, OSError.
    """

    def __init__(
        self,
        objects: Objects,
        index: Index,
        manifest: Manifest,
        written: Written | None = None,
        sending: imports.Sending | None = None,
        *,
        imports_elsewhere: bool = False,
    ) -> None:
        self._objects = objects
        self._index = index
        self._written = written or Written()
        self._sending = sending or imports.Sending()
        self._imports_elsewhere = imports_elsewhere
        self.manifest = manifest
        self._be_untidy()
        self._copy = index.path.with_name(_BASE)
        self._copy.unlink(missing_ok=True)  # of a server that was killed meanwhile

    def is_long(self, end: Position) -> bool:
        """Whether there is enough for a segment before that place."""
        return end.number - self.manifest.end.number >= DUE_BATCHES

    def is_wasteful(self, removed: int) -> bool:
        """Whether it is time for ``rewrite``, where so many bytes are in segments of events that are not."""
        return self.size > 0 and removed >= max(REWRITE_LEAST_BYTES, REWRITE_SHARE * self.size)

    def is_untidy(self) -> bool:
        """Whether it is time for ``tidy``: nothing was published for a while."""
        return time.monotonic() >= self._untidy_from

    @property
    def size(self) -> int:
        """Bytes of base and segments, uncompressed: those of the index, about, and of what was removed."""
        return sum(part.size for part in (*self.manifest.base, *_parts(self.manifest.segments)))

    def extend(self, end: Position) -> None:
        """Make a segment of the next batches before ``end``, not of all where they are large."""
        journal, found, size = Journal(self._objects, self._written), [], 0
        journal.position, journal.holder = self.manifest.end, self.manifest.holder
        for batch, _ in journal.read():
            found.append(batch)
            size += batches.size(batch)
            if batch.number == end.number or size >= MAX_STEP_BYTES:
                break
        if not found:
            missing = batches.key(self.manifest.end.number + 1)
            raise StoreCorrupt(f"{missing} is missing: a part of the log was lost")
        upto = Position(found[-1].number, journal.position.digest)
        made = [*self.manifest.segments, self._put(found, found[0].number, upto.number)]
        merged = found
        while len(made) > 1 and _fit(*made[-2:]):
            before, last = made[-2:]
            merged = [*segments.get(self._objects, before), *merged]
            made[-2:] = [self._put(merged, before.first, last.last)]
        named = [*self.manifest.imports, *_imports(found)]
        # not those that a later batch names: they were put less than the grace period before this one
        since = None if self._imports_elsewhere else self._put_at(found[-1]) - GRACE
        is_published = self._publish(upto, journal.holder, made, named, self.manifest.base)
        if is_published and since is not None:
            self._collect(imports.IMPORTS, {*named}, since)

    def _put_at(self, batch: Batch) -> datetime:
        """When it was put, by the service's clock; or before, if it was copied here."""
        said = datetime.fromtimestamp(batch.at / 1e6, UTC)
        return min([said, *(one.modified for one in self._objects.find(batches.key(batch.number)))])

    def rewrite(self, end: Position) -> None:
        """Write all before ``end`` again without what need not be there."""
        if self.manifest.base:
            self.rebase()
            return
        while self.manifest.end.number < end.number:  # what says that something was removed is last
            self.extend(end)
        stretch = Stretch()
        for segment in self.manifest.segments:
            stretch.add(segments.get(self._objects, segment))
        over = stretch.over()
        made, named = [], []
        for segment in self.manifest.segments:
            left = superfluous.without(segments.get(self._objects, segment), over)
            made.append(segments.put(self._objects, left, segment.first, segment.last))
            named += _imports(left)
        self._publish(self.manifest.end, self.manifest.holder, made, named, ())

    def rebase(self) -> None:
        """Let a base take the place of all that the index has by now."""
        size = self._index.path.stat().st_size
        if not folders.has_room(self._index.path.parent, 2 * size):
            # it would take the room that the index itself needs, without which the server ends
            raise StoreFailed(f"a base needs {2 * size:,} bytes free in {self._index.path.parent}")
        try:
            end, holder, ahead = self._index.snapshot(self._copy)
            if end.number < self.manifest.end.number:
                return  # the manifest is of another server, which has taken the log over
            base = bases.put(self._objects, self._copy)
        finally:
            self._copy.unlink(missing_ok=True)
        self._publish(end, holder, (), (), base, ahead)

    def tidy(self) -> None:
        """Remove the batches that are in segments, or in a base, but for those that somebody may read."""
        self._remove_batches(servicetime.now(self._objects))
        self._untidy_from = math.inf

    def _be_untidy(self) -> None:
        self._untidy_from = time.monotonic() + READ_WITHIN.total_seconds()

    def _remove_batches(self, now: datetime) -> None:
        before = now - READ_WITHIN
        self._objects.delete([*batches.upto(self._objects, self.manifest.end, before)])

    def _put(self, found: Sequence[Batch], first: int, last: int) -> Segment:
        stretch = Stretch(self.manifest.ahead)
        stretch.add(found)
        return segments.put(self._objects, superfluous.without(found, stretch.over()), first, last)

    def _publish(
        self,
        end: Position,
        holder: Opened | None,
        made: Sequence[Segment],
        named: Sequence[str],
        base: tuple[Part, ...],
        ahead: dict[str, int] | None = None,
    ) -> bool:
        """Let the base and the segments be the log up to ``end``, and remove what nothing names any more.

        A new base is ``ahead`` of that.

        False if another manifest came before: our own, of an earlier attempt, or another server's.
        """
        ahead = self.manifest.ahead if ahead is None else ahead
        manifest = Manifest(self.manifest.number + 1, end, tuple(made), holder, tuple(named), base, ahead)
        if not segments.publish(self._objects, manifest):
            self.manifest = segments.newest(self._objects)
            return False
        self.manifest = manifest
        self._written.forget(end.number)
        self._be_untidy()
        self._objects.delete([*segments.older(self._objects, manifest)])
        now = servicetime.now(self._objects)
        self._remove_batches(now)
        self._collect(segments.SEGMENTS, _names(_parts(made)), now - GRACE)
        self._collect(bases.BASES, _names(base), now - GRACE)
        return True

    def _collect(self, folder: str, named: Collection[str], before: datetime) -> None:
        """Remove what is in a folder, was put before that time, and has no name that is ``named``."""
        seen = self._sending.seen()
        found = self._objects.find(folder)
        names = [
            one.key for one in found if one.key.removeprefix(folder) not in named and one.modified < before
        ]
        # Another server may have gone on long since, and have made what this one does not know.
        if names and segments.newest(self._objects).number == self.manifest.number:
            self._sending.unless_since(seen, lambda: self._objects.delete(names))


def _parts(made: Sequence[Segment]) -> list[Part]:
    return [one.part for one in made]


def _names(parts: Sequence[Part]) -> set[str]:
    return {part.name for part in parts}


def _fit(before: Segment, last: Segment) -> bool:
    """Whether two neighbours should be one."""
    size = before.part.size + last.part.size
    return before.part.size < RATIO * last.part.size and size <= MAX_SEGMENT_BYTES


def _imports(found: Sequence[Batch]) -> list[str]:
    """Names of the parts of imports in them."""
    return [
        part.name
        for batch in found
        for change in batch.changes
        if isinstance(change, Adopted)
        for part in change.parts
    ]
