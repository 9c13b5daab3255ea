"""Microtasks that beget microtasks."""

from __future__ import annotations

from attacks.script import Script, completes, endless, gives, greedy, throws

SCRIPTS: dict[str, Script] = {
    "promises": endless("(function flood() { Promise.resolve().then(flood) })(); 1"),
    "await": endless("for (;;) await null"),
    "queueMicrotask": endless("(function flood() { queueMicrotask(flood) })(); 1"),
    "a thenable that answers itself": endless("await { then(f) { f(this) } }"),
    "a thenable that answers new ones": endless(
        "const next = () => ({ then: (f) => f(next()) }); await next()"
    ),
    "for await of an endless one": endless(
        "for await (const x of (async function* () { for (;;) yield })());"
    ),
    "two that wait for each other in turn": endless(
        "async function a() { for (;;) await 1 } async function b() { for (;;) await 2 } await Promise.race([a(), b()])"
    ),
    "ever more": greedy(
        "(function flood() { for (let i = 0; i < 10; i++) Promise.resolve().then(flood) })(); 1"
    ),
    "all at once": greedy("for (;;) Promise.resolve().then(() => 0)"),
    "after the value": endless(
        "setTimeout(() => { (function flood() { Promise.resolve().then(flood) })() }); 'value'"
    ),
    "rejections that nobody handles": endless(
        "(function flood() { Promise.reject(1); queueMicrotask(flood) })()"
    ),
    "a hundred thousand rejections": completes(
        "for (let i = 0; i < 1e5; i++) Promise.reject(i); 1", heap_mb=64, is_slow=True
    ),
    "rejections handled late": gives(
        "1",
        "const all = []; for (let i = 0; i < 2_000; i++) all.push(Promise.reject(i)); for (const p of all) p.catch(() => 0); 1",
    ),
    "a then that throws in every turn": endless(
        "(function f() { Promise.resolve().then(() => { f(); throw 'mine' }) })()"
    ),
    "species of promises": endless(
        "class P extends Promise { static get [Symbol.species]() { for (;;); } } new P(() => 0).then(() => 0)"
    ),
    "Promise.all of a liar": endless(
        "Promise.all({ *[Symbol.iterator]() { for (;;) yield { then() { } } } })", heap_mb=1024
    ),
    "Promise.withResolvers settled a hundred thousand times": gives(
        "'first'",
        "const r = Promise.withResolvers(); r.resolve('first'); for (let i = 0; i < 1e5; i++) r.resolve(i); await r.promise",
    ),
    "a value that never settles": completes("new Promise(() => 0)"),
    "an await that never settles": completes("await new Promise(() => 0); 'never'"),
    "an await of a thenable that throws": throws("Uncaught", "await { then() { throw 'mine' } }"),
    "a thenable that throws after it has answered": gives("1", "await { then(f) { f(1); throw 'mine' } }"),
    "a thenable that answers twice": gives("1", "await { then(f, g) { f(1); f(2); g(3) } }"),
    "a getter of then that never ends": endless("await { get then() { for (;;); } }"),
    "async disposal": endless("{ await using x = { async [Symbol.asyncDispose]() { for (;;) await 1 } } }"),
    "a finally that waits for ever": completes(
        "await Promise.resolve(1).finally(() => new Promise(() => 0))"
    ),
}
