"""structuredClone: the algorithm of the HTML standard, for all that exists in a session."""

from __future__ import annotations

import pytest

from engine.limits import Limits

SHOW = """
  const show = (value) => {
    const out = [], seen = new Map();
    const walk = (v) => {
      if (Object(v) !== v) return out.push(typeof v, Object.is(v, -0) ? '-0' : String(v));
      if (seen.has(v)) return out.push('#' + seen.get(v));
      seen.set(v, seen.size);
      out.push(Object.prototype.toString.call(v));
      out.push(v.length, v.size, v.byteLength, v.byteOffset, v.maxByteLength, v.lastIndex);
      if (v instanceof Map || v instanceof Set) return [...v].forEach(walk);
      if (v instanceof Date || v instanceof RegExp || v.valueOf() !== v) return out.push(String(v));
      if (v instanceof ArrayBuffer) return out.push(String(new Uint8Array(v)));
      if (v instanceof DataView) return out.push(v.getUint8(0));
      for (const key of Object.keys(v)) { out.push(key); walk(v[key]); }
    };
    walk(value);
    return out.join();
  };
"""
"""All that can be seen of a value, as a text."""


@pytest.mark.parametrize(
    "code",
    [
        "5", "-0", "NaN", "'text'", "'\\ud800'", "true", "null", "undefined", "10n",
        "[1, [2, [3]]]", "[1, , 3]", "[]", "new Array(5)", "Object.assign([1], { extra: 2 })", "new Array(4e9)",
        "{ a: 1, b: { c: [undefined, null] } }", "{ 2: 'two', 1: 'one', z: 0 }", "{ ['__proto__']: 1 }",
        "new Map([[1, { a: new Set([1, [2]]) }], [{ k: 1 }, 'v']])", "new Set(['a', { b: 1 }])",
        "new Date(5)", "new Date(NaN)", "/a(b)?/dgimsuy", "/[a]/v",
        "Object(1)", "Object('text')", "Object(true)", "Object(5n)",
        "new Uint8Array([1, 2])", "new Float16Array([1.5])", "new BigInt64Array([5n])", "new Uint8ClampedArray(2)",
        "new Uint16Array(new Uint8Array([0, 0, 1, 0, 2, 0]).buffer, 2, 2)", "new DataView(new ArrayBuffer(8), 2, 4)",
        "new Uint8Array([1, 2, 3]).buffer", "new ArrayBuffer(2, { maxByteLength: 8 })",
    ],
)  # fmt: skip
def test_a_clone_is_like_its_source_and_another(value, code):
    body = """
      const copy = structuredClone(it);
      if (Object(it) === it && it === copy) return 'same';
      const likeClass = Object.getPrototypeOf(Object(it)) === Object.getPrototypeOf(Object(copy));
      return likeClass && show(it) === show(copy) ? 'alike' : [it, copy];
    """
    assert value(f"{SHOW} const it = ({code}); {body}") == "'alike'"


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("const a = {}; a.self = a; const b = structuredClone(a); return b.self === b && b !== a", "true"),
        ("const shared = [1]; const [a, b] = structuredClone([shared, shared]); return a === b && a !== shared", "true"),
        ("const m = new Map(); m.set(m, new Set([m])); const c = structuredClone(m); return c.get(c).has(c)", "true"),
        (("const buffer = new ArrayBuffer(8); const [a, b] = structuredClone([new Uint8Array(buffer), new Float64Array(buffer)]); a[7] = 64; "
         "return [a.buffer === b.buffer, b[0] !== 0, new Uint8Array(buffer)[7]].join()"), "true,true,0"),
        (("class A { x = 1; #y = 2; get z() { return 3 } } const c = structuredClone(new A()); "
         "return [Object.getPrototypeOf(c) === Object.prototype, Object.keys(c)].join()"), "true,x"),
        ("return Object.keys(structuredClone(Object.create({ inherited: 1 }, { hidden: { value: 1 }, own: { value: 2, enumerable: true } }))).join()", "own"),
        ("return Reflect.ownKeys(structuredClone({ [Symbol('s')]: 1, a: 1 })).join()", "a"),
        ("return Object.getPrototypeOf(structuredClone(Object.create(null))) === Object.prototype", "true"),
        ("const c = structuredClone({ get a() { return 5 } }); return JSON.stringify(Object.getOwnPropertyDescriptor(c, 'a'))",
         '{"value":5,"writable":true,"enumerable":true,"configurable":true}'),
        ("const log = []; structuredClone({ get a() { log.push('a'); return { get b() { log.push('b') } } }, get c() { log.push('c') } }); return log.join()",
         "a,b,c"),
        ("const c = structuredClone({ get a() { delete this.b; return 1 }, b: 2 }); return Object.keys(c).join()", "a"),
        ("const m = new Map([[1, { get a() { m.set(2, 2); return 1 } }]]); return structuredClone(m).size", "1"),
        ("try { structuredClone({ get a() { throw 'thrown' } }) } catch (e) { return e }", "thrown"),
        ("const r = /a/g; r.lastIndex = 5; return structuredClone(r).lastIndex", "0"),
        ("const d = new Date(5); d.extra = 1; return structuredClone(d).extra", "undefined"),
        (("const e = structuredClone(Object.assign(new RangeError('m', { cause: { a: [1] } }), { extra: 1 })); "
         "return [e instanceof RangeError, e.message, e.cause.a, e.extra, Object.keys(e).length].join()"), "true,m,1,,0"),
        ("const s = new TypeError('m'); return structuredClone(s).stack === s.stack", "true"),
        ("const e = new Error('m'); e.cause = e; const c = structuredClone(e); return c.cause === c", "true"),
        ("class Mine extends TypeError { name = 'Mine' } return [structuredClone(new Mine('m')).constructor.name, structuredClone(new Mine('m')).name].join()",
         "Error,Error"),
        ("return ['message', 'cause'].map((k) => Object.hasOwn(structuredClone(new Error()), k)).join()", "false,false"),
        ("return structuredClone(Object.defineProperty(new Error(), 'message', { get() { return 'm' } })).message", ""),
        ("const c = structuredClone(new DOMException('m', 'AbortError')); return [c.name, c.message, c.code, c instanceof DOMException].join()",
         "AbortError,m,20,true"),
        (("const c = structuredClone([new Blob(['ab'], { type: 'a/b' }), new File(['c'], 'n')]); "
         "return [await c[0].text(), c[0].type, c[1].name, c[1] instanceof File].join()"), "ab,a/b,n,true"),
        (("const b = new ArrayBuffer(2, { maxByteLength: 16 }); const [all, two] = structuredClone([new Uint8Array(b), new Uint8Array(b, 0, 2)]); "
         "all.buffer.resize(4); return [all.length, two.length, b.byteLength].join()"), "4,2,2"),
        ("return structuredClone.length + structuredClone.name", "1structuredClone"),
        ("try { new structuredClone(1) } catch (e) { return e.name }", "TypeError"),
    ],
)  # fmt: skip
def test_it_clones_as_the_standard_says(value, body, result):
    assert value(f"return String(await (async () => {{ {body} }})())") == f"'{result}'"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("() => 1", "() => 1 could not be cloned."),
        ("{ a: [function f() {}] }", "function f() {} could not be cloned."),
        ("class A {}", "class A {} could not be cloned."),
        ("Symbol('s')", "Symbol(s) could not be cloned."),
        ("[Symbol.iterator]", "Symbol(Symbol.iterator) could not be cloned."),
        ("Object(Symbol('s'))", "#<Symbol> could not be cloned."),
        ("Promise.resolve()", "#<Promise> could not be cloned."),
        ("new WeakMap()", "#<WeakMap> could not be cloned."),
        ("new WeakRef({})", "#<WeakRef> could not be cloned."),
        ("new Proxy({}, {})", "#<Object> could not be cloned."),
        ("new Proxy([], {})", "#<Object> could not be cloned."),
        ("new Proxy(() => 1, {})", "#<Object> could not be cloned."),
        ("(function () { return arguments })()", "#<Object> could not be cloned."),
        ("(function* () {})()", "#<Object> could not be cloned."),
        ("[].values()", "#<Object> could not be cloned."),
        ("new Map().entries()", "#<Object> could not be cloned."),
        ("[1].values().map((x) => x)", "#<Object> could not be cloned."),
        ("new Intl.NumberFormat()", "#<NumberFormat> could not be cloned."),
        ("new Temporal.PlainDate(2020, 1, 1)", "#<PlainDate> could not be cloned."),
        ("new Event('a')", "#<Event> could not be cloned."),
        ("new AbortController()", "#<AbortController> could not be cloned."),
        ("new URL('a:b')", "#<URL> could not be cloned."),
        ("globalThis", "#<Object> could not be cloned."),
        ("detached", "An ArrayBuffer is detached and could not be cloned."),
        ("gone", "An ArrayBuffer is detached and could not be cloned."),
        ("cut", "#<Uint8Array> could not be cloned."),
    ],
)
def test_what_cannot_be_cloned_is_a_data_clone_error(value, code, message):
    setup = (
        "const detached = new ArrayBuffer(1); detached.transfer();"
        "const gone = new Uint8Array(1); gone.buffer.transfer();"
        "const cut = new Uint8Array(new ArrayBuffer(8, { maxByteLength: 8 }), 4, 4); cut.buffer.resize(2);"
    )
    got = value(
        f"{setup} try {{ const it = ({code}); structuredClone(it); return 'cloned' }} "
        "catch (e) { return [e.name, e.code, e.message].join('|') }"
    )
    assert got == f"'DataCloneError|25|{message}'"


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("const b = new Uint8Array([1, 2]).buffer; const c = structuredClone({ b }, { transfer: [b] }); return [b.detached, new Uint8Array(c.b)].join()", "true,1,2"),
        ("const u = new Uint8Array([1, 2]); const c = structuredClone(u, { transfer: [u.buffer] }); return [u.length, c].join()", "0,1,2"),
        ("const b = new ArrayBuffer(2, { maxByteLength: 4 }); const c = structuredClone(b, { transfer: [b] }); return [c.resizable, c.maxByteLength].join()", "true,4"),
        ("const b = new ArrayBuffer(8); structuredClone(1, { transfer: [b] }); return b.detached", "true"),
        ("const b = new ArrayBuffer(8); try { structuredClone([b, () => 1], { transfer: [b] }) } catch (e) { return e.name + b.detached }", "DataCloneErrorfalse"),
        ("const b = new ArrayBuffer(8); try { structuredClone(b, { transfer: [b, b] }) } catch (e) { return e.name + b.detached }", "DataCloneErrorfalse"),
        ("const b = new ArrayBuffer(8); b.transfer(); try { structuredClone(1, { transfer: [b] }) } catch (e) { return e.name }", "DataCloneError"),
        (("const b = new ArrayBuffer(2, { maxByteLength: 8 }); const c = structuredClone({ get x() { b.resize(6); new Uint8Array(b)[5] = 9 }, b }, "
         "{ transfer: [b] }); return new Uint8Array(c.b).join()"), "0,0,0,0,0,9"),
        (("const b = new ArrayBuffer(2, { maxByteLength: 8 }); const c = structuredClone({ b, get x() { b.resize(6); new Uint8Array(b)[5] = 9 } }, "
         "{ transfer: [b] }); return new Uint8Array(c.b).join()"), "0,0,0,0,0,9"),
        ("const b = new ArrayBuffer(2); const c = structuredClone({ b, get x() { b.transfer() } }); return c.b.byteLength", "2"),
        ("const m = new WebAssembly.Memory({ initial: 1 }); try { structuredClone(m.buffer, { transfer: [m.buffer] }) } catch (e) { return e.name }", "DataCloneError"),
        ("try { structuredClone(1, { transfer: [{}] }) } catch (e) { return e.name }", "DataCloneError"),
        (("const names = []; for (const a of [[], [1, 5], [1, { transfer: 5 }], [1, { transfer: [5] }], [1, { transfer: {} }]]) "
         "try { structuredClone(...a) } catch (e) { names.push(e.name) } return names.join()"), "TypeError,TypeError,TypeError,TypeError,TypeError"),
    ],
)  # fmt: skip
def test_transfer_moves_buffers_when_all_went_well(value, body, result):
    assert value(f"return String(await (async () => {{ {body} }})())") == f"'{result}'"


