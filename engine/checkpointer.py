"""Makes checkpoints of live sessions: asks a worker for a copy, tries what the copy made, and keeps it.

The session waits only for the fork. The copy makes the snapshot at low priority; a fresh worker restores it
once, since V8 makes snapshots that it cannot restore, and these are known only by trying; then the blob is
stored, and only then the log knows of it. Whatever goes wrong costs a checkpoint and nothing else: it is
told, and the next attempt waits longer (``engine.debt``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio
from msgspec import Struct

from engine import checkpoints, slots
from engine.checkpoints import Checkpoint
from engine.copies import CheckpointDeclined, Copy
from engine.debt import Debt
from engine.errors import BlobError, EngineError, StoreFull, Unavailable
from engine.retention import superfluous
from engine.session import ForkPoint
from engine.slots import Slots
from engine.space import Space
from engine.timestamps import now_us
from engine.worker import Worker
from engine.workers import WorkerDied, Workers
from persistence.blobstore import BlobStore
from persistence.eventlog import EventLog

_log = logging.getLogger(__name__)

FORK_SECONDS = 10.0
"""What a worker may take to fork: it runs no code of the session's meanwhile."""
COPY_SECONDS = 120.0
"""What a copy may take: that of a large state, at low priority on a busy machine."""
TRIAL_SECONDS = 60.0


class Made(Struct, frozen=True, kw_only=True):
    """What became of an attempt to make a checkpoint."""

    session: str
    """Internal id."""
    seq: int
    """Number of the event whose state it is."""
    size: int
    """Bytes stored; 0 if there is none."""
    took_us: int
    """From the fork until it was kept, or given up."""
    declined: str | None
    """Why there is none."""


class Making:
    """A checkpoint that is being made; ``over`` is told what became of it."""

    def __init__(self, over: Callable[[Made], object]) -> None:
        self.copied = trio.Event()
        """The copy has ended: its worker may be closed."""
        self.is_over = trio.Event()
        """It is kept, or given up."""
        self.patience = trio.CancelScope()
        """What the copy and its trial are in: cancelled where they take too long for others to wait."""
        self.over = over


