"""Objects and arrays in every form that V8 keeps them in: dictionaries, elements, attributes, orders."""

from __future__ import annotations

SCRIPTS: dict[str, list[str]] = {
    "cycles and shared references": [
        "const a = { name: 'a' }, b = { a }; a.b = b; const both = [a, b, a]",
        "both[0].b.a.name = 'changed'",
        "both[2].name",
    ],
    "prototype pollution": [
        "Object.prototype.polluted = 'yes'; Array.prototype.last = function () { return this[this.length - 1] }",
        "({}).polluted + [1, 2].last()",
        "delete Object.prototype.polluted; String({}.polluted)",
    ],
    "frozen intrinsics": [
        """for (const o of [Object, Array, Map, Promise, Error, Date, Math, JSON]) { Object.freeze(o);
            if (o.prototype) Object.freeze(o.prototype) }""",
        "console.log('still', [1, { a: 2 }])",
        "Object.isFrozen(Array.prototype) && [3, 1, 2].sort().join()",
    ],
    "replaced globals": [
        """globalThis.JSON = null; globalThis.Date = 5; Array.prototype.push = () => { throw 'no' };
            Promise.prototype.then = Promise.prototype.then""",
        "console.log('works'); ({ deep: [1] })",
        "typeof Date + String(JSON)",
    ],
    "objects that become dictionaries": [
        """const many = {}; for (let i = 0; i < 1_500; i++) many['p' + ((i * 37) % 1_500)] = i;
            const few = { a: 1, b: 2, c: 3 }; delete few.a; few.z = 0; few.a = 9""",
        """for (let i = 0; i < 1_500; i += 4) delete many['p' + i]; many.p0 = 'again';
            Object.defineProperty(many, 'hidden', { value: 1 }); many[7] = 'seven'""",
        """const proto = many; const child = Object.create(proto, { own: { value: 2, enumerable: true } });
            const list = []; for (const k in child) if (list.length < 5) list.push(k)""",
        "[Object.keys(many).length, Object.keys(many).slice(-3).join(), Object.keys(few).join(), list.join(), child.p1]",
    ],
    "elements that change their kind": [
        """const smi = [1, 2, 3], dbl = [1, 2, 3], obj = [1, 2, 3], holey = [1, , 3], holeyDbl = [0.5, , 1.5],
            nan = [NaN, , -0]; const all = [smi, dbl, obj, holey, holeyDbl, nan]""",
        """dbl[1] = 0.5; obj[2] = 'x'; holey.push(2.5); holeyDbl.push({}); dbl.length = 2; smi[5] = 7;
            const copies = all.map((x) => x.slice()); copies[0].pop()""",
        """for (const x of all) { x.unshift(0); x.splice(1, 1, 1.25) } nan.fill(undefined, 2);
            const joined = [].concat(...all), flat = [all, [[smi]]].flat(Infinity); const sorted = joined.toSorted()""",
        """[all.map((x) => x.map(String).join('/')).join(), joined.length, flat.length,
            copies.map((x) => Object.keys(x).join('')).join(), Object.is(nan[3], -0), sorted.length]""",
    ],
    "literals that learn their kind": [
        """const make = (x) => [x, x, x]; const box = (x) => ({ x, y: [x] }); const made = [];
            for (let i = 0; i < 3_000; i++) made[i % 4] = make(i)""",
        """made.push(make(0.5), make('s'), make(undefined));
            for (let i = 0; i < 3_000; i++) made[i % 3] = make(i % 2 ? i : i / 2);
            const boxes = [box(1), box(1.5), box({}), box(-0), box(2 ** 31), box(null)]""",
        """boxes[0].x = 0.5; boxes[1].x = 'now text'; boxes[2].y.length = 0; made[0][1] = 2n;
            const literal = () => [[1, 2], { a: [] }]; literal()[0].push(3)""",
        "JSON.stringify([made.map((x) => x.map(String)), boxes, literal()])",
    ],
    "hidden classes in many orders": [
        """class P { constructor(a, b) { if (a) this.a = a; if (b) this.b = b } }
            const points = [new P(1, 2), new P(0, 2), new P(1, 0)]; points[1].a = 5; points[2].b = 'b';
            points[0].c = 1.5""",
        """const swap = (o) => { const { a, b, ...rest } = o; return { b, a, ...rest } };
            const swapped = points.map(swap); for (let i = 0; i < 5_000; i++) swap(points[i % 3])""",
        """points[0].a = 1.5; points[1].b = null;
            points.forEach((p, i) => { for (let k = 0; k < i * 12; k++) p['x' + k] = k }); delete points[2].x23;
            delete points[1].a; points[2].x23 = 'back'""",
        "[...points, ...swapped].map((o) => Object.entries(o).join(';')).join('|')",
    ],
    "objects with room to spare": [
        """function Grow(n) { for (let i = 0; i < n; i++) this['f' + i] = i }
            const first = new Grow(1), tenth = []; for (let i = 0; i < 12; i++) tenth.push(new Grow(i))""",
        """first.f1 = 'late'; first.f2 = 'later'; const after = new Grow(30); class Base { a = 1; b = 2 }
            class Wide extends Base { c = 3; d = 4; constructor() { super(); this.e = 5 } }
            const wide = Array.from({ length: 9 }, () => new Wide())""",
        "wide[0].f = 6; wide.at(-1).a = 'x'; const later = new Wide(); later.g = 7; Object.assign(first, after)",
        """[Object.keys(first).length, Object.keys(tenth[11]).join(''),
            wide.map((w) => Object.values(w).join('')).join(), JSON.stringify(later)]""",
    ],
    "attributes of properties": [
        """const o = {}; Object.defineProperties(o,
            { fixed: { value: 1 }, hidden: { value: 2, writable: true, configurable: true },
            get: { get() { return this.hidden * 2 }, enumerable: true, configurable: true },
            set: { set(v) { this.hidden = v }, configurable: true } })""",
        """o.set = 21; o.fixed = 5; let refused;
            try { 'use strict'; (() => { 'use strict'; o.fixed = 6 })() } catch (e) { refused = e.message; e.stack }
            Object.defineProperty(o, 'get', { enumerable: false });
            Object.defineProperty(o, 'hidden', { enumerable: true })""",
        """Object.defineProperty(o, 'get', { value: 'data now', writable: false });
            Object.defineProperty(o, 'set', { get: () => 'both' });
            const copy = Object.create(null, Object.getOwnPropertyDescriptors(o)); const spread = { ...o }""",
        "[o.hidden, o.get, o.set, refused, Object.keys(o).join(), JSON.stringify(spread), copy.set]",
    ],
    "frozen, sealed, not extensible": [
        """'use strict'; const frozen = Object.freeze({ a: [1], b: 2.5 }), sealed = Object.seal([1, 'x', , 3]),
            closed = Object.preventExtensions({ c: 1 }), list = Object.freeze([1, 2.5, 'x']),
            typed = Object.preventExtensions(new Uint8Array(3))""",
        """frozen.a.push(2); sealed[1] = 'changed'; delete closed.c; const refusals = [];
            for (const f of [() => { frozen.a = 1 }, () => sealed.push(1), () => { closed.d = 1 },
            () => list.sort(), () => { 'use strict'; typed[9] = 1; delete sealed[0] },
            () => Object.freeze(typed)]) try { refusals.push(f()) } catch (e) { refusals.push(e.message); e.stack }""",
        """function get(o, k) { return o[k] } let sum = 0;
            for (let i = 0; i < 20_000; i++) sum += get(list, 0) + get(sealed, 0);
            const thawed = [...list, 4], fn = Object.freeze(function named() {}),
            cls = Object.freeze(class { static s = 1 })""",
        """sealed.length = 4; [refusals.join('|'), sum, sealed.join(), Object.isFrozen(frozen),
            Object.isSealed(list), Object.isExtensible(closed), thawed.length, Object.isFrozen(cls)]""",
    ],
    "intrinsics frozen one by one": [
        """for (const name of Object.getOwnPropertyNames(globalThis)) { const value = globalThis[name];
            if (typeof value === 'function') { Object.freeze(value);
            if (value.prototype) Object.freeze(value.prototype) } } const o = {}; o.toString = 1""",
        """class Own extends Array { size() { return this.length } } const own = Own.from([3, 1, 2]).sort();
            own.extra = 1; const m = new Map([[own, 1]]); console.log(own, m)""",
        """let refused; try { (function () { 'use strict'; Array.prototype.mine = 1 })() } catch (e) {
            refused = e.message; e.stack } Error.prototype.name = 'no'; const e = new Error('kept'); e.stack;
            e.name = 'Own'; Promise.resolve(1).then((x) => own.push(x))""",
        "[own.join(), refused, e.name, String(e), Object.isFrozen(Array.prototype), typeof o.toString]",
    ],
    "the order of keys": [
        """const o = { b: 1, 2: 'two', a: 2, 1: 'one', [Symbol('s')]: 3, [-1]: 'minus', '01': 'text',
            4294967295: 'big' }; const seen = []; for (const k in o) seen.push(k)""",
        """delete o.b; o.b = 'last'; o[0] = 'zero'; const base = { z: 1, a: 'shadowed', 3: 3 };
            Object.setPrototypeOf(o, base); for (const k in o) seen.push(k)""",
        """const during = []; for (const k in o) { during.push(k); if (k === '1') { delete o[2]; o.added = 1 } }
            const assigned = Object.assign({ q: 0 }, o, 'xy'),
            back = Object.fromEntries(Object.entries(o).reverse())""",
        """[seen.join(), during.join(), Reflect.ownKeys(assigned).map(String).join(), Object.keys(back).join(),
            JSON.stringify(o)]""",
    ],
    "symbols as keys": [
        """const tag = Symbol('tag'), shared = Symbol.for('shared'), same = Symbol('tag'), none = Symbol();
            const o = { [tag]: 1, [shared]: 2, [same]: 3, [none]: 4, text: 5 };
            const m = new Map([[tag, 'm1'], [shared, 'm2']])""",
        """o[tag]++; delete o[same]; Object.defineProperty(o, none, { enumerable: false }); const copy = { ...o };
            const boxed = Object(tag); o[boxed] += 10;
            class S { static [shared] = 's'; [tag]() { return this[shared] }
            get [Symbol.toStringTag]() { return 'Tagged' } }""",
        """const s = new S(); s[shared] = 'own'; const wm = new WeakMap([[none, 'weakly']]);
            const again = Symbol.for('shared'), found = Symbol.keyFor(again)""",
        """[o[tag], again === shared, found, Symbol.keyFor(tag),
            Object.getOwnPropertySymbols(o).map(String).join(), s[tag](), String(s), wm.get(none), none.description,
            m.get(again), Object.keys(copy).join()]""",
    ],
    "holes and what shows through them": [
        """const a = [0, , 2, , 4]; Array.prototype[1] = 'proto';
            const r1 = [a.map((x) => x), [...a], a.includes('proto'), 1 in a, Object.keys(a).join()]""",
        """delete Array.prototype[1]; Object.prototype[3] = 'object';
            const r2 = [a.join(), a.indexOf('object'), a.at(3), a.reverse().join(), Object.keys(a).join()];
            delete Object.prototype[3]""",
        """const packed = Array(5); packed[4] = packed; a.length = 8; a[7] = a.shift(); delete a[2];
            function sum(x) { let s = 0; for (let i = 0; i < x.length; i++) s += x[i] ?? 100; return s }
            let sums = 0; for (let i = 0; i < 5_000; i++) sums += sum(a); Array.prototype[5] = 1; sums += sum(a);
            delete Array.prototype[5]""",
        "[r1.join('/'), r2.join('/'), Object.keys(a).join(), sums, packed.findLast((x) => x === packed) === packed]",
    ],
    "arrays with fixed lengths and other oddities": [
        """const a = Object.defineProperty([1, 2, 3], 'length', { writable: false }), b = [3, 1, 2],
            c = Object.assign([1, 2], { name: 'c', [-1]: 'm', '1.0': 'x' }); const refusals = [];
            for (const f of [() => a.push(4), () => { a[3] = 1 }, () => { 'use strict'; a.length = 0 }]) try { f();
            refusals.push('fine') } catch (e) { refusals.push(e.message); e.stack }""",
        """Object.defineProperty(b, 1, { get() { return gets++ }, enumerable: true, configurable: true });
            let gets = 10; const sorted = b.toSorted(); b.length = 2; b.length = 5;
            Object.setPrototypeOf(c, { __proto__: Array.prototype, extra: 1 }); c.push(3)""",
        """const like = { 0: 'a', 1: 'b', length: 2.9 }; Array.prototype.push.call(like, 'c');
            const spliced = Array.prototype.splice.call(like, 0, 1); const spread = { ...c, ...'hi' }""",
        """[refusals.join(), sorted.join(), gets, b.join(), JSON.stringify(like), spliced.join(),
            Object.keys(spread).join(), c.extra, c instanceof Array, c.constructor === Array]""",
    ],
    "prototypes that change": [
        """class A { who() { return 'A' } } class B { who() { return 'B' } }
            const objects = Array.from({ length: 4 }, (_, i) => new (i % 2 ? A : B)()); let said = '';
            for (let i = 0; i < 4_000; i++) said = objects[i % 4].who()""",
        """Object.setPrototypeOf(objects[0], A.prototype); A.prototype.who = () => 'A2';
            Object.setPrototypeOf(B.prototype, A.prototype); delete B.prototype.who;
            const r = objects.map((o) => o.who()).join('')""",
        """const nul = Object.setPrototypeOf({ x: 1 }, null), fn = Object.setPrototypeOf(function () {},
            { extra: 'f' }); objects[3].__proto__ = [9]; A.prototype.late = 1; const { late } = objects[0];
            class C extends null { static s = 1 }""",
        "[r, said, late, objects[3][0], objects[2] instanceof A, fn.extra, C.s, Object.getPrototypeOf(nul)]",
    ],
    "JSON, raw and revived": [
        r"""const raw = JSON.rawJSON('123456789012345678901'),
            text = JSON.stringify({ raw, list: [raw, 1], date: new Date(0), skip: undefined, fn() {}, nan: NaN,
            big: Object(1), s: 'a\u2028\ud800' }, null, '>'); let cyclic = {}; cyclic.self = cyclic""",
        """const sources = []; const parsed = JSON.parse('{"a":1.50,"b":[1e2,{"__proto__":5}],"2":0,"1":-0}',
            (k, v, { source }) => { sources.push(k + '=' + source); return v }); let refused;
            try { JSON.stringify(cyclic) } catch (e) { refused = e.message; e.stack }""",
        """const order = JSON.stringify({ b: 1, a: { toJSON(k) { return 'to ' + k } }, c: [new Map()] },
            ['a', 'c', 'b']); parsed.b[1].more = JSON.isRawJSON(raw)""",
        "[text, sources.join(), JSON.stringify(parsed), refused, order, Object.isFrozen(raw)]",
    ],
}
