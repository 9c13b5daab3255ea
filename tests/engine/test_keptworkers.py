"""Stateless executions in a context each: what one leaves, none of the others finds."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from engines import OWNER, Engine, OpenEngine, first_line, submission

from engine import keptworkers
from engine.execution import Report

LEFT = {
    "global variables": (
        "var left = 1; function also() {} globalThis.third = 1",
        "typeof left + typeof third",
    ),
    "lexical variables": (
        "let left = 1; const kept = 2; class C {}",
        "let left; const kept = 3; let C; kept",
    ),
    "properties of prototypes": (
        "Object.prototype.left = Array.prototype[0] = 1; Map.prototype.get = () => 'left'",
        "[{}.left, [,][0], new Map([[1, 2]]).get(1)]",
    ),
    "built-ins replaced": (
        "Date.now = Math.max = JSON.stringify = Promise.prototype.then = () => 'left'; Array = Proxy = null",
        "[typeof Date.now(), Math.max(1, 2), JSON.stringify({}), typeof Array, await Promise.resolve(1)]",
    ),
    "built-ins frozen": (
        "for (const it of [Error, Array.prototype, Object.prototype, globalThis]) Object.freeze(it)",
        "Error.a = Array.prototype.b = globalThis.c = 1; [Error.a, [].b, c]",
    ),
    "how errors show their stack": (
        "Error.stackTraceLimit = 0; Error.prepareStackTrace = () => 'left'",
        "function f() { return new Error('e').stack } f()",
    ),
    "dates and numbers of Intl": (
        "Intl.NumberFormat = Date = null; Number.prototype.toLocaleString = () => 'left'",
        "[1234.5.toLocaleString('de'), new Intl.NumberFormat('fr').format(0.5), typeof Date]",
    ),
    "what hangs at a registered symbol": (
        "const left = Symbol.for('left'); globalThis[left] = Symbol.prototype.left = Symbol.left = 1",
        "const left = Symbol.for('left'); [globalThis[left], left.left, Symbol.left, left.description]",
    ),
    "what matched last": ("/l(ef)t/.exec('left')", "[RegExp.$1, RegExp.lastMatch]"),
    "a template's object": (
        "globalThis.f = (t) => t; f`left`",
        "let n = 0; const f = (t) => t; [f`left` === f`left`, Object.keys(f`left`)]",
    ),
    "timers": (
        "setInterval(() => console.log('left'), 1); setTimeout(() => console.log('left'), 1e6)",
        "await new Promise((done) => setTimeout(done, 20)); setTimeout(() => {}, 1)",
    ),
    "code that waits for a timer": (
        "(async () => { await new Promise((go) => setTimeout(go, 1e6)); console.log('left') })(); 1",
        "await null; 1",
    ),
    "code that waits for ever": ("await new Promise((go) => { globalThis.go = go })", "typeof go"),
    "rejections": (
        "const left = Promise.reject(new Error('left')); setTimeout(() => left.catch(() => {}), 1e6); 1",
        "Promise.reject(1); 2",
    ),
    "counters and groups of the console": (
        "console.count('a'); console.group('left'); console.time('t')",
        "console.count('a'); console.log('flat'); console.countReset('a')",
    ),
    "numbers of timers": ("setTimeout(() => {}, 1e6)", "setTimeout(() => {}, 1)"),
    "WebAssembly": (
        "globalThis.m = new WebAssembly.Memory({ initial: 1 }); WebAssembly.Memory.prototype.grow = null",
        "[typeof m, new WebAssembly.Memory({ initial: 1 }).grow(1)]",
    ),
    "an error": ("null.left", "1"),
    "a syntax error": ("let let = ;", "1"),
}
BAD_ENDS = {
    "while (true);": "timed_out",
    "const all = []; for (;;) all.push(new Array(1e5).fill(all.length))": "out_of_memory",
    "(function f() { f() })()": "failed",  # the stack overflowed
}


class Contexts:
    """An engine of which each execution has a context."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def idle(self) -> list[int]:
        """Process ids of the workers that wait."""
        kept = self.engine.supervisor._kept
        assert kept is not None
        return [one.worker.pid for one in kept.unused if one.idle]

    async def run(self, code: str, **options: object) -> tuple[Report, int | None]:
        """The report, and the process that waits for the owner's next execution; None if it was ended."""
        report = await self.engine.run(code, **options)
        return report, await self.settled()

    async def settled(self) -> int | None:
        """The process that was used last, once none is in use."""
        with trio.fail_after(30):
            while self.engine.supervisor.places.taken != len(self.idle):  # noqa: ASYNC110 - nobody tells
                await trio.sleep(0.001)
        return self.idle[-1] if self.idle else None


