"""Errors: caught, thrown, kept with their stacks read."""

from __future__ import annotations

SCRIPTS: dict[str, list[str]] = {
    "thrown errors keep their mutations": [
        "let before = 0",
        "before = 1; throw new RangeError('stop')",
        "before = before + 10; null.x",
        "before",
    ],
    "errors caught": [
        """const caught = []; for (const f of [() => null.a, () => undefinedName, () => ({}).f(),
            () => [].reduce((a) => a), () => 1n + 1]) try { f() } catch (e) {
            caught.push(e.name + ': ' + e.message) }""",
        "caught.join('\\n')",
    ],
    "stack text": [
        "function inner() { return new Error('where').stack } function outer() { return inner() }",
        "const where = outer()",
        "where",
    ],
    "errors with causes, thrown and kept": [
        """class Failed extends Error { code = 7 }; const kept = [];
            const fail = (cause) => { throw new Failed('no', { cause }) }""",
        """try { fail(new AggregateError([1, new TypeError('two')], 'all')) } catch (error) { kept.push(error);
            console.log(error) }""",
        "fail(kept[0])",
        "await Promise.any([Promise.reject(kept[0]), Promise.reject({ at: new Date(0) })])",
        "{a: kept[0].cause.errors[1].message, stack: kept[0].stack, missing: null.x}",
        "[kept[0].stack, kept.length]",
    ],
    "syntax error in between": ["let ok = 1", "let = = 2", "ok = 2", "ok"],
    "the limit of stacks, changed": [
        """function nest(n) { return n ? nest(n - 1) : new Error('n').stack } const texts = [nest(20)];
            Error.stackTraceLimit = 3; texts.push(nest(20))""",
        """texts.push(nest(5)); Error.stackTraceLimit = 'no number'; texts.push(nest(5));
            Error.stackTraceLimit = 1.9; texts.push(nest(5))""",
        """delete Error.stackTraceLimit; texts.push(String(nest(5)));
            Object.defineProperty(Error, 'stackTraceLimit', { get: () => 7, configurable: true });
            texts.push(String(nest(9))); delete Error.stackTraceLimit; Error.stackTraceLimit = 4;
            Object.freeze(Error)""",
        "texts.push(nest(9)); texts.map((t) => String(t).split('\\n').length).join()",
    ],
    "stacks captured on objects": [
        """const o = {}; function make() { Error.captureStackTrace(o, make) } make(); o.stack;
            class Fail { constructor() { Error.captureStackTrace(this, Fail); this.stack } } const f = new Fail()""",
        """const plain = { message: 'm', name: 'N' }; (function here() { Error.captureStackTrace(plain) })();
            plain.stack; f.stack += '!'""",
        "Error.captureStackTrace(f); f.stack; const e = new Error('e'); e.stack; Error.captureStackTrace(e); e.stack",
        "[o.stack, f.stack, plain.stack, e.stack].map((s) => String(s).split('\\n').slice(0, 2).join()).join('|')",
    ],
    "stacks of every kind of call": [
        r"""const stacks = []; const at = () => {
            stacks.push(new Error('at').stack.split('\n').slice(1, 5).join('|')) };
            class K { constructor() { at() } method() { at() } static stat() { at() } get acc() { return at() }
            set acc(v) { at() } #priv() { at() } callPriv() { this.#priv() } [Symbol.iterator]() { at() }
            field = at() } const k = new K(); k.method(); K.stat(); k.acc; k.acc = 1; k.callPriv();
            k[Symbol.iterator]()""",
        """[1].forEach(at); [2, 1].sort(() => at()); 'x'.replace('x', at); JSON.parse('1', at); new Promise(at);
            eval('at()'); new Function('at', 'at()')(at); Reflect.apply(at, null, []); at.bind()();
            (async () => { at(); await null; at() })(); (function* () { at(); yield })().next(); new Proxy(at, {})()""",
        """setTimeout(at, 1); queueMicrotask(at); Promise.resolve().then(at);
            await (async function named() { await null; at(); await (async () => { await null; at() })() })();
            new Map([[1, 1]]).forEach(at); Array.from([1], at);
            const o = { get [Symbol.toStringTag]() { at(); return 'T' }, valueOf() { at(); return 1 } }; String(o);
            +o; [].concat(k); for (let i = 0; i < 1_000; i++) k.callPriv(); stacks.length = 60""",
        "stacks.join('\\n')",
    ],
    "errors that the engine throws from hot code": [
        """const ways = [(o) => o.a.b, (o) => o.f(), (o) => o[Symbol.iterator]().x,
            (o) => { const { a: { b } } = o; return b }, (o) => [...o], (o) => new o(), (o) => o instanceof o,
            (o) => 'x' in o, (o) => { for (const x of o) return x }, (o) => o ** 1n, (o) => super_(o),
            (o) => ({ ...o }).x.y]; const said = ways.map(() => new Set());
            const good = Object.assign(function () { return 1 },
            { a: { b: 1 }, f() {}, [Symbol.iterator]: () => [1].values() });
            const super_ = (o) => Object.defineProperty(o, 'fixed', { value: o })""",
        r"""for (let i = 0; i < 1_500; i++) ways.forEach((w, n) => {
            try { w(i % 100 ? good : [null, undefined, 5, 'text', {}][(i / 100) % 5 | 0]) } catch (e) {
            said[n].add(e.name + ': ' + e.message + ' ' + e.stack.split('\n').length) } })""",
        r"""const order = said.map((s) => [...s].join('; ')); const again = [];
            for (const w of ways) try { w(null) } catch (e) { again.push(e.stack.split('\n')[1]) }""",
        "order.join('\\n') + again.join('\\n')",
    ],
    "thrown values that are no errors": [
        """const thrown = []; for (const v of [1, 'text', null, undefined, Symbol('s'), 5n, { a: 1 }, () => {},
            [1], new Date(0), NaN]) try { throw v } catch (e) { thrown.push(e) }""",
        "throw { custom: true, nested: { deep: [1] } }",
        "Promise.reject(Symbol('rejected')); await Promise.reject({ awaited: thrown.length })",
        """try { try { throw 'first' } finally { throw 'second' } } catch (e) { thrown.push(e) }
            try { (() => { try { throw 1 } catch ({ length = 'none' }) { throw length } })() } catch (e) {
            thrown.push(e) } thrown.map(String).join()""",
    ],
}
