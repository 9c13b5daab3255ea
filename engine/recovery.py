"""Recovery: bring a worker to a past state, from the nearest usable checkpoint and the log.

One way serves crash, eviction, rollback, forks and time travel. A checkpoint is only a shortcut: one that is
missing, altered or cannot be restored is left out with a warning, and one of another base image without.
Where the replay from a checkpoint does not agree with the log, an older one is tried, and then the beginning:
the history diverges only if it does so from there.

Where the owner accepted that the replay gives another state (``engine.comparison``), checkpoints of the
states that were recorded instead lead elsewhere: they are not used on that way, and none is made on it of a
state that has no name.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

import trio
from msgspec import Struct

from engine import checkpoints
from engine.checkpoints import Checkpoint, engine_of
from engine.comparison import Acceptances, Comparison, Drift
from engine.debt import Debt
from engine.errors import BlobError, BlobStoreFailed, EngineError, StoreError, Unavailable
from engine.events import Accepted
from engine.history import Stretch, history, lineage
from engine.replay import MAX_CRASHES, Diverged, ReplayCrashed, ReplayFailed, replay
from engine.scheduler import Work
from engine.session import ForkPoint
from engine.workers import Worker, WorkerDied
from persistence.blobstore import BlobStore
from persistence.eventlog import EventLog

_log = logging.getLogger(__name__)

MAX_LOST = 10
"""Workers killed from outside during one recovery before it is put off."""
MAX_FAILURES = 2
"""Checkpoints from which the replay may fail before it begins from the first event."""
RESTORE_SECONDS = 60.0
"""What V8 may take to restore a snapshot."""
TELL_SECONDS = 5.0
"""How often the progress of a long recovery is logged."""

Acquire = Callable[[], Awaitable[Worker]]
Between = Callable[[Worker, ForkPoint | None], Awaitable[None]]


async def _nothing(_worker: Worker, _point: ForkPoint | None) -> None:
    """Nothing is to be done between two events."""


class Recovered(Struct, frozen=True, kw_only=True):
    """What a recovery came to."""

    name: str
    """The session's name."""
    session: str
    """Internal id of the session that has the event."""
    seq: int
    """Number of the event whose state was to be restored."""
    checkpoint: int | None
    """Number of the event whose checkpoint it began from; None: from the first event."""
    replayed: int
    """Events that were run again since then."""
    took_us: int
    drift: Drift | None
    failure: EngineError | None
    """Why there is no worker in that state."""


