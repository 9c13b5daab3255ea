"""Numbers, text and time: every bit of a float, every order of a string."""

from __future__ import annotations

SCRIPTS: dict[str, list[str]] = {
    "float arithmetic": [
        """let sum = 0; for (let i = 1; i < 20_000;
            i++) sum += Math.sin(i) * Math.exp(-i / 1e4) + Math.cbrt(i) + Math.atan2(i, 3)""",
        "sum = sum % 1e6",
        "sum",
    ],
    "big integers": ["let big = 2n ** 200n", "big = big * 3n - 1n", "(big % 1_000_000_007n).toString()"],
    "clock": [
        "const t0 = Date.now(), p0 = performance.now()",
        "const t1 = new Date(); const stamps = Array.from({ length: 50 }, () => Date.now())",
        "[t0 <= +t1, stamps.join(), p0, t1.toISOString()]",
    ],
    "randomness": [
        "const drawn = Array.from({ length: 20 }, Math.random)",
        "drawn.push(Math.random())",
        "drawn.join()",
    ],
    "regular expressions": [
        "const re = /(?<word>\\w+)-(\\d+)/g; const text = 'ab-1 cd-22'",
        "const found = [...text.matchAll(re)].map((m) => m.groups.word + m[2])",
        "[found.join(), re.lastIndex]",
    ],
    "locale and time zone": [
        """const shown = [(1234567.891).toLocaleString(), new Date(0).toLocaleString(),
            new Intl.DateTimeFormat().resolvedOptions().timeZone]""",
        "shown.push(['ä', 'a', 'z'].sort((a, b) => a.localeCompare(b, 'de')).join())",
        "shown.join('|')",
    ],
    "dates and times of Temporal": [
        "const first = String(Temporal.Now.instant()), zone = Temporal.Now.timeZoneId()",
        """const due = Temporal.Now.plainDateTimeISO('America/New_York').add({ months: 1, days: 1 }).toString({
            smallestUnit: 'minute' })""",
        """[first, zone, due, String(Temporal.Now.zonedDateTimeISO()),
            String(Temporal.Instant.fromEpochMilliseconds(Date.now()))]""",
    ],
    "the bits of Math": [
        """const names = Object.getOwnPropertyNames(Math).filter((n) => typeof Math[n] === 'function' && n !== 'random');
            const inputs = [0, -0, 1, -1, 0.5, 1e-300, 1e300, 709.7, Math.PI, 2 ** 53 + 2, -7.25, 1 / 3, NaN,
            Infinity, 4294967295.5]; const bits = new BigUint64Array(1), float = new Float64Array(bits.buffer);
            let hash = 7n; const fold = (x) => { float[0] = x;
            hash = BigInt.asUintN(64, (hash ^ (Object.is(x, NaN) ? 1n : bits[0])) * 1099511628211n) }""",
        """const table = {}; for (const n of names) { hash = 7n;
            for (const a of inputs) for (const b of inputs) fold(Math[n](a, b)); table[n] = hash }""",
        """const all = { ...table }; for (let r = 0; r < 12; r++) for (const n of names) { hash = 7n;
            for (const a of inputs) for (const b of inputs) fold(Math[n](a, b));
            if (hash !== table[n]) all[n] = 'changed when hot' } hash = 7n;
            for (let i = 0; i < 4_000; i++) { fold(i ** 0.5); fold(1.1 ** i); fold((i - 2_000) % 7.3);
            fold(Math.exp(i / 100)) }""",
        "Object.entries(all).map((e) => e.join('=')).join() + hash",
    ],
    "numbers written and read": [
        """const xs = [0.1, 1 / 3, 1e21, 1e-7, 123456789012345680000, 5e-324, 1.7976931348623157e308, -0, 0.000001,
            4.35, 1.005, 2 ** 31, 1e100, 255.999, -1.5];
            const texts = xs.map((x) => [x, x.toFixed(2), x.toPrecision(3), x.toExponential(4),
            x.toString(2).slice(0, 40), x.toString(36)].join(' '))""",
        r"""const read = ['1e3', ' 12 ', '0x1f', '0b101', '1_000', '', '.5.', 'Infinityx', '-0', '1e400',
            '9'.repeat(30), '٣', '\u00a07'].map((t) => [Number(t), parseFloat(t), parseInt(t),
            parseInt(t, 36)].join('/'))""",
        """let walk = 0.1; const path = [];
            for (let i = 0; i < 5_000; i++) { walk = +(walk * 1.37).toPrecision(12) % 1_000;
            if (i % 1_000 === 0) path.push(String(walk)) } const cached = [];
            for (let i = 0; i < 2_000; i++) cached[i % 10] = String(i / 8)""",
        r"""[...texts, ...read, ...path, cached.join(), Number.EPSILON, (25).toString(36), (0.1).toFixed(20),
            Number('1e-400')].join('\n')""",
    ],
    "very large integers": [
        "let big = 3n ** 5_000n; const low = big & ((1n << 64n) - 1n), high = big >> 7_800n, neg = ~big",
        """big = big * big + 1n; const text = big.toString(), digits = [...text].reduce((s, d) => s + +d, 0);
            const root = ((n) => { let x = 1n << 8_000n; for (;;) { const y = (x + n / x) >> 1n;
            if (y >= x) return x; x = y } })(big)""",
        """const gcd = (a, b) => (b ? gcd(b, a % b) : a); const shared = gcd(big - 1n, 3n ** 900n * 7n);
            const powered = ((b, e, m) => { let r = 1n;
            for (; e; e >>= 1n, b = b * b % m) if (e & 1n) r = r * b % m; return r })(7n, big >> 14_000n,
            (1n << 521n) - 1n); const arrays = new BigInt64Array([low - (1n << 63n), -1n]),
            parsed = BigInt('-' + text.slice(0, 0) + '0'.repeat(3) + '12'.repeat(900)) || 0n""",
        """[low, high, digits, text.length, root === 3n ** 5_000n, shared.toString().length, powered % 1_000_003n,
            arrays.join(), (neg + 1n) === -(3n ** 5_000n), (parsed % 997n)].join()""",
    ],
    "text compared, normalized, taken apart": [
        r"""const words = ['zebra', 'Äpfel', 'apfel', 'Zoo', 'éclair', 'eclair', 'e\u0301clair', 'ß', 'ss', '10',
            '9', 'ﬁ', 'Å', 'Å', '한국', 'ｱ', '😀', '\ud83d', ''], orders = {}; orders.plain = words.toSorted();
            orders.local = words.toSorted((a, b) => a.localeCompare(b));
            orders.de = words.toSorted((a, b) => a.localeCompare(b, 'de', { numeric: true, sensitivity: 'base' }));
            orders.sv = words.toSorted((a, b) => a.localeCompare(b, 'sv'))""",
        """const forms = words.map((w) => ['NFC', 'NFD', 'NFKC',
            'NFKD'].map((f) => w.normalize(f).length).join('')),
            cases = words.map((w) => w.toUpperCase() + w.toLowerCase() + w.toLocaleUpperCase('tr') + 'I'.toLocaleLowerCase('tr'))""",
        """for (let i = 0; i < 500; i++) words.sort((a, b) => a.localeCompare(b));
            const ops = 'The quick brown fox';
            const taken = [ops.at(-3), ops.substring(9, 4), ops.substr(-3, 2), ops.slice(-9, -4),
            ops.split(/(o)/).join('|'), ops.padStart(25, 'ab'), ops.lastIndexOf('o', 15), ops.search(/[a-c]/),
            ops.replace('quick', "$&$'$`$$"), ops.codePointAt(4), ops.concat(1, null), ops.match(/o/g).length,
            'a-b_c'.split(/[-_]/, 2).join(), 'ab'.localeCompare('aB'), ops.anchor('x')]""",
        "[JSON.stringify(orders), forms.join(), cases.join(), taken.join('\\n'), words.join()]",
    ],
    "regular expressions and where they stand": [
        r"""const g = /a(?<n>\d)?/dgi, y = /\w/y, u = /\p{Lu}|./gu, v = /[\w--\d]/gv,
            dup = /(?<y>\d{4})-\d\d|\d\d-(?<y>\d{4})/; const text = 'a1A2a 😀é'; g.exec(text); y.lastIndex = 1;
            y.test(text); u.exec(text); u.exec(text)""",
        """const second = g.exec(text), state = [g.lastIndex, y.lastIndex, u.lastIndex];
            class Logged extends RegExp { static runs = 0; exec(s) { Logged.runs++; return super.exec(s) } }
            const logged = new Logged('a', 'g'); const walk = 'a1a2a3'.matchAll(g); walk.next(); g.lastIndex = 99;
            Object.defineProperty(y, 'lastIndex', { value: 2, writable: false }); RegExp.input""",
        """const third = [text.replace(logged, (m, at) => m + at), Logged.runs, g.test(text), g.lastIndex,
            walk.next().value?.index, dup.exec('12-2024').groups.y]; let refused;
            try { y.test('   ') } catch (e) { refused = e.message; e.stack } g.compile('b+', 'g');
            for (let i = 0; i < 4_000; i++) v.test(text);
            third.push(v.lastIndex, RegExp.$1, RegExp.lastParen, RegExp.rightContext)""",
        r"""[second.indices[0].join(), second.groups.n, state.join(), third.join('|'), refused, g.source, g.flags,
            String(logged), RegExp.lastMatch, u.exec(text)[0], u.lastIndex, text.split(/(?<=\d)/).length]""",
    ],
    "dates and the clock": [
        """const d = new Date(), t = Date.now(), local = new Date(2024, 1, 29, 12),
            parsed = ['2024-02-30', '2024-02-29T12:00Z', 'Feb 29 2024 1:2:3 GMT+2', '12/25/1995', '2024-13-01',
            '+012345-01-01T00:00:00Z'].map((x) => Date.parse(x)); const invalid = new Date(NaN);
            const p = performance.now()""",
        """d.setFullYear(2020, 11, 31); d.setHours(25, 61, 61, 1_001); local.setMonth(12);
            const texts = [local, d].map((x) => [x.toString(), x.toUTCString(), x.toLocaleString(),
            x.toLocaleDateString('de-DE', { weekday: 'long' }), x.toISOString(), x.toJSON(), x.getTimezoneOffset(),
            x.getDay()].join(' '))""",
        """const reads = []; for (let i = 0; i < 3_000; i++) { const now = Date.now();
            if (now !== reads.at(-1)) reads.push(now) }
            const passed = performance.now() - p, since = Date() + new Date().getYear();
            Date.prototype.extra = () => 'x';
            class Day extends Date { get tag() { return this.toISOString().slice(0, 10) } } const day = new Day(0)""",
        r"""[+d, t <= +d || t > 0, parsed.join(), String(invalid), texts.join('\n'), reads.length > 0, passed >= 0,
            since, day.tag, day.extra(), Date.UTC(1999, 1), new Date(8.64e15 + 1).getTime()]""",
    ],
    "texts of any value": [
        r"""const values = [undefined, null, -0, 1e21, NaN, 10n, Symbol('s'), 'q\'"`', [1, [2, [3, [4]]], ,],
            { a: { b: { c: { d: 1 } } } }, new Map([[{ k: 1 }, new Set([1])]]), new Date(0), /x/g, () => {},
            class A {}, new (class B { c = 1 })(), Object.create(null), new Proxy({ p: 1 }, {}), Promise.resolve(1),
            new WeakMap(), new Uint8Array(3), new ArrayBuffer(2), Object(1), Object('s'),
            (function () { return arguments })(1), globalThis.Math, new URL('http://x/'), [1.5, , 'x'],
            Object.assign([1], { k: 2 }), { get g() { return 1 }, set s(v) {} }, (function* () {})(),
            new Map().entries(), new Error('e').stack.split('\n')[0]];
            for (const v of values) console.log(v, '%s', v)""",
        """console.dir(values, { depth: 5, showHidden: true }); console.table(values.slice(0, 9));
            const long = 'x'.repeat(20_000), wide = Array.from({ length: 300 }, (_, i) => i), nested = [];
            let at = nested; for (let i = 0; i < 200; i++) at = at[0] = [i, 'n']""",
        """console.log('%s|%d|%i|%f|%j|%o|%O|%c|%%', ...values.slice(0, 8)); console.log(long);
            console.log(wide, nested); values.self = values; nested.wide = { wide, values }""",
        "({ values, long, wide, nested })",
    ],
    "the older parts of the language": [
        """const kinds = [Int8Array, Uint16Array, Int16Array, Int32Array, Uint8ClampedArray, BigInt64Array,
            BigUint64Array].map((Kind) => new Kind(2)); const view = new DataView(kinds[1].buffer);
            view.setUint16(2, 513, true)""",
        """kinds[4][0] = 300; kinds[5][1] = BigInt(-5); Atomics.add(kinds[3], 1, 7);
            const uris = [encodeURI('ä b/'), encodeURIComponent('ä b/'), decodeURI('%C3%A4'),
            decodeURIComponent('%2F'), escape('ä'), unescape('%E4')]""",
        """const classes = [EvalError, ReferenceError, SyntaxError, SuppressedError].map((Kind) => {
            const error = new Kind('m'); error.stack; return error });
            await using stack = new AsyncDisposableStack(); stack.defer(async () => uris.push('disposed'))""",
        """const registry = new FinalizationRegistry(() => uris.push('never')); registry.register(classes, 1);
            console.log(kinds, classes, registry);
            [uris.join(), isFinite('1'), isNaN('x'), parseFloat('1.5x'), parseInt('0x1f'), Number('12'),
            Boolean(''), Reflect.ownKeys(kinds[0]).length, -Infinity, typeof undefined]""",
    ],
}
