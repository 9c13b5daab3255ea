"""Whether a session's log gives what it says: a replay of which nothing is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from engine.catalog import StateView
from engine.comparison import Difference, Drift
from engine.looking import MAX_PREVIEW_CHARS, look
from engine.recovery import Recovery
from engine.replay import ReplayFailed
from engine.restoring import Source
from engine.session import ForkPoint
from engine.statediff import StateDifference, difference
from engine.workers import Worker
from persistence.blobstore import BlobStore

MAX_FOUND = 1_000
"""Differences of one replay that are kept."""


class Replayed(Struct, frozen=True, kw_only=True):
    """What a replay came to."""

    session: str
    """The session's name."""
    event: int
    """Number of the event that made the state up to which it went."""
    executions: int
    """How many were run again, and looked at."""
    different: int
    """How many did not do what the log says."""
    found: dict[int, Difference]
    """In what the first thousand of these differed, by the numbers of their events."""
    failed: int | None
    """Number of the event that ended its worker again and again, and with it the replay."""
    drift: Drift | None
    """Texts that came out otherwise than under the engine of another version that recorded them."""

    @property
    def agrees(self) -> bool:
        """Whether all was as recorded."""
        return self.different == 0 and self.failed is None


class Step(Struct, frozen=True, kw_only=True):
    """One event that was run again."""

    event: int
    difference: Difference | None
    drift: Difference | None
    """In what texts came out otherwise than under the other engine that recorded it."""
    is_other: bool
    """Whether another engine recorded it."""
    changes: StateDifference | None
    """What it did to the variables, where that was asked for."""


async def _nobody(_step: Step) -> None:
    """Nobody wants to hear of each event."""


class _Doubtful(Exception):
    """What went wrong may be the doing of the checkpoint that the replay began from."""


class Verification:
    """One such replay of the owner's session of that name, from event ``first`` on.

    ``tell`` is told of each event, in order, once. With ``strict`` what another engine recorded must come out
    as it did there. With ``before``, the state before event ``first``, each step says how the variables
    changed.
    """

    def __init__(
        self,
        source: Source,
        owner: str,
        name: str,
        *,
        first: int = 0,
        strict: bool = False,
        before: StateView | None = None,
        tell: Callable[[Step], Awaitable[None]] = _nobody,
    ) -> None:
        self._source, self._owner, self._name = source, owner, name
        self._first, self._view, self._tell = first, before, tell
        self._strict = strict
        self._recovery = self._from(source.blobs if first else None)
        self._taken: Worker | None = None
        self._told = first - 1
        self._drift: Drift | None = None
        self._executions = 0
        self._found: dict[int, Difference] = {}
        self._different = 0

    @property
    def reached(self) -> int:
        """Number of the last event that was run again."""
        return self._recovery.reached

    async def run(self, target: ForkPoint) -> Replayed:
        """Replay up to ``target``; an event that differs is noted, and the replay goes on from what it gave.

        What differs after a checkpoint may be the checkpoint's doing: it counts only if it does so in a
        replay from the first event, too. Nothing is run where the target is before the first event: what is
        between is no execution. Raises StoreError, Unavailable, TooLarge, and what ``tell`` raises.
        """
        failed: int | None = None
        if self._first <= target.seq:
            try:
                failed = await self._run(target)
            except _Doubtful:
                self._recovery = self._from(None)
                failed = await self._run(target)
        return Replayed(
            session=self._name,
            event=target.seq,
            executions=self._executions,
            different=self._different,
            found=self._found,
            failed=failed,
            drift=self._drift,
        )

    def _from(self, blobs: BlobStore | None) -> Recovery:
        """A replay from one of the checkpoints there, or from the first event."""
        source = self._source
        self._work = source.scheduler.work("replay", self._owner, self._name)
        return Recovery(
            source.log,
            blobs,
            source.image_id,
            self._work,
            between=self._between,
            strict=self._strict,
            forgets=source.forgets,
        )

    async def _run(self, target: ForkPoint) -> int | None:
        """Number of the event that ended its worker again and again, if one did. Raises _Doubtful."""
        try:
            with self._work:
                await self._recovery.accept(target, self._acquire, first=self._first)
        except ReplayFailed as ended:
            if self._recovery.checkpoint is not None:
                raise _Doubtful from ended
            return ended.seq
        finally:
            self._give_back()
        return None

    async def _between(self, worker: Worker, _point: ForkPoint | None) -> None:
        """An event was run again; maybe not for the first time, where a worker was lost."""
        seq, comparison = self._recovery.reached, self._recovery.comparison
        if seq <= self._told:
            return
        found = comparison.last
        if found is not None and self._recovery.checkpoint is not None:
            raise _Doubtful
        self._told = seq
        self._executions += 1
        if found is not None:
            self._different += 1
            if len(self._found) < MAX_FOUND:
                self._found[seq] = found
        drift = comparison.last_drift
        if drift is not None:
            known = self._drift or Drift(count=0, seq=seq, field=drift.field)
            self._drift = Drift(count=known.count + 1, seq=known.seq, field=known.field)
        changes = await self._changes(worker, seq)
        await self._tell(
            Step(event=seq, difference=found, drift=drift, is_other=comparison.is_other, changes=changes)
        )

    async def _changes(self, worker: Worker, seq: int) -> StateDifference | None:
        if self._view is None:
            return None
        point = ForkPoint(self._name, seq, b"")
        before, self._view = (
            self._view,
            await look(worker, self._source.scheduler, self._owner, self._name, point, MAX_PREVIEW_CHARS),
        )
        return difference(before, self._view)

    async def _acquire(self) -> Worker:
        self._give_back()  # one that died while it replayed
        self._taken = await self._source.places.take(self._owner)
        return self._taken

    def _give_back(self) -> None:
        if self._taken is not None:
            self._source.places.give_back(self._taken)
            self._taken = None
