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
