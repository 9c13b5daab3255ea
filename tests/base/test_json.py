"""A result that is plain data comes as JSON too; nothing else does."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from isolates import Session as Isolate

from engine.limits import Limits

MakeIsolate = Callable[..., Isolate]

PLAIN = {
    "null": "null",
    "true": "true",
    "1.5": "1.5",
    "-0": "0",
    "1e21": "1e+21",
    "'a\"b\\n😀'": '"a\\"b\\n😀"',
    "'\\ud83d'": '"\\ud83d"',
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

NOT_PLAIN = [
    "undefined",
    "NaN",
    "[Infinity]",
    "1n",
    "({ a: 1n })",
    "Symbol()",
    "() => {}",
    "new Date(0)",
    "new Map()",
    "[new Set()]",
    "/a/",
    "new Error('x')",
    "new (class Foo { a = 1 })()",
    "new (class extends Array {})()",
    "Object.create({})",
    "({ get a() { return 1 } })",
    "Object.defineProperty([1], 0, { get() { return 1 } })",
    "new Proxy({}, {})",
    "[new Proxy([], {})]",
    "new Number(1)",
    "new Uint8Array(1)",
    "Promise.resolve(1)",
    "(function () { return arguments })(1)",
    "({ toJSON() { return 1 } })",
    "Object.assign([], { toJSON() { return 1 } })",
    "(() => { const a = []; a.push(a); return a })()",
    "(() => { let a = []; for (let i = 0; i < 101; i++) a = [a]; return a })()",
    "globalThis",
]


def test_plain_data_comes_as_json(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    assert {code: session.run(code).outcome.result_json for code in PLAIN} == PLAIN


def test_what_json_cannot_hold_comes_as_text_only(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    outcomes = {code: session.run(code).outcome for code in NOT_PLAIN}
    assert {code: outcome.result_json for code, outcome in outcomes.items()} == dict.fromkeys(NOT_PLAIN)
    assert all(outcome.result for outcome in outcomes.values())


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
