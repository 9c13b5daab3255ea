"""Event, CustomEvent and EventTarget, on targets without a tree."""

from __future__ import annotations

import pytest

TARGET = "const target = new EventTarget(), log = []; const on = (...a) => target.addEventListener(...a);"


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("on('a', () => log.push(1)); on('a', () => log.push(2)); fire('a')", "1,2"),
        ("const f = () => log.push(1); on('a', f); on('a', f); fire('a')", "1"),
        ("const f = () => log.push(1); on('a', f); on('a', f, true); fire('a')", "1,1"),
        ("on('a', () => log.push('late')); on('a', () => log.push('first'), { capture: true }); fire('a')", "first,late"),
        ("on('a', () => log.push(1), { once: true }); fire('a'); fire('a')", "1"),
        ("const f = () => log.push(1); on('a', f); target.removeEventListener('a', f); fire('a')", ""),
        ("const f = () => log.push(1); on('a', f); target.removeEventListener('a', f, true); fire('a')", "1"),
        ("const f = () => log.push(1); on('a', f, true); target.removeEventListener('a', f, { capture: 1 }); fire('a')", ""),
        ("const g = () => log.push('g'); on('a', () => target.removeEventListener('a', g)); on('a', g); fire('a')", ""),
        ("on('a', () => on('a', () => log.push('added'))); fire('a'); log.push('|'); fire('a')", "|,added"),
        ("on('a', (e) => e.stopImmediatePropagation()); on('a', () => log.push(1)); fire('a')", ""),
        ("on('a', (e) => e.stopPropagation()); on('a', () => log.push(1)); fire('a')", "1"),
        ("on('a', (e) => e.stopPropagation(), true); on('a', () => log.push(1)); fire('a')", ""),
        ("on('a', { n: 7, handleEvent(e) { log.push(this.n, e.type) } }); fire('a')", "7,a"),
        ("const l = {}; on('a', l); l.handleEvent = () => log.push('late'); fire('a')", "late"),
        ("on('a', function (e) { log.push(this === target, e.target === target, e.currentTarget === target) }); fire('a')", "true,true,true"),
        ("on('a', (e) => log.push(e.eventPhase, e.composedPath().length)); log.push(fire('a').eventPhase)", "2,1,0"),
        ("on('a', null); on('a', undefined); fire('a')", ""),
        ("const c = new AbortController(); on('a', () => log.push(1), { signal: c.signal }); fire('a'); c.abort(); fire('a')", "1"),
        ("on('a', () => log.push(1), { signal: AbortSignal.abort() }); fire('a')", ""),
        ("on('__proto__', () => log.push('p')); fire('__proto__')", "p"),
        ("on('null', () => log.push('n')); target.dispatchEvent(new Event(null))", "n"),
        ("on('a', (e) => { e.preventDefault(); log.push(e.defaultPrevented) }); fire('a'); fire('a', { cancelable: true })", "false,true"),
        ("on('a', (e) => { e.preventDefault(); log.push(e.defaultPrevented) }, { passive: true }); fire('a', { cancelable: true })", "false"),
        ("on('a', (e) => log.push(target.dispatchEvent !== undefined, e.isTrusted)); fire('a')", "true,false"),
        ("const e = fire('a'); log.push(e.currentTarget, e.target === target)", ",true"),
    ],
)  # fmt: skip
def test_listeners_are_called_as_the_standard_says(value, body, result):
    fire = (
        "const fire = (type, init) => { const e = new Event(type, init); target.dispatchEvent(e); return e };"
    )
    assert value(f"{TARGET}{fire}{body}; return log.join()") == f"'{result}'"


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("new Event('a').type", "a"),
        ("new Event().type", "TypeError"),
        ("Event('a')", "TypeError"),
        ("new Event('a', 5)", "TypeError"),
        ("new Event(Symbol())", "TypeError"),
        ("Event.prototype.type", "TypeError"),
        ("EventTarget.prototype.addEventListener.call({}, 'a', null)", "TypeError"),
        ("new EventTarget().addEventListener('a')", "TypeError"),
        ("new EventTarget().addEventListener('a', 5)", "TypeError"),
        ("new EventTarget().addEventListener('a', () => {}, { signal: null })", "TypeError"),
        ("new EventTarget().dispatchEvent({})", "TypeError"),
        (("const t = new EventTarget(), e = new Event('a'); let n; t.addEventListener('a', () => { "
         "try { t.dispatchEvent(e) } catch (x) { n = x.name } }); t.dispatchEvent(e); n"), "InvalidStateError"),
        ("new EventTarget().dispatchEvent(new Event('a'))", "true"),
        ("new CustomEvent('a', { detail: [1, 2] }).detail", "1,2"),
        ("new CustomEvent('a').detail", "null"),
        ("const c = new CustomEvent('a'); c.initCustomEvent('b', true, true, 5); [c.type, c.bubbles, c.detail]", "b,true,5"),
        ("const e = new Event('a', { cancelable: true }); e.returnValue = false; [e.defaultPrevented, e.returnValue]", "true,false"),
        ("const e = new Event('a'); e.cancelBubble = true; e.cancelBubble = false; e.cancelBubble", "true"),
        ("Event.AT_TARGET + new Event('a').BUBBLING_PHASE", "5"),
        ("Object.keys(new Event('a'))", "isTrusted"),
        ("Object.getOwnPropertyDescriptor(new Event('a'), 'isTrusted').configurable", "false"),
        ("Object.prototype.toString.call(new CustomEvent('a'))", "[object CustomEvent]"),
        ("[Event.length, CustomEvent.length, EventTarget.length, EventTarget.prototype.addEventListener.length]", "1,1,0,2"),
        ("Object.keys(EventTarget.prototype)", "addEventListener,removeEventListener,dispatchEvent"),
        ("class Mine extends EventTarget { n = 1 }; new Mine().dispatchEvent(new (class extends Event {})('a'))", "true"),
        (("const seen = []; const get = (k) => ({ get() { seen.push(k) }, enumerable: true }); "
         "new Event('a', Object.defineProperties({}, { composed: get('composed'), cancelable: get('cancelable'), bubbles: get('bubbles') })); "
         "seen"), "bubbles,cancelable,composed"),
        ("const seen = []; new EventTarget().addEventListener('a', () => {}, new Proxy({}, { get(t, k) { seen.push(k) } })); seen",
         "capture,once,passive,signal"),
    ],
)  # fmt: skip
def test_interfaces_are_as_the_standard_says(value, code, result):
    head, _, last = code.rpartition("; ")
    body = f"try {{ {head}; return String({last}) }} catch (e) {{ return e.name }}"
    assert value(body) == f"'{result}'"


