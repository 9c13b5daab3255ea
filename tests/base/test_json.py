"""A result that is plain data comes as JSON too; nothing else does."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from isolates import Session as Isolate
from msgspec import UNSET

from engine.limits import Limits

MakeIsolate = Callable[..., Isolate]

PLAIN = {
    "null": "null",
    "true": "true",
    "1.5": "1.5",
    "-0": "0",
    "1e21": "1e+21",
    "'a\"b\\n😀'": '"a\\"b\\n😀"',
    "new Date(0)": '"1970-01-01T00:00:00.000Z"',
    "[new Date(1e12)]": '["2001-09-09T01:46:40.000Z"]',
    "[]": "[]",
    "({})": "{}",
    "[1, 'x', [null, { a: false }]]": '[1,"x",[null,{"a":false}]]',
    "({ b: 1, a: 2, 0: 3 })": '{"0":3,"b":1,"a":2}',
    "[1, , 3]": "[1,null,3]",
    "[undefined, () => {}, Symbol()]": "[null,null,null]",
    "({ a: undefined, f() {}, s: Symbol(), b: 1 })": '{"b":1}',
    "({ [Symbol('s')]: 1, a: 1 })": '{"a":1}',
    "Object.defineProperty({ a: 1 }, 'hidden', { value: 2 })": '{"a":1}',
    "Object.assign(Object.create(null), { a: 1 })": '{"a":1}',
    "Object.assign([1], { extra: 2 })": "[1]",
    "({ ['__proto__']: 1 })": '{"__proto__":1}',
    "(() => { const shared = [1]; return [shared, shared] })()": "[[1],[1]]",
    "({ toJSON: 1 })": '{"toJSON":1}',
}

OMITTED = {
    "NaN": "NaN is not JSON",
    "[1, 2, 3, NaN]": "NaN at $[3] is not JSON",
    "[-Infinity]": "-Infinity at $[0] is not JSON",
    "1n": "a BigInt is not JSON",
    "({ a: { 'b c': 1n } })": 'a BigInt at $.a["b c"] is not JSON',
    "({ ['\\n\"\\ud800']: 1n })": 'a BigInt at $["\\n\\"\\ud800"] is not JSON',
    "({ ['k'.repeat(1e6)]: 1n })": f'a BigInt at $["{"k" * 96}… is not JSON',
    "'\\ud83d'": "a string with a lone surrogate is not JSON",
    "({ '\\ud83d': 1 })": "a string with a lone surrogate is not JSON",
    "Symbol()": "a symbol is not JSON",
    "() => {}": "a function is not JSON",
    "new Date(NaN)": "an invalid Date is not JSON",
    "Object.assign(new Date(0), { toISOString: 1 })": "a Date with methods of its own is not JSON",
    "new (class Day extends Date {})(0)": "a Date with methods of its own is not JSON",
    "new Map()": "a Map is not JSON",
    "({ a: { b: [new Set()] } })": "a Set at $.a.b[0] is not JSON",
    "/a/": "a RegExp is not JSON",
    "new TypeError('x')": "a TypeError is not JSON",
    "new (class Foo { a = 1 })()": "a Foo is not JSON",
    "new (class extends Array {})()": "an Array is not JSON",
    "Object.create({})": "an object that is not plain is not JSON",
    "globalThis": "an object that is not plain is not JSON",
    "(function () { return arguments })(1)": "an object that is not plain is not JSON",
    "({ get a() { return 1 } })": "a getter at $.a is not JSON",
    "Object.defineProperty([1], 0, { get() { return 1 } })": "a getter at $[0] is not JSON",
    "JSON.rawJSON('1e400')": "an object of JSON.rawJSON is not JSON",
    "[JSON.rawJSON('1')]": "an object of JSON.rawJSON at $[0] is not JSON",
    "new Proxy({}, {})": "a Proxy is not JSON",
    "[new Proxy([], {})]": "a Proxy at $[0] is not JSON",
    "new Number(1)": "a Number is not JSON",
    "new Uint8Array(1)": "a Uint8Array is not JSON",
    "[Promise.resolve(1)]": "a Promise at $[0] is not JSON",
    "({ toJSON() { return 1 } })": "an object with a toJSON is not JSON",
    "Object.assign([], { toJSON() { return 1 } })": "an object with a toJSON is not JSON",
    "(() => { const a = []; a.push(a); return a })()": (
        f"a cycle, or more than 100 levels, at ${'[0]' * 32}[0… is not JSON"
    ),
    "'x'.repeat(65_536)": "longer than 65,536 characters",
    "Array(65_536)": "longer than 65,536 characters",
    "Object.fromEntries(Array.from(Array(16_385), (_, i) => [i]))": "more than 16,384 properties",
}


def test_plain_data_comes_as_json(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    outcomes = {code: session.run(code).outcome for code in PLAIN}
    assert {code: outcome.result_json for code, outcome in outcomes.items()} == PLAIN
    assert all(outcome.result_json_omitted is UNSET for outcome in outcomes.values())


def test_what_json_cannot_hold_comes_as_text_and_the_reason(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    outcomes = {code: session.run(code).outcome for code in OMITTED}
    assert {code: outcome.result_json for code, outcome in outcomes.items()} == dict.fromkeys(OMITTED)
    assert {code: outcome.result_json_omitted for code, outcome in outcomes.items()} == OMITTED
    assert all(outcome.result for outcome in outcomes.values())


def test_undefined_has_neither_json_nor_a_reason(Session: MakeIsolate) -> None:  # noqa: N803
    outcome = Session().run("undefined").outcome
    assert (outcome.result, outcome.result_json, outcome.result_json_omitted) == ("undefined", None, UNSET)


@pytest.mark.parametrize("method", ["toJSON", "toISOString"])
def test_a_date_is_no_json_once_the_guest_writes_dates(Session: MakeIsolate, method: str) -> None:  # noqa: N803
    session = Session()
    session.run(f"var touches = 0; Date.prototype.{method} = () => {{ touches++; return 'mine' }}")
    assert (
        session.run("new Date(0)").outcome.result_json_omitted == "a Date with methods of its own is not JSON"
    )
    assert session.value("touches") == "0"


def test_nesting_up_to_a_hundred_levels_is_kept(Session: MakeIsolate) -> None:  # noqa: N803
    done = Session().run("let a = []; for (let i = 0; i < 99; i++) a = [a]; a")
    assert done.outcome.result_json == "[" * 100 + "]" * 100


@pytest.mark.parametrize(
    ("code", "size"),
    [
        ("Array(n).fill(1)", 2),
        ("'x'.repeat(n)", 1),
        ("Array.from({ length: n / 10 }, () => ({ k: 'v' }))", 1),
        ("Object.fromEntries(Array.from({ length: n / 10 }, (_, i) => ['k' + i, i]))", 1),
    ],
)
def test_json_within_the_limit_is_whole_and_beyond_it_absent(
    Session: MakeIsolate,  # noqa: N803
    code: str,
    size: int,
) -> None:
    session = Session()
    limits = Limits(result_chars=10_000)
    small = session.run(f"var n = {4_000 // size}; {code}", limits=limits).outcome.result_json
    assert small is not None
    assert json.loads(small)
    assert session.run(f"n = {40_000 // size}; {code}", limits=limits).outcome.result_json is None


def test_properties_that_leave_no_text_do_not_cost_without_end(Session: MakeIsolate) -> None:  # noqa: N803
    many = "const o = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => ['k' + i, undefined]));"
    done = Session().run(f"{many} Array(1000).fill(o)")
    assert done.outcome.result_json is None
