"""Recovery: bring a worker to a past state by replaying the log, and notice when it differs.

One function serves crash, eviction, rollback, forks and time travel: ``restore``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing

import trio
from msgspec import Struct

from engine.chain import Record
from engine.errors import Conflict, EngineError, Unavailable
from engine.events import Created, Executed, Forked, Line
from engine.history import history
from engine.isolate.wire import Done, Run
from engine.session import ForkPoint
from engine.workers import Worker, WorkerDied
from persistence.eventlog import EventLog

MAX_CRASHES = 3
"""Replays of one event that may kill a worker before the session counts as failed."""
MAX_LOST = 10
"""Workers killed from outside during one recovery before it is put off."""
_PATIENCE = 4.0
"""A replayed event may take this many times its time limit (the machine may be busy),"""
_MIN_SECONDS = 60.0
"""but always that long."""
_SHOWN = 2_000
"""Characters of a differing value kept in a report."""

Acquire = Callable[[], Awaitable[Worker]]


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


async def restore(log: EventLog, target: ForkPoint, engine: str, acquire: Acquire) -> Worker:
    """A worker in the state ``target``, by replaying everything before it.

    ``engine`` is the current engine id: where an event was recorded by another one, only what does
    not depend on V8's wording is compared. Raises Diverged, ReplayFailed, StoreCorrupt, Unavailable.
    """
    crashes: dict[int, int] = {}
    lost = 0
    while True:
        worker = await acquire()
        try:
            await _replay(log, target, engine, worker)
        except ReplayCrashed as crash:
            await _discard(worker)
            if crash.lost:
                lost += 1
                if lost < MAX_LOST:
                    continue
                raise Unavailable("workers are being killed from outside; try again later") from crash
            crashes[crash.seq] = crashes.get(crash.seq, 0) + 1
            if crashes[crash.seq] >= MAX_CRASHES:
                raise ReplayFailed(crash.seq, crash.event, crash.agreed) from crash
        except BaseException:
            await _discard(worker)
            raise
        else:
            return worker


async def _replay(log: EventLog, target: ForkPoint, engine: str, worker: Worker) -> None:
    agreed = target
    async with aclosing(history(log, target.session, target.seq)) as records:
        async for record in records:
            event = record.event
            if isinstance(event, Executed):
                await _replay_event(worker, record, event, engine, agreed)
                agreed = ForkPoint(event.session, event.seq, record.id)
            elif isinstance(event, (Created, Forked)):
                agreed = ForkPoint(event.session, event.seq, record.id)


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


async def _discard(worker: Worker) -> None:
    with trio.CancelScope(shield=True):  # aclose has its own bound
        await worker.aclose()
