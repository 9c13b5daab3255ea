"""What clients are told of an execution that is over. Pure."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from engine.events import Aborted, AbortReason, ErrorDetail, Executed
from engine.execution import Report, Status
from engine.limits import Limits


class Abort(Struct, frozen=True):
    """An execution was stopped: why, and after how long (microseconds)."""

    reason: AbortReason
    duration_us: int
    lost: bool = False
    """Whether the worker was killed from outside: with its zygote, or by the operator or the kernel."""
    of_cpu_time: bool = False
    """Whether it timed out by the CPU time that it used."""
    thrown: ErrorDetail | None = None
    """What the code threw, where it came to that: it says where the stack overflowed."""


_STATUS: dict[AbortReason, Status] = {
    "timed_out": "timed_out",
    "cancelled": "cancelled",
    "out_of_memory": "out_of_memory",
    "stack_overflow": "failed",
    "crashed": "crashed",
    "node_lost": "crashed",
}


def status_of(event: Executed | Aborted) -> Status:
    """The status that clients see."""
    return _STATUS[event.reason] if isinstance(event, Aborted) else event.outcome.status


def abort_error(abort: Abort, limits: Limits) -> ErrorDetail:
    """What users are told about an abort."""
    time = f"{limits.cpu_seconds:g} s of CPU time" if abort.of_cpu_time else f"{limits.time_ms / 1_000:g} s"
    name, message = {
        "timed_out": ("TimedOut", f"timed out after {time}"),
        "cancelled": ("Cancelled", "cancelled before it was over"),
        "out_of_memory": (
            "OutOfMemory",
            f"needed more than {limits.heap_mb} MB of heap or {limits.offheap_mb} MB of buffers",
        ),
        "stack_overflow": (
            "StackOverflow",
            "the call stack overflowed: too deep a recursion, or too many arguments",
        ),
        "crashed": (
            "Crashed",
            "the worker process was killed: perhaps the server had no memory left for it"
            if abort.lost
            else "the worker process died",
        ),
        "node_lost": ("NodeLost", "the node of the cluster that ran it was lost"),
    }[abort.reason]
    thrown = abort.thrown or ErrorDetail(name=name, message=message)
    return replace(thrown, name=name, message=message, undone=True)


def report(
    event: Executed | Aborted, *, session: str | None, heap: str | None, created: bool = False
) -> Report:
    """What clients are told. ``session`` and ``heap`` are None in stateless mode."""
    stateful = session is not None
    common = {
        "execution_id": event.execution_id,
        "session": session,
        "created": created,
        "event": event.seq if stateful else None,
        "heap": heap,
        "console": event.console,
        "started_at": event.at,
        "completed_at": event.at + event.duration_us,
        "duration_us": event.duration_us,
    }
    if isinstance(event, Aborted):
        return Report(status=status_of(event), error=event.error, **common)  # type: ignore[arg-type]
    outcome = event.outcome
    return Report(
        status=status_of(event),
        result=outcome.result,
        result_json=outcome.result_json,
        result_json_omitted=outcome.result_json_omitted,
        error=outcome.error,
        pending=outcome.pending,
        pending_timers=outcome.pending_timers,
        console_dropped=outcome.console_dropped,
        **common,  # type: ignore[arg-type]
    )
