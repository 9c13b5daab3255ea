"""What is returned or thrown, and must be told without being touched."""

from __future__ import annotations

from attacks.script import Outcome, Script, any_of, completes, endless, gives, throws

TRAPS = "new Proxy({}, { get() { for (;;); } })"

SCRIPTS: dict[str, Script] = {
    "a Proxy with all traps": gives("{}", f"new Proxy({{}}, {TRAPS})"),
    "a Proxy of a function with all traps": completes(f"new Proxy(function f() {{ }}, {TRAPS})"),
    "a revoked Proxy": completes("const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); [proxy]"),
    "a revoked Proxy, awaited": throws(
        "TypeError", "const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); await proxy"
    ),
    "a revoked Proxy, thrown": throws(
        "Uncaught", "const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); throw proxy"
    ),
    "a Proxy, thrown": throws("Uncaught", f"throw new Proxy(new Error('x'), {TRAPS})"),
    "a Proxy in a Proxy in a Proxy": completes(
        "let p = {}; for (let i = 0; i < 1000; i++) p = new Proxy(p, p); [p]"
    ),
    "getters": gives("{ a: [Getter] }", "({ get a() { for (;;); } })"),
    "a getter of the class": completes(
        "Object.create({ get constructor() { for (;;); }, get [Symbol.toStringTag]() { for (;;); } })"
    ),
    "toJSON": completes("({ toJSON() { for (;;); } })"),
    "toJSON of a Date": completes("const d = new Date(0); d.toJSON = d.toISOString = () => { for (;;); }; d"),
    "conversions": completes(
        "({ toString() { for (;;); }, valueOf() { for (;;); }, [Symbol.toPrimitive]() { for (;;); } })"
    ),
    "a thenable": completes("({ then: 5 })"),
    "a thenable at the end of a promise": endless("(async () => ({ then() { for (;;); } }))()"),
    "undefined, thrown": throws("Uncaught", "throw undefined"),
    "null, thrown": throws("Uncaught", "throw null"),
    "a Symbol, thrown": throws("Uncaught", "throw Symbol('x'.repeat(1e6))"),
    "a function, thrown": throws("Uncaught", "throw function f() { for (;;); }"),
    "a huge string, thrown": throws("Uncaught", "throw 'x'.repeat(2 ** 22)"),
    "a deep object, thrown": throws(
        "Uncaught", "let o = {}; for (let i = 0; i < 1e5; i++) o = { o }; throw o", heap_mb=64
    ),
    "an error with getters": throws(
        "Error",
        "const e = new Error('x'); for (const k of ['name', 'message', 'cause']) Object.defineProperty(e, k, { get() { for (;;); } }); throw e",
    ),
    "an error with a getter for a stack": throws(
        "Error",
        "const e = new Error('x'); Object.defineProperty(e, 'stack', { get() { for (;;); } }); throw e",
    ),
    "an error with a Proxy for a name": any_of(
        f"const e = new Error('x'); e.name = {TRAPS}; e.message = {TRAPS}; throw e", Outcome("failed", "{}")
    ),
    "an error with a huge name": any_of(
        "const e = new Error('x'); e.name = 'N'.repeat(1e6); throw e", Outcome("failed")
    ),
    "an error with a huge message": throws("Error", "throw new Error('x'.repeat(2 ** 22))"),
    "an error with a huge stack": throws(
        "Error", "const e = new Error('x'); e.stack = '\\n    at x'.repeat(1e6); throw e", heap_mb=64
    ),
    "an error with a Symbol for a message": throws(
        "Error", "const e = new Error(); e.message = Symbol('x'); throw e"
    ),
    "an error whose prototype is gone": any_of(
        "throw Object.setPrototypeOf(new Error('x'), null)", Outcome("failed", "Error")
    ),
    "an error with a Proxy as prototype": any_of(
        f"throw Object.setPrototypeOf(new Error('x'), new Proxy({{}}, {TRAPS}))", Outcome("failed", "Error")
    ),
    "a chain of causes": throws(
        "Error",
        "let e = new Error('x'); for (let i = 0; i < 1e4; i++) e = new Error('x', { cause: e }); throw e",
        heap_mb=64,
    ),
    "a cycle of causes": throws(
        "Error", "const e = new Error('x'); e.cause = new Error('y', { cause: e }); throw e"
    ),
    "an AggregateError of much": throws(
        "AggregateError",
        "throw new AggregateError(Array.from({ length: 1e4 }, () => new Error('x')))",
        heap_mb=64,
    ),
    "an AggregateError of itself": throws(
        "AggregateError", "const e = new AggregateError([]); e.errors = [e, e, e]; throw e"
    ),
    "a SuppressedError of SuppressedErrors": throws(
        "SuppressedError",
        "let e = null; for (let i = 0; i < 1e3; i++) e = new SuppressedError(e, e); throw e",
    ),
    "a DOMException with getters": any_of(
        "const e = new DOMException('x', 'DataCloneError'); Object.defineProperty(e, 'name', { get() { for (;;); } }); throw e",
        Outcome("failed", "Error"),
        Outcome("failed", "DOMException"),
    ),
    "a name with newlines": throws(
        "Evil\nHTTP/1.1 200 OK\r\n\r\n",
        "const e = new Error('a\\r\\nb'); e.name = 'Evil\\nHTTP/1.1 200 OK\\r\\n\\r\\n'; throw e",
    ),
    "a rejection that is a Proxy": completes(f"Promise.reject(new Proxy({{}}, {TRAPS})); 1"),
    "a rejection with a getter": completes(
        "Promise.reject({ get message() { for (;;); }, get stack() { for (;;); } }); 1"
    ),
    "a result of many nodes": completes("Array.from({ length: 3e5 }, () => [{}])", heap_mb=128),
    "a result that is wide and deep": completes(
        "const f = (n) => n ? Array.from({ length: 20 }, () => f(n - 1)) : 'leaf'; f(4)", heap_mb=128
    ),
    "a result of keys only": completes(
        "Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => ['k'.repeat(100) + i, undefined]))",
        heap_mb=128,
    ),
    "a result of many symbols": completes(
        "const o = {}; for (let i = 0; i < 1e5; i++) o[Symbol(i)] = i; o", heap_mb=128
    ),
    "a Map deep in Maps": completes(
        "let m = new Map(); for (let i = 0; i < 1e5; i++) m = new Map([[m, m]]); m", heap_mb=128
    ),
    "a cycle through everything": completes(
        "const m = new Map(), s = new Set([m]), a = [m, s]; m.set(a, s).set(s, { m, a, get x() { for (;;); } }); a.self = a; a"
    ),
    "a result of one string in many places": completes(
        "const s = 'x'.repeat(6e4); Array.from({ length: 100 }, () => s)"
    ),
    "a typed array of much": completes("new Float64Array(2 ** 22)"),
    "a detached buffer": completes(
        "const b = new ArrayBuffer(8), v = [new Uint8Array(b), new DataView(b), b]; b.transfer(); v"
    ),
    "a buffer that has shrunk": completes(
        "const b = new ArrayBuffer(64, { maxByteLength: 64 }), v = [new Uint8Array(b, 32), new DataView(b, 32)]; b.resize(1); v"
    ),
    "an iterator that is used up by looking": gives(
        "1", "const i = new Map([[1, 2]]).keys(); console.log(i); i.next().value"
    ),
    "arguments": completes(
        "(function () { Object.defineProperty(arguments, 0, { get() { for (;;); } }); return arguments })(1)"
    ),
    "a class with hostile statics": completes(
        "class A { static get name() { for (;;); } static [Symbol.hasInstance]() { for (;;); } } [A, new A()]"
    ),
    "a module namespace": completes("[Reflect, Math, JSON, Intl, WebAssembly, Atomics, globalThis]"),
    "private fields and accessors": completes(
        "class A { #a = 1; get #b() { for (;;); } static #c() { for (;;); } } new A()"
    ),
    "a generator that is running": throws("TypeError", "const g = (function* () { g.next() })(); g.next()"),
    "raw JSON": completes("JSON.rawJSON('1e999999')"),
    "numbers beyond JSON": gives("[ Infinity, -Infinity, NaN, -0 ]", "[1 / 0, -1 / 0, NaN, -0]"),
    "a date beyond dates": gives("Invalid Date", "new Date(NaN)"),
}
