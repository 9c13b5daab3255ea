"""A worker in some state, from the places that there are: for sessions, and for looks at the past."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

import trio
from msgspec import Struct

from engine.checkpointer import Checkpointer, Made, Making
from engine.debt import Debt
from engine.errors import EngineError, Unavailable
from engine.places import Places
from engine.recovery import Recovered, Recovery
from engine.scheduler import Scheduler
from engine.session import ForkPoint
from engine.workers import Worker
from persistence.blobstore import BlobStore
from persistence.eventlog import EventLog

LAST_COPY_SECONDS = 30.0
"""What the copy that was made last may still take before its worker, and it with that, is ended."""


class Ready(Struct, frozen=True):
    """A worker that was made ready for a session before it was this node's; it counts until ``give_back``."""

    worker: Worker
    point: ForkPoint
    """The state that it is in."""
    debt: Debt


class Source(Protocol):
    """What it takes to bring a worker to some state."""

    restore_target_seconds: float
    """What a recovery should take: checkpoints are made accordingly."""
    max_recovery_seconds: float
    """What one recovery may take. The next goes on from the checkpoints that it made."""
    forgets: bool
    """Whether the log forgets checkpoints that are of no use here."""

    @property
    def log(self) -> EventLog:
        """Where events are."""
        ...

    @property
    def blobs(self) -> BlobStore:
        """Where snapshots are."""
        ...

    @property
    def engine_id(self) -> str:
        """Names V8, its flags and the base image."""
        ...

    @property
    def image_id(self) -> str:
        """Names the engine and the bytes of the base image."""
        ...

    @property
    def places(self) -> Places:
        """Where workers come from."""
        ...

    @property
    def checkpointer(self) -> Checkpointer:
        """Who makes checkpoints."""
        ...

    @property
    def scheduler(self) -> Scheduler:
        """Who lets replays run."""
        ...

    @property
    def recovered(self) -> Callable[[Recovered], None]:
        """Is told of every recovery that is over."""
        ...


async def worker_at(
    source: Source,
    owner: str,
    name: str,
    target: ForkPoint | None,
    debt: Debt,
    begun: Callable[[Recovery], object] = lambda recovery: None,
    *,
    accept: bool = False,
    copying: Callable[[Making], object] = lambda making: None,
    over: Callable[[Made], object] = lambda made: None,
    makes_checkpoints: bool = True,
) -> Worker:
    """A worker in the state ``target`` of the owner's session of that name, or of a new one; it counts until
    ``give_back``. With ``accept``, in the state that the whole replay gives instead.

    A long replay makes checkpoints on its way, by ``debt``; ``copying`` is told of each, whose copy ends with
    the worker, and ``over`` is told when one was made or given up. ``begun`` is told of the recovery, to
    look at its progress. Raises Diverged, ReplayFailed, StoreError, Unavailable.

    Not ``makes_checkpoints``: the session is another node's still.
    """
    taken: list[Worker] = []

    async def acquire() -> Worker:
        while taken:  # a worker that died while it replayed
            source.places.give_back(taken.pop())
        taken.append(await source.places.take(owner))
        return taken[-1]

    making: Making | None = None

    async def between(worker: Worker, point: ForkPoint | None) -> None:
        nonlocal making
        if makes_checkpoints and point is not None and debt.is_due:
            begun_now = await source.checkpointer.begin(worker, point, debt, over=over)
            if begun_now is not None:
                making = begun_now
                copying(making)

    try:
        if target is None:
            return await acquire()
        work = source.scheduler.work("replay", owner, name)
        recovery = Recovery(
            source.log,
            source.blobs,
            source.image_id,
            work,
            debt=debt,
            between=between,
            forgets=source.forgets,
        )
        begun(recovery)
        restore = recovery.accept if accept else recovery.restore
        with _told_of(source, recovery, name, target):
            try:
                with trio.fail_after(source.max_recovery_seconds), work:
                    return await restore(target, acquire)
            except trio.TooSlowError:
                if making is not None:
                    with trio.move_on_after(LAST_COPY_SECONDS):
                        await making.copied.wait()
                goes_on = "begins anew" if accept else "goes on from its last checkpoint"
                raise Unavailable(
                    f"the session was not rebuilt within {source.max_recovery_seconds:g} s, only to event "
                    f"{recovery.reached} of {recovery.target}: the next request {goes_on}; "
                    "--max-recovery-seconds allows more"
                ) from None
    except BaseException:
        while taken:
            source.places.give_back(taken.pop())
        raise


async def went_on(source: Source, owner: str, name: str, ready: Ready, target: ForkPoint) -> bool:
    """Bring a worker that was made ready earlier to the state of now, by what was recorded since; whether it
    could be brought there.
    """
    if ready.point == target:
        return ready.worker.running()
    work = source.scheduler.work("replay", owner, name)
    recovery = Recovery(
        source.log, source.blobs, source.image_id, work, debt=ready.debt, forgets=source.forgets
    )
    with suppress(EngineError), trio.move_on_after(source.max_recovery_seconds), work:
        return await recovery.go_on(ready.worker, ready.point, target)
    return False


@contextmanager
def _told_of(source: Source, recovery: Recovery, name: str, target: ForkPoint) -> Iterator[None]:
    """Tell what the recovery in the block comes to, unless it is cancelled."""
    began = trio.current_time()

    def tell(failure: EngineError | None) -> None:
        source.recovered(
            Recovered(
                name=name,
                session=target.session,
                seq=target.seq,
                checkpoint=recovery.checkpoint,
                replayed=recovery.replayed,
                took_us=round((trio.current_time() - began) * 1_000_000),
                drift=recovery.drift,
                failure=failure,
            )
        )

    try:
        yield
    except EngineError as failed:
        tell(failed)
        raise
    tell(None)
