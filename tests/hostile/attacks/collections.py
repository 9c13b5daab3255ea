"""Maps, Sets, WeakMaps and what else grows by keys."""

from __future__ import annotations

from attacks.script import Script, endless, gives, greedy, throws

SCRIPTS: dict[str, Script] = {
    "a Map": greedy("const m = new Map(); for (let i = 0; ; i++) m.set(i, [i])"),
    "a Set": greedy("const s = new Set(); for (let i = 0; ; i++) s.add(i + 0.5)", is_slow=True),
    "a WeakMap": greedy(
        "const w = new WeakMap(), k = []; for (;;) { k.push({}); w.set(k.at(-1), k.slice(-9)) }", is_slow=True
    ),
    "a WeakMap of which nothing is kept": endless(
        "const w = new WeakMap(); for (;;) { const k = {}; w.set(k, [k]) }"
    ),
    "a WeakMap with itself": endless("let w = new WeakMap(); for (;;) w = new WeakMap([[w, w]])"),
    "a WeakSet": greedy(
        "const w = new WeakSet(), k = []; for (;;) { k.push([]); w.add(k.at(-1)) }", is_slow=True
    ),
    "WeakRefs": greedy("const w = []; for (;;) w.push(new WeakRef({}))", is_slow=True),
    "WeakRefs that are dropped": endless("for (;;) new WeakRef(new Array(100).fill(0))"),
    "a FinalizationRegistry": endless(
        "const r = new FinalizationRegistry(() => 0); for (;;) r.register({}, 1)"
    ),
    "grown while iterated": greedy("const m = new Map([[0, 0]]); for (const [k] of m) m.set(k + 1, k)"),
    "a Set grown while iterated": greedy(
        "const s = new Set([0]); s.forEach((v) => s.add(v + 1))", is_slow=True
    ),
    "turned over while iterated": endless(
        "const s = new Set([0]); for (const v of s) { s.delete(v); s.add(v + 1) }"
    ),
    "of Maps of Maps": greedy("let m = new Map(); for (;;) m = new Map([[m, m], [new Map([[m, 1]]), m]])"),
    "keys of one hash": gives(
        "0", "const m = new Map(); for (let i = 0; i < 1e5; i++) m.set(`k${i}`, i); m.clear(); m.size"
    ),
    "groupBy": greedy(
        "Map.groupBy((function* () { for (let i = 0; ; i++) yield i })(), (x) => x)", is_slow=True
    ),
    "Object.groupBy": greedy(
        "Object.groupBy((function* () { for (let i = 0; ; i++) yield i })(), (x) => x)", is_slow=True
    ),
    "Object.fromEntries": greedy(
        "Object.fromEntries((function* () { for (let i = 0; ; i++) yield [`k${i}`, i] })())", is_slow=True
    ),
    "a union of liars": endless(
        "new Set().union({ size: 1, has: () => true, keys: () => ({ next: () => ({ done: false, value: 1 }) }) })"
    ),
    "a Set of negative size": throws("RangeError", "new Set([1]).union({ size: -1, has() {}, keys() {} })"),
    "constructed from an endless one": greedy("new Set((function* () { for (let i = 0; ; i++) yield i })())"),
    "an iterator that throws in return": throws(
        "TypeError",
        "new Map({ [Symbol.iterator]: () => ({ next: () => ({ value: 1 }), return() { throw 'mine' } }) })",
    ),
    "Array.fromAsync": greedy(
        "await Array.fromAsync((async function* () { for (;;) yield {} })())", is_slow=True
    ),
    "URLSearchParams": greedy(
        "const p = new URLSearchParams(); for (let i = 0; ; i++) p.append(`k${i}`, 'v')"
    ),
    "event listeners": endless("const t = new EventTarget(); for (;;) t.addEventListener('x', () => 0)"),
    "abort signals": greedy(
        "const c = new AbortController(); const k = []; for (;;) k.push(AbortSignal.any([c.signal]))",
        is_slow=True,
    ),
    "abort signals that are dropped": endless(
        "const c = new AbortController(); for (;;) AbortSignal.any([c.signal])"
    ),
    "performance entries": throws(
        "RangeError", "for (let i = 0; ; i++) performance.mark('m')", heap_mb=128, is_slow=True
    ),
    "console labels": gives("1000", "for (let i = 0; i < 3_000; i++) console.count(`l${i}`); 1000"),
}
