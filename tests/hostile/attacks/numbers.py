"""BigInts and numbers that take too long, or too much."""

from __future__ import annotations

from attacks.script import OUT_OF_MEMORY, TIMED_OUT, Script, any_of, completes, endless, gives, greedy, throws

SCRIPTS: dict[str, Script] = {
    "a power over V8's limit": throws("RangeError", "2n ** (2n ** 64n)"),
    "a power just under it": gives("'bigint'", "typeof (2n ** (2n ** 20n))"),
    "a shift over the limit": throws("RangeError", "1n << (2n ** 40n)"),
    "squared for ever": any_of("let b = 3n; for (;;) b *= b", OUT_OF_MEMORY, TIMED_OUT, seconds=0.5),
    "a factorial": endless("let f = 1n; for (let i = 1n; ; i++) f *= i"),
    "toString of much": endless("for (;;) (7n ** 500_000n).toString()"),
    "toString with a radix": endless("for (;;) (3n ** 400_000n).toString(36)"),
    "parsed from much": endless("const s = '9'.repeat(1e6); for (;;) BigInt(s)"),
    "division": endless("const a = 7n ** 900_000n, b = 3n ** 500_000n; for (;;) a % b"),
    "asUintN of a huge width": throws("RangeError", "BigInt.asUintN(2 ** 53 - 1, -1n)"),
    "many": greedy("const l = []; for (let i = 1n; ; i <<= 1n) l.push(i)"),
    "as a result": gives("1n", "2n ** 0n"),
    "huge as a result": completes("3n ** 10_000_000n"),
    "huge on the console": completes("console.log(3n ** 10_000_000n)", is_slow=True),
    "huge thrown": throws("Uncaught", "throw 3n ** 10_000_000n", is_slow=True),
    "in JSON": throws("TypeError", "JSON.stringify({ a: 1n })"),
    "toLocaleString": endless("for (;;) (10n ** 20_000n).toLocaleString('de')"),
    "Math.max of too many": gives("'number'", "typeof Math.max(...new Array(5e4).fill(1))"),
    "a literal of a million digits": gives("'Infinity'", "String(" + "9" * 500_000 + ")"),
    "a BigInt literal of a million digits": gives("'bigint'", "typeof " + "7" * 500_000 + "n"),
    "a hexadecimal literal": gives("'bigint'", "typeof 0x" + "f" * 900_000 + "n"),
    "an Intl format of many digits": gives(
        "'number'",
        "typeof new Intl.NumberFormat('en', { maximumFractionDigits: 100 }).format(Math.PI).length",
    ),
    "dates at the end of time": gives("null", "new Date(8.64e15 + 1).toJSON()"),
    "Temporal at the end of time": throws(
        "RangeError", "Temporal.Instant.fromEpochMilliseconds(8.64e15).add({ hours: 1 })"
    ),
    "Temporal rounding": throws(
        "RangeError",
        "Temporal.Duration.from({ years: 2 ** 32 - 1 }).round({ largestUnit: 'nanoseconds', relativeTo: '2000-01-01' })",
    ),
}
