"""Classes, closures and proxies: state that no property shows, read by calling what guards it."""

from __future__ import annotations

SCRIPTS: dict[str, list[str]] = {
    "counter closure": ["let n = 0; const inc = () => ++n", "inc(); inc()", "inc()", "n"],
    "private fields": [
        "class Account { #sum = 0; add(x) { this.#sum += x; return this } get sum() { return this.#sum } }",
        "const account = new Account().add(5)",
        "account.add(7)",
        "account.sum",
    ],
    "static private and accessors": [
        "class Ids { static #next = 1; static take() { return Ids.#next++ } }",
        "Ids.take(); Ids.take()",
        "Ids.take()",
    ],
    "proxy": [
        "const trapped = []; const p = new Proxy({ x: 1 }, { get(t, k) { trapped.push(String(k)); return t[k] } })",
        "p.x; p.y",
        "trapped.join()",
    ],
    "inheritance and super": [
        "class A { hi() { return 'A' } } class B extends A { hi() { return super.hi() + 'B' } }",
        "A.prototype.hi = function () { return 'patched' }",
        "new B().hi()",
    ],
    "getters, setters and symbols": [
        """const tag = Symbol('tag');
            const o = { get twice() { return this.n * 2 }, set twice(v) { this.n = v / 2 }, n: 1, [tag]: 'x' }""",
        "o.twice = 10",
        "[o.n, o.twice, o[tag]]",
    ],
    "private members of every kind": [
        """class Vault {
          #field = { n: 1 }; static #made = 0; static #registry = new Map(); #log = []
          #method(x) { this.#log.push(x); return this.#field.n += x }
          get #doubled() { return this.#field.n * 2 } set #doubled(v) { this.#field.n = v / 2 }
          static #tick() { return ++Vault.#made } static { Vault.#registry.set('block', this.#tick()) }
          constructor() { Vault.#registry.set(this, Vault.#tick()) }
          add(x) { return this.#method(x) } twice(v) { return (this.#doubled = v), this.#doubled }
          static is(o) { return #field in o } static peek(v) { return [v.#field.n, v.#log.join(''), Vault.#made, Vault.#registry.get(v)] }
        }""",
        """const v = new Vault(), w = new Vault(); v.add(4); w.twice(50); class Sub extends Vault { #field = 'own';
            sub() { return this.#field + this.add(1) } static { this.copy = new this() } } const s = new Sub()""",
        """const refused = []; for (const f of [() => Vault.peek({}), () => Vault.prototype.add.call({}, 1),
            () => Sub.prototype.sub.call(v)]) try { f() } catch (e) { refused.push(e.message); e.stack }
            for (let i = 0; i < 10_000; i++) v.add(i & 1); Object.freeze(w); w.add(7)""",
        """[...[v, w, s, Sub.copy].map((x) => Vault.peek(x).join(':')), s.sub(), Vault.is(s), Vault.is({}),
            refused.join('|')].join()""",
    ],
    "private fields put on other objects": [
        """class Return { constructor(o) { return o } } class Stamp extends Return { #stamp = Stamp.count++;
            static count = 0; static read(o) { return #stamp in o ? o.#stamp : 'none' }
            static write(o, x) { o.#stamp = x } }
            const targets = [{}, [], () => {}, new Map(), Object.freeze({ f: 1 }), new Proxy({}, {})];
            targets.forEach((t) => new Stamp(t))""",
        """Stamp.write(targets[0], 'first'); let refused;
            try { new Stamp(targets[1]) } catch (e) { refused = e.message; e.stack } const plain = {}""",
        "targets[0].more = 1; delete targets[0].more; for (let i = 0; i < 40; i++) targets[1]['k' + i] = i",
        "[targets.map(Stamp.read).join(), Stamp.read(plain), refused, Stamp.count]",
    ],
    "fields, static blocks and computed keys": [
        """const order = []; const k = (x) => (order.push('k' + x), x); const v = (x) => (order.push('v' + x), x);
            class A { [k('a')] = v('a'); static [k('b')] = v('b'); [k('c')]() { return 'c' }
            static { order.push('block ' + this.b) } 'quoted key' = 1; 42 = 'num';
            static async *[k('gen')]() { yield this.b } self = this; arrow = () => this.a; static name = 'Renamed';
            get [k('acc')]() { return this.a } }""",
        """const a = new A(), b = new A(); a.a = 'changed'; class B extends A { a = 'B' + super[('c')]();
            static super = super.b; static inherited = this.b } const c = new B(); order.push(c.arrow())""",
        """const key = { toString() { order.push('toString'); return 'dyn' } };
            const o = { [key]: 1, [`t${1 + 1}`]: 2, async *[Symbol.asyncIterator]() {},
            get [key]() { return 'getter' }, __proto__: A.prototype, ['__proto__']: 'own' };
            for (let i = 0; i < 4_000; i++) new B()""",
        """[order.slice(0, 30).join(), order.length, A.name, B.super, c.acc, a.arrow(), Object.keys(a).join(),
            o.dyn, o.t2, Object.keys(o).join(), (await A.gen().next()).value, c.c()]""",
    ],
    "classes made again under the same name": [
        """class P { #x = 1; get x() { return this.#x } static is(o) { return #x in o } }
            const old = new P(), Old = P; const make = () => new P()""",
        """class P { #x = 2; get x() { return this.#x * 10 } static is(o) { return #x in o }
            extra() { return super.toString() } } const fresh = new P(), made = make()""",
        """const factory = (n) => class Made { #n = n; static all = []; constructor() { Made.all.push(this) }
            bump() { return ++this.#n } }; const [M1, M2] = [factory(1), factory(2)];
            const m = [new M1(), new M2(), new M1()]; m.forEach((x) => x.bump()); let refused;
            try { M2.prototype.bump.call(m[0]) } catch (e) { refused = e.name; e.stack }""",
        """[old.x, fresh.x, made.x, Old.is(fresh), P.is(made), m.map((x) => x.bump()).join(), M1.all.length,
            refused, fresh.extra()]""",
    ],
    "super, new.target and mixins": [
        """const trail = []; const Loud = (B) => class extends B { speak() { return super.speak().toUpperCase() }
            get name() { return 'loud ' + super.name } set name(v) { super.name = v + '!' } };
            class Animal { constructor(n) { trail.push(new.target.name); this._n = n }
            speak() { return this.name + ' speaks' } get name() { return this._n } set name(v) { this._n = v }
            static create(...a) { return new this(...a) } }
            class Dog extends Loud(Animal) { static create(n) { return super.create(n + 'y') } }""",
        """const d = Dog.create('rex'); d.name = 'max';
            const o = { __proto__: { hi() { return 'proto' } }, hi() { return super.hi() + '+own' } },
            arrow = { hi() { return (() => super.toString)() } };
            const moved = { __proto__: { hi: () => 'other' }, hi: o.hi }""",
        """Object.setPrototypeOf(o, { hi: () => 'swapped' }); const built = Reflect.construct(Animal, ['r'], Dog);
            function F() { trail.push(new.target === undefined ? 'call' : 'new') } F(); new F();
            Reflect.construct(F, [], Array); for (let i = 0; i < 3_000; i++) d.speak()""",
        """[d.speak(), d.name, o.hi(), moved.hi(), built.speak(), built instanceof Dog, trail.slice(0, 6).join(),
            typeof arrow.hi()]""",
    ],
    "closures over loops": [
        """const fs = []; for (let i = 0, step = () => i++; i < 5; step(), i++) fs.push(() => i++, () => i);
            for (const x of [1, 2, 3]) fs.push(() => x); for (var v = 0; v < 3; v++) fs.push(() => v++);
            for (let k in { a: 1, b: 2 }) fs.push(() => (k += '!'));
            { let shared = 0; fs.push(() => ++shared, () => ++shared) }""",
        "const round1 = fs.map((f) => f())",
        """const counters = []; for (let i = 0; i < 200; i++) { let n = i; const bump = () => { n += i; return n };
            if (i % 50 === 0) counters.push(bump, () => n); for (let j = 0; j < 30; j++) bump() }
            const round2 = fs.map((f) => f())""",
        "[round1.join(), round2.join(), fs.map((f) => f()).join(), counters.map((f) => f()).join()]",
    ],
    "closures that share, shadow and outlive": [
        """let x = 'script'; function outer() { let x = 'outer', hidden = 0;
            const inner = { get: () => x, set: (v) => { x = v }, bump: () => ++hidden, deeper() { let x = 'deeper';
            return { get: () => x + hidden, ev: (code) => eval(code), shadow(x) { return x + hidden } } } };
            return inner } const a = outer(), b = outer(), d = a.deeper()""",
        """a.set('set'); a.bump(); d.ev('hidden += 10; x += 1; var declared = 5');
            const fromEval = d.ev('typeof declared + x + hidden')""",
        """const memo = ((cache) => (n) => cache[n] ??= n < 2 ? BigInt(n) : memo(n - 1) + memo(n - 2))({});
            const f100 = memo(100); const once = ((done) => () => done ? 'again' : ((done = true), 'first'))(false);
            const saids = [once(), once()]; const partial = (f, ...p) => (...q) => f(...p, ...q);
            const part = partial(Math.max, 5, 9)""",
        """[x, a.get(), b.get(), d.get(), d.shadow('s'), b.bump(), fromEval, f100, memo(50), once(), saids.join(),
            part(7)].join()""",
    ],
    "proxies of every trap": [
        """const log = []; const traps = {};
            for (const name of Object.getOwnPropertyNames(Reflect)) traps[name] = (...a) => { log.push(name);
            return Reflect[name](...a) }; const p = new Proxy(function target(a) { return [this?.n, a] }, traps),
            { proxy: rev, revoke } = Proxy.revocable({ r: 1 }, traps)""",
        """p.x = 1; 'x' in p; delete p.x; Object.keys(p); p.call({ n: 5 }, 6); new p(7);
            Object.defineProperty(p, 'd', { value: 1, configurable: true }); Object.isExtensible(p);
            Object.setPrototypeOf(p, Function.prototype); rev.r++; const child = Object.create(p); child.y = 2;
            child.d""",
        """revoke(); let refused; try { rev.r } catch (e) { refused = e.message; e.stack }
            const array = new Proxy([3, 1, 2], {}),
            m = new Proxy(new Map([[1, 2]]),
            { get: (t, k) => (typeof t[k] === 'function' ? t[k].bind(t) : Reflect.get(t, k, t)) }); array.sort();
            array.push(9); m.set(3, 4); for (let i = 0; i < 2_000; i++) p.x;
            const inv = new Proxy(Object.freeze({ a: 1 }), { get: () => 2 }); let broke;
            try { inv.a } catch (e) { broke = e.message; e.stack }""",
        """[log.slice(0, 60).join(), log.length, refused, broke, array.join(), m.size, m.get(3),
            Array.isArray(array), JSON.stringify({ ...child })]""",
    ],
    "accessors on prototypes and on the global object": [
        """let reads = 0, store = 1;
            Object.defineProperty(globalThis, 'counted', { get() { return ++reads }, set(v) { store = v },
            configurable: true, enumerable: true });
            Object.defineProperty(Object.prototype, 'everywhere',
            { get() { return typeof this }, set(v) { seen.push(v) }, configurable: true }); const seen = [];
            counted; counted = 5""",
        """const o = {}; o.everywhere = 'assigned'; (5).everywhere;
            function hot() { return counted + (store = store + 1) } for (let i = 0; i < 10_000; i++) hot();
            const types = [o.everywhere, (5).everywhere, 'x'.everywhere, (() => {}).everywhere]""",
        """delete Object.prototype.everywhere;
            Object.defineProperty(globalThis, 'counted', { value: 'data', writable: true }); counted += '!';
            String.prototype.shout = function () { return this.toUpperCase() + '!' };
            Object.defineProperty(Array.prototype, 'last', { get() { return this[this.length - 1] },
            configurable: true });
            Number.prototype[Symbol.iterator] = function* () { for (let i = 0; i < this; i++) yield i }""",
        """const spread = [...4]; delete Number.prototype[Symbol.iterator];
            [reads, store, counted, seen.join(), types.join(), 'hi'.shout(), [1, 2].last, spread.join(),
            Object.keys(globalThis).includes('counted')]""",
    ],
    "arrays of a class of their own": [
        """class List extends Array { static made = 0; constructor(...a) { super(...a); List.made++ }
            get last() { return this.at(-1) } sum() { return this.reduce((a, b) => a + b, 0) } }
            class Plain extends Array { static get [Symbol.species]() { return Array } }
            const l = List.from([1, 2, 3]), p = Plain.of(1, 2)""",
        """const mapped = l.map((x) => x * 2), filtered = p.filter(() => true), spliced = l.splice(1, 1),
            concat = l.concat(mapped, [[9]]), flat = concat.flat(); l.length = 6; l[5] = 0.5;
            const sliced = l.slice(2)""",
        """Object.defineProperty(List, Symbol.species,
            { value: function (n) { return { length: 0, n, fake: true } } }); const faked = l.map((x) => x);
            class Weird extends Array { constructor(n) { super(); this.n = n } }
            const weird = new Weird(4).concat([1]); for (let i = 0; i < 2_000; i++) mapped.sum()""",
        """[mapped.constructor.name, filtered.constructor.name, spliced.last, concat.length, flat.sum(),
            Object.keys(l).join(), sliced.constructor.name, faked.fake, faked.n, weird.n, weird.length, List.made]""",
    ],
    "iteration that was redefined": [
        """const original = Array.prototype[Symbol.iterator]; let iterated = 0;
            Array.prototype[Symbol.iterator] = function* () { iterated++;
            for (let i = this.length - 1; i >= 0; i--) yield this[i] };
            const [first] = [1, 2, 3], spread = [...[1, 2]], m = new Map([[1, 2], [3, 4]]),
            max = Math.max(...[5, 6])""",
        """const it = [7, 8, 9][Symbol.iterator](); it.next(); Array.prototype[Symbol.iterator] = original;
            const next = Object.getPrototypeOf([][Symbol.iterator]()).next;
            Object.getPrototypeOf([][Symbol.iterator]()).next = function () { iterated += 100;
            return next.call(this) }; const after = [...[1, 2, 3]]""",
        """Object.getPrototypeOf([][Symbol.iterator]()).next = next;
            String.prototype[Symbol.iterator] = function () { return ['s'].values() };
            Set.prototype.values = () => ['set'].values();
            const str = [...'abc'], set = [...new Set([1])], from = Array.from(new Set([1]).values());
            Promise.prototype.then = ((then) => function (...a) { iterated += 10_000;
            return then.apply(this, a) })(Promise.prototype.then); await 0;
            await new (class extends Promise {})((r) => r());
            RegExp.prototype.exec = ((exec) => function (s) { iterated += 1e6;
            return exec.call(this, s) })(RegExp.prototype.exec)""",
        r"""const found = 'a1b2'.replace(/\d/g, '#');
            [first, spread.join(), [...m.keys()].join(), max, it.next().value, after.join(), str.join(), set.join(),
            from.join(), found, iterated]""",
    ],
    "conversions that run code": [
        """const log = []; const o = { [Symbol.toPrimitive](hint) { log.push(hint);
            return hint === 'number' ? 7 : 'p' } }, v = { valueOf() { log.push('v');
            return 3 }, toString() { log.push('s'); return 'str' } };
            const got = [o + 1, `${o}`, o * 2, v + 1, `${v}`, v > 2, [v] + '', o == 'p', new Date(o).getTime(),
            Number(v), [1, 2][{ toString: () => '1' }]]""",
        """const sym = Object(Symbol('boxed')), has = { [Symbol.hasInstance]: (x) => (log.push('i'), x === 5) };
            got.push(5 instanceof has, {} instanceof has, sym.toString());
            const conc = { length: 2, 0: 'a', 1: 'b', [Symbol.isConcatSpreadable]: true };
            got.push([].concat(conc).length); with (conc) { got.push(length) }
            const un = { a: 1, b: 2, [Symbol.unscopables]: { b: true } }; let b = 'outer';
            with (un) { got.push(a, typeof b) }""",
        """const matcher = { [Symbol.replace]: (s, r) => `${s}>${r}`, [Symbol.split]: (s) => [s, 'split'],
            [Symbol.search]: () => 42, [Symbol.match]: () => 'm', [Symbol.matchAll]: () => 'ma' };
            got.push('x'.replace(matcher, 'y'), 'x'.split(matcher).length, 'x'.search(matcher), 'x'.match(matcher));
            function hot(x) { return x + 1 } for (let i = 0; i < 6_000; i++) hot(i % 50 ? i : v)""",
        "[got.map(String).join('|'), log.length, log.slice(0, 12).join()]",
    ],
}
