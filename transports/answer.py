"""The JSON objects that describe an execution to clients, finished or not, by itself or in a list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from engine.catalog import ExecutionSummary
from engine.events import ErrorDetail, Line
from engine.execution import Execution, Report, Status
from transports.paging import joined

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encoder = msgspec.json.Encoder()
MAX_LEVELS = 200
"""Levels of an execution's object as Python values: twice what our workers make, and less than the encoder of
the MCP SDK takes."""

Time = Annotated[datetime, Meta(tz=True)]


class Answer(Struct, frozen=True, kw_only=True):
    """An execution as REST tells it; absent values are null."""

    execution_id: str
    session: str | None
    """The session's name; null without sessions."""
    created: bool = False
    """Whether this execution made the session."""
    event: int | None = None
    """Its number in the session; null while it runs."""
    heap: str | None = None
    """The state after it, 64 hex digits; null while it runs."""
    status: Status
    result: str | None = None
    """The last expression's value as text."""
    result_json: Any = None
    """The same as JSON, where it is JSON."""
    output: str
    """The console, its first 64,000 bytes unless the server says otherwise; so far, while it runs."""
    output_truncated: bool
    error: str | None = None
    error_detail: ErrorDetail | None = None
    started_at: Time | None = None
    """When the code started; while it runs, when it was accepted."""
    completed_at: Time | None = None
    duration_ms: float | None = None
    """How long the code ran and settled."""
    result_json_omitted: str | UnsetType = UNSET
    """Present if there is a value that is not given as JSON: why."""
    pending: bool | UnsetType = UNSET
    """Present and true if the value is a promise that nothing left could settle."""
    pending_timers: int | UnsetType = UNSET
    """Present if timers are left that fire in later executions."""


class ExecutionEntry(Struct, frozen=True, kw_only=True):
    """An execution in a list."""

    execution_id: str
    session: str | None
    event: int | None
    status: Status
    started_at: Time
    completed_at: Time | None
    duration_ms: float | None
    code: str
    """The first line of the code."""
    error: str | None


def encode(execution: Execution, console_bytes: int) -> bytes:
    """The execution's JSON object, as UTF-8, with so much of its console."""
    return _encoder.encode(describe(execution, console_bytes))


def as_object(execution: Execution, console_bytes: int) -> dict[str, Any]:
    """The same object as Python values; a result too deep for them, or for an encoder, is left out."""
    described = describe(execution, console_bytes)
    try:
        body = _encoder.encode(described)
        value = msgspec.json.decode(body)
        is_deep = body.count(b"[") + body.count(b"{") > MAX_LEVELS and _is_deep(value)
    except (RecursionError, msgspec.DecodeError):
        is_deep = True
    if is_deep:
        value = msgspec.json.decode(_encoder.encode(msgspec.structs.replace(described, result_json=None)))
    assert isinstance(value, dict)
    return value


def _is_deep(value: object) -> bool:
    """Whether there are values in values beyond MAX_LEVELS."""
    level = [value]
    for _ in range(MAX_LEVELS):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def describe(execution: Execution, console_bytes: int) -> Answer:
    """What is known of the execution now."""
    if execution.report is None:
        return _describe_running(execution, console_bytes)
    return describe_report(execution.report, console_bytes)


def execution_entry(one: ExecutionSummary) -> ExecutionEntry:
    """The execution as a list tells it."""
    over = None if one.duration_us is None else one.started_at + one.duration_us
    return ExecutionEntry(
        execution_id=one.execution_id,
        session=one.session,
        event=one.event,
        status=one.status,
        started_at=time_of(one.started_at),
        completed_at=None if over is None else time_of(over),
        duration_ms=None if one.duration_us is None else one.duration_us / 1000,
        code=one.code,
        error=one.error,
    )


def error_text(error: ErrorDetail) -> str:
    """The error in one string, as JavaScript prints it."""
    if error.name == "Uncaught":  # what was thrown is no error
        return f"Uncaught {error.message}"
    return f"{error.name}: {error.message}" if error.message else error.name


def _describe_running(execution: Execution, console_bytes: int) -> Answer:
    output, truncated = _output(execution.console, console_bytes)
    return Answer(
        execution_id=execution.id,
        session=execution.session,
        status="running",
        output=output,
        output_truncated=truncated,
        started_at=time_of(execution.accepted_at),
    )


def describe_report(report: Report, console_bytes: int) -> Answer:
    """What an execution came to."""
    output, truncated = _output(report.console, console_bytes)
    error = report.error
    return Answer(
        execution_id=report.execution_id,
        session=report.session,
        created=report.created,
        event=report.event,
        heap=report.heap,
        status=report.status,
        result=report.result,
        result_json=_raw(report.result_json),
        result_json_omitted=report.result_json_omitted,
        output=output,
        output_truncated=truncated or report.console_dropped > 0,
        error=None if error is None else error_text(error),
        error_detail=error,
        started_at=time_of(report.started_at),
        completed_at=time_of(report.completed_at),
        duration_ms=report.duration_us / 1000,
        pending=report.pending or UNSET,
        pending_timers=report.pending_timers or UNSET,
    )


def _output(lines: Sequence[Line], limit: int) -> tuple[str, bool]:
    text = joined(lines)
    if len(text) * 4 <= limit:  # a character has at most four bytes
        return text, False
    data = text.encode()
    if len(data) <= limit:
        return text, False
    return data[:limit].decode(errors="ignore"), True


def _raw(text: str | None) -> Raw | None:
    """JSON from the guest, to be embedded: only if it is one whole JSON value, and on one line.

    Ends of lines are nothing but space between its tokens, and would end an event of a stream.
    """
    if text is None:
        return None
    data = text.encode()
    try:
        return msgspec.json.decode(data, type=Raw) and Raw(data.translate(None, b"\r\n"))
    except (msgspec.DecodeError, RecursionError):
        return None


def microseconds(time: datetime) -> int:
    """The same, the other way round."""
    return (time - _EPOCH) // timedelta(microseconds=1)


def time_of(microseconds: int) -> datetime:
    """The time so many microseconds after the epoch."""
    return _EPOCH + timedelta(microseconds=microseconds)
