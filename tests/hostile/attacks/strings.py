"""Strings that are too long, or too many."""

from __future__ import annotations

from attacks.script import Script, completes, endless, gives, greedy, throws

SCRIPTS: dict[str, Script] = {
    "many": greedy("let s = ['x'.repeat(2 ** 20)]; for (;;) s.push(s[0] + s.length + '')"),
    "many flat ones": greedy(
        "const s = []; for (let i = 0; ; i++) s.push(JSON.stringify('x'.repeat(1000) + i))"
    ),
    "concatenated by doubling": throws("RangeError", "let s = 'x'; for (;;) s += s"),
    "doubling, caught": gives(
        "'RangeError'", "let s = 'x', told; try { for (;;) s += s } catch (e) { told = e.name } told"
    ),
    "doubling, flattened": greedy("let s = 'x'; for (;;) { s += s; s.charCodeAt(0); /y/.test(s) }"),
    "repeat": greedy("'x'.repeat(2 ** 29 - 24).split('')"),
    "repeat over the limit": throws("RangeError", "'x'.repeat(2 ** 30)"),
    "repeat for ever": throws("RangeError", "'x'.repeat(Infinity)"),
    "padStart": greedy("const s = []; for (;;) s.push('x'.padStart(2 ** 22, 'yz') + '')", heap_mb=16),
    "padEnd over the limit": throws("RangeError", "'x'.padEnd(2 ** 31)"),
    "a template": throws("RangeError", "const s = 'x'.repeat(2 ** 28); `${s}${s}${s}`"),
    "join": throws("RangeError", "new Array(2 ** 25).join('x'.repeat(2 ** 10))"),
    "join of itself": greedy("let a = ['x'.repeat(1000)]; for (;;) a = [a.join(), a.join(), ...a]"),
    "concat": throws("RangeError", "const s = 'x'.repeat(2 ** 28); ''.concat(s, s, s)"),
    "replaceAll": throws("RangeError", "'x'.repeat(2 ** 20).replaceAll('x', 'y'.repeat(2 ** 10))"),
    "replace with what was before": throws("RangeError", "'x'.repeat(2 ** 16).replace(/x/g, '$`')"),
    "split to characters": greedy("'x'.repeat(2 ** 24).split('')"),
    "spread": greedy("[...'x'.repeat(2 ** 24)]"),
    "JSON.stringify of one that doubles": greedy(
        "let s = '\"\\\\'.repeat(2 ** 20); for (;;) s = JSON.stringify(s)", is_slow=True
    ),
    "encodeURIComponent": greedy(
        "let s = '%€'.repeat(2 ** 20); for (;;) s = encodeURIComponent(s)", is_slow=True
    ),
    "escape": greedy("let s = '\\u1234'.repeat(2 ** 20); for (;;) s = escape(s)", is_slow=True),
    "normalize": greedy("'\\ufdfa'.repeat(2 ** 22).normalize('NFKD')"),
    "toUpperCase that grows": greedy("'\\u0390'.repeat(2 ** 23).toUpperCase()"),
    "String.raw": endless("String.raw({ raw: { length: 2 ** 53 - 1 } })"),
    "fromCharCode with many arguments": gives(
        "100000", "String.fromCharCode(...new Array(1e5).fill(65)).length"
    ),
    "slices that keep their parents": greedy(
        "const s = []; for (let i = 0; ; i++) s.push(('x'.repeat(2 ** 16) + i).slice(5))"
    ),
    "internalized": greedy(
        "const o = {}; for (let i = 0; ; i++) { o['k'.repeat(500) + i]; Symbol.for('q'.repeat(500) + i) }",
        is_slow=True,
    ),
    "a rope of many pieces that is compared": gives(
        "true",
        "let s = ''; for (let i = 0; i < 3e5; i++) s = 'a' + s + 'b'; s === s.slice(0, 3e5) + s.slice(3e5)",
    ),
    "a long result": completes("'x'.repeat(2 ** 24)"),
    "toString with a radix": gives("1076", "(5e-324).toString(2).length"),
    "toFixed over its limit": throws("RangeError", "(1).toFixed(101)"),
    "at wild places": gives("''", "'abc'.substring(NaN, -Infinity) + 'abc'.slice(2 ** 53, -(2 ** 53))"),
    "localeCompare of long ones": gives(
        "-1", "const s = 'é'.repeat(2 ** 22); s.localeCompare(s + 'a', 'fr', { sensitivity: 'base' })"
    ),
    "isWellFormed of much": gives("false", "('x'.repeat(2 ** 22) + '\\ud800').isWellFormed()"),
}
