"""Loops that never end."""

from __future__ import annotations

from attacks.script import Script, endless

SCRIPTS: dict[str, Script] = {
    "for": endless("for (;;);"),
    "while": endless("while (true) kept.touched = !kept.touched"),
    "do": endless("let i = 0; do i = i * 3 | 1; while (i)"),
    "labels": endless("outer: for (;;) for (;;) continue outer"),
    "an operand": endless("1 + (() => { for (;;); })() + 1"),
    "try and finally": endless("(() => { for (;;) try { return } finally { continue } })()"),
    "catch everything": endless("for (;;) try { for (;;) null.x } catch { }"),
    "a generator": endless("for (const x of (function* () { for (;;) yield })());"),
    "an iterator helper": endless(
        "Iterator.from({ next: () => ({ done: false }) }).filter(() => false).next()"
    ),
    "a getter": endless("({ get x() { for (;;); } }).x"),
    "a setter": endless("({ set x(_) { for (;;); } }).x = 1"),
    "a Proxy trap": endless("new Proxy({}, { get() { for (;;); } }).x"),
    "has in a with": endless("with (new Proxy({}, { has() { for (;;); } })) x"),
    "valueOf": endless("+{ valueOf() { for (;;); } }"),
    "a constructor": endless("new (class { constructor() { for (;;); } })"),
    "a static block": endless("class A { static { for (;;); } }"),
    "a tagged template": endless("(() => { for (;;); })`text`"),
    "instanceof": endless("1 instanceof { [Symbol.hasInstance]() { for (;;); } }"),
    "a default parameter": endless("(function (x = (() => { for (;;); })()) {})()"),
    "a sort that never agrees": endless(
        "for (;;) Array.from({ length: 1e5 }, Math.random).sort(() => Math.random() - 0.5)"
    ),
    "a linear search in a huge hole": endless("Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)"),
    "forEach over nothing": endless("Array.prototype.forEach.call({ length: 2 ** 53 - 1 }, () => 0)"),
    "reverse of nothing": endless("Array.prototype.reverse.call({ length: 2 ** 53 - 1 })"),
    "fill of nothing": endless(
        "Array.prototype.fill.call({ length: 2 ** 53 - 1 }, 1, 2 ** 52, 2 ** 53 - 1)", heap_mb=512
    ),
    "a lookup through a long chain": endless(
        "let o = null; for (let i = 0; i < 20_000; i++) o = Object.create(o); for (;;) o.missing"
    ),
    "reading the clock": endless("const begun = Date.now(); while (Date.now() - begun < 1e9);"),
    "eval in a loop": endless("for (let i = 0; ; i++) eval(`var x${i % 7} = ${i}`)"),
    "new Function in a loop": endless("for (;;) new Function('return 1')()"),
    "dates to strings": endless("for (;;) new Date(8.64e15).toLocaleString('ar-EG', { dateStyle: 'full' })"),
    "structuredClone": endless("for (;;) structuredClone({ a: [1, { b: new Map([[1, 2]]) }] })"),
    "digests": endless("for (;;) await crypto.subtle.digest('SHA-512', new Uint8Array(2 ** 20))"),
    "random values": endless("const b = new Uint8Array(65536); for (;;) crypto.getRandomValues(b)"),
    "parsing URLs": endless("for (;;) new URL('http://user:pass@example.org:8080/a/../b?c=d#e')"),
    "base64": endless("const s = 'x'.repeat(2 ** 20); for (;;) atob(btoa(s))"),
    "decoding text": endless(
        "const b = new Uint8Array(2 ** 20).fill(0xff); for (;;) new TextDecoder().decode(b)"
    ),
    "collation": endless("const s = 'ä'.repeat(1e4); for (;;) s.localeCompare(`${s}z`, 'de')"),
    "normalization": endless("const s = '\\u1e9b\\u0323'.repeat(1e5); for (;;) s.normalize('NFKD')"),
    "deleting properties": endless(
        "const o = {}; for (let i = 0; ; i++) { o[i % 99] = i; delete o[(i + 1) % 99] }"
    ),
    "Atomics.pause": endless("for (;;) Atomics.pause()"),
}
