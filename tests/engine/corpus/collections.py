"""Maps, Sets and their weak kin: order, holes after deletions, iterators under way, hashes of every kind of key."""

from __future__ import annotations

SCRIPTS: dict[str, list[str]] = {
    "map and set": [
        "const m = new Map([['a', 1]]), s = new Set([3, 1])",
        "m.set('b', 2).delete('a'); s.add(2).delete(3); m.set(s, m)",
        "[[...m.keys()].length, [...s].join(), m.get(s) === m]",
    ],
    "weak collections": [
        "const key = {}; const wm = new WeakMap([[key, 'held']]); const ws = new WeakSet([key])",
        "wm.set(key, wm.get(key) + '!')",
        "[wm.get(key), ws.has(key), new WeakRef(key).deref() === key]",
    ],
    "sorting and order": [
        "const order = Array.from({ length: 300 }, (_, i) => ({ k: (i * 31) % 7, i })).sort((a, b) => a.k - b.k)",
        "const keys = {}; for (let i = 0; i < 50; i++) keys['k' + ((i * 7) % 50)] = i; delete keys.k5; keys[3] = 1",
        "order.map((x) => x.i).join() + Object.keys(keys).join()",
    ],
    "small floats, base64 and grouping": [
        """const half = Float16Array.of(1 / 3, 70000), bytes = Uint8Array.fromBase64('AQID/w==');
            const groups = Map.groupBy(bytes, (b) => b & 1)""",
        """half[0] += Math.f16round(0.1); const it = Iterator.from(bytes).map((x) => x * 2).filter((x) => x > 2);
            it.next()""",
        """[half.join(), bytes.toHex(), [...it].join(), groups.get(1).join(), RegExp.escape('a-b'),
            Error.isError(half), await Promise.try(() => 5)]""",
    ],
    "Maps that shrank and grew again": [
        """const m = new Map(); for (let i = 0; i < 5_000; i++) m.set('k' + i, i);
            for (let i = 0; i < 5_000; i++) if (i % 16) m.delete('k' + i)""",
        "for (let i = 0; i < 100; i++) m.set('n' + i, -i).delete('k' + i * 16); m.set('k1', 'again')",
        """const order = [...m.keys()]; m.clear(); for (const k of order.slice(0, 40)) m.set(k, k.length);
            m.delete(order[0])""",
        "[order.length, order.slice(-3).join(), [...m].join(), m.size]",
    ],
    "keys of every kind": [
        """const o = { n: 1 }, f = () => 1, s = Symbol('s'), d = new Date(5), keys = [o, f, s, d, 'text', '', 0,
            -0, NaN, 1.5, 2 ** 31, -1, 2 ** 53, 10n, -(2n ** 80n), true, null, undefined, Symbol.iterator,
            Symbol.for('r'), [], 'x'.repeat(500)]; const m = new Map(keys.map((k, i) => [k, i])), st = new Set(keys)""",
        """st.delete(f); st.add(f); m.set(o, 'o'); m.delete(NaN); m.set(NaN, 'nan');
            const cross = [m.get('te' + 'xt'), m.get(0), m.get(10n), m.get(2 ** 31), m.get(-(2n ** 80n)),
            m.get('x'.repeat(500)), m.get(1.5), m.get([])]""",
        """for (let i = 0; i < 300; i++) m.set({ i }, i).set(i + 0.5, i).set(BigInt(i) << 64n, i);
            const missing = keys.filter((k) => !m.has(k)).length""",
        """[cross.join(), missing, m.get(NaN), m.get(o), m.get(s), m.get(299.5), m.get(299n << 64n), st.size,
            [...st].at(-1) === f]""",
    ],
    "objects as keys after many generations": [
        """const keys = Array.from({ length: 700 }, (_, i) => ({ i }));
            const m = new Map(keys.map((k, i) => [k, i])), s = new Set(keys),
            wm = new WeakMap(keys.map((k) => [k, k.i * 2])), ws = new WeakSet(keys)""",
        """for (let i = 0; i < 700; i += 2) { m.delete(keys[i]); s.delete(keys[i + 1]); wm.delete(keys[i + 1]);
            ws.delete(keys[i]) }""",
        """keys.push(...Array.from({ length: 50 }, (_, i) => Object.freeze({ i: 700 + i })));
            for (const k of keys.slice(680)) { m.set(k, 'new'); wm.set(k, 'new'); ws.add(k) } let hits = 0;
            for (let r = 0; r < 20;
            r++) for (const k of keys) hits += m.has(k) + s.has(k) * 2 + (wm.get(k) === k.i * 2) * 3 + ws.has(k) * 4""",
        """const odd = keys.find((k) => !m.has(k)); m.set(odd, 'found');
            [hits, m.size, s.size, odd.i, m.get(keys[749]), wm.get(keys[749]), [...m.keys()].indexOf(odd)]""",
    ],
    "iterators of a Map that changes under them": [
        """const m = new Map(Array.from({ length: 20 }, (_, i) => [i, 'v' + i]));
            const its = [m.keys(), m.values(), m.entries(), m[Symbol.iterator]()];
            its.forEach((it, n) => { for (let i = 0; i < n * 3; i++) it.next() })""",
        """for (let i = 0; i < 15; i++) m.delete(i); for (let i = 100; i < 200; i++) m.set(i, i);
            const seen = its.map((it) => String(it.next().value))""",
        """m.clear(); m.set('fresh', 1).set('next', 2); seen.push(...its.map((it) => String(it.next().value)));
            const s = new Set([1, 2, 3]); const grow = []; for (const x of s) { grow.push(x);
            if (x < 40) s.add(x + 10); s.delete(x - 10) }""",
        """const set = new Set('abcdef'), si = set.values(); si.next(); set.delete('b'); set.delete('a');
            set.add('a'); [seen.join(), its.map((it) => String(it.next().value)).join(), grow.join(), [...s].join(),
            [...si].join('')]""",
    ],
    "Sets and their methods": [
        """const a = new Set([1, 2, 3, 'x']), b = new Set([3, 'x', 4, {}]);
            const like = { size: 2, has: (x) => (asked.push(x), x === 2), keys: () => [2, 9].values() };
            const asked = []""",
        """const r = [a.union(b), a.intersection(b), a.difference(like), b.symmetricDifference(a), a.union(like)];
            a.add(5)""",
        """r.push(a.isSubsetOf(b), new Set([3]).isSubsetOf(a), a.isSupersetOf(like),
            a.isDisjointFrom(new Set([9]))); r[0].add(-0)""",
        """[r.map((x) => (typeof x === 'object' ? [...x].map(String).join('') : x)).join('|'), asked.join(),
            Object.is([...r[0]].at(-1), 0)]""",
    ],
    "grouped, and made from entries": [
        """const people = Array.from({ length: 60 },
            (_, i) => ({ name: 'n' + i, age: (i * 7) % 30, tags: new Set([i % 3, i % 4]) }));
            const byAge = Map.groupBy(people, (p) => p.age),
            byTag = Object.groupBy(people, (p) => [...p.tags].join())""",
        """byAge.get(7).push(people[0]); delete byTag['0'];
            const nested = new Map([...byAge].map(([k, v]) => [k, new Map(v.map((p) => [p, p.tags]))]))""",
        """for (const inner of nested.values()) for (const [p, tags] of inner) { tags.add(p.age);
            if (p.age % 2) inner.delete(p) }
            const object = Object.fromEntries(new Map([['b', 1], ['a', 2], [1, 3]])),
            back = new Map(Object.entries(object))""",
        """[byAge.size, Object.keys(byTag).join('|'), [...nested.values()].reduce((n, m) => n + m.size, 0),
            [...back].join(), people[9].tags.size, Object.getPrototypeOf(byTag)]""",
    ],
    "weak collections that lead to each other": [
        """const first = { n: 1 }; const chain = new WeakMap();
            { let at = first; for (let i = 2; i < 200; i++) { const next = { n: i }; chain.set(at, next);
            at = next } } const marks = new WeakSet(); let walked = 0;
            for (let at = first; at; at = chain.get(at)) { walked++; if (at.n % 2) marks.add(at) }""",
        """const privates = (() => { const state = new WeakMap();
            return class { constructor(x) { state.set(this, { x, self: this }) }
            get x() { return state.get(this).x++ } } })(); const p = new privates(5); p.x; let odd = 0;
            for (let at = first; at; at = chain.get(at)) odd += marks.has(at)""",
        """{ let at = first; for (let i = 0; i < 100; i++) at = chain.get(at); chain.delete(at) }
            const sym = Symbol('local'); chain.set(sym, [sym, chain]); let refused;
            try { chain.set(Symbol.for('x'), 1) } catch (e) { refused = e.message; e.stack }""",
        """let left = 0; for (let at = first; at; at = chain.get(at)) left++;
            [walked, odd, left, p.x, p.x, chain.get(sym)[0] === sym, refused]""",
    ],
    "WeakRef and FinalizationRegistry": [
        """let target = { big: new Uint8Array(1e5) }; const ref = new WeakRef(target), cleaned = [];
            const registry = new FinalizationRegistry((held) => cleaned.push(held)), token = {};
            registry.register(target, 'held', token); registry.register({}, 'lost'); target = null""",
        """for (let i = 0; i < 50; i++) new Uint8Array(1 << 20); await new Promise((r) => setTimeout(r, 1));
            const alive = ref.deref()?.big.length""",
        """const took = registry.unregister(token), twice = registry.unregister(token);
            const own = new WeakRef(ref.deref()); let refused; try { new WeakRef(1) } catch (e) { refused = e.message;
            e.stack }""",
        "[alive, took, twice, own.deref().big.length, cleaned.length, refused, String(registry), ref.deref() === own.deref()]",
    ],
    "classes that extend collections": [
        """class Counter extends Map { #total = 0;
            add(k) { this.#total++; return super.set(k, (this.get(k) ?? 0) + 1) } get total() { return this.#total }
            static get [Symbol.species]() { return Map } }
            class Tagged extends Set { get [Symbol.toStringTag]() { return 'T' + this.size }
            add(x) { return super.add(`<${x}>`) } }""",
        """const c = new Counter([['a', 5]]); for (const w of 'the cat the dog the'.split(' ')) c.add(w);
            const t = new Tagged(['x']); t.add('y')""",
        """c.extra = t; c.delete('cat');
            Counter.prototype.top = function () { return [...this].sort((a, b) => b[1] - a[1])[0] };
            t.forEach(function (x) { this.push(x) }, c.seen = [])""",
        """[c.total, c.top().join(), String(t), c.seen.join(), Object.prototype.toString.call(c),
            t.union(new Set([1])).constructor.name]""",
    ],
    "iterator helpers under way": [
        """const log = []; function* source() { try { for (let i = 0; ; i++) yield i } finally {
            log.push('closed') } }
            const helped = source().filter((x) => (log.push('f' + x),
            x % 2)).map((x) => x * x).drop(1).take(5).flatMap((x) => [x, -x]); helped.next()""",
        """const second = helped.next().value; const entries = [5, 6, 7].entries().map(([i, x]) => i * x),
            wrapped = Iterator.from({
            i: 0, next() { return { value: this.i++, done: this.i > 4 } } }).map((x) => x + 0.5); entries.next();
            wrapped.next()""",
        r"""log.length = 0; const rest = helped.next().value; helped.return();
            const zipped = new Map([['a', 1], ['b', 2]]).entries(); zipped.next();
            const str = 'a😀b'[Symbol.iterator](); str.next(); const match = 'x1y2z3'.matchAll(/\d/g); match.next()""",
        """[second, rest, log.join(), [...entries].join(), wrapped.reduce((a, b) => a + b), [...zipped].join(),
            [...str].join('|'), [...match].map((m) => m.index).join(), helped.next().done]""",
    ],
    "the global object as a key": [
        """const m = new Map([[globalThis, 1], ['a', 2], ['b', 3]]), s = new Set([globalThis]),
            wm = new WeakMap([[globalThis, 5]]), list = [globalThis, this]; globalThis.own = 1""",
        """const found = [m.get(globalThis), s.has(this), wm.get(globalThis), list.indexOf(globalThis)];
            m.set(globalThis, 'again'); s.add(globalThis); const ws = new WeakSet([this])""",
        """m.delete('a'); for (let i = 0; i < 50; i++) m.set({ i }, i);
            found.push(m.get(globalThis), s.size, ws.has(globalThis), list[0] === list[1])""",
        "[found.join(), m.get(this), wm.get(this), [...s][0].own, m.delete(globalThis), m.size]",
    ],
}
