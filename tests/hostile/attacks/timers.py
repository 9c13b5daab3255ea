"""Timers: too many, too late, too early, without an end."""

from __future__ import annotations

from attacks.script import (
    ENDLESS_SECONDS,
    TIMED_OUT,
    Outcome,
    Script,
    any_of,
    endless,
    gives,
    throws,
)

HELD = ("completed", "timed_out")
"""A chain of timers without an end holds a call for as long as it may take; it completes if it can say so in time."""

SCRIPTS: dict[str, Script] = {
    "one after the other": endless("await new Promise(() => { (function again() { setTimeout(again) })() })"),
    "after the value": any_of(
        "(function again() { setTimeout(again) })(); 'value'",
        Outcome("completed", result="'value'"),
        TIMED_OUT,
        seconds=ENDLESS_SECONDS,
        later=HELD,
    ),
    "immediates": any_of(
        "(function again() { setImmediate(again) })(); 'value'",
        Outcome("completed", result="'value'"),
        TIMED_OUT,
        seconds=ENDLESS_SECONDS,
        later=HELD,
    ),
    "ever more": throws("RangeError", "for (;;) setTimeout(() => 0, 1e6)"),
    "ever more, inside": endless(
        "(function flood() { for (let i = 0; i < 99; i++) setTimeout(flood, 1); })(); 'value'"
    ),
    "ten thousand intervals": throws("RangeError", "for (;;) setInterval(() => 0, 1e6)"),
    "a hundred thousand at once": endless(
        "let n = 0; const tick = () => { if (++n < 1e9) setTimeout(tick) }; for (let i = 0; i < 5_000; i++) setTimeout(tick); 'value'"
    ),
    "an endless callback": endless("setTimeout(() => { for (;;); }); 'value'"),
    "an endless callback, later": endless("await new Promise((f) => setTimeout(f, 20)); for (;;);"),
    "a callback that throws": gives(
        "'value'", "setTimeout(() => { throw { get message() { for (;;); } } }); 'value'"
    ),
    "huge delays": gives(
        "'value'",
        "setTimeout(() => 0, Infinity); setTimeout(() => 0, 2 ** 53); setTimeout(() => 0, NaN); 'value'",
    ),
    "negative delays": gives("'value'", "setTimeout(() => 0, -1); setInterval(() => 0, -Infinity); 'value'"),
    "a delay that throws": throws("Uncaught", "setTimeout(() => 0, { valueOf() { throw 'mine' } })"),
    "a delay that never converts": endless("setTimeout(() => 0, { valueOf() { for (;;); } })"),
    "a delay that is a Symbol": throws("TypeError", "setTimeout(() => 0, Symbol())"),
    "text instead of a function": throws("TypeError", "setTimeout('globalThis.escaped = 1')"),
    "a Proxy instead of a function": gives("'value'", "setTimeout(new Proxy(() => 0, {}), 1); 'value'"),
    "an interval": gives("'value'", "setInterval(() => 0, 1); 'value'"),
    "an interval that floods": gives(
        "'value'", "setInterval(() => { for (let i = 0; i < 9; i++) setInterval(() => 0, 1e9) }, 1); 'value'"
    ),
    "an interval that never returns": gives(
        "'value'", "setInterval(() => { for (;;); }, 1); 'value'", later=("timed_out",)
    ),
    "an interval that takes all memory": gives(
        "'value'",
        "setInterval(() => { const a = []; for (;;) a.push([a]) }, 1); 'value'",
        later=("out_of_memory", "timed_out"),
    ),
    "a timer beyond the limit that alone could settle": endless(
        "await new Promise((f) => setTimeout(f, 3_600_000))"
    ),
    "clearing what was never made": gives(
        "'value'", "for (const id of [-1, 0, 1e9, NaN, {}, null, 'x', 2 ** 53]) clearTimeout(id); 'value'"
    ),
    "clearing with one that converts": gives(
        "'value'", "clearTimeout({ valueOf() { for (;;); }, toString() { for (;;); } }); 'value'"
    ),
    "clearing itself while it fires": gives(
        "'value'",
        "const id = setInterval(() => { clearInterval(id); clearInterval(id) }, 1); await new Promise((f) => setTimeout(f, 5)); 'value'",
    ),
    "arguments of no end": endless(
        "setTimeout((...a) => { for (;;) a.length }, 1, ...new Array(1e4).fill(1)); 'value'"
    ),
    "abort timeouts": throws("RangeError", "for (;;) AbortSignal.timeout(1e9)"),
    "replaced functions": gives(
        "'value'",
        "globalThis.setTimeout = globalThis.clearTimeout = null; delete globalThis.setInterval; 'value'",
    ),
    "due at the very end": any_of(
        "setTimeout(() => 0, 240); 'value'", Outcome("completed", result="'value'"), TIMED_OUT, seconds=0.25
    ),
}
