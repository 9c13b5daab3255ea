"""Errors: what inspection shows of them, and what the host is told of a throw."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from isolates import Session as Isolate

from engine.events import ErrorDetail

MakeIsolate = Callable[..., Isolate]

AT = "\n    at exec-1.js:1:"

SHOWN = {
    "new Error('x')": f"Error: x{AT}1",
    "new TypeError('x')": f"TypeError: x{AT}1",
    "new Error()": f"Error{AT}1",
    "[new Error('x')]": "[\n  Error: x\n      at exec-1.js:1:2\n]",
    "new (class HttpError extends Error {})('x')": f"HttpError: x{AT}1",
    "new (class Http extends Error {})('x')": f"Http [Error]: x{AT}1",
    "new (class Odd extends TypeError {})('x')": f"Odd [TypeError]: x{AT}1",
    "Object.assign(new Error('x'), { code: 'E1' })": f"Error: x{AT}15 {{\n  code: 'E1'\n}}",
    "Object.assign(new Error('x'), { name: 'Mine' })": f"Mine: x{AT}15",
    "Object.assign(new Error('x'), { message: 'why: x' })": f"Error: why: x{AT}15",
    "new Error('x', { cause: 'y' })": f"Error: x{AT}1 {{\n  [cause]: 'y'\n}}",
    "new Error('x', { cause: new Error('y') })": (
        f"Error: x{AT}1 {{\n  [cause]: Error: y\n      at exec-1.js:1:25\n}}"
    ),
    "new AggregateError([1], 'all')": f"AggregateError: all{AT}1 {{\n  [errors]: [ 1 ]\n}}",
    "Object.assign(new Error('x'), { stack: 'my stack' })": "[my stack]",
    "Object.assign(new Error('x'), { stack: undefined })": "[Error: x]",
    "(() => { const e = new RangeError('x'); delete e.stack; return e })()": "[RangeError: x]",
    "Object.setPrototypeOf(new Error('x'), null)": f"[Error: null prototype]: x{AT}23",
    "new Error('a\\nb')": f"Error: a\nb{AT}1",
}


@pytest.mark.parametrize("code", SHOWN)
def test_an_error_shows_its_stack_class_and_properties(evaluate: Callable[[str], str], code: str) -> None:
    assert evaluate(code) == SHOWN[code]


def test_an_error_that_is_its_own_cause_is_shown_once(evaluate: Callable[[str], str]) -> None:
    text = evaluate("const e = new Error('x'); e.cause = e; e")
    assert text == "<ref *1> Error: x\n    at exec-1.js:1:11 {\n  cause: [Circular *1]\n}"


def thrown(session: Isolate, code: str) -> ErrorDetail:
    outcome = session.run(code).outcome
    assert outcome.status == "failed"
    assert outcome.error is not None
    return outcome.error


TOLD = {
    "throw new TypeError('x')": ("TypeError", "x"),
    "throw new Error()": ("Error", ""),
    "throw new (class HttpError extends Error {})('x')": ("HttpError", "x"),
    "throw new (class HttpError extends Error { name = 'Own' })('x')": ("Own", "x"),
    "throw new (class extends RangeError {})('x')": ("RangeError", "x"),
    "class A extends Error {}; A.prototype.name = 'Set'; throw new A('x')": ("Set", "x"),
    "throw Object.setPrototypeOf(new Error('x'), null)": ("Error", "x"),
    "throw Object.assign(new Error(), { message: { a: 1 } })": ("Error", "{ a: 1 }"),
    "throw Object.assign(new Error(), { message: Symbol('s') })": ("Error", "Symbol(s)"),
    "throw 'text'": ("Uncaught", "'text'"),
    "throw undefined": ("Uncaught", "undefined"),
    "throw { code: 1 }": ("Uncaught", "{ code: 1 }"),
    "throw new Proxy(new Error('x'), {})": ("Uncaught", "Error: x\n    at exec-1.js:1:17"),
    "null.x": ("TypeError", "Cannot read properties of null (reading 'x')"),
    "await Promise.reject(new Error('late'))": ("Error", "late"),
}


@pytest.mark.parametrize("code", TOLD)
def test_a_throw_is_told_by_name_and_message(Session: MakeIsolate, code: str) -> None:  # noqa: N803
    error = thrown(Session(), code)
    assert (error.name, error.message) == TOLD[code]


def test_the_stack_names_the_frames_of_every_script(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    session.run("function inner() { throw new Error('x') }")
    error = thrown(session, "function outer() {\n  inner()\n}\nouter()")
    assert error.stack is not None
    assert error.stack.split("\n") == [
        "Error: x",
        "    at inner (exec-1.js:1:26)",
        "    at outer (exec-2.js:2:3)",
        "    at exec-2.js:4:1",
    ]


def test_frames_of_the_base_image_are_left_out(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    session.run("setTimeout(function late() { console.log(new Error('x')) }, 0)")
    (line,) = session.lines
    assert line.text == "Error: x\n    at late (exec-1.js:1:42)"


HOOKS = {
    "a function of Error": "Error.prepareStackTrace = () => { touches++; return 'mine' }",
    "a getter of Error": "Object.defineProperty(Error, 'prepareStackTrace', { get() { touches++ } })",
    "inherited": "Function.prototype.prepareStackTrace = () => { touches++; return 'mine' }",
    "a getter of every object": "Object.defineProperty(Object.prototype, 'prepareStackTrace', { get() { touches++ } })",
    "a Proxy": "Object.setPrototypeOf(Error, new Proxy({}, { get() { touches++ } }))",
}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_stack_is_not_read_where_the_guest_formats_stacks(Session: MakeIsolate, hook: str) -> None:  # noqa: N803
    session = Session()
    session.run(f"var touches = 0; const kept = new Error('x'); {HOOKS[hook]}; touches = 0")
    assert session.value("kept") == "[Error: x]"
    error = thrown(session, "throw kept")
    assert (error.name, error.message) == ("Error", "x")
    assert session.value("touches") == "0"


def test_a_long_message_leaves_room_for_the_frames(Session: MakeIsolate) -> None:  # noqa: N803
    error = thrown(Session(), "throw new Error('m'.repeat(1e7))")
    assert error.stack is not None
    assert error.stack.endswith("\n    at exec-1.js:1:7")
    assert len(error.message) < 40_000
    assert len(error.stack) < 80_000


def lines(*texts: str) -> str:
    return "\n".join(texts)


STACKS = {
    "throw new Error('a', { cause: new TypeError('b', { cause: { code: 1 } }) })": lines(
        "Error: a",
        "    at exec-1.js:1:7 {",
        "  [cause]: TypeError: b",
        "      at exec-1.js:1:31 {",
        "    [cause]: { code: 1 }",
        "  }",
        "}",
    ),
    "throw new AggregateError([new Error('a'), 2], 'all')": lines(
        "AggregateError: all",
        "    at exec-1.js:1:7 {",
        "  [errors]: [",
        "    Error: a",
        "        at exec-1.js:1:27,",
        "    2",
        "  ]",
        "}",
    ),
    "await Promise.any([Promise.reject(1)])": "[AggregateError: All promises were rejected] { [errors]: [ 1 ] }",
    "throw Object.assign(new Error('x'), { code: 'E', at: [1] })": lines(
        "Error: x", "    at exec-1.js:1:21 {", "  code: 'E',", "  at: [ 1 ]", "}"
    ),
    "const e = new Error('x'); e.cause = e; throw e": lines(
        "<ref *1> Error: x", "    at exec-1.js:1:11 {", "  cause: [Circular *1]", "}"
    ),
    "throw new (class HttpError extends Error { status = 404 })('x')": lines(
        "HttpError: x", "    at exec-1.js:1:7 {", "  status: 404", "}"
    ),
    "{a: null.b}": lines("TypeError: Cannot read properties of null (reading 'b')", "    at exec-1.js:1:10"),
    "eval('1;\\nnull.b')": lines(
        "TypeError: Cannot read properties of null (reading 'b')",
        "    at eval (eval at <anonymous> (:1:1), <anonymous>:2:6)",
        "    at exec-1.js:1:1",
    ),
    "throw 1": None,
}


@pytest.mark.parametrize("code", STACKS)
def test_the_stack_of_a_throw_ends_with_what_the_error_holds(Session: MakeIsolate, code: str) -> None:  # noqa: N803
    assert thrown(Session(), code).stack == STACKS[code]


PLACES = {
    "let x = 1;\nlet y = ;": (2, 9, "  1 | let x = 1;\n> 2 | let y = ;\n    |         ^"),
    "{\n  a: 1,\n  b: 2 2\n}": (3, 8, "  2 |   a: 1,\n> 3 |   b: 2 2\n    |        ^\n  4 | }"),
    "{ let a = 1; let b = ; }": (1, 22, "> 1 | { let a = 1; let b = ; }\n    |                      ^"),
    "{a: 1, b: null.c}": (1, 16, "> 1 | {a: 1, b: null.c}\n    |                ^"),
    "if (true) {": (1, 12, "> 1 | if (true) {\n    |            ^"),
    "eval('1;\\nnull.b')": (2, 6, "  1 | 1;\n> 2 | null.b\n    |      ^"),
    "JSON.parse('[1, x]')": (1, 5, "> 1 | [1, x]\n    |     ^"),
    "const e = new Error('x')\ne.stack; throw e": (
        1,
        11,
        "> 1 | const e = new Error('x')\n    |           ^\n  2 | e.stack; throw e",
    ),
    "{ ...nothing }": (1, 1, "> 1 | { ...nothing }\n    | ^"),
    "a = 1\u2028null.x\rlet b": (2, 6, "  1 | a = 1\n> 2 | null.x\n    |      ^\n  3 | let b"),
    "JSON.parse('')": (1, 1, None),
    "await null;\nnull.x": (2, 6, "  1 | await null;\n> 2 | null.x\n    |      ^"),
    "throw {}": (None, None, None),
    "throw null": (None, None, None),
}


@pytest.mark.parametrize("code", PLACES)
def test_the_place_of_a_throw_is_told_and_shown(Session: MakeIsolate, code: str) -> None:  # noqa: N803
    error = thrown(Session(), code)
    assert (error.line, error.column, error.frame) == PLACES[code]


def test_an_error_in_a_function_of_an_earlier_script_shows_that_script(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    session.run("function inner() {\n  null.x\n}")
    error = thrown(session, "inner()")
    assert (error.line, error.column) == (2, 8)
    assert error.frame == "  1 | function inner() {\n> 2 |   null.x\n    |        ^\n  3 | }"


def test_an_error_whose_script_is_not_known_any_more_has_no_frame(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    session.run("var kept = new Error('x'); kept.stack")
    error = thrown(session, "throw kept")
    assert (error.line, error.column, error.frame) == (1, 12, None)
    assert error.stack == "Error: x\n    at exec-1.js:1:12"


def test_a_declaration_that_clashes_with_an_earlier_one_is_shown(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    session.run("const total = 1")
    error = thrown(session, "// again\nlet total = 2")
    assert (error.line, error.column) == (2, 5)
    assert error.frame == "  1 | // again\n> 2 | let total = 2\n    |     ^"


@pytest.mark.parametrize(
    "held",
    [
        "{ get cause() { touches++ } }",
        "{ cause: new Proxy({}, { get() { touches++ }, ownKeys() { touches++; return [] } }) }",
        "{ cause: { toString() { touches++ }, [Symbol.toPrimitive]() { touches++ } } }",
        "{ errors: { get length() { touches++ }, [Symbol.iterator]() { touches++ } } }",
        "{ get name() { touches++ }, get message() { touches++ }, get stack() { touches++ } }",
    ],
)
def test_describing_a_throw_runs_no_code_of_the_guest(Session: MakeIsolate, held: str) -> None:  # noqa: N803
    session = Session()
    session.run("var touches = 0")
    thrown(
        session, f"throw Object.defineProperties(new Error('x'), Object.getOwnPropertyDescriptors({held}))"
    )
    assert session.value("touches") == "0"


def test_a_long_chain_of_causes_is_cut(Session: MakeIsolate) -> None:  # noqa: N803
    error = thrown(
        Session(),
        "let c; for (let i = 0; i < 100_000; i++) c = new Error('e', { cause: c }); throw c",
    )
    assert error.stack is not None
    assert error.stack.count("[cause]: Error: e") == 5
    assert "[cause]: [Error]" in error.stack


def test_rejections_nobody_handles_say_where_they_come_from(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    session.run(
        "setTimeout(() => { null.x }, 1e6); async function floating() { await null; throw new Error('f') }"
    )
    session.run("floating(); queueMicrotask(() => { throw new Error('m') }); 1")
    assert [line.text for line in session.lines] == [
        "Uncaught Error: m\n    at exec-2.js:1:42",
        "Uncaught (in promise) Error: f\n    at floating (exec-1.js:1:82)",
    ]
