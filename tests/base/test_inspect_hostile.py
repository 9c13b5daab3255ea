"""Describing a value runs none of the guest's code, whatever the guest did to the realm."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from isolates import Session as Isolate

MakeIsolate = Callable[..., Isolate]

# touches counts calls of guest code; `every` is a handler whose traps all count
PRELUDE = """
var touches = 0;
var touch = () => { touches += 1; return 'touched' };
var every = new Proxy({}, { get() { touches += 1; return undefined } });
var getter = { get: touch, set: touch, enumerable: true, configurable: true };
var convertible = { toString: touch, valueOf: touch, toJSON: touch, [Symbol.toPrimitive]: touch };
var withGetters = (object, ...names) => {
  for (const name of names) Object.defineProperty(object, name, getter);
  return object;
};
"""

HOSTILE = {
    "a Proxy": "new Proxy({ a: 1 }, every)",
    "a Proxy of an array": "new Proxy([1, 2], every)",
    "a callable Proxy": "new Proxy(function f() {}, every)",
    "a Proxy of a Proxy": "new Proxy(new Proxy({}, every), every)",
    "a Proxy inside": "({ p: [new Proxy({ a: 1 }, every)], m: new Map([[new Proxy({}, every), 1]]) })",
    "a Proxy as prototype": "Object.create(new Proxy({}, every))",
    "a Proxy further up": "Object.create(Object.create(new Proxy({}, every)))",
    "a Proxy as constructor": "Object.create({ constructor: new Proxy(function f() {}, every) })",
    "a Proxy as parent class": "Object.setPrototypeOf(class A {}, new Proxy(function f() {}, every))",
    "a Proxy as an error's prototype": "Object.setPrototypeOf(new Error('x'), new Proxy({}, every))",
    "a Proxy of an error": "new Proxy(new Error('x'), every)",
    "a Proxy as cause": "new Error('x', { cause: new Proxy({}, every) })",
    "an array with a Proxy as prototype": "Object.setPrototypeOf([1, , 2], new Proxy([], every))",
    "getters": "withGetters({}, 'a', 'toJSON', 'constructor', Symbol.toStringTag, Symbol.iterator)",
    "getters in an array": "withGetters([1, 2, 3], 0, 'constructor', 'x')",
    "getters of a prototype": "Object.create(withGetters({}, 'constructor', Symbol.toStringTag, 'toJSON'))",
    "conversions": "convertible",
    "conversions inside": "[convertible, { convertible }, new Map([[convertible, convertible]])]",
    "an own inspection": "({ [Symbol.for('nodejs.util.inspect.custom')]: touch, inspect: touch, then: touch })",
    "a class with its own name": "class A { static get name() { return touch() } }; new A()",
    "a class with instanceof": "class A { static [Symbol.hasInstance]() { return touch() } }; new A()",
    "a function with a getter as name": "withGetters(function f() {}, 'name', 'x')",
    "an error with getters": "withGetters(new Error('x'), 'name', 'message', 'stack', 'cause', 'errors')",
    "an error whose class has getters": (
        "class E extends Error { get name() { return touch() } get message() { return touch() } }; new E()"
    ),
    "an error with objects for texts": (
        "Object.assign(new Error('x'), { name: convertible, message: convertible, cause: convertible })"
    ),
    "an error with an object for a stack": "Object.assign(new Error('x'), { stack: convertible })",
    "a Map with its own methods": (
        "class M extends Map { get size() { return touch() } entries() { touch() } forEach() { touch() }"
        " [Symbol.iterator]() { touch() } }; Object.setPrototypeOf(new Map([[1, 2]]), M.prototype)"
    ),
    "a Date with its own methods": (
        "class D extends Date { getTime() { return touch() } toISOString() { return touch() } }; new D(0)"
    ),
    "a RegExp with its own flags": "withGetters(/a/g, 'source', 'flags', 'global', 'exec')",
    "a typed array with its own length": "withGetters(new Uint8Array(2), 'length', 'byteLength', 'buffer')",
    "a buffer with its own length": "withGetters(new ArrayBuffer(2), 'byteLength', 'slice', 'constructor')",
    "a DataView with its own parts": "withGetters(new DataView(new ArrayBuffer(2)), 'byteLength', 'buffer')",
    "a promise with its own then": "withGetters(Promise.resolve(1), 'then', 'constructor')",
    "boxes": "[Object.assign(new Number(1), convertible), withGetters(new String('s'), 'toString', 'x')]",
    "arguments": "(function () { return withGetters(arguments, 'length', 0, Symbol.iterator) })(1, 2)",
    "a generator": "(function* () { touch() })()",
    "a Proxy with a Proxy of traps inside collections": (
        "[new Set([new Proxy([1], every)]), new Map([[1, new Proxy(new Map(), every)]]), [new Proxy(() => {}, every)]]"
    ),
    "Proxies of what has a shape of its own": (
        "[new Date(0), /x/, new Set([1]), new Uint8Array(2), Promise.resolve(1), new Number(1)]"
        ".map((target) => new Proxy(target, every))"
    ),
    "a revoked Proxy": "((made) => (made.revoke(), [made.proxy]))(Proxy.revocable({}, every))",
    "a Temporal object with methods of its own": (
        "withGetters(Object.assign(Temporal.PlainDate.from('2020-01-02'), convertible), 'calendarId', 'day')"
    ),
    "iterators of their own": (
        "({ [Symbol.iterator]: touch, [Symbol.asyncIterator]: touch, next: touch, return: touch, entries: touch })"
    ),
    "an array with methods of its own": (
        "Object.assign([1, [2]], { map: touch, join: touch, forEach: touch, toString: touch, [Symbol.iterator]: touch })"
    ),
    "a Map with methods of its own": (
        "Object.assign(new Map([[{}, []]]), { get: touch, forEach: touch, entries: touch, [Symbol.iterator]: touch })"
    ),
    "a Map iterator with a next of its own": "Object.assign(new Map([[1, 2]]).entries(), { next: touch })",
    "rows with getters": "[withGetters({ a: 1 }, 'b', 'length'), withGetters([1], 0, 1), withGetters({}, 'a')]",
    "a class with a name that converts": "class A { static name = convertible }; new A()",
    "a tag that converts": "Object.defineProperty({}, Symbol.toStringTag, { value: convertible })",
    "an old error with getters": "withGetters(Object.create(Error.prototype), 'name', 'message', 'stack', 'cause')",
    "a cause with getters": "new Error('x', { cause: withGetters(new Error('y'), 'stack', 'name', 'message') })",
    "a prototype without a class and with getters": (
        "Object.create(Object.create(withGetters(Object.create(null), 'a', 'constructor')))"
    ),
    "a String with getters": "withGetters(new String('abc'), 'valueOf', Symbol.toPrimitive, Symbol.iterator)",
    "options with getters": "withGetters({}, 'depth', 'showHidden', 'compact', 'breakLength', 'maxArrayLength', 'sorted')",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_guest_code_runs_when_a_value_is_described(Session: MakeIsolate, name: str) -> None:  # noqa: N803
    session = Session()
    session.run(PRELUDE)
    declaration, _, expression = HOSTILE[name].rpartition("; ")
    made = session.run(f"{declaration}; var value = {expression}; touches = 0")
    assert made.outcome.error is None
    session.value("value")
    assert session.value("touches") == "0"
    session.run("throw value")
    session.run("Promise.reject(value); 1")
    session.run("console.log(value, value); console.dir(value, { showHidden: true, depth: 5 })")
    session.run(
        "console.log('%s %d %i %f %j %o %O %c', value, value, value, value, value, value, value, value)"
    )
    session.run("console.dir({}, value)")
    session.run("console.assert(false, value); console.trace(value); console.trace('%s', value)")
    session.run(
        "console.table(value); console.table([value, { a: value }]); console.table([{ a: 1 }], [value])"
    )
    session.run(
        "console.table(new Map([[value, value]])); console.table(new Set([value])); console.table([1], value)"
    )
    session.run(
        "console.group(value); console.groupCollapsed('%o', value); console.groupEnd(); console.dirxml(value)"
    )
    session.run("console.count(value); console.count(value); console.countReset(value)")
    session.run(
        "console.time(value); console.timeLog(value, value); console.timeEnd(value); console.timeEnd(value)"
    )
    assert session.value("touches") == "0"


# --- a polluted realm -----------------------------------------------------------------------------

VALUES = [
    "{}",
    "{ a: 1, b: [1, { c: 'x' }], 'k-k': undefined }",
    "[1, , 3, [], [[[[1]]]]]",
    "Array.from({ length: 30 }, (_, i) => i)",
    "'it\\'s \"a\" string\\n'",
    "-0",
    "5n",
    "Symbol('s')",
    "null",
    "new Map([['a', { b: 1 }]])",
    "new Set([1, 'x'])",
    "new Map([[1, 2]]).keys()",
    "new (class Day extends Date {})(0)",
    "/a\\/b/gi",
    "new Error('x', { cause: new TypeError('y') })",
    "new (class HttpError extends Error { status = 404 })('z')",
    "new AggregateError([1], 'all')",
    "new (class Foo { a = 1 })()",
    "class A extends Map {}",
    "function f() {}",
    "async () => {}",
    "Promise.resolve(1)",
    "new Uint8Array([1, 2])",
    "new Uint8Array([1, 2]).buffer",
    "new DataView(new ArrayBuffer(1))",
    "new Number(3)",
    "new String('abc')",
    "new Proxy([1], {})",
    "Object.create(null)",
    "(function () { return arguments })(1)",
]

# A getter or setter of these names on a prototype would be reached by code that is not careful.
NAMES = [
    "7",
    "head",
    "cells",
    "byName",
    "named",
    "rows",
    "omitted",
    "keysLeft",
    "inspect",
    "passed",
    "sorted",
    "compact",
    "isError",
    "a",
    "0",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "x",
    "value",
    "get",
    "set",
    "done",
    "enumerable",
    "writable",
    "configurable",
    "index",
    "groups",
    "input",
    "indices",
    "raw",
    "text",
    "keys",
    "unlisted",
    "chars",
    "nodes",
    "depth",
    "maxChars",
    "showHidden",
    "columns",
    "entries",
    "open",
    "close",
    "level",
    "tag",
    "toJSON",
    "stack",
    "cause",
    "errors",
    "used",
    "end",
    "bytes",
    "read",
]

POLLUTION = {
    "accessors on prototypes": f"""
        for (const prototype of [Object, Array, Function, String, Map, RegExp, Error].map((c) => c.prototype)) {{
          for (const name of {NAMES}) {{
            Object.defineProperty(prototype, name, {{ __proto__: null, get: touch, set: touch, configurable: true }});
          }}
        }}""",
    "symbols of prototypes": """
        const symbols = Reflect.ownKeys(Symbol).map((name) => Symbol[name]).filter((s) => typeof s === 'symbol');
        const { defineProperty } = Object;
        const prototypes = [Object, Array, Function, String, Number, Map, RegExp].map((c) => c.prototype);
        for (let p = 0; p < prototypes.length; p++) for (let s = 0; s < symbols.length; s++) {
          try {
            defineProperty(prototypes[p], symbols[s], { __proto__: null, get: touch, configurable: true });
          } catch {}
        }""",
    "built-ins replaced": """
        const { ownKeys, getOwnPropertyDescriptor, defineProperty, getPrototypeOf } = Reflect;
        const roots = [Object, Array, Function, String, Number, Map, Set, RegExp, Error, Promise, Symbol, Date,
          BigInt, Boolean, ArrayBuffer, DataView, Uint8Array, WeakMap, Reflect, JSON, Math,
          getPrototypeOf(Uint8Array), getPrototypeOf(new Map().keys()), getPrototypeOf([].values())];
        for (let i = 0; i < roots.length; i++) for (const target of { 0: roots[i], 1: roots[i].prototype, length: 2,
            [Symbol.iterator]: function* () { yield this[0]; if (this[1]) yield this[1] } }) {
          const keys = ownKeys(target);
          for (let k = 0; k < keys.length; k++) {
            const old = getOwnPropertyDescriptor(target, keys[k]);
            if (!old.configurable || keys[k] === 'constructor' || keys[k] === 'prototype') continue;
            if (old.get) defineProperty(target, keys[k], { __proto__: null, get: touch, configurable: true });
            else if (typeof old.value === 'function')
              defineProperty(target, keys[k], { __proto__: null, value: touch, configurable: true });
          }
        }
        for (const name in { Object: 1, Array: 1, String: 1, Number: 1, Map: 1, Set: 1, Error: 1, RegExp: 1,
          Reflect: 1, JSON: 1, Math: 1, Symbol: 1, Uint8Array: 1, parseInt: 1, parseFloat: 1 }) globalThis[name] = touch;
        """,
    "built-ins deleted": """
        const { ownKeys, deleteProperty } = Reflect;
        const roots = [Object, Array, Function, String, Number, Map, Set, RegExp, Error, Promise, Symbol, Date,
          BigInt, Boolean, ArrayBuffer, DataView, Uint8Array, Reflect, JSON, Math];
        for (let i = 0; i < roots.length; i++) for (let part = 0; part < 2; part++) {
          const target = part ? roots[i].prototype : roots[i];
          if (!target) continue;
          const keys = ownKeys(target);
          for (let k = 0; k < keys.length; k++) if (keys[k] !== 'name') deleteProperty(target, keys[k]);
        }
        deleteProperty(globalThis, 'Object'), deleteProperty(globalThis, 'Array'), deleteProperty(globalThis, 'JSON');
        """,
    "everything frozen": """
        for (const name of Reflect.ownKeys(globalThis)) {
          const root = globalThis[name];
          if (root === null || (typeof root !== 'object' && typeof root !== 'function')) continue;
          if (root === globalThis || name === 'kept') continue;
          Object.freeze(root);
          if (root.prototype) Object.freeze(root.prototype);
        }""",
}


def described(session: Isolate) -> list[object]:
    """Every kept value as a result, as JSON, as a throw and as console lines."""
    texts: list[object] = []
    for i in range(len(VALUES)):
        outcome = session.run(f"kept[{i}]").outcome
        error = session.run(f"throw kept[{i}]").outcome.error
        assert error is not None
        session.run(
            f"console.log(kept[{i}]), console.log('%s %d %j %o', kept[{i}], kept[{i}], kept[{i}], kept[{i}]);"
            f"console.table(kept[{i}]); console.table([kept[{i}], {{ a: kept[{i}] }}], ['a']);"
            f"console.group(kept[{i}]); console.log('two\\nlines'); console.groupEnd();"
            f"console.count(kept[{i}]); console.countReset(kept[{i}]); console.timeEnd(kept[{i}])"
        )
        logged = [line.text for line in session.lines]
        texts.append((outcome.result, outcome.result_json, error.name, error.message, error.stack, logged))
    return texts


@pytest.mark.parametrize("pollution", POLLUTION)
def test_texts_are_the_same_in_a_polluted_realm(Session: MakeIsolate, pollution: str) -> None:  # noqa: N803
    session = Session()
    session.run(PRELUDE)
    session.run(f"var kept = [{', '.join(f'({value})' for value in VALUES)}]")
    before = described(session)
    done = session.run(f"{{ {POLLUTION[pollution]} }} touches = 0")
    assert done.outcome.error is None
    assert described(session) == before
    session.run("console.trace('two\\nlines', 1)")
    assert session.lines[0].text.startswith(
        "Trace: two\nlines 1"
    )  # without frames if there is no limit of them
    assert session.value("touches") == "0"
