// What test_node_golden.py compares with Node: on every line an expression, or statements that end in
// one. Empty lines and lines that begin with // are skipped. The answers are in node_golden.json.

// primitives
1
-0
0
1e21
-1.5e-7
0.1 + 0.2
NaN
-Infinity
Number.MAX_SAFE_INTEGER
-5n
2n ** 80n
true
null
undefined
Symbol('x')
Symbol()
Symbol('')
Symbol('a b')
Symbol('line\nbreak')
Symbol.iterator
Symbol.for('registered')

// strings: which quotes, which escapes
'a'
''
"it's"
'say "hi"'
'a"b\'c'
'a"b\'c`d'
'a"b\'c${d'
'back\\slash'
'\n\t\b\f\r\v\0\x1b\x7f\x9f\\'
'\u00a0\u2028\ufeff\u200b'
'😀 é ß 漢'
'\ud83d x'
'x \ude00'
'\ud83d\ud83d\ude00\ude00'
'line one\nline two'
'x'.repeat(90)
'line one is here\nline two'.repeat(3)
('ab'.repeat(5002)).slice(9990)
'x'.repeat(10001)
'x'.repeat(10002)
'\n'.repeat(20)
'\n'.repeat(100)
({ s: 'line one is here\nline two'.repeat(3) })
({ s: 'short\ntext' })
({ s: 'sixteen chars..\n' + 'x'.repeat(60) })
({ s: 'x'.repeat(100) })
({ s: "it's\n".repeat(20) })
({ a: { b: { s: 'long line of text here\n'.repeat(4) } } })
['short\nstring']
['long line of text here\n'.repeat(4)]
['long line of text here\n'.repeat(4), 'x']
[['x'.repeat(75)]]
new Map([['long line of text here\n'.repeat(4), 'another line of text here\n'.repeat(4)]])
new Set(['long line of text here\n'.repeat(4)])
({ ['key with\nline break']: 1 })
({ ['k'.repeat(100)]: 1 })
({ ['k'.repeat(100)]: { a: 1, b: 2 }, other: 'x'.repeat(50) })

