"""What golden histories are of: sessions with a bit of everything that an event can hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engines import CALLER, OWNER, Engine, append_altered

from engine.chain import Record
from engine.commands import Bury
from engine.execution import Submission

Step = tuple[str, dict[str, Any]]
"""Code, and what else there is to its submission."""


def step(code: str, **options: Any) -> Step:
    """One execution."""
    return code, options


STEPS: Sequence[Step] = (
    step(
        "class Counter { #n = 0; static made = 0; constructor() { Counter.made++ } "
        "up(by = 1) { return this.#n += by } } const counter = new Counter(); counter.up(41)"
    ),
    step("const adders = [1, 2, 3].map((n) => (m) => n + m); adders.map((add) => add(10))"),
    step(
        "function* words() { yield 'a'; yield 'b' } const word = words(); word.next(); "
        "async function twice(x) { await null; return x * 2 } await twice(21)"
    ),
    step(
        "const ticks = []; setTimeout(() => ticks.push(['soon', Date.now()]), 5); "
        "const every = setInterval(() => ticks.push(['again', performance.now()]), 20); 'set'"
    ),
    step("await new Promise((done) => setTimeout(done, 50)); [ticks.length, ticks]"),
    step("clearInterval(every); [Date.now(), new Date().toISOString(), performance.now()]"),
    step("[Math.random(), crypto.randomUUID(), crypto.getRandomValues(new Uint8Array(8))]"),
    step(
        "function fails() { throw new TypeError('no rows', { cause: new Error('empty') }) }\n"
        "counter.up()\nfails()"
    ),
    step(
        "console.log('%s is %d', 'one', 1, { a: [1] }); console.table([{ id: 1 }, { id: 2 }]); "
        "console.group('inner'); console.warn('deep'); console.groupEnd(); console.error(new Error('seen'))"
    ),
    step("input.rows.map((row) => row.id)", input='{"rows":[{"id":1},{"id":2.5},{"id":"drei"}]}'),
    step("counter.up(1000); for (;;);", time_ms=100),
    step("(function deeper() { deeper() })()"),
    step("counter.up()", idempotency_key="golden-1"),
    step("let go; const later = new Promise((done) => { go = done }); await later"),
    step("go('gone'); await later"),
    step(f"const text = '{'long ' * 300}'; console.log(text.repeat(2)); text.length"),
    step("const size = input.length; input", input=f'"{"x" * 1_500}"'),
    step("Promise.reject(new Error('nobody looked')); 1"),
    step(
        "let kinds = [new Map([[1, { two: 2 }]]), new Set(['a']), /re/g, 12n, Symbol('s'), -0, NaN, "
        "new Float32Array([0.5]), new Date(0), () => 1, class Empty {}, null, undefined]; kinds"
    ),
    step("let kinds = new URL('https://example.org/path?x=1#there'); kinds.searchParams.get('x')"),
    step("({ nested: { list: [1, 'two', null, true], when: new Date(86400000) } })"),
)


def lost_submission() -> Submission:
    """What a node had begun with that was lost."""
    return Submission(
        code="counter.up(500)",
        owner=OWNER,
        caller=CALLER,
        session="golden",
        input='"in"',
        idempotency_key="lost",
    )


async def record(engine: Engine) -> list[str]:
    """Make sessions: "golden", "branch", which is a fork of it, "deleted", and "accepted", which will have
    diverged when the engine is opened again. Their internal ids, with a parent before its forks.
    """
    for code, options in STEPS:
        await engine.run(code, session="golden", **options)
    lost = await engine.supervisor.peers.post(
        OWNER, "golden", lambda answered: Bury(lost_submission(), "e_goldenlost000001", 1, "golden", answered)
    )
    await lost.result()
    await engine.supervisor.requests.tag(
        OWNER, "golden", at=2, tags={"stage": "early", "ü": "ß"}, caller=CALLER
    )
    await engine.supervisor.requests.tag(OWNER, "golden", at=2, tags={"ü": None}, caller=CALLER)
    await engine.supervisor.requests.fork(OWNER, "golden", at=5, into="branch", caller=CALLER)
    await engine.run("[ticks.length, counter.up(2), word.next().value]", session="branch")
    await engine.run("await new Promise((done) => setTimeout(done, 30)); ticks.length > 3", session="branch")
    await engine.run("'short'", session="deleted")
    await engine.run("let n = 1", session="accepted")
    await append_altered(engine, "accepted", "n *= 10; n", result="'not what it gives'")
    assert engine.log is not None
    names = ("golden", "branch", "deleted", "accepted", "scratch")
    rows = [await engine.log.session_named(OWNER, name) for name in names]
    await engine.supervisor.requests.delete(OWNER, "deleted", CALLER)
    return [row.session for row in rows if row is not None]


async def accept(engine: Engine) -> None:
    """Accept what has diverged, and go on."""
    await engine.supervisor.requests.accept(OWNER, "accepted", CALLER)
    await engine.run("++n", session="accepted")


async def recorded(engine: Engine, sessions: Sequence[str]) -> list[Record]:
    """All records of sessions."""
    assert engine.log is not None
    return [record for session in sessions async for record in engine.log.read(session)]
