"""Long calls as tasks: the extension ``io.modelcontextprotocol/tasks`` (SEP-2663) of the revision 2026-07-28.

A task is an execution, and its id is the execution's: it is found over every other door too, and after a
restart if it was over before. The SDK has no runtime for tasks; it lets us add methods, and passes results of
an extension's type on.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    RequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request

from engine.errors import EngineError, NotFound
from engine.execution import Execution
from engine.finished import KEPT_SECONDS
from transports import errors
from transports.mcp.call import Context, call_of
from transports.request import EXECUTION_ID

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

EXTENSION = "io.modelcontextprotocol/tasks"
TASK_SECONDS = 5.0
"""A call that takes longer becomes a task, where the client knows tasks."""
POLL_MS = 1_000
"""How often a client may ask."""
_DECLARATION: dict[str, Any] = {"extensions": {EXTENSION: {}}}

Outcome = Callable[[Execution], CallToolResult]


class TaskParams(RequestParams):
    """Which task."""

    task_id: str


class Tasks:
    """The methods, of one server."""

    def __init__(self, engine: Supervisor, outcome: Outcome) -> None:
        self._engine = engine
        self._outcome = outcome
        self._ttl_ms = round(KEPT_SECONDS * 1_000) if engine.stateless else None

    def add_to(self, server: Server[Any]) -> None:
        """Announce the extension, and serve its methods."""
        server.extensions[EXTENSION] = {}
        server.add_request_handler("tasks/get", TaskParams, self.get)
        server.add_request_handler("tasks/update", TaskParams, self.update)
        server.add_request_handler("tasks/cancel", TaskParams, self.cancel)

    def created(self, execution: Execution) -> dict[str, Any]:
        """The answer to a call that has become a task."""
        return {"resultType": "task", **self._describe(execution)}

    async def get(self, ctx: Context, params: TaskParams) -> dict[str, Any]:
        """How a task stands, with its result once it is over."""
        execution = await self._find(ctx, params.task_id)
        told = self._describe(execution)
        if told["status"] == "completed":
            told["result"] = self._outcome(execution).model_dump(
                by_alias=True, mode="json", exclude_none=True
            )
        elif told["status"] == "failed":
            assert execution.failure is not None
            sentence = errors.internal_sentence(execution.failure)
            told["error"] = {"code": INTERNAL_ERROR, "message": sentence}
        return told

    async def update(self, ctx: Context, params: TaskParams) -> dict[str, Any]:
        """Take what a task was waiting for: ours never wait."""
        await self._find(ctx, params.task_id)
        return {}

    async def cancel(self, ctx: Context, params: TaskParams) -> dict[str, Any]:
        """Ask for a task's end; no effect if it is over."""
        execution = await self._find(ctx, params.task_id)
        if not execution.done:
            execution.cancel()
        return {}

    async def _find(self, ctx: Context, name: str) -> Execution:
        """The caller's task. Raises MCPError."""
        if ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
            raise MCPError(METHOD_NOT_FOUND, "Method not found", ctx.method)
        if not are_known(ctx):
            raise MCPError(
                MISSING_REQUIRED_CLIENT_CAPABILITY,
                f"{ctx.method} is for clients that declare the extension {EXTENSION}",
                {"requiredCapabilities": _DECLARATION},
            )
        if isinstance(ctx.request, Request) and ctx.request.headers.get("mcp-name") != name:
            raise MCPError(HEADER_MISMATCH, "the header Mcp-Name must be the task's id")
        unknown = MCPError(INVALID_PARAMS, f"there is no task {name[:64]!r}")
        if EXECUTION_ID.fullmatch(name) is None:
            raise unknown
        try:
            return await self._engine.executions.find(call_of(ctx).owner, name)
        except NotFound:
            raise unknown from None
        except EngineError as error:
            errors.engine_answer(error)  # logs what is not the client's fault
            raise MCPError(INTERNAL_ERROR, error.message) from error

    def _describe(self, execution: Execution) -> dict[str, Any]:
        report = execution.report
        changed = report.completed_at if report is not None else 0
        return {
            "taskId": execution.id,
            "status": _status(execution),
            "createdAt": _time(execution.accepted_at),
            "lastUpdatedAt": _time(changed or execution.accepted_at),
            "ttlMs": self._ttl_ms,
            "pollIntervalMs": POLL_MS,
        }


def are_known(ctx: Context) -> bool:
    """Whether the client understands an answer that is a task: it says so with each request."""
    capabilities = ctx.session.client_capabilities
    return (
        ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        and capabilities is not None
        and EXTENSION in (capabilities.extensions or {})
    )


def _status(execution: Execution) -> str:
    """In the extension's words, to which code that throws has completed too."""
    if not execution.done:
        return "working"
    if execution.status == "cancelled":
        return "cancelled"
    told = execution.report is not None or isinstance(execution.failure, EngineError)
    return "completed" if told else "failed"


def _time(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat(timespec="milliseconds")
