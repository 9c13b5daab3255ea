"""What becomes of code that is run in a session."""

from __future__ import annotations

import os
import signal

import pytest
import trio
from engines import OWNER, both_stores, first_line, submission

from engine.errors import Conflict, InvalidField, KeyReused, NotFound, TooLarge
from engine.events import Aborted, Created, Executed
from engine.limits import LimitPolicy


async def test_a_session_remembers_variables_functions_and_classes(engine):
    await engine.run(
        "let n = 1; const inc = () => ++n; class P { #x = 7; get() { return this.#x } }", session="a"
    )
    assert await engine.value("inc() + new P().get()", session="a") == "9"


async def test_names_can_be_declared_again(engine):
    await engine.run("let x = 1", session="a")
    assert await engine.value("let x = 2; x", session="a") == "2"


async def test_top_level_await_gives_the_value(engine):
    assert await engine.value("await Promise.resolve([1, 2])", session="a") == "[ 1, 2 ]"


PROMISES = {
    "(async () => { await null; return [7] })()": "[ 7 ]",
    "new Promise(resolve => setTimeout(resolve, 5, 'late'))": "'late'",
    "let n = 0; new Promise(resolve => { const t = setInterval(() => { if (++n > 2) { clearInterval(t); resolve(n) } }, 1) })": "3",
    "new (class Task extends Promise {})(resolve => resolve(1))": "1",
    "[Promise.resolve(1)]": "[ Promise { 1 } ]",
    "const thenable = { then(f) { f(4) } }; thenable": "{ then: [Function: then] }",
    "Promise.resolve({ get '.repl_result'() { throw 1 } })": "{ '.repl_result': [Getter] }",
}


@pytest.mark.parametrize("code", PROMISES)
async def test_a_promise_at_the_end_is_awaited_and_nothing_else_is(engine, code):
    assert await engine.value(code) == PROMISES[code]


async def test_a_promise_at_the_end_that_rejects_is_a_failure_with_its_place_and_no_line_of_the_console(
    engine,
):
    await engine.run("const main = async () => {\n  null.x\n}", session="a")
    failed = await engine.run("main()", session="a")
    assert (failed.status, failed.error.name, failed.console) == ("failed", "TypeError", ())
    assert failed.error.frame.splitlines()[1] == "> 2 |   null.x"


async def test_a_promise_at_the_end_that_nothing_can_settle_is_pending(engine):
    done = await engine.run("new Promise(() => {})", session="a")
    assert (done.status, done.pending, done.result) == ("completed", True, None)


async def test_a_leading_brace_is_an_object_and_a_block_where_it_does_not_parse_as_one(engine):
    assert await engine.value("{ a: 1 }") == "{ a: 1 }"
    assert await engine.value("{ let q = 2; q }") == "2"


async def test_the_first_execution_creates_the_session_and_the_answer_says_where_it_is(engine):
    first = await engine.run("1", session="a")
    second = await engine.run("2", session="a")
    assert (first.session, first.created, first.event) == ("a", True, 1)
    assert (second.session, second.created, second.event) == ("a", False, 2)
    assert first.heap != second.heap


async def test_an_unnamed_session_gets_a_name_under_which_it_goes_on(engine):
    first = await engine.run("let n = 5")
    assert first.session.startswith("s_")
    assert await engine.value("n", session=first.session) == "5"


async def test_a_throw_is_reported_with_its_place_and_keeps_earlier_changes(engine):
    await engine.run("let n = 1", session="a")
    failed = await engine.run("n = 2\nconst rows = undefined\nrows.id", session="a")
    assert failed.status == "failed"
    assert failed.error.name == "TypeError"
    assert (failed.error.line, failed.error.column) == (3, 6)
    assert failed.error.frame == "  2 | const rows = undefined\n> 3 | rows.id\n    |      ^"
    assert "exec-2.js:3:6" in failed.error.stack
    assert not failed.error.undone
    assert await engine.value("n", session="a") == "2"


@pytest.mark.parametrize("code", ["'é'; nope", "'😀'; nope", "'é' + ;"])
async def test_errors_in_code_that_is_not_ascii_have_places_too(engine, code):
    report = await engine.run(code)
    assert (report.status, report.error.line) == ("failed", 1)
    assert report.error.frame


async def test_a_syntax_error_is_reported_with_its_place_and_changes_nothing(engine):
    failed = await engine.run("let a = 1\nlet = 5 5", session="a")
    assert (failed.status, failed.error.name, failed.error.line) == ("failed", "SyntaxError", 2)
    assert await engine.value("typeof a", session="a") == "'undefined'"


