"""The web's interfaces: their state in closures and private fields, and what of them is under way."""

from __future__ import annotations

SCRIPTS: dict[str, list[str]] = {
    "console of every kind": [
        """console.log('%s is %d', 'x', 42, { a: [1, [2, [3, [4]]]] }); console.error(new TypeError('shown'));
            console.warn(new Map([[1, { b: 2 }]]))""",
        "console.info([undefined, null, NaN, -0, 5n, Symbol('s')]); console.debug(class Foo {}, function bar() {})",
        "'done'",
    ],
    "exceptions of the web": [
        """const kept = new DOMException('no', 'AbortError'); kept.stack;
            class Own extends DOMException { get extra() { return this.code } }""",
        "const own = new Own('m', { name: 'DataCloneError', cause: kept }); own.stack; console.log(own)",
        "[kept.code, own.extra, own.cause === kept, own.stack]",
    ],
    "events and listeners": [
        """const bus = new EventTarget(), heard = [];
            bus.addEventListener('a', (e) => heard.push(e.type + e.timeStamp));
            bus.addEventListener('a', () => heard.push('once'), { once: true, capture: true })""",
        """bus.dispatchEvent(new Event('a'));
            bus.addEventListener('a', { handleEvent() { throw new TypeError('reported') } })""",
        "bus.dispatchEvent(new CustomEvent('a', { detail: heard })); heard.join()",
    ],
    "abort signals": [
        """const control = new AbortController(), order = [];
            const any = AbortSignal.any([control.signal, AbortSignal.timeout(60_000)]);
            any.onabort = () => order.push('any')""",
        """control.signal.addEventListener('abort', () => order.push('own')); control.abort(); any.reason.stack;
            order.join()""",
        "[any.aborted, any.reason === control.signal.reason, any.reason.stack, order.join()]",
    ],
    "a signal that times out": [
        """const late = AbortSignal.timeout(3), at = []; late.onabort = () => { at.push(performance.now());
            late.reason.stack }""",
        "await new Promise((r) => setTimeout(r, 6)); at.length",
        "[late.aborted, late.reason.name, at[0] >= 3, at.join()]",
    ],
    "blobs": [
        r"""const blob = new Blob(['ä€', new Uint8Array([97, 98]), new Blob(['x\r\ny'])],
            { type: 'Text/Plain', endings: 'native' })""",
        "const part = blob.slice(2, -1), file = new File([part], 'n.txt'); const text = await blob.text()",
        "console.log(blob, file.size); [text, await part.text(), file.lastModified, (await file.bytes()).join()]",
    ],
    "structured clones": [
        """const source = { map: new Map([[1, new Set([/x/g])]]), at: new Date(5), list: [1, , 3],
            bytes: new Float32Array([1.5]) }; source.self = source; const copy = structuredClone(source)""",
        """source.map.clear(); copy.map.get(1).add('more');
            const moved = structuredClone(copy.bytes, { transfer: [copy.bytes.buffer] })""",
        """console.log(copy); let message; try { structuredClone({ f() {} }) } catch (e) { message = e.message;
            e.stack }; [moved.join(), copy.bytes.length, copy.map.get(1).size, copy.self === copy, message]""",
    ],
    "marks and measures": [
        "performance.mark('start', { detail: { n: 1 } }); for (let i = 0; i < 1e5; i++);",
        "const span = performance.measure('span', 'start'); performance.mark('end')",
        """console.log(performance.getEntries());
            [span.duration, performance.getEntriesByType('mark').length,
            JSON.stringify(performance.getEntriesByName('start'))]""",
    ],
    "text encoding": [
        r"""const encoder = new TextEncoder(), decoder = new TextDecoder();
            const euro = encoder.encode('a€😀\ud800');
            let text = decoder.decode(euro.subarray(0, 2), { stream: true })""",
        "text += decoder.decode(euro.subarray(2), { stream: true })",
        """text += decoder.decode(); console.log(encoder, decoder); let fatal;
            try { new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255])) } catch (e) {
            fatal = String(e) } [text, euro.join(), fatal, btoa('abc'), atob('YWJj')]""",
    ],
    "addresses": [
        "const url = new URL('../b?x=1&y=ü#h', 'https://user@exämple.org:8080/a/c'); const query = url.searchParams",
        "query.append('z', 'a b'); url.port = ''; const walk = query.entries(); walk.next()",
        """console.log(url, query); query.sort();
            [url.href, [...walk].join('|'), URL.canParse('no'), new URLSearchParams({ a: '1' }).toString()]""",
    ],
    "random values and digests": [
        "const drawn = [crypto.randomUUID(), crypto.getRandomValues(new Uint8Array(8)).join()]",
        """drawn.push(crypto.randomUUID());
            const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode('abc'))""",
        "[drawn.join(), new Uint8Array(digest).toHex(), crypto.getRandomValues(new Uint32Array(2)).join()]",
    ],
    "groups, counters and timers of the console": [
        "console.group('outer'); console.count(); console.count('n'); console.time('t'); console.group()",
        "console.log('two\\nlines'); console.count('n'); console.timeLog('t', 1); console.groupEnd()",
        "console.timeEnd('t'); console.count('n'); console.countReset('n'); console.groupEnd(); console.log('out')",
        "console.count('n'); console.timeEnd('t'); 'over'",
    ],
    "decoders in the middle of their streams": [
        """const bytes = new TextEncoder().encode('aé€😀'), d8 = new TextDecoder(),
            d16 = new TextDecoder('utf-16le'), latin = new TextDecoder('windows-1252'),
            fatal = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }); let out = '';
            for (const b of bytes.slice(0, 5)) out += d8.decode(Uint8Array.of(b), { stream: true })""",
        """let half = d16.decode(Uint8Array.of(0x61, 0, 0x3d), { stream: true }) + fatal.decode(Uint8Array.of(0xef,
            0xbb), { stream: true });
            const into = new Uint8Array(5), said = JSON.stringify(new TextEncoder().encodeInto('é€x', into))""",
        """half += d16.decode(Uint8Array.of(0xd8, 0x00), { stream: true });
            for (const b of bytes.slice(5, 8)) out += d8.decode(Uint8Array.of(b), { stream: true })""",
        """out += d8.decode(bytes.slice(8));
            half += d16.decode(Uint8Array.of(0xde)) + fatal.decode(Uint8Array.of(0xbf, 0x41));
            [out, [...half].map((c) => c.codePointAt(0).toString(16)).join(), said, into.join(),
            latin.decode(bytes), d8.decode()].join('|')""",
    ],
    "addresses that are walked and changed": [
        """const url = new URL('https://u:p@exämple.org:8443/a/../b%20c?q=1&q=2&é=ü#frag'), q = url.searchParams,
            it = q.entries(), alone = new URLSearchParams('?a=1&b=%FF&a=3'), keys = alone.keys(); it.next();
            keys.next()""",
        """q.append('new', 'a&b'); q.delete('q', '1'); url.hash = ''; url.protocol = 'http'; alone.delete('b');
            const copy = new URL(url), rel = new URL('//other/x?y', url)""",
        """q.set('q', 'set'); copy.search = 'replaced=1'; copy.searchParams.append('more', '2');
            url.host = 'host:80'; let refused; try { new URL('http://[::1') } catch (e) { refused = e.message;
            e.stack } class Own extends URL { get short() { return this.host } } const own = new Own('http://own/')""",
        """[url.href, [...it].join('|'), copy.href, rel.href, [...keys].join(), alone.toString(), refused,
            own.short, q.size, JSON.stringify({ url }), URL.parse('nope')]""",
    ],
    "listeners of every kind": [
        """const target = new EventTarget(), log = [];
            class Obj { n = 0; handleEvent(e) { log.push('obj' + ++this.n + e.type) } }
            const obj = new Obj(), control = new AbortController(); target.addEventListener('x', obj);
            target.addEventListener('x', (e) => { log.push('once'); e.preventDefault() }, { once: true });
            target.addEventListener('x', () => log.push('signalled'), { signal: control.signal });
            const inner = (e) => { log.push('inner' + e.eventPhase); target.removeEventListener('x', obj);
            target.addEventListener('x', () => log.push('added late')) };
            target.addEventListener('x', inner, { passive: true })""",
        """const e = new CustomEvent('x', { cancelable: true, detail: { log } }),
            r = [target.dispatchEvent(e), e.defaultPrevented, e.target === target, e.eventPhase];
            control.abort('gone'); class Bus extends EventTarget { #count = 0;
            emit(t) { this.#count++; return this.dispatchEvent(new Event(t, { bubbles: true })) }
            get count() { return this.#count } } const bus = new Bus();
            bus.addEventListener('y', function (ev) { log.push(this === bus, ev.isTrusted);
            ev.stopImmediatePropagation() }); bus.addEventListener('y', () => log.push('never'))""",
        """r.push(target.dispatchEvent(new Event('x')), bus.emit('y'), bus.count); let refused;
            try { e.initEvent; target.dispatchEvent(e); bus.addEventListener('z', () => bus.dispatchEvent(kept));
            const kept = new Event('z'); bus.dispatchEvent(kept) } catch (x) { refused = x.name; x.stack }""",
        "[log.map(String).join(), r.join(), refused, e.timeStamp >= 0]",
    ],
    "signals across events": [
        """const control = new AbortController(), log = [];
            const signals = [AbortSignal.timeout(45_000), control.signal,
            AbortSignal.any([AbortSignal.timeout(25_000), control.signal])]; signals.push(AbortSignal.any(signals));
            signals.forEach((s, i) => s.addEventListener('abort', () => { s.reason?.stack;
            log.push(i + ':' + (s.reason.name ?? s.reason)) }));
            const waits = new Promise((r) => signals[2].addEventListener('abort', r))""",
        """log.push('second'); const dependent = AbortSignal.any([signals[3]]);
            dependent.onabort = () => log.push('dependent')""",
        "log.push('third'); control.abort({ name: 'given' }); control.abort('twice')",
        """log.push('fourth'); await waits; let thrown;
            try { signals[0].throwIfAborted() } catch (e) { thrown = e.name ?? e;
            e.stack } [log.join(), thrown, signals.map((s) => s.aborted).join(), dependent.aborted]""",
    ],
    "reasons that nobody gave": [
        """const control = new AbortController(), reasons = []; const any = AbortSignal.any([control.signal]);
            any.addEventListener('abort', () => reasons.push(any.reason)); control.abort();
            const given = AbortSignal.abort(), late = AbortSignal.timeout(10_000)""",
        """let refused; try { any.throwIfAborted() } catch (e) { refused = e }
            const copy = structuredClone(new RangeError('cloned', { cause: refused }))""",
        """reasons.push(late.reason, given.reason); let quota;
            try { crypto.getRandomValues(new Uint8Array(70_000)) } catch (e) { quota = e }""",
        """[reasons.map(String).join(), refused === control.signal.reason, copy.message, copy.cause?.name,
            String(quota), late.aborted]""",
    ],
    "clones of everything that can be cloned": [
        r"""class Own { a = 1; #p = 2 }
            const source = { n: -0, big: 10n ** 30n, s: 'x\ud800', list: [1, , { deep: new Own() }],
            m: new Map([[{ k: 1 }, new Set([1, 'a'])]]), d: new Date(0), re: /a/gi, bool: Object(false),
            str: Object('boxed'), bytes: new Uint8Array([1, 2, 3]).subarray(1), f64: new Float64Array([NaN, -0]),
            dv: new DataView(new ArrayBuffer(4), 1), err: new TypeError('kept'),
            resizable: new ArrayBuffer(2, { maxByteLength: 8 }), nul: null, undef: undefined }; source.err.stack;
            source.loop = source; source.shared = source.bytes.buffer; source.re.lastIndex = 5;
            const copy = structuredClone(source); copy.err.stack""",
        """source.list[2].deep.a = 'changed'; copy.m.get([...copy.m.keys()][0]).add('new'); const refused = [];
            for (const x of [() => {}, Symbol('s'), new WeakMap(), { get g() { throw 'getter' } },
            new Proxy({}, {}), Promise.resolve()]) try { refused.push(typeof structuredClone(x)) } catch (e) {
            refused.push(e.name ?? e); e.stack }""",
        """copy.resizable.resize(8);
            const twice = structuredClone(copy), moved = structuredClone([twice.bytes],
            { transfer: [twice.shared] }); twice.err.stack;
            const blob = structuredClone({ b: new Blob(['abc']), f: new File(['x'], 'n', { lastModified: 5 }) }),
            dom = structuredClone(new DOMException('m', 'DataCloneError')); dom.stack""",
        """[copy.loop === copy, copy.list[2].deep.constructor.name, 1 in copy.list, copy.re.lastIndex,
            copy.shared === copy.bytes.buffer, twice.bytes.length, moved[0].join(), refused.join(),
            copy.err instanceof TypeError, await blob.b.text(), blob.f.lastModified, dom.code,
            Object.is(copy.f64[1], -0), copy.dv.byteOffset]""",
    ],
    "blobs and what is being read of them": [
        """const part = new Uint8Array([104, 105]),
            blob = new Blob([part, ' ', new Blob(['€uro']), new DataView(part.buffer, 1)], { type: 'TEXT/x' }),
            reading = blob.text(), buffers = blob.arrayBuffer(); part[0] = 0;
            const slices = [blob.slice(-5), blob.slice(1, 4, 'a/b'), blob.slice(9, 2)]""",
        """const file = new File([blob, slices[0]], 'näme.txt', { lastModified: new Date(7) });
            const nested = new Blob(Array.from({ length: 50 }, (_, i) => blob.slice(i % 9)));
            const bytes = nested.bytes(); let later = '';
            blob.text().then(async (t) => { await null; later = t + (await slices[1].text()) })""",
        """class Named extends Blob { get name() { return this.type + this.size } }
            const named = new Named(['n'], { type: 'n/n' });
            const big = new Blob([new Uint8Array(300_000).fill(97)])""",
        """[await reading, (await buffers).byteLength, later, file.size, file.name, file.lastModified,
            (await bytes).length, named.name, slices.map((s) => s.size + s.type).join(),
            (await big.slice(-3).text()), String(file)]""",
    ],
    "digests and chance, under way": [
        """const data = new TextEncoder().encode('abc'.repeat(500)), pending = ['SHA-1', 'SHA-256', 'SHA-384',
            'SHA-512'].map((n) => crypto.subtle.digest(n, data)); data.fill(0);
            const ids = [crypto.randomUUID(), Math.random(), crypto.getRandomValues(new Uint16Array(4)).join()];
            const chained = pending[0].then((d) => crypto.subtle.digest('SHA-256', d))""",
        """ids.push(crypto.randomUUID(), Math.random()); const shuffled = Array.from({ length: 30 }, (_, i) => i);
            for (let i = 29; i > 0; i--) { const j = Math.floor(Math.random() * (i + 1));
            [shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]] } let late;
            setTimeout(async () => {
            late = new Uint8Array(await crypto.subtle.digest({ name: 'sha-1' },
            new Uint8Array(ids.length))).toHex() }, 31_000)""",
        """let hot = 0; for (let i = 0; i < 30_000; i++) hot = (hot + Math.random() * 1e6) | 0;
            const refused = await crypto.subtle.digest('MD5', data).catch((e) => (e.stack, e.name));
            const sampled = crypto.getRandomValues(new BigUint64Array(2))""",
        """[(await Promise.all(pending)).map((d) => new Uint8Array(d).toHex().slice(0, 16)).join(),
            new Uint8Array(await chained).toBase64(), ids.join(), shuffled.join(), hot, refused, sampled.join(),
            late]""",
    ],
    "marks and measures that are kept": [
        """const m1 = performance.mark('a', { detail: { list: [1] } }),
            m2 = performance.mark('b', { startTime: 5.5 }); performance.measure('ab', 'a', 'b');
            performance.measure('from start', { end: 'b', detail: 'd' })""",
        """performance.mark('a'); m1.detail.list.push(2);
            const span = performance.measure('again', { start: 'a', duration: 3 }); performance.clearMarks('b');
            let refused; try { performance.measure('x', 'gone') } catch (e) { refused = e.name; e.stack }""",
        """for (let i = 0; i < 300; i++) performance.mark('many' + (i % 3)); performance.clearMarks('many1');
            const json = JSON.stringify(span),
            entries = performance.getEntries().map((e) => e.name + e.entryType[1])""",
        """[entries.join(), performance.getEntriesByName('a').length,
            performance.getEntriesByType('measure').map((e) => e.duration).join(), json, refused,
            m1.detail.list.join(), performance.toJSON().timeOrigin > 0, performance.timeOrigin]""",
    ],
    "labels of the console over events": [
        r"""console.group('g1'); console.count(); console.count('x'); console.time('t');
            console.log('multi\nline %s', 'arg', { a: 1 }); console.group();
            console.table([[1, 2], { a: 3 }], ['a'])""",
        """console.countReset('x'); console.count('x'); console.timeLog('t', 'more'); console.time('t');
            console.assert(false, 'failed %d', 5); console.groupEnd(); console.dirxml({ d: 1 });
            const { log } = console; console.log = (...a) => log('patched', ...a)""",
        """console.log('through patch'); console.groupCollapsed('g2'); console.warn('%o', [() => {}]);
            console.timeEnd('t'); console.timeEnd('t'); console.count('x'); delete console.log;
            console.debug?.('left')""",
        """console.groupEnd(); console.groupEnd(); console.groupEnd(); console.error('out'); console.trace('here');
            for (let i = 0; i < 1_100; i++) console.count('label ' + i); typeof console.log""",
    ],
    "more console than is kept": [
        "let n = 0; const line = 'x'.repeat(10_000); for (let i = 0; i < 150; i++) console.log(n++, line)",
        """console.log('fits again');
            const big = Array.from({ length: 5_000 }, (_, i) => ({ i, t: 't'.repeat(50) }));
            for (let i = 0; i < 40; i++) console.log(big)""",
        "n += big.length; console.error(n)",
        "n",
    ],
    "base64, hexadecimal and escapes": [
        """const bytes = Uint8Array.from({ length: 256 }, (_, i) => i),
            b64 = bytes.toBase64({ alphabet: 'base64url', omitPadding: true }),
            back = Uint8Array.fromBase64(b64, { alphabet: 'base64url' });
            const into = new Uint8Array(5), wrote = into.setFromBase64('AQIDBAUGBwg=')""",
        """const hex = bytes.toHex(), bin = btoa(String.fromCharCode(...bytes)), raw = atob(bin + '');
            let refused = []; for (const f of [() => btoa('€'), () => atob('a'), () => Uint8Array.fromHex('abc'),
            () => decodeURI('%E0%A4%A')]) try { f() } catch (e) { refused.push(e.name); e.stack }""",
        """const uri = encodeURIComponent('ü€😀 &?') + escape('ü€') + encodeURI('http://x/ü?q=€'),
            plain = decodeURIComponent('%F0%9F%98%80') + unescape('%u20AC%FC')""",
        """[b64.length, back.length, JSON.stringify(wrote), into.join(), hex.slice(-8), raw.length, refused.join(),
            uri, plain, bin.slice(0, 20)]""",
    ],
    "the input of executions, kept": [
        "const inputs = [typeof input]; globalThis.input = { own: 1 }; inputs.push(input)",
        "let kept = input; input.more = [kept]; inputs.push(structuredClone(input.own))",
        "inputs.push(Object.keys(input).join(), kept === input)",
        "JSON.stringify(inputs.map((x) => (typeof x === 'object' ? Object.keys(x) : x)))",
    ],
    "tables, traces and assertions of the console": [
        """const rows = [{ a: 1, b: 'x' }, { a: 2, c: [3] }], pairs = new Map([[1, rows]]); console.table(rows);
            console.table(pairs); console.table([[1, 2], [3]], [1])""",
        """rows[0].self = rows[0]; console.dir(rows, { depth: 0, showHidden: true }); console.dirxml(pairs, rows);
            console.groupCollapsed('folded'); console.trace('here %o', pairs)""",
        """console.assert(rows.length === 3, 'rows: %d', rows.length); console.assert(true, 'not shown');
            console.groupEnd(); console.clear(); console.timeEnd('never begun'); console.countReset('never counted')""",
        """console.log('%s|%d|%i|%f|%j|%o|%O|%c|%%', rows, '1.5', 1.5, '2.5x', rows, rows, rows, 'color: red');
            rows.length""",
    ],
    "errors reported, limits of the web": [
        """const caught = []; const attempt = (f) => { try { f() } catch (e) { caught.push(e);
            return String(e) } }; reportError(new URIError('told')); reportError({ plain: true })""",
        """attempt(() => crypto.getRandomValues(new Uint8Array(65_537)));
            attempt(() => crypto.getRandomValues(new Float64Array(1))); attempt(() => atob('?'));
            attempt(() => AbortSignal.abort().throwIfAborted())""",
        """console.log(caught); [caught.map((e) => `${e.name} ${e.code}`).join(),
            caught[0] instanceof QuotaExceededError, URL.parse('no'), crypto instanceof Crypto,
            crypto.subtle instanceof SubtleCrypto]""",
    ],
    "every digest": [
        "const bytes = new TextEncoder().encode('durable'), digests = {}",
        """for (const name of ['SHA-1', 'SHA-256', 'SHA-384',
            'SHA-512']) digests[name] = new Uint8Array(await crypto.subtle.digest(name, bytes)).toHex()""",
        "try { await crypto.subtle.digest('MD5', bytes) } catch (e) { digests.MD5 = e.name } digests",
    ],
    "parts of addresses": [
        """const url = new URL('https://user:pass@example.org:8443/a/b?x=1&x=2#top');
            const parts = () => [url.origin, url.protocol, url.username, url.password, url.host, url.hostname,
            url.port, url.pathname, url.search, url.hash].join(' ')""",
        """const before = parts(); url.protocol = 'http'; url.host = 'Übung.example'; url.pathname = '/ä b';
            url.search = 'q=%20&y'; url.hash = ''; url.username = url.password = ''""",
        """const each = []; url.searchParams.forEach((value, key) => each.push(key + value));
            [before, parts(), each.join(), url.searchParams.getAll('q').length, JSON.stringify({ url })]""",
    ],
    "entries of performance": [
        """performance.mark('a'); performance.measure('m', 'a'); const entries = performance.getEntries();
            entries.map((e) => [e instanceof PerformanceEntry, e instanceof PerformanceMark,
            e instanceof PerformanceMeasure].join()).join('|')""",
        "performance.clearMarks('a'); performance.mark('b'); performance.clearMeasures()",
        """[performance instanceof Performance, performance.getEntries().length, entries.length,
            performance.timeOrigin === performance.toJSON().timeOrigin,
            await new Blob(['x']).arrayBuffer().then((b) => b.byteLength)]""",
    ],
    "events stopped and prevented": [
        """const target = new EventTarget(), heard = []; const gone = () => heard.push('never');
            target.addEventListener('a', gone); target.removeEventListener('a', gone)""",
        """target.addEventListener('a', (e) => { e.preventDefault(); e.stopPropagation();
            heard.push(e.target === e.currentTarget, e.composedPath().length, e.defaultPrevented) });
            target.addEventListener('a', (e) => e.stopImmediatePropagation()); target.addEventListener('a', gone)""",
        """const event = new Event('a', { bubbles: true, cancelable: true });
            const kept = target.dispatchEvent(event); console.log(event);
            [kept, event.bubbles, event.cancelable, event.composed, heard.join()]""",
    ],
    "text encoded in place": [
        "const encoder = new TextEncoder(), room = new Uint8Array(4); const done = encoder.encodeInto('a€😀', room)",
        "const decoder = new TextDecoder('utf-16le', { ignoreBOM: true }); room.set(new Uint8Array([255, 254]))",
        """[JSON.stringify(done), room.join(), encoder.encoding, decoder.encoding, decoder.ignoreBOM,
            decoder.decode(room)]""",
    ],
}
