"""Replay: run recorded events again in a worker, and notice where that differs from the record."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable

import trio
from msgspec import Struct

from engine.chain import Record
from engine.errors import Conflict, EngineError, Unavailable
from engine.events import Created, Executed, Forked, Line
from engine.isolate.wire import Done, Run
from engine.session import ForkPoint
from engine.workers import Worker, WorkerDied

MAX_CRASHES = 3
"""Replays of one event that may kill a worker before the session counts as failed."""
_PATIENCE = 4.0
"""A replayed event may take this many times its time limit (the machine may be busy),"""
_MIN_SECONDS = 60.0
"""but always that long."""
_SHOWN = 2_000
"""Characters of a differing value kept in a report."""


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
            f"than recorded (expected {divergence.expected!r}, got {divergence.got!r}); "
            f"{_from(divergence.agreed)}",
            field="session",
        )
        self.divergence = divergence


class ReplayFailed(Conflict):
    """Replaying one event killed a worker several times; the session is read-only."""

    code = "session_failed"

    def __init__(self, seq: int, event: str, agreed: ForkPoint) -> None:
        super().__init__(
            f"this session is read-only: replaying event {seq} ({event}) ended its worker "
            f"{MAX_CRASHES} times; {_from(agreed)}",
            field="session",
        )
        self.seq = seq


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
    engine: str,
    on_event: Callable[[ForkPoint], Awaitable[None]],
) -> None:
    """Run events in a worker that is in the state before them, ``agreed`` (None: that of a new session).

    ``engine`` is the current engine id: where an event was recorded by another one, only what does not depend
    on V8's wording is compared. ``on_event`` is called after each event that was run, with the state reached.
    Raises Diverged, ReplayCrashed (the worker is of no use then), StoreCorrupt, Unavailable.
    """
    async for record in records:
        event = record.event
        reached = ForkPoint(event.session, event.seq, record.id)
        if isinstance(event, Executed):
            await _replay_event(worker, record, event, engine, agreed or reached)
            agreed = reached
            await on_event(reached)
        elif isinstance(event, (Created, Forked)):
            agreed = reached


async def _replay_event(
    worker: Worker, record: Record, event: Executed, engine: str, agreed: ForkPoint
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
        with trio.move_on_after(seconds) as patience:
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
    difference = compare(event, done, tuple(console), same_engine=event.engine == engine)
    if difference is not None:
        field, expected, got = difference
        raise Diverged(
            Divergence(
                seq=event.seq,
                event=record.id.hex(),
                field=field,
                expected=expected[:_SHOWN],
                got=got[:_SHOWN],
                agreed=agreed,
            )
        )


def compare(
    event: Executed, done: Done, console: tuple[Line, ...], *, same_engine: bool
) -> tuple[str, str, str] | None:
    """The first field in which a replay differs from the record: (field, expected, got).

    The digests decide for the same engine; across engines status and JSON result must agree, while
    texts may change.
    """
    if same_engine and done.digest == event.digest:
        return None
    was, now = event.outcome, done.outcome
    strict: tuple[tuple[str, object, object], ...] = (
        ("status", was.status, now.status),
        ("result_json", was.result_json, now.result_json),
        ("pending", was.pending, now.pending),
        ("timers", (event.trace.timers_before, event.trace.timers_after), _timers(done)),
    )
    for field, expected, got in strict:
        if expected != got:
            return field, str(expected), str(got)
    if not same_engine:
        return None
    texts: tuple[tuple[str, object, object], ...] = (
        ("result", was.result, now.result),
        ("error", was.error, now.error),
        ("console", event.console, console),
        ("clock", event.trace.clock, done.trace.clock),
        ("pending_timers", was.pending_timers, now.pending_timers),
    )
    for field, expected, got in texts:
        if expected != got:
            return field, *_first_difference(str(expected), str(got))
    return "digest", event.digest.hex(), done.digest.hex()


def _timers(done: Done) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return done.trace.timers_before, done.trace.timers_after


def _first_difference(expected: str, got: str) -> tuple[str, str]:
    """The two texts from shortly before where they part."""
    pairs = enumerate(zip(expected, got, strict=False))
    at = next((i for i, (a, b) in pairs if a != b), min(len(expected), len(got)))
    start = max(0, at - 40)
    return expected[start:], got[start:]