# (module (memory 1 65535) (func (export "grow") (param i32) (result i32) local.get 0 memory.grow))
GROWS = """
    const bytes = Uint8Array.fromHex(
      '0061736d01000000' + '01060160017f017f' + '03020100' + '0506010101ffff03' +
      '0708010467726f770000' + '0a08010600200040000b')
    const { grow } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports
"""

ABORTS = {
    "an endless loop": ("n = 2; while (true);", "timed_out", "TimedOut"),
    "a microtask flood": ("n = 2; (function f() { Promise.resolve().then(f) })()", "timed_out", "TimedOut"),
    "an endless await": (
        "n = 2; setInterval(() => {}, 1); await new Promise(() => {})",
        "timed_out",
        "TimedOut",
    ),
    "a growing array": (
        "n = 2; globalThis.hog = []; for (;;) hog.push({ a: 1 })",
        "out_of_memory",
        "OutOfMemory",
    ),
    "a growing map": (
        "n = 2; const m = new Map(); for (let i = 0; ; i++) m.set(i, [i])",
        "out_of_memory",
        "OutOfMemory",
    ),
    "a growing string set": (
        "n = 2; const all = []; for (let i = 0; ; i++) all.push('x'.repeat(1000) + i)",
        "out_of_memory",
        "OutOfMemory",
    ),
    "an array longer than there can be": (
        "n = 2; 'x'.repeat(2 ** 28).split('')",
        "out_of_memory",
        "OutOfMemory",
    ),
    "a huge buffer": ("n = 2; new ArrayBuffer(1e9)", "out_of_memory", "OutOfMemory"),
    "a huge buffer, caught": ("n = 2; try { new ArrayBuffer(1e9) } catch {}", "out_of_memory", "OutOfMemory"),
    "many buffers": (
        "n = 2; const all = []; for (;;) all.push(new Uint8Array(1e6).fill(1))",
        "out_of_memory",
        "OutOfMemory",
    ),
    "a copy of a buffer, caught": (
        "n = 2; const b = new Uint8Array(1e8); try { b.slice() } catch {}",
        "out_of_memory",
        "OutOfMemory",
    ),
    "a resized buffer, caught": (
        "n = 2; try { new ArrayBuffer(1, { maxByteLength: 2e9 }).resize(1.5e9) } catch {}",
        "out_of_memory",
        "OutOfMemory",
    ),
    "a resizable buffer, caught": (
        "n = 2; try { new ArrayBuffer(1.5e9, { maxByteLength: 2e9 }) } catch {}",
        "out_of_memory",
        "OutOfMemory",
    ),
    "a transferred buffer, caught": (
        "n = 2; try { new ArrayBuffer(1).transfer(1e9) } catch {}",
        "out_of_memory",
        "OutOfMemory",
    ),
    "a WebAssembly memory that grows, caught": (
        "n = 2; try { new WebAssembly.Memory({ initial: 1 }).grow(20_000) } catch {}",
        "out_of_memory",
        "OutOfMemory",
    ),
    "a WebAssembly module that grows its memory": (
        f"n = 2; {GROWS}; grow(20_000)",
        "out_of_memory",
        "OutOfMemory",
    ),
    "address space for WebAssembly memories, caught": (
        "n = 2; const all = []; try { for (;;) all.push(new WebAssembly.Memory({ initial: 0 })) } catch {}",
        "out_of_memory",
        "OutOfMemory",
    ),
    "deep recursion": ("n = 2; (function f() { f() })()", "failed", "StackOverflow"),
    "deep recursion, caught": ("n = 2; try { (function f() { f() })() } catch {}", "failed", "StackOverflow"),
    "too many arguments, caught": (
        "n = 2; try { Math.max(...new Array(200_000).fill(1)) } catch {}",
        "failed",
        "StackOverflow",
    ),
}


@pytest.mark.parametrize("what", ABORTS)
async def test_code_that_goes_too_far_is_stopped_and_undone(engine, what):
    code, status, name = ABORTS[what]
    await engine.run("let n = 1", session="a")
    bystander = await engine.run("let here = true", session="b")
    time_ms = 1_500 if status == "timed_out" else 20_000
    stopped = await engine.run(code, session="a", time_ms=time_ms, heap_mb=32)
    if status == "timed_out":
        assert stopped.duration_us >= 1_400_000
    assert (stopped.status, stopped.error.name, stopped.error.undone) == (status, name, True)
    assert await engine.value("n", session="a") == "1"
    assert await engine.value("here", session="b", heap=bystander.heap) == "true"


