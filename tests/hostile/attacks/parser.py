"""Source code that is hard on the parser and the compilers."""

from __future__ import annotations

from attacks.script import (
    OUT_OF_MEMORY,
    OVERFLOW,
    TIMED_OUT,
    Outcome,
    Script,
    any_of,
    deep,
    endless,
    gives,
    throws,
    unparsable,
)

N = 50_000
NESTED = {
    "parentheses": ("(", "1", ")"),
    "arrays": ("[", "", "]"),
    "objects": ("{a:", "1", "}"),
    "blocks": ("{", "", "}"),
    "functions": ("()=>{", "", "}"),
    "arrow bodies": ("()=>", "1", ""),
    "templates": ("`${", "1", "}`"),
    "classes": ("class A extends ", "null", "{}"),
    "conditionals": ("1?", "1", ":1"),
    "unary operators": ("!", "1", ""),
    "calls": ("f(", "1", ")"),
    "destructuring": ("[", "a", "]"),
    "ifs": ("if(1)", ";", ""),
    "labels": ("a:", ";", ""),
    "awaits": ("await ", "1", ""),
    "news": ("new ", "f", ""),
}


SCRIPTS: dict[str, Script] = {
    **{
        f"nested {name}": any_of(
            f"{opening * N}{inside}{closing * N}", OVERFLOW, Outcome("failed", "SyntaxError"), is_whole=True
        )
        for name, (opening, inside, closing) in NESTED.items()
    },
    "brackets that never close": deep("[" * 1_000_000, is_whole=True),
    "braces that never close": any_of(
        "{" * 1_000_000, OVERFLOW, Outcome("failed", "SyntaxError"), is_whole=True
    ),
    "one token of a megabyte": throws("ReferenceError", "x" * 1_000_000),
    "one string of a megabyte": gives("1000000", f"'{'x' * 1_000_000}'.length"),
    "one comment of a megabyte": gives("1", f"/*{'*' * 1_000_000}*/ 1"),
    "a megabyte of semicolons": gives("1", ";" * 1_000_000 + "1"),
    "a megabyte of spaces and newlines": gives("1", "\n \r\n\t" * 200_000 + "1"),
    "a sum of many": gives("400001", "1" + "+1" * 400_000, heap_mb=128),
    "a sum of many strings": any_of("''" + "+'x'" * 200_000, OVERFLOW, Outcome("completed"), heap_mb=128),
    "a chain of calls": any_of(
        "let f = () => f; f" + "()" * 400_000, OVERFLOW, Outcome("completed"), heap_mb=128
    ),
    "a chain of members": any_of(
        "let o = {}; o" + "?.a" * 300_000, OVERFLOW, Outcome("completed"), heap_mb=128
    ),
    "commas": any_of("1" + ",1" * 400_000, OVERFLOW, Outcome("completed"), heap_mb=128),
    "a huge switch": any_of(
        "switch (1) {" + "".join(f"case {i}:" for i in range(80_000)) + "}",
        Outcome("completed"),
        OUT_OF_MEMORY,
        heap_mb=128,
    ),
    "a huge array": any_of("[" + "1," * 450_000 + "].length", Outcome("completed"), heap_mb=128),
    "many functions": any_of("function f(){}" * 60_000, Outcome("completed"), OUT_OF_MEMORY, heap_mb=128),
    "many variables": any_of(
        "var " + ",".join(f"v{i}" for i in range(100_000)), Outcome("completed"), OUT_OF_MEMORY, heap_mb=128
    ),
    "many lexical variables": any_of(
        "let " + ",".join(f"v{i}" for i in range(100_000)), Outcome("completed"), OUT_OF_MEMORY, heap_mb=128
    ),
    "many parameters": unparsable(f"(({','.join(f'p{i}' for i in range(100_000))}) => 0)()"),
    "many arguments": unparsable("let f = () => 0; f(" + "1," * 400_000 + ")"),
    "many else": any_of(
        "if (0) ; " + "else if (0) ; " * 60_000, OVERFLOW, Outcome("completed"), is_whole=True
    ),
    "a class with many members": any_of(
        "(class { " + "a(){} " * 100_000 + "}).name", Outcome("completed"), OUT_OF_MEMORY, heap_mb=128
    ),
    "a regexp literal that is wrong": unparsable(f"/{'(' * 1000}/"),
    "a template of many parts": any_of(
        "`" + "${1}" * 200_000 + "`.length", Outcome("completed"), OVERFLOW, heap_mb=128
    ),
    "eval of eval": deep("const e = () => eval('e()'); e()"),
    "an eval that doubles": any_of(
        "let s = '1'; for (;;) { s += ';' + s; eval(s) }",
        OUT_OF_MEMORY,
        TIMED_OUT,
        seconds=2.0,
        heap_mb=32,
        is_slow=True,
    ),
    "a Function of many parameters": any_of(
        "new Function(...Array.from({ length: 5e4 }, (_, i) => `p${i}`), '')",
        Outcome("completed"),
        OVERFLOW,
        Outcome("failed", "SyntaxError"),
    ),
    "a Function that breaks out": throws("SyntaxError", "new Function('/*', '*/){ globalThis.escaped = 1')"),
    "a Function that comments its end out": gives("1", "new Function('a = 1 //', 'return a')()"),
    "eval of a megabyte, again and again": endless(
        "const s = ';'.repeat(1e6); for (let i = 0; ; i++) eval(s + i)", heap_mb=64
    ),
    "closing the wrapper": unparsable("}); globalThis.escaped = 1; ({"),
    "closing the wrapper of an expression": unparsable("1)); globalThis.escaped = 1; ((2"),
    "an object that is no object": unparsable("{ a: 1 }}; ({"),
    "a comment without an end": unparsable("1 /* never"),
    "an HTML comment": gives("1", "1\n<!-- x\n--> y", is_whole=True),
    "a hashbang": gives("1", "#!/bin/sh\n1", is_whole=True),
    "return": unparsable("return 1"),
    "import": unparsable("import fs from 'fs'"),
    "export": unparsable("export default 1"),
    "import.meta": unparsable("import.meta"),
    "await as a name": unparsable("var await = 1"),
    "natives syntax": unparsable("%DebugPrint(1)"),
    "with": gives("2", "with ({ a: 2 }) a"),
    "octal and its kin": unparsable("'use strict'; (() => { 'use strict'; 010 })()"),
    "a source map": throws(
        "Error",
        "throw new Error('x')\n//# sourceMappingURL=http://localhost:1/\n//# sourceURL=file:///etc/passwd",
    ),
    "lines without an end": throws("Error", "\u2028" * 50_000 + "throw new Error('\u2029')"),
    "an error far to the right": throws("Error", f"/*{'x' * 900_000}*/ throw new Error('x')"),
    "an error far down": throws("Error", "\n" * 900_000 + "throw new Error('x')"),
    "a syntax error far to the right": unparsable(f"/*{'x' * 900_000}*/ let let"),
    "nothing": gives("undefined", "", is_whole=True),
    "only a comment": gives("undefined", "// nothing", is_whole=True),
    "code that optimizes for long": any_of(
        "function f(x) { "
        + "".join(f"x = x * {i} + (x > {i} ? 1 : x | 0);" for i in range(5_000))
        + " return x } let t = 0; for (let i = 0; i < 2e3; i++) t += f(i); 'fine'",
        Outcome("completed"),
        TIMED_OUT,
        OUT_OF_MEMORY,
        heap_mb=128,
        is_slow=True,
    ),
}