class Recovery:
    """One recovery of a state, by ``work``. ``restore`` it once; its progress can be looked at meanwhile.

    ``blobs`` None: from the first event. ``debt`` is kept up to date, if there is one. ``between`` is called
    after each replayed event with the worker and the state it is in, None for one that has no name; what it
    raises ends the recovery. ``strict`` is for the comparison. Where it ``forgets``, the log does not know
    checkpoints any more that were of no use: those that cannot be used where a command runs may be of use to
    the server.
    """

    def __init__(
        self,
        log: EventLog,
        blobs: BlobStore | None,
        image: str,
        work: Work,
        *,
        debt: Debt | None = None,
        between: Between = _nothing,
        strict: bool = False,
        forgets: bool = True,
    ) -> None:
        self.reached = 0
        """Number of the event after which the worker's state is now."""
        self.target = 0
        """Number of the event whose state is to be restored."""
        self.checkpoint: int | None = None
        """Number of the event whose checkpoint the last attempt began from; None: from the first event."""
        self.replayed = 0
        """Events that were run again since then."""
        self._accepted = Acceptances()
        self._strict = strict
        self._image, self._engine = image, engine_of(image)
        self._comparison = Comparison(self._engine, self._accepted, strict=strict)
        self._log, self._blobs, self._work = log, blobs, work
        self._forgets = forgets
        self._debt = debt or Debt(0)
        self._between = between
        self._useless: list[Checkpoint] = []
        self._told = trio.current_time()

    @property
    def drift(self) -> Drift | None:
        """Events of other engines whose texts differed in the replay."""
        return self._comparison.drift

    @property
    def differences(self) -> dict[int, bytes]:
        """After ``accept``: the digests of the replay, by the numbers of the events that differed."""
        return self._comparison.differences

    @property
    def comparison(self) -> Comparison:
        """What the last attempt was compared with, and how it differed."""
        return self._comparison

    async def restore(self, target: ForkPoint, acquire: Acquire) -> Worker:
        """A worker in the state ``target``; ``acquire`` gives fresh ones.

        Raises Diverged, ReplayFailed, StoreCorrupt, StoreError, Unavailable.
        """
        stretches = await self._begin(target)
        failures: list[Diverged | ReplayFailed] = []
        async with aclosing(self._candidates(stretches)) as candidates:
            async for checkpoint in candidates:
                snapshot = await self._snapshot(checkpoint)
                if snapshot is None:
                    continue
                try:
                    worker = await self._from(checkpoint, snapshot, target, acquire)
                except (Diverged, ReplayFailed) as failed:
                    self._reject(checkpoint, f"the replay from there failed: {failed.message}")
                    failures.append(failed)
                    if len(failures) == MAX_FAILURES:
                        break
                    continue
                if worker is not None:
                    await self._forget()
                    return worker
                self._reject(checkpoint, "V8 cannot restore it")
        worker = await self._from(None, b"", target, acquire)
        assert worker is not None, "only a checkpoint can be of no use"
        await self._forget()
        return worker

    async def accept(self, target: ForkPoint, acquire: Acquire, *, first: int = 0) -> Worker:
        """A worker in whatever state a replay gives in the place of ``target``: one from the first event, or
        from a checkpoint before event ``first``.

        The ``differences`` say what has to be accepted for that. Raises ReplayFailed, StoreCorrupt,
        StoreError, Unavailable.
        """
        stretches = await self._begin(target)
        async with aclosing(self._candidates(stretches)) as candidates:
            async for checkpoint in candidates:
                if checkpoint.seq >= first or (snapshot := await self._snapshot(checkpoint)) is None:
                    continue
                worker = await self._from(checkpoint, snapshot, target, acquire, collect=True)
                if worker is not None:
                    return worker
        worker = await self._from(None, b"", target, acquire, collect=True)
        assert worker is not None, "only a checkpoint can be of no use"
        return worker

    async def go_on(self, worker: Worker, reached: ForkPoint, target: ForkPoint) -> bool:
        """Bring a worker that is in the state ``reached`` on to ``target``, if that state leads there;
        whether it does.

        Where this raises the worker is in neither: Diverged, ReplayCrashed, WorkerDied, StoreCorrupt,
        StoreError.
        """
        await self._begin(target)
        if reached.session != target.session or not self._accepted.is_named(reached.seq):
            return False
        await self._replay(worker, reached, target)
        return True

    async def _begin(self, target: ForkPoint) -> Sequence[Stretch]:
        """Find out what leads to the state."""
        self.target = target.seq
        stretches = await lineage(self._log, target.session, target.seq)
        events = [record.event for stretch in stretches for record in await self._log.accepted(*stretch)]
        self._accepted = Acceptances([event for event in events if isinstance(event, Accepted)])
        return stretches

    async def _candidates(self, stretches: Sequence[Stretch]) -> AsyncGenerator[Checkpoint, None]:
        """Checkpoints at or before the state that are of this base image and lead there, newest first.

        Those of earlier versions of the program, which do not name theirs, may be of it.
        """
        if self._blobs is None:
            return
        images = (self._image, self._engine)
        for session, first, last in reversed(stretches):
            for checkpoint in await self._log.checkpoints(session, first, last):
                if checkpoint.engine in images and self._accepted.is_named(checkpoint.seq):
                    yield checkpoint

    async def _snapshot(self, checkpoint: Checkpoint) -> bytes | None:
        """What is in the checkpoint's blob; None if that cannot be used."""
        assert self._blobs is not None
        try:
            envelope = await self._blobs.get(checkpoint.blob)
            return checkpoints.unseal(envelope, checkpoint.state, checkpoint.engine)
        except BlobStoreFailed as failed:  # it may work again
            _log.warning("%s cannot be had: %s", _named(checkpoint), failed.message)
        except BlobError as useless:
            self._reject(checkpoint, useless.message)
        return None

    async def _from(
        self,
        checkpoint: Checkpoint | None,
        snapshot: bytes,
        target: ForkPoint,
        acquire: Acquire,
        *,
        collect: bool = False,
    ) -> Worker | None:
        """A worker in the state, by way of a checkpoint or from the beginning.

        None if V8 cannot restore the checkpoint. Raises Diverged, ReplayFailed, Unavailable.
        """
        crashes: dict[int, int] = {}
        lost = 0
        while True:
            worker = await acquire()
            self._comparison = Comparison(self._engine, self._accepted, collect=collect, strict=self._strict)
            try:
                if checkpoint is not None and not await _restored(worker, snapshot):
                    await _discard(worker)
                    return None
                self._debt.is_now(0)
                reached = None
                if checkpoint is not None:
                    reached = ForkPoint(checkpoint.session, checkpoint.seq, checkpoint.state)
                await self._replay(worker, reached, target)
            except WorkerDied as died:  # killed from outside, while it restored
                await _discard(worker)
                lost = _lost_another(lost, died)
            except ReplayCrashed as crash:
                await _discard(worker)
                if crash.lost:
                    lost = _lost_another(lost, crash)
                    continue
                crashes[crash.seq] = crashes.get(crash.seq, 0) + 1
                if crashes[crash.seq] >= MAX_CRASHES:
                    raise ReplayFailed(crash.seq, crash.event, crash.agreed) from crash
            except BaseException:
                await _discard(worker)
                raise
            else:
                return worker

    async def _replay(self, worker: Worker, agreed: ForkPoint | None, target: ForkPoint) -> None:
        """From the state ``agreed``, in which the worker is; None: from the first event."""
        first = 0
        self.checkpoint, self.replayed = None, 0
        if agreed is not None:
            first = agreed.seq + 1
            self.reached = self.checkpoint = agreed.seq
        if first > target.seq:
            return
        used = self._work.cpu_seconds

        async def on_event(point: ForkPoint) -> None:
            nonlocal used
            before, used = used, self._work.cpu_seconds
            self._debt.ran(round((used - before) * 1_000_000))
            self.reached = point.seq
            self.replayed += 1
            self._tell(target)
            await self._between(worker, point if self._comparison.is_named(point.seq) else None)

        async with aclosing(history(self._log, target.session, target.seq, first)) as records:
            await replay(worker, records, agreed, self._comparison, on_event, self._work)

    def _tell(self, target: ForkPoint) -> None:
        if trio.current_time() - self._told > TELL_SECONDS:
            self._told = trio.current_time()
            _log.info("replaying %s: event %d of %d", target.session, self.reached, self.target)

    def _reject(self, checkpoint: Checkpoint, why: str) -> None:
        _log.warning("%s is not used: %s", _named(checkpoint), why)
        self._useless.append(checkpoint)

    async def _forget(self) -> None:
        """Once the state was restored another way: not to try the useless ones again and again."""
        if self._useless and self._forgets:
            try:
                await self._log.forget_checkpoints(self._useless)
            except StoreError as failed:
                _log.warning("checkpoints of no use are still known: %s", failed.message)


async def _restored(worker: Worker, snapshot: bytes) -> bool:
    """Whether the worker is in the state of the snapshot. Raises WorkerDied if it was killed from outside."""
    try:
        with trio.fail_after(RESTORE_SECONDS):
            await worker.restore(snapshot)
    except WorkerDied as died:
        if died.lost:
            raise
        return False
    except trio.TooSlowError:
        raise Unavailable(
            f"a checkpoint was not restored within {RESTORE_SECONDS:g} s: the machine is too busy; "
            "try again later"
        ) from None
    return True


def _lost_another(lost: int, cause: Exception) -> int:
    if lost + 1 >= MAX_LOST:
        raise Unavailable("workers are being killed from outside; try again later") from cause
    return lost + 1


def _named(checkpoint: Checkpoint) -> str:
    return f"the checkpoint of {checkpoint.session} at event {checkpoint.seq} ({checkpoint.blob[:12]})"


async def _discard(worker: Worker) -> None:
    with trio.CancelScope(shield=True):  # aclose has its own bound
        await worker.aclose()
