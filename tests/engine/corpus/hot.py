"""Hot code: what V8 learns, optimizes, gives up again and replaces on the stack must not show."""

from __future__ import annotations

SCRIPTS: dict[str, list[str]] = {
    "hot code": [
        "function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) } let total = 0",
        "for (let i = 0; i < 200_000; i++) total = (total * 31 + i) | 0; total += fib(18)",
        "for (let i = 0; i < 50_000; i++) total = (total + fib(3)) | 0; total",
    ],
    "deoptimized code": [
        "const add = (a, b) => a + b; let acc = 0; for (let i = 0; i < 50_000; i++) acc = add(acc, i)",
        "let text = ''; for (let i = 0; i < 300; i++) text = add(text, i % 10)",
        "[acc, text.length]",
    ],
    "WebAssembly, used and dropped": [
        """const bytes = Uint8Array.fromBase64('AGFzbQEAAAABBwFgAn9/AX8DAgEABwcBA2FkZAAACgkBBwAgACABags=');
            WebAssembly.validate(bytes)""",
        "const sum = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.add(40, 2)",
        "sum + (await WebAssembly.instantiate(bytes)).instance.exports.add(1, 1)",
    ],
    "variables of the script that are hot": [
        """let n = 0, d = 0.5, s = '', flip = true; const once = 5;
            function step() { n += once; d = d * 1.0001 + n % 3; flip = !flip }
            for (let i = 0; i < 40_000; i++) step()""",
        "n = 2 ** 31 - 20; for (let i = 0; i < 20_000; i++) step(); const past = n",
        """d = 'text'; step(); n = 10n; let refused; try { step() } catch (e) { refused = e.message; e.stack }
            n = 1.5; d = 0; for (let i = 0; i < 20_000; i++) step()""",
        "s += n; [past, n, d, s, flip, refused]",
    ],
    "variables of closures that change their type when hot": [
        """const made = Array.from({ length: 4 }, (_, k) => { let value = k, count = 0;
            return { add: (x) => { count++; value += x; return value }, get: () => value, count: () => count } });
            for (let i = 0; i < 20_000; i++) made[i % 4].add(1)""",
        "made[0].add(0.5); made[1].add(2 ** 40); made[2].add('s'); for (let i = 0; i < 4_000; i++) made[i % 2].add(1)",
        "made[3].add(-1 / 0); for (let i = 0; i < 2_000; i++) made[2].add('')",
        "made.map((m) => [m.get(), m.count()].join(':')).join()",
    ],
    "loops replaced on the stack": [
        """let out = []; { let x = 1, y = 0.5, z = [];
            for (let i = 0; i < 60_000; i++) { x = (x * 1103515245 + 12345) & 0x7fffffff; y += x / 2 ** 31;
            if (i % 20_000 === 0) z.push(() => x + i) } out.push(x, y, ...z.map((f) => f())) }""",
        """outer: for (let i = 0; i < 400; i++) { for (let j = 0; j < 400; j++) { if (j === i) continue outer;
            if (i * j > 100_000) break outer; out[0] = (out[0] + i ^ j) | 0 } }""",
        """let k = 0; do { k++; try { if (k % 5_000 === 0) throw k; switch (k & 3) { case 0: out[1] += 1;
            case 1: out[1] -= 0.25; break; default: out[1] *= 1.0000001 } } catch (e) {
            out.push(e) } } while (k < 20_000)""",
        "out.join()",
    ],
    "sites that see one shape, then few, then many": [
        """const get = (o) => o.v, set = (o, v) => { o.v = v }, call = (o, x) => o.f(x);
            const shapes = Array.from({ length: 12 }, (_, i) => { const o = {};
            for (let k = 0; k < i; k++) o['k' + k] = k; o.v = i; o.f = (x) => x + i; return o }); let total = 0;
            for (let i = 0; i < 10_000; i++) total += get(shapes[0])""",
        "for (let i = 0; i < 10_000; i++) { total += get(shapes[i % 3]); set(shapes[i % 2], i) }",
        """for (let i = 0; i < 20_000; i++) { total += call(shapes[i % 12], 1);
            set(shapes[i % 12], i % 7 ? i : i / 2) }
            total += get({ get v() { return 7 } }) + get(new Proxy({},
            { get: () => 3 })) + get('text'.split('')) * 0 || 0""",
        "[total, shapes.map(get).join(), get({ __proto__: { v: 'inherited' } }), get(5)]",
    ],
    "keyed access of every kind": [
        """const at = (o, k) => o[k], put = (o, k, v) => { o[k] = v };
            const array = [1, 2, 3], object = { a: 1, 0: 'zero' }, typed = new Float32Array(4), text = 'hey';
            let seen = 0; for (let i = 0; i < 10_000; i++) { seen += at(array, i % 3); put(typed, i & 3, i / 3) }""",
        """const keys = ['a', 0, '0', 1.5, -1, 'length', Symbol.iterator, 2 ** 32, '1'];
            const all = keys.map((k) => [array, object, typed, text].map((o) => typeof at(o, k)).join(''));
            for (let i = 0; i < 5_000; i++) put(array, i % 40, i % 3 ? i : 'x')""",
        """put(array, 500, 1); put(object, 'a', 2); put(typed, 9, 1); put(typed, '0.5', 1);
            for (let i = 0; i < 3_000; i++) put(object, 'k' + (i % 300), i)""",
        "[seen, all.join(), array.length, Object.keys(object).length, typed.join(), at(object, 'k299')]",
    ],
    "code that is optimized for what then changes": [
        """class V { constructor(x) { this.x = x } plus(o) { return new V(this.x + o.x) } } let v = new V(0);
            const one = new V(1); for (let i = 0; i < 30_000; i++) v = v.plus(one)""",
        """V.prototype.plus = function (o) { return new V(this.x - o.x) };
            for (let i = 0; i < 10_000; i++) v = v.plus(one); one.x = 0.5;
            for (let i = 0; i < 10_000; i++) v = v.plus(one)""",
        """Math.imul = (a, b) => a - b; let w = 5; const mul = () => { w = Math.imul(w, 3) };
            for (let i = 0; i < 10_000; i++) mul(); const own = new V('s'); own.plus = () => 'own';
            Object.freeze(one)""",
        "[v.x, w, own.plus(), v.plus({ x: '!' }).x]",
    ],
    "objects that live in registers until they must not": [
        """const kept = []; function swap(a, b, keep) { const pair = { first: b, second: a, list: [a, b] };
            if (keep) kept.push(pair); return pair.first - pair.second + pair.list.length } let sum = 0;
            for (let i = 0; i < 40_000; i++) sum += swap(i, i + 1, i === 39_000)""",
        """sum += swap('a', {}, true) || 0;
            function spread(...all) { const [x, ...rest] = all, { length, 0: y = 9 } = rest; return x + y + length }
            for (let i = 0; i < 20_000; i++) sum += spread(i, 1, 2) % 3""",
        """function args() { const inner = () => arguments[0]; if (arguments.length > 2) kept.push(arguments);
            return inner() } for (let i = 0; i < 20_000; i++) sum += args(i % 2, 1); args(1, 2, kept);
            kept[0].list.push('late')""",
        "[sum, kept.length, JSON.stringify(kept[0]), kept.at(-1).length]",
    ],
    "integers that overflow when hot": [
        """const ops = { add: (a, b) => a + b, mul: (a, b) => a * b, sub: (a, b) => a - b, shl: (a, b) => a << b,
            shr: (a, b) => a >>> b, div: (a, b) => a / b, mod: (a, b) => a % b, or: (a, b) => a | b, neg: (a) => -a,
            inc: (a) => ++a }; const results = {};
            for (const k in ops) for (let i = 0; i < 4_000; i++) results[k] = ops[k](i & 15, (i & 7) + 1)""",
        """const hard = [0, -0, 2 ** 31 - 1, -(2 ** 31), 2 ** 32, 2 ** 53, NaN, 1e300, -1, 0.1]; const table = {};
            for (const k in ops) table[k] = hard.flatMap((a) => [ops[k](a, -1), ops[k](a, 33), ops[k](a, 0),
            ops[k](a, a)]).map((x) => (Object.is(x, -0) ? '-0' : x))""",
        """for (const k in ops) for (let i = 0; i < 4_000; i++) results[k] = ops[k](hard[i % 10], i % 3);
            const text = ops.add('1', 2) + ops.mul('3', '4') + ops.or(null, '5') + ops.sub([], {})""",
        "[JSON.stringify(table), Object.values(results).join(), text]",
    ],
    "sorting with comparators that are hot": [
        """const records = Array.from({ length: 800 },
            (_, i) => ({ k: (i * 7919) % 13, t: 't' + ((i * 31) % 50), i })); let compared = 0;
            const by = (a, b) => { compared++; return a.k - b.k }; for (let r = 0; r < 8; r++) records.toSorted(by)""",
        """records.sort(by); const stable = records.every((r,
            i) => i === 0 || records[i - 1].k < r.k || records[i - 1].i < r.i);
            const byText = records.toSorted((a, b) => (a.t < b.t ? -1 : a.t > b.t ? 1 : 0)).map((r) => r.i)""",
        """const wild = records.map((r) => r.i).sort((a, b) => ((a * b) % 3) - 1),
            numbers = Float64Array.from(records, (r) => Math.sin(r.i)).sort(), mixed = [3, 'b', undefined, , null,
            1n, -1, 'a', NaN, true].sort(); let thrown;
            try { records.sort(() => { if (++compared % 100 === 0) throw compared; return 1 }) } catch (e) {
            thrown = e }""",
        "[stable, compared, thrown, byText.join(), wild.join(), numbers[0], mixed.map(String).join(), records[5].i]",
    ],
    "regular expressions that are hot": [
        r"""const word = /([a-z]+)(\d*)/gi, sticky = /a|b/y, lines = Array.from({ length: 300 },
            (_, i) => `Key${i}=va-lue ${i * 17} é${i}`); let count = 0;
            for (const line of lines) for (const m of line.matchAll(word)) count += m[1].length + m.index""",
        """word.lastIndex = 3; const at = [];
            for (let i = 0; i < 200; i++) { if (!word.test(lines[i])) word.lastIndex = 0;
            if (i % 50 === 0) at.push(word.lastIndex) } sticky.lastIndex = 2;
            at.push(sticky.test('xxab'), sticky.lastIndex, sticky.test('xxab'), sticky.test('xxab'),
            sticky.lastIndex)""",
        r"""const replaced = lines.map((l) => l.replace(/(?<k>\w+)=(?<v>[^ ]+)/u, '$<v>:$<k>')).join();
            const split = lines.join(';').split(/[;=](?=v)/);
            for (let i = 0; i < 3_000; i++) count += /^Key\d{1,2}=/.test(lines[i % 300]);
            const sets = /[\p{L}--[a-z]]/v.exec('abcé')""",
        """[count, at.join(), replaced.length, split.length, sets[0], word.lastIndex, RegExp.$1, RegExp.lastMatch,
            RegExp['$`'].length]""",
    ],
    "generators, getters and destructuring that are hot": [
        """function* range(n) { for (let i = 0; i < n; i++) { const sent = yield i; if (sent) i += sent } }
            let sum = 0; for (let r = 0; r < 300; r++) for (const x of range(30)) sum += x;
            const open = range(10_000); for (let i = 0; i < 3_000; i++) open.next(i % 2)""",
        """class T { #n = 0; get next() { return ++this.#n } set next(v) { this.#n = v }
            static of(n) { const t = new T(); t.next = n; return t } } const t = T.of(5);
            for (let i = 0; i < 20_000; i++) { t.next; if (i % 9_999 === 0) t.next = i }
            const { next, ...others } = t""",
        """const swap = ([a, b = 4, ...c], { d: { e = 1 } = {}, ...f } = {}) => [b, a, c.length, e,
            Object.keys(f).length]; let last;
            for (let i = 0; i < 5_000; i++) last = swap(i % 2 ? [i] : [1, undefined, 3, 4],
            i % 3 ? { d: { e: i }, g: 1 } : undefined)""",
        "[sum, open.next().value, t.next, next, last.join(), Object.keys(others).length]",
    ],
    "try and finally that are hot": [
        """let entered = 0, left = 0, caught = 0;
            function risky(i) { entered++; try { if (i % 3 === 0) throw i; if (i % 5 === 0) return 'early';
            return 'end' } catch (e) { caught += e; return 'caught' } finally { left++;
            if (i % 7 === 0) caught -= 1 } } const kinds = {};
            for (let i = 0; i < 20_000; i++) { const k = risky(i); kinds[k] = (kinds[k] ?? 0) + 1 }""",
        """function over(i) { for (;;) { try { if (i % 2) break;
            return 'try' } finally { if (i % 4 === 0) return 'finally'; left++ } } return 'behind' }
            for (let i = 0; i < 10_000; i++) { const k = over(i); kinds[k] = (kinds[k] ?? 0) + 1 }""",
        r"""const errors = []; function fails(o) {
            try { return o.a.b } catch (e) { if (errors.length < 3) errors.push(e.message + e.stack.split('\n')[1]);
            return 0 } } for (let i = 0; i < 8_000; i++) fails(i % 1_000 === 999 ? null : i % 500 ? {
            a: { b: 1 } } : {})""",
        "[entered, left, caught, JSON.stringify(kinds), errors.join('\\n')]",
    ],
    "text built and taken apart by hot code": [
        """const hash = (s) => { let h = 5381; for (let i = 0; i < s.length; i++) h = (h * 33) ^ s.charCodeAt(i);
            return h >>> 0 }; const spell = (n) => { let s = ''; while (n > 0) { s = 'abcdefghij'[n % 10] + s;
            n = (n / 10) | 0 } return s }; let h = 0;
            for (let i = 0; i < 5_000; i++) h = (h + hash(spell(i * 7))) | 0""",
        """const counts = new Map();
            for (let i = 0; i < 8_000; i++) { const k = spell(i % 700).padStart(4, '.').slice(1);
            counts.set(k, (counts.get(k) ?? 0) + 1) } const odd = [...counts].filter(([, n]) => n % 2).length""",
        """const wide = (s) => s.replace(/[aeiou]/g, (c) => c.toUpperCase() + '́').normalize('NFC'); let w = '';
            for (let i = 0; i < 1_000; i++) w = wide(spell(i * 99)); const codes = [];
            for (const c of '𝒳y€' + w) codes.push(c.codePointAt(0));
            const tpl = (n) => `${n}:${n % 2 ? 'odd' : `even ${n / 2}`}`; let t = '';
            for (let i = 0; i < 3_000; i++) t = tpl(i)""",
        "[h, counts.size, odd, w, codes.join(), t, hash(w + t)]",
    ],
    "bits, hashes and Math at full speed": [
        """function xorshift(seed) { let x = seed | 0; return () => { x ^= x << 13; x ^= x >>> 17; x ^= x << 5;
            return x >>> 0 } } const next = xorshift(2463534242); let acc = 0;
            for (let i = 0; i < 60_000; i++) acc = (acc + next()) % 4294967291""",
        """const table = new Int32Array(256).map((_, i) => {
            for (let k = 0; k < 8; k++) i = i & 1 ? (i >>> 1) ^ 0xedb88320 : i >>> 1; return i });
            const crc = (bytes) => { let c = -1; for (const b of bytes) c = table[(c ^ b) & 255] ^ (c >>> 8);
            return ~c >>> 0 }; const bytes = Uint8Array.from({ length: 20_000 }, next);
            const sums = [crc(bytes), crc([1, 2, 3])]""",
        """let f = 0; for (let i = 1; i < 8_000;
            i++) f += Math.sqrt(i) * Math.sin(i) + Math.tanh(1 / i) - Math.log2(i) + Math.fround(i / 3) + Math.hypot(i,
            1) + Math.clz32(i) + Math.round(-i / 2) + Math.sign(-i) + Math.min(i,
            -0) + Math.f16round(i / 7) + i ** 0.37""",
        "[acc, sums.join(), f, next(), Math.max(), Object.is(Math.round(-0.2), -0), Math.atan2(-0, -1)]",
    ],
    "Maps and Sets that are hot": [
        """const m = new Map(), s = new Set(); const k = Array.from({ length: 50 }, (_, i) => ({ i }));
            for (let i = 0; i < 30_000; i++) {
            const key = i % 3 === 0 ? i % 500 : i % 3 === 1 ? 'k' + (i % 400) : k[i % 50];
            m.set(key, (m.get(key) ?? 0) + 1); if (i % 11 === 0) m.delete(key); s.add(i % 1_000 / 2) }""",
        """for (let i = 0; i < 900; i++) s.delete(i / 2);
            m.set(NaN, 'nan').set(-0, 'zero').set(0.1 + 0.2, 'sum').set(2n ** 70n, 'big').set(2n ** 70n,
            'again').set(1, 'int').set(1.0, 'same')""",
        """let total = 0; for (let r = 0; r < 40; r++) for (const [key,
            v] of m) total += typeof v === 'number' ? v : key === 1;
            const order = [...m.keys()].slice(-9).map(String); s.forEach((x) => { if (x < 480) s.delete(x) })""",
        """[m.size, s.size, total, order.join(), m.get(0), m.get(0.30000000000000004), [...s].slice(0, 3).join(),
            m.get(k[7])]""",
    ],
    "big integers that are hot": [
        """let a = 1n, b = 1n, low = 0n; for (let i = 0; i < 3_000; i++) { [a, b] = [b, (a + b) % 1_000_000_007n];
            low = BigInt.asUintN(64, low * 6364136223846793005n + 1442695040888963407n) }
            const fact = (n) => (n < 2n ? 1n : n * fact(n - 1n)); const f = fact(300n)""",
        """for (let i = 0; i < 5_000; i++) low = BigInt.asIntN(64, (low << 7n) ^ (low >> 3n) ^ BigInt(i));
            const shifted = f >> 900n, neg = -f / 3n ** 200n; const parsed = BigInt('0x' + 'f'.repeat(60)) ** 3n""",
        """const mixed = [low < 5, 2n == 2, 3n > 2.5, 10n ** 20n > 1e20, f.toString(36).length, Number(f),
            BigInt(2 ** 60), typeof Object(1n), (-7n) % 4n, -7n / 2n, 5n & -2n]""",
        "[a, low, shifted, neg, parsed.toString(16).length, BigInt.asIntN(10, f + 5n)].concat(mixed).join()",
    ],
}
