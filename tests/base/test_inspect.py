"""Values become the text that Node's util.inspect gives, and huge ones in little time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from isolates import Session as Isolate

MakeIsolate = Callable[..., Isolate]


def lines(*texts: str) -> str:
    """A text of several lines."""
    return "\n".join(texts)


# What Node 20 answers to util.inspect of these expressions.

PRIMITIVES = {
    "1": "1",
    "-0": "-0",
    "1e21": "1e+21",
    "NaN": "NaN",
    "-5n": "-5n",
    "'a'": "'a'",
    '"it\'s"': '"it\'s"',
    "'a\"b\\'c'": "`a\"b'c`",
    "'a\"b\\'c`d'": "'a\"b\\'c`d'",
    "'a\"b\\'c${d'": "'a\"b\\'c${d'",
    "'\\n\\t\\0\\x1b\\x7f\\x9f\\\\'": "'\\n\\t\\x00\\x1B\\x7F\\x9F\\\\'",
    "'😀'": "'😀'",
    "'\\ud83d x'": "'\\ud83d x'",
    "null": "null",
    "undefined": "undefined",
    "true": "true",
    "Symbol('x')": "Symbol(x)",
    "Symbol()": "Symbol()",
    "Symbol.iterator": "Symbol(Symbol.iterator)",
}

STRINGS = {
    "'x'.repeat(90).length": "90",
    "'line one is here\\nline two'.repeat(3)": "'line one is here\\nline twoline one is here\\nline twoline one is here\\nline two'",
    "({ s: 'line one is here\\nline two'.repeat(3) })": lines(
        "{",
        "  s: 'line one is here\\n' +",
        "    'line twoline one is here\\n' +",
        "    'line twoline one is here\\n' +",
        "    'line two'",
        "}",
    ),
    "['short\\nstring']": "[ 'short\\nstring' ]",
    "[['x'.repeat(75)]]": lines(
        "[",
        "  [",
        "    'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'",
        "  ]",
        "]",
    ),
    "('ab'.repeat(5002)).slice(9990)": "'ababababababab'",
}

OBJECTS = {
    "({})": "{}",
    "({ a: 1, b: 'x', c: [1, 2, 3] })": "{ a: 1, b: 'x', c: [ 1, 2, 3 ] }",
    "({ 'a-b': 1, '1x': 2, 3: 4 })": "{ '3': 4, 'a-b': 1, '1x': 2 }",
    "({ ['__proto__']: 1 })": "{ ['__proto__']: 1 }",
    "({ [Symbol('s')]: 1, [Symbol()]: 2 })": "{ [Symbol(s)]: 1, [Symbol()]: 2 }",
    "({ a: undefined, b: null })": "{ a: undefined, b: null }",
    "({ a: { b: { c: {} } } })": "{ a: { b: { c: {} } } }",
    "({ a: { b: { c: { d: 1 } } } })": "{ a: { b: { c: [Object] } } }",
    "({ aaaaaaaaaaaaaaaaaaaa: 1, bbbbbbbbbbbbbbbbbbbbbb: 2, cccccccccccccccccccccc: 3, dddddddd: 4 })": lines(
        "{",
        "  aaaaaaaaaaaaaaaaaaaa: 1,",
        "  bbbbbbbbbbbbbbbbbbbbbb: 2,",
        "  cccccccccccccccccccccc: 3,",
        "  dddddddd: 4",
        "}",
    ),
    "({ get g() { return 1 }, set s(v) {}, get gs() { return 1 }, set gs(v) {} })": "{ g: [Getter], s: [Setter], gs: [Getter/Setter] }",
    "({ users: [{ name: 'Ann', age: 30, email: 'ann@example.com' }, { name: 'Bob', age: 25, email: 'bob@example.com' }], total: 2 })": lines(
        "{",
        "  users: [",
        "    { name: 'Ann', age: 30, email: 'ann@example.com' },",
        "    { name: 'Bob', age: 25, email: 'bob@example.com' }",
        "  ],",
        "  total: 2",
        "}",
    ),
    "Object.defineProperty({}, 'hidden', { value: 1 })": "{}",
    "Object.create({ inherited: 1 })": "{}",
    "({ constructor: 'x', toString: 1 })": "{ constructor: 'x', toString: 1 }",
    "new Proxy({ a: 1 }, {})": "{ a: 1 }",
    "[new Proxy(new Proxy([1, 2], {}), {})]": "[ [ 1, 2 ] ]",
    "({ p: new Proxy(function f() {}, {}) })": "{ p: [Function: f] }",
    "(() => { const r = Proxy.revocable({}, {}); r.revoke(); return r.proxy })()": "<Revoked Proxy>",
}

ARRAYS = {
    "[]": "[]",
    "[[], [[]], [[[1]]], [[[[1]]]]]": "[ [], [ [] ], [ [ [Array] ] ], [ [ [Array] ] ] ]",
    "Array.from({ length: 7 }, (_, i) => i)": lines(
        "[",
        "  0, 1, 2, 3,",
        "  4, 5, 6",
        "]",
    ),
    "Array.from({ length: 27 }, (_, i) => i * i)": lines(
        "[",
        "    0,   1,   4,   9,  16,  25,  36,",
        "   49,  64,  81, 100, 121, 144, 169,",
        "  196, 225, 256, 289, 324, 361, 400,",
        "  441, 484, 529, 576, 625, 676",
        "]",
    ),
    "Array.from({ length: 101 }, (_, i) => i)": lines(
        "[",
        "   0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11,",
        "  12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,",
        "  24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35,",
        "  36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,",
        "  48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59,",
        "  60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71,",
        "  72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83,",
        "  84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95,",
        "  96, 97, 98, 99,",
        "  ... 1 more item",
        "]",
    ),
    "Array.from({ length: 20 }, (_, i) => 'item' + i)": lines(
        "[",
        "  'item0',  'item1',  'item2',",
        "  'item3',  'item4',  'item5',",
        "  'item6',  'item7',  'item8',",
        "  'item9',  'item10', 'item11',",
        "  'item12', 'item13', 'item14',",
        "  'item15', 'item16', 'item17',",
        "  'item18', 'item19'",
        "]",
    ),
    "Array.from({ length: 10 }, (_, i) => 'x'.repeat(i))": lines(
        "[",
        "  '',         'x',",
        "  'xx',       'xxx',",
        "  'xxxx',     'xxxxx',",
        "  'xxxxxx',   'xxxxxxx',",
        "  'xxxxxxxx', 'xxxxxxxxx'",
        "]",
    ),
    "Array.from({ length: 8 }, (_, i) => ({ i }))": lines(
        "[",
        "  { i: 0 }, { i: 1 },",
        "  { i: 2 }, { i: 3 },",
        "  { i: 4 }, { i: 5 },",
        "  { i: 6 }, { i: 7 }",
        "]",
    ),
    "[1.5, 2.25, -3, 100000, 5, 6, 7, 8]": lines(
        "[",
        "     1.5, 2.25, -3,",
        "  100000,    5,  6,",
        "       7,    8",
        "]",
    ),
    "['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'b', 'c', 'd', 'e', 'f', 'g', 'h']": lines(
        "[",
        "  'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',",
        "  'b',",
        "  'c',",
        "  'd',",
        "  'e',",
        "  'f',",
        "  'g',",
        "  'h'",
        "]",
    ),
    "[[1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3]]": lines(
        "[",
        "  [",
        "    1, 2, 3, 4,",
        "    5, 6, 7, 8",
        "  ],",
        "  [ 1, 2, 3 ]",
        "]",
    ),
    "[, 1, , , 2, , ]": "[ <1 empty item>, 1, <2 empty items>, 2, <1 empty item> ]",
    "[1, 2, 3, 4, 5, 6, 7, , 9]": "[ 1, 2, 3, 4, 5, 6, 7, <1 empty item>, 9 ]",
    "new Array(1000000)": "[ <1000000 empty items> ]",
    "(() => { const a = []; a[4e9] = 1; return a })()": "[ <4000000000 empty items>, 1 ]",
    "Object.assign([1, , 3], { x: 1, '-1': 2 })": "[ 1, <1 empty item>, 3, x: 1, '-1': 2 ]",
    "Array.from({ length: 3 }, (_, i) => ({ id: i, name: 'name ' + i, tags: ['a', 'b'], nested: { x: i, y: [i] } }))": lines(
        "[",
        "  {",
        "    id: 0,",
        "    name: 'name 0',",
        "    tags: [ 'a', 'b' ],",
        "    nested: { x: 0, y: [Array] }",
        "  },",
        "  {",
        "    id: 1,",
        "    name: 'name 1',",
        "    tags: [ 'a', 'b' ],",
        "    nested: { x: 1, y: [Array] }",
        "  },",
        "  {",
        "    id: 2,",
        "    name: 'name 2',",
        "    tags: [ 'a', 'b' ],",
        "    nested: { x: 2, y: [Array] }",
        "  }",
        "]",
    ),
}

CIRCULAR = {
    "(() => { const a = [1]; a.push(a); return a })()": "<ref *1> [ 1, [Circular *1] ]",
    "(() => { const o = { x: {} }; o.self = o; o.x.up = o; return o })()": "<ref *1> { x: { up: [Circular *1] }, self: [Circular *1] }",
    "(() => { const a = { n: 1 }, b = { a }; a.b = b; return [a, b] })()": lines(
        "[",
        "  <ref *1> { n: 1, b: { a: [Circular *1] } },",
        "  <ref *2> { a: <ref *1> { n: 1, b: [Circular *2] } }",
        "]",
    ),
    "(() => { const m = new Map(); m.set('me', m); return m })()": "<ref *1> Map(1) { 'me' => [Circular *1] }",
}

COLLECTIONS = {
    "new Map()": "Map(0) {}",
    "new Map([['a', 1], [{ k: 1 }, new Map([[1, 2]])]])": "Map(2) { 'a' => 1, { k: 1 } => Map(1) { 1 => 2 } }",
    "new Set([1, 'a', { b: 1 }])": "Set(3) { 1, 'a', { b: 1 } }",
    "Object.assign(new Set(), { x: 1 })": "Set(0) { x: 1 }",
    "new Map(Array.from({ length: 102 }, (_, i) => [i, i])).size": "102",
    "new Set(Array.from({ length: 12 }, (_, i) => 'entry number ' + i))": lines(
        "Set(12) {",
        "  'entry number 0',",
        "  'entry number 1',",
        "  'entry number 2',",
        "  'entry number 3',",
        "  'entry number 4',",
        "  'entry number 5',",
        "  'entry number 6',",
        "  'entry number 7',",
        "  'entry number 8',",
        "  'entry number 9',",
        "  'entry number 10',",
        "  'entry number 11'",
        "}",
    ),
    "new Map([['a', 1]]).keys()": "[Map Iterator] { 'a' }",
    "new Set([1, 2]).values()": "[Set Iterator] { 1, 2 }",
    "new WeakMap([[{}, 1]])": "WeakMap { <items unknown> }",
    "new WeakSet()": "WeakSet { <items unknown> }",
    "[1].values()": "Object [Array Iterator] {}",
    "(function* () {})()": "Object [Generator] {}",
    "new (class Registry extends Map { x = 1 })([[1, 2]])": "Registry(1) [Map] { 1 => 2, x: 1 }",
}

FUNCTIONS = {
    "function f() {}; f": "[Function: f]",
    "() => {}": "[Function (anonymous)]",
    "async () => {}": "[AsyncFunction (anonymous)]",
    "(async function a() {})": "[AsyncFunction: a]",
    "(function* g() {})": "[GeneratorFunction: g]",
    "(async function* ag() {})": "[AsyncGeneratorFunction: ag]",
    "(class {})": "[class (anonymous)]",
    "(class A {})": "[class A]",
    "(class A extends Map { static x = 1 })": "[class A extends Map] { x: 1 }",
    "(class extends null {})": "[class (anonymous)]",
    "({ class() {} }).class": "[Function: class]",
    "Object.assign(function f() {}, { a: { b: 1 } })": "[Function: f] { a: { b: 1 } }",
    "Math.max": "[Function: max]",
    "Promise": "[Function: Promise]",
    "Object.setPrototypeOf(function f() {}, null)": "[Function (null prototype): f]",
    "[class A {}, function b() {}, () => {}]": "[ [class A], [Function: b], [Function (anonymous)] ]",
    "(function f() {}).bind()": "[Function: bound f]",
}

BUILTINS = {
    "new Date(0)": "1970-01-01T00:00:00.000Z",
    "new Date(NaN)": "Invalid Date",
    "Object.assign(new Date(0), { x: 1 })": "1970-01-01T00:00:00.000Z { x: 1 }",
    "new (class Day extends Date {})(0)": "Day 1970-01-01T00:00:00.000Z",
    "/a\\/b/dgimsuy": "/a\\/b/dgimsuy",
    "/a/v": "/a/v",
    "Object.assign(/a/, { x: 1 })": "/a/ { x: 1 }",
    "new Number(-0)": "[Number: -0]",
    "Object.assign(new String('abc'), { x: 1 })": "[String: 'abc'] { x: 1 }",
    "new Boolean(false)": "[Boolean: false]",
    "Object(Symbol('a'))": "[Symbol: Symbol(a)]",
    "Object(1n)": "[BigInt: 1n]",
    "new Uint8Array(3)": "Uint8Array(3) [ 0, 0, 0 ]",
    "new Float64Array([1.5, -0, NaN])": "Float64Array(3) [ 1.5, -0, NaN ]",
    "new BigInt64Array(2)": "BigInt64Array(2) [ 0n, 0n ]",
    "new (class F extends Uint8Array {})(2)": "F(2) [Uint8Array] [ 0, 0 ]",
    "new Uint8Array([1, 2, 255]).buffer": "ArrayBuffer { [Uint8Contents]: <01 02 ff>, byteLength: 3 }",
    "new DataView(new ArrayBuffer(4), 1)": lines(
        "DataView {",
        "  byteLength: 3,",
        "  byteOffset: 1,",
        "  buffer: ArrayBuffer { [Uint8Contents]: <00 00 00 00>, byteLength: 4 }",
        "}",
    ),
    "[Promise.resolve({ a: 1 })]": "[ Promise { { a: 1 } } ]",
    "[new Promise(() => {})]": "[ Promise { <pending> } ]",
    "(() => { const p = Promise.reject(3); p.catch(() => {}); return [p] })()": "[ Promise { <rejected> 3 } ]",
    "(function () { return arguments })(1, 2)": "[Arguments] { '0': 1, '1': 2 }",
    "JSON": "Object [JSON] {}",
    "Atomics": "Object [Atomics] {}",
}

CLASSES = {
    "Object.create(null)": "[Object: null prototype] {}",
    "Object.assign(Object.create(null), { a: 1 })": "[Object: null prototype] { a: 1 }",
    "[[[Object.assign(Object.create(null), { a: 1 })]]]": "[ [ [ [Object: null prototype] ] ] ]",
    "new (class Foo {})()": "Foo {}",
    "new (class Foo { #p = 1; q = 2 })()": "Foo { q: 2 }",
    "[[[new (class Foo { a = 1 })()]]]": "[ [ [ [Foo] ] ] ]",
    "new (class Foo extends Array {})(3)": "Foo(3) [ <3 empty items> ]",
    "new (class extends (class B {}) {})()": "B {}",
    "new (function Old() { this.a = 1 })()": "Old { a: 1 }",
    "Object.create(Object.create(null))": "Object <[Object: null prototype] {}> {}",
    "(class A {}).prototype": "{}",
    "Object.prototype": "[Object: null prototype] {}",
    "Object.setPrototypeOf([1], null)": "[Array(1): null prototype] [ 1 ]",
    "Object.setPrototypeOf(new Map([[1, 2]]), null)": "[Map(1): null prototype] { 1 => 2 }",
    "({ [Symbol.toStringTag]: 'T' })": "{ [Symbol(Symbol.toStringTag)]: 'T' }",
    "Object.defineProperty({ a: 1 }, Symbol.toStringTag, { value: 'T' })": "Object [T] { a: 1 }",
    "(() => { class A {} A.prototype[Symbol.toStringTag] = 'T'; return new A() })()": "A [T] {}",
}


# Where this differs from Node on purpose: nothing of the guest's is called or asked.
OWN = {
    "new (class A { get [Symbol.toStringTag]() { return 'T' } })()": "A {}",
    "({ [Symbol.for('nodejs.util.inspect.custom')]: function mine() {} })": (
        "{ [Symbol(nodejs.util.inspect.custom)]: [Function: mine] }"
    ),
    "({ get a() { throw new Error('asked') } })": "{ a: [Getter] }",
}

# What Node 20 does not have.
LATER = {
    "Temporal.PlainDate.from('2020-01-02')": "PlainDate [Temporal.PlainDate] 2020-01-02",
    "[Temporal.Duration.from({ hours: 1 })]": "[ Duration [Temporal.Duration] PT1H ]",
    "Object.assign(new Temporal.Instant(0n), { x: 1 })": "Instant [Temporal.Instant] 1970-01-01T00:00:00Z { x: 1 }",
    "Object.defineProperty({ x: 1 }, Symbol.toStringTag, { value: 'Temporal.Instant' })": "Object [Temporal.Instant] { x: 1 }",
    "Temporal.PlainDate.prototype": "Object [Temporal.PlainDate] {}",
    "new Float16Array([1.5, -0])": "Float16Array(2) [ 1.5, -0 ]",
    "[1].values().map((x) => x)": "Object [Iterator Helper] {}",
    "new DisposableStack()": "DisposableStack {}",
    "Object.groupBy([1, 2], (x) => (x % 2 ? 'odd' : 'even'))": "[Object: null prototype] { odd: [ 1 ], even: [ 2 ] }",
    "new ArrayBuffer(4).transfer(2)": "ArrayBuffer { [Uint8Contents]: <00 00>, byteLength: 2 }",
    "new WebAssembly.Tag({ parameters: [] })": "Tag [WebAssembly.Tag] {}",
    "Object.assign(new SuppressedError(1, 2, 'm'), { stack: 'SuppressedError: m' })": "[SuppressedError: m]",
}

TABLES = {
    "primitives": PRIMITIVES,
    "strings": STRINGS,
    "objects": OBJECTS,
    "arrays": ARRAYS,
    "circular": CIRCULAR,
    "collections": COLLECTIONS,
    "functions": FUNCTIONS,
    "builtins": BUILTINS,
    "classes": CLASSES,
    "own": OWN,
    "later": LATER,
}


@pytest.mark.parametrize("table", TABLES)
def test_values_read_as_in_node(Session: MakeIsolate, table: str) -> None:  # noqa: N803
    texts = TABLES[table]
    session = Session()
    assert {code: session.value(code) for code in texts} == texts


def test_pairs_of_a_map_iterator_are_all_shown_and_stay_unread(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    text = session.value("var entries = new Map([['a', 1]]).entries(); entries")
    assert text == "[Map Entries] { [ 'a', 1 ] }"
    assert session.value("entries.next().value") == "[ 'a', 1 ]"


def test_the_global_object_shows_what_the_code_put_there(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    assert session.value("var mine = [1]; globalThis") == "{ mine: [ 1 ] }"


def test_a_binding_of_a_class_that_is_extended_twice_shows_the_nearest_name(
    evaluate: Callable[[str], str],
) -> None:
    code = "class A { a = 1 } class B extends A { b = 2 } const B2 = B; new (class extends B2 {})()"
    assert evaluate(code) == "B { a: 1, b: 2 }"


# --- limits ---------------------------------------------------------------------------------------

MAX_CHARS = 65_536

HUGE = {
    "Array.from({ length: 1e6 }, (_, i) => i)": "... 999900 more items\n]",
    "new Map(Array.from({ length: 1e5 }, (_, i) => [i, i]))": "... 99900 more items\n}",
    "Object.fromEntries(Array.from({ length: 2e4 }, (_, i) => ['k' + i, i]))": "... 19000 more items\n}",
    "new Uint8Array(3e7)": "... 29999900 more items\n]",
    "'x'.repeat(2e7)": "'... 19990000 more characters",
    "({ s: 'x'.repeat(2e7) })": "'... 19990000 more characters\n}",
    "new String('x'.repeat(2e7))": "…']",
    "({ ['k'.repeat(1e6)]: 1 })": "…': 1\n}",
    "({ [Symbol('k'.repeat(2e7))]: 1 })": "…]: 1\n}",
    "2n ** 199999n": "8n",
    "-(2n ** 1000000n)": "[BigInt of more than 60205 digits]",
    "2n ** 1000000n": "[BigInt of more than 60205 digits]",
    "(() => { let o = {}; for (let i = 0; i < 1e5; i++) o = { o }; return o })()": "[Object] } } }",
    "(() => { let o = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); return o })()": " {}",
    "(() => { let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); return p })()": "[Proxy]",
    "(() => { let a = []; for (let i = 0; i < 1e5; i++) a = [a, a]; return a })()": "[Array] ] ]\n]",
    "Array.from({ length: 100 }, () => Array.from({ length: 100 }, () => 'x'.repeat(500)))": "x…",
    "Array.from({ length: 100 }, () => Array.from({ length: 100 }, () => ({ a: {} })))": " more items\n]",
    "new (class { ['f'.repeat(1e6)] = 1 })()": "…': 1\n}",
    "new Error('m'.repeat(1e7))": "m\n    at exec-1.js:1:1",
}


@pytest.mark.parametrize("code", HUGE)
def test_a_huge_value_is_cut_and_says_so(evaluate: Callable[[str], str], code: str) -> None:
    text = evaluate(code)
    assert text.endswith(HUGE[code]), text[-100:]
    assert len(text) <= MAX_CHARS


def test_a_cut_never_splits_a_character(evaluate: Callable[[str], str]) -> None:
    for shift in ("", "x"):
        text = evaluate(f"'{shift}' + '😀'.repeat(4e4)")
        text.encode()  # no lone surrogate


def test_unlimited_depth_is_limited(Session: MakeIsolate) -> None:  # noqa: N803
    session = Session()
    deep = "let o = {}; for (let i = 0; i < 1e5; i++) o = { o };"
    session.value(f"{deep} console.dir(o, {{ depth: null }}); console.dir(o, {{ depth: NaN }}); 1")
    texts = [line.text for line in session.lines]
    assert [text.count("o:") for text in texts] == [65, 65]


def test_a_graph_with_many_paths_costs_little(evaluate: Callable[[str], str]) -> None:
    code = "let o = {}; for (let i = 0; i < 60; i++) o = { a: o, b: o, c: o, d: o }; console.dir(o, { depth: 60 }); 1"
    begin = time.perf_counter()
    assert evaluate(code) == "1"
    assert time.perf_counter() - begin < 10  # 4 ** 60 paths would never end
