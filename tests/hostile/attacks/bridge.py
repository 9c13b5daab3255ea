"""Attempts to reach what serves the session: host objects, internal scripts, clocks, other realms."""

from __future__ import annotations

from attacks.script import Outcome, Script, any_of, completes, gives, throws, unparsable

LANGUAGE = [
    "AggregateError",
    "Array",
    "ArrayBuffer",
    "AsyncDisposableStack",
    "Atomics",
    "BigInt",
    "BigInt64Array",
    "BigUint64Array",
    "Boolean",
    "DataView",
    "Date",
    "DisposableStack",
    "Error",
    "EvalError",
    "FinalizationRegistry",
    "Float16Array",
    "Float32Array",
    "Float64Array",
    "Function",
    "Infinity",
    "Int16Array",
    "Int32Array",
    "Int8Array",
    "Intl",
    "Iterator",
    "JSON",
    "Map",
    "Math",
    "NaN",
    "Number",
    "Object",
    "Promise",
    "Proxy",
    "RangeError",
    "ReferenceError",
    "Reflect",
    "RegExp",
    "Set",
    "String",
    "SuppressedError",
    "Symbol",
    "SyntaxError",
    "Temporal",
    "TypeError",
    "URIError",
    "Uint16Array",
    "Uint32Array",
    "Uint8Array",
    "Uint8ClampedArray",
    "WeakMap",
    "WeakRef",
    "WeakSet",
    "WebAssembly",
    "decodeURI",
    "decodeURIComponent",
    "encodeURI",
    "encodeURIComponent",
    "escape",
    "eval",
    "globalThis",
    "isFinite",
    "isNaN",
    "parseFloat",
    "parseInt",
    "undefined",
    "unescape",
]
ADDED = [
    "AbortController",
    "AbortSignal",
    "Blob",
    "Crypto",
    "CustomEvent",
    "DOMException",
    "Event",
    "EventTarget",
    "File",
    "Performance",
    "PerformanceEntry",
    "PerformanceMark",
    "PerformanceMeasure",
    "QuotaExceededError",
    "SubtleCrypto",
    "TextDecoder",
    "TextEncoder",
    "URL",
    "URLSearchParams",
    "atob",
    "btoa",
    "clearImmediate",
    "clearInterval",
    "clearTimeout",
    "console",
    "crypto",
    "performance",
    "queueMicrotask",
    "reportError",
    "setImmediate",
    "setInterval",
    "setTimeout",
    "structuredClone",
]
"""What docs/environment.md lists."""

# walks all that can be reached from `roots`, by properties, accessors and prototypes: `all`
WALK = """
const all = [], seen = new Set(), walk = (v) => {
  const stack = [v];
  while (stack.length) {
    const o = stack.pop();
    if (o === null || (typeof o !== 'object' && typeof o !== 'function') || seen.has(o)) continue;
    seen.add(o); all.push(o); stack.push(Object.getPrototypeOf(o));
    for (const d of Object.values(Object.getOwnPropertyDescriptors(o))) stack.push(d.value, d.get, d.set);
    for (const s of Object.getOwnPropertySymbols(o)) { const d = Object.getOwnPropertyDescriptor(o, s); stack.push(d.value, d.get, d.set) }
  }
};
walk(globalThis); walk([].values()); walk(new Map().values()); for (const f of [function* () { }, async function* () { }, async () => 0]) walk(Object.getPrototypeOf(f));
walk(new Error('x')); walk(crypto); walk(new AbortController()); walk(new URL('http://a/')); walk(performance.mark('m'));
"""

