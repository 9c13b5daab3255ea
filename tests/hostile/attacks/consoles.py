"""Console output: too much of it, or of what must not be touched."""

from __future__ import annotations

from attacks.script import Script, completes, endless, gives

SCRIPTS: dict[str, Script] = {
    "a flood": endless("for (;;) console.log('x'.repeat(1000))"),
    "a flood of nothing": endless("for (;;) console.log()"),
    "a flood of short lines": endless("for (let i = 0; ; i++) console.error(i)"),
    "one huge line": gives("undefined", "console.log('x'.repeat(2 ** 24))", heap_mb=128),
    "huge lines": gives(
        "undefined", "for (let i = 0; i < 100; i++) console.log('ä'.repeat(2 ** 20))", is_slow=True
    ),
    "a line of newlines": gives("undefined", "console.log('\\n'.repeat(2 ** 22))"),
    "a huge substitution": gives(
        "undefined", "console.log('%s'.repeat(1e5), ...new Array(1e4).fill('%s%o'.repeat(100)))"
    ),
    "a huge object": gives(
        "undefined",
        "console.log(Array.from({ length: 1e5 }, (_, i) => ({ i, t: 'x'.repeat(99) })))",
        heap_mb=128,
    ),
    "a deep object": gives(
        "undefined",
        "let o = {}; for (let i = 0; i < 1e5; i++) o = { o }; console.log(o); console.dir(o, { depth: 50 })",
        heap_mb=64,
    ),
    "a deep object shown whole": completes(
        "let o = {}; for (let i = 0; i < 1e5; i++) o = { o }; console.dir(o, { depth: Infinity })", heap_mb=64
    ),
    "a cycle": gives(
        "undefined",
        "const o = { a: [] }; o.a.push(o, new Map([[o, o]]), new Set([o])); console.log(o); console.dir(o, { depth: null })",
    ),
    "cycles everywhere": completes(
        "const all = Array.from({ length: 200 }, () => ({})); for (const a of all) for (const [i, b] of all.entries()) a[i] = b; console.dir(all, { depth: 4 })"
    ),
    "an own inspection": gives(
        "undefined",
        "console.log({ [Symbol.for('nodejs.util.inspect.custom')]() { for (;;); }, inspect() { for (;;); }, toString() { for (;;); } })",
    ),
    "getters": gives(
        "undefined", "console.log({ get a() { for (;;); } }, { get [Symbol.toStringTag]() { for (;;); } })"
    ),
    "a Proxy with all traps": gives(
        "undefined",
        "console.log(new Proxy({}, new Proxy({}, { get() { for (;;); } }))); console.table(new Proxy([], { get() { for (;;); } }))",
    ),
    "a class with a hostile name": gives(
        "undefined",
        "console.log(class { static get name() { for (;;); } }, new (class { static name = 'x'.repeat(2 ** 20) }))",
    ),
    "an error with hostile parts": gives(
        "undefined",
        """const e = new Error('m'); for (const k of ['name', 'message', 'stack', 'cause'])
        Object.defineProperty(e, k, { get() { for (;;); } }); console.log(e); console.error(e); console.trace(e)""",
    ),
    "prepareStackTrace that never ends": gives(
        "undefined",
        "Error.prepareStackTrace = () => { for (;;); }; console.trace('x'); console.log(new Error('x'))",
    ),
    "a table of much": gives(
        "undefined",
        "console.table(Array.from({ length: 1e4 }, () => Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`c${i}`, i]))))",
        heap_mb=256,
        is_slow=True,
    ),
    "a table of getters": gives("undefined", "console.table([{ get a() { for (;;); } }], ['a'])"),
    "groups without an end": gives(
        "undefined", "for (let i = 0; i < 1e5; i++) console.group(); console.log('deep\\n'.repeat(1000))"
    ),
    "labels that convert": gives(
        "undefined", "console.count({ toString() { for (;;); } }); console.time({ toString() { for (;;); } })"
    ),
    "methods called on other objects": gives(
        "undefined", "for (const f of Object.values(console)) f.call(null)"
    ),
    "methods as constructors": gives(
        "'TypeError'", "let t; try { new console.log() } catch (e) { t = e.name } t"
    ),
    "a replaced console": gives(
        "3", "globalThis.console = null; setTimeout(() => { throw 1 }); Promise.reject(2); 3"
    ),
    "lone surrogates": gives(
        "undefined", "console.log('\\ud800', { '\\udfff': '\\udc00' }); console.table([['\\ud800']])"
    ),
    "NUL and escapes": gives("undefined", "console.log('a\\0b\\x1b[2J\\r\\x9b31m\\u202e\\u2028')"),
    "combining marks": gives(
        "undefined",
        "console.log('Z' + '\\u0301'.repeat(1e6)); console.table([['a' + '\\u0301'.repeat(1e4)]])",
    ),
    "all planes": gives(
        "undefined",
        "for (let p = 0; p < 17; p++) console.log(String.fromCodePoint(...Array.from({ length: 6e4 }, (_, i) => p * 65536 + i)))",
        heap_mb=64,
    ),
    "typed arrays": gives(
        "undefined", "console.dir(new Uint8Array(2 ** 26), { maxArrayLength: null })", heap_mb=64
    ),
    "a huge sparse array": gives(
        "undefined",
        "const a = []; a[2 ** 32 - 2] = 1; console.log(a); console.dir(a, { maxArrayLength: null }); console.table(a)",
    ),
    "many keys": gives(
        "undefined",
        "const o = {}; for (let i = 0; i < 3e5; i++) o[`k${i}`] = i; console.log(o); console.dir(o, { maxArrayLength: null, sorted: true })",
        heap_mb=128,
        is_slow=True,
    ),
    "options of no end": gives(
        "undefined",
        "console.dir([[1]], { depth: Infinity, breakLength: Infinity, compact: 2 ** 53, maxStringLength: null, showHidden: true })",
    ),
}
