"""What is under way between two events: generators, promises, awaits, timers."""

from __future__ import annotations

SCRIPTS: dict[str, list[str]] = {
    "generator in mid-flight": [
        "function* count() { let i = 10; while (true) { const step = yield i; i += step ?? 1 } }",
        "const gen = count(); gen.next()",
        "gen.next(5)",
        "gen.next().value",
    ],
    "generator inside try and finally": [
        "const seen = []; function* g() { try { yield 1; yield 2 } finally { seen.push('closed') } }",
        "const it = g(); it.next()",
        "it.return(9)",
        "seen.join()",
    ],
    "async function waiting": [
        "let go; const gate = new Promise((resolve) => { go = resolve }); const log = [];",
        "const running = (async () => { log.push('in'); log.push(await gate); return log.length })()",
        "go('through')",
        "[await running, log.join()]",
    ],
    "top-level await left open": [
        "let open; let got = await new Promise((resolve) => { open = resolve })",
        "open('later')",
        "got",
    ],
    "async generator": [
        "async function* numbers() { for (let i = 0; ; i++) { await null; yield i * i } }",
        "const numbersIt = numbers(); await numbersIt.next(); await numbersIt.next()",
        "(await numbersIt.next()).value",
    ],
    "promise order": [
        """const order = []; Promise.resolve().then(() => order.push(1));
            (async () => { await null; order.push(2); await null; order.push(3) })();
            queueMicrotask(() => order.push(4)); Promise.all([1, 2]).then(() => order.push(5))""",
        "order.join()",
    ],
    "timers": [
        """const fired = []; setTimeout(() => fired.push('a'), 5); setTimeout(() => fired.push('b'), 1);
            fired.push('now')""",
        "fired.join()",
    ],
    "interval": [
        """let ticks = 0; const id = setInterval(() => { if (++ticks === 3) clearInterval(id) }, 2);
            await new Promise((r) => setTimeout(r, 20))""",
        "ticks",
    ],
    "timers left for later": [
        "let woke = 0; setTimeout(() => { woke = Date.now() }, 40_000)",
        "woke",
        "woke === 0",
    ],
    "unhandled rejection": [
        "let kept = 1; Promise.reject(new Error('lost'))",
        "kept = 2; Promise.reject(5)",
        "kept",
    ],
    "resources in scope": [
        """const closed = []; const open = (name) => ({ [Symbol.dispose]() { closed.push(name) } });
            { using a = open('a'), b = open('b') }""",
        """let go; const run = (async () => {
            await using c = { [Symbol.asyncDispose]: async () => closed.push('c') };
            await new Promise((r) => { go = r }) })(); const stack = new DisposableStack(); stack.use(open('d'))""",
        "go(); await run; stack.dispose(); closed.join()",
    ],
    "generators stopped in every construct": [
        """const log = []; function* all(list) {
          const a = yield 'start'
          for (const x of list) { try { const b = yield x; log.push(b) } catch (e) { log.push('c' + e) } finally { yield 'f' + x } }
          const { p = yield 'default', ...q } = { r: a }
          switch (yield 'switch') { case 1: log.push(yield 'one'); case 2: log.push(yield 'two') }
          label: for (let i = 0; ; i++) for (let j = i; ; j++) { if (yield i * j) break label; if (j > 2) continue label }
          const t = `${yield 'tpl1'}-${yield 'tpl2'}`; const arr = [yield 'e1', ...(yield 'spread'), yield 'e2']
          return [a, p, Object.keys(q), t, arr, yield* inner()]
        }
        function* inner() { try { return (yield 'inner') ?? 'none' } finally { log.push('inner closed') } }
        const it = all(['x', 'y']), sent = ['A', 'B', undefined]; const out = [it.next().value, it.next('A').value, it.next('b1').value, it.next().value]""",
        "out.push(it.throw('T').value, it.next().value, it.next('dflt').value, it.next(1).value, it.next('l1').value)",
        """out.push(it.next('l2').value, it.next().value, it.next().value, it.next().value, it.next().value,
            it.next(true).value)""",
        """out.push(it.next('a').value, it.next('b').value, it.next(1).value, it.next([2, 3]).value,
            it.next(4).value); const end = it.next('inside');
            [out.map(String).join(), JSON.stringify(end), log.join()]""",
    ],
    "many generators at once": [
        """const fibs = Array.from({ length: 50 }, (_, k) => (function* () { let [a, b] = [k, 1];
            for (;;) { const s = yield a; [a, b] = s ? [s, b] : [b, (a + b) % 9_973] } })());
            fibs.forEach((f, i) => { for (let n = 0; n < i; n++) f.next() })""",
        """fibs.forEach((f, i) => f.next(i % 5 === 0 ? i : undefined)); fibs[3].return('over'); let merged = 0;
            for (let r = 0; r < 200;
            r++) for (const f of fibs) merged = (merged + (f.next().value ?? 1)) % 1_000_003""",
        """const running = (function* self() { let got; try { got = me.next() } catch (e) { got = e.message;
            e.stack } yield got })(); const me = running; const refused = running.next().value""",
        "[merged, refused, fibs.map((f) => f.next().value).join()]",
    ],
    "async generators with requests waiting": [
        """const gates = []; const gate = () => new Promise((r) => gates.push(r)); const log = [];
            async function* slow() { try { for (let i = 0; ; i++) { log.push('asks ' + i); const got = await gate();
            const sent = yield got + i; if (sent) log.push('sent ' + sent) } } finally { log.push('closing');
            await null; log.push('closed') } } const it = slow();
            const asked = [it.next(), it.next('a'), it.next('b')]""",
        "gates[0]('x'); const first = await asked[0]",
        "gates[1]('y'); const second = await asked[1]; const over = it.return('end'), late = it.next()",
        """gates[2]('z'); const all = await Promise.all([asked[2], over, late]); const each = [];
            for await (const x of (async function* () { yield* [1, Promise.resolve(2)];
            yield* slowly(3) })()) each.push(x);
            async function* slowly(n) { while (n--) yield n } [JSON.stringify([first, second, all]), log.join(),
            each.join()]""",
    ],
    "await in every position": [
        """const opens = {}; const gate = (k) => new Promise((r) => { opens[k] = r }); const log = [];
            const main = (async () => { const o = { a: await gate('a'), [await gate('k')]: 1,
            ...(await gate('s')) }; log.push(Object.keys(o).join()); const f = (x, y = 2) => x + y;
            log.push(f(await gate('x'), await gate('y'))); for await (const v of [gate('v1'), 5]) log.push(v);
            try { await gate('t') } catch (e) { log.push('caught ' + e) } finally { await gate('f') }
            return (await gate('l')) || (await gate('r')) })()""",
        "opens.a(1); await null; await null; opens.k('key'); await null; await null; opens.s({ z: 1 }); await null",
        """await null; await null; opens.x(10); await null; opens.y?.(20); await null; await null; await null;
            await null; const open1 = Object.keys(opens).join()""",
        """for (const k of ['y', 'v1', 'f', 'l', 'r']) { for (let i = 0; i < 8; i++) await null;
            if (k === 'f') { opens.t(Promise.reject('T')); for (let i = 0; i < 8; i++) await null }
            opens[k]?.(k === 'l' ? 0 : k) } [open1, await main, log.join()]""",
    ],
    "the order of reactions": [
        """const order = []; const t = (x) => () => order.push(x); const thenable = { then(r) { order.push('then'); r('v') } }
        Promise.resolve(thenable).then(t('thenable')); Promise.resolve().then(t(1)).then(t(2)).finally(t(3)).then(t(4)); queueMicrotask(t('micro'))
        ;(async () => { await thenable; order.push('awaited'); await (async () => { await 0; order.push('inner') })(); order.push('outer') })()
        new Promise((r) => { r(new Promise((q) => q())); order.push('sync') }).then(t('nested')); Promise.reject(0).catch(t('caught')).then(t('after'))""",
        """Promise.all([1, Promise.resolve(2), thenable]).then((x) => order.push(x.join('')));
            Promise.race([new Promise(() => {}), thenable]).then(t('race'));
            Promise.any([Promise.reject(1), 2]).then(t('any'));
            Promise.allSettled([Promise.reject(1), 2]).then((x) => order.push(x.map((y) => y.status[0]).join('')))""",
        """setTimeout(t('timer'), 1); setImmediate(t('immediate')); order.push('here'); await 0;
            order.push('there'); Promise.try(() => { throw 'thrown' }).catch((x) => order.push(x));
            const { promise, resolve } = Promise.withResolvers(); promise.then(t('resolvers')); resolve()""",
        "order.join()",
    ],
    "promises that nobody has settled yet": [
        """const { promise, resolve, reject } = Promise.withResolvers(), log = [];
            for (let i = 0; i < 20; i++) promise.then((x) => log.push(i + x), (e) => log.push(i + '!' + e));
            const all = Promise.all([promise, 1]), race = Promise.race([promise, new Promise(() => {})]),
            any = Promise.any([promise]), settled = Promise.allSettled([promise])""",
        """const derived = [promise.finally(() => log.push('finally')), (async () => (await promise) + 'async')(),
            promise.then()]; class Own extends Promise { static made = 0; constructor(f) { super(f); Own.made++ } }
            const own = Own.resolve(promise).then((x) => x + 'own')""",
        "resolve('R'); reject('never'); await null; log.push('turn')",
        """[await all, await race, await any, (await settled)[0].value, ...(await Promise.all(derived)), await own,
            own instanceof Own, Own.made, log.join()].flat().join()""",
    ],
    "rejections handled late": [
        """const lost = Promise.reject('first'), kept = Promise.reject('second'); kept.catch(() => {});
            const later = new Promise((_, r) => setTimeout(r, 2, 'timed'))""",
        """const caught = []; lost.catch((e) => caught.push(e)); later.catch((e) => caught.push(e));
            (async () => { throw 'async' })()""",
        """const chain = Promise.reject('third').then(() => caught.push('no'));
            await new Promise((r) => setTimeout(r, 3)); chain.catch((e) => caught.push(e));
            const unsettled = (async () => { await later })()""",
        "caught.join()",
    ],
    "timers across many events": [
        """const log = []; const at = (x) => log.push(x + '@' + Math.floor(performance.now() / 100));
            setTimeout(at, 31_000, 'a'); setTimeout(at, 30_500, 'b'); const gone = setTimeout(at, 30_200, 'gone');
            const every = setInterval(at, 400, 'i');
            setTimeout(() => { at('outer'); setTimeout(at, 30_100, 'inner'); queueMicrotask(() => at('micro')) }, 5)""",
        """clearTimeout(gone); const text = setTimeout(at, 31_700, 'text'); clearTimeout(String(text)); await null;
            at('event 2')""",
        """let n = 0; const self = setInterval(() => { at('self'); if (++n === 2) clearInterval(self) }, 250);
            setTimeout(() => { throw 'in timer' }, 900 + 30_000); at('event 3')""",
        """at('event 4'); const nested = [];
            (function again(d) { setTimeout(() => { nested.push(d); if (d < 6) again(d + 1) }, d) })(1)""",
        "clearInterval(every); [log.map((x) => x.split('@')[0]).join(), nested.join()]",
    ],
    "Array.fromAsync and for await, left open": [
        """let open; const gate = new Promise((r) => { open = r });
            const list = Array.fromAsync([1, gate, 3], async (x) => x * 2), log = [];
            const loop = (async () => {
            for await (const x of {
            [Symbol.asyncIterator]: () => ({ i: 0, async next() { log.push('next ' + this.i);
            if (this.i === 1) await gate; return { value: this.i++, done: this.i > 3 } },
            async return() { log.push('return'); return {} } }) }) { log.push(x); if (x === 2) return 'x'; }
            return 'end' })()""",
        """log.push('waiting'); const like = Array.fromAsync({ length: 3, 0: gate, 1: 'b' });
            const early = (async () => {
            for await (const x of (async function* () { try { yield gate;
            yield 'never' } finally { log.push('closed') } })()) return x })()""",
        "open(21)",
        "[(await list).join(), await loop, (await like).join(), await early, log.join()].join('|')",
    ],
    "resources held while an event ends": [
        """const log = []; const res = (n, fail) => ({ [Symbol.dispose]() { log.push(n); if (fail) throw n } });
            let go; const held = (async () => { using a = res('a'), b = res('b');
            await using c = { async [Symbol.asyncDispose]() { await null; log.push('c') } }; log.push('held');
            await new Promise((r) => { go = r }); log.push('going'); return 'done' })();
            function* lazily() { using g = res('g'); yield 1; yield 2 } const gen = lazily(); gen.next()""",
        """const stack = new DisposableStack(); stack.use(res('s1')); stack.defer(() => log.push('deferred'));
            stack.adopt({ v: 1 }, (x) => log.push('adopted ' + x.v)); const moved = stack.move();
            log.push(stack.disposed)""",
        """go(); await held; let suppressed; try { using x = res('x', true), y = res('y', true);
            throw 'body' } catch (e) {
            suppressed = [e.name, e.error, e.suppressed.error, e.suppressed.suppressed].join(); e.stack;
            e.suppressed.stack } gen.return()""",
        """moved.dispose(); const astack = new AsyncDisposableStack(); astack.use(res('as'));
            await astack.disposeAsync(); [log.join(), suppressed, moved.disposed]""",
    ],
    "microtasks by the thousand": [
        """let ran = 0; const order = [];
            for (let i = 0; i < 3_000; i++) queueMicrotask(() => { ran++; if (i % 1_000 === 0) order.push(i) });
            const ping = async (n) => { for (let i = 0; i < n; i++) { await null; ran++ } return n };
            await Promise.all([ping(500), ping(700)])""",
        """const tasks = Array.from({ length: 200 }, async (_, i) => { for (let k = 0; k < i % 7; k++) await k;
            order.push(i); return i }); const winners = await Promise.race(tasks)""",
        """const waiting = Array.from({ length: 100 },
            (_, i) => new Promise((r) => setTimeout(r, i % 5, i)).then((x) => { order.push('t' + x) }));
            await Promise.all(waiting); let drained = 0;
            (function more(n) { if (n) Promise.resolve().then(() => { drained++; more(n - 1) }) })(1_000)""",
        "[ran, winners, drained, order.join()]",
    ],
    "timers taken away": [
        """const ran = []; const first = setTimeout(() => ran.push('never'), 1),
            second = setImmediate(() => ran.push('never')); setImmediate((x) => ran.push(x), 'at once')""",
        """clearTimeout(first); clearImmediate(second); queueMicrotask(() => ran.push('microtask'));
            setTimeout(() => { ran.push('due'); clearTimeout(third) });
            const third = setTimeout(() => ran.push('never'), 5)""",
        "ran.join()",
    ],
}
