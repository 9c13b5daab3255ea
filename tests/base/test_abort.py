"""AbortController and AbortSignal."""

from __future__ import annotations

import pytest

from engine.limits import Limits


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("const c = new AbortController(); log.push(c.signal === c.signal, c.signal.aborted, c.signal.reason)", "true,false,"),
        ("const c = new AbortController(); c.abort(); log.push(c.signal.aborted, c.signal.reason.name, c.signal.reason.code)", "true,AbortError,20"),
        ("const c = new AbortController(); c.abort('why'); c.abort('again'); log.push(c.signal.reason)", "why"),
        ("const c = new AbortController(); c.abort(null); log.push(c.signal.reason === null)", "true"),
        ("const c = new AbortController(); c.signal.addEventListener('abort', (e) => log.push(e.type, e.isTrusted, e.target === c.signal)); c.abort(); c.abort()",
         "abort,true,true"),
        ("const c = new AbortController(); c.signal.onabort = () => log.push(1); c.signal.onabort = () => log.push(2); c.abort()", "2"),
        ("const c = new AbortController(); c.signal.onabort = () => log.push(1); c.signal.onabort = null; c.abort(); log.push(c.signal.onabort)", ""),
        ("const c = new AbortController(); c.signal.onabort = 5; log.push(c.signal.onabort)", ""),
        (("const c = new AbortController(), s = c.signal; s.onabort = () => log.push('on'); s.addEventListener('abort', () => log.push('l')); "
         "s.onabort = () => log.push('new'); c.abort()"), "new,l"),
        ("try { AbortSignal.abort('r').throwIfAborted() } catch (e) { log.push(e) } log.push(new AbortController().signal.throwIfAborted())", "r,"),
        ("log.push(AbortSignal.abort().reason.name, AbortSignal.abort(undefined).reason.name, AbortSignal.abort(1).reason)", "AbortError,AbortError,1"),
        ("const s = AbortSignal.timeout(1); await new Promise((r) => { s.onabort = r }); log.push(s.reason.name, s.reason.code)", "TimeoutError,23"),
        ("const c = new AbortController(), s = AbortSignal.any([AbortSignal.timeout(60_000), c.signal]); c.abort('c'); log.push(s.aborted, s.reason)", "true,c"),
        ("const s = AbortSignal.any([AbortSignal.abort(1), AbortSignal.abort(2)]); log.push(s.reason)", "1"),
        ("log.push(AbortSignal.any([]).aborted)", "false"),
        (("const c = new AbortController(); const a = AbortSignal.any([c.signal]), b = AbortSignal.any([a]); "
         "for (const [n, s] of Object.entries({ c: c.signal, a, b })) s.addEventListener('abort', () => log.push(n + a.aborted + b.aborted)); "
         "c.abort()"), "ctruetrue,atruetrue,btruetrue"),
        ("const c = new AbortController(); c.signal.addEventListener('abort', () => log.push('x'), { signal: c.signal }); c.abort()", ""),
        (("const names = []; for (const f of [() => new AbortSignal(), () => AbortSignal.any(), () => AbortSignal.any([5]), () => AbortSignal.any(5), "
         "() => AbortSignal.timeout(), () => AbortSignal.timeout(-1), () => AbortSignal.timeout(NaN), () => AbortController(), "
         "() => AbortController.prototype.signal, () => AbortSignal.prototype.aborted, () => AbortController.prototype.abort.call({})]) "
         "try { f(); log.push('none') } catch (e) { log.push(e.name[0]) }"), "T,T,T,T,T,T,T,T,T,T,T"),
        ("log.push(Object.keys(AbortSignal), '' + Object.keys(AbortSignal.prototype), '' + Object.keys(AbortController.prototype))",
         "abort,timeout,any,aborted,reason,throwIfAborted,onabort,signal,abort"),
        ("log.push(Object.prototype.toString.call(new AbortController().signal), new AbortController().signal instanceof EventTarget)",
         "[object AbortSignal],true"),
    ],
)  # fmt: skip
def test_it_is_as_the_standard_says(value, body, result):
    assert value(f"const log = []; {body}; return log.join()") == f"'{result}'"


def test_a_timeout_does_not_hold_a_value_that_has_settled(Session):  # noqa: N803
    session = Session()
    done = session.run("const limit = AbortSignal.timeout(20_000); 'done'")
    assert (done.outcome.result, done.outcome.pending_timers) == ("'done'", 1)


def test_a_timeout_that_is_due_fires_before_the_next_code(Session):  # noqa: N803
    session = Session()
    start = 20_000_000_000_000
    session.run("const limit = AbortSignal.timeout(5); 0", start_ticks=start)
    done = session.run("[limit.aborted, limit.reason.name].join()", start_ticks=start + 1_000)
    assert done.outcome.result == "'true,TimeoutError'"


def test_too_many_timeouts_are_refused(Session):  # noqa: N803
    code = "let n = 0; try { for (;;) { AbortSignal.timeout(1e6); n++ } } catch (e) { n + ' ' + e.name }"
    assert Session().run(code, limits=Limits(timers=7)).outcome.result == "'7 RangeError'"


def test_a_timeout_replays(Session):  # noqa: N803
    code = "const s = AbortSignal.timeout(3); await new Promise((r) => { s.onabort = r }); performance.now() >= 3"
    first = Session().run(code)
    again = Session().run(code, trace=first.trace)
    assert first.outcome.result == "true"
    assert (again.outcome, again.digest) == (first.outcome, first.digest)


def test_an_aborted_follower_is_not_kept_by_its_sources(Session):  # noqa: N803
    """Whoever keeps one signal and joins it with short-lived ones must not fill the heap."""
    session = Session()
    session.run("const kept = new AbortController(); const big = () => new Array(1e5).fill(1); 0")
    done = session.run(
        "for (let i = 0; i < 2000; i++) { const c = new AbortController();"
        "const s = AbortSignal.any([kept.signal, c.signal]); s.big = big(); c.abort(i) } 'fits'",
        limits=Limits(heap_mb=64),
    )
    assert done.outcome.result == "'fits'"
