"""Looking at a session's variables from outside."""

from __future__ import annotations

import pytest
from corpus import CHECKPOINTED, SCRIPTS

from engine.isolate.wire import Global

SEED = bytes(range(16))
START = 17_600_000_000_000


def looked(session, code: str, **wanted: int) -> list[tuple[str, str, str]]:
    session.value(code)
    return [(seen.name, seen.type, seen.preview) for seen in session.look(**wanted).globals]


def test_a_new_session_has_no_variables(Session):  # noqa: N803
    seen = Session().look()
    assert (seen.globals, seen.more) == ((), 0)


@pytest.mark.parametrize(
    ("expression", "type_", "preview"),
    [
        ("1.5", "number", "1.5"),
        ("'a\\nb'", "string", "'a\\nb'"),
        ("5n", "bigint", "5n"),
        ("Symbol('s')", "symbol", "Symbol(s)"),
        ("undefined", "undefined", "undefined"),
        ("null", "null", "null"),
        ("() => 1", "function", "[Function: it]"),
        ("class {}", "class", "[class it]"),
        ("class K { static me = this }", "class", "<ref *1> [class K] { me: [Circular *1] }"),
        ("Date", "function", "[Function: Date]"),
        ("[1, 'x', [2, [3]]]", "Array", "[ 1, 'x', [ 2, [Array] ] ]"),
        ("[...Array(9).keys()]", "Array", "[ 0, 1, 2, 3, 4, 5, 6, 7, 8 ]"),
        ("new Map([[1, { x: 2 }]])", "Map", "Map(1) { 1 => { x: 2 } }"),
        ("new (class Foo { #hidden = 1; shown = 2 })", "Foo", "Foo { shown: 2 }"),
        ("Promise.resolve(3)", "Promise", "Promise { 3 }"),
        ("(function* () {})()", "Generator", "Object [Generator] {}"),
        ("Object.create(null)", "Object", "[Object: null prototype] {}"),
        ("new TypeError('no\\ngood')", "TypeError", "[TypeError: no good]"),
        ("new Proxy([1], {})", "Proxy", "[ 1 ]"),
        ("({ get x() { return 1 }, set y(v) {} })", "Object", "{ x: [Getter], y: [Setter] }"),
    ],
)
def test_a_variable_has_a_type_and_one_line_of_preview(Session, expression, type_, preview):  # noqa: N803
    assert looked(Session(), f"let it = {expression}; 0") == [("it", type_, preview)]


def test_lexical_variables_come_in_the_order_of_declaration_then_properties_of_the_global_object(Session):  # noqa: N803
    session = Session()
    session.value("var v = 1; let b = 2; globalThis.g = 3; function f() {} const a = 4; class C {}; 0")
    session.value("let b = 5; let ñ = 6, async = 7, \\u0061rguments = 8; 0")
    globals_ = session.look().globals
    assert [seen.name for seen in globals_] == ["b", "a", "C", "ñ", "async", "arguments", "v", "f", "g"]
    assert [seen.scope for seen in globals_] == ["lexical"] * 6 + ["global"] * 3
    assert globals_[0] == Global("b", "lexical", "number", "5")


def test_what_was_there_before_is_not_listed_unless_it_was_replaced(Session):  # noqa: N803
    assert looked(Session(), "delete globalThis.Map; setTimeout = 1; console.extra = 2; 0") == [
        ("setTimeout", "number", "1")
    ]


def test_a_variable_that_hides_a_global_is_shown_once_for_each(Session):  # noqa: N803
    assert looked(Session(), "globalThis.x = 1; let x = 2; 0") == [("x", "number", "2"), ("x", "number", "1")]


def test_a_declaration_that_was_not_reached_is_uninitialized(Session):  # noqa: N803
    session = Session()
    session.run("let waiting = await new Promise(() => {}); let behind = 1")
    session.run("let failed = (() => { throw 1 })()")
    assert [(seen.name, seen.type) for seen in session.look().globals] == [
        ("waiting", "uninitialized"),
        ("behind", "uninitialized"),
        ("failed", "uninitialized"),
    ]


def test_the_input_is_a_global(Session):  # noqa: N803
    session = Session()
    session.run("0", input='{"rows": [1, 2]}')
    assert session.look().globals == (Global("input", "global", "Object", "{ rows: [ 1, 2 ] }"),)


def test_keys_that_are_no_names(Session):  # noqa: N803
    code = (
        "globalThis[7] = 1; globalThis['a b'] = 2; globalThis[Symbol('s')] = 3; globalThis['\\ud800'] = 4; 0"
    )
    assert [name for name, _, _ in looked(Session(), code)] == ["7", "a b", "\ufffd", "Symbol(s)"]


def test_what_is_looked_at_is_bounded(Session):  # noqa: N803
    session = Session()
    session.value(f"let {'n' * 10_000} = 'x'.repeat(1e6), b = Array(1e5).fill('y'); 0")
    session.value("for (let i = 0; i < 50; i++) globalThis['g' + i] = i")
    seen = session.look(max_globals=10, preview_chars=30)
    assert (len(seen.globals), seen.more) == (10, 42)
    assert max(len(one.preview) for one in seen.globals) == 30
    assert max(len(one.name) for one in seen.globals) == 256
    seen = session.look(max_globals=1)
    assert ([len(one.name) for one in seen.globals], seen.more) == ([256], 51)


