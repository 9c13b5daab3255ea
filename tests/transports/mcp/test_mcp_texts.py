"""What a model reads, word for word, from a real engine; the contract's texts are quoted as they are."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from in_process import serving
from mcp import Client
from mcp_types import CallToolResult
from server_process import ServerProcess

from engine.limits import LimitPolicy
from engine.opening import open_supervisor
from engine.supervisor import Stores
from persistence.directory_blobs import DirectoryBlobStore
from persistence.sqlite import open_sqlite_log
from transports.mcp import run_js
from transports.mcp.server import create_server
from transports.mcp.streamable import StreamableDoor
from transports.settings import DEFAULTS

pytestmark = pytest.mark.filterwarnings(
    # the official client leaves generators of its HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning"
)


def text(result: CallToolResult) -> str:
    (content,) = result.content
    told = content.text  # type: ignore[union-attr]
    assert isinstance(told, str)
    return told


async def run(client: Client, code: str, **arguments: object) -> str:
    with trio.fail_after(40):
        return text(await client.call_tool("run_js", {"code": code, **arguments}))


@asynccontextmanager
async def connected(server: ServerProcess, name: str) -> AsyncIterator[Client]:
    async with Client(f"{server.url}/mcp?session={name}", mode="legacy") as client:
        yield client


async def test_the_texts_of_the_contract(server: ServerProcess) -> None:
    async with connected(server, "demo") as client:
        for _ in range(11):
            await run(client, "1")
        assert (
            await run(client, "console.log('sum', 14); [1, 2, 3].map(x => x * x)")
            == """\
sum 14
=> [ 1, 4, 9 ]
[demo@12]"""
        )
        assert (
            await run(client, "function load() { return [] }\nconst rows = load()\nrows[0].id")
            == """\
TypeError: Cannot read properties of undefined (reading 'id')
  2 | const rows = load()
> 3 | rows[0].id
    |         ^
  at exec-13.js:3:9
