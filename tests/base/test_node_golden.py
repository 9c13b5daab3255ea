"""Values and console lines read as in Node, but for the differences listed here.

The answers of Node are in node_golden.json; after a change of node_values.js or node_console.js,
`just golden` asks again.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable

import pytest
from isolates import Session as Isolate
from nodes import GOLDEN, HERE, golden_node

MakeIsolate = Callable[..., Isolate]
Lines = list[tuple[str, str]]

VALUES: dict[str, str] = GOLDEN["values"]
CONSOLE: dict[str, list[list[str]]] = GOLDEN["console"]

ASKS = "Node runs the code's getter or method"
CLASS = "Node takes a class with parentheses in its heritage for a function"
PROTOTYPE = "Node goes by the prototype, this by what the object is"
NAME = "only a text is a name or a stack"
ENGINE = "another version of V8"

DIFFERENT_VALUES = {
    "new (class A { get [Symbol.toStringTag]() { return 'T' } })()": ASKS,
    "new (class A { get [Symbol.toStringTag]() { return 'T' } x = 1 })()": ASKS,
    "new (class Tags extends Set { get [Symbol.toStringTag]() { return 'T' } })(['a'])": ASKS,
    "(class A { static get name() { return 'Asked' } })": ASKS,
    "({ [Symbol.for('nodejs.util.inspect.custom')]: function mine() { return 'custom' } })": ASKS,
    "new (class HttpError extends Error { get name() { return 'HttpError' } })('not found')": (
        f"{ASKS}: reading the stack would do so"
    ),
    "(class B extends (class A {}) {})": CLASS,
    "(class B extends (class {}) {})": CLASS,
    "Object.setPrototypeOf(new ArrayBuffer(1), null)": PROTOTYPE,
    "Object.setPrototypeOf(new Error('m'), Object.prototype)": PROTOTYPE,
    "Object.setPrototypeOf([1], Object.prototype)": PROTOTYPE,
    "Object.defineProperty(function f() {}, 'name', { value: 5 })": NAME,
    "Object.assign(new Error('m'), { stack: 5 })": NAME,
    "[[[Object.assign(Object.create(Object.create(null)), { a: 1 })]]]": (
        "a chain of prototypes without a class is described in the same way at every depth"
    ),
    "new TextEncoder()": "Node does not say what it is",
    "WebAssembly": "streaming needs the network",
}

DIFFERENT_LINES = {
    "console.log('%s', { toString() { return 'mine' } })": ASKS,
    "console.log('%s', new (class A { toString() { return 'mine' } })())": ASKS,
    "console.log('%j', { toJSON() { return 'mine' } })": ASKS,
    "console.log('%d', [5])": f"{ASKS}, here Array.prototype.toString",
    "console.assert(false, { a: 1 })": f"{ASKS}, here Object.prototype.toString; the text says less",
    "console.log('%j', (() => { const a = {}; a.a = a; return a })())": "Node says no more than [Circular]",
    "console.log('%o', new Proxy({ a: 1 }, {}))": "a Proxy's handler is not shown",
    "console.log('%o', function f() {})": f"{ENGINE}: functions have fewer properties of their own",
}

# A stack's frames in the code itself: their number and positions depend on how it is run.
FRAMES = re.compile(
    r"(\n\s+at )[^\n]*exec(-\d+)?\.js:\d+:\d+\)?((?:\n\s+at [^\n]*exec(-\d+)?\.js:\d+:\d+\)?)*)"
)


def comparable(text: str) -> str:
    """The text with one nameless frame for each row of frames in the code."""
    return FRAMES.sub(r"\1code", text)


def sources(name: str) -> list[str]:
    """The lines of code in a file."""
    lines = (HERE / name).read_text("utf-8").split("\n")
    return [line for line in lines if line and not line.startswith("//")]


@pytest.fixture(scope="module")
def shown(Session: MakeIsolate) -> dict[str, str]:  # noqa: N803
    """What the code of each value gives, in one session."""
    session = Session()
    return {code: session.value(code) for code in VALUES}


@pytest.fixture(scope="module")
def printed(Session: MakeIsolate) -> dict[str, Lines]:  # noqa: N803
    """What the code prints: (out or err, text), each in a session of its own."""

    def lines(code: str) -> Lines:
        session = Session()
        outcome = session.run(code).outcome
        assert outcome.error is None, outcome.error
        session.close()
        return [("err" if line.level in ("warn", "error") else "out", line.text) for line in session.lines]

    return {code: lines(code) for code in CONSOLE}


def title(code: str) -> str:
    """A short name of a test."""
    return code[:70].encode("ascii", "backslashreplace").decode()


@pytest.mark.parametrize("code", [code for code in VALUES if code not in DIFFERENT_VALUES], ids=title)
def test_a_value_reads_as_in_node(shown: dict[str, str], code: str) -> None:
    assert comparable(shown[code]) == comparable(VALUES[code])


@pytest.mark.parametrize("code", [code for code in CONSOLE if code not in DIFFERENT_LINES], ids=title)
def test_the_console_prints_as_in_node(printed: dict[str, Lines], code: str) -> None:
    theirs = [(stream, comparable(text)) for stream, text in CONSOLE[code]]
    assert [(stream, comparable(text)) for stream, text in printed[code]] == theirs


@pytest.mark.parametrize("code", DIFFERENT_VALUES, ids=title)
def test_a_listed_difference_of_a_value_is_one(shown: dict[str, str], code: str) -> None:
    assert comparable(shown[code]) != comparable(VALUES[code])


@pytest.mark.parametrize("code", DIFFERENT_LINES, ids=title)
def test_a_listed_difference_of_the_console_is_one(printed: dict[str, Lines], code: str) -> None:
    theirs = [(stream, comparable(text)) for stream, text in CONSOLE[code]]
    assert [(stream, comparable(text)) for stream, text in printed[code]] != theirs


def test_the_golden_file_answers_all_that_is_asked() -> None:
    assert set(VALUES) == set(sources("node_values.js"))
    assert set(CONSOLE) == set(sources("node_console.js"))
    assert len(VALUES) > 300


def test_the_golden_file_is_what_this_machines_node_says() -> None:
    made = subprocess.run(
        [golden_node(), HERE / "node_golden.mjs"], capture_output=True, check=True, timeout=60
    )
    answers = json.loads(made.stdout)
    assert answers["values"] == VALUES
    assert answers["console"] == CONSOLE