@asynccontextmanager
async def contexts(open_engine: OpenEngine, **options: object) -> AsyncIterator[Contexts]:
    async with open_engine(None, isolation="context", **options) as engine:
        yield Contexts(engine)


def shown(report: Report) -> tuple[object, ...]:
    """What code can have to do with."""
    error = report.error and (report.error.name, report.error.message, report.error.stack)
    return report.status, report.result, report.console, error, report.pending_timers


async def test_nothing_that_an_execution_leaves_is_there_in_the_next(open_engine: OpenEngine) -> None:
    async with contexts(open_engine) as server:
        _, first = await server.run("1")
        for what, (leave, look) in LEFT.items():
            before, _ = await server.run(look)
            await server.run(leave)
            after, pid = await server.run(look)
            assert shown(after) == shown(before), what
            assert pid == first, f"{what}: another process proves nothing"


async def test_an_input_is_that_execution_s_alone(open_engine: OpenEngine) -> None:
    async with contexts(open_engine) as server:
        report, first = await server.run("input.n", input='{"n": 1}')
        assert report.result == "1"
        assert (await server.run("typeof input"))[0].result == "'undefined'"
        assert (await server.run("1"))[1] == first


async def test_an_execution_shows_the_same_in_a_context_and_in_a_process_of_its_own(
    open_engine: OpenEngine,
) -> None:
    async with contexts(open_engine) as server, open_engine(None) as other:
        for what, (_, look) in LEFT.items():
            if what == "what matched last":
                continue  # processes are forked from one in which our own code has matched something
            assert shown((await server.run(look))[0]) == shown(await other.run(look)), look


@pytest.mark.parametrize(("code", "status"), BAD_ENDS.items())
async def test_after_a_bad_end_the_process_is_another_one(
    open_engine: OpenEngine, code: str, status: str
) -> None:
    async with contexts(open_engine) as server:
        _, first = await server.run("1")
        report, kept = await server.run(code, time_ms=500, heap_mb=32)
        assert report.status == status
        assert kept is None
        report, second = await server.run("2")
        assert report.result == "2"
        assert second not in (None, first)


async def test_a_process_that_was_cancelled_or_killed_is_replaced(open_engine: OpenEngine) -> None:
    async with contexts(open_engine) as server:
        _, first = await server.run("1")
        spinning = await server.engine.supervisor.executions.submit(
            submission("console.log('on'); for (;;);")
        )
        assert await first_line(spinning) == "on"
        spinning.cancel()
        report = await spinning.wait(30)
        assert report is not None
        assert report.status == "cancelled"
        _, second = await server.run("1")
        assert second not in (None, first)
        assert second is not None
        os.kill(second, signal.SIGKILL)  # as the kernel does where memory is short
        report, third = await server.run("3")
        while report.status == "crashed":  # it was asked before it was seen that it is gone
            report, third = await server.run("3")
        assert report.result == "3"
        assert third not in (None, second)


async def test_a_process_that_was_killed_when_it_had_answered_is_not_used_again(
    open_engine: OpenEngine,
) -> None:
    async with contexts(open_engine) as server:
        await server.run("1")
        kept = server.engine.supervisor._kept
        assert kept is not None
        worker = await kept.take(OWNER)
        await worker.kill_and_collect()
        kept.keep(worker)
        assert await server.settled() is None
        assert (await server.run("2"))[0].result == "2"


