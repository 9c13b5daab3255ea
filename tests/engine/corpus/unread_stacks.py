"""Errors that are alive and whose stack nobody has read: V8 could not restore a snapshot with one of them."""

from __future__ import annotations

SCRIPTS: dict[str, list[str]] = {
    "errors of every kind, kept": [
        """const kept = [Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError,
            URIError].map((E) => new E('m ' + E.name, { cause: E.name }));
            kept.push(new AggregateError([new Error('in'), 5], 'all'), new SuppressedError(new Error('a'), 'b',
            'c'), new DOMException('dom', 'AbortError'), Error('called')); class Own extends TypeError { code = 7;
            constructor(m) { super(m); this.name = 'Own' + this.code } } kept.push(new Own('own'))""",
        """const thrown = []; for (const f of [() => null.x, () => missing, () => (1).f(), () => new Array(-1),
            () => 'x'.repeat(-1), () => decodeURIComponent('%'), () => JSON.parse('{'), () => new RegExp('('),
            () => eval('let ='), () => 1n + 1, () => structuredClone(() => {}), () => Symbol() + '',
            () => BigInt(1.5), () => [].reduce((a) => a), () => new Proxy({}, null), () => atob('*')]) try {
            f() } catch (e) { thrown.push(e) }""",
        """kept[2].message = 'changed'; kept[1].note = 'noted'; kept[0].extra = thrown; delete kept[3].message;
            Object.freeze(kept[4])""",
        "[...kept, ...thrown].map((e) => e.name + ':' + e.message).join('\\n')",
    ],
    "errors in places of all kinds": [
        """const error = new Error('x'); const wm = new WeakMap([[error, { in: new RangeError('weak') }]]),
            m = new Map([[new Error('key'), new Error('value')]]), hidden = (() => { const h = new TypeError('hid');
            return () => h })(); class V { #e = new Error('private'); get() { return this.#e } } const v = new V();
            function* g() { const e = new Error('gen'); yield 1; yield e } const it = g(); it.next()""",
        """const settled = await Promise.allSettled([Promise.reject(new Error('r')), (async () => { null.y })()]);
            let open; const later = (async () => { const e = new Error('suspended');
            await new Promise((r) => { open = r }); return e })();
            setTimeout((e) => { m.set('timer', e) }, 30_500, new Error('timer'))""",
        """error.self = error; error.list = [error, { error }];
            const bound = String.bind(new Error('bound')), proxied = new Proxy(new Error('proxied'), {}),
            inherited = Object.create(new Error('proto'))""",
        """open(); [wm.get(error).in.message, [...m.values()][0].message, hidden().message, v.get().message,
            it.next().value.message, (await later).message, settled.map((s) => s.reason.message).join(),
            proxied.message, inherited.message, error.list[1].error === error].join()""",
    ],
    "stacks read only at the end": [
        """function inner(n) { return n ? inner(n - 1) : new Error('deep') }
            const deep = inner(20), shallow = inner(0); class K { static make() { return new K().build() }
            build() { return [1].map(() => new Error('in map'))[0] } get acc() { return new Error('getter') } }
            const made = [K.make(), new K().acc, eval('new Error("ev")'), new Function('return new Error("fn")')()]""",
        """Error.stackTraceLimit = 2; const short = inner(9); Error.stackTraceLimit = 50; const long = inner(40);
            const asynchronous = await (async () => { await null; return new Error('async') })();
            for (let i = 0; i < 5_000; i++) inner(2); const hot = inner(5)""",
        """Error.stackTraceLimit = 0; const none = new Error('none'); delete Error.stackTraceLimit;
            const limitless = new Error('limitless'); Error.stackTraceLimit = 10;
            deep.message = 'changed before read'; shallow.extra = 'x'""",
        "[deep, shallow, ...made, short, long, asynchronous, hot, none, limitless].map((e) => e.stack).join('\\n')",
    ],
    "causes, thrown on and never shown": [
        """const kept = []; function wrap(n) { try { if (n === 0) throw new Error('root');
            wrap(n - 1) } catch (cause) { const e = new Error('level ' + n, { cause }); kept.push(e); throw e } }
            try { wrap(30) } catch {}""",
        """const all = new AggregateError(kept.slice(0, 5), 'all', { cause: kept[9] }); kept[3].cause = all;
            const caught = await Promise.any([Promise.reject(kept[1]),
            Promise.reject(new Error('two'))]).catch((e) => e);
            for (let i = 0; i < 2_000; i++) { const e = new Error('e' + i); if (i % 100 === 0) kept.push(e) }""",
        "kept.length = 40; throw all",
        """[kept.length, caught.errors.length, all.errors[4] === kept[4], kept[3].cause.cause === kept[9],
            kept[39].message]""",
    ],
    "errors that are no longer as they were made": [
        """const a = new Error('a'); Object.setPrototypeOf(a, null);
            const b = Object.assign(new Error('b'), { stack: 'own text' }); const c = new Error('c');
            Object.defineProperty(c, 'stack', { value: 5 }); const d = new Error('d'); delete d.stack;
            const e = Object.freeze(new Error('e')), f = Object.preventExtensions(new TypeError('f'));
            const g = Object.create(Error.prototype); const h = new Error('h');
            Object.defineProperty(h, 'message', { value: 'hidden', enumerable: true })""",
        """Object.freeze(Error); Object.freeze(Error.prototype); const i = new Error('i'); i.name = 'Renamed';
            const j = Reflect.construct(Error, ['j'], Map)""",
        """const big = new Error('x'.repeat(100_000));
            const many = Array.from({ length: 500 }, (_, n) => new Error('n' + n)); many.length = 300""",
        """[b.stack, c.stack, d.stack, Error.isError(a), Error.isError(g), e.message, f.message, h.message, i.name,
            j instanceof Map, many.at(-1).message, big.message.length].map(String).join('|')""",
    ],
    "errors that capture their stacks once more": [
        """class Mine extends Error { constructor(m) { super(m); Error.captureStackTrace(this, Mine) } }
            class Via { constructor() { const e = new TypeError('via'); Error.captureStackTrace(e); this.e = e } }
            const mine = new Mine('m'), via = new Via()""",
        """const make = (n) => (n ? make(n - 1) : new Mine('deep')); const deep = make(8);
            Error.stackTraceLimit = 3; const short = make(8); function hidden() { const e = new Error('h');
            Error.captureStackTrace(e, hidden); return e } const h = hidden()""",
        """const frozen = Object.freeze(new Mine('frozen')),
            copies = [structuredClone(mine), Object.assign(new Mine('with'), { code: 5 })]""",
        "[mine, via.e, deep, short, h, frozen, ...copies].map((e) => e.stack).join('\\n')",
    ],
}