Earlier changes kept. [demo@13]"""
        )
        told = await run(client, "for (;;);", execution_timeout_secs=0.25)
        assert told == "timed_out after 0.25 s. Call undone. [demo@14]"
        told = await run(client, "for (let i = 0; i < 1304; i++) console.log(`${i}`.padStart(156))")
    assert re.search(
        r'\n… 1,204 lines cut: get_execution_output \{"execution_id":"e_[^"]{16}","line_offset":101\}\n', told
    )
    assert told.endswith("\n=> undefined\n[demo@15]")


TEXTS = {
    "undefined": "=> undefined\n[{0}@1]",
    "console.log('a\\nb')": "a\nb\n=> undefined\n[{0}@1]",
    "({ a: 1 })": "=> {{ a: 1 }}\n[{0}@1]",
    "(async () => 5)()": "=> 5\n[{0}@1]",
    "await new Promise(() => {})": (
        "=> a promise that is pending: nothing that is left can settle it\n[{0}@1]"
    ),
    "setInterval(() => {}, 1e6); 1": "=> 1\n1 timer pending: it fires during a later call\n[{0}@1]",
    "throw 42": (
        "Uncaught 42\nHint: Only errors say where they come from: throw new Error(…).\n"
        "Earlier changes kept. [{0}@1]"
    ),
    "throw Object.assign(new Error('x', { cause: new TypeError('y') }), { code: 7 })": (
        "Error: x\n"
        "> 1 | throw Object.assign(new Error('x', {{ cause: new TypeError('y') }}), {{ code: 7 }})\n"
        "    |                     ^\n"
        "  at exec-1.js:1:21\n"
        "  code: 7,\n"
        "  [cause]: TypeError: y\n"
        "      at exec-1.js:1:45\n"
        "Earlier changes kept. [{0}@1]"
    ),
    "await Promise.any([Promise.reject(1), Promise.reject(2)])": (
        "AggregateError: All promises were rejected\n  [errors]: [ 1, 2 ]\nEarlier changes kept. [{0}@1]"
    ),
    "(function f(n) { if (n === 0) throw new Error('deep'); f(n - 1) })(8)": (
        "Error: deep\n"
        "> 1 | (function f(n) {{ if (n === 0) throw new Error('deep'); f(n - 1) }})(8)\n"
        "    |                                     ^\n"
        "  at f (exec-1.js:1:37)\n" + "  at f (exec-1.js:1:56)\n" * 4 + "  … 5 more\n"
        "Earlier changes kept. [{0}@1]"
    ),
    "(function f() { f() })()": (
        "StackOverflow: the call stack overflowed: too deep a recursion, or too many arguments\n"
        "> 1 | (function f() {{ f() }})()\n"
        "    |            ^\n"
        "  at f (exec-1.js:1:12)\n" + "  at f (exec-1.js:1:17)\n" * 4 + "  … 5 more\n"
        "Hint: Use a loop, or a list as the stack: how deep calls may go is limited.\n"
        "Call undone. [{0}@1]"
    ),
}


@pytest.mark.parametrize("code", TEXTS)
async def test_the_text_of(server: ServerProcess, name: str, code: str) -> None:
    name = name[:40]
    async with connected(server, name) as client:
        assert await run(client, code) == TEXTS[code].format(name)


async def test_running_out_of_memory_says_how_much_there_was(server: ServerProcess, name: str) -> None:
    async with connected(server, name) as client:
        told = await run(
            client, "const a = []; for (;;) a.push(new Array(1e5).fill(1))", heap_memory_max_mb=32
        )
    assert re.fullmatch(
        r"out_of_memory after \S+ s: needed more than 32 MB of heap or 128 MB of buffers\. Hold less at once, "
        rf"or ask for more heap with heap_memory_max_mb\. Call undone\. \[{name}@1\]",
        told,
    )


REFUSED = {
    "a wrong type": (
        {"execution_timeout_secs": "soon"},
        "invalid_field: `execution_timeout_secs` must be a number",
    ),
    "a point that is not there": ({"session": "{0}@99"}, "not_found: "),
    "an old state": ({"session": "{0}", "heap": "0" * 64}, "conflict: "),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_refusal_ends_with_the_handle_to_go_on_from(
    server: ServerProcess, name: str, case: str
) -> None:
    arguments, told = REFUSED[case]
    async with connected(server, name) as client:
        await run(client, "1")
        refused = await run(client, "2", **{key: value.format(name) for key, value in arguments.items()})
        assert refused.startswith(told)
        assert refused.endswith(f" Nothing was run. [{name}@1]")


async def test_a_session_that_is_not_there_has_no_handle(server: ServerProcess) -> None:
    async with connected(server, "s_0000000000000000") as client:
        assert (await run(client, "1")).endswith("Nothing was run.")


async def test_output_that_was_cut_is_read_page_by_page(server: ServerProcess, name: str) -> None:
    async with connected(server, name) as client:
        told = await run(client, "for (let i = 0; i < 5000; i++) console.log('line', i); 'done'")
        assert len(told) <= 16_000
        note = re.search(r"\n… ([0-9,]+) lines cut: get_execution_output (\{.*\})\n=> 'done'\n", told)
        assert note is not None
        read, arguments = told[: note.start()].splitlines(), json.loads(note[2])
        assert note[1] == f"{5000 - len(read):,}"
        while arguments["line_offset"] is not None:
            result = await client.call_tool("get_execution_output", arguments)
            page = result.structured_content
            assert page == json.loads(text(result))
            assert len(page["data"].encode()) <= 16_000
            read += page["data"].splitlines()
            arguments["line_offset"] = page["next_line_offset"]
    assert read == [f"line {i}" for i in range(5000)]
    assert (page["status"], page["result"], page["has_more"]) == ("completed", "'done'", False)
    assert page["handle"] == f"[{name}@1]"


async def test_a_failure_is_told_as_fully_where_its_output_is_read(server: ServerProcess, name: str) -> None:
    async with connected(server, name) as client:
        failed = await client.call_tool("run_js", {"code": "null.id"})
        assert failed.meta is not None
        asked = {"execution_id": failed.meta["mcp-v8/execution"]["execution_id"]}
        page = (await client.call_tool("get_execution_output", asked)).structured_content
        assert page is not None
        assert text(failed) == f"{page['error']}\nEarlier changes kept. {page['handle']}"


async def test_the_rest_of_a_long_line_is_read_by_bytes(server: ServerProcess, name: str) -> None:
    async with connected(server, name) as client:
        told = await run(client, "console.log('ö'.repeat(25_000)); 1")
        note = re.search(r"\n… [0-9,]+ bytes cut: get_execution_output (\{.*\})\n=> 1\n", told)
        assert note is not None
        read, arguments = told[: note.start()], json.loads(note[1])
        while arguments["byte_offset"] is not None:
            page = (await client.call_tool("get_execution_output", arguments)).structured_content
            read += page["data"]
            arguments["byte_offset"] = page["next_byte_offset"]
    assert read == "ö" * 25_000 + "\n"


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        (
            "get_execution_output",
            {},
            'invalid_field: `execution_id` is missing; for example {"execution_id":"e_0123456789abcdef"}.',
        ),
        ("get_execution_output", {"execution_id": "e_0000000000000000", "line_limit": "2"}, "not_found: "),
        (
            "get_execution_output",
            {"execution_id": "e_1"},
            "invalid_field: `execution_id` must be the id of an execution, e_ and 16 characters, not 'e_1'; for",
        ),
        ("get_execution_output", {"execution_id": "e_0000000000000000"}, "not_found: "),
        (
            "get_execution_output",
            {"execution_id": "e_0000000000000000", "line": 1},
            "invalid_field: get_execution_output has no argument `line`: it takes execution_id, line_offset, ",
        ),
        (
            "get_execution_output",
            {"execution_id": "e_0000000000000000", "line_limit": "none"},
            "invalid_field: `line_limit` must be a whole number from 1, not 'none'; for example",
        ),
        ("cancel_execution", {"execution_id": "e_0000000000000000"}, "not_found: "),
    ],
)
async def test_wrong_arguments_of_other_tools_are_told(
    server: ServerProcess, tool: str, arguments: dict[str, object], told: str
) -> None:
    async with Client(f"{server.url}/mcp", mode="legacy") as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error is True
    assert text(result).startswith(told)


async def test_a_call_that_goes_on_can_be_watched_and_stopped(
    cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_js, "CALL_SECONDS", 0.5)
    common = {"policy": LimitPolicy(), "cache_dir": cache_dir, "max_workers": 4}
    async with (
        open_sqlite_log(tmp_path / "store") as log,
        open_supervisor(stores=Stores(log, DirectoryBlobStore(tmp_path / "store")), **common) as engine,  # type: ignore[arg-type]
    ):
        door = StreamableDoor(create_server(engine, DEFAULTS))
        async with door.run(), serving(door) as served:
            url = f"http://127.0.0.1:{served.port}/mcp?session=demo"
            async with Client(url, mode="legacy") as client:
                await run(client, "var n = 1")
                told = await run(client, "n = 2; console.log('begun'); for (;;);", execution_timeout_secs=60)
                running = re.fullmatch(
                    r"running: not over after 0 s, and it goes on as (e_.{16})\. 1 console line so far\. "
                    r"To see them, and when it is over its result: get_execution_output (\{.*\})\. "
                    r"To stop and undo it: cancel_execution (\{.*\})\. "
                    r"Other calls in its session wait for it\. \[demo@1\]",
                    told,
                )
                assert running is not None
                page = await client.call_tool("get_execution_output", json.loads(running[2]))
                assert page.structured_content is not None
                assert (page.structured_content["data"], page.structured_content["status"]) == (
                    "begun\n",
                    "running",
                )
                stopped = await client.call_tool("cancel_execution", json.loads(running[3]))
                assert stopped.structured_content == {
                    "execution_id": running[1],
                    "status": "cancelled",
                    "handle": "[demo@2]",
                }
                assert await run(client, "n") == "=> 1\n[demo@3]"
