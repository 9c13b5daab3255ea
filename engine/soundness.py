"""Whether all that a store holds is as it was written, and what can still be had where it is not.

Nothing is run: the hashes of all events and their chains, what is derived from them, and the blobs of
checkpoints are looked at. Whether code gives what was recorded is for a replay to say
(``engine.verification``).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from msgspec import Struct

from engine import checkpoints
from engine.checkpoints import Checkpoint
from engine.errors import BlobCorrupt, BlobMissing
from persistence.blobstore import BlobStore
from persistence.eventlog import Audited, EventLog, Fault

_OF_EVENTS = ("damaged", "missing", "chain", "origin")
"""Faults that keep a replay from going over the events that they are about."""


class CheckedSession(Struct, frozen=True, kw_only=True):
    """A session that was looked at."""

    audited: Audited
    faults: tuple[Fault, ...]
    """Those of its events, and of the blobs of its checkpoints."""
    sound_to: int | None
    """Number of the last event whose state a replay can give; None if it can give none."""
    restorable_from: int | None
    """Number of the event from whose checkpoint on states can be had, where a replay cannot get there; by the
    engine that made it.
    """
    number: int
    """Which of the sessions it is, from 1."""
    of: int
    """How many there are to look at."""


class CheckedStore(Struct, frozen=True, kw_only=True):
    """What looking at all sessions came to."""

    sessions: int
    damaged: int
    """Sessions with faults."""
    events: int
    size: int
    """Bytes of the events."""
    checkpoints: int
    """Whose blobs were read."""
    faults: int
    """Of sessions."""
    store_faults: tuple[str, ...]
    """What is wrong with the store's files as such, a sentence for each; only where all was looked at."""


class Check:
    """Looks at the sessions of an owner, or at all that there is in the store."""

    def __init__(self, log: EventLog, blobs: BlobStore, owner: str | None) -> None:
        self._log, self._blobs, self._owner = log, blobs, owner
        self._lost: dict[str, int] = {}
        """By internal id, the number of the first event whose state no replay can give."""
        self._without_beginning: set[str] = set()
        """Sessions that cannot be read by their history at all, not even from a checkpoint on."""
        self._sessions = self._damaged = self._events = self._size = self._checkpoints = self._faults = 0

    async def sessions(self) -> AsyncGenerator[CheckedSession, None]:
        """One after the other. Raises StoreError where a store cannot be read as a whole."""
        names = await self._log.audited(self._owner)
        for number, name in enumerate(names, 1):
            audited = await self._log.audit(name)
            if audited is not None:  # it was not removed meanwhile
                yield await self._check(audited, number, len(names))

    async def result(self) -> CheckedStore:
        """What it came to, once all ``sessions`` were looked at."""
        return CheckedStore(
            sessions=self._sessions,
            damaged=self._damaged,
            events=self._events,
            size=self._size,
            checkpoints=self._checkpoints,
            faults=self._faults,
            store_faults=tuple(await self._log.integrity()) if self._owner is None else (),
        )

    async def _check(self, audited: Audited, number: int, of: int) -> CheckedSession:
        usable: list[Checkpoint] = []
        faults = list(audited.faults)
        for checkpoint in audited.checkpoints:
            fault = await self._fault_of(checkpoint)
            if fault is None:
                usable.append(checkpoint)
            else:
                faults.append(fault)
        self._sessions += 1
        self._damaged += bool(faults)
        self._events += audited.events
        self._size += audited.size
        self._checkpoints += len(audited.checkpoints)
        self._faults += len(faults) + audited.more_faults
        return CheckedSession(
            audited=audited,
            faults=tuple(faults),
            sound_to=self._sound_to(audited),
            restorable_from=self._restorable_from(audited, usable),
            number=number,
            of=of,
        )

    async def _fault_of(self, checkpoint: Checkpoint) -> Fault | None:
        """What is wrong with its blob. Raises BlobStoreFailed where blobs cannot be read."""
        try:
            checkpoints.unseal(await self._blobs.get(checkpoint.blob), checkpoint.state, checkpoint.engine)
        except BlobMissing:
            what = "its blob is missing"
        except BlobCorrupt:
            what = "its blob was altered, or is another's"
        else:
            return None
        return Fault("checkpoint", what, checkpoint.seq, checkpoint.seq)

    def _sound_to(self, audited: Audited) -> int | None:
        """Notes where the session breaks off, for it and its forks."""
        session, parent, first = audited.session, audited.parent, audited.first
        broken = _broken(audited)
        if any(start == first for start, _ in broken) or parent in self._without_beginning:
            self._without_beginning.add(session)
        lost = [start for start, _ in broken]
        if parent in self._lost and first is not None and self._lost[parent] < first:
            lost.append(self._lost[parent])
        if lost:
            self._lost[session] = min(lost)
        if session in self._without_beginning or not audited.has_entry:
            return None
        last = self._lost[session] - 1 if lost else audited.head
        return last if last is None or last >= 0 else None

    def _restorable_from(self, audited: Audited, usable: Sequence[Checkpoint]) -> int | None:
        session = audited.session
        if session not in self._lost or session in self._without_beginning or not audited.has_entry:
            return None
        least = max([self._lost[session], *(end for _, end in _broken(audited))])
        return min((one.seq for one in usable if one.seq >= least), default=None)


def _broken(audited: Audited) -> list[tuple[int, int]]:
    """The first and last of the events that no replay can go over, for each of the faults."""
    return [
        (fault.first, fault.first if fault.last is None else fault.last)
        for fault in audited.faults
        if fault.kind in _OF_EVENTS and fault.first is not None
    ]
