"""Hints, each after an error that a real session gives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from isolates import Session as Isolate

from engine.events import ErrorDetail
from transports.mcp.hints import _HINTS, hint

MakeIsolate = Callable[..., Isolate]

MODULES = "There are no modules here"
TYPESCRIPT = "If this is TypeScript"
PYTHON = "This is JavaScript, not Python"

HINTED = {
    "const fs = require('fs')": MODULES,
    "module.exports = {}": MODULES,
    "import fs from 'fs'": MODULES,
    "import type { A } from 'b'": MODULES,
    "export const a = 1": MODULES,
    "export default 5": MODULES,
    "import.meta.url": MODULES,
    "const m = await import('fs')": MODULES,
    "await fetch('http://x')": "There is no network here",
    "new XMLHttpRequest()": "There is no network here",
    "process.env.HOME": "There is no Node.js here, so no files",
    "fs.readFileSync('x')": "There is no Node.js here, so no files",
    "Buffer.from('x')": "use Uint8Array",
    "document.title": "There is no browser here",
    "window.location": "There is no browser here",
    "new Worker('x')": "There is one thread here",
    "return 5": "leave `return` out",
    "const a = 1\n---\nlet a = 2": "Declare it once in a call",
    "let a = 1\n---\nvar a = 2": "Declare it once in a call",
    "class A {}\n---\nfunction A() {}": "Declare it once in a call",
    "const a = 1; const a = 2": "Declare it once in a call",
    "const a = 1\n---\na = 2": "declare it again with `const`",
    "function f() { await g() }": "Make the function around it `async`",
    "[1].forEach(x => { await x })": "Make the function around it `async`",
    "const a = () => await 1": "`await` needs an `async` function",
    "const a = x => await f(x)": "`await` needs an `async` function",
    "throw 'x'": "throw new Error(…)",
    "_.map([1], (x) => x)": MODULES,
    "new Headers()": "There is no network here",
    "process.stdout.write('x')": "print with console.log",
    "global.x = 1": "globalThis",
    "self.x": "globalThis",
    "new ReadableStream()": "There are no streams here",
    "new TextDecoderStream()": "There are no streams here",
    "requestAnimationFrame(() => 1)": "Use setTimeout",
    "crypto.createHash('sha256')": "There are digests only",
    "await crypto.subtle.importKey('raw', new Uint8Array(16), 'AES-GCM', false, ['encrypt'])": "There are digests only",
    "input.rows": "It is the argument `input`",
    "const x: number = 1": TYPESCRIPT,
    "let a: undefined = 1": TYPESCRIPT,
    "let a: null | string = null": TYPESCRIPT,
    "let a: { b: number } = { b: 1 }": TYPESCRIPT,
    "let a: () => void = () => {}": TYPESCRIPT,
    "let a: [number, string] = [1, 'a']": TYPESCRIPT,
    "const { a }: { a: number } = { a: 1 }": TYPESCRIPT,
    "const f = (a: 'x' | 'y', b: number) => a": TYPESCRIPT,
    "for (const x of [1] as const) ;": TYPESCRIPT,
    "console.log(x as any)": TYPESCRIPT,
    "const s = <string>foo": TYPESCRIPT,
    "const f = <T>(x) => x": TYPESCRIPT,
    "let s: string = 'a'": TYPESCRIPT,
    "function f(a: string): number { return 1 }": TYPESCRIPT,
    "const f = (a?: string) => a": TYPESCRIPT,
    "const f = (a: Foo[], b: Map<string, number>) => a": TYPESCRIPT,
    "interface A { b: string }": TYPESCRIPT,
    "enum E { A, B }": TYPESCRIPT,
    "type A = string": TYPESCRIPT,
    "declare const x": TYPESCRIPT,
    "abstract class A {}": TYPESCRIPT,
    "const a = 1 as number": TYPESCRIPT,
    "const a = f() as Foo": TYPESCRIPT,
    "let x = y satisfies Z": TYPESCRIPT,
    "const m = new Map<string, number>()": TYPESCRIPT,
    "function f<T>(a: T) { return a }": TYPESCRIPT,
    "let v = a!.b": TYPESCRIPT,
    "class A { private x = 1 }": TYPESCRIPT,
    "class A {\n  x: number = 1\n}": TYPESCRIPT,
    "class A { private #x = 1 }": TYPESCRIPT,
    "class A { x: number = 1 }": TYPESCRIPT,
    "class A { x = 1; y: string }": TYPESCRIPT,
    "class A { x?: number }": TYPESCRIPT,
    "class A {\n  x?: Foo\n}": TYPESCRIPT,
    "class A {\n  x!: Foo\n}": TYPESCRIPT,
    "class A implements B {}": TYPESCRIPT,
    "class A extends Map implements B {}": TYPESCRIPT,
    "const enum E { A }": TYPESCRIPT,
    "function f(a?: string) {}": TYPESCRIPT,
    "function f({ a }?: Foo) {}": TYPESCRIPT,
    "function f(this: Foo) {}": TYPESCRIPT,
    "<div>hello</div>": "no HTML or JSX",
    "const x = <div>hello</div>": "no HTML or JSX",
    "<!DOCTYPE html>": "no HTML or JSX",
    "print('x')": PYTHON,
    "x = [1]; len(x)": PYTHON,
    "None": PYTHON,
    "x = True": PYTHON,
    "import os": PYTHON,
    "from os import path": PYTHON,
    "def f(x):\n  return x": PYTHON,
    "if x == 1:\n  y = 2": PYTHON,
    "for x in range(3):\n  y": PYTHON,
    "x = [i for i in [1, 2]]": PYTHON,
    "lambda x: x": PYTHON,
    'f"abc {x}"': PYTHON,
    "# a comment": PYTHON,
    "a and b": "use &&",
    "const a = “hello”": "straight quotes",
    "```js\n1 + 1\n```": "Markdown fence",
    "'it's'": "A quote inside a string ends it",
    'f("say "hi"")': "A quote inside a string ends it",
    "let a = 'abc": "A string must end on its line",
    'let a = "abc\ndef"': "A string must end on its line",
    "let x = {a: 1": "not closed",
    "if (true) {": "not closed",
    "console.log('a'": "not closed",
    "JSON.parse({})": "It is an object already",
    "JSON.parse(\"{'a': 1}\")": "no JSON",
    "JSON.parse('<html>')": "no JSON",
    "JSON.parse('a\\nb')": "no JSON",
    "JSON.parse(undefined)": "was given undefined",
    "JSON.parse('')": "empty or cut",
    "JSON.parse('[1,')": "empty or cut",
    "JSON.parse('{}\\n{}')": "JSON Lines",
    "f('a' 'b')": "a comma is missing",
    "`abc": "template string is not closed",
    "1 – 2": "- for minus",
    "\u200b1": "plain characters",
}

UNHINTED = [
    "str.length",
    "Hello, world!",
    "const x;",
    "null.id",
    "throw new Error('Not supported')",
    "throw new TypeError('require is not defined')",
    "counter + 1",
    "({ a: 1, b: })",
    "const o = { a: b, c: d e }",
    "let x = 1 2",
    "x ? y : z w",
    "class A { x: 5 }",
    "f(this, , 1)",
]


def thrown(session: Isolate, code: str) -> ErrorDetail:
    *earlier, last = code.split("\n---\n")
    for each in earlier:
        session.run(each)
    error = session.run(last).outcome.error
    assert error is not None
    return error


@pytest.mark.parametrize("code", HINTED)
def test_the_errors_that_models_make_most_get_a_hint(Session: MakeIsolate, code: str) -> None:  # noqa: N803
    error = thrown(Session(), code)
    assert HINTED[code] in str(hint(error)), error


@pytest.mark.parametrize("code", UNHINTED)
def test_other_errors_get_none(Session: MakeIsolate, code: str) -> None:  # noqa: N803
    assert hint(thrown(Session(), code)) is None


MISLED = {
    "const schema = { name: String, age: Number": "not closed",
    "console.log('the same as before'": "a comma is missing",
    "console.log('don’t'": "a comma is missing",
    "const a = 'don’t": "A string must end on its line",
    "const text = `a public interface": "not closed",
}


@pytest.mark.parametrize("code", MISLED)
def test_what_only_looks_like_another_language_gets_the_advice_that_helps(
    Session: MakeIsolate,  # noqa: N803
    code: str,
) -> None:
    assert MISLED[code] in str(hint(thrown(Session(), code)))


def test_a_stack_overflow_gets_the_advice_to_loop() -> None:
    error = ErrorDetail(name="StackOverflow", message="the call stack overflowed", undone=True)
    assert "Use a loop" in str(hint(error))


def test_each_hint_is_given_by_some_test() -> None:
    given = [*HINTED.values(), "Use a loop"]
    assert [row.advice for row in _HINTS if not any(part in row.advice for part in given)] == []
