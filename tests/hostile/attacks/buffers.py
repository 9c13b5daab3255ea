"""ArrayBuffers, typed arrays and other memory outside of V8's heap."""

from __future__ import annotations

from attacks.script import Script, gives, greedy, throws

SCRIPTS: dict[str, Script] = {
    "buffers of a megabyte": greedy("const b = []; for (;;) b.push(new ArrayBuffer(2 ** 20))"),
    "small buffers": greedy("const b = []; for (;;) b.push(new ArrayBuffer(1))", heap_mb=64, is_slow=True),
    "empty buffers": greedy("const b = []; for (;;) b.push(new ArrayBuffer(0))", heap_mb=64, is_slow=True),
    "buffers of a page": greedy("const b = []; for (;;) b.push(new Uint8Array(4096).fill(1))", is_slow=True),
    "one buffer over the limit": greedy("new ArrayBuffer(2 ** 28)"),
    "one buffer of 4 GiB": greedy("new ArrayBuffer(2 ** 32)"),
    "a buffer over V8's own limit": throws("RangeError", "new ArrayBuffer(2 ** 53 - 1)"),
    "a buffer of a negative length": throws("RangeError", "new ArrayBuffer(-1)"),
    "a typed array over the limit": greedy("new Float64Array(2 ** 27)"),
    "a typed array over V8's own limit": throws("RangeError", "new Float64Array(2 ** 53 - 1)"),
    "a resizable buffer that grows": greedy(
        "const b = new ArrayBuffer(0, { maxByteLength: 2 ** 30 }); for (let n = 0; ; n += 2 ** 20) { b.resize(n); new Uint8Array(b).fill(1) }",
        is_slow=True,
    ),
    "a resizable buffer of a huge maximum": throws(
        "RangeError", "new ArrayBuffer(0, { maxByteLength: 2 ** 40 })"
    ),
    "many resizable buffers": greedy(
        "const b = []; for (;;) b.push(new ArrayBuffer(1, { maxByteLength: 2 ** 24 }))", is_slow=True
    ),
    "caught failures": greedy("const k = []; for (;;) try { k.push(new Uint8Array(2 ** 24)) } catch {}"),
    "slices": greedy("let b = new ArrayBuffer(2 ** 20); const l = []; for (;;) l.push(b.slice())"),
    "transfers to more": greedy("let b = new ArrayBuffer(1); for (let n = 1; ; n *= 2) b = b.transfer(n)"),
    "structuredClone": greedy(
        "let b = [new Uint8Array(2 ** 20)]; for (;;) b = [...structuredClone(b), ...b]"
    ),
    "blobs": greedy(
        "let b = new Blob(['x'.repeat(2 ** 20)]); const l = []; for (;;) l.push(new Blob([b, b]))"
    ),
    "a doubling blob": greedy("let b = new Blob(['x'.repeat(1024)]); for (;;) b = new Blob([b, b])"),
    "encoded text": greedy(
        "const l = []; for (;;) l.push(new TextEncoder().encode('€'.repeat(2 ** 18)))", is_slow=True
    ),
    "base64": greedy(
        "const s = btoa('x'.repeat(2 ** 20)), l = []; for (;;) l.push(Uint8Array.fromBase64(s))"
    ),
    "typed arrays over one buffer": greedy(
        "const b = new ArrayBuffer(8), l = []; for (;;) l.push(new Uint8Array(b))", is_slow=True
    ),
    "from an endless iterator": greedy("Uint8Array.from((function* () { for (;;) yield 1 })())"),
    "from a liar": greedy("new Uint8Array({ length: 2 ** 30 })"),
    "sorting with a comparator that detaches": gives(
        "8",
        "const a = new Uint8Array(8); a.sort((x, y) => { try { a.buffer.transfer() } catch {} return x - y }); 8",
    ),
    "a species that answers another array": throws(
        "TypeError",
        """class Mine extends Uint8Array { static get [Symbol.species]() { return function () { return new Uint8Array(0) } } }
        new Mine(100).map((x) => x)""",
    ),
    "fill that resizes in valueOf": gives(
        "16",
        """const b = new ArrayBuffer(1024, { maxByteLength: 1024 }), a = new Uint8Array(b);
        try { a.fill({ valueOf() { b.resize(16); return 1 } }) } catch {} b.byteLength""",
    ),
    "copyWithin that detaches": gives(
        "'TypeError'",
        """const a = new Uint8Array(1024); let told;
        try { a.copyWithin(0, { valueOf() { a.buffer.transfer(); return 512 } }) } catch (e) { told = e.name } told""",
    ),
    "set from itself, shifted": gives(
        "255", "const a = new Uint8Array(256).map((_, i) => i); a.set(a.subarray(1)); a[254]"
    ),
    "DataView past the end": throws(
        "RangeError", "new DataView(new ArrayBuffer(8)).setFloat64(2 ** 53 - 1, 1)"
    ),
    "Atomics on huge indices": throws("RangeError", "Atomics.store(new Int32Array(4), 2 ** 31, 1)"),
    "used and given back": gives(
        "'done'", "for (let i = 0; i < 2_000; i++) new ArrayBuffer(2 ** 20); 'done'", is_slow=True
    ),
    "lengths that change while joined": gives(
        "true",
        """const b = new ArrayBuffer(64, { maxByteLength: 64 }), a = new Uint8Array(b);
        a.join({ toString() { b.resize(1); return '-' } }).length > 0""",
    ),
}