def test_the_memory_of_webassembly_is_cloned_as_a_buffer(value):
    body = """
      const memory = new WebAssembly.Memory({ initial: 1, maximum: 2 });
      const fixed = structuredClone(memory.buffer).byteLength;
      return [fixed, structuredClone(new Uint8Array(memory.toResizableBuffer())).length].join();
    """
    assert value(body) == "'65536,65536'"


@pytest.mark.parametrize(
    "build",
    [
        "let it = {}; for (let i = 0; i < 50_000; i++) it = { it };",
        "let it = []; for (let i = 0; i < 50_000; i++) it = [it];",
        "let it = 1; for (let i = 0; i < 50_000; i++) it = new Map([[i, it]]);",
        "let it = new Error(); for (let i = 0; i < 5_000; i++) it = new Error('m', { cause: it });",
    ],
)
def test_depth_does_not_matter(Session, build):  # noqa: N803
    done = Session().run(f"{build} typeof structuredClone(it)")
    assert (done.outcome.result, done.overflow) == ("'object'", False)


def test_a_clone_that_never_ends_ends_with_the_memory(Session):  # noqa: N803
    """A getter that always answers with another object grows the guest's heap, nothing else."""
    with pytest.raises((EOFError, ConnectionError)):
        Session().run(
            "const more = () => ({ get next() { return more() } }); structuredClone(more())",
            limits=Limits(heap_mb=32),
        )


