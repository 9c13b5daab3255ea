"""An engine in this process, on a store of its own: V8 is in its workers only."""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from benchmarks.load import LoadError
from engine.debt import Debt
from engine.events import Caller
from engine.execution import Submission, Timings
from engine.limits import LimitPolicy
from engine.opening import open_supervisor
from engine.restoring import worker_at
from engine.session import ForkPoint
from engine.supervisor import Stores, Supervisor
from persistence.directory_blobs import DirectoryBlobStore
from persistence.eventlog import EventLog
from persistence.sqlite import open_sqlite_log

OWNER = "benchmark"
CALLER = Caller(transport="benchmark")
NEVER_SECONDS = 3_600.0
"""A restore target that makes no session due for a checkpoint, except before it sleeps."""
SPARE_SECONDS = 0.05
"""What a worker that was taken needs, at most, to be replaced by another one that is ready."""
PATIENCE = 600
"""Seconds that one execution may take, with the recovery before it."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One execution as its client saw it."""

    took: float
    """Milliseconds from its submission to its end."""
    timings: Timings


class Engine:
    """A supervisor and its log, with short ways to use them."""

    def __init__(self, supervisor: Supervisor, log: EventLog) -> None:
        self.supervisor = supervisor
        self.log = log

    async def run(self, code: str, session: str) -> Answer:
        """Run code to its end. Raises LoadError if that is not "completed"."""
        began = time.perf_counter()
        asked = Submission(code=code, session=session, owner=OWNER, caller=CALLER)
        execution = await self.supervisor.executions.submit(asked)
        report = await execution.wait(PATIENCE)
        took = (time.perf_counter() - began) * 1_000
        if report is None or report.status != "completed":
            raise LoadError(f"{code!r} in session {session}: {report}")
        return Answer(took=took, timings=execution.timings)

    async def state(self, session: str) -> ForkPoint:
        """The state that a session is in."""
        row = await self.log.session_named(OWNER, session)
        assert row is not None
        return ForkPoint(row.session, row.state_seq, row.state_id)

    async def sleep(self, session: str) -> int:
        """Put a session to sleep as an eviction does; how many checkpoints it has then."""
        (actor,) = (actor for actor in self.supervisor._actors if actor.name == session)
        actor.retire()
        await actor.ended.wait()
        assert self.supervisor._checkpointer is not None
        await self.supervisor._checkpointer.idle()
        return len(await self.log.checkpoints((await self.state(session)).session))

    async def spares(self) -> None:
        """Give the workers that were taken the time to be replaced."""
        await trio.sleep(SPARE_SECONDS)

    async def restore(self, point: ForkPoint | None) -> float:
        """Bring a worker to a state (None: a new session's), and throw it away; the milliseconds it took."""
        await self.spares()
        began = time.perf_counter()
        worker = await worker_at(self.supervisor._sessions, OWNER, "measured", point, never_due())
        took = (time.perf_counter() - began) * 1_000
        self.supervisor.places.give_back(worker)
        return took


def never_due() -> Debt:
    """A debt for which no checkpoint is made."""
    return Debt(round(NEVER_SECONDS * 1_000_000))


def stages(answers: Iterable[Answer]) -> dict[str, float]:
    """The median milliseconds of each stage of some executions."""
    timings = [answer.timings for answer in answers]
    return {
        name.removesuffix("_us"): statistics.median(getattr(one, name) for one in timings) / 1_000
        for name in Timings.__struct_fields__
    }


@asynccontextmanager
async def open_engine(directory: Path) -> AsyncIterator[Engine]:
    """An engine that makes checkpoints only before a session sleeps."""
    async with (
        open_sqlite_log(directory) as log,
        open_supervisor(
            stores=Stores(log, DirectoryBlobStore(directory)),
            policy=LimitPolicy(),
            cache_dir=directory / "cache",
            max_workers=64,
            restore_target_seconds=NEVER_SECONDS,
        ) as supervisor,
    ):
        yield Engine(supervisor, log)
