"""Replay: run recorded events again in a worker, and notice where that differs from the record."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable

import trio
from msgspec import Struct

from engine.chain import Record
from engine.comparison import Comparison
from engine.errors import Conflict, EngineError, Unavailable
from engine.events import Accepted, Created, Executed, Forked, Line
from engine.isolate.wire import Run
from engine.scheduler import Work
from engine.session import ForkPoint
from engine.workers import Worker, WorkerDied

MAX_CRASHES = 3
"""Replays of one event that may kill a worker before the session counts as failed."""
_PATIENCE = 4.0
"""A replayed event may take this many times its time limit (the machine may be busy),"""
_MIN_SECONDS = 60.0
"""but always that long."""
_TOLD = 80
"""Characters of a differing value in a sentence."""


class Divergence(Struct, frozen=True, kw_only=True):
    """A replayed event did not do what the log says it did."""

    seq: int
    event: str
    """Id of the event, hex."""
    field: str
    expected: str
    got: str
    agreed: ForkPoint
    """The last state that the replay reproduced: fork there to go on."""


class Diverged(Conflict):
    """The session's history cannot be reproduced; it is read-only."""

    code = "session_diverged"

    def __init__(self, divergence: Divergence) -> None:
        super().__init__(
            f"this session is read-only: replaying event {divergence.seq} gave another {divergence.field} "
            f"than recorded (expected {divergence.expected[:_TOLD]!r}, got {divergence.got[:_TOLD]!r}); "
            f"{_from(divergence.agreed)}; or accept what the replay gives: mcp-v8 accept name, or "
            "POST /api/sessions/name/accept",
            field="session",
        )
        self.divergence = divergence


class ReplayFailed(Conflict):
    """Replaying one event killed a worker several times; the session is read-only, and can only be forked."""

    code = "session_failed"

    def __init__(self, seq: int, event: str, agreed: ForkPoint) -> None:
        super().__init__(
            f"this session is read-only: replaying event {seq} ({event}) ended its worker "
            f"{MAX_CRASHES} times; {_from(agreed)}",
            field="session",
        )
        self.seq = seq
        self.agreed = agreed


def _from(agreed: ForkPoint) -> str:
    # the number comes first: the heap is not found where it is of a parent that was deleted
    return f"go on from its last good state as name@{agreed.seq}, or with heap {agreed.id.hex()}"


class ReplayCrashed(EngineError):
    """A worker died while it replayed an event; another try may do better.

    ``lost`` where it was killed from outside, which says nothing of the event.
    """

    def __init__(self, seq: int, event: str, agreed: ForkPoint, *, lost: bool) -> None:
        super().__init__(f"a worker died while replaying event {seq}")
        self.seq, self.event, self.agreed, self.lost = seq, event, agreed, lost


async def replay(
    worker: Worker,
    records: AsyncIterable[Record],
    agreed: ForkPoint | None,
    comparison: Comparison,
    on_event: Callable[[ForkPoint], Awaitable[None]],
    work: Work,
) -> None:
    """Run events in a worker that is in the state before them, ``agreed`` (None: that of a new session).

    ``on_event`` is called after each event that was run, with its name; whether that also names the state
    that the worker is in then, ``comparison`` knows. Running them is part of ``work``. Raises Diverged,
    ReplayCrashed (the worker is of no use then), StoreCorrupt, Unavailable.
    """
    async for record in records:
        event = record.event
        reached = ForkPoint(event.session, event.seq, record.id)
        if isinstance(event, Executed):
            await _replay_event(worker, record, event, comparison, agreed or reached, work)
            await on_event(reached)
        elif not isinstance(event, (Created, Forked, Accepted)):
            continue
        if comparison.is_named(event.seq):
            agreed = reached


async def _replay_event(
    worker: Worker,
    record: Record,
    event: Executed,
    comparison: Comparison,
    agreed: ForkPoint,
    work: Work,
) -> None:
    console: list[Line] = []
    run = Run(
        seq=event.seq,
        code=event.code,
        input=event.input,
        limits=event.limits,
        start=event.trace.start,
        seed=event.trace.seed,
        trace=event.trace,
    )
    seconds = max(_MIN_SECONDS, _PATIENCE * event.limits.time_ms / 1_000)
    try:
        with trio.move_on_after(seconds) as patience, work.on(worker, patience):
            done = await worker.run(run, console.extend)
    except WorkerDied as died:
        raise ReplayCrashed(event.seq, record.id.hex(), agreed, lost=died.lost) from died
    if patience.cancelled_caught:
        raise Unavailable(
            f"replaying event {event.seq} took more than {seconds:g} s: the machine is too busy; "
            "try again later"
        )
    if done.overflow:
        raise ReplayCrashed(event.seq, record.id.hex(), agreed, lost=False)
    difference = comparison.check(event, done, tuple(console))
    if difference is not None:
        raise Diverged(
            Divergence(
                seq=event.seq,
                event=record.id.hex(),
                field=difference.field,
                expected=difference.expected,
                got=difference.got,
                agreed=agreed,
            )
        )
