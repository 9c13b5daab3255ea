"""Scripts, each a session of a few events, whose state must come out the same on every road.

The last event of each returns what its mutated variables hold.
"""

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
        "const order = []; Promise.resolve().then(() => order.push(1)); (async () => { await null; order.push(2); await null; order.push(3) })(); queueMicrotask(() => order.push(4)); Promise.all([1, 2]).then(() => order.push(5))",
        "order.join()",
    ],
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
    "cycles and shared references": [
        "const a = { name: 'a' }, b = { a }; a.b = b; const both = [a, b, a]",
        "both[0].b.a.name = 'changed'",
        "both[2].name",
    ],
    "getters, setters and symbols": [
        "const tag = Symbol('tag'); const o = { get twice() { return this.n * 2 }, set twice(v) { this.n = v / 2 }, n: 1, [tag]: 'x' }",
        "o.twice = 10",
        "[o.n, o.twice, o[tag]]",
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
    "prototype pollution": [
        "Object.prototype.polluted = 'yes'; Array.prototype.last = function () { return this[this.length - 1] }",
        "({}).polluted + [1, 2].last()",
        "delete Object.prototype.polluted; String({}.polluted)",
    ],
    "frozen intrinsics": [
        "for (const o of [Object, Array, Map, Promise, Error, Date, Math, JSON]) { Object.freeze(o); if (o.prototype) Object.freeze(o.prototype) }",
        "console.log('still', [1, { a: 2 }])",
        "Object.isFrozen(Array.prototype) && [3, 1, 2].sort().join()",
    ],
    "replaced globals": [
        "globalThis.JSON = null; globalThis.Date = 5; Array.prototype.push = () => { throw 'no' }; Promise.prototype.then = Promise.prototype.then",
        "console.log('works'); ({ deep: [1] })",
        "typeof Date + String(JSON)",
    ],
    "typed arrays and buffers": [
        "const buffer = new ArrayBuffer(16); const u8 = new Uint8Array(buffer); const f64 = new Float64Array(buffer)",
        "f64[0] = Math.PI; u8[15] = 7",
        "[...u8].join()",
    ],
    "resizable buffer": [
        "const grow = new ArrayBuffer(4, { maxByteLength: 64 }); const view = new Uint8Array(grow)",
        "grow.resize(32); view[31] = 5",
        "[view.length, view.at(-1)]",
    ],
    "float arithmetic": [
        "let sum = 0; for (let i = 1; i < 20_000; i++) sum += Math.sin(i) * Math.exp(-i / 1e4) + Math.cbrt(i) + Math.atan2(i, 3)",
        "sum = sum % 1e6",
        "sum",
    ],
    "big integers": ["let big = 2n ** 200n", "big = big * 3n - 1n", "(big % 1_000_000_007n).toString()"],
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
    "timers": [
        "const fired = []; setTimeout(() => fired.push('a'), 5); setTimeout(() => fired.push('b'), 1); fired.push('now')",
        "fired.join()",
    ],
    "interval": [
        "let ticks = 0; const id = setInterval(() => { if (++ticks === 3) clearInterval(id) }, 2); await new Promise((r) => setTimeout(r, 20))",
        "ticks",
    ],
    "timers left for later": [
        "let woke = 0; setTimeout(() => { woke = Date.now() }, 40_000)",
        "woke",
        "woke === 0",
    ],
    "thrown errors keep their mutations": [
        "let before = 0",
        "before = 1; throw new RangeError('stop')",
        "before = before + 10; null.x",
        "before",
    ],
    "errors caught": [
        "const caught = []; for (const f of [() => null.a, () => undefinedName, () => ({}).f(), () => [].reduce((a) => a), () => 1n + 1]) try { f() } catch (e) { caught.push(e.name + ': ' + e.message) }",
        "caught.join('\\n')",
    ],
    "stack text": [
        "function inner() { return new Error('where').stack } function outer() { return inner() }",
        "const where = outer()",
        "where",
    ],
    "syntax error in between": ["let ok = 1", "let = = 2", "ok = 2", "ok"],
    "unhandled rejection": [
        "let kept = 1; Promise.reject(new Error('lost'))",
        "kept = 2; Promise.reject(5)",
        "kept",
    ],
    "regular expressions": [
        "const re = /(?<word>\\w+)-(\\d+)/g; const text = 'ab-1 cd-22'",
        "const found = [...text.matchAll(re)].map((m) => m.groups.word + m[2])",
        "[found.join(), re.lastIndex]",
    ],
    "sorting and order": [
        "const order = Array.from({ length: 300 }, (_, i) => ({ k: (i * 31) % 7, i })).sort((a, b) => a.k - b.k)",
        "const keys = {}; for (let i = 0; i < 50; i++) keys['k' + ((i * 7) % 50)] = i; delete keys.k5; keys[3] = 1",
        "order.map((x) => x.i).join() + Object.keys(keys).join()",
    ],
    "new language features": [
        "const grouped = Object.groupBy([1, 2, 3, 4], (x) => (x % 2 ? 'odd' : 'even')); const set = new Set([1, 2]).union(new Set([3]))",
        "const iter = [1, 2, 3, 4].values().filter((x) => x > 1).take(2).toArray()",
        "[grouped.even.join(), set.size, iter.join(), RegExp.escape('a.b'), typeof Temporal, await Array.fromAsync([1, 2])].join('|')",
    ],
    "eval and new functions": [
        "var viaEval = eval('var inner = 5; inner * 2'); const made = new Function('a', 'b', 'return a * b + viaEval')",
        "viaEval = made(2, 3)",
        "[viaEval, made(1, 1), inner]",
    ],
    "locale and time zone": [
        "const shown = [(1234567.891).toLocaleString(), new Date(0).toLocaleString(), new Intl.DateTimeFormat().resolvedOptions().timeZone]",
        "shown.push(['ä', 'a', 'z'].sort((a, b) => a.localeCompare(b, 'de')).join())",
        "shown.join('|')",
    ],
    "console of every kind": [
        "console.log('%s is %d', 'x', 42, { a: [1, [2, [3, [4]]]] }); console.error(new TypeError('shown')); console.warn(new Map([[1, { b: 2 }]]))",
        "console.info([undefined, null, NaN, -0, 5n, Symbol('s')]); console.debug(class Foo {}, function bar() {})",
        "'done'",
    ],
    "exceptions of the web": [
        "const kept = new DOMException('no', 'AbortError'); kept.stack; class Own extends DOMException { get extra() { return this.code } }",
        "const own = new Own('m', { name: 'DataCloneError', cause: kept }); own.stack; console.log(own)",
        "[kept.code, own.extra, own.cause === kept, own.stack]",
    ],
    "events and listeners": [
        "const bus = new EventTarget(), heard = []; bus.addEventListener('a', (e) => heard.push(e.type + e.timeStamp)); bus.addEventListener('a', () => heard.push('once'), { once: true, capture: true })",
        "bus.dispatchEvent(new Event('a')); bus.addEventListener('a', { handleEvent() { throw new TypeError('reported') } })",
        "bus.dispatchEvent(new CustomEvent('a', { detail: heard })); heard.join()",
    ],
    "abort signals": [
        "const control = new AbortController(), order = []; const any = AbortSignal.any([control.signal, AbortSignal.timeout(60_000)]); any.onabort = () => order.push('any')",
        "control.signal.addEventListener('abort', () => order.push('own')); control.abort(); any.reason.stack; order.join()",
        "[any.aborted, any.reason === control.signal.reason, any.reason.stack, order.join()]",
    ],
    "a signal that times out": [
        "const late = AbortSignal.timeout(3), at = []; late.onabort = () => { at.push(performance.now()); late.reason.stack }",
        "await new Promise((r) => setTimeout(r, 6)); at.length",
        "[late.aborted, late.reason.name, at[0] >= 3, at.join()]",
    ],
    "blobs": [
        "const blob = new Blob(['ä€', new Uint8Array([97, 98]), new Blob(['x\\r\\ny'])], { type: 'Text/Plain', endings: 'native' })",
        "const part = blob.slice(2, -1), file = new File([part], 'n.txt'); const text = await blob.text()",
        "console.log(blob, file.size); [text, await part.text(), file.lastModified, (await file.bytes()).join()]",
    ],
    "structured clones": [
        "const source = { map: new Map([[1, new Set([/x/g])]]), at: new Date(5), list: [1, , 3], bytes: new Float32Array([1.5]) }; source.self = source; const copy = structuredClone(source)",
        "source.map.clear(); copy.map.get(1).add('more'); const moved = structuredClone(copy.bytes, { transfer: [copy.bytes.buffer] })",
        "console.log(copy); let message; try { structuredClone({ f() {} }) } catch (e) { message = e.message; e.stack }; [moved.join(), copy.bytes.length, copy.map.get(1).size, copy.self === copy, message]",
    ],
    "marks and measures": [
        "performance.mark('start', { detail: { n: 1 } }); for (let i = 0; i < 1e5; i++);",
        "const span = performance.measure('span', 'start'); performance.mark('end')",
        "console.log(performance.getEntries()); [span.duration, performance.getEntriesByType('mark').length, JSON.stringify(performance.getEntriesByName('start'))]",
    ],
    "resources in scope": [
        "const closed = []; const open = (name) => ({ [Symbol.dispose]() { closed.push(name) } }); { using a = open('a'), b = open('b') }",
        "let go; const run = (async () => { await using c = { [Symbol.asyncDispose]: async () => closed.push('c') }; await new Promise((r) => { go = r }) })(); const stack = new DisposableStack(); stack.use(open('d'))",
        "go(); await run; stack.dispose(); closed.join()",
    ],
    "dates and times of Temporal": [
        "const first = String(Temporal.Now.instant()), zone = Temporal.Now.timeZoneId()",
        "const due = Temporal.Now.plainDateTimeISO('America/New_York').add({ months: 1, days: 1 }).toString({ smallestUnit: 'minute' })",
        "[first, zone, due, String(Temporal.Now.zonedDateTimeISO()), String(Temporal.Instant.fromEpochMilliseconds(Date.now()))]",
    ],
    "small floats, base64 and grouping": [
        "const half = Float16Array.of(1 / 3, 70000), bytes = Uint8Array.fromBase64('AQID/w=='); const groups = Map.groupBy(bytes, (b) => b & 1)",
        "half[0] += Math.f16round(0.1); const it = Iterator.from(bytes).map((x) => x * 2).filter((x) => x > 2); it.next()",
        "[half.join(), bytes.toHex(), [...it].join(), groups.get(1).join(), RegExp.escape('a-b'), Error.isError(half), await Promise.try(() => 5)]",
    ],
    "text encoding": [
        "const encoder = new TextEncoder(), decoder = new TextDecoder(); const euro = encoder.encode('a€😀\\ud800'); let text = decoder.decode(euro.subarray(0, 2), { stream: true })",
        "text += decoder.decode(euro.subarray(2), { stream: true })",
        "text += decoder.decode(); console.log(encoder, decoder); let fatal; try { new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255])) } catch (e) { fatal = String(e) } [text, euro.join(), fatal, btoa('abc'), atob('YWJj')]",
    ],
    "addresses": [
        "const url = new URL('../b?x=1&y=ü#h', 'https://user@exämple.org:8080/a/c'); const query = url.searchParams",
        "query.append('z', 'a b'); url.port = ''; const walk = query.entries(); walk.next()",
        "console.log(url, query); query.sort(); [url.href, [...walk].join('|'), URL.canParse('no'), new URLSearchParams({ a: '1' }).toString()]",
    ],
    "random values and digests": [
        "const drawn = [crypto.randomUUID(), crypto.getRandomValues(new Uint8Array(8)).join()]",
        "drawn.push(crypto.randomUUID()); const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode('abc'))",
        "[drawn.join(), new Uint8Array(digest).toHex(), crypto.getRandomValues(new Uint32Array(2)).join()]",
    ],
    "errors with causes, thrown and kept": [
        "class Failed extends Error { code = 7 }; const kept = []; const fail = (cause) => { throw new Failed('no', { cause }) }",
        "try { fail(new AggregateError([1, new TypeError('two')], 'all')) } catch (error) { kept.push(error); console.log(error) }",
        "fail(kept[0])",
        "await Promise.any([Promise.reject(kept[0]), Promise.reject({ at: new Date(0) })])",
        "{a: kept[0].cause.errors[1].message, stack: kept[0].stack, missing: null.x}",
        "[kept[0].stack, kept.length]",
    ],
    "groups, counters and timers of the console": [
        "console.group('outer'); console.count(); console.count('n'); console.time('t'); console.group()",
        "console.log('two\\nlines'); console.count('n'); console.timeLog('t', 1); console.groupEnd()",
        "console.timeEnd('t'); console.count('n'); console.countReset('n'); console.groupEnd(); console.log('out')",
        "console.count('n'); console.timeEnd('t'); 'over'",
    ],
    "variables that were never reached": [
        "let reached = 1; null.x; let missed = 2; class Missed {}",
        "const read = () => { try { return missed } catch (error) { return error.message } }; const first = read(); for (let i = 0; i < 20_000; i++) read(); [first, read()]",
        "typeof Missed",
        "let missed = 3; [read(), reached]",
    ],
    "WebAssembly, used and dropped": [
        "const bytes = Uint8Array.fromBase64('AGFzbQEAAAABBwFgAn9/AX8DAgEABwcBA2FkZAAACgkBBwAgACABags='); WebAssembly.validate(bytes)",
        "const sum = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports.add(40, 2)",
        "sum + (await WebAssembly.instantiate(bytes)).instance.exports.add(1, 1)",
    ],
    "tables, traces and assertions of the console": [
        "const rows = [{ a: 1, b: 'x' }, { a: 2, c: [3] }], pairs = new Map([[1, rows]]); console.table(rows); console.table(pairs); console.table([[1, 2], [3]], [1])",
        "rows[0].self = rows[0]; console.dir(rows, { depth: 0, showHidden: true }); console.dirxml(pairs, rows); console.groupCollapsed('folded'); console.trace('here %o', pairs)",
        "console.assert(rows.length === 3, 'rows: %d', rows.length); console.assert(true, 'not shown'); console.groupEnd(); console.clear(); console.timeEnd('never begun'); console.countReset('never counted')",
        "console.log('%s|%d|%i|%f|%j|%o|%O|%c|%%', rows, '1.5', 1.5, '2.5x', rows, rows, rows, 'color: red'); rows.length",
    ],
    "timers taken away": [
        "const ran = []; const first = setTimeout(() => ran.push('never'), 1), second = setImmediate(() => ran.push('never')); setImmediate((x) => ran.push(x), 'at once')",
        "clearTimeout(first); clearImmediate(second); queueMicrotask(() => ran.push('microtask')); setTimeout(() => { ran.push('due'); clearTimeout(third) }); const third = setTimeout(() => ran.push('never'), 5)",
        "ran.join()",
    ],
    "errors reported, limits of the web": [
        "const caught = []; const attempt = (f) => { try { f() } catch (e) { caught.push(e); return String(e) } }; reportError(new URIError('told')); reportError({ plain: true })",
        "attempt(() => crypto.getRandomValues(new Uint8Array(65_537))); attempt(() => crypto.getRandomValues(new Float64Array(1))); attempt(() => atob('?')); attempt(() => AbortSignal.abort().throwIfAborted())",
        "console.log(caught); [caught.map((e) => `${e.name} ${e.code}`).join(), caught[0] instanceof QuotaExceededError, URL.parse('no'), crypto instanceof Crypto, crypto.subtle instanceof SubtleCrypto]",
    ],
    "every digest": [
        "const bytes = new TextEncoder().encode('durable'), digests = {}",
        "for (const name of ['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512']) digests[name] = new Uint8Array(await crypto.subtle.digest(name, bytes)).toHex()",
        "try { await crypto.subtle.digest('MD5', bytes) } catch (e) { digests.MD5 = e.name } digests",
    ],
    "parts of addresses": [
        "const url = new URL('https://user:pass@example.org:8443/a/b?x=1&x=2#top'); const parts = () => [url.origin, url.protocol, url.username, url.password, url.host, url.hostname, url.port, url.pathname, url.search, url.hash].join(' ')",
        "const before = parts(); url.protocol = 'http'; url.host = 'Übung.example'; url.pathname = '/ä b'; url.search = 'q=%20&y'; url.hash = ''; url.username = url.password = ''",
        "const each = []; url.searchParams.forEach((value, key) => each.push(key + value)); [before, parts(), each.join(), url.searchParams.getAll('q').length, JSON.stringify({ url })]",
    ],
    "entries of performance": [
        "performance.mark('a'); performance.measure('m', 'a'); const entries = performance.getEntries(); entries.map((e) => [e instanceof PerformanceEntry, e instanceof PerformanceMark, e instanceof PerformanceMeasure].join()).join('|')",
        "performance.clearMarks('a'); performance.mark('b'); performance.clearMeasures()",
        "[performance instanceof Performance, performance.getEntries().length, entries.length, performance.timeOrigin === performance.toJSON().timeOrigin, await new Blob(['x']).arrayBuffer().then((b) => b.byteLength)]",
    ],
    "the older parts of the language": [
        "const kinds = [Int8Array, Uint16Array, Int16Array, Int32Array, Uint8ClampedArray, BigInt64Array, BigUint64Array].map((Kind) => new Kind(2)); const view = new DataView(kinds[1].buffer); view.setUint16(2, 513, true)",
        "kinds[4][0] = 300; kinds[5][1] = BigInt(-5); Atomics.add(kinds[3], 1, 7); const uris = [encodeURI('ä b/'), encodeURIComponent('ä b/'), decodeURI('%C3%A4'), decodeURIComponent('%2F'), escape('ä'), unescape('%E4')]",
        "const classes = [EvalError, ReferenceError, SyntaxError, SuppressedError].map((Kind) => { const error = new Kind('m'); error.stack; return error }); await using stack = new AsyncDisposableStack(); stack.defer(async () => uris.push('disposed'))",
        "const registry = new FinalizationRegistry(() => uris.push('never')); registry.register(classes, 1); console.log(kinds, classes, registry); [uris.join(), isFinite('1'), isNaN('x'), parseFloat('1.5x'), parseInt('0x1f'), Number('12'), Boolean(''), Reflect.ownKeys(kinds[0]).length, -Infinity, typeof undefined]",
    ],
    "events stopped and prevented": [
        "const target = new EventTarget(), heard = []; const gone = () => heard.push('never'); target.addEventListener('a', gone); target.removeEventListener('a', gone)",
        "target.addEventListener('a', (e) => { e.preventDefault(); e.stopPropagation(); heard.push(e.target === e.currentTarget, e.composedPath().length, e.defaultPrevented) }); target.addEventListener('a', (e) => e.stopImmediatePropagation()); target.addEventListener('a', gone)",
        "const event = new Event('a', { bubbles: true, cancelable: true }); const kept = target.dispatchEvent(event); console.log(event); [kept, event.bubbles, event.cancelable, event.composed, heard.join()]",
    ],
    "text encoded in place": [
        "const encoder = new TextEncoder(), room = new Uint8Array(4); const done = encoder.encodeInto('a€😀', room)",
        "const decoder = new TextDecoder('utf-16le', { ignoreBOM: true }); room.set(new Uint8Array([255, 254]))",
        "[JSON.stringify(done), room.join(), encoder.encoding, decoder.encoding, decoder.ignoreBOM, decoder.decode(room)]",
    ],
}
