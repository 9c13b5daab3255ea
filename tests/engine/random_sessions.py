"""Sessions made at random, from a seed, over all that docs/environment.md says is there.

A session is a list of executions. Each execution is a few statements and one look at some of the
variables, so that what went wrong in a statement shows soon after. A statement is a template:

    @kind   a new variable of that kind        $kind  a variable of that kind that is there already
    %int    a small number                     %text  a string
    %value  any value, of a variable or not    %name  a short label, of few

Variables are declared by ``var``: what V8 says of a ``let`` that was never reached, because code before it
threw, differs between code that is hot and code that is not (in Node, too).
"""

from __future__ import annotations

import random
import re

_HOLE = re.compile(r"([@$])(\w+)|%(int|text|value|name)")
_TEXTS = (
    "''",
    "'abc'",
    "'a b\\tc'",
    "'äöü€'",
    "'😀x'",
    "'\\ud800'",
    "'1,2;3'",
    "'x'.repeat(70)",
    "'line\\nbreak'",
)
_VALUES = (
    "undefined", "null", "true", "-0", "NaN", "1.5", "1e21", "12n", "Infinity", "Symbol('s')", "[]", "{}",
    "[1, , 3]", "({ a: { b: { c: { d: 1 } } } })", "() => 1", "class Named { static x = 1 }", "new Map([[{}, 1]])",
    "new Set('abc')", "/x+/gi", "new Date(86400000)", "new Uint8Array([1, 255])", "Object('boxed')", "new Proxy([1], {})",
    "Object.create(null)", "new WeakMap()", "Promise.resolve(4)", "(function* () { yield 1 })()", "input",
)  # fmt: skip
_NAMES = ("'a'", "'b'", "'c'", "undefined")