def test_no_proxy_trap_is_called(value):
    body = """
      const calls = [];
      const trap = new Proxy({}, { get: (t, name) => (...args) => { calls.push(name); return Reflect[name](...args) } });
      for (const it of [new Proxy({}, trap), [new Proxy([], trap)], new Map([[new Proxy({}, trap), 1]])]) {
        try { structuredClone(it) } catch (e) { calls.push(e.name) }
      }
      return calls.join()
    """
    assert value(body) == "'DataCloneError,DataCloneError,DataCloneError'"


def test_a_polluted_realm_does_not_reach_it(Session):  # noqa: N803
    session = Session()
    session.run("""
      const bytes = new Uint8Array([1, 2]);
      const source = { a: [1, { b: new Map([[1, new Set([/x/g])]]) }], bytes, date: new Date(5), boxed: Object(1) };
      const evil = () => { throw new Error('reached') };
      for (const proto of [Map, Set, Array, Date, RegExp, ArrayBuffer, Function, Number, String, WeakMap].map((c) => c.prototype)) {
        for (const key of Reflect.ownKeys(proto)) {
          if (key !== 'constructor') try { Object.defineProperty(proto, key, { get: evil, set: evil }) } catch {}
        }
      }
      for (const key of ['0', '1', 'get', 'value', 'below', 'step', 'constructor']) {
        Object.defineProperty(Object.prototype, key, { get: evil, set: evil, configurable: true });
      }
      globalThis.Map = globalThis.Set = globalThis.Object = globalThis.Array = null;
    """)
    assert session.value(
        "const clone = structuredClone(source); clone.a[1] !== source.a[1] && clone.bytes[1] === 2"
    ) == ("true")


def test_clones_survive_a_snapshot(Session):  # noqa: N803
    first = Session()
    first.run(
        "const copy = structuredClone({ at: new Date(5), error: new RangeError('m'), map: new Map([[1, 2]]) }); 0"
    )
    second = Session(first.snapshot())
    assert second.value("[+copy.at, copy.error.message, copy.map.get(1)].join()") == "'5,m,2'"
