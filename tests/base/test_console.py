"""The console: lines as Node formats them, in order, up to a limit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from isolates import Session as Isolate

from engine.events import Line, Outcome, Trace
from engine.limits import Limits

MakeIsolate = Callable[..., Isolate]
Run = Callable[[str], tuple[Outcome, tuple[Line, ...]]]

FORMATTED = {
    "": "",
    "'text'": "text",
    "'a', 'b', 1, -0, null, undefined, 5n, Symbol('s')": "a b 1 -0 null undefined 5n Symbol(s)",
    "{ a: 'x' }, ['y']": "{ a: 'x' } [ 'y' ]",
    "'%s is %d years', 'Ann', 30": "Ann is 30 years",
    "'%s %s %s %s', 1, -0, 5n, Symbol('s')": "1 -0 5n Symbol(s)",
    "'%s', { a: { b: 1 } }": "{ a: [Object] }",
    "'%s', { toString() { return 'mine' } }": "{ toString: [Function: toString] }",
    "'%s', () => 1": "() => 1",
    "'%s %s', null, undefined": "null undefined",
    "'%d %d %d %d', '0x10', 'x', 3n, {}": "16 NaN 3n NaN",
    "'%d', Symbol()": "NaN",
    "'%i %i %i', '12.7px', 3.9, 'x'": "12 3 NaN",
    "'%f %f', '1.50', 'x'": "1.5 NaN",
    "'%j %j', { a: [1] }, undefined": '{"a":[1]} undefined',
    "'%o', [1]": "[ 1, [length]: 1 ]",
    "'%O', { a: { b: { c: {} } } }": "{ a: { b: { c: {} } } }",
    "'%c styled', 'color: red'": " styled",
    "'100%', 1": "100% 1",
    "'%% %s', 'x'": "% x",
    "'%%'": "%%",
    "'%s'": "%s",
    "'%s %s', 'one'": "one %s",
    "'%x %s', 'a'": "%x a",
    "'%s', 'a', 'b', { c: 1 }": "a b { c: 1 }",
    "1, '%s', 2": "1 %s 2",
    "'a\\nb'": "a\nb",
    "['a\\nb']": "[ 'a\\nb' ]",
}


def test_lines_are_formatted_as_in_node(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    texts = {}
    for arguments in FORMATTED:
        session.run(f"console.log({arguments})")
        (line,) = session.lines
        texts[arguments] = line.text
    assert texts == FORMATTED


def test_every_method_has_its_level(run: Run) -> None:
    _, lines = run("for (const level of ['debug', 'log', 'info', 'warn', 'error']) console[level](level)")
    assert lines == tuple(Line(level, level) for level in ("debug", "log", "info", "warn", "error"))


def test_dir_takes_a_depth_and_assert_speaks_when_it_fails(run: Run) -> None:
    _, lines = run("""
        console.dir({ a: { b: { c: { d: {} } } } }, { depth: 0 });
        console.dir('text');
        console.assert(true, 'unseen'); console.assert(false); console.assert(0, 'x is %d', 1)
    """)
    assert lines == (
        Line("log", "{ a: [Object] }"),
        Line("log", "'text'"),
        Line("warn", "Assertion failed"),
        Line("warn", "Assertion failed: x is 1"),
    )


def test_lines_keep_their_order_however_many_there_are(run: Run) -> None:
    _, lines = run("for (let i = 0; i < 5000; i++) console[i % 2 ? 'log' : 'error']('line ' + i)")
    assert lines == tuple(Line("log" if i % 2 else "error", f"line {i}") for i in range(5000))


def test_console_is_a_global_that_the_code_may_replace(run: Run) -> None:
    outcome, lines = run("""
        const descriptor = Object.getOwnPropertyDescriptor(globalThis, 'console');
        const { log } = console; log('detached'); console.log = null; globalThis.console = undefined;
        delete globalThis.console;
        [descriptor.writable, descriptor.enumerable, descriptor.configurable, typeof console]
    """)
    assert outcome.result == "[ true, false, true, 'undefined' ]"
    assert lines == (Line("log", "detached"),)


# --- groups, counters, timers ---------------------------------------------------------------------


def printed(session: Isolate, code: str) -> list[tuple[str, str]]:
    """(level, text) of each line."""
    outcome = session.run(code).outcome
    assert outcome.error is None, outcome.error
    return [(line.level, line.text) for line in session.lines]


def test_every_method_prints_at_its_level(Session: MakeIsolate) -> None:  # noqa: N803
    code = """
        console.group('g'); console.table([1]); console.dirxml(1); console.count(); console.groupEnd();
        console.trace(); console.assert(false); console.countReset('x'); console.timeEnd('x')
    """
    levels = [level for level, _ in printed(Session(), code)]
    assert levels == ["log", "log", "log", "log", "error", "warn", "warn", "warn"]


def test_groups_counters_and_timers_last_over_executions_and_snapshots(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    assert printed(session, "console.group('outer'); console.count(); console.time('t')") == [
        ("log", "outer"),
        ("log", "  default: 1"),
    ]
    session = Session(session.snapshot())
    assert printed(session, "console.count(); console.time('t'); console.log('a\\nb')") == [
        ("log", "  default: 2"),
        ("warn", "Warning: Label 't' already exists for console.time()"),
        ("log", "  a\n  b"),
    ]
    assert printed(session, "console.groupEnd(); console.groupEnd(); console.log('out')") == [("log", "out")]


def test_an_error_ends_no_group(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    session.run("console.group(); throw 1")
    assert printed(session, "console.log('in')") == [("log", "  in")]


# Clock reads (ticks of 0.1 ms since the one before, how many) between time and timeEnd.
DURATIONS = {
    0: "0ms",
    1: "0.1ms",
    9_999: "999.9ms",
    10_000: "1.000s",
    599_999: "59.999s",
    600_000: "1:00.000 (m:ss.mmm)",
    35_999_999: "59:59.999 (m:ss.mmm)",
    36_000_000: "1:00:00.000 (h:mm:ss.mmm)",
    400_712_345: "11:07:51.234 (h:mm:ss.mmm)",
}


@pytest.mark.parametrize("ticks", DURATIONS)
def test_a_timer_tells_the_recorded_time(Session: MakeIsolate, ticks: int) -> None:  # noqa: N803
    session = Session()
    clock = (0, 2) if ticks == 0 else (0, 1, ticks, 1)
    trace = Trace(start=17_000_000_000_000, seed=bytes(16), clock=clock)
    done = session.run("console.time(); console.timeEnd()", trace=trace)
    assert done.trace == trace
    assert [line.text for line in session.lines] == [f"default: {DURATIONS[ticks]}"]


def test_a_timer_goes_on_until_it_is_ended(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    trace = Trace(start=17_000_000_000_000, seed=bytes(16), clock=(0, 1, 50, 1, 50, 1))
    code = (
        "console.time('t'); console.timeLog('t', { a: 1 }, '%s'); console.timeEnd('t'); console.timeEnd('t')"
    )
    session.run(code, trace=trace)
    assert [line.text for line in session.lines] == [
        "t: 5ms { a: 1 } %s",
        "t: 10ms",
        "Warning: No such label 't' for console.timeEnd()",
    ]


def test_labels_are_limited(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    lines = printed(session, "for (let i = 0; i < 1002; i++) console.count('c' + i); console.count('c1')")
    assert lines[999:] == [
        ("log", "c999: 1"),
        ("warn", "Warning: console: limit of 1000 labels reached"),
        ("warn", "Warning: console: limit of 1000 labels reached"),
        ("log", "c1: 2"),
    ]
    lines = printed(session, "for (let i = 0; i < 1001; i++) console.time('t' + i)")
    assert lines == [("warn", "Warning: console: limit of 1000 labels reached")]


def test_groups_nest_without_end_and_indent_up_to_a_limit(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    session.run("for (let i = 0; i < 1e6; i++) console.group()")
    assert printed(session, "console.log('deep')") == [("log", " " * 100 + "deep")]
    assert printed(session, "for (let i = 1; i < 1e6; i++) console.groupEnd(); console.log('in')") == [
        ("log", "  in")
    ]


def test_a_line_of_many_lines_in_groups_is_cut_as_any_other(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    session.run("for (let i = 0; i < 50; i++) console.group()")
    texts, dropped = limited(session, "console.log('\\n'.repeat(1e7)); console.log('more')", COST + 250)
    assert texts == [f"{' ' * 100}\n{' ' * 100}\n{' ' * 48}{MARK}"]
    assert dropped == 1


# --- trace and table ------------------------------------------------------------------------------


def test_a_trace_has_the_frames_of_the_code(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    session.run("function inner() { console.trace('at %s', 'x', { a: 1 }) }")
    assert printed(session, "function outer() {\n  inner()\n}\nouter()") == [
        (
            "error",
            "Trace: at x { a: 1 }\n    at inner (exec-1.js:1:28)\n    at outer (exec-2.js:2:3)\n    at exec-2.js:4:1",
        )
    ]


def test_a_trace_runs_no_hook(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    session.run("var touched = 0; Error.prepareStackTrace = () => { touched += 1 }")
    assert printed(session, "console.trace('x')") == [("error", "Trace: x")]
    assert session.value("touched") == "0"


TABLE_OF_ACCESSORS = """\
┌─────────┬──────────┬──────────┐
│ (index) │ a        │ b        │
├─────────┼──────────┼──────────┤
│ 0       │ [Getter] │ [Setter] │
└─────────┴──────────┴──────────┘"""


def test_a_table_reads_no_getter(Session: MakeIsolate) -> None:  # noqa: N803
    code = "console.table([{ get a() { throw 1 }, set b(v) {} }])"
    assert printed(Session(), code) == [("log", TABLE_OF_ACCESSORS)]


def test_a_table_wants_an_array_of_columns(run: Run) -> None:
    outcome, _ = run("console.table([], 'a')")
    assert outcome.error is not None
    assert outcome.error.message == 'The "properties" argument must be an instance of Array'


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("Array.from({ length: 1500 }, (_, i) => i)", "... 500 more rows"),
        ("new Uint8Array(1e7)", "... 9999000 more rows"),
        ("new Map(Array.from({ length: 1001 }, (_, i) => [i, i]))", "... 1 more row"),
        ("new Set(Array.from({ length: 3000 }, (_, i) => i)).values()", "... 2000 more rows"),
        ("[Object.fromEntries(Array.from({ length: 150 }, (_, i) => ['k' + i, i]))]", "... 50 more cells"),
        ("Array(50).fill(Array(1e4).fill(0))", "... 21 more rows\n... 287100 more cells"),
    ],
)
def test_a_table_says_what_is_left_out(Session: MakeIsolate, data: str, told: str) -> None:  # noqa: N803
    ((_, text),) = printed(Session(), f"console.table({data})")
    assert text.endswith(f"┘\n{told}"), text[-200:]


# --- the limit ------------------------------------------------------------------------------------

COST = 32  # what a line takes of the limit beside its text
MARK = "… [console limit reached]"


def limited(session: Isolate, code: str, console_bytes: int) -> tuple[list[str], int]:
    """The lines, and how many were dropped."""
    done = session.run(code, limits=Limits(console_bytes=console_bytes))
    assert done.outcome.status == "completed", done.outcome.error
    return [line.text for line in session.lines], done.outcome.console_dropped


def test_the_line_that_crosses_the_limit_is_cut_and_later_ones_are_counted(Session: MakeIsolate) -> None:  # noqa: N803
    code = "for (let i = 0; i < 10; i++) console.log('123456789')"
    assert limited(Session(), code, 3 * COST + 22) == (["123456789", "123456789", f"1234{MARK}"], 7)


def test_lines_that_just_fit_are_whole(Session: MakeIsolate) -> None:  # noqa: N803
    code = "console.log('1234'); console.log('5678')"
    assert limited(Session(), code, 2 * COST + 8) == (["1234", "5678"], 0)


def test_the_limit_counts_utf8_and_never_splits_a_character(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    for limit, whole in ((5, 1), (6, 1), (7, 1), (8, 2)):
        assert limited(session, "console.log('😀😀😀')", COST + limit) == (["😀" * whole + MARK], 0)
    assert limited(session, "console.log('éé€')", COST + 7) == (["éé€"], 0)
    assert limited(session, "console.log('éé€')", COST + 6) == ([f"éé{MARK}"], 0)


def test_empty_lines_use_the_limit_up_too(Session: MakeIsolate) -> None:  # noqa: N803
    texts, dropped = limited(Session(), "for (let i = 0; i < 500; i++) console.log()", 100 * COST)
    assert texts == [""] * 100
    assert dropped == 400


def test_room_for_less_than_a_line_is_enough_to_tell_that_it_is_missing(Session: MakeIsolate) -> None:  # noqa: N803
    assert limited(Session(), "console.log('a'); console.log('b')", 1) == ([MARK], 1)


def test_lines_past_the_limit_are_not_even_formatted(Session: MakeIsolate) -> None:  # noqa: N803
    code = """
        const big = Array.from({ length: 100 }, () => Array.from({ length: 100 }, () => 'x'.repeat(400)));
        console.log('x'.repeat(100)); for (let i = 0; i < 1e5; i++) console.log(big)
    """
    texts, dropped = limited(Session(), code, COST + 49)
    assert texts == ["x" * 49 + MARK]
    assert dropped == 100_000


def test_each_execution_has_the_whole_limit(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    for _ in range(2):
        assert limited(session, "console.log('123456789'); console.log('x')", COST + 4) == (
            [f"1234{MARK}"],
            1,
        )


def test_lone_surrogates_become_replacement_characters(run: Run) -> None:
    _, lines = run("console.log('a\\ud83d'); console.log('\\ude00b')")
    assert [line.text for line in lines] == ["a\ufffd", "\ufffdb"]


@pytest.mark.parametrize(
    "code", ["console.log('x'.repeat(3e7))", "console.log('%s', 'x'.repeat(3e7), 'y'.repeat(3e7))"]
)
def test_a_huge_line_is_cut(run: Run, code: str) -> None:
    _, lines = run(code)
    assert [line.text for line in lines] == ["x" * (2**20 - COST) + MARK]


def test_clear_takes_nothing_back(session):
    assert printed(session, "console.log(1); console.clear(); console.log(2)") == [("log", "1"), ("log", "2")]
