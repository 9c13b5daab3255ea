"""What the host's control functions make of an execution, whatever the guest did to its realm."""

from __future__ import annotations

import json

import pytest

from engine.limits import Limits

# --- outcomes -------------------------------------------------------------------------------------


def test_a_value_is_completed_with_text_and_json(run):
    outcome, lines = run("({ a: [1, 'x'] })")
    assert (outcome.status, outcome.error, outcome.pending, outcome.pending_timers) == (
        "completed",
        None,
        False,
        0,
    )
    assert outcome.result == "{ a: [ 1, 'x' ] }"
    assert json.loads(outcome.result_json) == {"a": [1, "x"]}
    assert lines == ()


def test_a_string_is_shown_in_quotes(run):
    outcome, _ = run("'text'")
    assert (outcome.result, outcome.result_json) == ("'text'", '"text"')


def test_a_value_that_is_no_json_has_text_only(run):
    outcome, _ = run("undefined")
    assert (outcome.result, outcome.result_json) == ("undefined", None)


def test_a_throw_is_failed_with_its_error(run):
    outcome, lines = run("throw new RangeError('out')")
    assert (outcome.status, outcome.result, outcome.result_json) == ("failed", None, None)
    assert (outcome.error.name, outcome.error.message) == ("RangeError", "out")
    assert lines == ()


def test_texts_that_are_not_well_formed_are_made_so(run):
    outcome, _ = run("'a\\ud800b'")
    outcome.result.encode()
    failed, _ = run("throw new Error('a\\ud800b')")
    failed.error.message.encode()


def test_texts_are_cut_at_the_limit(Session):  # noqa: N803
    limits = Limits(result_chars=100)
    session = Session()
    result = session.run("'x'.repeat(5000)", limits=limits).outcome
    assert len(result.result) == 100
    assert result.result_json is None
    error = session.run("throw new Error('y'.repeat(5000))", limits=limits).outcome.error
    assert len(error.message) == 100
    assert len(error.stack) <= 100


# --- input ----------------------------------------------------------------------------------------


def test_input_is_an_ordinary_global(Session):  # noqa: N803
    session = Session()
    done = session.run(
        "[JSON.stringify(input), Object.entries(Object.getOwnPropertyDescriptor(globalThis, 'input')).slice(1).join()]",
        input='{"__proto__": [1], "n": null}',
    )
    assert json.loads(done.outcome.result_json) == [
        '{"__proto__":[1],"n":null}',
        "writable,true,enumerable,true,configurable,true",
    ]
    assert session.run("input = 5; input").outcome.result == "5"
    assert session.run("input", input="false").outcome.result == "false"
    assert session.run("input").outcome.result == "false"


@pytest.mark.parametrize(
    "change", ["delete root.globalThis", "root.globalThis = hostile", "Object.setPrototypeOf(root, hostile)"]
)
def test_input_is_bound_to_the_global_object_whatever_globalThis_is(change, Session):  # noqa: N803, N802
    session = Session()
    session.run(
        "var root = globalThis, seen = []; const hostile = new Proxy({}, {"
        " defineProperty(_, key) { seen.push(key); return true }, set(_, key) { seen.push(key); return true } });"
        f"try {{ {change} }} catch {{}}"
    )
    assert session.run("[root.input, seen]", input='{"a":1}').outcome.result == "[ { a: 1 }, [] ]"


def test_without_input_there_is_no_global_of_that_name(run):
    assert run("typeof input")[0].result == "'undefined'"


OWN_INPUTS = [
    "let input = 'own'",
    "const input = 'own'",
    "var input = 'own'",
    "class input {}",
    "function input() {}",
    "let input = (() => { throw 1 })()",
    "const input = (() => { throw 1 })()",
]


@pytest.mark.parametrize("own", OWN_INPUTS)
def test_input_wins_over_what_the_session_declared_itself(own, Session):  # noqa: N803
    session = Session()
    session.run(f"const read = () => input; {own}")
    session.run("const reading = () => input; 0")
    for value in ("[1]", '{"__proto__": 2}'):
        done = session.run("JSON.stringify([input, reading(), globalThis.input])", input=value)
        text = json.dumps(json.loads(value), separators=(",", ":"))
        assert json.loads(done.outcome.result_json) == f"[{text},{text},{text}]"
        assert session.lines == ()
    assert session.value("JSON.stringify(input)") == "'{\"__proto__\":2}'"


def test_input_can_be_declared_by_the_code_itself(Session):  # noqa: N803
    session = Session()
    assert session.run("const { a } = input; const b = a; b", input='{"a": 1}').outcome.result == "1"
    assert session.run("let input = globalThis.input.a + 1; input", input='{"a": 1}').outcome.result == "2"
    assert session.run("input", input="3").outcome.result == "3"


