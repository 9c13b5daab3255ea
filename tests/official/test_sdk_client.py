"""The official SDK's client on Trio, over every transport and in both eras."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp_types import (
    CallToolResult,
    LoggingMessageNotificationParams,
    ResourceTemplateReference,
    TextResourceContents,
)
from server_process import COMMAND, ServerProcess

pytestmark = pytest.mark.filterwarnings(
    # the official client leaves generators of its HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning"
)

Connect = Callable[..., Client]

SECONDS = 60


@pytest.fixture(
    params=[
        "http-legacy",
        "http-2026-07-28",
        "sse-legacy",
        pytest.param("sse-2026-07-28", marks=pytest.mark.torture),
        pytest.param("stdio-legacy", marks=pytest.mark.torture),
        "stdio-2026-07-28",
    ]
)
def connect(request: pytest.FixtureRequest, product: ServerProcess, tmp_path: Path) -> Connect:
    """Makes a client that is not connected yet; on stdio all have the same store, and one at a time has it."""
    transport, _, era = request.param.partition("-")

    def connect(**options: Any) -> Client:
        where: Any = f"{product.url}/mcp"
        if transport == "sse":
            where = sse_client(f"{product.url}/sse")
        elif transport == "stdio":
            where = StdioServerParameters(
                command=COMMAND, args=["--stdio", "--directory-path", str(tmp_path)]
            )
        return Client(where, mode=era, **options)

    return connect


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A session's name that no other test uses."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name)[-100:]


def text(result: CallToolResult) -> str:
    told = result.content[0].text  # type: ignore[union-attr]
    assert isinstance(told, str)
    return told


async def run_js(client: Client, code: str, session: str, **options: Any) -> str:
    return text(await client.call_tool("run_js", {"code": code, "session": session}, **options))


async def test_it_lists_tools_and_calls_them(connect: Connect, name: str) -> None:
    with trio.fail_after(SECONDS):
        async with connect() as client:
            listed = {tool.name for tool in (await client.list_tools()).tools}
            assert {"run_js", "get_execution_output", "cancel_execution"} <= listed
            result = await client.call_tool(
                "run_js", {"code": "console.log('a\\nb'); 1 + 2", "session": name}
            )
            assert text(result) == f"a\nb\n=> 3\n[{name}@1]"
            assert result.meta is not None
            execution = result.meta["mcp-v8/execution"]["execution_id"]
            page = await client.call_tool(
                "get_execution_output", {"execution_id": execution, "line_offset": 2}
            )
            assert page.structured_content is not None
            assert page.structured_content["data"] == "b\n"


async def test_it_completes_the_name_of_a_session_and_reads_its_variables(
    connect: Connect, name: str
) -> None:
    uri = "mcp-v8://sessions/{name}/state"
    with trio.fail_after(SECONDS):
        async with connect() as client:
            await run_js(client, "let xs = [1, 2]", name)
            assert uri in {
                each.uri_template for each in (await client.list_resource_templates()).resource_templates
            }
            asked = {"name": "name", "value": name[:-1]}
            completed = await client.complete(ResourceTemplateReference(uri=uri), asked)
            assert completed.completion.values == [name]
            (content,) = (await client.read_resource(uri.replace("{name}", name))).contents
    assert isinstance(content, TextResourceContents)
    (variable,) = json.loads(content.text)["variables"]
    assert (variable["name"], variable["preview"]) == ("xs", "[ 1, 2 ]")


async def test_the_console_comes_as_progress_and_as_logs(connect: Connect, name: str) -> None:
    progress: list[tuple[float, str | None]] = []
    logs: list[tuple[str, Any]] = []
    all_logged = trio.Event()

    async def on_progress(done: float, _total: float | None, message: str | None) -> None:
        progress.append((done, message))

    async def on_log(params: LoggingMessageNotificationParams) -> None:
        logs.append((params.level, params.data))
        if len(logs) == 2:
            all_logged.set()

    code = "console.log('one'); await new Promise(go => setTimeout(go, 300)); console.error('two'); 1"
    with trio.fail_after(SECONDS):
        async with connect(logging_callback=on_log, log_level="info") as client:
            told = await run_js(client, code, name, progress_callback=on_progress)
            await all_logged.wait()  # the client calls back in a task of its own
    assert told == f"one\ntwo\n=> 1\n[{name}@1]"
    assert progress == [(1, "one"), (2, "two")]
    assert logs == [("info", "one"), ("error", "two")]


async def test_a_call_that_is_cancelled_while_it_runs_is_undone(connect: Connect, name: str) -> None:
    running = trio.Event()

    async def on_progress(_done: float, _total: float | None, _message: str | None) -> None:
        running.set()

    with trio.fail_after(SECONDS):
        async with connect() as client:
            async with trio.open_nursery() as nursery:
                code = "var n = 1; console.log('on its way'); for (;;);"

                async def call() -> None:
                    await run_js(client, code, name, progress_callback=on_progress)

                nursery.start_soon(call)
                await running.wait()
                nursery.cancel_scope.cancel()
            assert await run_js(client, "typeof n", name) == f"=> 'undefined'\n[{name}@2]"


async def test_a_client_that_comes_back_finds_its_session(connect: Connect, name: str) -> None:
    with trio.fail_after(SECONDS):
        async with connect() as client:
            assert await run_js(client, "let xs = [1, 2]", name) == f"=> undefined\n[{name}@1]"
        async with connect() as client:
            assert await run_js(client, "xs.push(3); xs", name) == f"=> [ 1, 2, 3 ]\n[{name}@2]"
