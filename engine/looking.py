"""Looking at the variables of a session. Nothing of it is recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import trio

from engine.catalog import StateView
from engine.debt import Debt
from engine.errors import Busy, EngineError, TooLarge, Unavailable
from engine.isolate import wire
from engine.restoring import Source, worker_at
from engine.scheduler import Scheduler
from engine.session import ForkPoint
from engine.workers import Worker, WorkerDied

LOOK_SECONDS = 10.0
"""What describing the variables may take."""
PATIENCE_SECONDS = 45.0
"""What a look may take together: its turn in the session, or the way to a point of the past, included."""
PREVIEW_CHARS = 200
"""Characters of a variable's preview, unless more are asked for."""
MAX_PREVIEW_CHARS = 2_000
MAX_LOOKS_BACK = 2
"""Looks at points of the past that are on their way at once: each takes a worker, and may replay for long."""
MAX_WALKS = 2
"""The same of replays that take as long as they need. They have places of their own: looks are short."""
MAX_SEARCHES = 2
"""The same of pages of searches: half of the store's readers, so that other reads go on beside them."""
MAX_PARSES = 4
"""The same of code that is parsed: who types it does not wait for looks."""


class LooksBack:
    """The places of looks at the past: ``most`` of them, and ``of_owner`` for each owner, so that nobody's
    looks keep others from theirs. One that is waited for is given up after ``seconds`` (PATIENCE_SECONDS).
    """

    def __init__(self, most: int = MAX_LOOKS_BACK, of_owner: int = 1, seconds: float | None = None) -> None:
        self._places = trio.CapacityLimiter(most)
        self._of_owner = of_owner
        self._seconds = seconds
        self._owners: dict[str, trio.CapacityLimiter] = {}

    @property
    def patience(self) -> float:
        """What a look may take, its place included, in seconds."""
        return PATIENCE_SECONDS if self._seconds is None else self._seconds

    @asynccontextmanager
    async def place(self, owner: str) -> AsyncIterator[None]:
        """Have a place in the block, for as long as that takes. Raises Busy where none comes free in time."""
        turns = self._owners.setdefault(owner, trio.CapacityLimiter(self._of_owner))
        async with AsyncExitStack() as held:
            held.callback(self._drop, owner, turns)
            with trio.move_on_after(self.patience) as waiting:
                await held.enter_async_context(turns)
                await held.enter_async_context(self._places)
            if waiting.cancelled_caught:
                raise _busy(self.patience)
            yield

    @asynccontextmanager
    async def short(self, owner: str, late: Callable[[], EngineError]) -> AsyncIterator[None]:
        """The same for a block that is over in time, or is ended; then ``late`` is raised."""
        began = False
        with trio.move_on_after(self.patience):
            async with self.place(owner):
                began = True
                yield
                return
        raise late() if began else _busy(self.patience)

    def _drop(self, owner: str, turns: trio.CapacityLimiter) -> None:
        if not turns.borrowed_tokens and not turns.statistics().tasks_waiting:
            self._owners.pop(owner, None)

    @property
    def taken(self) -> int:
        """Places that are in use, and owners that have one or wait."""
        return self._places.borrowed_tokens + len(self._owners)


def _busy(seconds: float) -> Busy:
    return Busy(
        "looks, replays, searches and parsing take their turn, one at a time for each owner, and it did "
        f"not come within {seconds:g} s: try again when what you have asked for is over"
    )


async def look(
    worker: Worker, scheduler: Scheduler, owner: str, session: str, point: ForkPoint, preview_chars: int
) -> StateView:
    """The variables in ``worker``, which is in the state ``point`` of the owner's session of that name.

    If it raises, or is cancelled, the worker is of no use. Raises TooLarge, Unavailable.
    """
    try:
        with (
            scheduler.work("look", owner, session) as work,
            trio.move_on_after(LOOK_SECONDS) as scope,
            work.on(worker, scope),
        ):
            seen = await worker.look(wire.Look(preview_chars=preview_chars))
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


async def look_back(
    source: Source, owner: str, session: str, point: ForkPoint, preview_chars: int
) -> StateView:
    """The variables at a past point, in a worker that is used for nothing else.

    Raises what ``worker_at`` and ``look`` do.
    """
    worker = await worker_at(source, owner, session, point, Debt.for_target(source.restore_target_seconds))
    try:
        return await look(worker, source.scheduler, owner, session, point, preview_chars)
    finally:
        source.places.give_back(worker)
