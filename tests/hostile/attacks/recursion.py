"""Recursion without an end, in everything that can call back."""

from __future__ import annotations

from attacks.script import Script, completes, deep, gives, greedy

SCRIPTS: dict[str, Script] = {
    "plain": deep("(function f() { f() })()"),
    "mutual": deep("function a() { b() } function b() { a() } a()"),
    "in arguments": deep("function f(x) { return f(f(x)) } f(1)"),
    "with large frames": deep(
        "function f() { " + "".join(f"let v{i} = {i};" for i in range(500)) + " return f() + v499 } f()"
    ),
    "caught": deep("(function f() { try { f() } catch { } })(); 'fine'"),
    "caught, and told on the console": deep(
        "try { (function f() { f() })() } catch (e) { console.log(e.message) }"
    ),
    "caught deep inside": deep("let n = 0; (function f() { n++; try { f() } catch { } })()"),
    "with a finally": deep("(function f() { try { f() } finally { n = 1 } })(); var n"),
    "a getter": deep("({ get x() { return this.x } }).x"),
    "a setter": deep("({ set x(v) { this.x = v } }).x = 1"),
    "a Proxy of itself": deep("const p = new Proxy({}, { get: (t, k, r) => r[k] }); p.x"),
    "a Proxy as its own prototype": deep(
        "const t = {}, p = new Proxy(t, {}); t.__proto__ = Object.create(p); t.x"
    ),
    "a chain of Proxies": deep(
        "let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); p.x", heap_mb=64
    ),
    "a chain of Proxies that is called": completes(
        "let p = () => 1; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); p()", heap_mb=64
    ),
    "a chain of bound functions": completes(
        "let f = () => 1; for (let i = 0; i < 1e5; i++) f = f.bind(null); f()", heap_mb=64
    ),
    "toString": deep("`${{ toString() { return `${this}` } }}`"),
    "valueOf": deep("+{ valueOf() { return +this } }"),
    "Symbol.toPrimitive": deep("+{ [Symbol.toPrimitive]() { return +this } }"),
    "toJSON": deep("JSON.stringify({ toJSON() { return JSON.stringify(this) } })"),
    "a reviver": deep("JSON.parse('[1]', function f() { return JSON.parse('[1]', f) })"),
    "a replacer": deep("JSON.stringify({}, function f(k, v) { return { v } })"),
    "JSON.parse": deep("JSON.parse('['.repeat(1e5) + ']'.repeat(1e5))"),
    "JSON.parse of objects": deep("JSON.parse('{\"a\":'.repeat(1e5) + '1' + '}'.repeat(1e5))"),
    "a comparator of sort": deep("(function f() { [2, 1].sort(f) })()"),
    "map": deep("(function f() { [1].map(f) })()"),
    "reduce": deep("(function f() { [1, 2].reduce(f) })()"),
    "replace": deep("(function f() { 'x'.replace(/x/, f) })()"),
    "forEach of a Map": deep("(function f() { new Map([[1, 1]]).forEach(f) })()"),
    "Reflect.apply": deep("(function f() { Reflect.apply(f, null, []) })()"),
    "Reflect.construct": deep("(function f() { Reflect.construct(f, []) })()"),
    "call and apply": deep("(function f() { f.call.apply(f, [f]) })()"),
    "a class": deep("class A { constructor() { new A() } } new A()"),
    "a field": deep("class A { a = new A() } new A()"),
    "inheritance": deep(
        "let C = class {}; for (let i = 0; i < 2e4; i++) C = class extends C { constructor() { super() } }; new C()",
        heap_mb=64,
    ),
    "a generator": deep("function* g() { yield* g() } [...g()]"),
    "an async function": deep("async function f() { await f() } f(); 'fine'"),
    "an async function, not awaited": deep("async function f() { f() } f()"),
    "an async generator": deep("async function* g() { yield* g() } for await (const x of g());"),
    "an iterator": deep("const i = { [Symbol.iterator]() { return [...this] } }; [...i]"),
    "instanceof": deep("class A { static [Symbol.hasInstance](x) { return x instanceof A } } 1 instanceof A"),
    "Symbol.species": deep(
        "class A extends Array { static get [Symbol.species]() { return new A().map((x) => x).constructor } } new A(1).map((x) => x)"
    ),
    "eval": deep("(function f() { eval('f()') })()"),
    "new Function": deep("globalThis.f = () => new Function('f()')(); f()"),
    "a tagged template": deep("const f = () => f``; f``"),
    "a default parameter": deep("const f = (a = f()) => a; f()"),
    "flat": deep("let a = []; for (let i = 0; i < 1e5; i++) a = [a]; a.flat(Infinity)", heap_mb=64),
    "toString of nested arrays": deep(
        "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; String(a)", heap_mb=64
    ),
    "structuredClone": completes(
        "let o = {}; for (let i = 0; i < 1e5; i++) o = { o }; structuredClone(o); 'fine'",
        heap_mb=64,
        is_slow=True,
    ),
    "an argument list that is too long": deep("Math.max(...new Array(2e5).fill(1))", heap_mb=64),
    "an argument list that is much too long": deep(
        "Math.max.apply(null, { length: 2 ** 24 })", heap_mb=256, is_slow=True
    ),
    "a listener": deep(
        "const t = new EventTarget(); t.onx = () => t.dispatchEvent(new Event('x')); t.addEventListener('x', t.onx); t.onx()"
    ),
    "abort": deep(
        "let n = 0; (function f() { const c = new AbortController(); c.signal.onabort = f; c.abort() })()"
    ),
    "a promise resolved with itself": gives(
        "'TypeError'", "let r; const p = new Promise((f) => r = f); r(p); await p.catch((e) => e.name)"
    ),
    "a long chain of promises that settles": gives(
        "'fine'",
        "let p = Promise.resolve(); for (let i = 0; i < 1e5; i++) p = p.then(() => 0); await p; 'fine'",
        heap_mb=64,
    ),
    "Error.prepareStackTrace that asks for itself": completes(
        "Error.prepareStackTrace = () => new Error().stack; new Error().stack"
    ),
    "in a timer": deep("setTimeout(function f() { f() }); 'fine'"),
    "in a microtask": deep("queueMicrotask(function f() { f() }); 'fine'"),
    "thenables": greedy(
        "const t = { then(f) { f({ __proto__: this, l: [this.l] }) } }; const k = []; await { then(f) { k.push(new Array(1000).fill(k)); f(this) } }"
    ),
}
