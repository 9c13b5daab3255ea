"""Looking at the variables of a session. Nothing of it is recorded."""

from __future__ import annotations

from typing import Protocol

import trio

from engine.catalog import StateView
from engine.errors import TooLarge, Unavailable
from engine.isolate import wire
from engine.places import Places
from engine.recovery import restore
from engine.session import ForkPoint
from engine.workers import Worker, WorkerDied
from persistence.eventlog import EventLog

LOOK_SECONDS = 10.0
"""What describing the variables may take."""
PATIENCE_SECONDS = 45.0
"""What a look may take together: its turn in the session, or the way to a point of the past, included."""
MAX_LOOKS_BACK = 2
"""Looks at points of the past that are on their way at once: each takes a worker, and may replay for long."""


class Source(Protocol):
    """What it takes to bring a worker to some state."""

    @property
    def log(self) -> EventLog:
        """Where events are."""
        ...

    @property
    def engine_id(self) -> str:
        """Names V8, its flags and the base image."""
        ...

    @property
    def places(self) -> Places:
        """Where workers come from."""
        ...


async def worker_at(source: Source, target: ForkPoint | None) -> Worker:
    """A worker in the state ``target``, or in that of a new session; it counts until ``give_back``.

    Raises Diverged, ReplayFailed, StoreError, Unavailable.
    """
    taken: list[Worker] = []

    async def acquire() -> Worker:
        while taken:  # a worker that died while it replayed
            source.places.give_back(taken.pop())
        taken.append(await source.places.take())
        return taken[-1]

    try:
        if target is None:
            return await acquire()
        return await restore(source.log, target, source.engine_id, acquire)
    except BaseException:
        while taken:
            source.places.give_back(taken.pop())
        raise


async def look(worker: Worker, session: str, point: ForkPoint) -> StateView:
    """The variables in ``worker``, which is in the state ``point`` of the session of that name.

    If it raises, or is cancelled, the worker is of no use. Raises TooLarge, Unavailable.
    """
    try:
        with trio.move_on_after(LOOK_SECONDS):
            seen = await worker.look(wire.Look())
            return StateView(
                session=session, event=point.seq, heap=point.id.hex(), globals=seen.globals, more=seen.more
            )
    except WorkerDied as died:
        if died.reason == "out_of_memory":
            raise TooLarge(
                f"the variables of session {session} need more memory to be described than it may use",
                field="session",
            ) from died
        raise Unavailable(
            f"the worker of session {session} died while its variables were read; try again"
        ) from died
    raise TooLarge(
        f"the variables of session {session} take more than {LOOK_SECONDS:g} s to be described",
        field="session",
    )


async def look_back(source: Source, session: str, point: ForkPoint) -> StateView:
    """The variables at a past point, in a worker that is used for nothing else.

    Raises what ``worker_at`` and ``look`` do.
    """
    worker = await worker_at(source, point)
    try:
        return await look(worker, session, point)
    finally:
        source.places.give_back(worker)
