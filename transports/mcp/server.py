"""The MCP server behind every door: the SDK's, with our handlers.

It knows nothing of transports: each door gives every request its ``Call``.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    EmptyResult,
    ListToolsResult,
    PaginatedRequestParams,
    SetLevelRequestParams,
    TextContent,
)

from engine.errors import EngineError
from transports import errors
from transports.mcp.call import Context, call_of, caller_of
from transports.mcp.document import Document
from transports.mcp.resources import Resources
from transports.mcp.run_js import RunJs
from transports.mcp.text import fault_text
from transports.mcp.tools import ENTRIES, listed
from transports.settings import HttpSettings

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

_VERSION = version("mcp-v8")
"""Read with the import, which ``late`` tries again where no more files may be open."""


def create_server(
    engine: Supervisor, settings: HttpSettings, documents: Sequence[Document] = ()
) -> Server[Any]:
    """The server that answers for ``engine``; ``documents`` are those that can be read beside the README."""
    handlers = _Handlers(engine, settings)
    resources = Resources(engine, documents)
    server: Server[Any] = Server(
        "mcp-v8",
        version=_VERSION,
        get_tool_input_schema=handlers.schemas.get,  # else each call in 2026-07-28 lists the tools first
        on_list_tools=handlers.list_tools,
        on_list_resources=resources.list,
        on_list_resource_templates=resources.templates,
        on_read_resource=resources.read,
        on_completion=resources.complete,
    )
    # not by its argument, whose type leaves out an extension's results
    server.add_request_handler("tools/call", CallToolRequestParams, handlers.call_tool)
    # not by its argument, which warns that later revisions have another way: both are served
    server.add_request_handler("logging/setLevel", SetLevelRequestParams, handlers.set_level)
    handlers.run_js.tasks.add_to(server)
    return server


class _Handlers:
    """What is done for each method."""

    def __init__(self, engine: Supervisor, settings: HttpSettings) -> None:
        self._engine = engine
        self.run_js = RunJs(engine, settings)
        others = listed(stateless=engine.stateless, every=settings.all_tools)
        self._tools = [
            self.run_js.definition,
            *(entry.definition(with_output=settings.all_tools) for entry in others),
        ]
        self.schemas = {tool.name: tool.input_schema for tool in self._tools}

    async def list_tools(self, _ctx: Context, _params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=self._tools)

    async def call_tool(self, ctx: Context, params: CallToolRequestParams) -> CallToolResult | dict[str, Any]:
        entry = ENTRIES.get(params.name)
        if entry is None and params.name != self.run_js.definition.name:
            known = ", ".join([self.run_js.definition.name, *ENTRIES])
            raise MCPError(INVALID_PARAMS, f"there is no tool {params.name[:64]!r}; there are {known}")
        call = call_of(ctx)
        if call.connection is not None:
            call.connection.used = True
        arguments = params.arguments or {}
        try:
            if entry is None:
                return await self.run_js.call(ctx, arguments)
            return await entry.call(self._engine, call, caller_of(ctx), arguments)
        except EngineError as error:
            errors.engine_answer(error)  # logs what is not the client's fault
            told = fault_text(error)
        except Exception as error:  # noqa: BLE001 (the SDK would tell the client the exception's text)
            told = errors.internal_sentence(error)
        return CallToolResult(content=[TextContent(text=told)], is_error=True)

    async def set_level(self, ctx: Context, params: SetLevelRequestParams) -> EmptyResult:
        connection = call_of(ctx).connection
        if connection is not None:
            connection.log_level = params.level
        return EmptyResult()
