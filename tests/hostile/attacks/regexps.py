"""Regular expressions that take for ever, or are too large."""

from __future__ import annotations

from attacks.script import (
    ENDLESS_SECONDS,
    OUT_OF_MEMORY,
    OVERFLOW,
    TIMED_OUT,
    Outcome,
    Script,
    any_of,
    deep,
    endless,
    gives,
    greedy,
    throws,
)

SCRIPTS: dict[str, Script] = {
    "nested quantifiers": endless("/(a+)+$/.test('a'.repeat(40) + 'b')"),
    "alternatives that overlap": endless("/^(a|a)*$/.test('a'.repeat(40) + 'b')"),
    "back-references": endless(r"/^(a+)\1*\1*(\1+)*$/.test('a'.repeat(60) + 'b')"),
    "lookbehind": endless("/(?<=^(a+)+)b/.test('c' + 'a'.repeat(40) + 'b')"),
    "lookahead": endless("/^(?=(a+)+$)a/.test('a'.repeat(40) + 'b')"),
    "sets of code points": endless(r"/^(?:\p{L}|\p{Ll})*$/v.test('ä'.repeat(40) + '!')"),
    "ignoring case": endless("/(ſ+)+$/iu.test('S'.repeat(40) + '!')"),
    "in replace": endless("('a'.repeat(40) + 'b').replaceAll(/(a+)+c/g, '')"),
    "in split": endless("('a'.repeat(40) + 'b').split(/(a+)+c/)"),
    "in a microtask": endless("await null; /(a+)+$/.test('a'.repeat(40) + 'b')"),
    "in the name of a Symbol method": endless(
        "'x'[Symbol.replace]; /x/[Symbol.match]({ toString() { for (;;); } })"
    ),
    "an exec that never ends": greedy(
        "'abc'.replace({ __proto__: /b/g, exec: () => ({ index: 0, length: 1, 0: '' }), flags: 'g' }, '')"
    ),
    "lastIndex that runs away": gives(
        "[ null, 0 ]", "const r = /a/y; r.lastIndex = 2 ** 53 - 1; [r.exec('a'), r.lastIndex]"
    ),
    "deeply nested": any_of(
        "new RegExp('('.repeat(1e5) + ')'.repeat(1e5))", Outcome("failed", "SyntaxError"), OVERFLOW
    ),
    "deeply nested, caught": any_of(
        "try { new RegExp('(?:'.repeat(5e5) + ')'.repeat(5e5)) } catch {}", OVERFLOW, OUT_OF_MEMORY
    ),
    "nested but for one": throws("SyntaxError", "new RegExp('('.repeat(1000))"),
    "too many groups": throws("SyntaxError", "new RegExp('()'.repeat(2 ** 16))"),
    "many named groups": gives(
        "9000",
        "Object.keys(new RegExp(Array.from({ length: 9_000 }, (_, i) => `(?<g${i}>)`).join('')).exec('').groups).length",
        is_slow=True,
    ),
    "a huge class": gives(
        "false",
        "new RegExp(`[${Array.from({ length: 2e4 }, (_, i) => `\\\\u{${(i * 17).toString(16)}}`).join('')}]`, 'u').test('\\u{fffff}')",
    ),
    "a huge alternative": gives(
        "true",
        "new RegExp(Array.from({ length: 5e4 }, (_, i) => `w${i}x`).join('|')).test('w49999x')",
        is_slow=True,
    ),
    "quantifiers that multiply": any_of(
        "/((((a{1,99}){1,99}){1,99}){1,99}){1,99}/.test('b')",
        Outcome("failed", "SyntaxError"),
        Outcome("completed"),
        OVERFLOW,
    ),
    "a quantifier of 2**53": gives("false", "/a{9007199254740993}/.test('aaa')"),
    "a program that is too large": throws(
        "SyntaxError", "new RegExp(`(?:${'a'.repeat(1e6)}){1000}`).test('a')"
    ),
    "many different ones": greedy(
        "const r = []; for (let i = 0; ; i++) { r.push(new RegExp(`(a${i}|b)*c`)); r.at(-1).test('abc') }",
        is_slow=True,
    ),
    "all matches of much": greedy("[...'a'.repeat(1e7).matchAll(/a/g)]"),
    "groups of much": greedy(
        "const m = []; for (;;) m.push(/(.*)(.*)(.*)/s.exec('x'.repeat(1000) + m.length))", is_slow=True
    ),
    "more than memory for what it may try again": any_of(
        "/(?:.|\\n)*?\\d/.test('x'.repeat(2 ** 22))", TIMED_OUT, OVERFLOW, seconds=ENDLESS_SECONDS
    ),
    "captures deep in a recursion": deep("/^(?:(a)|(b)|(c))*$/.test('abc'.repeat(1e6))"),
    "legacy properties": gives(
        "'undefined'", "/(.)/.exec('\\ud800'); RegExp.$1.constructor.constructor('return typeof process')()"
    ),
    "recompiled while it matches": gives(
        "'done'",
        "const r = /a/g; 'aaaa'.replace(r, () => { r.compile('b'.repeat(1000) + '(x)', 'y'); return '' }); 'done'",
    ),
    "flags that lie": throws("TypeError", "'a'.matchAll({ __proto__: RegExp.prototype, flags: 'g' })"),
}
