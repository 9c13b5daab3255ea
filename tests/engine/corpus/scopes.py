"""Variables and scopes: declared, declared again, deleted, never reached, shared with arguments, eval and with."""

from __future__ import annotations

SCRIPTS: dict[str, list[str]] = {
    "eval and new functions": [
        "var viaEval = eval('var inner = 5; inner * 2'); const made = new Function('a', 'b', 'return a * b + viaEval')",
        "viaEval = made(2, 3)",
        "[viaEval, made(1, 1), inner]",
    ],
    "variables that were never reached": [
        "let reached = 1; null.x; let missed = 2; class Missed {}",
        """const read = () => { try { return missed } catch (error) { return error.message } };
            const first = read(); for (let i = 0; i < 20_000; i++) read(); [first, read()]""",
        "typeof Missed",
        "let missed = 3; [read(), reached]",
    ],
    "new language features": [
        """const grouped = Object.groupBy([1, 2, 3, 4], (x) => (x % 2 ? 'odd' : 'even'));
            const set = new Set([1, 2]).union(new Set([3]))""",
        "const iter = [1, 2, 3, 4].values().filter((x) => x > 1).take(2).toArray()",
        """[grouped.even.join(), set.size, iter.join(), RegExp.escape('a.b'), typeof Temporal,
            await Array.fromAsync([1, 2])].join('|')""",
    ],
    "declared again and again": [
        """let a = 1; const b = 'first'; class C { v() { return 1 } } var d = 1; function f() { return a + b }
            const readA = () => a, readB = () => b; for (let i = 0; i < 5_000; i++) readA() + readB()""",
        """let a = 'second'; const b = 2; class C { v() { return 2 } } var d;
            function f() { return 'new ' + a + b } let e""",
        """const before = [readA(), readB(), new C().v(), d, f()].join(); let a = 3.5; const b = { third: 3 };
            for (let i = 0; i < 5_000; i++) readA(); a = null""",
        "let clash; const c2 = before; [before, readA(), JSON.stringify(readB()), f()]",
    ],
    "declarations that clash": [
        "const fixed = 1; let loose = 1; var old = 1; function fn() {}",
        "let fixed = 2",
        "var loose = 2",
        "let old = 3; old",
        "fixed = 5",
        """const fixed = 6; fn = 7;
            const results = [fixed, loose, old, typeof fn, globalThis.old, globalThis.loose, globalThis.fixed];
            results.join()""",
    ],
    "variables that a failure left unreached": [
        """const early = () => late; let tried; try { early() } catch (e) { tried = e.message; e.stack }
            throw 'before'; let late = 1; const never = 2; class Never {}""",
        """const seen = []; for (const f of [() => late, () => never, () => Never, () => { late = 5 },
            () => typeof late]) for (let i = 0; i < 3_000; i++) try { f();
            if (i === 2_999) seen.push('fine') } catch (e) { if (i === 2_999) { seen.push(e.message); e.stack } }""",
        "let late = 'now'; let partial = (() => { throw 'init' })()",
        """try { partial } catch (e) { seen.push(e.message); e.stack } var hoisted = typeof inner + typeof blockFn;
            { function blockFn() {} } if (false) { var inner }""",
        "[early(), seen.join('|'), hoisted, typeof blockFn, tried]",
    ],
    "arguments that are the parameters": [
        """function sloppy(a, b, c) { arguments[0] = 'set'; b = 'assigned'; delete arguments[1];
            arguments[1] = 'again'; b += '!'; arguments[3] = 'extra'; arguments.length = 9; return arguments }
            function strict(a) { 'use strict'; arguments[0] = 'no'; a += 1; return [a, arguments] }
            const s = sloppy(1, 2), t = strict(5)""",
        """function live(a, b) { return { args: arguments, set(v) { a = v }, get: () => [a, b] } }
            const l = live(1, 2, 3); l.args[0] = 'via args'; l.set(l.get()[0] + ' via param'); Object.freeze(l.args)""",
        """l.set('after freeze'); function kept(a) { const args = arguments;
            return { over: () => args[0], bump: () => a++ } } const k = kept(1);
            for (let i = 0; i < 3_000; i++) k.bump();
            function defaults(a, b = a, { c } = { c: arguments.length }) { a = 'x';
            return [arguments[0], b, c].join('') } for (let i = 0; i < 3_000; i++) sloppy(i, i)""",
        """const again = live(8, 9); again.args[1] = 'mapped';
            Object.defineProperty(again.args, 0, { writable: false }); again.set('ignored');
            [Array.from(s).join(), s.length, t[0], t[1][0], l.get().join(), l.args[0], k.over(), defaults(5),
            again.get().join(), again.args[0]]""",
    ],
    "functions that are not strict": [
        """function who() { return this === globalThis ? 'global' : typeof this }
            const calls = [who(), who.call(5), who.call(null), who.call('s'), (() => typeof this)()];
            undeclared = 'made global'; function oct() { return 010 + 0o10 }
            var fnName = function self() { self = 1; return typeof self }""",
        """function dup(a, a) { return a } function hoist() { const before = typeof inner;
            { function inner() { return 'hoisted' } } return before + inner() }
            if (true) { function branch() { return 'if' } } else { function branch() { return 'else' } }
            const { caller } = who, del = delete calls.nothing, undel = delete fnName;
            label: { calls.push('in'); break label; calls.push('out') }""",
        """const f = new Function('return this'), g = (0, eval)('typeof this'), h = function () {
            return f.call(undefined) === globalThis }; undeclared += '!';
            with ({ undeclared: 'with', x: 1 }) { undeclared += '?'; var x = 5; calls.push(undeclared, x) }""",
        """[calls.join(), undeclared, delete globalThis.undeclared, typeof undeclared, oct(), fnName(), dup(1, 2),
            hoist(), branch(), del, undel, g, h(), x]""",
    ],
    "with, eval and names found late": [
        """const scope = { n: 1, get seen() { return ++this.n } }; let outer = 'o';
            function run(code) { let local = 'l'; with (scope) { return eval(code) } }
            run('n += 10; var made = n; local += outer')""",
        """scope.local = 'shadow'; const r1 = run('local + n + typeof made'), counter = run('() => local + n++');
            const hidden = (() => { let secret = 1; return { ev: (c) => eval(c) } })();
            hidden.ev('var own = secret + 1; secret = own * 10')""",
        """delete scope.local; const r2 = counter(); const r3 = hidden.ev('typeof own + secret');
            const indirect = eval; indirect('var viaIndirect = 1; let lexical = 2');
            for (let i = 0; i < 800; i++) run('n')""",
        """(function () { 'use strict'; eval('var strictOnly = 1') })(); const unscoped = [];
            with ([1, 2]) { unscoped.push(typeof values, length) } [r1, r2, r3, counter(), scope.seen, viaIndirect,
            typeof lexical, typeof strictOnly, typeof own, unscoped.join()]""",
    ],
    "properties of the global object": [
        """var declared = 1; let lexical = 2; globalThis.assigned = 3; implicit = 4;
            function fn() { return declared + assigned + implicit }
            Object.defineProperty(globalThis, 'fixed', { value: 5 }); for (let i = 0; i < 5_000; i++) fn()""",
        """delete globalThis.declared; delete globalThis.assigned; delete globalThis.implicit;
            const gone = [typeof declared, typeof assigned, typeof implicit, typeof fixed];
            globalThis.implicit = 40; globalThis.lexical = 'property'""",
        """delete globalThis.parseFloat; delete globalThis.Intl; globalThis.undefined = 1; globalThis.NaN = 2;
            Math = { max: () => 'mine' }; const { max } = Math; var Date = 'mine'; let JSON = { own: true };
            globalThis.assigned = '3'; globalThis[Symbol.for('g')] = 's'; globalThis[5] = 'five'""",
        """Object.preventExtensions(globalThis); try { later = 1 } catch {} var another;
            [gone.join(), fn(), lexical, globalThis.lexical, typeof parseFloat, undefined, max(), Date, JSON.own,
            globalThis[5], fixed, typeof later, Object.keys(globalThis).join()].map(String).join('|')""",
    ],
    "the global object sealed": [
        "var v = 1; globalThis.g = 2; let l = 3; Object.seal(globalThis)",
        """v = 10; g = 20; l = 30;
            const tried = [delete globalThis.g, Reflect.set(globalThis, 'fresh', 1),
            Reflect.defineProperty(globalThis, 'x', { value: 1 })]; let still = 'new lexical'""",
        "Object.freeze(globalThis); v = 100; g = 200; l = 300; class Later { static s = still }",
        "var notAllowed = 1",
        "console.log(v, g, l, Later.s); [v, g, l, still, tried.join(), Object.isFrozen(globalThis)]",
    ],
    "labels, loops and switches that keep closures": [
        """const log = []; outer: for (const a of [1, 2, 3]) {
            inner: for (let b = 0; ; b++) { log.push(() => a * 10 + b); if (b === a) continue outer;
            if (a === 3) break outer; if (b > 5) break inner } } switch (1) { case 1: let x = 'declared';
            case 3: x = 'set'; log.push(() => x); break; default: log.push(0) }""",
        """block: { try { break block } finally { log.push(() => 'finally') } }
            const gen = (function* () { l: while (true) { for (const x of [1, 2]) { const r = yield x;
            if (r === 'again') continue l; if (r === 'out') break l } yield 'end' } return 'left' })();
            const g = [gen.next().value, gen.next('again').value]""",
        """g.push(gen.next().value, gen.next().value, gen.next().value);
            a: b: c: for (const k in { p: 1, q: 2 }) { for (;;) continue a } do { var once = 'once' } while (false)""",
        "g.push(gen.next('out').value); [log.slice(0, 9).map((f) => f()).join(), g.join(), once]",
    ],
    "functions and their texts": [
        """function  spaced ( a,b ) { /* kept */ return a }
            const arrow = async  (x) =>  x, o = { method ( ) { }, get  acc( ) { return 1 }, *gen(){},
            async *ag() {}, ['comp' + 1]: function(){}, 'str key'() {} };
            class K { static  s = 1; #p() {} constructor ( ) {} }
            const bound = spaced.bind(null, 1), native = Math.max""",
        """const texts = [spaced, arrow, o.method, Object.getOwnPropertyDescriptor(o, 'acc').get, o.gen, o.ag,
            o.comp1, o['str key'], K, bound, native, new Function('a', 'b', 'return a'),
            (async function* () {}).constructor('yield 1'),
            Symbol.prototype[Symbol.toPrimitive]].map((f) => f.toString() + f.name + f.length)""",
        """Object.defineProperty(spaced, 'name', { value: 'renamed' }); delete arrow.name; spaced.length = 9;
            const anonymous = [() => {}, class {}, function () {}].map((f) => f.name);
            const inferred = ((x = () => {}) => x.name)(); for (let i = 0; i < 2_000; i++) spaced(i)""",
        r"""[texts.join('\n'), spaced.name, arrow.name, spaced.length, anonymous.join(), inferred, String(spaced),
            bound.name, o.comp1.name]""",
    ],
    "tagged templates and their identity": [
        r"""const seen = new Map(); const tag = (s, ...v) => { seen.set(s, (seen.get(s) ?? 0) + 1); return s };
            const site = (x) => tag`a${x}\n${x}b\u0041`; const first = site(1), second = site(2)""",
        r"""const third = site(3);
            const again = [first === third, Object.isFrozen(first), first.raw.join('|'), seen.size];
            const cache = new WeakMap([[first, 'cached']]); const bad = ((s) => s)`\unicode and ${1}`""",
        """const sites = Array.from({ length: 5 },
            (_, i) => new Function('tag', 'return () => tag`t' + (i % 2) + '${0}`')(tag));
            const made = sites.map((s) => s()); for (let i = 0; i < 3_000; i++) site(i);
            const viaEval = () => eval('tag`in eval`'); const differs = viaEval() !== viaEval()""",
        r"""[again.join(), site(0) === first, cache.get(site(9)), seen.get(first), seen.size,
            made[0] === sites[0](), made[0] === made[2], differs, bad[0], String.raw`x\y${1}`]""",
    ],
}