async def test_a_process_is_replaced_after_so_many_executions(
    open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keptworkers, "MOST_RUNS", 3)
    async with contexts(open_engine) as server:
        pids = [(await server.run("1"))[1] for _ in range(4)]
        assert pids[0] == pids[1] is not None
        assert pids[2] is None
        assert pids[3] not in (None, pids[0])


async def test_a_process_that_holds_much_is_replaced(open_engine: OpenEngine) -> None:
    async with contexts(open_engine) as server:
        _, first = await server.run("1")
        report, kept = await server.run("const left = new Uint8Array(50e6).fill(1); left.length")
        assert report.result == "50000000"
        assert kept is None
        assert first is not None
        # strings that V8 keeps for good, since they name symbols
        flood = "for (let n = 0; n < 3e5; n++) Symbol.for(n + 'x'.repeat(100)); 1"
        assert (await server.run(flood))[1] is None


async def test_a_process_is_ended_when_nobody_wants_it_for_long(
    open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keptworkers, "IDLE_SECONDS", -1)
    monkeypatch.setattr(keptworkers, "_LOOK_SECONDS", 0.001)
    async with contexts(open_engine) as server:
        assert (await server.run("1"))[0].result == "1"
        with trio.fail_after(30):
            while server.engine.supervisor.places.taken:  # noqa: ASYNC110 - nobody tells
                await trio.sleep(0.001)


async def test_no_process_goes_from_one_owner_to_another(open_engine: OpenEngine) -> None:
    async with contexts(open_engine) as server:
        by_owner = {owner: (await server.run("1", owner=owner))[1] for owner in ("a", "b")}
        assert by_owner["a"] != by_owner["b"]
        for owner in ("a", "b", "a"):
            assert (await server.run("1", owner=owner))[1] == by_owner[owner]


async def test_the_idle_process_of_one_owner_makes_place_for_another(open_engine: OpenEngine) -> None:
    async with contexts(open_engine, max_workers=1) as server:
        _, first = await server.run("1", owner="a")
        report, second = await server.run("2", owner="b")
        assert report.result == "2"
        assert server.idle == [second]
        assert second != first
        assert (await server.engine.supervisor.parse(submission("1 +", owner="a"))).is_complete is False


async def test_who_waits_for_a_place_gets_the_process_of_the_same_owner(open_engine: OpenEngine) -> None:
    async with contexts(open_engine, max_workers=1) as server:
        _, first = await server.run("1")
        supervisor = server.engine.supervisor
        waiting = [await supervisor.executions.submit(submission(str(n))) for n in range(5)]
        for n, execution in enumerate(waiting):
            report = await execution.wait(30)
            assert report is not None
            assert report.result == str(n)
        assert await server.settled() == first


async def test_who_asks_again_at_once_waits_for_the_same_process(open_engine: OpenEngine) -> None:
    async with contexts(open_engine) as server:
        _, first = await server.run("1")
        for n in range(10):
            assert await server.engine.value(str(n)) == str(n)
        await server.settled()
        assert server.idle == [first]


async def test_a_process_that_was_claimed_and_is_not_wanted_any_more_is_kept(open_engine: OpenEngine) -> None:
    async with contexts(open_engine) as server:
        _, first = await server.run("1")
        kept = server.engine.supervisor._kept
        assert kept is not None
        for is_ready in (False, True):
            if not is_ready:
                kept.keep(await kept.take(OWNER))
            with trio.CancelScope() as scope:
                scope.cancel()
                await kept.take(OWNER)
            assert scope.cancelled_caught
            assert await server.settled() == first


async def test_what_is_idle_is_not_under_way(open_engine: OpenEngine) -> None:
    async with contexts(open_engine) as server:
        await server.run("1")
        assert server.engine.supervisor.status()["queued"] == 0
        assert server.engine.supervisor._under_way() == 0
