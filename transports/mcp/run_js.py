"""The tool ``run_js``: code from a model into its session, and the outcome as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import trio
from mcp_types import CallToolResult, TextContent, Tool

from engine.errors import EngineError
from engine.execution import Execution
from transports import errors
from transports.answer import as_object
from transports.mcp import console, tasks
from transports.mcp.call import CALL_SECONDS, Call, Context, bare, call_of, caller_of, with_default_session
from transports.mcp.text import handle, outcome_text, refusal_text, running_text
from transports.mcp.tools.entry import Hints
from transports.request import number_from_text, submission
from transports.settings import HttpSettings

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

NAME = "run_js"
CANCEL_SECONDS = 5.0
META_KEY = "mcp-v8/execution"
"""Where a result's ``_meta`` has the REST object."""
_NUMBERS = ("execution_timeout_secs", "heap_memory_max_mb")

_STATEFUL = (
    "Run JavaScript in a persistent V8 session: variables, functions and classes stay for later calls, so "
    "build on them. Top-level await works. Returns console output and the last expression's value. No "
    "import, require, network, files or DOM. Omit `session` to use your connection's default, or to start "
    "a new one; each result ends with its handle `[name@n]`; pass `name@n` to branch from that point. A "
    "thrown error keeps earlier changes; a timeout or out-of-memory undoes the call. Print summaries: "
    "output past {} characters is cut."
)
_STATELESS = (
    "Run JavaScript in a fresh V8 isolate: nothing stays for later calls. Top-level await works. Returns "
    "console output and the last expression's value. No import, require, network, files or DOM. Print "
    "summaries: output past {} characters is cut."
)


class RunJs:
    """The tool, of one server."""

    def __init__(self, engine: Supervisor, settings: HttpSettings) -> None:
        self._engine = engine
        self._executions = engine.executions
        self._settings = settings
        self.definition = _definition(engine, settings.mcp_chars)
        """What ``tools/list`` says of it."""
        self.tasks = tasks.Tasks(engine, self.outcome)
        """The calls of it that take long."""

    async def call(self, ctx: Context, arguments: Mapping[str, object]) -> CallToolResult | dict[str, Any]:
        """Run the code; the outcome, or after a while how to get at it: a task, if the client knows tasks."""
        try:
            execution = await self._submit(ctx, arguments)
            may_be_task = tasks.are_known(ctx)
            await self._wait(ctx, execution, tasks.TASK_SECONDS if may_be_task else CALL_SECONDS)
        except EngineError as error:
            errors.engine_answer(error)  # logs what is not the client's fault
            return _result(refusal_text(error, await self._end(call_of(ctx), arguments)), is_error=True)
        if execution.report is not None:
            return self.outcome(execution)
        if may_be_task:
            return self.tasks.created(execution)
        end = await self._handle(execution) or handle(execution.session, None)
        told = running_text(execution, CALL_SECONDS, end)
        return _result(told, self._rest_object(execution), is_error=False)

    def outcome(self, execution: Execution) -> CallToolResult:
        """What came of an execution that is over: its outcome, or the EngineError that it failed with."""
        report = execution.report
        if report is None:
            assert isinstance(execution.failure, EngineError)
            return _result(refusal_text(execution.failure), is_error=True)
        told = outcome_text(report, self._settings.mcp_chars)
        return _result(told, self._rest_object(execution), is_error=report.status != "completed")

    async def _submit(self, ctx: Context, arguments: Mapping[str, object]) -> Execution:
        """Accept the call, in the session that it names, or else in the connection's own."""
        call, caller = call_of(ctx), caller_of(ctx)
        if self._engine.stateless:
            return await self._executions.submit(submission(_as_meant(arguments), caller, owner=call.owner))
        asked = submission(with_default_session(call, _as_meant(arguments)), caller, owner=call.owner)
        if asked.session is None and asked.heap is None and call.connection is not None:
            return await call.connection.home.submit(asked, self._executions.submit)
        return await self._executions.submit(asked)

    async def _wait(self, ctx: Context, execution: Execution, seconds: float) -> None:
        """Wait for the end, so long. What is printed meanwhile is told.

        In MCP a client's cancellation is meant for the call, not for the wait.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(console.tell, ctx, execution)
            try:
                await execution.wait(seconds)
            except EngineError:  # raised below, outside of the nursery
                pass
            except trio.Cancelled:
                connection = call_of(ctx).connection
                if connection is None or not connection.gone:
                    with trio.move_on_after(CANCEL_SECONDS, shield=True):
                        await self._executions.cancel(execution.owner, execution.id)
                raise
            nursery.cancel_scope.cancel()
        await execution.wait(0)

    async def _end(self, call: Call, arguments: Mapping[str, object]) -> str:
        """The handle of the session that a refused call is about; "" if there is none."""
        name = with_default_session(call, _as_meant(arguments)).get("session")
        if name is None and call.connection is not None:
            name = call.connection.home.name
        if not isinstance(name, str) or not name.isascii():
            return ""
        return await self._handle_of(call.owner, name.partition("@")[0])

    async def _handle(self, execution: Execution) -> str:
        return "" if execution.session is None else await self._handle_of(execution.owner, execution.session)

    async def _handle_of(self, owner: str, name: str) -> str:
        """The handle of a session's state now; "" if there is no such session."""
        if self._engine.stateless:
            return ""
        try:
            session = await self._engine.session(owner, name)
        except EngineError:  # what is wrong with the call is being told; this is only where to go on
            return ""
        return handle(session.name, session.head_seq)

    def _rest_object(self, execution: Execution) -> dict[str, Any]:
        return {META_KEY: as_object(execution, self._settings.answer_console_bytes)}


def _as_meant(arguments: Mapping[str, object]) -> Mapping[str, object]:
    """The arguments, with what models write in another way: "1" for 1, and a handle with its brackets."""
    texts = {name: value for name, value in arguments.items() if isinstance(value, str)}
    meant: dict[str, object] = {
        name: number_from_text(text) for name, text in texts.items() if name in _NUMBERS
    }
    if "session" in texts:
        meant["session"] = bare(texts["session"])
    return {**arguments, **meant}


def _result(text: str, meta: dict[str, Any] | None = None, *, is_error: bool) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], is_error=is_error, _meta=meta)


def _definition(engine: Supervisor, max_chars: int) -> Tool:
    """The tool's definition: it says only what is true of this server."""
    policy, usual = engine.policy, engine.policy.default
    properties: dict[str, dict[str, Any]] = {
        "code": {"type": "string", "description": "JavaScript to run"},
        "input": {"description": "any JSON value; the code sees it as `input`"},
        "execution_timeout_secs": {
            "type": "number",
            "description": f"default {usual.time_ms / 1000:g}, at most {policy.max_time_ms / 1000:g}",
        },
        "heap_memory_max_mb": {
            "type": "integer",
            "description": f"default {usual.heap_mb}, at most {policy.max_heap_mb}",
        },
    }
    if not engine.stateless:
        properties["session"] = {"type": "string", "description": "`name`, or `name@n` to branch"}
        properties["heap"] = {"type": "string", "description": "64 hex digits: a state to go on from"}
    return Tool(
        name=NAME,
        title="Run JavaScript",
        description=(_STATELESS if engine.stateless else _STATEFUL).format(f"{max_chars:,}"),
        input_schema={
            "type": "object",
            "properties": properties,
            "required": ["code"],
            "additionalProperties": False,
        },
        # what it changes stays where it was as well: each state before is a point to branch from
        annotations=Hints(reads=engine.stateless).annotations,
    )
