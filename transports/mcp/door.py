"""The MCP door: ``run_js`` and the other tools over streamable HTTP, by the official SDK."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import trio
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.requests import Request

from engine.errors import EngineError, Unavailable
from engine.events import Caller
from engine.execution import Execution
from transports import asgi, errors
from transports.answer import as_object
from transports.mcp.sessions import SCOPE_KEY, Session, Sessions
from transports.mcp.text import fault_text, handle, outcome_text, refusal_text, running_text
from transports.mcp.tools import ENTRIES
from transports.request import OWNER, submission
from transports.settings import DEFAULTS, HttpSettings

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

logger = logging.getLogger(__name__)

PATH = "/mcp"
CALL_SECONDS = 45.0
"""A call that takes longer returns its handle: clients give up at 60 s."""
CANCEL_SECONDS = 5.0
META_KEY = "mcp-v8/execution"
"""Where a result's ``_meta`` has the REST object."""

_HOW_TO_POST = (
    "this is an MCP endpoint: POST JSON-RPC to it, beginning with `initialize`, with "
    "'Content-Type: application/json' and 'Accept: application/json, text/event-stream'"
)
_MAX_CALLER = 128

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

Context = ServerRequestContext[Any, Request]


class McpDoor:
    """An ASGI application for ``PATH``. It serves while ``run`` is open."""

    def __init__(self, engine: Supervisor, settings: HttpSettings = DEFAULTS) -> None:
        self._engine = engine
        self._settings = settings
        self._tool = _run_js_tool(engine, settings.mcp_chars)
        self._open = False
        server: Server[Any] = Server(
            "mcp-v8",
            version=version("mcp-v8"),
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
        )
        self.sessions = Sessions(server, CALL_SECONDS)
        self._sessionless = StreamableHTTPSessionManager(server, stateless=True)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Take requests; on the way out every session is ended, and with it its open streams."""
        try:
            async with self._sessionless.run(), self.sessions.run():
                self._open = True
                yield
        finally:
            self._open = False

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one HTTP request: its body is complete before the SDK hears of it."""
        try:
            body = await asgi.read_body(scope, receive, self._settings.body_bytes)
        except asgi.Gone:
            logger.info("a client went away before its request was complete")
        except asgi.BodyRefused as refused:
            await asgi.send_answer(scope, send, errors.body_answer(refused))
        else:
            await self._serve(scope, _replay(body, receive), send)

    async def _serve(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        version = asgi.header(scope, b"mcp-protocol-version")
        if not self._open:
            await asgi.send_answer(scope, send, errors.engine_answer(Unavailable("the server is stopping")))
        elif scope["method"] != "POST" and asgi.header(scope, b"mcp-session-id") is None:
            await asgi.send_answer(scope, send, errors.answer(400, _HOW_TO_POST, "bad_request"))
        elif version is None or version in HANDSHAKE_PROTOCOL_VERSIONS:
            await self.sessions(scope, receive, send)
        else:
            await self._sessionless.handle_request(scope, receive, send)

    async def _list_tools(self, _ctx: Context, _params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[self._tool, *(entry.definition for entry in ENTRIES.values())])

    async def _call_tool(self, ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        entry = ENTRIES.get(params.name)
        if entry is None and params.name != self._tool.name:
            known = ", ".join([self._tool.name, *ENTRIES])
            raise MCPError(INVALID_PARAMS, f"there is no tool {params.name[:64]!r}; there are {known}")
        if (session := _session(ctx)) is not None:
            session.used = True
        arguments = params.arguments or {}
        try:
            if entry is not None:
                return await entry.call(self._engine, arguments)
            return await self._run_js(ctx, arguments)
        except EngineError as error:
            errors.engine_answer(error)  # logs what is not the client's fault
            if entry is not None:
                return self._result(fault_text(error), is_error=True)
            end = await self._handle(_named_session(ctx, arguments))
            return self._result(refusal_text(error, end), is_error=True)
        except Exception as error:  # noqa: BLE001 (the SDK would tell the client the exception's text)
            return self._result(errors.internal_sentence(error), is_error=True)

    async def _run_js(self, ctx: Context, arguments: Mapping[str, object]) -> CallToolResult:
        execution = await self._submit(ctx, arguments)
        try:
            report = await execution.wait(CALL_SECONDS)
        except trio.Cancelled:
            # In this protocol a client's cancellation is meant for the call, not for the wait.
            with trio.move_on_after(CANCEL_SECONDS, shield=True):
                await self._engine.cancel(execution.owner, execution.id)
            raise
        if report is None:
            end = await self._handle(execution.session) or handle(execution.session, None)
            return self._result(running_text(execution, CALL_SECONDS, end), execution, is_error=False)
        return self._result(
            outcome_text(report, self._settings.mcp_chars), execution, is_error=report.status != "completed"
        )

    def _result(self, text: str, execution: Execution | None = None, *, is_error: bool) -> CallToolResult:
        console_bytes = self._settings.answer_console_bytes
        meta = None if execution is None else {META_KEY: as_object(execution, console_bytes)}
        return CallToolResult(content=[TextContent(text=text)], is_error=is_error, _meta=meta)

    async def _handle(self, name: object) -> str:
        """The handle of a session's state now; "" if there is no such session."""
        if not isinstance(name, str) or not name.isascii() or self._engine.stateless:
            return ""
        try:
            session = await self._engine.session(OWNER, name.partition("@")[0])
        except EngineError:  # what is wrong with the call is being told; this is only where to go on
            return ""
        return handle(session.name, session.head_seq)

    async def _submit(self, ctx: Context, arguments: Mapping[str, object]) -> Execution:
        """Accept the call, in the session that it names, or else in the connection's own."""
        if self._engine.stateless:
            return await self._engine.submit(submission(arguments, _caller(ctx)))
        asked = submission(_with_default_session(ctx, arguments), _caller(ctx))
        session = _session(ctx)
        if asked.session is None and asked.heap is None and session is not None:
            return await session.home.submit(asked, self._engine.submit)
        return await self._engine.submit(asked)


def _with_default_session(ctx: Context, arguments: Mapping[str, object]) -> Mapping[str, object]:
    """The arguments, with the session that the client's address or header names, if they name none."""
    if arguments.get("session") is not None or arguments.get("heap") is not None:
        return arguments
    name = _request(ctx).query_params.get("session") or _request(ctx).headers.get("x-mcp-session-id")
    return arguments if name is None else {**arguments, "session": name}


def _named_session(ctx: Context, arguments: Mapping[str, object]) -> object:
    """What the call names as its session: by an argument or the address, or by its connection."""
    name = _with_default_session(ctx, arguments).get("session")
    session = _session(ctx)
    return session.home.name if name is None and session is not None else name


def _request(ctx: Context) -> Request:
    assert ctx.request is not None  # None is for transports without HTTP
    return ctx.request


def _session(ctx: Context) -> Session | None:
    """The open session that the request belongs to, which no header can claim; None without sessions."""
    session: Session | None = _request(ctx).scope.get(SCOPE_KEY)
    return session


def _replay(body: bytes, receive: asgi.Receive) -> asgi.Receive:
    """A ``receive`` that gives the body in one message, then what comes after it."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Any:
        return waiting.pop() if waiting else await receive()

    return replayed


def _caller(ctx: Context) -> Caller:
    params = ctx.session.client_params
    return Caller(
        transport="mcp",
        client="" if params is None else params.client_info.name[:_MAX_CALLER],
        client_version="" if params is None else params.client_info.version[:_MAX_CALLER],
        request_id=str(ctx.request_id)[:_MAX_CALLER],
        traceparent=_request(ctx).headers.get("traceparent", "")[:_MAX_CALLER],
    )


def _run_js_tool(engine: Supervisor, max_chars: int) -> Tool:
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
        name="run_js",
        description=(_STATELESS if engine.stateless else _STATEFUL).format(f"{max_chars:,}"),
        input_schema={
            "type": "object",
            "properties": properties,
            "required": ["code"],
            "additionalProperties": False,
        },
    )