async def test_a_flood_of_formatters_is_stopped_and_undone(engine):
    await engine.run("let n = 1", session="a")
    flood = "n = 2; const all = []; for (let i = 0; i < 40_000; i++) all.push(new Intl.DateTimeFormat())"
    stopped = await engine.run(flood, session="a", time_ms=20_000, heap_mb=32)
    # ICU does not survive that malloc fails, which comes before V8 has counted what ICU holds, or after it
    assert stopped.status in ("out_of_memory", "crashed")
    assert stopped.error.undone
    assert await engine.value("n", session="a") == "1"


async def test_buffers_that_nobody_holds_cost_nothing(engine):
    loop = "for (let i = 0; i < 20; i++) bytes += new {}.byteLength; bytes"
    for buffer in ("Uint8Array((60 + 2 * i) << 20)", "ArrayBuffer(60 << 20, { maxByteLength: 100 << 20 })"):
        done = await engine.run(f"let bytes = 0; {loop.format(buffer)}", heap_mb=16)
        assert (done.status, done.error) == ("completed", None)


async def test_a_module_learns_that_its_memory_cannot_grow_only_at_its_maximum(engine):
    assert await engine.value(f"{GROWS}; [grow(10), grow(65_535), grow(0)]") == "[ 1, -1, 11 ]"


async def test_memory_that_is_shared_is_refused(engine):
    failed = await engine.run("new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true })")
    assert (failed.status, failed.error.name) == ("failed", "TypeError")
    imported = "0061736d010000000504010301020707" + "01036d656d0200"
    failed = await engine.run(
        f"(await WebAssembly.instantiate(Uint8Array.fromHex('{imported}'))).instance.exports.mem.buffer"
    )
    assert (failed.status, failed.error.name) == ("failed", "TypeError")


async def test_an_overflow_that_is_not_caught_says_where(engine):
    failed = await engine.run("const a = 1\nfunction down() { down() }\ndown()", session="a")
    assert (failed.error.name, failed.error.line) == ("StackOverflow", 2)
    assert "> 2 | function down() { down() }" in failed.error.frame


async def test_what_is_only_large_is_an_ordinary_error(engine):
    failed = await engine.run("'x'.repeat(2 ** 30)", session="a")
    assert (failed.status, failed.error.name, failed.error.undone) == ("failed", "RangeError", False)
    assert await engine.value("'x'.repeat(10_000).length", session="a") == "10000"


async def test_the_console_of_an_aborted_execution_is_kept(engine):
    stopped = await engine.run("console.log('before'); while (true);", session="a", time_ms=300)
    assert [line.text for line in stopped.console] == ["before"]


async def test_a_console_flood_is_cut_at_its_cap(engine):
    done = await engine.run("for (let i = 0; i < 300_000; i++) console.log('line', i)", session="a")
    assert done.status == "completed"
    assert done.console_dropped > 0
    text = sum(len(line.text.encode()) for line in done.console)
    assert text <= LimitPolicy().default.console_bytes + 1_000


async def test_the_console_streams_while_code_runs(engine):
    execution = await engine.supervisor.executions.submit(
        submission("console.log('first'); await new Promise((resolve) => setTimeout(resolve, 20_000))")
    )
    assert await first_line(execution) == "first"
    assert not execution.done
    await engine.supervisor.executions.cancel(OWNER, execution.id)
    report = await execution.wait(10)
    assert (report.status, report.error.name) == ("cancelled", "Cancelled")


async def test_cancelling_is_undoing(engine):
    await engine.run("let n = 1", session="a")
    execution = await engine.supervisor.executions.submit(submission("n = 2; while (true);", session="a"))
    while execution.cancel_scope is None:
        await trio.lowlevel.checkpoint()
    await engine.supervisor.executions.cancel(OWNER, execution.id)
    assert (await execution.wait(10)).status == "cancelled"
    assert await engine.value("n", session="a") == "1"


async def test_cancelling_what_waits_its_turn_keeps_it_from_running(engine):
    first = await engine.supervisor.executions.submit(
        submission("globalThis.n = 1; while (true);", session="a", time_ms=500)
    )
    second = await engine.supervisor.executions.submit(submission("globalThis.n = 2", session="a"))
    await engine.supervisor.executions.cancel(OWNER, second.id)
    assert (await first.wait(10)).status == "timed_out"
    assert (await second.wait(10)).status == "cancelled"
    assert await engine.value("typeof n", session="a") == "'undefined'"


