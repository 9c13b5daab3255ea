"""Tools whose calls become tasks, which are the product's: executions of its engine, found by its methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mcp_types as types
from fixture_inputs import answered, ask, form
from fixture_tools import Answer, Context, text, tool
from mcp.shared.exceptions import MCPError

from transports.mcp.call import call_of, caller_of
from transports.mcp.run_js import RunJs
from transports.mcp.tasks import EXTENSION, Tasks, are_known
from transports.request import submission
from transports.settings import HttpSettings

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

SECONDS = 120
"""What an execution may take; the suite cancels those that would take longer."""


def tasks_of(engine: Supervisor, settings: HttpSettings) -> Tasks:
    """The product's tasks, with tools that begin some."""
    run_js = RunJs(engine, settings)

    async def begin(ctx: Context, code: str, told: object = None) -> Answer | dict[str, Any]:
        """A task, if the client knows tasks, else the result."""
        fields = {"code": code, "input": told, "execution_timeout_secs": SECONDS}
        execution = await engine.executions.submit(
            submission(fields, caller_of(ctx), owner=call_of(ctx).owner)
        )
        if are_known(ctx):
            return run_js.tasks.created(execution)
        await execution.wait(SECONDS)
        return run_js.outcome(execution)

    @tool(
        "slow_compute",
        "Takes so many seconds.",
        {"type": "object", "properties": {"seconds": {"type": "number"}, "label": {"type": "string"}}},
    )
    async def slow_compute(ctx: Context, params: types.CallToolRequestParams) -> Answer | dict[str, Any]:
        code = "await new Promise(done => setTimeout(done, input * 1000)); 'computed'"
        return await begin(ctx, code, (params.arguments or {}).get("seconds", 0))

    @tool("failing_job", "Fails after a while, for clients that know tasks.")
    async def failing_job(ctx: Context, _params: types.CallToolRequestParams) -> Answer | dict[str, Any]:
        if not are_known(ctx):
            missing = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
            raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, "the client must know tasks", missing)
        return await begin(ctx, "await new Promise(done => setTimeout(done, 300)); throw new Error('failed')")

    @tool("test_tool_with_task", "Asks for a name, then greets in a task.")
    async def ask_then_begin(ctx: Context, params: types.CallToolRequestParams) -> Answer | dict[str, Any]:
        name = answered(params, "user_name", "name")
        if name is None:
            return ask(user_name=form("What is your name?", "name"))
        return await begin(ctx, "`Hello, ${input}!`", name)

    @tool("confirm_delete", "Would ask, if a task could; so it answers at once.")
    async def confirm_delete(_ctx: Context, _params: types.CallToolRequestParams) -> Answer:
        return text("nothing was deleted")

    return run_js.tasks
