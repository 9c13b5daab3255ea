"""More objects than the heap has room for.

Those of Intl and Temporal are mostly outside of it, and the libraries behind them do not survive that an allocation
fails: where they are the first to notice, the worker crashes.
"""

from __future__ import annotations

from attacks.script import CRASHED, OUT_OF_MEMORY, Script, any_of, gives, greedy

SCRIPTS: dict[str, Script] = {
    "arrays": greedy("const a = []; for (;;) a.push(new Array(1000).fill(a))"),
    "one array": greedy("const a = []; for (let i = 0; ; i++) a.push({ i })"),
    "numbers": greedy("const a = []; for (let i = 0; ; i++) a.push(i + 0.5)", is_slow=True),
    "a filled array": greedy("new Array(1e8).fill(0.5)", is_slow=True),
    "an array of the greatest length": greedy("Array.from({ length: 2 ** 32 - 1 })", is_slow=True),
    "a sparse array made dense": greedy("const a = []; a.length = 2 ** 32 - 1; a.fill(1)", is_slow=True),
    "objects with many keys": greedy("const o = {}; for (let i = 0; ; i++) o[`key${i}`] = i", is_slow=True),
    "symbols": greedy("const o = {}; for (;;) o[Symbol('s')] = 1"),
    "registered symbols": greedy("for (let i = 0; ; i++) Symbol.for(`s${i}`)", is_slow=True),
    "a linked list": greedy("let l = null; for (;;) l = { l }"),
    "closures": greedy("const f = []; for (let i = 0; ; i++) f.push(() => i)", is_slow=True),
    "functions": greedy(
        "const f = []; for (let i = 0; ; i++) f.push(new Function(`return ${i}`))", is_slow=True
    ),
    "classes": greedy(
        "const k = []; for (;;) k.push(class { static #x = 1; a = 1; get b() { return 1 } })", is_slow=True
    ),
    "generators": greedy(
        "const g = []; function* f() { yield } for (;;) { const i = f(); i.next(); g.push(i) }"
    ),
    "pending promises": greedy("const p = []; for (;;) p.push(new Promise(() => 0))"),
    "rejected promises": greedy(
        "const p = []; for (;;) p.push(Promise.reject(new Error('no')))", is_slow=True
    ),
    "a chain of promises": greedy("let p = Promise.resolve(); for (;;) p = p.then(() => p)"),
    "Promise.all of itself": greedy(
        "let p = [1]; for (;;) p = [Promise.all(p), Promise.race(p), ...p.slice(0, 1000)]", is_slow=True
    ),
    "errors with stacks": greedy(
        "Error.stackTraceLimit = 200; const e = []; for (;;) e.push(new Error('x'))", is_slow=True
    ),
    "proxies": greedy("let p = {}; for (;;) p = new Proxy(p, p)"),
    "bound functions": greedy("let f = () => 0; for (;;) f = f.bind(null, 1, 2, 3)"),
    "dates": greedy("const d = []; for (;;) d.push(new Date())"),
    "dictionaries": greedy(
        "const d = []; for (;;) d.push(Object.fromEntries(d.slice(-50).entries()))", is_slow=True
    ),
    "globals": greedy("for (let i = 0; ; i++) globalThis[`g${i}`] = [i]", is_slow=True),
    "lexical variables": greedy("for (let i = 0; ; i++) (0, eval)(`var v${i} = ${i}`)", is_slow=True),
    "live in a getter": greedy("({ get x() { const a = []; for (;;) a.push([a]) } }).x"),
    "in a microtask": greedy("await null; const a = []; for (;;) a.push([a])"),
    "in a timer": greedy("setTimeout(() => { const a = []; for (;;) a.push([a]) })"),
    "in an iterator of a spread": greedy("[...(function* () { for (;;) yield {} })()]"),
    "copies of itself": greedy("let a = [1]; for (;;) a = [...a, ...a, a]"),
    "and caught": greedy("const k = []; for (;;) try { k.push(new Array(1e5).fill(0)) } catch {}"),
    "and a finally that goes on": greedy(
        "const k = []; (() => { for (;;) try { for (;;) k.push([k]) } finally { continue } })()", is_slow=True
    ),
    "Intl objects": any_of(
        "const l = []; for (;;) l.push(new Intl.NumberFormat('de'))",
        OUT_OF_MEMORY,
        CRASHED,
        is_slow=True,
    ),
    "Intl.DateTimeFormat objects": any_of(
        "const l = []; for (;;) l.push(new Intl.DateTimeFormat('ja-JP-u-ca-japanese', { dateStyle: 'full' }))",
        OUT_OF_MEMORY,
        CRASHED,
        is_slow=True,
    ),
    "Intl.Segmenter of much text": any_of(
        "const s = 'ab '.repeat(1e6), l = []; for (;;) l.push(new Intl.Segmenter('th', { granularity: 'word' }).segment(s)[Symbol.iterator]())",
        OUT_OF_MEMORY,
        CRASHED,
    ),
    "Intl.Collator objects": any_of(
        "const l = []; for (;;) l.push(new Intl.Collator('zh-u-co-stroke'), new Intl.PluralRules('ar'), new Intl.ListFormat('fr'))",
        OUT_OF_MEMORY,
        CRASHED,
        is_slow=True,
    ),
    "Temporal objects": any_of(
        "const l = []; for (;;) l.push(Temporal.Now.zonedDateTimeISO())", OUT_OF_MEMORY, CRASHED, is_slow=True
    ),
    "garbage": gives("'done'", "for (let i = 0; i < 2e6; i++) ({ i, a: [i] }); 'done'"),
}