def test_an_error_in_a_listener_is_reported_and_the_others_are_called(session):
    session.run("{ const t = new EventTarget(); t.addEventListener('a', () => { throw new Error('oops') }); "
                "t.addEventListener('a', {}); t.addEventListener('a', () => console.log('called')); "
                "t.dispatchEvent(new Event('a')) }")  # fmt: skip
    texts = [line.text for line in session.lines]
    assert texts[0].startswith("Uncaught Error: oops\n    at ")
    assert texts[1].startswith("Uncaught TypeError: EventListener: handleEvent is no function")
    assert texts[2] == "called"


def test_time_stamps_come_from_the_recorded_clock(Session):  # noqa: N803
    code = "const stamps = Array.from({ length: 5 }, () => new Event('a').timeStamp); stamps.push(performance.now()); stamps.join()"
    first = Session().run(code)
    again = Session().run(code, trace=first.trace)
    assert (again.outcome, again.digest) == (first.outcome, first.digest)


def test_events_can_be_made_when_no_clock_reading_is_left(Session):  # noqa: N803
    from engine.limits import Limits

    code = "try { for (;;) performance.now() } catch {} const e = new Event('a'); e.timeStamp > 0"
    assert Session().run(code, limits=Limits(clock_reads=10)).outcome.result == "true"


def test_listeners_survive_a_snapshot(Session):  # noqa: N803
    first = Session()
    first.run("const bus = new EventTarget(); let heard = 0; const c = new AbortController();"
              "bus.addEventListener('a', (e) => { heard += e.detail }, { signal: c.signal }); 0")  # fmt: skip
    second = Session(first.snapshot())
    second.run("bus.dispatchEvent(new CustomEvent('a', { detail: 3 })); c.abort()")
    third = Session(second.snapshot())
    assert third.value("bus.dispatchEvent(new CustomEvent('a', { detail: 4 })); heard") == "3"


def test_polluted_prototypes_do_not_reach_dispatch(Session):  # noqa: N803
    session = Session()
    session.run("""
      const target = new EventTarget(), signal = new AbortController(); let heard = '';
      target.addEventListener('a', () => { heard += 'a' }, { signal: signal.signal });
      for (const [object, names] of [
        [Map.prototype, ['get', 'set', 'delete', 'forEach']], [Set.prototype, ['add', 'delete', 'forEach']],
        [Function.prototype, ['call', 'apply', 'bind']], [Array.prototype, ['push', 'slice']],
      ]) for (const name of names) object[name] = () => { throw new Error('reached') };
      for (const i of [0, 1, 'value', 'get', 'once', 'capture', 'signal']) {
        Object.defineProperty(Object.prototype, i, { get() { return undefined }, set() { throw new Error('set') }, configurable: true });
      }
    """)
    code = "target.dispatchEvent(new Event('a')); signal.abort(); target.dispatchEvent(new Event('a')); heard"
    assert session.value(code) == "'a'"


def test_a_subclass_whose_parent_was_replaced_gets_no_keys(Session):  # noqa: N803
    code = """
      const seen = [];
      Object.setPrototypeOf(AbortSignal, function (...args) { seen.push(args.length); return new EventTarget() });
      new AbortController(); seen.join()
    """
    assert Session().value(code) == "'0'"


def test_a_reported_error_is_on_the_console_and_stops_nothing(session):
    done = session.run("reportError(new RangeError('told')); reportError(5); 'on'")
    assert done.outcome.result == "'on'"
    assert session.lines[0].text.startswith("Uncaught RangeError: told\n    at ")
    assert (session.lines[1].level, session.lines[1].text) == ("error", "Uncaught 5")