// objects
({})
({ a: 1, b: 'x', c: [1, 2, 3] })
({ 'a-b': 1, '1x': 2, 3: 4, $dollar: 5, _under: 6, ünï: 7, 'with space': 8, "it's": 9, '': 10 })
({ 2: 'b', 1: 'a', '-1': 'c', '1.5': 'd', '01': 'e' })
({ ['__proto__']: 1 })
({ [Symbol('s')]: 1, [Symbol()]: 2, [Symbol('a b')]: 3, [Symbol('new\nline')]: 4 })
({ a: undefined, b: null, c: NaN, d: -0, e: 1n, f: Symbol('q') })
({ a: { b: { c: {} } } })
({ a: { b: { c: { d: 1 } } } })
({ a: { b: { c: [] } } })
({ a: { b: { c: [1] } } })
({ a: { b: { c: new Map() } } })
({ a: { b: { c: new Map([[1, 2]]) } } })
({ a: { b: { c: new Set([1]) } } })
({ a: { b: { c: new Date(0) } } })
({ a: { b: { c: /x/g } } })
({ a: { b: { c: () => 1 } } })
({ a: { b: { c: class A { static x = 1 } } } })
({ a: { b: { c: Object.assign(() => {}, { x: 1 }) } } })
({ a: { b: { c: new Uint8Array(2) } } })
({ a: { b: { c: new (class Foo { x = 1 })() } } })
({ a: { b: { c: new (class Foo {})() } } })
({ a: { b: { c: Object.assign(Object.create(null), { x: 1 }) } } })
({ a: { b: { c: Promise.resolve(1) } } })
({ a: { b: { c: new Number(1) } } })
({ a: { b: { c: Object.assign(new Date(0), { x: 1 }) } } })
({ a: { b: { c: Object.assign(new Number(1), { x: 1 }) } } })
({ a: { b: { c: new String('abc') } } })
({ a: { b: { c: (function () { return arguments })(1) } } })
({ a: { b: { c: new Map([[1, 2]]).entries() } } })
({ a: { b: { c: [1].values() } } })
({ a: { b: { c: new ArrayBuffer(2) } } })
({ a: { b: { c: new WeakMap() } } })
({ a: { b: { c: Object.defineProperty({ x: 1 }, Symbol.toStringTag, { value: 'T' }) } } })
({ a: { b: { c: new (class Foo extends Map {})([[1, 2]]) } } })
({ aaaaaaaaaaaaaaaaaaaa: 1, bbbbbbbbbbbbbbbbbbbbbb: 2, cccccccccccccccccccccc: 3, dddddddd: 4 })
({ aaaaaaaaaaaaaaaaaaaa: 1, bbbbbbbbbbbbbbbbbbbbbb: 2, cccccccccccccccccc: 3 })
({ aaaaaaaaaaaaaaaaaaaa: 1, bbbbbbbbbbbbbbbbbbbbbb: 2, ccccccccccccccccccccc: 3 })
({ aaaaaaaaaaaaaaaaaaaa: 1, bbbbbbbbbbbbbbbbbbbbbb: 2, cccccccccccccccccccccc: 3 })
({ aaaaaaaaaaaaaaaaaaaa: 1, bbbbbbbbbbbbbbbbbbbbbb: 2, ccccccccccccccccccccccc: 3 })
({ aaaaaaaaaaaaaaaaaaaa: 1, bbbbbbbbbbbbbbbbbbbbbb: 2, cccccccccccccccccccccccc: 3 })
({ a: 1, b: { c: 2, d: { e: 3, f: { g: 4 } } } })
({ a: {}, b: { c: {} }, d: { e: { f: {} } } })
({ a: [[[]]], b: [[[1]]] })
({ get g() { return 1 }, set s(v) {}, get gs() { return 1 }, set gs(v) {} })
({ get a() { throw new Error('asked') } })
({ get [Symbol('x')]() { return 1 } })
({ method() {}, async am() {}, *gm() {}, async *agm() {}, arrow: () => {} })
({ f: function () {}, g: function named() {}, k: class {}, l: class Named {} })
({ users: [{ name: 'Ann', age: 30, email: 'ann@example.com' }, { name: 'Bob', age: 25, email: 'bob@example.com' }], total: 2 })
Object.defineProperty({}, 'hidden', { value: 1 })
Object.defineProperty({}, 'x', { enumerable: true, get: undefined, set: undefined })
Object.create({ inherited: 1 })
({ constructor: 'x', toString: 1 })
({ constructor: undefined })
({ constructor: { name: 'Fake' } })
({ constructor: function Fake() {} })
({ then: 1, inspect: 2, toJSON() { return 3 } })
Object.fromEntries(Array.from({ length: 30 }, (_, i) => ['key' + i, i]))
Object.fromEntries(Array.from({ length: 120 }, (_, i) => [i, i]))
Object.freeze({ a: 1 })
({ config: { server: { host: 'localhost', ports: [80, 443], tls: { cert: 'a', key: 'b' } } } })
({ id: 1, title: 'A title of some length', description: 'And a description that is longer', tags: ['x', 'y'] })
({ name: 'x', list: [{ a: 1, b: { c: { d: 1 } } }, { a: 2, b: { c: null } }], map: new Map([['k', { v: [1, 2] }]]) })
({ a: '1'.repeat(30), b: ['2'.repeat(30), '3'.repeat(30)], c: { d: '4'.repeat(30), e: '5'.repeat(40) } })
({ data: Array.from({ length: 10 }, (_, i) => i * 1000), more: Array.from({ length: 7 }, (_, i) => 'n' + i) })
({ aaa: [{ bbb: [{ ccc: 1 }] }], ddd: [[[[1]]]] })
[{ a: { b: 1 } }, { a: { b: { c: 1 } } }]
[[[{ a: 1 }]]]

// Proxies: Node's default shows the target
new Proxy({ a: 1 }, {})
new Proxy([1, 2], {})
new Proxy(new Proxy([1, 2], {}), {})
({ p: new Proxy(function f() {}, {}) })
new Proxy(class A {}, {})
new Proxy(new Map([[1, 2]]), {})
(() => { const r = Proxy.revocable({}, {}); r.revoke(); return r.proxy })()
(() => { const r = Proxy.revocable({}, {}); r.revoke(); return [r.proxy, { r: r.proxy }] })()
new Proxy({ a: { b: { c: { d: 1 } } } }, {})
new Proxy(new Error('in a proxy'), {})
new Proxy(new Date(0), {})

