"""What this V8 has of the language works in a session, survives a snapshot and replays.

Each case is a session: the first code leaves something behind, the second uses it after a snapshot and a
restore; both are replayed.
"""

from __future__ import annotations

import pytest

START = 17_000_000_000_000  # ticks: 2023-11-14T22:13:20Z

CASES: dict[str, tuple[str, str, str]] = {
    "using": (
        (
            "const closed = []; function open(name) { return { name, [Symbol.dispose]() { closed.push(name) } } }"
            "{ using a = open('a'); using b = open('b'); closed.push('body') }"
        ),
        "{ using c = open('c') } closed.join()",
        "'body,b,a,c'",
    ),
    "using at the top level, where the variable stays": (
        "const closed = []; using kept = { [Symbol.dispose]() { closed.push('never') } }; await using too = null; 0",
        "[typeof kept[Symbol.dispose], too, closed.length].join()",
        "'function,,0'",
    ),
    "await using": (
        "const closed = []; { await using a = { async [Symbol.asyncDispose]() { await null; closed.push('a') } }; closed.push('body') }",
        "{ await using b = { [Symbol.dispose]() { closed.push('b') } } } closed.join()",
        "'body,a,b'",
    ),
    "using in a suspended function": (
        (
            "const closed = []; let go; const run = (async () => { using a = { [Symbol.dispose]() { closed.push('a') } };"
            "await new Promise((r) => { go = r }); closed.push('woke') })(); closed.length"
        ),
        "go(); await run; closed.join()",
        "'woke,a'",
    ),
    "DisposableStack": (
        "const closed = [], stack = new DisposableStack(); stack.defer(() => closed.push(1)); stack.adopt(2, (x) => closed.push(x)); 0",
        "stack.dispose(); [stack.disposed, ...closed].join()",
        "'true,2,1'",
    ),
    "AsyncDisposableStack": (
        "const closed = [], stack = new AsyncDisposableStack(); stack.defer(async () => { await null; closed.push(1) }); 0",
        "const moved = stack.move(); await moved.disposeAsync(); [stack.disposed, ...closed].join()",
        "'true,1'",
    ),
    "SuppressedError": (
        "let kept; try { using a = { [Symbol.dispose]() { throw 'second' } }; throw 'first' } catch (e) { kept = e; kept.stack } 0",
        "[kept.name, kept.error, kept.suppressed].join()",
        "'SuppressedError,second,first'",
    ),
    "Float16Array": (
        "const half = Float16Array.of(0.1, 65504, 1e6); new DataView(half.buffer).setFloat16(0, 1.5, true)",
        "[...half, Math.f16round(0.1)].join()",
        "'1.5,65504,Infinity,0.0999755859375'",
    ),
    "Promise.try and withResolvers": (
        "const { promise, resolve } = Promise.withResolvers(); const tried = Promise.try(() => 5); 0",
        "resolve(6); [await promise, await tried].join()",
        "'6,5'",
    ),
    "RegExp.escape and modifiers": (
        "const re = new RegExp(RegExp.escape('a.b') + '(?i:c)')",
        "[re.test('a.bC'), re.test('axbc'), re.source].join(' ')",
        r"'true false \\x61\\.b(?i:c)'",
    ),
    "duplicate named groups and the v flag": (
        r"const date = /(?<y>\d{4})-\d\d|\d\d-(?<y>\d{4})/v, letters = /[\p{L}--[a-m]]/v",
        "['2020-01', '01-2021'].map((t) => date.exec(t).groups.y).join() + letters.test('a') + letters.test('z')",
        "'2020,2021falsetrue'",
    ),
    "iterator helpers": (
        "const helper = [1, 2, 3, 4, 5].values().filter((x) => x % 2).map((x) => x * 10); helper.next().value",
        "[...helper.drop(0), Iterator.from([7]).toArray()[0]].join()",
        "'30,50,7'",
    ),
    "Array.fromAsync": (
        "async function* numbers() { yield 1; await null; yield 2 } const waiting = Array.fromAsync(numbers()); 0",
        "(await waiting).join()",
        "'1,2'",
    ),
    "Set methods": (
        "const a = new Set([1, 2, 3]), b = new Set([3, 4])",
        "[...a.union(b), '|', ...a.intersection(b), '|', ...a.symmetricDifference(b), a.isDisjointFrom(b)].join()",
        "'1,2,3,4,|,3,|,1,2,4,false'",
    ),
    "grouping": (
        "const groups = Object.groupBy([1, 2, 3], (x) => (x % 2 ? 'odd' : 'even')), map = Map.groupBy([1, 2, 3], (x) => x % 2)",
        "groups.odd.concat(map.get(0)).join()",
        "'1,3,2'",
    ),
    "Error.isError and cause": (
        "const error = new Error('outer', { cause: new TypeError('inner') }); error.stack; error.cause.stack; 0",
        "[Error.isError(error), Error.isError({ __proto__: Error.prototype }), error.cause.message].join()",
        "'true,false,inner'",
    ),
    "base64 and hex": (
        "const bytes = Uint8Array.fromBase64('aGVsbG8_', { alphabet: 'base64url' })",
        "[bytes.toBase64(), bytes.toHex(), Uint8Array.fromHex('ff00').join()].join()",
        "'aGVsbG8/,68656c6c6f3f,255,0'",
    ),
    "Atomics": (
        "const cells = new Int32Array(2); Atomics.add(cells, 0, 5); Atomics.pause()",
        "[Atomics.load(cells, 0), Atomics.isLockFree(4)].join()",
        "'5,true'",
    ),
    "array methods that copy": (
        "const list = [3, 1, 2]",
        "[list.toSorted(), list.toReversed(), list.with(0, 9), list.toSpliced(0, 1), list.findLast((x) => x < 3), list].join('|')",
        "'1,2,3|2,1,3|9,1,2|1,2|2|3,1,2'",
    ),
    "buffers": (
        "const first = new ArrayBuffer(4, { maxByteLength: 8 }), moved = first.transfer(6)",
        "[first.detached, moved.byteLength, moved.transferToFixedLength().resizable].join()",
        "'true,6,false'",
    ),
    "JSON.parse with source": (
        "const big = JSON.parse('[12345678901234567890]', (k, v, { source }) => (source ? BigInt(source) : v))",
        "big[0] + JSON.stringify({ a: JSON.rawJSON('1e1000') })",
        """'12345678901234567890{"a":1e1000}'""",
    ),
    "strings": (
        "const lone = 'a\\ud800'",
        "[lone.isWellFormed(), lone.toWellFormed().charCodeAt(1) === 0xfffd, 'abc'.at(-1), 'aa'.replaceAll('a', 'b')].join()",
        "'false,true,c,bb'",
    ),
    "private names and static blocks": (
        (
            "class Counter { static #made = 0; #id; static { this.start = 5 } constructor() { this.#id = ++Counter.#made } "
            "static is(x) { return #id in x } get id() { return this.#id } } const one = new Counter()"
        ),
        "[new Counter().id, Counter.is(one), Counter.is({}), Counter.start].join()",
        "'2,true,false,5'",
    ),
    "Temporal arithmetic": (
        (
            "const text = Temporal.PlainDate.from('2024-02-29').add({ years: 1 }).toString() "
            "+ Temporal.Duration.from('PT90M').total('hours') "
            "+ String(Temporal.PlainDate.from('2020-01-01').until('2024-03-01', { largestUnit: 'year' }))"
        ),
        "text + Temporal.ZonedDateTime.from('2024-03-31T02:30[Europe/Berlin]').hour",
        "'2025-02-281.5P4Y2M3'",
    ),
    "Temporal.Now": (
        "const zone = Temporal.Now.timeZoneId(), at = Temporal.Now.instant().epochMilliseconds, today = String(Temporal.Now.plainDateISO())",
        (
            "[zone, at <= Date.now(), today === new Date(at).toISOString().slice(0, 10), Temporal.Now.zonedDateTimeISO().timeZoneId,"
            " String(Temporal.Now.zonedDateTimeISO('Asia/Tokyo')).slice(-18)].join()"
        ),
        "'UTC,true,true,UTC,+09:00[Asia/Tokyo]'",
    ),
    "Intl": (
        "const shown = new Intl.NumberFormat('de').format(1234.5) + new Intl.PluralRules('en', { type: 'ordinal' }).select(2)",
        (
            "[shown, new Intl.DateTimeFormat().resolvedOptions().timeZone, new Intl.NumberFormat().resolvedOptions().locale,"
            " new Intl.DurationFormat('en').format({ hours: 1 }), new Intl.ListFormat('en').format(['a', 'b'])].join('|')"
        ),
        "'1.234,5two|UTC|en-US|1 hr|a and b'",
    ),
    "label, optional chaining and numeric separators": (
        "let reached = 0; outer: for (let i = 0; ; i++) { for (;;) { if (i > 2) break outer; reached += 1_0; continue outer } }",
        "[reached, ({}).a?.b?.(), null ?? 'x', (() => { let v = 0; v ||= 5; return v })()].join()",
        "'30,,x,5'",
    ),
    "tagged templates and dynamic code": (
        "const tag = (s, ...v) => s.raw.join('|') + v; const made = new Function('x', 'return x + 1')",
        "tag`a${1}\\n` + made(1) + (0, eval)('1 + 1')",
        r"'a|\\n122'",
    ),
}