async def test_a_worker_that_dies_is_a_crash_and_the_session_goes_on(engine):
    await engine.run("let n = 1", session="a")
    execution = await engine.supervisor.executions.submit(
        submission("n = 2; console.log('go'); while (true);", session="a")
    )
    assert await first_line(execution) == "go"
    for pid in engine.worker_pids():
        os.kill(pid, signal.SIGKILL)
    report = await execution.wait(10)
    assert (report.status, report.error.undone) == ("crashed", True)
    assert await engine.value("n", session="a") == "1"


async def test_jobs_of_a_session_run_in_order_of_acceptance(engine):
    executions = [
        await engine.supervisor.executions.submit(
            submission(f"(globalThis.seen ??= []).push({i}); seen.join()", session="a")
        )
        for i in range(10)
    ]
    reports = [await execution.wait(30) for execution in executions]
    assert [report.event for report in reports] == list(range(1, 11))
    assert reports[-1].result == "'0,1,2,3,4,5,6,7,8,9'"


async def test_timers_due_within_the_limit_are_awaited(engine):
    done = await engine.run("setTimeout(() => console.log('late'), 30); 'value'", session="a")
    assert done.result == "'value'"
    assert [line.text for line in done.console] == ["late"]
    assert done.pending_timers == 0


async def test_timers_due_later_are_left_and_fire_in_a_later_execution(engine):
    first = await engine.run("setTimeout(() => console.log('overdue'), 600); 1", session="a", time_ms=300)
    assert (first.status, first.pending_timers, first.console) == ("completed", 1, ())
    done = await engine.run("1", session="a")
    while not done.console:
        done = await engine.run("1", session="a")
    assert done.console[0].text == "overdue"
    assert done.pending_timers == 0


async def test_a_value_that_nothing_can_settle_is_pending(engine):
    done = await engine.run("let go; await new Promise((resolve) => { go = resolve })", session="a")
    assert (done.status, done.pending, done.result) == ("completed", True, None)


async def test_an_await_left_open_goes_on_when_it_is_resolved_later(engine):
    await engine.run("let go; let got = await new Promise((resolve) => { go = resolve })", session="a")
    await engine.run("go(42)", session="a")
    assert await engine.value("got", session="a") == "42"


async def test_an_unhandled_rejection_is_shown_and_the_execution_completes(engine):
    done = await engine.run("Promise.reject(new Error('lost')); 7", session="a")
    assert done.result == "7"
    assert done.console[0].level == "error"
    assert done.console[0].text.startswith("Uncaught (in promise) Error: lost")


async def test_input_is_bound_and_recorded(engine):
    done = await engine.run("input.rows.length", session="a", input='{"rows":[1,2,3]}')
    assert done.result == "3"
    record = await engine.log.execution(done.execution_id)
    assert record.event.input == '{"rows":[1,2,3]}'


async def test_every_execution_is_an_event_with_who_asked(engine):
    done = await engine.run("1", session="a", idempotency_key="k", request_hash="h")
    stopped = await engine.run("while (true);", session="a", time_ms=200)
    row = await engine.log.session_named(OWNER, "a")
    events = [record.event async for record in engine.log.read(row.session)]
    assert [type(event) for event in events] == [Created, Executed, Aborted]
    assert events[1].caller.transport == "test"
    assert (events[1].execution_id, events[1].idempotency_key, events[1].request_hash) == (
        done.execution_id,
        "k",
        "h",
    )
    assert events[1].engine == engine.supervisor.engine_id
    assert (events[2].execution_id, events[2].reason) == (stopped.execution_id, "timed_out")
    assert events[2].limits.time_ms == 200


async def test_an_execution_is_found_again_by_its_id(engine):
    done = await engine.run("console.log('x'); 1 + 1", session="a")
    found = await engine.supervisor.executions.find(OWNER, done.execution_id)
    assert found.report == done


async def test_that_an_execution_created_its_session_is_found_again_of_a_fork_too(engine):
    await engine.run("1", session="a")
    await engine.run("2", session="a")
    fork = await engine.run("3", session="a", at=1)
    second = await engine.run("4", session=fork.session)
    for report in (fork, second):
        assert (await engine.supervisor.executions.find(OWNER, report.execution_id)).report == report


