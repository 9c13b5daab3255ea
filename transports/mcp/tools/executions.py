"""Tools that are about one execution, or list them."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from engine.execution import Report, Status
from transports.answer import ExecutionEntry, Time, describe, execution_entry
from transports.mcp.text import MAX_VALUE_CHARS, cut, failure_text, legible
from transports.mcp.tools.arguments import EXAMPLE
from transports.mcp.tools.entry import (
    Asked,
    Cursor,
    Entry,
    ExecutionId,
    Hints,
    Limit,
    Positive,
    optional_handle,
    page_limit,
)
from transports.paging import OutputPage, page
from transports.request import session_point

PAGE_BYTES = 16_000
"""Bytes of a console page, unless a model asks for more."""
CANCEL_SECONDS = 5.0
"""Time that a cancel waits for the execution to be over."""


class OutputArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of which console."""

    execution_id: ExecutionId
    line_offset: Annotated[Positive, Meta(description="first line, from 1")] | UnsetType = UNSET
    line_limit: Positive | UnsetType = UNSET
    byte_offset: (
        Annotated[int, Meta(ge=0, description="first byte, from 0; instead of a line")] | UnsetType
    ) = UNSET
    byte_limit: Annotated[Positive, Meta(description="default 16000, at most 64000")] | UnsetType = UNSET


class OutputResult(OutputPage, frozen=True, kw_only=True):
    """A page, and how the execution stands."""

    status: Status
    result: str | UnsetType = UNSET
    """Its value as text, once it is completed."""
    error: str | UnsetType = UNSET
    """Why it failed, with its place, as ``run_js`` tells it."""
    handle: str | UnsetType = UNSET
    """``[name@n]``: the state to go on from, once it is over."""


class ExecutionArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """Which execution."""

    execution_id: ExecutionId


class CancelResult(Struct, frozen=True, kw_only=True):
    """How the execution stands now."""

    execution_id: str
    status: Status
    """``cancelled`` if it was stopped, and all of it undone."""
    handle: str | UnsetType = UNSET
    """``[name@n]``: the state to go on from."""


class ExecutionResult(Struct, frozen=True, kw_only=True):
    """An execution."""

    execution_id: str
    session: str | None
    event: int | None
    heap: str | None
    """The state after it, 64 hex digits."""
    status: Status
    result: str | UnsetType = UNSET
    """Its value as text."""
    error: str | UnsetType = UNSET
    """Why it failed, with its place, as ``run_js`` tells it."""
    output: str
    """The first 16,000 bytes of its console."""
    output_truncated: bool
    started_at: Time | None
    completed_at: Time | None
    duration_ms: float | None
    handle: str | UnsetType = UNSET
    """``[name@n]``: the state to go on from, once it is over."""


class ListArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """Which executions."""

    session: (
        Annotated[str, Meta(description="a name; default: all sessions", extra={EXAMPLE: "demo"})] | UnsetType
    ) = UNSET
    status: Status | UnsetType = UNSET
    limit: Limit | UnsetType = UNSET
    after: Cursor | UnsetType = UNSET


class ListResult(Struct, frozen=True, kw_only=True):
    """A page of executions, those under way first, then newest first."""

    executions: list[ExecutionEntry]
    next: str | UnsetType = UNSET
    """``after`` of the next page."""


async def get_execution(asked: Asked[ExecutionArguments]) -> ExecutionResult:
    """How an execution stands, or stood at its end."""
    execution = await asked.engine.executions.find(asked.owner, asked.arguments.execution_id)
    await execution.wait(0)  # raises what kept it from being run
    told = describe(execution, PAGE_BYTES)
    return ExecutionResult(
        execution_id=told.execution_id,
        session=told.session,
        event=told.event,
        heap=told.heap,
        status=told.status,
        output=legible(told.output),
        output_truncated=told.output_truncated,
        started_at=told.started_at,
        completed_at=told.completed_at,
        duration_ms=told.duration_ms,
        **_outcome(execution.report),
    )


async def list_executions(asked: Asked[ListArguments]) -> ListResult:
    """A page of the caller's executions."""
    which = asked.arguments
    name = None if which.session is UNSET else session_point(which.session)[0]
    found = await asked.engine.executions.page(
        asked.owner,
        session=name,
        status=which.status or None,
        limit=page_limit(which.limit),
        after=which.after or None,
    )
    return ListResult(executions=[execution_entry(one) for one in found.items], next=found.next or UNSET)


async def get_output(asked: Asked[OutputArguments]) -> OutputResult:
    """A page of an execution's console, while it runs too."""
    which = asked.arguments
    execution = await asked.engine.executions.find(asked.owner, which.execution_id)
    await execution.wait(0)  # raises what kept it from being run
    report = execution.report
    part = page(
        execution.console if report is None else report.console,
        line_offset=which.line_offset or None,
        line_limit=which.line_limit or None,
        byte_offset=None if which.byte_offset is UNSET else which.byte_offset,
        byte_limit=which.byte_limit or PAGE_BYTES,
    )
    return OutputResult(**asdict(part), status=execution.status, **_outcome(report))


async def cancel(asked: Asked[ExecutionArguments]) -> CancelResult:
    """Stop an execution."""
    execution = await asked.engine.executions.cancel(asked.owner, asked.arguments.execution_id)
    await execution.wait(CANCEL_SECONDS)
    return CancelResult(execution_id=execution.id, status=execution.status, handle=_handle(execution.report))


def _outcome(report: Report | None) -> dict[str, Any]:
    """Value or error, and the handle, as far as there are any."""
    if report is None:
        return {}
    told: dict[str, Any] = {"handle": _handle(report)}
    if report.result is not None:
        told["result"] = legible(cut(report.result, MAX_VALUE_CHARS))
    if report.error is not None:
        told["error"] = legible(failure_text(report.error, report, MAX_VALUE_CHARS))
    return told


def _handle(report: Report | None) -> str | UnsetType:
    return UNSET if report is None else optional_handle(report.session, report.event)


ENTRIES: tuple[Entry[Any], ...] = (
    Entry(
        name="get_execution_output",
        title="Console of a call",
        description="A page of the console of a run_js call, by lines or bytes, and the call's status and "
        "result.",
        arguments=OutputArguments,
        result=OutputResult,
        run=get_output,
        hints=Hints(reads=True),
        listed=True,
        without_sessions=True,
    ),
    Entry(
        name="cancel_execution",
        title="Stop a call",
        description="Stop a run_js call that is still running, and undo it.",
        arguments=ExecutionArguments,
        result=CancelResult,
        run=cancel,
        hints=Hints(destroys=True, repeatable=True),
        listed=True,
        without_sessions=True,
    ),
    Entry(
        name="get_execution",
        title="A call",
        description="How a run_js call stands, or what it came to.",
        arguments=ExecutionArguments,
        result=ExecutionResult,
        run=get_execution,
        hints=Hints(reads=True),
        without_sessions=True,
    ),
    Entry(
        name="list_executions",
        title="Calls",
        description="The run_js calls of your sessions, or of one: those under way, then the others, newest "
        "first.",
        arguments=ListArguments,
        result=ListResult,
        run=list_executions,
        hints=Hints(reads=True),
        without_sessions=True,
    ),
)
