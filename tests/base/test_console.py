"""The console: lines as Node formats them, in order, up to a limit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from isolates import Session as Isolate

from engine.events import Line, Outcome
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
