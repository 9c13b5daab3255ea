"""Data that is nested deeper than anybody meant."""

from __future__ import annotations

from attacks.script import Script, completes, deep, gives, throws

INPUT = "[" * 500 + "]" * 500

SCRIPTS: dict[str, Script] = {
    "arrays": completes("let a = []; for (let i = 0; i < 1e5; i++) a = [a]; a", heap_mb=64),
    "objects": completes("let o = {}; for (let i = 0; i < 1e5; i++) o = { o }; o", heap_mb=64),
    "Maps": completes(
        "let m = new Map(); for (let i = 0; i < 1e4; i++) m = new Map([['m', m]]); m", heap_mb=64
    ),
    "Sets": completes("let s = new Set(); for (let i = 0; i < 1e4; i++) s = new Set([s]); s", heap_mb=64),
    "promises": completes(
        "let p = 1; for (let i = 0; i < 1e4; i++) p = { p: Promise.resolve(p) }; p", heap_mb=64
    ),
    "functions": completes(
        "let f = () => 0; for (let i = 0; i < 1e5; i++) f = Object.assign(() => 0, { f }); f", heap_mb=64
    ),
    "errors": completes(
        "let e = null; for (let i = 0; i < 1e4; i++) e = new Error('x', { cause: e }); e", heap_mb=64
    ),
    "prototypes": completes("let o = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); o", heap_mb=64),
    "classes": completes(
        "let C = class {}; for (let i = 0; i < 5e3; i++) C = class extends C {}; [C, C.prototype]", heap_mb=64
    ),
    "typed arrays in objects": completes(
        "let o = new Uint8Array(1); for (let i = 0; i < 1e4; i++) o = { o, b: new Uint8Array(1) }; o",
        heap_mb=64,
    ),
    "a hundred levels of JSON": completes("let a = 1; for (let i = 0; i < 100; i++) a = [a]; a"),
    "a thousand levels of JSON": completes("JSON.parse('['.repeat(1000) + ']'.repeat(1000))"),
    "a hundred thousand levels of JSON": deep("JSON.parse('['.repeat(1e5) + ']'.repeat(1e5))"),
    "JSON that is written": completes("let a = []; for (let i = 0; i < 1e3; i++) a = [a]; JSON.stringify(a)"),
    "JSON that is written, too deep": completes(
        "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; JSON.stringify(a).length", heap_mb=64
    ),
    "strings": completes("let s = 'x'; for (let i = 0; i < 1e5; i++) s = '(' + s + ')'; s", heap_mb=64),
    "closures": completes(
        "let f = () => 0; for (let i = 0; i < 1e5; i++) { const g = f; f = () => g } f", heap_mb=64
    ),
    "generators": completes(
        "function* g(n) { if (n) yield* g(n - 1); yield n } const i = g(100); i.next(); i"
    ),
    "events": completes(
        "let e = new Event('x'); for (let i = 0; i < 1e3; i++) e = new CustomEvent('x', { detail: e }); e"
    ),
    "blobs": completes("let b = new Blob(['x']); for (let i = 0; i < 1e3; i++) b = new Blob([b]); b"),
    "AbortSignals": completes(
        "let s = new AbortController().signal; for (let i = 0; i < 1e3; i++) s = AbortSignal.any([s]); s"
    ),
    "an abort of many signals": completes(
        "const c = new AbortController(); let s = c.signal; for (let i = 0; i < 1e4; i++) s = AbortSignal.any([s]); c.abort(); s.aborted",
        heap_mb=64,
    ),
    "structuredClone of a cycle": gives(
        "true", "const a = []; a.push(a, { a }); const b = structuredClone(a); b[0] === b && b[1].a === b"
    ),
    "an input of many levels": gives(
        "500", "let n = 0; for (let i = input; i; i = i[0]) n++; n", input=INPUT
    ),
    "queries of many parameters": completes(
        "const p = new URLSearchParams('a[b]'.repeat(1e4) + '&=' .repeat(1e4)); p.size", heap_mb=64
    ),
    "a URL of a hundred thousand steps up": gives(
        "'http://a/'", "new URL('../'.repeat(1e5), 'http://a/b/c').href", heap_mb=64
    ),
    "a URL of a long host": throws(
        "TypeError", "new URL('http://' + 'a.'.repeat(1e5) + '999999')", heap_mb=64
    ),
    "text of a hundred thousand lines": completes(
        "Array.from({ length: 1e5 }, (_, i) => `line ${i}`).join('\\n')", heap_mb=64
    ),
}