class Checkpointer:
    """Makes checkpoints in ``nursery``, as many at a time as ``Slots`` allow. ``told`` hears of each."""

    def __init__(
        self,
        nursery: trio.Nursery,
        workers: Workers,
        log: EventLog,
        blobs: BlobStore,
        space: Space,
        told: Callable[[Made], object],
    ) -> None:
        self._nursery = nursery
        self._workers = workers
        self._log = log
        self._blobs = blobs
        self._space = space
        self._slots = Slots()
        self._told = told
        self._idle = trio.Event()
        self._idle.set()

    async def begin(
        self,
        worker: Worker,
        point: ForkPoint,
        debt: Debt,
        *,
        wait: bool = False,
        over: Callable[[Made], object] = lambda made: None,
    ) -> Making | None:
        """Let the worker, which is in the state ``point`` and in no run, fork; the rest goes on by itself.

        None if there is no room now (unless it shall ``wait``), or no copy. ``over`` is told when it is
        kept or given up, also where there was no copy. Raises WorkerDied.
        """
        making = Making(over)
        long = debt.cost_us > slots.LONG_SECONDS * 1_000_000
        if not await self._slots.take(making, long=long, wait=wait):
            return None
        began = trio.current_time()
        debt.begin()
        copy = None
        try:
            # not to be left in the middle, which would cost the worker
            with trio.move_on_after(FORK_SECONDS, shield=True):
                self._space.check(max(1, debt.size))
                copy = await worker.checkpoint()
        except (CheckpointDeclined, StoreFull) as declined:
            self._end(making, point, debt, began, declined)
            return None
        except BaseException:
            self._end(making, point, debt, began, Unavailable("its worker died, or was needed"))
            raise
        if copy is None:
            worker.kill()
            self._end(making, point, debt, began, Unavailable("its worker did not fork in time"))
            return None
        if self._idle.is_set():
            self._idle = trio.Event()
        self._nursery.start_soon(self._finish, making, copy, point, debt, began)
        return making

    async def idle(self) -> None:
        """Wait until none is being made."""
        await self._idle.wait()

    async def _finish(self, making: Making, copy: Copy, point: ForkPoint, debt: Debt, began: float) -> None:
        outcome: Checkpoint | EngineError = Unavailable("the server stopped meanwhile")
        self._nursery.start_soon(self._watch, making)
        try:
            snapshot = await self._make(making, copy, debt)
            outcome = await self._keep(snapshot, point, began)
        except EngineError as failed:
            outcome = failed
        except Exception:  # noqa: BLE001 - it is only a shortcut: the server goes on
            _log.exception("a checkpoint of %s at event %d failed", point.session, point.seq)
            outcome = EngineError("the engine failed: what was logged then has the details")
        finally:
            self._end(making, point, debt, began, outcome)

    async def _make(self, making: Making, copy: Copy, debt: Debt) -> bytes:
        """What the copy makes, once it was tried. Raises CheckpointDeclined, Unavailable."""
        with making.patience:
            snapshot = await self._snapshot(copy)
            making.copied.set()
            await self._try(snapshot)
            return snapshot
        debt.costs_at_least(round(slots.LONG_SECONDS * 1_000_000) + 1)  # the next is known to be long
        raise Unavailable("the snapshot takes long, and so does another one: one of such is made at a time")

    async def _snapshot(self, copy: Copy) -> bytes:
        with trio.move_on_after(COPY_SECONDS):
            return await copy.snapshot()
        raise CheckpointDeclined(f"the snapshot was not made within {COPY_SECONDS:g} s")

    async def _watch(self, making: Making) -> None:
        """Give up what has become a long one if there is no room for such."""
        with trio.move_on_after(slots.LONG_SECONDS):
            await making.is_over.wait()
        if not making.is_over.is_set() and not self._slots.lengthen(making):
            making.patience.cancel()

    async def _try(self, snapshot: bytes) -> None:
        """Restore it once. Raises CheckpointDeclined, Unavailable."""
        worker = await self._workers.acquire()
        try:
            with trio.move_on_after(TRIAL_SECONDS):
                await worker.restore(snapshot)
                return
        except WorkerDied as died:
            if died.lost:
                raise Unavailable(f"the snapshot was not tried to the end: {died.message}") from died
            raise CheckpointDeclined(f"V8 cannot restore the snapshot: {died.message}") from died
        finally:
            await worker.aclose()
        raise CheckpointDeclined(f"the snapshot was not restored within {TRIAL_SECONDS:g} s")

    async def _keep(self, snapshot: bytes, point: ForkPoint, began: float) -> Checkpoint:
        """Store it, then remember it. Raises BlobError, StoreError, StoreFull."""
        image = self._workers.image_id
        envelope = checkpoints.seal(point.id, image, snapshot)
        self._space.check(len(envelope))
        checkpoint = Checkpoint(
            session=point.session,
            seq=point.seq,
            state=point.id,
            engine=image,
            blob=await self._blobs.put(envelope),
            size=len(envelope),
            made_at=now_us(),
            cost_us=_took_us(began),
        )
        everyones = await self._log.checkpoints(point.session)
        known = [one for one in everyones if one.engine == image]
        others = [one for one in known if one.seq != point.seq]
        # of other engines and base images the newest is kept, for those who go back to one
        foreign = [one for one in everyones if one.engine != image][1:]
        forgotten = [*superfluous([checkpoint, *others], new=checkpoint), *foreign]
        await self._log.add_checkpoint(checkpoint, forgotten)
        try:
            for one in forgotten:  # at once: those of a busy session would fill the disk until the next sweep
                await self._blobs.discard(one.blob)
        except BlobError as failed:  # this one is kept all the same
            _log.warning("a blob that nothing needs was not removed: %s", failed.message)
        return checkpoint

    def _end(
        self,
        making: Making,
        point: ForkPoint,
        debt: Debt,
        began: float,
        outcome: Checkpoint | EngineError,
    ) -> None:
        making.copied.set()
        making.is_over.set()
        self._slots.give_back(making)
        if self._slots.are_free:
            self._idle.set()
        took = _took_us(began)
        if isinstance(outcome, Checkpoint):
            debt.paid(took, outcome.size)
            size, declined = outcome.size, None
        else:
            debt.refused(outcome.message, took, lasting=isinstance(outcome, CheckpointDeclined))
            size, declined = 0, outcome.message
        made = Made(session=point.session, seq=point.seq, size=size, took_us=took, declined=declined)
        self._told(made)
        making.over(made)


def _took_us(began: float) -> int:
    return round((trio.current_time() - began) * 1_000_000)