_STATEMENTS = (
    # the language: objects, order, closures, what is under way
    "var @object = { a: %value, [%text]: %value, %int: %value }",
    "$object[%text] = %value; delete $object.a; $object[%int] = %value",
    "var @object = { get here() { return this.n }, set here(v) { this.n = v }, n: %int, [Symbol('k')]: %value }",
    "var @list = Array.from({ length: %int }, (_, i) => (i * 31) % 7 + Math.random())",
    "$list.sort(); $list.push(%value); $list.reverse()",
    "$list.length > 3 && $list.splice(1, 2, %value, %value)",
    "var @list = [%value, %value, %value].concat($list.slice(0, 5))",
    "$list.self = $list; $object.list = $list",
    "var @map = new Map([[%value, %value], [%text, %value]])",
    "$map.set(%value, %value).delete('abc'); $map.set($map, $object)",
    "var @set = new Set([%value, %int, %text]).union(new Set([1, 2]))",
    "$set.add(%value); $set.delete(1); var @list = [...$set]",
    "var @iterator = $map.entries(); @iterator.next()",
    "var @iterator = $list.values().map((x) => typeof x).filter((x) => x !== 'symbol')",
    "var @iterator = (function* () { let i = %int; try { while (i < 90) i += (yield i) ?? 1 } finally { console.log('over', i) } })()",
    "console.log($iterator.next(%int))",
    "$iterator.return?.(%value)",
    "var @function = (() => { let n = %int; return () => (n = (n * 1103515245 + 12345) % 2147483648) })()",
    "$function(); console.log($function())",
    "var @function = () => { let t = 0; for (let i = 0; i < 3000; i++) t = (t * 31 + Math.imul(i, %int)) | 0; return t }",
    "var @function = () => { let t = 0; for (let i = 1; i < 2000; i++) t += Math.sin(i) * Math.pow(i, 0.3) / Math.log1p(i); return t }",
    "var @function = () => { let t = ''; for (let i = 0; i < 400; i++) t += String.fromCharCode(97 + i % 26); return t.lastIndexOf('b') + t.replace(/[aeiou]/g, '').length }",
    "for (let i = 0; i < 60; i++) $function()",
    "var @class = class { #secret = %int; static made = 0; constructor() { @class.made++ } bump(by) { this.#secret += by; return this } get secret() { return this.#secret } }",
    "var @object = new $class().bump(%int); console.log(@object.secret)",
    "var @object = new (class extends $class { own = %value })()",
    "var @weak = new WeakRef($object); new FinalizationRegistry(() => console.log('never')).register($object, 1)",
    "console.log($weak.deref() === undefined)",
    "var @bytes = new Uint8Array(%int); @bytes.fill(7)",
    "var @bytes = new Float64Array([Math.random(), Math.PI, NaN, -0])",
    "var @bytes = new Float16Array([%int / 3, 70000]); var @view = new DataView(@bytes.buffer)",
    "var @bytes = new Uint8Array(new ArrayBuffer(4, { maxByteLength: 64 })); @bytes.buffer.resize(32)",
    "var @text = JSON.stringify($object, (k, v) => (typeof v === 'bigint' || typeof v === 'symbol' ? String(v) : v === globalThis || v?.self || v?.list ? 0 : v)) ?? ''",
    'var @object = JSON.parse(\'{"b":[1,{"x":null}],"a":%int}\', function (k, v) { return v })',
    "var @text = 'ab-1 cd-22 ef-333'.replace(/(?<w>\\w+)-(\\d+)/g, (...m) => m.at(-1).w + m[2] * %int)",
    "var @pattern = /(?<=a)b|(?i:C)\\p{L}*/gu; @pattern.exec('abCd'); @pattern.lastIndex",
    "var @list = 'z,ä,a,Z,10,9'.split(',').sort(new Intl.Collator('de', { numeric: true }).compare)",
    "var @date = new Date(); @date.setMonth(%int)",
    "var @text = [$date.toISOString?.(), new Date(%int * 1e9).toLocaleString(), (%int * 1234.5).toLocaleString('de-DE')].join()",
    "var @text = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeZone: 'Asia/Tokyo' }).format($date)",
    "var @text = String(Temporal.Now.zonedDateTimeISO().add({ days: %int }))",
    "var @text = Temporal.PlainDate.from('2024-02-29').add({ years: %int }).toString()",
    "var @number = performance.now() + Date.now() + Math.random()",
    "var @list = Array.from({ length: %int }, Math.random)",
    "var @number = (2n ** 100n + BigInt(%int)) % 1000007n",
    "with_resource: { using r = { [Symbol.dispose]() { console.log('closed', %int) } } }",
    "var @object = Object.groupBy([1, 2, 3, %int], (x) => (x % 2 ? 'odd' : 'even'))",
    "$object.__proto__ !== undefined && Object.setPrototypeOf($object, { inherited: %value })",
    "Object.freeze($list); $object.frozen = Object.isFrozen($list)",
    "var @object = new Proxy($object, { get(t, k, r) { return Reflect.get(t, k, r) }, ownKeys: (t) => Reflect.ownKeys(t) })",
    # promises and timers
    "var @promise = new Promise((resolve) => setTimeout(resolve, %int, %value))",
    "var @promise = (async () => { await null; const t = await $promise; console.log('async', t); return %value })()",
    "var @promise = Promise.race([$promise, new Promise(() => {})]).then((v) => (console.log('raced', v), v), () => 0)",
    "var @promise = new Promise((r) => { globalThis.latest = r })",
    "globalThis.latest?.(%value)",
    "setTimeout((x) => console.log('timer', x, performance.now()), %int, %value)",
    "setTimeout(() => { $list.push(%int); queueMicrotask(() => console.log('micro')) }, 40_000 + %int)",
    "var @timer = setInterval(() => console.log('tick', %int), %int * 1000)",
    "clearInterval($timer)",
    "setImmediate(() => console.log('immediate', $object))",
    "queueMicrotask(() => { console.log('queued', $list) })",
    "(async () => { for await (const x of [1, Promise.resolve(%int)]) console.log('for await', x) })()",
    "var @list = await Array.fromAsync([%value, Promise.resolve(%value)])",
    "await new Promise((r) => setTimeout(r, %int % 4))",
    # console
    "console.log(%value, %text, %value)",
    "console.log('%%s|%%d|%%i|%%j|%%o|%%O|%%c', %value, %value, %int, %value, %value, %value, %text)",
    "console.error(%value); console.warn($object); console.debug($map, $list)",
    "console.group(%text); console.info(%value)",
    "console.groupEnd()",
    "console.count(%name); console.countReset(%name)",
    "console.count(%name)",
    "console.time(%name)",
    "console.timeLog(%name, %value)",
    "console.timeEnd(%name)",
    "console.table([{ a: %value, b: %int }, { a: %text }, %value])",
    "console.table($map)",
    "console.dir($object, { depth: %int % 4, showHidden: true })",
    "console.assert(%int > 20, %text, %value)",
    "console.trace(%text)",
    # addresses and encodings
    "var @url = new URL('../p%int?x=1&y=ü#h', 'https://exämple.org:8080/a/c')",
    "$url.searchParams.append(%name, %int); $url.hash = %int; $url.port = %int",
    "$url.pathname = %int + '/..//x y'; var @query = $url.searchParams",
    "var @query = new URLSearchParams([[%name, '1'], ['z', 'a b&c']]); $query.sort()",
    "var @iterator = $query.entries(); console.log($query, String($query), $query.size)",
    "var @decoder = new TextDecoder(['utf-8', 'utf-16le', 'windows-1252'][%int % 3], { fatal: %int % 2 === 0 })",
    "try { console.log($decoder.decode(new Uint8Array([226, 130].slice(%int % 2)), { stream: true })) } catch (e) { console.log(String(e)) }",
    "var @bytes = new TextEncoder().encode('a€😀'); var @text = btoa('bin' + %int) + atob('YWJj')",
    "var @text = new Uint8Array([%int, 2, 3]).toBase64() + Uint8Array.fromHex('0aff').toHex()",
    # chance and digests
    "var @text = crypto.randomUUID(); var @bytes = crypto.getRandomValues(new Uint32Array(3))",
    "var @bytes = new Uint8Array(await crypto.subtle.digest(['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512'][%int % 4], new Uint8Array(%int)))",
    # events
    "var @target = new EventTarget(); @target.addEventListener('go', (e) => console.log(e.type, e.timeStamp, e.detail), { once: %int % 2 === 0 })",
    "$target.dispatchEvent(new CustomEvent('go', { detail: %value }))",
    "$target.addEventListener('go', { handleEvent(e) { console.log('object', e.eventPhase); e.stopImmediatePropagation() } })",
    "var @object = new Event('kept', { cancelable: true }); $target.dispatchEvent(@object)",
    "$target.addEventListener('go', () => { throw %value })",
    "var @control = new AbortController(); @control.signal.onabort = () => console.log('aborted', %int)",
    "var @signal = AbortSignal.any([$control.signal, AbortSignal.timeout(%int * 500)])",
    "var @signal = AbortSignal.timeout(%int % 5); @signal.addEventListener('abort', () => console.log(@signal.reason.name))",
    "$target.addEventListener('go', () => console.log('until'), { signal: $signal })",
    "$control.abort(%int % 2 ? undefined : %value); console.log($control.signal)",
    "console.log($signal.aborted, $signal.reason)",
    # blobs, clones, marks
    "var @blob = new Blob([%text, new Uint8Array([97, %int]), 'x\\r\\ny'], { type: 'Text/Plain', endings: 'native' })",
    "var @blob = new File([$blob.slice(1, -1), $blob], 'n%int.txt')",
    "console.log(await $blob.text(), $blob.size, $blob.lastModified)",
    "var @list = [...await $blob.bytes()]",
    "var @object = structuredClone({ m: new Map([[1, new Set([/x/g])]]), d: new Date(%int), b: new Float32Array([%int / 7]), n: 5n })",
    "var @blob = structuredClone($blob)",
    "try { structuredClone(%value); console.log('cloned') } catch (e) { console.log(e.name, e.message) }",
    "performance.mark(%name, { detail: %int })",
    "try { console.log(performance.measure('m', %name).duration) } catch (e) { console.log(e.name, e.message) }",
    "console.log(performance.getEntries()); performance.clearMarks(%name)",
    # errors
    "var @error = new RangeError('no %int', { cause: %value }); @error.stack",
    "var @error = new AggregateError([%value, $error], 'all'); @error.stack; console.log(@error)",
    "var @error = new DOMException('m%int', 'AbortError'); @error.stack",
    "try { null.x } catch (e) { let text = e.stack; console.log(e) }",
    "var @error; try { undefinedName%int() } catch (e) { @error = e; e.stack }",
    "try { (function down(n) { if (n) return down(n - 1); throw new TypeError('deep') })(%int) } catch (e) { console.error(e) }",
    "Promise.reject(%int)",
    "reportError(%value)",
    "var @error = Object.assign(new Error('extra'), { code: %int, self: $object }); @error.stack",
    "Error.stackTraceLimit = %int",
    "throw %value",
    "throw $error",
    "missing%int.x",
    # WebAssembly, used and dropped
    "var @number = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,5,1,1,97,0,0,10,9,1,7,0,32,0,32,1,106,11]))).exports.a(%int, 3)",
)
_ENDINGS = ("$any", "[$any, $any]", "({ a: $any, b: $any, c: [$any] })", "$promise", "typeof $any",
    "await Promise.race([$promise, new Promise((resolve) => setTimeout(resolve, 20, 'late'))])",  # an interval would hold it back
)  # fmt: skip


