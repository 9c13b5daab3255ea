"""What a worker says is only believed if one that keeps its limits can have said it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from engine.attempt import Attempt, run
from engine.events import Caller, ErrorDetail, Outcome, Trace
from engine.execution import Execution, Submission
from engine.isolate.wire import Done
from engine.limits import MIB, Limits
from engine.outcomes import Abort
from engine.scheduler import Scheduler

CALLER = Caller(transport="test")
ATTEMPT = Attempt(
    execution_id="e_1",
    submission=Submission(code="1", owner="local", caller=CALLER),
    limits=Limits(),
    engine="00",
    accepted_at=0,
    start=17,
    seed=b"s" * 16,
    seq=1,
)
TRACE = Trace(start=17, seed=b"s" * 16)
ERROR = ErrorDetail(name="Error", message="m", line=1, column=1, frame="> 1 | x", stack="Error: m")
COMPLETED = Outcome(status="completed", result="1", result_json="1")
FAILED = Outcome(status="failed", error=ERROR)
DONE = Done(outcome=COMPLETED, trace=TRACE, digest=b"d" * 32, duration_us=1, cpu_us=0)


class Says:
    """A worker that answers with ``done``."""

    number = 1

    def __init__(self, done: Done) -> None:
        self._done = done

    async def run(self, *_: object) -> Done:
        return self._done

    def cpu_ns(self) -> None:
        """Nobody knows."""

    clock_ns = cpu_ns


async def outcome_of(done: Done) -> Done | Abort:
    worker: Any = Says(done)
    execution = Execution("e_1", "local", caller=CALLER, accepted_at=0)
    return await run(worker, ATTEMPT, execution, Scheduler(1), "s")


def failed(**changes: Any) -> Done:
    return replace(DONE, outcome=replace(FAILED, error=replace(ERROR, **changes)))


def traced(**changes: Any) -> Done:
    return replace(DONE, trace=replace(TRACE, **changes))


def came_to(outcome: Outcome, **changes: Any) -> Done:
    return replace(DONE, outcome=replace(outcome, **changes))


@pytest.mark.parametrize("done", [DONE, failed(), traced(timers_after=tuple(range(100_000)))])
async def test_what_a_worker_can_have_said_is_believed(done: Done) -> None:
    assert await outcome_of(done) == done


@pytest.mark.parametrize(
    "done",
    [
        failed(line=-1),
        failed(column=1 << 60),
        failed(frame="x" * 2_001),
        failed(undone=True),
        failed(message="x" * 2 * MIB),
        came_to(FAILED, error=None),
        came_to(COMPLETED, error=ERROR),
        came_to(COMPLETED, result_json_omitted="x" * 2 * MIB),
        came_to(COMPLETED, pending_timers=-1),
        traced(timers_before=(-1,)),
        traced(timers_after=(1 << 60,)),
        traced(timers_before=(0,), timers_after=tuple(range(100_000))),
        traced(clock=(1 << 60, 1)),
        traced(seed=b"t" * 16),
        replace(DONE, duration_us=-1),
    ],
)
async def test_what_no_worker_can_have_said_is_a_crash(done: Done) -> None:
    result = await outcome_of(done)
    assert isinstance(result, Abort)
    assert result.reason == "crashed"