def test_input_that_cannot_be_bound_is_told(Session):  # noqa: N803
    for code, shown in (
        ("Object.freeze(globalThis); 0", "'undefined'"),
        ("using input = null; 0", "'object'"),
    ):
        session = Session()
        session.run(code)
        done = session.run("typeof input", input="1")
        assert done.outcome.result == shown
        assert [(line.level, line.text[:6]) for line in session.lines] == [("error", "input:")]


# --- unhandled rejections -------------------------------------------------------------------------


def test_unhandled_rejections_are_told_in_order_with_the_execution_in_which_they_surface(Session):  # noqa: N803
    session = Session()
    done = session.run("""
      const kept = Promise.reject(new Error('first'));
      Promise.reject('second');
      const handled = Promise.reject('handled');
      handled.catch(() => 0);
      (async () => { await 0; throw 'third' })();
      setTimeout(async () => { throw 'fourth' }, 1);
      'value'
    """)
    assert done.outcome.result == "'value'"
    assert {line.level for line in session.lines} == {"error"}
    texts = [line.text.splitlines()[0] for line in session.lines]
    assert texts == [
        "Uncaught (in promise) Error: first",
        "Uncaught (in promise) 'second'",
        "Uncaught (in promise) 'third'",
        "Uncaught (in promise) 'fourth'",
    ]
    session.run("kept.catch(() => 0); 0")
    assert session.lines == ()


def test_a_rejection_handled_while_the_execution_settles_is_not_told(Session):  # noqa: N803
    session = Session()
    session.run("const p = Promise.reject(1); setTimeout(() => p.catch(() => 0), 2); 0")
    assert session.lines == ()


def test_the_thrown_error_itself_is_not_told_as_a_rejection(run):
    assert run("await Promise.reject(new Error('x'))")[1] == ()


def test_a_flood_of_rejections_is_counted(Session):  # noqa: N803
    session = Session()
    session.run("for (let i = 0; i < 2500; i++) Promise.reject(i); 0")
    assert len(session.lines) == 1_001
    assert session.lines[-1].text == "Uncaught (in promise): 1500 more"


# --- a realm that the guest has changed -----------------------------------------------------------

KEEP = """
const kept = { Date, setTimeout, setInterval, clearInterval, queueMicrotask, WeakRef, FinalizationRegistry,
  performance, random: Math.random, now: Temporal.Now, apply: Reflect.apply, DateTimeFormat: Intl.DateTimeFormat,
  format: Object.getOwnPropertyDescriptor(Intl.DateTimeFormat.prototype, 'format').get };
const log = console.log;
let told = '';
0
"""

# Every built-in function throws, and setters wait wherever an assignment might meet a prototype
POISON = """
(() => {
  const { defineProperty, getOwnPropertyDescriptor, ownKeys, getPrototypeOf } = Reflect;
  const trap = (what) => function poisoned() { told += what + ';'; throw new Error('poisoned ' + what) };
  const roots = [Object, Function, Array, String, Number, Boolean, Symbol, BigInt, Math, JSON, Map, Set, WeakMap,
    WeakSet, Reflect, RegExp, Date, Error, TypeError, RangeError, Float64Array, Int32Array, Intl.DateTimeFormat,
    Temporal.Instant, Temporal.ZonedDateTime, Promise, Iterator, globalThis.console, ArrayBuffer, Proxy];
  const targets = new Set();
  for (const root of roots) {
    targets.add(root);
    if (root.prototype) targets.add(root.prototype);
  }
  targets.add(getPrototypeOf(Int32Array)).add(getPrototypeOf(Int32Array.prototype));
  targets.add(getPrototypeOf([].values())).add(getPrototypeOf(new Map().values()));
  const setters = ['0', '1', '2', '3', 'value', 'get', 'set', 'writable', 'enumerable', 'configurable', 'due', 'id',
    'slot', 'slots', 'size', 'text', 'cursor', 'recorded', 'callback', 'args', 'then', 'input', 'clock', 'length',
    'name', 'message', 'stack', 'limits', 'replay', 'start', 'seed', 'cause', 'toJSON'];
  const plan = [];
  for (const target of targets) {
    for (const key of ownKeys(target)) {
      const { configurable, value, get } = getOwnPropertyDescriptor(target, key);
      const what = String(key), isSetter = target === Object.prototype && setters.includes(what);
      if (!configurable || isSetter || !(typeof value === 'function' || get)) continue;
      plan.push({ target, key, to: get ? { get: trap(what), set: trap(what) } : { value: trap(what) } });
    }
  }
  for (const key of setters) {
    for (const target of [Object.prototype, Array.prototype, Function.prototype]) {
      const { configurable } = getOwnPropertyDescriptor(target, key) ?? { configurable: true };
      const to = { __proto__: null, get: undefined, set: trap(key), configurable: true };
      if (configurable) plan.push({ target, key, to });
    }
  }
  for (let i = 0; i < plan.length; i++) {
    Object.setPrototypeOf(plan[i].to, null); // the descriptors must not meet the setters made so far
  }
  for (let i = 0; i < plan.length; i++) defineProperty(plan[i].target, plan[i].key, plan[i].to);
})();
0
"""

