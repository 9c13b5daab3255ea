"""One attempt to run a submission in a worker: prepared, run within its limits, concluded."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

import trio
from msgspec import Struct
from msgspec.structs import replace

from engine import outcomes
from engine.events import TICKS_PER_MS, Aborted, AbortReason, Executed, Line
from engine.execution import Execution, Submission
from engine.isolate.wire import Done, Run
from engine.limits import LimitPolicy, Limits
from engine.outcomes import Abort
from engine.plausibility import is_plausible
from engine.scheduler import Scheduler
from engine.workers import Worker, WorkerDied

_SEED_BYTES = 16
GRACE_SECONDS = 0.1
"""A worker whose timers ended exactly at the limit has that long to say what came of it."""


class Attempt(Struct, frozen=True, kw_only=True):
    """All that is fixed before the code starts."""

    execution_id: str
    submission: Submission
    limits: Limits
    engine: str
    accepted_at: int
    """Microseconds since the epoch."""
    start: int
    """The execution's clock at its start, ticks of 0.1 ms since the epoch."""
    seed: bytes
    seq: int


def prepare(
    execution: Execution, submission: Submission, policy: LimitPolicy, engine: str, seq: int
) -> Attempt:
    """Fix limits, clock and seed of an execution that starts now, as event ``seq``."""
    return Attempt(
        execution_id=execution.id,
        submission=submission,
        limits=policy.clamp(time_ms=submission.time_ms, heap_mb=submission.heap_mb),
        engine=engine,
        accepted_at=execution.accepted_at,
        start=time.time_ns() // (1_000_000 // TICKS_PER_MS),
        seed=secrets.token_bytes(_SEED_BYTES),
        seq=seq,
    )


async def run(
    worker: Worker, attempt: Attempt, execution: Execution, scheduler: Scheduler, session: str
) -> Done | Abort:
    """Run in a worker within the time limits. After an Abort the worker is of no use.

    A complete answer wins over a limit, a cancel or a death that came at the same time; after it
    the worker may be dead.
    """
    began = trio.current_time()
    reason: AbortReason = "timed_out"
    done: Done | None = None
    lost = False
    limits = attempt.limits
    with (
        scheduler.work("execution", execution.owner, session) as work,
        execution.cancellable(began + limits.time_ms / 1_000 + GRACE_SECONDS) as scope,
        work.on(worker, scope, cpu_seconds=limits.cpu_seconds, may_wait=True),
    ):
        try:
            done = await worker.run(_message(attempt), execution.emit)
        except WorkerDied as died:
            lost, execution.death = died.lost, died.message
            reason = "out_of_memory" if died.reason == "out_of_memory" else "crashed"
    cpu_us = round(work.cpu_seconds * 1_000_000)
    execution.cpu_us += cpu_us
    execution.held_us += round(work.held_seconds * 1_000_000)
    if scope.cancelled_caught:
        with trio.CancelScope(shield=True):  # bounded by itself
            done = await worker.kill_and_collect()
        if execution.cancel_requested:
            reason = "cancelled"
    took = round((trio.current_time() - began - work.held_seconds) * 1_000_000)
    if done is not None and not _plausible(done, attempt):
        execution.death = f"worker {worker.number} gave an impossible answer: its code has got hold of it"
        return Abort("crashed", took)
    if done is None:
        if reason != "timed_out":
            return Abort(reason, took, lost)
        if work.has_used_up:
            return Abort(reason, took, of_cpu_time=True)
        return Abort(reason, limits.time_ms * 1_000)  # what killing took beyond the limit is not the code's
    if done.overflow:
        return Abort("stack_overflow", done.duration_us, thrown=done.outcome.error)
    return replace(done, cpu_us=cpu_us)  # whatever the worker says


def _plausible(done: Done, attempt: Attempt) -> bool:
    """Whether a worker that keeps the limits can have said this; what it says is recorded for ever."""
    asked = (attempt.start, attempt.seed)
    return (done.trace.start, done.trace.seed) == asked and is_plausible(
        done.trace, done.outcome, done.duration_us, attempt.limits
    )


def conclude(
    attempt: Attempt, session: str, result: Done | Abort, console: Sequence[Line]
) -> Executed | Aborted:
    """The event that tells of the attempt."""
    asked = attempt.submission
    shared = {
        "session": session,
        "seq": attempt.seq,
        "at": attempt.start * (1_000 // TICKS_PER_MS),
        "accepted_at": attempt.accepted_at,
        "execution_id": attempt.execution_id,
        "owner": asked.owner,
        "caller": asked.caller,
        "engine": attempt.engine,
        "code": asked.code,
        "input": asked.input,
        "limits": attempt.limits,
        "idempotency_key": asked.idempotency_key,
        "request_hash": asked.request_hash,
        "console": tuple(console),
        "duration_us": result.duration_us,
    }
    if isinstance(result, Abort):
        error = outcomes.abort_error(result, attempt.limits)
        return Aborted(reason=result.reason, error=error, **shared)  # type: ignore[arg-type]
    return Executed(
        trace=result.trace,
        outcome=result.outcome,
        cpu_us=result.cpu_us,
        digest=result.digest,
        **shared,  # type: ignore[arg-type]
    )


def _message(attempt: Attempt) -> Run:
    return Run(
        seq=attempt.seq,
        code=attempt.submission.code,
        input=attempt.submission.input,
        limits=attempt.limits,
        start=attempt.start,
        seed=attempt.seed,
    )
