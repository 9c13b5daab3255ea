"""Memory: buffers and strings near their limits, every form that V8 keeps a string or an array in."""

from __future__ import annotations

SCRIPTS: dict[str, list[str]] = {
    "typed arrays and buffers": [
        "const buffer = new ArrayBuffer(16); const u8 = new Uint8Array(buffer); const f64 = new Float64Array(buffer)",
        "f64[0] = Math.PI; u8[15] = 7",
        "[...u8].join()",
    ],
    "resizable buffer": [
        "const grow = new ArrayBuffer(4, { maxByteLength: 64 }); const view = new Uint8Array(grow)",
        "grow.resize(32); view[31] = 5",
        "[view.length, view.at(-1)]",
    ],
    "large arrays of every kind of element": [
        """const smis = Array.from({ length: 9_000 }, (_, i) => i * 3),
            doubles = Float64Array.from(smis, (x) => x / 7), plain = Array.from(doubles),
            mixed = smis.map((x) => (x % 5 ? x : 'k' + x))""",
        "smis.splice(10, 3_000); plain.sort((a, b) => b - a); mixed.length = 4_000; doubles.reverse()",
        "smis.push(...plain.slice(0, 100)); mixed.unshift(null); plain.copyWithin(5, 100, 4_000)",
        "[smis.length, plain[5], mixed.length, doubles[1], plain.at(-1)]",
    ],
    "ropes, flat and not": [
        """let rope = ''; for (let i = 0; i < 20_000; i++) rope += String.fromCharCode(97 + (i % 26));
            let left = ''; for (let i = 0; i < 3_000; i++) left = (i % 10) + left""",
        "const flat = rope + ''; flat.charCodeAt(5_000); rope += rope; const both = rope + left",
        """const keyed = { [rope.slice(0, 3_000)]: 1, [left]: 2 }; rope += '€'; let doubled = 'ab';
            for (let i = 0; i < 18; i++) doubled += doubled""",
        "[rope.length, both.lastIndexOf('z'), keyed[left], Object.keys(keyed)[0].length, doubled.length, rope.at(-1)]",
    ],
    "slices that share their string": [
        """const whole = Array.from({ length: 50_000 }, (_, i) => 'word' + i).join(' ');
            const parts = whole.split(' ');
            const middle = whole.slice(1_000, 200_000), inner = middle.substring(5, 90_000).trim()""",
        r"""parts.length = 2_000; const kept = [inner.slice(100, 140), inner.slice(50_000)];
            const found = [...inner.slice(0, 4_000).matchAll(/word(\d+)/g)].map((m) => m[1])""",
        """const cut = kept.map((x) => x.slice(3, -3)); const upper = cut[1].toUpperCase();
            parts.push(cut[0] + upper.slice(0, 20))""",
        "[parts.at(-1), inner.length, found.length, upper.length, cut[0] === kept[0].slice(3, -3)]",
    ],
    "strings that become keys": [
        """const made = {}; for (let i = 0; i < 2_000; i++) made['key' + i + 'x'.repeat(i % 50)] = i;
            let name = 'dyn'; name += 'amic'; const holder = { [name]: 1 }""",
        """const long = 'y'.repeat(5_000); holder[long + '1'] = 2; const m = new Map([[long + '1', 3]]);
            const again = 'y'.repeat(4_999) + 'y1'""",
        """for (let i = 0; i < 2_000; i += 3) delete made['key' + i + 'x'.repeat(i % 50)]; const numeric = {};
            for (const k of ['10', '9', '010', '4294967294', '4294967295', '-1', '1.5',
            '1e3']) numeric[k] = k.length""",
        "[Object.keys(made).length, holder[again], m.get(again), Object.keys(numeric).join(), holder.dynamic]",
    ],
    "strings of one byte and of two": [
        """const latin = 'é'.repeat(1_000), wide = '€'.repeat(1_000), pair = '😀'.repeat(500); let mix = latin;
            for (let i = 0; i < 50; i++) mix += i % 2 ? wide[i] : latin[i]""",
        """const narrowed = (wide + latin).slice(1_000), lone = pair.slice(1, 100);
            const table = new Map([[narrowed, 'n'], [lone, 'l'], [mix, 'm']])""",
        "const well = lone.toWellFormed(), order = [mix, wide, latin, pair, lone].sort()",
        """[table.get('é'.repeat(1_000)), lone.isWellFormed(), well.charCodeAt(0),
            order.map((s) => s.length).join(), encodeURIComponent(mix).length]""",
    ],
    "megabytes of text": [
        "let big = 'abcdefghij'.repeat(80_000); const tail = big.slice(-5)",
        """big = big.replaceAll('e', 'EE'); const at = big.indexOf('EEfghijabcdEEf', 500_000);
            const count = big.split('j').length""",
        """big = big.padEnd(1_200_000, 'é') + '€';
            const hash = [...big.slice(0, 50_000)].reduce((h, c) => (h * 31 + c.charCodeAt(0)) | 0, 7)""",
        "[big.length, at, count, tail, hash, big.lastIndexOf('é')]",
    ],
    "buffers near the limit, mostly dropped": [
        """let total = 0; for (let i = 0; i < 8; i++) { const b = new Uint8Array(60 << 20); b[b.length - 1] = i;
            total += b.at(-1) }""",
        """const kept = new Uint8Array(1 << 20).fill(7, 1 << 19, 3 << 18);
            for (let i = 0; i < 3_000; i++) total += new Float64Array(4_000)[i % 4_000] + kept[i << 8]""",
        """const small = Array.from({ length: 500 }, (_, i) => new Uint16Array(i % 9).fill(i));
            for (let i = 0; i < 500; i += 2) small[i] = null""",
        "[total, kept[1 << 19], small.filter(Boolean).length, small[499].join()]",
    ],
    "garbage all the time": [
        """const survivors = [];
            function churn(n) { for (let i = 0; i < n; i++) { const o = { i, list: [i, { i }], text: 'n' + i };
            if (i % 9_973 === 0) survivors.push(o) } }""",
        "churn(120_000)",
        """churn(60_000); const ring = [];
            for (let i = 0; i < 40_000; i++) ring[i % 64] = { i, last: ring[(i + 1) % 64]?.i }""",
        "[survivors.length, survivors.at(-1).text, ring.map((r) => r.i - r.last).join()]",
    ],
    "buffers that grow and shrink under their views": [
        """const buffer = new ArrayBuffer(16, { maxByteLength: 4_096 });
            const tracking = new Uint8Array(buffer), fixed = new Uint16Array(buffer, 4, 4),
            tail = new Int32Array(buffer, 8), data = new DataView(buffer, 2)""",
        """tracking.fill(9); buffer.resize(64); tracking[63] = 1; fixed[0] = 0xbeef; tail[5] = -2;
            const lengths = [tracking.length, fixed.length, tail.length, data.byteLength]""",
        """buffer.resize(6); lengths.push(tracking.length, fixed.length, tail.length, tail.byteOffset);
            let walked = 0; const it = tracking.values(); it.next(); buffer.resize(40);
            for (const x of it) walked += x""",
        """buffer.resize(4_096); lengths.push(fixed.length, tail.length, walked, data.getInt16(2));
            function hot(v) { let s = 0; for (let i = 0; i < v.length; i++) s += v[i]; return s }
            for (let i = 0; i < 200; i++) lengths[20] = hot(tracking); buffer.resize(10);
            lengths[21] = hot(tracking)""",
        "lengths.join()",
    ],
    "buffers given away": [
        """const first = new ArrayBuffer(8), view = new Uint8Array(first); view.set([1, 2, 3]);
            const second = first.transfer(16)""",
        """const third = second.transferToFixedLength(),
            moved = structuredClone({ third, again: new Uint8Array(third, 1, 2) }, { transfer: [third] });
            let failed; try { new Uint8Array(second) } catch (e) { failed = e.name; e.stack }""",
        """const it = new Uint8Array([5, 6]).values(); it.next();
            const grown = new ArrayBuffer(2, { maxByteLength: 8 }).transfer(6); let stale = 0;
            for (let i = 0; i < 20_000; i++) stale += view[i & 7] === undefined""",
        """[first.detached, view.length, second.byteLength, moved.third.byteLength, moved.again.join(), failed,
            it.next().value, grown.resizable, stale]""",
    ],
    "typed arrays of all types over one buffer": [
        """const buffer = new ArrayBuffer(64);
            const types = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Float16Array,
            Int32Array, Uint32Array, Float32Array, Float64Array, BigInt64Array, BigUint64Array];
            const views = types.map((T) => new T(buffer, 0, 2))""",
        """for (const v of views) { v[0] = typeof v[0] === 'bigint' ? -5n : 300.7;
            v[1] = typeof v[1] === 'bigint' ? 2n ** 65n + 3n : -1.5 }""",
        """const data = new DataView(buffer); data.setFloat64(16, -0, true); data.setBigInt64(24, -1n);
            data.setFloat16(32, 1 / 3); const sub = views[1].subarray(1), copy = views[9].slice(),
            from = types.slice(0, 10).map((T) => T.from([1.5, NaN, -1, 1e10]))""",
        """[views.map((v) => v.join()).join('|'), sub.length, copy.join(), from.map((v) => v.join()).join('|'),
            data.getFloat32(30)]""",
    ],
    "atomics without sharing": [
        "const cells = new Int32Array(4), big = new BigInt64Array(2)",
        """Atomics.add(cells, 0, 5); Atomics.compareExchange(cells, 0, 5, 9);
            const old = Atomics.exchange(cells, 1, -1); Atomics.or(cells, 2, 0b1010); Atomics.sub(big, 0, 7n)""",
        """for (let i = 0; i < 30_000; i++) Atomics.xor(cells, 3, i); const told = Atomics.notify(cells, 0, 1);
            let refused; try { Atomics.wait(cells, 0, 9, 1) } catch (e) { refused = e.message; e.stack }""",
        "[cells.join(), big.join(), old, told, refused, Atomics.isLockFree(4)]",
    ],
    "the bits of NaN in an array": [
        """const bits = new Uint32Array(8), floats = new Float64Array(bits.buffer); bits[0] = 1;
            bits[1] = 0x7ff00000; bits[3] = 0xfff80000; bits[2] = 77""",
        "const asNumbers = [floats[0], floats[1]].map((x) => Object.is(x, NaN)); floats[2] = NaN; floats[3] = 0 / 0",
        """const boxed = [NaN, 0.5, -NaN, , 0 / 0]; boxed[3] = undefined;
            for (let i = 0; i < 30_000; i++) boxed[i % 3] = i % 2 ? NaN : i / 4""",
        "[asNumbers.join(), bits[1].toString(16), boxed.join(), boxed.indexOf(NaN), boxed.includes(NaN)]",
    ],
    "sparse arrays": [
        """const sparse = []; sparse[4_000_000_000] = 'far'; sparse[5] = 'near'; sparse[1_000] = 0.5;
            const holes = new Array(100_000); holes[99_999] = 1; holes[3] = 2""",
        """sparse.foo = 'named'; delete sparse[5]; holes.length = 50_000; const dense = holes.filter(() => true);
            Array.prototype[7] = 'inherited'""",
        """const seen = [holes[7], holes.indexOf('inherited'), sparse.length, 7 in sparse];
            delete Array.prototype[7]; sparse.length = 2_000; sparse.push('end')""",
        """[seen.join(), Object.keys(sparse).join(), dense.join(), sparse.reduce((a, x) => a + x, ''),
            holes.findLastIndex((x) => x === 2)]""",
    ],
    "many small things": [
        """const records = []; for (let i = 0; i < 4_000; i++) records.push({ id: i, tag: 't' + (i % 100),
            at: i / 8, on: i % 3 === 0, next: null })""",
        """for (let i = 1; i < records.length; i++) records[i - 1].next = records[i];
            const byTag = Map.groupBy(records, (r) => r.tag)""",
        """for (const [tag, list] of byTag) if (tag.endsWith('7')) for (const r of list) { r.tag = tag.length;
            delete r.on; r.extra = [r.id] }""",
        """let sum = 0; for (let r = records[0]; r; r = r.next) sum += r.at;
            [sum, byTag.size, records.filter((r) => r.extra).length,
            JSON.stringify(records[107], (k, v) => (k === 'next' ? v?.id : v))]""",
    ],
}