def test_previews_of_very_large_values_end_with_the_time_for_them(Session):  # noqa: N803
    session = Session()
    session.value(
        "const large = {}; for (let i = 0; i < 100_000; i++) large['k' + i] = i;"
        "for (let i = 0; i < 900; i++) globalThis['g' + i] = large; 0"
    )
    previews = [seen.preview for seen in session.look().globals]
    assert previews[0].startswith("{")
    assert previews[-1] == "…"
    assert session.look().globals[-1].type == "object"


HOSTILE = """
let calls = 0;
const trap = new Proxy({}, { get: (_, name) => (...all) => { calls++; return Reflect[name](...all) } });
let proxy = new Proxy(class {}, trap), child = Object.create(proxy);
let object = { get x() { calls++ }, [Symbol.toStringTag]: 'Tag', toString() { calls++ } };
class Shown { get [Symbol.toStringTag]() { calls++ } static get name() { calls++ } }
let shown = new Shown(), error = new Error('unread');
Object.defineProperty(globalThis, 'accessor', { __proto__: null, get() { calls++ }, configurable: true });
Object.defineProperty(Object.prototype, 'value', { __proto__: null, get() { calls++ }, configurable: true });
Object.defineProperty(Array.prototype, '0', { __proto__: null, set() { calls++ }, configurable: true });
Array.prototype[Symbol.iterator] = String.prototype.slice = Map.prototype.get = () => { calls++ };
JSON = Reflect = Object = null;
Error.prepareStackTrace = () => { calls++ };
0
"""


@pytest.mark.parametrize("change", ["delete globalThis.globalThis", "globalThis.globalThis = hostile"])
def test_the_variables_are_those_of_the_global_object_whatever_globalThis_is(Session, change):  # noqa: N803, N802
    session = Session()
    session.value(
        f"var here = 5, asked = 0; const hostile = new Proxy({{}}, {{ ownKeys: () => (asked++, ['not']) }}); {change}; 0"
    )
    seen = {one.name: one.preview for one in session.look().globals}
    assert (seen["here"], seen["asked"], "not" in seen) == ("5", "0", False)


def test_looking_runs_no_guest_code(Session):  # noqa: N803
    session = Session()
    session.value(HOSTILE)
    seen = {one.name: (one.type, one.preview) for one in session.look().globals}
    assert seen["calls"] == ("number", "0")
    assert seen["proxy"][0] == "Proxy"
    assert seen["accessor"] == ("accessor", "[Getter]")
    assert seen["error"] == ("Error", "[Error: unread]")
    assert seen["Reflect"] == ("null", "null")
    assert session.value("calls") == "0"


def test_the_stack_of_an_error_stays_unread(Session):  # noqa: N803
    session = Session()
    session.value("const error = new Error('e'), all = [error]; 0")
    session.look()
    assert session.value("Error.prepareStackTrace = () => 'formatted now'; error.stack") == "'formatted now'"


def test_what_was_matched_last_stays_so(Session):  # noqa: N803
    session = Session()
    session.value(
        "const all = { 'a b': 'it\\'s\\n', id: 1, map: new Map([['é', [1, 2, 3, 4, 5, 6, 7]]]), url: new URL('http://ü/?a=b'),"
        " bare: Object.setPrototypeOf(new TypeError('no'), null), error: new RangeError('e'), date: new Date(),"
        " f: class A {}, s: Symbol('x y'), re: /z/, blob: new Blob(['b']), query: new URLSearchParams('q=1') };"
        "Object.assign(globalThis, all); /w(.)d/.exec('a word'); /w(.)(.)d/.exec('a word'); 0"
    )
    session.look()
    assert session.value("[RegExp.lastMatch, RegExp.$1, RegExp.input]") == "[ 'word', 'o', 'a word' ]"


def test_a_variable_that_was_optimized_for_is_read_as_it_is(Session):  # noqa: N803
    session = Session()
    session.value("let n = 0; const step = () => { n += 0.5 }; for (let i = 0; i < 100_000; i++) step(); 0")
    assert session.look().globals[0].preview == "50000"
    assert session.value("step(); n") == "50000.5"


@pytest.mark.parametrize("name", sorted(CHECKPOINTED)[::5])
def test_looks_between_executions_leave_no_trace(Session, name):  # noqa: N803
    """Also through snapshots: a look leaves nothing that one cannot hold."""
    plain, watched = Session(), Session()
    for number, code in enumerate(SCRIPTS[name]):
        expected = plain.run(code, start_ticks=START + number * 10_000, seed=SEED)
        for _ in range(2):
            watched.look()
        done = watched.run(code, trace=expected.trace)  # a replay, since timers take real time
        assert (done.digest, done.outcome) == (expected.digest, expected.outcome)
        seen = watched.look()
        restored = Session(watched.snapshot())
        restored.seq = watched.seq
        watched = restored
        assert watched.look() == seen
