"""Built-ins that were replaced, deleted, frozen or made to lie."""

from __future__ import annotations

from attacks.script import Outcome, Script, any_of, completes, endless, gives, throws

# `every(f)` calls f(object, key, descriptor) for the properties of all built-in objects, and uses none of them
EVERY = """
const { ownKeys, getOwnPropertyDescriptor: describe, defineProperty: define, getPrototypeOf: up,
  deleteProperty: drop, setPrototypeOf: setUp } = Reflect;
const found = { __proto__: null, length: 0 }, isObject = (v) => v !== null && (typeof v === 'object' || typeof v === 'function');
const seen = new Set(), { has: sees, add: see } = Set.prototype, { apply } = Reflect;
const walk = (o) => {
  if (!isObject(o) || o === kept || apply(sees, seen, [o])) return;
  apply(see, seen, [o]); found[found.length++] = o; walk(up(o));
  const keys = ownKeys(o);
  for (let i = 0; i < keys.length; i++) { const d = describe(o, keys[i]); walk(d.value); walk(d.get); walk(d.set) }
};
walk(globalThis); walk([].values()); walk(new Map().values()); walk(function* () { }); walk(async function* () { });
const every = (f) => {
  for (let i = 0; i < found.length; i++) {
    const keys = ownKeys(found[i]);
    for (let k = 0; k < keys.length; k++) f(found[i], keys[k], describe(found[i], keys[k]));
  }
};
"""
USE = "({ a: [1, 'x', null], m: 5 })"


def all_functions(body: str) -> str:
    """Code that puts a function with this body in the place of every method and getter that there is."""
    return (
        EVERY
        + f"""
    const evil = function () {{ {body} }};
    every((o, key, d) => {{
      if (!d.configurable || key === 'constructor' || key === 'prototype') return;
      if (d.get) define(o, key, {{ __proto__: null, get: evil, set: evil, configurable: true }});
      else if (typeof d.value === 'function') define(o, key, {{ __proto__: null, value: evil, configurable: true, writable: true }});
    }}); {USE}"""
    )


