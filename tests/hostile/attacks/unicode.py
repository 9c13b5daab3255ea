"""Text that is odd: in code, names, keys, results, errors and the console."""

from __future__ import annotations

from attacks.script import Script, completes, gives, throws, unparsable

SCRIPTS: dict[str, Script] = {
    "a lone surrogate as a result": completes("'\\ud800'"),
    "lone surrogates in keys": completes("({ '\\udc00': '\\ud800', a: ['\\udfff\\ud800'] })"),
    "a lone surrogate thrown": throws("Uncaught", "throw '\\ud800'"),
    "a lone surrogate in a message": throws("Error", "throw new Error('\\ud800'.repeat(1000))"),
    "a lone surrogate in a name": throws("\ufffd", "const e = new Error('x'); e.name = '\\ud800'; throw e"),
    "a lone surrogate as a description": completes("Symbol('\\ud800')"),
    "a lone surrogate in a class name": completes("new ({ ['\\ud800']: class { } })['\\ud800']()"),
    "a lone surrogate in a property's name": completes("globalThis['\\udbff'] = 1; globalThis"),
    "surrogates halved by a cut": completes("'😀'.repeat(1e5)"),
    "surrogates halved by a cut, from the other side": completes("'x' + '😀'.repeat(1e5)"),
    "a console line halved by a cut": completes(
        "console.log('x' + '😀'.repeat(2 ** 19)); console.log('€'.repeat(2 ** 20))"
    ),
    "NUL in code": unparsable("let a\0 = 1"),
    "NUL in a string": gives("'a\\x00b'", "'a\0b'"),
    "NUL in a name": throws("a\0b", "const e = new Error('\\0'); e.name = 'a\\0b'; throw e"),
    "a BOM": gives("1", "\ufeff1", is_whole=True),
    "many BOMs": gives("1", "\ufeff" * 1000 + "1", is_whole=True),
    "line separators": gives("2", "1\u20282\u2029", is_whole=True),
    "line separators in strings": gives("'\u2028\u2029'", "'\u2028\u2029'"),
    "carriage returns": gives("3", "1\r2\r\n3\r", is_whole=True),
    "bidi overrides": gives("'\u202e\u2066x\u2069'", "'\u202e\u2066x\u2069'"),
    "bidi overrides in code": gives("1", "/*\u202e } \u2066if (admin)\u2069 \u2066 begin */ 1"),
    "ANSI escapes": gives(r"'\x1B[2J\x1B]0;owned\x07\x9B31m'", "'\\x1b[2J\\x1b]0;owned\\x07\\x9b31m'"),
    "ANSI escapes in a name": throws(
        "\x1b[31mError", "const e = new Error('\\x1b[0m'); e.name = '\\x1b[31mError'; throw e"
    ),
    "ANSI escapes in a key": completes("({ '\\x1b[2J': 1, ['\\u009b1A']: 2 })"),
    "combining marks": completes("'Z' + '\\u0301'.repeat(1e5)"),
    "emoji of many parts": completes("'👩‍👩‍👧‍👦'.repeat(1e4)"),
    "homoglyphs": gives("2", "var аdmin = 1, admin = 2; admin"),
    "homoglyphs as keys": completes("({ a: 1, а: 2, ａ: 3, 𝐚: 4 })"),
    "escapes in names": gives("1", "var \\u0061\\u{62} = 1; ab"),
    "a name of a quarter of a megabyte": completes(f"var {'é' * 250_000} = 1; globalThis"),
    "invisible names": gives("1", "var \u3164 = 1; \u3164"),
    "a zero width joiner in a name": gives("3", "var a\u200d = 1, a\u200c = 2; a\u200d + a\u200c"),
    "noncharacters": completes("'\\uffff\\ufffe' + String.fromCodePoint(0x10ffff, 0x1fffe)"),
    "private use": completes("'\\ue000'.repeat(100) + '\\u{f0000}'"),
    "all of the controls": completes("String.fromCharCode(...Array.from({ length: 160 }, (_, i) => i))"),
    "percent signs": throws(
        "%s%n%(x)s",
        "const e = new Error('%s %d %(asctime)s {0} {x!r} $HOME `id`'); e.name = '%s%n%(x)s'; throw e",
    ),
    "quotes": throws(
        "';--\"", 'const e = new Error("\'; DROP TABLE events; --"); e.name = "\';--\\""; throw e'
    ),
    "markup": throws(
        "<script>",
        "const e = new Error('</script><img src=x onerror=alert(1)>'); e.name = '<script>'; throw e",
    ),
    "an input of odd text": gives(
        "[ 1, '\\u2028', 2 ]".replace("\\u2028", "\u2028"),
        "[input.key.length, Object.keys(input)[1], input['\\u2028'].length]",
        input=r'{"key": "\ufffd", "\u2028": "\u0000\u001b"}',
    ),
}