async def test_an_aborted_execution_is_found_again_with_the_state_it_left(engine):
    before = await engine.run("1", session="a")
    stopped = await engine.run("while (true);", session="a", time_ms=200)
    found = await engine.supervisor.executions.find(OWNER, stopped.execution_id)
    assert found.report == stopped
    assert found.report.heap == before.heap


async def test_another_owner_finds_nothing_of_it(engine):
    done = await engine.run("let secret = 1", session="a")
    with pytest.raises(NotFound):
        await engine.supervisor.executions.find("other", done.execution_id)
    with pytest.raises(NotFound):
        await engine.supervisor.executions.submit(submission("1", owner="other", heap=done.heap))
    execution = await engine.supervisor.executions.submit(
        submission("typeof secret", owner="other", session="a")
    )
    assert (await execution.wait(30)).result == "'undefined'"
    assert [row.name for row in (await engine.supervisor.sessions(OWNER)).items] == ["a"]


async def test_the_same_key_never_runs_twice(engine):
    keyed = {"session": "a", "idempotency_key": "k1", "request_hash": "h1"}
    code = "globalThis.n = (globalThis.n ?? 0) + 1"
    first = await engine.supervisor.executions.submit(submission(code, **keyed))
    second = await engine.supervisor.executions.submit(submission(code, **keyed))
    report = await first.wait(30)
    third = await engine.supervisor.executions.submit(submission(code, **keyed))
    assert second is first
    assert (await third.wait(30)) == report
    assert await engine.value("n", session="a") == "1"


async def test_the_same_key_for_another_request_is_refused(engine):
    keyed = {"session": "a", "idempotency_key": "k1"}
    await engine.run("1", **keyed, request_hash="h1")
    with pytest.raises(KeyReused):
        await engine.supervisor.executions.submit(submission("2", **keyed, request_hash="h2"))


@pytest.mark.parametrize(
    ("options", "error", "field"),
    [
        ({"session": "no spaces"}, InvalidField, "session"),
        ({"session": ""}, InvalidField, "session"),
        ({"session": "a/../b"}, InvalidField, "session"),
        ({"session": "x" * 129}, InvalidField, "session"),
        ({"session": "s_0123456789abcdef"}, NotFound, "session"),
        ({"session": "new", "at": 3}, NotFound, "session"),
        ({"heap": "zz"}, InvalidField, "heap"),
        ({"heap": "A" * 64}, InvalidField, "heap"),
        ({"heap": "a" * 63}, InvalidField, "heap"),
        ({"heap": "0" * 64}, NotFound, "heap"),
        ({"heap": "../" * 21 + "a"}, InvalidField, "heap"),
    ],
)
async def test_a_request_that_names_nothing_is_refused_with_the_field(engine, options, error, field):
    with pytest.raises(error) as refused:
        await engine.supervisor.executions.submit(submission("1", **options))
    assert refused.value.field == field


async def test_half_a_surrogate_pair_is_refused_in_either_mode(engine, open_engine):
    async with open_engine(None) as stateless:
        for each in (engine, stateless):
            with pytest.raises(InvalidField) as refused:
                await each.supervisor.executions.submit(submission("'\ud800'"))
            assert refused.value.field == "code"


@both_stores
async def test_retries_under_one_key_at_the_same_time_all_get_the_recorded_execution(open_engine, tmp_path):
    keyed = {"session": "a", "idempotency_key": "k", "request_hash": "h"}
    async with open_engine(tmp_path) as engine:
        first = await engine.run("Math.random()", **keyed)
    async with open_engine(tmp_path) as engine:
        found = []

        async def retry() -> None:
            found.append(await engine.supervisor.executions.submit(submission("Math.random()", **keyed)))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(retry)
        assert {execution.id for execution in found} == {first.execution_id}
        assert {execution.report.result for execution in found} == {first.result}


async def test_why_an_accepted_execution_was_not_run_can_be_asked_for(engine):
    first = await engine.run("1", session="a")
    await engine.run("2", session="a")
    execution = await engine.supervisor.executions.submit(submission("3", session="a", heap=first.heap))
    with pytest.raises(Conflict):
        await execution.wait(30)
    found = await engine.supervisor.executions.find(OWNER, execution.id)
    with pytest.raises(Conflict):
        await found.wait(0)


async def test_too_much_code_is_refused(engine):
    with pytest.raises(TooLarge) as refused:
        await engine.supervisor.executions.submit(submission("1;" * 600_000))
    assert refused.value.field == "code"
