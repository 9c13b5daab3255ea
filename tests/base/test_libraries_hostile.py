"""What a session does to the language's built-ins reaches the bundled libraries, and nothing behind them."""

from __future__ import annotations

# Every method of the language's prototypes tells what it is called with, then does its work.
WATCH = """
const { apply, ownKeys, getOwnPropertyDescriptor, defineProperty } = Reflect;
const seen = new Set(), add = Set.prototype.add.bind(seen), isObject = (v) => v !== null && typeof v === 'object' || typeof v === 'function';
let watching = true;
const note = (value) => { if (watching && isObject(value)) add(value); };
const watch = (object) => {
  for (const key of ownKeys(object)) {
    const descriptor = getOwnPropertyDescriptor(object, key);
    for (const part of ['value', 'get', 'set']) {
      const original = descriptor[part];
      if (typeof original !== 'function' || key === 'constructor' || !descriptor.configurable) continue;
      descriptor[part] = function (...args) {
        note(this);
        for (let i = 0; i < args.length; i += 1) note(args[i]);
        const result = apply(original, this, args);
        note(result);
        return result;
      };
    }
    if (descriptor.configurable) defineProperty(object, key, descriptor);
  }
};
const iterators = [[][Symbol.iterator](), ''[Symbol.iterator](), new Map().entries(), new Set().values(), /a/[Symbol.matchAll]('')];
const prototypes = [Array, String, Number, RegExp, Map, Set, WeakMap, WeakSet, Promise, Uint8Array, ArrayBuffer, DataView, Error, BigInt, Symbol]
  .map((constructor) => constructor.prototype).concat(iterators.map(Object.getPrototypeOf), Object.getPrototypeOf(Uint8Array.prototype));
for (const name of ['native', 'control', 'libraries', 'exotics', 'host', 'list', 'query']) {
  defineProperty(Object.prototype, name, { configurable: true, get() { note(this); }, set(value) { note(this); note(value); } });
}
for (let i = 0; i < prototypes.length; i += 1) watch(prototypes[i]);
0
"""
USE = """
const url = new URL('../x y?a=b&c=%ff#h', 'https://u:p@b\\u00fccher.example:8080/a/b/');
url.host = '\\u05d0\\u05d1.example'; url.pathname = '/%zz'; url.search = '?q=\\u00e4'; url.port = '1';
const params = url.searchParams;
params.append('k', 'v'); params.sort(); params.delete('q'); [...params]; params.forEach(() => 0); String(params);
new URL('http://[::1]:80/'); new URL('http://0x7f.1/'); URL.canParse('https://xn--a'); URL.parse('no');
new TextDecoder('utf-16le').decode(new Uint8Array([1, 2, 3]), { stream: true });
new TextDecoder('koi8-r', { fatal: true }).decode(new TextEncoder().encode('ab\\ud800c'));
new TextEncoder().encodeInto('\\u20ac', new Uint8Array(9));
atob(btoa('abc')); crypto.randomUUID(); crypto.getRandomValues(new Uint16Array(3));
await Promise.all(['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512'].map((name) => crypto.subtle.digest(name, new Uint8Array(200))));
console.log(url, params, crypto);
0
"""
# Whatever can be reached from what was seen, through prototypes and accessors as well
FOUND = """
watching = false;
const all = [...seen];
for (let i = 0; i < all.length; i += 1) {
  for (const key of ownKeys(all[i])) {
    const { value, get, set } = getOwnPropertyDescriptor(all[i], key);
    for (const next of [value, get, set]) if (isObject(next) && !seen.has(next)) { seen.add(next); all.push(next); }
  }
}
const OURS = ['native', 'control', 'libraries', 'clock', 'timers', 'randomUint32', 'begin', 'finish', 'exotics'];
[all.length > 500, all.filter((one) => one !== Object.prototype && OURS.some((key) => Object.hasOwn(one, key))).length]
"""


def test_nothing_of_the_host_is_within_reach_of_watched_built_ins(Session):  # noqa: N803
    session = Session()
    session.value(WATCH)
    session.value(USE)
    assert session.value(FOUND) == "[ true, 0 ]"


def test_built_ins_that_throw_or_lie_break_only_the_session_that_has_them(Session):  # noqa: N803
    session = Session()
    session.value("""
        const prototypes = [String, Map, Set, RegExp, Array].map((constructor) => constructor.prototype);
        const { ownKeys, getOwnPropertyDescriptor } = Reflect;
        for (let i = 0; i < 5; i += 1) {
          const keys = ownKeys(prototypes[i]);
          for (let j = 0; j < keys.length; j += 1) {
            const { value, configurable } = getOwnPropertyDescriptor(prototypes[i], keys[j]);
            const isMethod = typeof value === 'function' && configurable && keys[j] !== 'constructor';
            if (isMethod) prototypes[i][keys[j]] = () => { throw 'mine' };
          }
        }
        0
    """)
    failed = session.run("new URL('https://b\\u00fccher.example/?a=b')").outcome
    assert (failed.status, failed.error.message) == ("failed", "'mine'")
    assert session.value("crypto.randomUUID().length + btoa('abc').length") == "40"
    assert session.run("console.log(1n); 1 + 1").outcome.result == "2"


def test_built_ins_that_answer_objects_bring_no_code_into_the_inspection_of_parameters(evaluate):
    assert (
        evaluate("""
        let asked = 0
        const object = { get length() { asked += 1; return 1 }, toString: () => 'text' }
        const { apply } = Function.prototype
        Function.prototype.apply = () => object
        const params = new URLSearchParams('a=b')
        Function.prototype.apply = apply
        asked = 0
        console.log(params)
        asked
    """)
        == "0"
    )