ABSENT = [
    "SharedArrayBuffer",
    "ShadowRealm",
    "AsyncIterator",
    "Math.sumPrecise",
    "Iterator.concat",
    "Iterator.zip",
    "Map.prototype.getOrInsert",
    "ArrayBuffer.prototype.transferToImmutable",
]
"""What docs/environment.md says is not there."""


@pytest.mark.parametrize("name", CASES)
def test_it_works_survives_a_snapshot_and_replays(Session, name):  # noqa: N803
    code, later, expected = CASES[name]
    session = Session()
    first = session.run(code, start_ticks=START)
    assert first.outcome.status == "completed", first.outcome.error
    restored = Session(session.snapshot())
    restored.seq = 1
    second = restored.run(later, start_ticks=START + 10_000)
    assert (second.outcome.result, second.outcome.error) == (expected, None)
    again = Session()
    replayed = [again.run(code, trace=first.trace), again.run(later, trace=second.trace)]
    assert [done.digest for done in replayed] == [first.digest, second.digest]


@pytest.mark.parametrize("path", ABSENT)
def test_what_the_docs_call_absent_is_absent(evaluate, path):
    chain = "?.".join(path.split("."))
    assert evaluate(f"typeof globalThis.{chain}") == "'undefined'"


LIVE = {
    "Temporal": "Temporal.Now.plainDateISO()",
    "Intl": "new Intl.NumberFormat('en')",
    "WebAssembly": "new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))",
}


@pytest.mark.parametrize("kind", LIVE)
def test_a_session_that_keeps_such_an_object_goes_on(Session, kind):  # noqa: N803
    """It cannot be in a snapshot, so its state is rebuilt by replay; dropped, it leaves no trace."""
    session = Session()
    first = session.run(f"let kept = {LIVE[kind]}; typeof kept")
    again = Session()
    assert again.run(f"let kept = {LIVE[kind]}; typeof kept", trace=first.trace).outcome == first.outcome
    assert session.value("typeof kept") == "'object'"


@pytest.mark.parametrize("kind", ["Temporal", "Intl"])
def test_a_dropped_one_can_be_in_a_snapshot(Session, kind):  # noqa: N803
    session = Session()
    session.run(f"let kept = String({LIVE[kind]}); kept = kept.length")
    assert Session(session.snapshot()).value("typeof kept") == "'number'"