SCRIPTS: dict[str, Script] = {
    "globals that nobody has listed": gives(
        "[]",
        f"const listed = new Set({[*LANGUAGE, *ADDED, 'kept', 'next']}); Reflect.ownKeys(globalThis).filter((key) => !listed.has(key)).map(String)",
    ),
    "listed globals that are not there": gives(
        "[]", f"{[*LANGUAGE, *ADDED]}.filter((key) => !Object.hasOwn(globalThis, key))"
    ),
    "what other engines have": gives(
        "[]",
        """['process', 'require', 'module', 'exports', 'Buffer', 'global', 'window', 'self', 'Deno', 'Bun', 'os', 'std', 'print',
        'load', 'read', 'readline', 'quit', 'gc', 'd8', 'Worker', 'SharedArrayBuffer', 'fetch', 'XMLHttpRequest', 'WebSocket',
        'document', 'location', 'navigator', 'localStorage', 'importScripts', 'ShadowRealm', 'Realm', 'AsyncIterator',
        '__dirname', '__filename', '_mini_racer', 'internalBinding', '__proto', 'debug', 'inspect', 'native', 'base']
        .filter((name) => { try { return (0, eval)(`typeof ${name}`) !== 'undefined' } catch { return true } })""",
    ),
    "a function of ours within reach": gives(
        "[]",
        WALK
        + """const ours = ['inputHidden', 'overdue', 'settle', 'rejected', 'finish', 'formatStack', 'control', 'native',
          'seedRandom', 'addBackground', 'fireNext', 'nextDue', 'describeError', 'libraries', 'exotics', 'emit'];
        all.flatMap((o) => ours.filter((name) => Object.hasOwn(o, name)))""",
        heap_mb=64,
    ),
    "a source of ours": gives(
        "[]",
        WALK
        + """all.filter((o) => typeof o === 'function' && !/\\{ \\[native code\\] \\}$/.test(Function.prototype.toString.call(o))
          && o !== walk).map((o) => o.name).filter((name) => name !== 'next')""",
        heap_mb=64,
    ),
    "another realm": gives(
        "1",
        WALK
        + "new Set(all.filter((o) => typeof o === 'function').map((o) => o.constructor.constructor)).size",
        heap_mb=64,
    ),
    "another global object": gives(
        "true",
        "[console.log, setTimeout, structuredClone, URL, Blob, crypto.getRandomValues].every((f) => f.constructor('return this')() === globalThis)",
    ),
    "constructors of constructors": gives(
        "'object undefined'",
        "console.log.constructor.constructor('return `${typeof globalThis} ${typeof process}`')()",
    ),
    "a clone that comes from elsewhere": gives(
        "true",
        "structuredClone({ a: [] }).a.constructor === Array && structuredClone(new Error('x')) instanceof Error",
    ),
    "an input that comes from elsewhere": gives(
        "true",
        "input.constructor === Object && input.a.constructor.constructor === Function",
        input='{"a": []}',
    ),
    "errors that come from elsewhere": gives(
        "true",
        """const caught = (f) => { try { f() } catch (e) { return e } };
        [() => null.x, () => setTimeout(), () => new URL('x'), () => atob('*'), () => structuredClone(() => 0), () => crypto.getRandomValues(1)]
          .every((f) => { const e = caught(f); return e instanceof Error && e.constructor.constructor === Function })""",
    ),
    "callers": gives("[ null, null ]", "function f() { return [f.caller, arguments.callee.caller] } f()"),
    "callers of a callback": gives(
        "true",
        """const found = []; function f() { found.push(f.caller, arguments.callee.caller) }
        await new Promise((done) => { setTimeout(function g() { found.push(g.caller, arguments.callee.caller); done() }) });
        queueMicrotask(f); await 1; new EventTarget().addEventListener('x', f); [1].forEach(f);
        const t = new EventTarget(); t.addEventListener('x', f); t.dispatchEvent(new Event('x'));
        found.every((one) => one === null || one === undefined)""",
    ),
    "functions of call sites": gives(
        "true",
        """const found = [];
        Error.prepareStackTrace = (e, sites) => sites.map((s) => [s.getFunction(), s.getThis(), s.getFileName(), s.getEvalOrigin?.()]);
        const ask = () => found.push(...(new Error().stack ?? []));
        [1].forEach(ask); setTimeout(ask); await new Promise((done) => setTimeout(done)); queueMicrotask(ask); await 1;
        const t = new EventTarget(); t.addEventListener('x', ask); t.dispatchEvent(new Event('x'));
        ({ get then() { ask(); } }); await { then(f) { ask(); f() } };
        new AbortController().signal.addEventListener('abort', ask);
        found.flat().every((one) => one === undefined || one === null || typeof one === 'string' || typeof one === 'number'
          || one === globalThis || one === t || (typeof one === 'function' && (one === ask || !/native/.test(String(one)) || one === Array.prototype.forEach))
          || typeof one === 'object')""",
    ),
    "scripts in stacks": gives(
        "[]",
        """const lines = [], ask = () => lines.push(...new Error().stack.split('\\n').slice(1));
        Error.stackTraceLimit = 100;
        [1].forEach(ask); setTimeout(ask); await new Promise((done) => setTimeout(done)); queueMicrotask(ask); await 1;
        const t = new EventTarget(); t.addEventListener('x', ask); t.dispatchEvent(new Event('x'));
        for (const f of [() => setTimeout(), () => new URL('x'), () => structuredClone(() => 0), () => atob('*'), () => new TextDecoder('x')])
          try { f() } catch (e) { lines.push(...e.stack.split('\\n').filter((l) => l.startsWith('    at'))) }
        lines.filter((line) => !/exec-2\\.js|<anonymous>|Array\\.forEach/.test(line))""",
    ),
    "the engine's frames in an async stack": gives(
        "true",
        """async function f() { await 1; throw new Error('x') } let s; try { await f() } catch (e) { s = e.stack }
        s.split('\\n').slice(1).every((line) => line.includes('exec-2.js'))""",
    ),
    "natives": unparsable("%GetOptimizationStatus(() => 0)"),
    "dynamic import": any_of(
        "await import('fs')", Outcome("failed", "TypeError"), Outcome("failed", "Error")
    ),
    "dynamic import of data": any_of(
        "await import('data:text/javascript,export default 1')",
        Outcome("failed", "TypeError"),
        Outcome("failed", "Error"),
    ),
    "dynamic import of one that converts": any_of(
        "await import({ toString() { throw 'mine' } })",
        Outcome("failed", "Uncaught"),
        Outcome("failed", "TypeError"),
        Outcome("failed", "Error"),
    ),
    "dynamic import that nobody awaits": completes("import('x'); import(''); 1"),
    "import in eval": throws("SyntaxError", "eval('import fs from \"fs\"')"),
    "the clock of Intl": gives(
        "true",
        "const f = new Intl.DateTimeFormat('en', { dateStyle: 'full', timeStyle: 'full' }); f.format() === f.format(Date.now()) && f.format(undefined) === f.format(new Date())",
    ),
    "the clock in all its forms": gives(
        "true",
        """const now = Date.now(), near = (t) => Math.abs(t - now) <= 60_000;
        [+new Date(), Date.parse(Date()), +new Date.prototype.constructor(), +Reflect.construct(Date, []), Temporal.Now.instant().epochMilliseconds,
          performance.timeOrigin + performance.now(), new Event('x').timeStamp + performance.timeOrigin, new File([], 'x').lastModified].every(near)""",
    ),
    "a clock that runs while nobody lets it": gives(
        "true",
        "const a = performance.now(); for (let i = 0; i < 1e6; i++); const b = performance.now(); b >= a && b - a < 60_000 && Number.isInteger(Math.round(b * 10))",
    ),
    "a clock of high resolution": gives(
        "true",
        "let all = true; for (let i = 0; i < 1000; i++) { const t = performance.now() * 10; all &&= Math.abs(t - Math.round(t)) < 1e-6 } all",
    ),
    "the zone of the machine": gives(
        "'UTC en-US'",
        "const { timeZone, locale } = Intl.DateTimeFormat().resolvedOptions(); `${timeZone} ${locale}`",
    ),
    "waiting": throws("TypeError", "Atomics.wait(new Int32Array(4), 0, 0, 1000)"),
    "waiting asynchronously": throws("TypeError", "Atomics.waitAsync(new Int32Array(4), 0, 0, 1000)"),
    "shared memory": gives(
        "'undefined'",
        "typeof new WebAssembly.Memory({ initial: 1, maximum: 1 }).buffer.constructor.SharedArrayBuffer",
    ),
    "garbage that tells": gives(
        "0",
        "let told = 0; const r = new FinalizationRegistry(() => told++); for (let i = 0; i < 1e5; i++) r.register({}, i); await new Promise((f) => setTimeout(f, 20)); told",
        heap_mb=64,
    ),
    "a WeakRef that tells": gives(
        "true",
        "const w = new WeakRef({ a: 1 }); for (let i = 0; i < 1e6; i++) new Array(10); await 1; w.deref() !== undefined",
    ),
    "tampering with input": gives(
        "1",
        "input = null; delete globalThis.input; Object.defineProperty(globalThis, 'input', { get() { return 1 }, configurable: true }); input",
        input='{"a": 1}',
    ),
    "an input with __proto__": gives(
        "'undefined true'",
        "`${typeof {}.polluted} ${Object.hasOwn(input, '__proto__')}`",
        input='{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}',
    ),
    "the methods of the console": gives(
        "true",
        "Object.values(console).every((f) => { try { new f() } catch { return f.constructor === Function && !('prototype' in f) } })",
    ),
    "the console's prototype": gives(
        "true",
        "Object.getPrototypeOf(console) === Object.prototype && Object.getPrototypeOf(console.log) === Function.prototype",
    ),
    "private state of others": throws(
        "TypeError",
        "Object.getOwnPropertyDescriptor(URL.prototype, 'href').get.call({ __proto__: URL.prototype })",
    ),
    "state in symbols": gives(
        "[]",
        "[new URL('http://a/'), new Blob([]), new AbortController(), new Event('x'), new EventTarget(), new TextDecoder()].flatMap((o) => Object.getOwnPropertySymbols(o)).map(String)",
    ),
    "state in properties": gives(
        "'isTrusted'",
        "[new URL('http://a/'), new Blob([]), new AbortController(), new Event('x'), new EventTarget(), new TextDecoder()].flatMap((o) => Object.getOwnPropertyNames(o)).join()",
    ),
    "an event that says it is trusted": throws(
        "TypeError", "'use strict'; Object.defineProperty(new Event('x'), 'isTrusted', { value: true })"
    ),
    "structuredClone of what is ours": throws("DataCloneError", "structuredClone(new URL('http://a/'))"),
    "arguments of a callback": gives(
        "0", "await new Promise((done) => setTimeout((...args) => done(args.length)))"
    ),
    "this of a callback": gives(
        "true",
        "await new Promise((done) => setTimeout(function () { 'use strict'; done(this === undefined || this === globalThis) }))",
    ),
    "what a reviver sees": gives(
        "true",
        "let all = true; JSON.parse('{\"a\":[1]}', function (k, v, c) { all &&= Object.getPrototypeOf(this) === Object.prototype || Array.isArray(this); return v }); all",
    ),
    "a getter for each name that we might read": gives(
        "[]",
        """const read = [], { defineProperty } = Object;
        for (const name of ['Promise', 'Error', 'JSON', 'Object', 'Array', 'Map', 'String', 'Reflect', 'Proxy', 'require', 'process'])
          defineProperty(globalThis, name, { get() { read.push(name) }, configurable: true });
        console.log({}, [1], 'x'); setTimeout(() => 0); read""",
    ),
    "counters of the heap": gives(
        "'undefined undefined'", "`${typeof performance.memory} ${typeof performance.eventLoopUtilization}`"
    ),
    "randomness that can be told": completes(
        "Math.random = () => 4; crypto.getRandomValues(new Uint8Array(4)).length"
    ),
    "a then of a promise that is shown": gives(
        "1", "console.log(Object.assign(Promise.resolve(1), { then() { for (;;); } })); 1"
    ),
}