class _Writer:
    def __init__(self, random_: random.Random) -> None:
        self._random = random_
        self._variables: dict[str, list[str]] = {}
        self._made = 0

    def execution(self) -> str:
        lines = [self._statement() for _ in range(self._random.randint(1, 7))]
        lines.append(self._filled(self._random.choice(_ENDINGS)))
        return ";\n".join(line for line in lines if line)

    def _statement(self) -> str:
        template = self._random.choice(_STATEMENTS)
        if self._random.random() < 0.8:  # else it is not there where an earlier statement threw
            template = template.replace("var @", "var @")
        text = self._filled(template)
        if text and "@" not in template and self._random.random() < 0.7:
            return f"try {{ {text} }} catch (e) {{ console.log(typeof e) }}"
        return text

    def _filled(self, template: str) -> str:
        """The template with its holes filled; '' where it needs a variable of which there is none."""
        holes = _HOLE.findall(template)
        if any(sign == "$" and not self._known(kind) for sign, kind, _ in holes):
            return ""
        made: dict[str, str] = {}

        def fill(hole: re.Match[str]) -> str:
            sign, kind, literal = hole.groups()
            if sign == "@":
                return made[kind]
            return self._random.choice(self._known(kind)) if sign == "$" else self._literal(literal)

        for sign, kind, _ in holes:
            if sign == "@" and kind not in made:
                self._made += 1
                made[kind] = f"{kind}{self._made}"
        text = _HOLE.sub(fill, template.replace("%%", "\0")).replace("\0", "%")
        for kind, name in made.items():
            self._variables.setdefault(kind, []).append(name)
        return text

    def _known(self, kind: str) -> list[str]:
        if kind == "any":
            return [name for names in self._variables.values() for name in names]
        return self._variables.get(kind, [])

    def _literal(self, kind: str) -> str:
        match kind:
            case "int":
                return str(self._random.randint(0, 40))
            case "text":
                return self._random.choice(_TEXTS)
            case "name":
                return self._random.choice(_NAMES)
        if self._known("any") and self._random.random() < 0.4:
            return self._random.choice(self._known("any"))
        return self._random.choice(_VALUES)


def session(seed: int) -> list[str]:
    """The executions of the session of that seed."""
    random_ = random.Random(seed)
    writer = _Writer(random_)
    return [writer.execution() for _ in range(random_.randint(3, 8))]
