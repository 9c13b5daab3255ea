"""The JSON objects of what is asked of a session's past, and how the engine's facts become them. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from engine.commands import Kept
from engine.events import ErrorDetail
from engine.execution import Report, Status
from engine.statediff import StateDifference
from engine.verification import Replayed, Step
from transports.answer import describe_report
from transports.rest.shapes import GlobalAnswer, global_answer


class Pair(Struct, frozen=True):
    """A variable before and after."""

    before: GlobalAnswer
    after: GlobalAnswer


class Changes(Struct, frozen=True, kw_only=True):
    """What leads from the variables of one state to another's, as far as types and previews show it."""

    added: list[GlobalAnswer]
    removed: list[GlobalAnswer]
    changed: list[Pair]
    same: int
    """How many look the same."""


class EvaluatedAnswer(Struct, frozen=True, kw_only=True):
    """What code came to at a point of a session; nothing of it was recorded."""

    session: str
    event: int
    """Number of the event that made the state in which it ran."""
    heap: str
    status: Status
    result: str | None
    result_json: Any
    output: str
    output_truncated: bool
    error: str | None
    error_detail: ErrorDetail | None
    duration_ms: float
    result_json_omitted: str | UnsetType = UNSET
    pending: bool | UnsetType = UNSET


class KeptAnswer(Struct, frozen=True, kw_only=True):
    """What became of a checkpoint that was asked for."""

    session: str
    event: int
    """Number of the event whose state it is."""
    heap: str
    made: bool
    """Whether it was made now; false if it was there already, or there is none."""
    bytes: int | None
    """What it takes on disk; null if there is none."""
    declined: str | None
    """Why there is none."""
    duration_ms: float | None
    """What making it took; null if it was there already."""


class ParsedAnswer(Struct, frozen=True, kw_only=True):
    """What V8 says of code that it did not run."""

    complete: bool
    """False where the code ends in the middle of something, and more of it could be what is meant."""
    error: str | None
    """Why it does not parse, where more code cannot change that."""
    line: int | None
    """Where that is, from 1."""
    column: int | None


class ReplayedEvent(Struct, frozen=True, kw_only=True, tag_field="type", tag="event"):
    """An event that was run again."""

    event: int
    agrees: bool
    field: str | None = None
    """What differs first, where it does not agree or has drifted: result, console, …"""
    expected: str | None = None
    """The beginning of what was recorded, from shortly before they part."""
    got: str | None = None
    """The same of what the replay gave."""
    drifted: bool = False
    """Whether texts came out otherwise than under the engine of another version that recorded them."""
    other_engine: bool = False
    """Whether the engine of another version recorded it."""
    changes: Changes | UnsetType = UNSET
    """What it did to the variables, where that was asked for."""


class ReplayEnd(Struct, frozen=True, kw_only=True, tag_field="type", tag="end"):
    """The last line of a replay."""

    session: str
    event: int
    """Number of the last event whose state was reached, or should have been."""
    executions: int
    """Events that were run again."""
    different: int
    drift: int
    """Events of another engine whose texts came out otherwise."""
    failed_event: int | None
    """Number of the event that ended its worker again and again, and with it the replay."""
    agrees: bool


def changes_answer(found: StateDifference) -> Changes:
    """The changes as clients see them."""
    return Changes(
        added=list(map(global_answer, found.added)),
        removed=list(map(global_answer, found.removed)),
        changed=[Pair(global_answer(one.before), global_answer(one.after)) for one in found.changed],
        same=found.same,
    )


def evaluated_answer(report: Report, session: str, point: int, console_bytes: int) -> EvaluatedAnswer:
    """What code came to in the state after event ``point``."""
    told = describe_report(report, console_bytes)
    assert report.heap is not None
    return EvaluatedAnswer(
        session=session,
        event=point,
        heap=report.heap,
        status=told.status,
        result=told.result,
        result_json=told.result_json,
        output=told.output,
        output_truncated=told.output_truncated,
        error=told.error,
        error_detail=told.error_detail,
        duration_ms=report.duration_us / 1000,
        result_json_omitted=told.result_json_omitted,
        pending=told.pending,
    )


def kept_answer(session: str, kept: Kept) -> KeptAnswer:
    """The checkpoint as clients see it."""
    return KeptAnswer(
        session=session,
        event=kept.event,
        heap=kept.heap,
        made=kept.size > 0 and kept.took_us is not None,
        bytes=kept.size or None,
        declined=kept.declined,
        duration_ms=None if kept.took_us is None else kept.took_us / 1000,
    )


def replayed_event(step: Step) -> ReplayedEvent:
    """A step of a replay as clients see it."""
    found = step.difference or step.drift
    return ReplayedEvent(
        event=step.event,
        agrees=step.difference is None,
        field=None if found is None else found.field,
        expected=None if found is None else found.expected,
        got=None if found is None else found.got,
        drifted=step.drift is not None,
        other_engine=step.is_other,
        changes=UNSET if step.changes is None else changes_answer(step.changes),
    )


def replay_end(told: Replayed) -> ReplayEnd:
    """What a replay came to, as clients see it."""
    return ReplayEnd(
        session=told.session,
        event=told.event,
        executions=told.executions,
        different=told.different,
        drift=0 if told.drift is None else told.drift.count,
        failed_event=told.failed,
        agrees=told.agrees,
    )
