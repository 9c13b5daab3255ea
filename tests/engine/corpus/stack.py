"""The stack: deep recursion that does not overflow, cold and hot, through the language and the built-ins.

How deep a stack reaches depends on how far V8 has optimized; these stay below its end on every way.
"""

from __future__ import annotations

SCRIPTS: dict[str, list[str]] = {
    "recursion near the end of the stack, cold": [
        "let deepest = 0; function down(n) { if (n > deepest) deepest = n; return n === 0 ? 0 : 1 + down(n - 1) }",
        "down(5_000)",
        "down(5_000) + down(4_999)",
        "[deepest, down(10)]",
    ],
    "recursion near the end of the stack, hot": [
        """let calls = 0; function down(n) { calls++; return n === 0 ? 0 : 1 + down(n - 1) }
            for (let i = 0; i < 2_000; i++) down(50)""",
        "down(5_000)",
        "for (let i = 0; i < 2_000; i++) down(i % 40); down(5_000)",
        "calls",
    ],
    "functions that call each other, with finally": [
        """let even = 0, odd = 0, closed = 0
        function isEven(n) { even++; try { return n === 0 || isOdd(n - 1) } finally { closed++ } }
        function isOdd(n) { odd++; try { return n !== 0 && isEven(n - 1) } finally { closed++ } }""",
        "for (let i = 0; i < 500; i++) isEven(20); isEven(2_000)",
        "isOdd(2_001)",
        "[even, odd, closed]",
    ],
    "recursion that changes its types on the way down": [
        """function sum(n, step) { return n <= 0 ? 0 : n + sum(n - step, step) } let total = 0;
            for (let i = 0; i < 5_000; i++) total += sum(30, 1)""",
        "total += sum(2_000, 1); total += sum(700, 0.5)",
        "let text = ''; function spell(n) { return n === 0 ? text : spell(n - 1) + n % 10 } spell(1_500).length",
        "text = 'x'; total = [total, spell(1_200), sum('9', 3)].join('|'); total",
    ],
    "recursion through callbacks of built-ins": [
        """const visits = {}
        const visit = (kind) => { visits[kind] = (visits[kind] ?? 0) + 1 }
        const ways = {
          map: (n) => [n].map((x) => (visit('map'), x === 0 ? 0 : ways.map(x - 1) + 1))[0],
          sort: (n) => { let deep = 0; [1, 2].sort(() => { visit('sort'); deep = n === 0 ? 0 : ways.sort(n - 1) + 1; return 0 }); return deep },
          replace: (n) => +'x'.replace('x', () => (visit('replace'), n === 0 ? 0 : ways.replace(n - 1) + 1)),
          apply: (n) => (visit('apply'), n === 0 ? 0 : Reflect.apply(ways.apply, null, [n - 1]) + 1),
          getter: (n) => { visit('getter'); const o = { get in() { return n === 0 ? 0 : ways.getter(n - 1) + 1 } }; return o.in },
          proxy: (n) => { visit('proxy'); const p = new Proxy({}, { get: () => (n === 0 ? 0 : ways.proxy(n - 1) + 1) }); return p.any },
          valueOf: (n) => { visit('valueOf'); return +{ valueOf: () => (n === 0 ? 0 : ways.valueOf(n - 1) + 1) } },
          construct: (n) => { visit('construct'); return n === 0 ? 0 : new (class { constructor() { this.n = ways.construct(n - 1) + 1 } })().n },
          forEach: (n) => { let deep = 0; new Map([[1, 1]]).forEach(() => { visit('forEach'); deep = n === 0 ? 0 : ways.forEach(n - 1) + 1 }); return deep },
          iterate: (n) => { visit('iterate'); const it = { *[Symbol.iterator]() { yield n === 0 ? 0 : ways.iterate(n - 1) + 1 } }; const [x] = it; return x },
        }""",
        "const reached = Object.keys(ways).map((kind) => ways[kind](300)); reached.join()",
        "for (let i = 0; i < 60; i++) for (const kind in ways) ways[kind](20)",
        "Object.keys(ways).map((kind) => ways[kind](400)).join() + JSON.stringify(visits)",
    ],
    "deep JSON": [
        """let nested = null; for (let i = 0; i < 1_500; i++) nested = i % 2 ? [nested] : { n: nested };
            const text = JSON.stringify(nested)""",
        """const parsed = JSON.parse(text); let depth = 0;
            for (let at = parsed; at !== null; at = Array.isArray(at) ? at[0] : at.n) depth++; depth""",
        """let keys = 0; const revived = JSON.parse(text.slice(0, 0) + JSON.stringify(JSON.parse('[[[[[[1]]]]]]')),
            (k, v) => (keys++, v)); keys""",
        "[depth, keys, text.length, JSON.stringify(parsed) === text]",
    ],
    "structures deeper than the stack": [
        "let list = null; for (let i = 0; i < 11_000; i++) list = { i, next: list }",
        """let tree = []; for (let i = 0; i < 2_000; i++) tree = [tree, i]; let bound = (x) => x + 1;
            for (let i = 0; i < 200; i++) bound = bound.bind(null)""",
        """let chain = {}; for (let i = 0; i < 2_000; i++) { chain = Object.create(chain);
            chain['k' + (i % 7)] = i } let proxies = { end: 1 };
            for (let i = 0; i < 90; i++) proxies = new Proxy(proxies, {})""",
        """let count = 0; for (let at = list; at; at = at.next) count += at.i; let nest = 0;
            for (let at = tree; at.length; at = at[0]) nest += at[1];
            [count, nest, bound(4), chain.k0, chain.k6, proxies.end]""",
    ],
    "closures within closures within closures": [
        """let built = (n) => n; for (let i = 0; i < 600; i++) { const inner = built;
            built = (n) => { i++; return inner(n + 1) } }""",
        "built(0)",
        """let curried = (x) => x; for (let i = 0; i < 60; i++) { const f = curried; let own = i;
            curried = (x) => (y) => { own += y; return f(x + own) } } for (let i = 0; i < 3_000; i++) curried(i)(1)""",
        "[built(built(1)), curried(1)(2)]",
    ],
    "a scope chain of a hundred levels": [
        """let source = 'return () => { '; for (let i = 0; i < 100; i++) source += `s${i} += ${i}; `;
            source += 'return ' + Array.from({ length: 100 }, (_, i) => 's' + i).join(' + ') + ' }';
            for (let i = 99; i >= 0; i--) source = `let s${i} = ${i}; { ${source} }`;
            const step = new Function(source)()""",
        "step(); step()",
        "for (let i = 0; i < 3_000; i++) step(); step()",
        "[step(), step.toString().length]",
    ],
    "very many arguments": [
        """const many = Array.from({ length: 30_000 }, (_, i) => (i * 7919) % 30_011);
            function count() { return arguments.length + arguments[29_999] } const rest = (...all) => all.length""",
        "let greatest = Math.max(...many), counted = count.apply(null, many), rested = rest(...many, ...many)",
        """const codes = String.fromCharCode(...many.slice(0, 5_000));
            const joined = [].concat(...many.map((x) => [x, [x]])).length; const made = new Array(...many).length""",
        "[greatest, counted, rested, codes.length, joined, made, count.call(null, ...many)]",
    ],
    "regular expressions that backtrack deep": [
        """const nested = '('.repeat(500) + 'x' + ')'.repeat(500);
            const re = new RegExp('^' + '(?:a|b'.repeat(60) + ')*'.repeat(60) + '$'); const slow = /^(a+)+$/""",
        r"""const found = [re.test('abab'.repeat(20)), slow.test('a'.repeat(18) + '!'),
            /(?:\((?=(.)))+x/.exec(nested)[0].length]""",
        r"""const back = /^(.*)(\1)(\2)$/s.exec('ab'.repeat(9)); const lazy = /<(.+?)>(.*?)<\/\1>/gs;
            const tags = '<a><b>x</b></a>'.repeat(300).replace(lazy, '[$1:$2]').length""",
        "[found.join(), back.slice(1).join(), tags, RegExp.lastMatch.length, RegExp.$1]",
    ],
    "code nested as deep as a parser may go": [
        """const sum = eval('('.repeat(700) + '1' + ')'.repeat(700)),
            array = eval('['.repeat(600) + ']'.repeat(600)),
            object = eval('(' + '{a:'.repeat(500) + '1' + '}'.repeat(500) + ')')""",
        """const arrows = eval('() => '.repeat(300) + '5'); let at = arrows;
            for (let i = 0; i < 299; i++) at = at(); at()""",
        """const blocks = new Function('{'.repeat(500) + 'return 7' + '}'.repeat(500));
            const cases = new Function('x', 'return ' + Array.from({ length: 400 },
            (_, i) => `x === ${i} ? ${i * 3} : `).join('') + '-1')""",
        "[sum, at(), blocks(), cases(399), cases(400), Object.keys(object).join()]",
    ],
    "errors thrown deep and caught at the top": [
        """const seen = []; function fall(n) { if (n === 0) throw new RangeError('bottom');
            try { return fall(n - 1) } finally { passed++ } } let passed = 0""",
        r"""for (const n of [3, 300, 2_000]) try { fall(n) } catch (e) {
            seen.push(e.message + e.stack.split('\n').length) }""",
        r"""Error.stackTraceLimit = 200;
            for (let i = 0; i < 300; i++) try { fall(i % 90) } catch (e) {
            if (i % 60 === 0) seen.push(e.stack.split('\n').length) }""",
        "try { fall(150) } catch (e) { seen.push(e.stack) } [passed, seen.join('\\n')]",
    ],
    "rethrown from level to level": [
        """let wrapped = 0; function wrap(n) { try { if (n === 0) null.x;
            return wrap(n - 1) } catch (e) { wrapped++; const up = new Error('at ' + n, { cause: e }); up.stack;
            throw up } }""",
        """let top, causes = 0; try { wrap(200) } catch (e) { top = e;
            for (let at = e; at; at = at.cause) { at.stack; causes++ } }""",
        "for (let i = 0; i < 100; i++) try { wrap(5) } catch {}",
        "[wrapped, causes, top.message, top.cause.cause.message]",
    ],
    "generators that delegate deep": [
        """function* nest(n) { entered++; if (n === 0) { const sent = yield 'bottom'; return sent }
            try { return (yield* nest(n - 1)) + 1 } finally { left++ } } let entered = 0, left = 0;
            const it = nest(300); it.next()""",
        """const other = nest(200); other.next(); let thrown;
            try { other.throw(new Error('in')) } catch (e) { thrown = e.message; e.stack }""",
        "const done = it.next(5)",
        "[done.value, done.done, thrown, entered, left]",
    ],
    "async functions that wait for each other": [
        """let open; const gate = new Promise((r) => { open = r }); let reached = 0;
            async function wait(n) { reached++; return n === 0 ? gate : 1 + (await wait(n - 1)) }
            const all = wait(500)""",
        """let promise = Promise.resolve(0); for (let i = 0; i < 3_000; i++) promise = promise.then((x) => x + 1);
            const nested = (async () => { let p = gate;
            for (let i = 0; i < 200; i++) p = Promise.resolve(p).then((x) => Promise.resolve(x + 1)); return p })()""",
        "open(7); await promise",
        "[await all, await nested, reached]",
    ],
    "recursion while optimized code is replaced on the stack": [
        """let turns = 0
        function work(n) {
          let sum = 0
          for (let i = 0; i < (n === 0 ? 40_000 : 20); i++) sum = (sum + i * n) | 0
          turns++
          return n === 0 ? sum : (sum + work(n - 1)) | 0
        }""",
        "work(600)",
        "for (let i = 0; i < 100; i++) work(12); const early = work(3); work(900)",
        "Array.prototype.extra = 1; delete Array.prototype.extra; [turns, early, work(5)]",
    ],
}
