"""Sessions live on when their server is killed between two calls, and are one server's at a time."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx2
import pytest
import trio
from mcp import Client
from mcp_types import CallToolResult
from restarts import execute, restarting
from server_process import ServerProcess, running
from typed import run

from benchmarks.processes import all_stats, descendants

pytestmark = pytest.mark.own_zygote  # finds the server's processes

LIVE_STATE = """
class Account { #balance = 10; deposit(n) { this.#balance += n; return this.#balance } }
const account = new Account()
account.deposit(5)
function counter() { let n = 0; return () => ++n }
const next = counter()
next(); next()
function* running() { let total = 0; for (;;) total += yield total }
const sums = running()
sums.next(); sums.next(3)
let open
const gate = new Promise(resolve => { open = resolve })
let passed = 'not yet'
const passing = (async () => { passed = await gate; return passed * 2 })()
async function* rooms() { for (const name of ['hall', 'attic']) yield name }
const walk = rooms()
await walk.next()
"""

WEB_STATE = """
console.group('outer'); console.group('inner'); console.count('calls'); console.time('since')
const heard = [], bus = new EventTarget(), control = new AbortController()
bus.addEventListener('go', (event) => heard.push(event.detail), { signal: control.signal })
bus.addEventListener('go', () => heard.push('once'), { once: true })
const late = AbortSignal.timeout(3_600_000), both = AbortSignal.any([control.signal, late])
both.onabort = () => heard.push(both.reason.name)
const note = new File(['a€', new Blob(['b'])], 'note.txt', { type: 'text/plain' })
const url = new URL('https://example.org/a?x=1#h'), query = url.searchParams
const decoder = new TextDecoder(); const half = decoder.decode(Uint8Array.of(0xe2, 0x82), { stream: true })
performance.mark('begun', { detail: [1] })
setTimeout(() => heard.push('much later'), 3_600_000)
const drawn = crypto.randomUUID()
drawn
"""

USE_WEB_STATE = """
console.log('indented'); console.count('calls')
bus.dispatchEvent(new CustomEvent('go', { detail: heard.length }))
query.append('y', '2')
const told = { heard: heard.join(), note: await note.text(), href: url.href, drawn, late: late.aborted,
  rest: decoder.decode(Uint8Array.of(0xac)), mark: performance.getEntriesByName('begun')[0].detail }
told
"""

READ_CLOCKS = """
class Later extends Date {}
const format = { dateStyle: 'full', timeStyle: 'full', timeZone: 'UTC' }
const precise = { second: 'numeric', fractionalSecondDigits: 3 }
const clocks = {
  now: Date.now(),
  made: +new Date(),
  called: Date(),
  inherited: +new Later(),
  reflected: +Reflect.construct(Date, [], Object),
  prototype: Date.prototype.constructor.now(),
  instance: +new (new Date(0).constructor)(),
  described: +new (Object.getOwnPropertyDescriptor(globalThis, 'Date').value)(),
  text: new Date().toLocaleString('en', format),
  performance: performance.now(),
  origin: performance.timeOrigin,
  format: new Intl.DateTimeFormat('en', precise).format(),
  formatGetter: Object.getOwnPropertyDescriptor(Intl.DateTimeFormat.prototype, 'format')
    .get.call(new Intl.DateTimeFormat('en', precise))(),
  parts: new Intl.DateTimeFormat('en', precise).formatToParts(),
  undefinedDate: new Intl.DateTimeFormat('en', precise).format(undefined),
  temporal: typeof Temporal === 'undefined' ? 'none' : String(Temporal.Now.instant()),
  zoned: typeof Temporal === 'undefined' ? 'none' : String(Temporal.Now.zonedDateTimeISO()),
  random: Math.random(),
}
"read"
"""


async def test_what_the_web_and_the_console_remember_survives_kills(tmp_path: Path) -> None:
    with trio.fail_after(120):
        async with restarting(tmp_path) as server:
            first = await execute(server, session="demo", code=WEB_STATE)
            await server.kill_and_restart()
            later = await execute(server, session="demo", code=USE_WEB_STATE)
            assert later["output"] == "    indented\n    calls: 2\n"
            assert later["pending_timers"] == 2
            assert later["result_json"] == {
                "heard": "0,once",
                "note": "a€b",
                "href": "https://example.org/a?x=1&y=2#h",
                "drawn": first["result_json"],
                "late": False,
                "rest": "€",
                "mark": [1],
            }
            await server.kill_and_restart()
            code = "console.groupEnd(); console.count('calls'); control.abort(); bus.dispatchEvent(new Event('go')); heard"
            last = await execute(server, session="demo", code=code)
            assert last["output"] == "  calls: 3\n"
            assert last["result_json"] == [0, "once", "AbortError"]


async def test_live_objects_survive_a_kill_between_two_calls(tmp_path: Path) -> None:
    with trio.fail_after(120):
        async with restarting(tmp_path) as server:
            await execute(server, session="demo", code=LIVE_STATE)
            await server.kill_and_restart()
            later = await execute(
                server,
                session="demo",
                code="open(21); [account.deposit(1), next(), sums.next(4).value, await passing, passed]",
            )
            assert (later["status"], later["result_json"]) == ("completed", [16, 3, 7, 42, 21])
            await server.kill_and_restart()
            last = await execute(
                server,
                session="demo",
                code="[account.deposit(0), next(), sums.next(0).value, (await walk.next()).value]",
            )
            assert (last["status"], last["result_json"]) == ("completed", [16, 4, 7, "attic"])
            assert last["event"] == 3


async def test_no_clock_of_a_session_shows_the_time_of_its_rebuilding(tmp_path: Path) -> None:
    with trio.fail_after(120):
        async with restarting(tmp_path) as server:
            assert (await execute(server, session="clocks", code=READ_CLOCKS))["result"] == "'read'"
            live = await execute(server, session="clocks", code="JSON.stringify(clocks)")
            await server.kill_and_restart()  # takes longer than any clock's step
            rebuilt = await execute(server, session="clocks", code="JSON.stringify(clocks)")
    assert live["status"] == "completed"
    assert rebuilt["result"] == live["result"]


async def test_an_undone_call_stays_undone_after_a_kill(tmp_path: Path) -> None:
    with trio.fail_after(120):
        async with restarting(tmp_path) as server:
            await execute(server, session="demo", code="let n = 1")
            looped = await execute(
                server, session="demo", code="n = 2; for (;;);", execution_timeout_secs=0.5
            )
            assert (looped["status"], looped["event"]) == ("timed_out", 2)
            await server.kill_and_restart()
            answer = await execute(server, session="demo", code="n")
    assert (answer["result"], answer["event"]) == ("1", 3)


async def test_an_execution_cut_off_by_a_kill_leaves_no_trace_and_its_key_runs_afterwards(
    tmp_path: Path,
) -> None:
    with trio.fail_after(120):
        async with restarting(tmp_path) as server, httpx2.AsyncClient(timeout=60) as client:
            await execute(server, session="demo", code="let n = 1")
            cut_off = await client.post(
                f"{await server.url()}/api/exec",
                json={"session": "demo", "code": "n = 2; for (;;);", "execution_timeout_secs": 300},
                headers={"prefer": "respond-async"},
            )
            assert cut_off.status_code == 202
            waiting = {"session": "demo", "code": "++n", "idempotency_key": "again"}
            url = await server.url()
            queued = await client.post(f"{url}/api/exec", json=waiting, headers={"prefer": "wait=0"})
            assert queued.status_code == 202
            await server.kill_and_restart()
            url = await server.url()
            for answer in (cut_off, queued):
                assert (await client.get(f"{url}{answer.headers['location']}")).status_code == 404
            again = await execute(server, **waiting)
            assert (again["result"], again["event"]) == ("2", 2)


async def test_nothing_outlives_a_killed_server(tmp_path: Path) -> None:
    with trio.fail_after(60):
        async with restarting(tmp_path) as server, httpx2.AsyncClient(timeout=60) as client:
            await execute(server, session="idle", code="1")
            await client.post(
                f"{await server.url()}/api/exec",
                json={"session": "busy", "code": "for (;;);"},
                headers={"prefer": "respond-async"},
            )
            below = descendants(server.process.process.pid, all_stats())
            assert len(below) >= 3  # the zygote, two sessions
            ends = [os.pidfd_open(pid) for pid in below]
            await server.kill()
            for end in ends:
                await trio.lowlevel.wait_readable(end)
                os.close(end)


def test_a_second_server_on_the_directory_says_so_in_a_sentence_and_leaves_the_first_alone(
    tmp_path: Path,
) -> None:
    async def answer(server: ServerProcess) -> str:
        with trio.fail_after(30):
            async with Client(f"{server.url}/mcp?session=demo") as client:
                return text(await client.call_tool("run_js", {"code": "1 + 2"}))

    with running("--directory-path", str(tmp_path)) as first:
        second = run("--http-port", "0", "--directory-path", tmp_path)
        assert second.returncode == 1
        assert second.stderr.count("\n") == 1
        assert str(tmp_path) in second.stderr
        assert str(first.process.pid) in second.stderr
        assert trio.run(answer, first) == "=> 3\n[demo@1]"


@pytest.mark.filterwarnings(
    # the official client leaves generators of its HTTP library to the garbage collector
    "ignore:Async generator 'http:ResourceWarning"
)
async def test_the_first_five_minutes_of_an_mcp_client(tmp_path: Path) -> None:
    server = ServerProcess("--directory-path", str(tmp_path))
    address = f"{server.url}/mcp?session=demo"
    with trio.fail_after(120):
        async with Client(address) as client:
            first = text(await client.call_tool("run_js", {"code": "let xs=[1,2]"}))
        assert first.splitlines()[-1] == "[demo@1]"
        assert await trio.to_thread.run_sync(server.terminate, signal.SIGKILL) == -signal.SIGKILL
        with running("--directory-path", str(tmp_path), "--http-port", str(server.port)):
            async with Client(address) as client:
                second = text(await client.call_tool("run_js", {"code": "xs.push(3); xs"}))
    assert second == "=> [ 1, 2, 3 ]\n[demo@2]"


def text(result: CallToolResult) -> str:
    (content,) = result.content
    told = content.text  # type: ignore[union-attr]
    assert isinstance(told, str)
    return told
