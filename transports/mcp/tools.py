"""The MCP tools beside ``run_js``: a table of them, each from a struct of arguments to one of results.

A result is structured content, and the same JSON as text, since a client may show its model either.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import msgspec
from mcp_types import CallToolResult, TextContent, Tool
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict, fields

from engine.errors import InvalidField
from engine.execution import Report, Status
from transports.mcp.text import MAX_VALUE_CHARS, cut, failure_text, handle, legible
from transports.paging import OutputPage, page
from transports.request import EXECUTION_ID

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

PAGE_BYTES = 16_000
"""Bytes of a console page, unless a model asks for more."""
CANCEL_SECONDS = 5.0
"""Time that a cancel waits for the execution to be over."""

A = TypeVar("A", bound=Struct)

ExecutionId = Annotated[str, Meta(pattern=f"^{EXECUTION_ID.pattern}$")]
Positive = Annotated[int, Meta(ge=1)]


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


class CancelArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """Which execution."""

    execution_id: ExecutionId


class CancelResult(Struct, frozen=True, kw_only=True):
    """How the execution stands now."""

    execution_id: str
    status: Status
    """``cancelled`` if it was stopped, and all of it undone."""
    handle: str | UnsetType = UNSET
    """``[name@n]``: the state to go on from."""


class Entry(Struct, Generic[A], frozen=True):
    """A tool."""

    name: str
    description: str
    arguments: type[A]
    run: Callable[[Supervisor, str, A], Awaitable[Struct]]
    """Given the engine, the caller's owner, and the arguments."""

    @property
    def definition(self) -> Tool:
        """What ``tools/list`` says of it."""
        (schema,) = msgspec.json.schema_components([self.arguments])[1].values()
        schema = {name: value for name, value in schema.items() if name not in ("title", "description")}
        return Tool(name=self.name, description=self.description, input_schema=schema)

    async def call(self, engine: Supervisor, owner: str, arguments: Mapping[str, object]) -> CallToolResult:
        """Run it for an owner. Raises EngineError, for arguments too."""
        try:
            asked = msgspec.convert(arguments, self.arguments, strict=False)  # models write "1" for 1
        except (msgspec.ValidationError, UnicodeEncodeError) as wrong:  # the latter for lone surrogates
            takes = ", ".join(field.name for field in fields(self.arguments))
            raise InvalidField(f"{self.name} takes {takes}: {wrong}") from wrong
        told = await self.run(engine, owner, asked)
        return CallToolResult(
            content=[TextContent(text=msgspec.json.encode(told).decode())],
            structured_content=msgspec.to_builtins(told),
        )


async def get_output(engine: Supervisor, owner: str, asked: OutputArguments) -> OutputResult:
    """A page of an execution's console, while it runs too."""
    execution = await engine.execution(owner, asked.execution_id)
    await execution.wait(0)  # raises what kept it from being run
    report = execution.report
    part = page(
        execution.console if report is None else report.console,
        line_offset=asked.line_offset or None,
        line_limit=asked.line_limit or None,
        byte_offset=None if asked.byte_offset is UNSET else asked.byte_offset,
        byte_limit=asked.byte_limit or PAGE_BYTES,
    )
    outcome: dict[str, Any] = {"status": execution.status}
    if report is not None and report.result is not None:
        outcome["result"] = legible(cut(report.result, MAX_VALUE_CHARS))
    if report is not None and report.error is not None:
        outcome["error"] = legible(failure_text(report.error, report, MAX_VALUE_CHARS))
    outcome["handle"] = _handle(report)
    return OutputResult(**asdict(part), **outcome)


async def cancel(engine: Supervisor, owner: str, asked: CancelArguments) -> CancelResult:
    """Stop an execution."""
    execution = await engine.cancel(owner, asked.execution_id)
    await execution.wait(CANCEL_SECONDS)
    return CancelResult(execution_id=execution.id, status=execution.status, handle=_handle(execution.report))


def _handle(report: Report | None) -> str | UnsetType:
    return (UNSET if report is None else handle(report.session, report.event)) or UNSET


ENTRIES: dict[str, Entry[Any]] = {
    entry.name: entry
    for entry in (
        Entry(
            "get_execution_output",
            "A page of the console of a run_js call, by lines or bytes, and the call's status and result.",
            OutputArguments,
            get_output,
        ),
        Entry(
            "cancel_execution",
            "Stop a run_js call that is still running, and undo it.",
            CancelArguments,
            cancel,
        ),
    )
}