// arrays
[]
[1]
[undefined, null]
['a', 'b']
[[], [[]], [[[1]]], [[[[1]]]]]
[1, [2, [3, [4, [5]]]]]
Array.from({ length: 6 }, (_, i) => i)
Array.from({ length: 7 }, (_, i) => i)
Array.from({ length: 27 }, (_, i) => i * i)
Array.from({ length: 100 }, (_, i) => i)
Array.from({ length: 101 }, (_, i) => i)
Array.from({ length: 200 }, (_, i) => i)
Array.from({ length: 102 }, (_, i) => 'x' + i)
Array.from({ length: 20 }, (_, i) => 'item' + i)
Array.from({ length: 10 }, (_, i) => 'x'.repeat(i))
Array.from({ length: 8 }, (_, i) => 'x'.repeat(3 * i))
Array.from({ length: 30 }, (_, i) => 'x'.repeat(i))
Array.from({ length: 8 }, (_, i) => ({ i }))
Array.from({ length: 26 }, (_, i) => ({ i, n: 'name' + i }))
Array.from({ length: 10 }, (_, i) => [i, i * 2])
Array.from({ length: 10 }, (_, i) => [i, [i]])
Array.from({ length: 7 }, () => Array.from({ length: 7 }, (_, i) => i))
Array.from({ length: 10 }, () => null)
Array.from({ length: 10 }, (_, i) => i % 2 === 0)
Array.from({ length: 10 }, (_, i) => BigInt(i) ** 9n)
Array.from({ length: 10 }, (_, i) => i % 2 ? i : BigInt(i))
Array.from({ length: 9 }, (_, i) => '😀'.repeat(i))
Array.from({ length: 9 }, (_, i) => '漢字'.repeat(i % 4))
Array.from({ length: 9 }, (_, i) => 'é'.repeat(i))
Array.from({ length: 9 }, (_, i) => 'e\u0301'.repeat(i))
Array.from({ length: 9 }, (_, i) => '👩‍👩‍👧'.repeat(i % 3))
Array.from({ length: 9 }, (_, i) => 'ｆ한か'.repeat(i % 3))
Array.from({ length: 9 }, (_, i) => '→½€☺️✓'.repeat(i % 3))
Array.from({ length: 9 }, (_, i) => 'نص'.repeat(i % 3))
Array.from({ length: 9 }, (_, i) => Symbol('s' + i))
Array.from({ length: 9 }, (_, i) => () => i)
Array.from({ length: 7 }, (_, i) => 'long line of text here, number ' + i + '\n')
[1.5, 2.25, -3, 100000, 5, 6, 7, 8]
[-1, -22, -333, 4444, 5, 6, 7, 8]
['aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
['a', 1, true, null, undefined, 'b', 2, false]
[[1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3]]
{ const rows = Array.from({ length: 3 }, (_, i) => Array.from({ length: 12 }, (_, j) => i * j)); rows }
({ matrix: Array.from({ length: 3 }, (_, i) => Array.from({ length: 3 }, (_, j) => i * j)) })
[, 1, , , 2, , ]
[1, 2, 3, 4, 5, 6, 7, , 9]
[, , , , , , , , ]
new Array(5)
new Array(1000000)
Object.assign(new Array(3), { 1: 'x' })
(() => { const a = []; a[4e9] = 1; return a })()
(() => { const a = []; a[200] = 1; a[100] = 2; return a })()
Array.from({ length: 300 }, (_, i) => i).map((v, i, a) => (delete a[i * 2], v))
(() => { const a = Array.from({ length: 250 }, (_, i) => i); for (let i = 0; i < 250; i += 2) delete a[i]; return a })()
Object.assign([1, , 3], { x: 1, '-1': 2 })
Object.assign([], { x: 1 })
Object.assign([1, 2, 3], { [Symbol('s')]: 1, '01': 2, 4294967295: 3 })
Object.assign(Array.from({ length: 101 }, (_, i) => i), { x: 1 })
Object.assign(Array.from({ length: 10 }, (_, i) => i), { x: 1, y: { z: 1 } })
Object.defineProperty([1, 2], 0, { get() { return 1 }, enumerable: true })
Object.defineProperty([1, 2], 1, { value: 7, enumerable: false })
Object.freeze([1, 2])
Array.from({ length: 3 }, (_, i) => ({ id: i, name: 'name ' + i, tags: ['a', 'b'], nested: { x: i, y: [i] } }))
'the quick brown fox jumps over the lazy dog again and again'.split(' ')
'the quick brown fox'.match(/(?<word>q\w+)/)
[...'aXbXc'.matchAll(/X/g)]
'a,b'.split(',').entries()
Object.entries({ a: 1, b: { c: 2 } })
((strings) => strings)`a${1}b`
Array.from({ length: 17 }, (_, i) => 'x'.repeat(i % 5 + 8))
Array.from({ length: 50 }, (_, i) => (i * 7919) % 1000 / 10)
Array.from({ length: 12 }, (_, i) => ['row', i])
Array.from({ length: 7 }, (_, i) => ({ ['k' + i]: 'v'.repeat(i * 4) }))
[{ a: 1, b: 2 }, [1, 2, [3, [4]]], new Map([[{ a: 1 }, new Set([1])]])]

// circular references
(() => { const a = [1]; a.push(a); return a })()
(() => { const o = { x: {} }; o.self = o; o.x.up = o; return o })()
(() => { const a = { n: 1 }, b = { a }; a.b = b; return [a, b] })()
(() => { const m = new Map(); m.set('me', m); return m })()
(() => { const m = new Map(); m.set(m, 1); return m })()
(() => { const s = new Set(); s.add(s); return s })()
(() => { class Node { constructor(p) { this.parent = p; this.children = [] } } const r = new Node(null); r.children.push(new Node(r)); return r })()
(() => { const f = function f() {}; f.self = f; return f })()
(() => { const e = Object.assign(new Error('self'), { stack: 'Error: self' }); e.e = e; return e })()
(() => { const e = Object.assign(new Error('self'), { stack: 'Error: self' }); e.cause = e; return e })()
(() => { const o = {}; o.p = new Proxy(o, {}); return o })()
(() => { const a = {}, b = {}; a.b = b; b.a = a; b.b = b; return { a, b } })()
(() => { const p = {}; p.p = Promise.resolve(p); return p })()
(() => { const shared = { s: 1 }; return [shared, shared, { shared }] })()
(() => { const d = new Date(0); d.self = d; return d })()
(() => { const u = new Uint8Array(1); u.self = u; return u })()
(() => { const o = { a: { b: { c: {} } } }; o.a.b.c.d = o; return o })()
(() => { const o = Object.create(null); o.o = o; return o })()

// Map, Set, iterators, weak collections
new Map()
new Map([['a', 1], [{ k: 1 }, new Map([[1, 2]])]])
new Map([['a', { b: { c: { d: 1 } } }]])
new Map([[[1, 2], { x: 1 }], [null, undefined]])
new Map(Array.from({ length: 102 }, (_, i) => [i, i]))
new Map(Array.from({ length: 5 }, (_, i) => ['key number ' + i, { value: i, text: 'some text' }]))
new Map([['long key '.repeat(12), 'value'], ['k', 'long value '.repeat(12)]])
Object.assign(new Map([[1, 2]]), { x: 1 })
new Set()
new Set([1, 'a', { b: 1 }])
new Set(Array.from({ length: 12 }, (_, i) => 'entry number ' + i))
new Set(Array.from({ length: 20 }, (_, i) => i))
new Set(Array.from({ length: 101 }, (_, i) => i))
new Set([[1, 2], new Set([3])])
Object.assign(new Set(), { x: 1 })
new Map([['a', 1], ['b', 2]]).keys()
new Map([['a', 1], ['b', 2]]).values()
new Map([['a', 1], ['b', 2]]).entries()
new Map([['a', 1], ['b', 2]])[Symbol.iterator]()
new Map(Array.from({ length: 20 }, (_, i) => ['key' + i, { i }])).entries()
new Map(Array.from({ length: 60 }, (_, i) => ['key' + i, i])).entries()
new Map(Array.from({ length: 110 }, (_, i) => ['key' + i, i])).keys()
new Set([1, 2]).values()
new Set([1, 'b']).entries()
new Set().values()
new Map().entries()
(() => { const i = new Set([1, 2, 3]).values(); i.next(); return i })()
(() => { const i = new Set([1]).values(); i.next(); i.next(); return i })()
Object.assign(new Set([1]).values(), { x: 1 })
new WeakMap([[{}, 1]])
new WeakSet()
Object.assign(new WeakSet(), { x: 1 })
new (class Cache extends WeakMap {})()
[1].values()
[1].entries()
'abc'[Symbol.iterator]()
'abc'.matchAll(/./g)
new Uint8Array(1).values()
(function* () {})()
(function* named() { yield 1 })()
(async function* () {})()
(function* () {})
new (class Registry extends Map { x = 1 })([[1, 2]])
new (class Tags extends Set {})(['a'])
new (class Tags extends Set { get [Symbol.toStringTag]() { return 'T' } })(['a'])
new (class extends Map {})([[1, 2]])
[new Map([['a', [1, 2]]]), new Set([[1]])]

// functions and classes
(function f() {})
() => {}
async () => {}
(async function a() {})
(function* g() {})
(async function* ag() {})
(class {})
(class A {})
(class A extends Map {})
(class A extends Map { static x = 1 })
(class extends Array {})
(class extends null {})
(class B extends (class A {}) {})
(class B extends (class {}) {})
(class { static x = 1 })
(class A { static { this.self = this } })
(class A { static #p = 1; #q = 2; m() {} })
(class A { static name = 'Other' })
(class A { static get name() { return 'Asked' } })
(class A { static [Symbol.toStringTag] = 'T' })
({ class() {} }).class
({ classy: function () { return 'class' } }).classy
Object.assign(function f() {}, { a: { b: 1 } })
Object.assign(() => {}, { a: 1, [Symbol('s')]: 2 })
Object.assign(function f() {}, { [Symbol.toStringTag]: 'T' })
Object.defineProperty(function f() {}, Symbol.toStringTag, { value: 'T' })
Math.max
Promise
Array
Map
Symbol
(class {}).prototype.constructor
parseInt
Object.setPrototypeOf(function f() {}, null)
Object.setPrototypeOf(async () => {}, null)
Object.setPrototypeOf(class A {}, null)
Object.setPrototypeOf(function* g() {}, null)
Object.setPrototypeOf(function f() {}, Map.prototype)
Object.defineProperty(function () {}, 'name', { value: 'renamed' })
Object.defineProperty(function f() {}, 'name', { value: 5 })
Object.defineProperty(function f() {}, 'name', { value: '' })
Object.defineProperty(function f() {}, 'name', { value: 'with space' })
({ [Symbol('method')]() {} })
({ 'a b'() {} })
({ get x() { return 1 } }).__lookupGetter__('x')
[class A {}, function b() {}, () => {}]
(function f() {}).bind()
(() => {}).bind()
(class A {}).bind()
new Function('a', 'return a')
Object.getPrototypeOf(function () {})
Object.getPrototypeOf(async () => {})
Object.getPrototypeOf(function* () {})
Function
Object.getPrototypeOf(async () => {}).constructor
Object.getPrototypeOf(class A extends Map {})
(function () { return arguments })(1, 2)
(function () { return arguments })()
(function () { 'use strict'; return arguments })('x', [1], { a: 1 })
(function () { return Object.assign(arguments, { x: 1 }) })(1, 2)
(function () { return arguments }).apply(null, Array.from({ length: 110 }, (_, i) => i))

// dates, regular expressions, boxes
new Date(0)
new Date(NaN)
new Date(8.64e15)
new Date(-62198755200000)
Object.assign(new Date(0), { x: 1 })
new (class Day extends Date {})(0)
new (class Day extends Date {})(NaN)
Object.setPrototypeOf(new Date(0), null)
Object.setPrototypeOf(new Date(NaN), null)
Object.defineProperty(new Date(0), Symbol.toStringTag, { value: 'T' })
[new Date(0), { d: new Date(1e12) }]
/a\/b/dgimsuy
/a/v
/(?:)/
new RegExp('')
new RegExp('/\n')
Object.assign(/a/, { x: 1 })
Object.assign(/a/g, { lastIndex: 3 })
new (class Pattern extends RegExp {})('a', 'g')
Object.setPrototypeOf(/a/g, null)
Object.defineProperty(/a/, Symbol.toStringTag, { value: 'T' })
new Number(-0)
new Number(3)
new String('abc')
new String("it's")
new String('x\ny')
Object.assign(new String('abc'), { x: 1 })
new Boolean(false)
Object(Symbol('a'))
Object(1n)
Object.assign(new Number(1), { x: 1 })
new (class Meters extends Number {})(5)
new (class Text extends String { x = 1 })('abc')
new (class Flag extends Boolean {})(true)
Object.setPrototypeOf(new Number(1), null)
Object.setPrototypeOf(new String('abc'), null)
Object.setPrototypeOf(new String('abc'), Number.prototype)
Object.defineProperty(new Number(1), Symbol.toStringTag, { value: 'T' })
[new Number(1), new String('s')]
new String('x'.repeat(100))

// buffers and views
new Uint8Array()
new Uint8Array(3)
new Uint8ClampedArray([300, -1])
new Int8Array([-1])
new Uint16Array([65535])
new Int32Array(Array.from({ length: 10 }, (_, i) => i - 5))
new Float32Array([1.1, -0])
new Float64Array([1.5, -0, NaN, Infinity])
new BigInt64Array(2)
new BigUint64Array([1n, 2n ** 63n])
new Uint8Array(200)
Object.assign(new Uint8Array(2), { x: 1 })
new (class F extends Uint8Array {})(2)
new (class F extends Float64Array { x = 1 })(1)
Object.setPrototypeOf(new Uint8Array(1), null)
new Uint8Array(Array.from({ length: 30 }, (_, i) => i * 8))
({ bytes: new Uint8Array([1, 2, 3]), nested: { more: new Float32Array(1) } })
new Uint8Array([1, 2, 255]).buffer
new ArrayBuffer(0)
new ArrayBuffer(60)
new ArrayBuffer(51)
new ArrayBuffer(200)
new ArrayBuffer(4, { maxByteLength: 8 })
new Uint8Array(new ArrayBuffer(4, { maxByteLength: 8 }))
(() => { const b = new ArrayBuffer(4); (b.transfer ? b.transfer() : structuredClone(b, { transfer: [b] })); return b })()
(() => { const b = new ArrayBuffer(4), u = new Uint8Array(b); (b.transfer ? b.transfer() : structuredClone(b, { transfer: [b] })); return u })()
Object.assign(new ArrayBuffer(2), { x: 1 })
new (class Bytes extends ArrayBuffer {})(2)
Object.setPrototypeOf(new ArrayBuffer(1), null)
new DataView(new ArrayBuffer(4), 1)
new DataView(new ArrayBuffer(4), 1, 2)
Object.assign(new DataView(new ArrayBuffer(1)), { x: 1 })
[new ArrayBuffer(2), [new ArrayBuffer(2)], [[new DataView(new ArrayBuffer(1))]]]
({ view: new DataView(new ArrayBuffer(2)) })

// promises
[Promise.resolve(1)]
[Promise.resolve({ a: 1 })]
[Promise.resolve('text')]
[Promise.resolve([1, 2, 3, 4, 5, 6, 7, 8])]
[new Promise(() => {})]
[(() => { const p = Promise.reject(3); p.catch(() => {}); return p })()]
[(() => { const p = Promise.reject(Object.assign(new Error('no'), { stack: 'Error: no\n    at f (x.js:1:1)' })); p.catch(() => {}); return p })()]
[(() => { const p = Promise.reject(Object.assign(new Error('no'), { stack: 'Error: no' })); p.catch(() => {}); return p })()]
[Object.assign(Promise.resolve(1), { x: 2 })]
[new (class Task extends Promise {})(() => {})]
[(async () => {})()]
[(async () => 5)()]
[Promise.resolve(1), new Promise(() => {})]
[Promise.resolve({ a: { b: { c: 1 } } })]
[Promise.resolve(undefined)]

// errors
new Error('message')
new Error('')
new Error()
new TypeError('bad type')
new RangeError('x\ny')
[new Error('in an array')]
({ e: new Error('in an object') })
({ a: { b: { c: new Error('deep') } } })
({ a: { b: { c: Object.assign(new Error('deep'), { x: 1 }) } } })
Object.assign(new Error('m'), { code: 'E_CODE', errno: 5 })
Object.assign(new Error('m'), { name: 'Renamed' })
Object.assign(new Error('m'), { message: 'changed' })
Object.assign(new Error('m'), { stack: undefined })
Object.assign(new Error('m'), { stack: '' })
Object.assign(new Error('m'), { stack: 5 })
Object.assign(new Error('m'), { stack: 'own stack' })
Object.assign(new Error('m'), { stack: 'Error: m\n    at own (file.js:1:2)' })
Object.assign(new Error('m'), { stack: 'Error: m\n    at own (file.js:1:2)', x: { y: [1] } })
[Object.assign(new Error('m'), { stack: 'Error: m\n    at own (file.js:1:2)\n    at b (file.js:3:4)' })]
[[Object.assign(new Error('m'), { stack: 'Error: m' })]]
Object.assign(new Error('m'), { stack: 'Error: m' })
Object.assign(new Error('two\nlines'), { stack: 'Error: two\nlines\n    at f (x.js:1:1)' })
new Error('outer', { cause: new TypeError('inner') })
new Error('outer', { cause: 'text' })
new Error('outer', { cause: undefined })
new Error('outer', { cause: { code: 1 } })
new Error('a', { cause: new Error('b', { cause: new Error('c') }) })
new Error('a', { cause: new Error('b', { cause: new Error('c', { cause: new Error('d', { cause: 1 }) }) }) })
Object.assign(new Error('o', { cause: Object.assign(new Error('i'), { stack: 'Error: i\n    at a (x.js:9:1)\n    at b (x.js:1:1)\n    at c (x.js:2:1)\n    at d (x.js:3:1)\n    at e (x.js:4:1)' }) }), { stack: 'Error: o\n    at z (x.js:8:1)\n    at b (x.js:1:1)\n    at c (x.js:2:1)\n    at d (x.js:3:1)\n    at e (x.js:4:1)' })
Object.assign(new Error('o', { cause: Object.assign(new Error('i'), { stack: 'Error: i\n    at a (x.js:9:1)\n    at b (x.js:1:1)\n    at c (x.js:2:1)\n    at d (x.js:3:1)' }) }), { stack: 'Error: o\n    at z (x.js:8:1)\n    at b (x.js:1:1)\n    at c (x.js:2:1)\n    at d (x.js:3:1)' })
new AggregateError([new Error('one'), 2], 'all failed')
new AggregateError([])
new AggregateError([1], 'all')
new (class HttpError extends Error { status = 404 })('not found')
new (class HttpError extends Error { constructor(m) { super(m); this.name = 'HttpError' } })('not found')
new (class HttpError extends Error { get name() { return 'HttpError' } })('not found')
new (class Failure extends Error {})('no suffix')
new (class ValidationError extends TypeError {})('bad')
new (class extends Error {})('anonymous')
new (class FooError extends Error {})()
Object.setPrototypeOf(new Error('m'), null)
Object.setPrototypeOf(new TypeError('m'), null)
Object.setPrototypeOf(new Error('m'), Object.prototype)
Object.defineProperty(new Error('m'), Symbol.toStringTag, { value: 'T' })
Object.defineProperty(new Error('m'), 'name', { value: 'Hidden' })
Object.defineProperty(new Error('m'), 'message', { value: 'shown', enumerable: true })
Object.assign(Object.create(Error.prototype), { message: 'not real' })
Object.create(Error.prototype)
(() => { function OldError(m) { this.message = m } OldError.prototype = Object.create(Error.prototype); return new OldError('old') })()
(() => { function OldError(m) { this.message = m; this.name = 'OldError' } OldError.prototype = Object.create(Error.prototype, { constructor: { value: OldError } }); return new OldError('old') })()
TypeError.prototype
(() => { try { null.x } catch (e) { return e } })()
(() => { try { undefinedName } catch (e) { return e } })()
(() => { try { (void 0)() } catch (e) { return e } })()
new Map([['e', Object.assign(new Error('m'), { stack: 'Error: m\n    at own (file.js:1:2)' })]])
new Set([Object.assign(new Error('m'), { stack: 'Error: m' })])
({ ok: false, error: Object.assign(new Error('m'), { stack: 'Error: m\n    at own (file.js:1:2)', code: 'E' }), after: 1 })

// classes, prototypes, tags
Object.create(null)
Object.assign(Object.create(null), { a: 1 })
[[[Object.assign(Object.create(null), { a: 1 })]]]
new (class Foo {})()
new (class Foo { a = 1; #p = 1 })()
new (class Foo { get a() { return 1 } })()
new (class {})()
new (class { a = 1 })()
[[[new (class Foo { a = 1 })()]]]
[[[new (class { a = 1 })()]]]
new (class Foo extends Array {})(3)
new (class Foo extends Array { x = 1 })()
new (class extends Array {})(2)
new (class extends (class B {}) {})()
new (class C extends (class B {}) { x = 1 })()
new (function Old() { this.a = 1 })()
new (function () { this.a = 1 })()
Object.create(Object.create(null))
Object.create(Object.create(Object.create(null)))
Object.create(Object.create(Object.create(Object.create(null))))
Object.create(Object.create(Object.create(Object.create(Object.create(null)))))
Object.create(Object.assign(Object.create(null), { a: 1 }))
Object.assign(Object.create(Object.create(null)), { a: 1 })
[[[Object.assign(Object.create(Object.create(null)), { a: 1 })]]]
Object.create({})
Object.create((class A {}).prototype)
Object.create(Array.prototype)
Object.create(Date.prototype)
Object.create(Map.prototype)
Object.create(Function.prototype)
(class A {}).prototype
(class B extends (class A {}) {}).prototype
Object.prototype
Array.prototype
Map.prototype
Promise.prototype
Symbol.prototype
Number.prototype
RegExp.prototype
Date.prototype
Error.prototype
Object.setPrototypeOf([1], null)
Object.setPrototypeOf([], null)
Object.setPrototypeOf(new Map([[1, 2]]), null)
Object.setPrototypeOf(new Set([1]), null)
[Object.setPrototypeOf(Promise.resolve(1), null)]
Object.setPrototypeOf({ a: 1 }, Array.prototype)
Object.setPrototypeOf([1], Object.prototype)
Object.setPrototypeOf({ a: 1 }, { constructor: 5 })
Object.setPrototypeOf({ a: 1 }, { constructor: function Other() {} })
({ [Symbol.toStringTag]: 'T' })
({ [Symbol.toStringTag]: 'T', a: 1 })
({ [Symbol.toStringTag]: '' })
({ [Symbol.toStringTag]: 5 })
Object.defineProperty({ a: 1 }, Symbol.toStringTag, { value: 'T' })
Object.defineProperty({ a: 1 }, Symbol.toStringTag, { value: 'Object' })
Object.defineProperty([1], Symbol.toStringTag, { value: 'T' })
Object.defineProperty(new Map(), Symbol.toStringTag, { value: 'T' })
Object.defineProperty(Object.create(null), Symbol.toStringTag, { value: 'T' })
(() => { class A {} A.prototype[Symbol.toStringTag] = 'T'; return new A() })()
(() => { class A {} A.prototype[Symbol.toStringTag] = 'A'; return new A() })()
new (class A { get [Symbol.toStringTag]() { return 'T' } })()
new (class A { get [Symbol.toStringTag]() { return 'T' } x = 1 })()
({ [Symbol.for('nodejs.util.inspect.custom')]: function mine() { return 'custom' } })
({ [Symbol.for('nodejs.util.inspect.custom')]: 5 })
({ [Symbol.iterator]() { return [][Symbol.iterator]() } })
new (class List { *[Symbol.iterator]() { yield 1 } })()

// what the web's interfaces look like
new URL('https://user:pw@example.com:8080/a/b?c=d#e')
new URLSearchParams('a=1&b=2')
new URLSearchParams()
new TextEncoder()
new AbortController()
AbortSignal.abort('why')
new EventTarget()
new Blob(['abc'])
Object.assign(new DOMException('gone', 'AbortError'), { stack: 'AbortError: gone\n    at f (x.js:1:1)' })
structuredClone(new Map([[1, { a: new Date(0) }]]))

// namespaces and globals
Math
JSON
Reflect
Atomics
Intl
WebAssembly
[Math, JSON]
({ Math })
Object
Object.getOwnPropertyDescriptor({ get a() { return 1 } }, 'a')
Object.getOwnPropertyDescriptors({ a: 1, get b() { return 2 } })
new Intl.NumberFormat('en')
new Intl.DateTimeFormat('en', { timeZone: 'UTC' })
new Intl.Collator('en')
new Intl.PluralRules('en')
new Intl.Locale('en')
new Intl.NumberFormat('en').formatToParts(1234.5)
new Intl.DateTimeFormat('en', { timeZone: 'UTC' }).formatToParts(0)
new Intl.Segmenter('en').segment('ab')
new WebAssembly.Memory({ initial: 1 })
new WebAssembly.Table({ initial: 1, element: 'anyfunc' })
new WebAssembly.Global({ value: 'i32' }, 5)
new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))
new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])))
new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))).exports
new WeakRef({ a: 1 })
[new WeakRef({ a: { b: 1 } })]
new FinalizationRegistry(() => {})