REPLACE_GLOBALS = """
for (const name of Object.getOwnPropertyNames(globalThis)) {
  if (!['kept', 'log', 'told', 'globalThis', 'undefined', 'NaN', 'Infinity'].includes(name)) {
    try { globalThis[name] = null } catch {}
  }
}
0
"""

FREEZE = """
for (const name of Object.getOwnPropertyNames(globalThis)) {
  const value = globalThis[name];
  if (typeof value === 'function' || (typeof value === 'object' && value)) {
    if (value.prototype) Object.freeze(value.prototype);
    if (value !== globalThis) Object.freeze(value);
  }
}
Object.freeze(globalThis);
0
"""

USES = """
  let results = '', fired = '';
  const check = (name, ok) => { results += name + (ok ? '' : ' FAILED') + ' ' };
  check('date', new kept.Date().valueOf !== 0);
  check('callable', typeof kept.Date() === 'string');
  check('performance', kept.performance.now() >= 0);
  check('random', kept.random() < 1);
  check('temporal', typeof kept.now.instant() === 'object');
  check('zoned', typeof kept.now.plainDateTimeISO() === 'object');
  check('intl', typeof kept.apply(kept.format, new kept.DateTimeFormat(), [])() === 'string');
  check('weak', new kept.WeakRef(kept).deref() === kept);
  const registry = new kept.FinalizationRegistry(() => 0);
  registry.register({}, 1, kept);
  check('registry', registry.unregister(kept));
  for (let i = 0; i < 20; i += 1) kept.setTimeout(() => { fired += 't' }, 1 + i % 3);
  const interval = kept.setInterval((text) => { fired += text; kept.clearInterval(interval) }, 1, 'i');
  kept.queueMicrotask(() => { fired += 'm' });
  kept.setTimeout(() => { log(fired) }, 30);
  kept.setTimeout(() => { throw 'from a timer' }, 31);
  (async () => { throw 'rejected' })();
  results
"""

DONE = "'date callable performance random temporal zoned intl weak registry '"


@pytest.mark.parametrize(
    "pollution", ["0", POISON, REPLACE_GLOBALS, FREEZE], ids=["none", "poison", "replace", "freeze"]
)
def test_pollution_breaks_nothing_and_is_never_run(pollution, Session):  # noqa: N803
    session = Session()
    session.value(KEEP)
    session.value(pollution)
    session.run("told = ''")
    done = session.run(USES, input="[1]")
    assert done.outcome.error is None
    assert done.outcome.result == DONE
    fired, *errors = [line.text for line in session.lines if not line.text.startswith("input:")]
    assert (fired[0], sorted(fired)) == ("m", sorted("m" + "i" + 20 * "t"))
    assert errors == ["Uncaught 'from a timer'", "Uncaught (in promise) 'rejected'"]
    assert done.outcome.pending_timers == 0
    assert session.run("told").outcome.result == "''"


def test_the_poison_is_one(Session):  # noqa: N803
    session = Session()
    session.value(KEEP)
    session.value(POISON)
    tries = [
        "[].concat()",
        "[][0] = 1",
        "({}).value = 1",
        "new Map().get(1)",
        "(() => 1).call()",
        "for (const x of [1]);",
    ]
    session.run("told = ''; " + " ".join(f"try {{ {code} }} catch {{}}" for code in tries))
    assert session.run("told").outcome.result == "'concat;0;value;get;call;Symbol(Symbol.iterator);'"


def test_a_polluted_session_goes_on_after_a_snapshot(Session):  # noqa: N803
    session = Session()
    session.value(KEEP)
    session.value(POISON)
    restored = Session(session.snapshot())
    restored.run("told = ''")
    assert restored.run(USES).outcome.result == DONE
    assert restored.run("told").outcome.result == "''"


def test_an_errors_own_traps_are_not_run_when_it_is_told(Session):  # noqa: N803
    session = Session()
    session.run("""
      let ran = '';
      const trapped = new Proxy(new Error('x'), { get(target, key) { ran += String(key); return target[key] } });
      Promise.reject(trapped);
      setTimeout(() => { throw { get message() { ran += 'message' }, toString() { ran += 'toString' } } }, 1);
      0
    """)
    assert len(session.lines) == 2
    assert session.run("ran").outcome.result == "''"


def test_nothing_of_the_host_is_a_global(run):
    code = """
      const names = Object.getOwnPropertyNames(globalThis);
      ['base', 'native', 'control', 'begin', 'finish', 'settle'].filter((name) => names.includes(name)).join()
    """
    assert run(code)[0].result == "''"


def test_callbacks_cannot_see_who_calls_them(run):
    outcome, _ = run("""
      await new Promise((resolve) => setTimeout(function inspect() {
        try { resolve([inspect.caller, arguments.callee.caller, arguments.length, arguments.callee === inspect].join()) }
        catch (error) { resolve(String(error)) }
      }, 1))
    """)
    assert outcome.result == "',,0,true'"