SCRIPTS: dict[str, Script] = {
    "every function throws": completes(all_functions("throw 'mine'"), heap_mb=64),
    "every function loops": completes(all_functions("for (;;);"), heap_mb=64),
    "every function answers itself": completes(all_functions("return evil"), heap_mb=64),
    "every function answers undefined": completes(all_functions(""), heap_mb=64),
    "every function takes all memory": completes(
        all_functions("const a = []; for (let i = 0; ; i++) a[i] = [a]"), heap_mb=64, is_slow=True
    ),
    "every function calls itself": completes(all_functions("return evil()"), heap_mb=64),
    "everything deleted": completes(
        EVERY + "every((o, key) => { try { drop(o, key) } catch { } }); 'left'", heap_mb=64
    ),
    "everything frozen": completes(
        EVERY
        + "const { freeze } = Object; for (let i = 0; i < found.length; i++) try { freeze(found[i]) } catch { } 'ice'",
        heap_mb=64,
    ),
    "everything without a prototype": completes(
        EVERY + "for (let i = 0; i < found.length; i++) try { setUp(found[i], null) } catch { } ({ a: 1 })",
        heap_mb=64,
    ),
    "every prototype a Proxy that throws": completes(
        EVERY
        + """const trap = new Proxy({ __proto__: null }, { get() { throw 'mine' } });
        for (let i = 0; i < found.length; i++) try { setUp(found[i], new Proxy({ __proto__: null }, trap)) } catch { } 'traps'""",
        heap_mb=64,
        is_slow=True,
    ),
    "globalThis emptied": completes(
        "for (const key of Reflect.ownKeys(globalThis)) try { delete globalThis[key] } catch { } 'empty'"
    ),
    "globalThis emptied, and a Proxy behind it": completes(
        """const { ownKeys, deleteProperty } = Reflect, keys = ownKeys(globalThis), root = globalThis;
        const trap = new Proxy({}, { has: (_, key) => { for (; key !== 'kept' && key !== 'next';); }, get() { for (;;); } });
        try { Object.setPrototypeOf(Object.prototype, null); Object.setPrototypeOf(globalThis, trap) } catch { }
        for (let i = 0; i < keys.length; i++) try { deleteProperty(root, keys[i]) } catch { } 'empty'""",
    ),
    "globalThis frozen": any_of(
        "Object.freeze(globalThis); 'ice'", Outcome("completed"), Outcome("failed", "TypeError")
    ),
    "globalThis.globalThis and this": completes("globalThis.globalThis = null; this.undefined = 1; 'lost'"),
    "setters on Object.prototype": completes(
        """const names = ['0', '1', 'length', 'get', 'set', 'value', 'then', 'toJSON', 'status', 'result', 'error',
          'name', 'message', 'stack', 'cause', 'input', 'level', 'text', 'done', 'next', 'start', 'limits', 'replay',
          'enumerable', 'configurable', 'writable', 'constructor', 'raw', 'index', 'slot', 'due', 'id'];
        const trap = { __proto__: null, get() { for (;;); }, set() { for (;;); }, configurable: true };
        for (let i = 0; i < names.length; i++) Object.defineProperty(Object.prototype, names[i], trap);
        ({ a: [1] })"""
    ),
    "a then on Object.prototype": endless("Object.prototype.then = function () { for (;;); }; await ({})"),
    "a then on Object.prototype, never called": gives(
        "5", "Object.prototype.then = function (f) { f(666) }; 5"
    ),
    "__proto__ replaced": completes(
        "Object.defineProperty(Object.prototype, '__proto__', { get() { for (;;); }, set() { for (;;); } }); ({ a: 1 })"
    ),
    "hooks of all symbols": completes(
        """const names = Reflect.ownKeys(Symbol), trap = { __proto__: null, get() { for (;;); }, configurable: true };
        const { defineProperty } = Object, all = [Object, Array, String, RegExp, Map, Set, Promise, Error, Function];
        for (let i = 0; i < names.length; i++) for (let k = 0; k < all.length; k++) try {
          if (typeof Symbol[names[i]] === 'symbol') defineProperty(all[k].prototype, Symbol[names[i]], trap) } catch { }
        ({ a: 1 })"""
    ),
    "Symbol.iterator of arrays": completes(
        "Array.prototype[Symbol.iterator] = function () { for (;;); }; console.log([1], 2); [[1, 2]]"
    ),
    "the next of array iterators": completes(
        "Object.getPrototypeOf([].values()).next = () => { for (;;); }; console.log([1], 2); [[1, 2]]"
    ),
    "Promise.prototype.then": completes(
        "Promise.prototype.then = function () { for (;;); }; (async () => 5)()"
    ),
    "Promise.prototype.then, awaited": completes(
        "Promise.prototype.then = function () { for (;;); }; await Promise.resolve(5)"
    ),
    "Promise.prototype.constructor": completes(
        "Object.defineProperty(Promise.prototype, 'constructor', { get() { return class { constructor() { throw 'mine' } } } }); Promise.resolve(5)"
    ),
    "a constructor of Promise that never ends": endless(
        "Object.defineProperty(Promise.prototype, 'constructor', { get() { for (;;); } }); await Promise.resolve(5)"
    ),
    "Promise itself": completes("globalThis.Promise = function () { for (;;); }; await 1; (async () => 5)()"),
    "Function.prototype.call, apply and bind": completes(
        "for (const k of ['call', 'apply', 'bind', 'toString']) Function.prototype[k] = () => { for (;;); }; Function.prototype[Symbol.hasInstance]; console.log(1); [() => 0]"
    ),
    "Reflect": completes(
        "for (const k of Reflect.ownKeys(Reflect)) try { Reflect[k] = () => { for (;;); } } catch { } console.log({}); new Proxy({}, {})"
    ),
    "JSON": completes("JSON.stringify = JSON.parse = () => { for (;;); }; ({ a: 1 })"),
    "Error.prepareStackTrace": throws(
        "Error", "Error.prepareStackTrace = () => { for (;;); }; throw new Error('x')"
    ),
    "Error.prepareStackTrace, inherited": throws(
        "Error",
        "Object.defineProperty(Object.prototype, 'prepareStackTrace', { get() { for (;;); } }); throw new Error('x')",
    ),
    "Error.stackTraceLimit": throws(
        "TypeError", "Object.defineProperty(Error, 'stackTraceLimit', { get() { for (;;); } }); null.x"
    ),
    "a stackTraceLimit of ever": throws(
        "TypeError", "Error.stackTraceLimit = Infinity; (function f(n) { n ? f(n - 1) : null.x })(2000)"
    ),
    "Error.captureStackTrace": throws(
        "Error",
        "Error.captureStackTrace = null; const e = new Error('x'); Object.defineProperty(e, 'stack', { value: 1n }); throw e",
    ),
    "Error and all its kin": throws(
        "TypeError",
        "for (const k of ['Error', 'TypeError', 'RangeError', 'SyntaxError', 'ReferenceError']) globalThis[k] = null; null.x",
    ),
    "the names of errors": throws(
        "RangeError",
        "TypeError.prototype.name = 'x'.repeat(1e5); TypeError.prototype.message = { toString() { for (;;); } }; throw new RangeError('x')",
    ),
    "Date": gives(
        "'number'",
        "Date.now = () => { for (;;); }; Date.prototype.toJSON = () => { for (;;); }; typeof performance.now()",
    ),
    "Math": gives("3", "for (const k of Reflect.ownKeys(Math)) try { Math[k] = () => NaN } catch { } 1 + 2"),
    "Intl": gives(
        "'1'",
        "for (const k of Reflect.ownKeys(Intl)) try { Intl[k] = () => { for (;;); } } catch { } (1).toLocaleString()",
    ),
    "Array's species": endless(
        "Object.defineProperty(Array, Symbol.species, { get() { for (;;); } }); [1].map((x) => x)"
    ),
    "holes that answer": gives(
        "[ 'mine', 1, <1 empty item> ]",
        "Array.prototype[2] = 'evil'; Object.prototype[0] = 'worse'; ['mine', 1, ,]",
    ),
    "array lengths": throws("RangeError", "[].length = -1"),
    "an array with a huge length": gives(
        "[ <4294967295 empty items> ]", "const a = []; a.length = 2 ** 32 - 1; a"
    ),
    "toString of everything": gives(
        "5",
        "for (const c of [Object, Array, Function, Number, String, Symbol, BigInt, Date, RegExp, Error]) c.prototype.toString = c.prototype.valueOf = () => { for (;;); }; 5",
    ),
    "input": gives(
        "[ 1 ]",
        "Object.defineProperty(globalThis, 'input', { get: () => [1], set() { for (;;); } }); input",
        input='{"a": 1}',
    ),
    "input that cannot be set": completes(
        "Object.defineProperty(globalThis, 'input', { value: 1, writable: false, configurable: false }); input"
    ),
    "names of control functions": gives(
        "''",
        """['begin', 'inputHidden', 'overdue', 'settle', 'rejected', 'finish', 'look', 'formatStack', 'native', 'base',
        'control', 'emit', 'host'].filter((name) => { try { return (0, eval)(`typeof ${name}`) !== 'undefined' } catch { return true } }).join()""",
    ),
    "variables with the names of built-ins": completes(
        "let Object = null, Array = null, Promise = null, Error = null, JSON = null; var console = null; const Map = 1; 'hidden'"
    ),
    "a variable called undefined, inside": gives("1", "(function (undefined) { return undefined })(1)"),
    "variables that are declared already": throws("SyntaxError", "eval('const kept = 5; var kept = 6')"),
    "strict mode for later calls": completes("'use strict'; 1"),
    "deleting what cannot be": throws(
        "TypeError", "'use strict'; (() => { 'use strict'; delete Object.prototype })()"
    ),
}
