"""Timers: Node's rules, the settling rules, and one recorded order."""

from __future__ import annotations

import datetime as dt
import itertools

import pytest

from engine.events import Trace
from engine.limits import Limits

PAST = int(dt.datetime(2001, 2, 3, tzinfo=dt.UTC).timestamp() * 10_000)
SECOND = 10_000  # ticks
NO_TIME = Limits(time_ms=0)
"""With these no timer is waited for."""


@pytest.fixture(scope="module")
def value(Session):  # noqa: N803
    """The text of an expression's value, in a session shared by tests that change nothing."""
    return Session().value


def at(tick: int) -> int:
    """A start so many ticks after the fixed past moment."""
    return PAST + tick


def texts(session) -> list[str]:
    return [line.text for line in session.lines]


def replay(*clock: int, start: int = PAST, before=(), after=()) -> Trace:
    return Trace(start=start, seed=bytes(16), clock=clock, timers_before=before, timers_after=after)


# --- order and arguments --------------------------------------------------------------------------


def test_timers_fire_by_due_time_then_by_age(Session):  # noqa: N803
    session = Session()
    session.run(
        """
        setTimeout(console.log, 400, 'd');
        setInterval(console.log, 200, 'b');
        setTimeout(console.log, 200, 'c');
        setTimeout(console.log, 100, 'a');
        """,
        trace=replay(0, 4),
    )
    done = session.run("console.log('code')", start_ticks=at(SECOND), limits=NO_TIME)
    assert texts(session) == ["a", "b", "c", "d", "code"]
    assert done.trace.timers_before == (4, 2, 3, 1)


def test_code_comes_before_microtasks_and_these_before_timers(Session):  # noqa: N803
    session = Session()
    session.run("""
      setTimeout(console.log, 1, 'timer');
      Promise.resolve().then(() => console.log('promise'));
      queueMicrotask(() => console.log('microtask'));
      console.log('code');
    """)
    assert texts(session) == ["code", "promise", "microtask", "timer"]


def test_microtasks_run_between_two_timers_that_are_due_together(Session):  # noqa: N803
    session = Session()
    session.run("""
      for (const name of ['a', 'b']) setTimeout(async () => { console.log(name); await 0; console.log(name + "'") }, 1);
    """)
    assert texts(session) == ["a", "a'", "b", "b'"]


def test_callbacks_get_their_arguments_and_the_global_object(Session):  # noqa: N803
    code = """
      await new Promise((resolve) => setTimeout(function (...args) {
        resolve([this === globalThis, ...args].join());
      }, 1, 'x', 'y'))
    """
    assert Session().run(code).outcome.result == "'true,x,y'"


def test_a_heap_of_random_timers_fires_in_order_and_without_the_cleared(Session):  # noqa: N803
    session = Session()
    done = session.run(
        """
        const due = new Map(), fired = [];
        for (let i = 0; i < 3000; i++) {
          const delay = 10 + Math.floor(Math.random() * 500);
          const id = setTimeout(() => fired.push(id), delay * 1000);
          due.set(id, delay);
        }
        for (const id of [...due.keys()]) if (Math.random() < 0.5) { clearTimeout(id); due.delete(id); }
        due.size
        """,
        trace=replay(0, 1_000_000),
    )
    kept = int(done.outcome.result)
    assert done.outcome.pending_timers == kept
    # the start is after all of them: every one is overdue
    session.run("0", start_ticks=at(1000 * SECOND))
    code = """
      const ordered = [...due.keys()].sort((a, b) => due.get(a) - due.get(b) || a - b);
      fired.length + ' ' + (ordered.join() === fired.join())
    """
    assert session.run(code).outcome.result == f"'{kept} true'"


@pytest.mark.parametrize(
    ("delay", "milliseconds"),
    [
        ("undefined", 1),
        ("0", 1),
        ("-5", 1),
        ("NaN", 1),
        ("'40'", 40),
        ("40.9", 40),
        ("2 ** 31", 1),
        ("{}", 1),
    ],
)
def test_delays_are_whole_milliseconds_from_one(delay, milliseconds, Session):  # noqa: N803
    session = Session()
    session.run(f"setTimeout(console.log, {delay}, 'x')", trace=replay(0, 1))
    assert session.run("0", start_ticks=at(10 * milliseconds - 1), limits=NO_TIME).trace.timers_before == ()
    assert session.run("0", start_ticks=at(10 * milliseconds)).trace.timers_before == (1,)


# --- ids and clearing -----------------------------------------------------------------------------


def test_ids_count_up_over_the_life_of_a_session(Session):  # noqa: N803
    session = Session()
    assert (
        session.run(
            "[setTimeout(() => {}), setInterval(() => {}), setImmediate(() => {})].join()"
        ).outcome.result
        == "'1,2,3'"
    )
    assert Session(session.snapshot()).run("setTimeout(() => {}, 1)").outcome.result == "4"


@pytest.mark.parametrize(
    "clear", ["clearTimeout(id)", "clearInterval(id)", "clearTimeout(`${id}`)", "clearImmediate(id)"]
)
@pytest.mark.parametrize("make", ["setTimeout", "setInterval", "setImmediate"])
def test_a_cleared_timer_never_fires(make, clear, Session):  # noqa: N803
    done = Session().run(f"let n = 0; const id = {make}(() => n++, 1); {clear}; setTimeout(() => 0, 5); n")
    assert done.outcome.pending_timers == 0
    assert done.trace.timers_after == (2,)


def test_clearing_nothing_is_no_error_and_runs_no_code(Session):  # noqa: N803
    done = Session().run("""
      let ran = false;
      const trap = { valueOf() { ran = true; return 1 }, toString() { ran = true; return '1' } };
      setTimeout(() => 0, 100000);
      for (const id of [undefined, null, 99, -1, NaN, 'x', Symbol(), 1n, {}, trap]) clearTimeout(id);
      ran
    """)
    assert done.outcome.result == "false"
    assert done.outcome.pending_timers == 1


def test_an_interval_goes_on_until_it_clears_itself(Session):  # noqa: N803
    code = "let n = 0; await new Promise((resolve) => { const id = setInterval(() => { if (++n === 3) { clearInterval(id); resolve(n) } }, 1) })"
    done = Session().run(code)
    assert done.outcome.result == "3"
    assert done.outcome.pending_timers == 0


# --- settling -------------------------------------------------------------------------------------


def test_one_shot_timers_within_the_time_limit_are_awaited(Session):  # noqa: N803
    session = Session()
    done = session.run("setTimeout(() => setTimeout(console.log, 5, 'second'), 5); 'value'")
    assert done.outcome.result == "'value'"
    assert texts(session) == ["second"]


def test_later_timers_and_intervals_hold_nothing_up(Session):  # noqa: N803
    session = Session()
    done = session.run("setTimeout(console.log, 3600e3, 'late'); setInterval(console.log, 1, 'tick'); 1")
    assert done.outcome.pending_timers == 2
    assert done.trace.timers_after == ()
    assert texts(session) == []


def test_intervals_fire_while_a_one_shot_is_awaited(Session):  # noqa: N803
    session = Session()
    session.run("setInterval(console.log, 2, 'tick'); setTimeout(console.log, 9, 'end'); 0")
    assert texts(session)[-1] == "end"
    assert 1 <= texts(session).count("tick") <= 4


def test_an_unsettled_value_waits_for_intervals_too(Session):  # noqa: N803
    code = "let n = 0; await new Promise((resolve) => setInterval(() => { if (++n === 3) resolve('x') }, 1))"
    assert Session().run(code).outcome.result == "'x'"


def test_a_value_that_nothing_can_settle_is_pending(Session):  # noqa: N803
    done = Session().run("await new Promise(() => {})")
    assert done.outcome.status == "completed"
    assert done.outcome.pending
    assert done.outcome.result is None


# --- overdue --------------------------------------------------------------------------------------


def test_overdue_timers_fire_before_the_code_of_a_later_execution(Session):  # noqa: N803
    session = Session()
    session.run(
        "let order = []; setTimeout(() => order.push('late'), 60e3); setInterval(() => order.push('tick'), 40e3); 0",
        trace=replay(0, 2),
    )
    restored = Session(session.snapshot())
    done = restored.run("order.push('code'); order.join()", start_ticks=at(100 * SECOND))
    assert done.outcome.result == "'tick,late,code'"
    assert done.trace.timers_before == (2, 1)
    assert done.outcome.pending_timers == 1


def test_an_interval_that_missed_many_turns_fires_once_and_is_armed_from_then(Session):  # noqa: N803
    session = Session()
    session.run("let n = 0; setInterval(() => n++, 1000); 0", trace=replay(0, 1))
    assert session.run("n", start_ticks=at(500 * SECOND)).outcome.result == "1"


def test_code_in_a_timer_sees_a_clock_that_is_not_before_its_due_time(Session):  # noqa: N803
    code = """
      const began = performance.now();
      await new Promise((resolve) => setTimeout(() => resolve(performance.now() - began >= 7), 7))
    """
    assert Session().run(code).outcome.result == "true"


# --- limits and errors ----------------------------------------------------------------------------


def test_at_most_so_many_timers_are_pending(Session):  # noqa: N803
    session, limits = Session(), Limits(timers=10)
    code = "for (let i = 0; i < 5; i++) { setTimeout(() => 0, 3600e3); setInterval(() => 0, 3600e3) } setTimeout(() => 0, 1)"
    done = session.run(code, limits=limits)
    assert done.outcome.error is not None
    assert done.outcome.error.name == "RangeError"
    assert done.outcome.error.message == "timers: limit of 10 pending timers reached"
    assert session.run("clearTimeout(1); setTimeout(() => 0, 3600e3)", limits=limits).outcome.result == "11"


@pytest.mark.parametrize("name", ["setTimeout", "setInterval", "setImmediate", "queueMicrotask"])
@pytest.mark.parametrize("callback", ["undefined", "null", "'code'", "{}", ""])
def test_a_callback_must_be_a_function(name, callback, value):
    code = f"let text; try {{ {name}({callback}) }} catch (error) {{ text = error.name + ': ' + error.message }} text"
    assert value(code).startswith('\'TypeError: The "callback" argument must be of type function. Received ')


def test_an_error_in_a_callback_is_told_on_the_console_and_stops_nothing(Session):  # noqa: N803
    session = Session()
    done = session.run("""
      setTimeout(() => { throw new RangeError('from a timer') }, 1);
      setTimeout(console.log, 2, 'next');
      queueMicrotask(() => { throw 'from a microtask' });
      'fine'
    """)
    assert done.outcome.result == "'fine'"
    assert [line.level for line in session.lines] == ["error", "error", "log"]
    assert texts(session)[0] == "Uncaught 'from a microtask'"
    assert texts(session)[1].startswith("Uncaught RangeError: from a timer")
    assert texts(session)[2] == "next"


# --- replay ---------------------------------------------------------------------------------------

EVENTS = (
    """
    const log = [];
    let turns = 0;
    setInterval(() => log.push('tick' + Math.random()), 2);
    setTimeout(() => log.push('once' + performance.now()), 5);
    setTimeout(() => log.push('far'), 50);
    await new Promise((resolve) => setTimeout(resolve, 8, 'x'))
    """,
    "setImmediate(() => log.push('immediate')); log.length",
    "log.join()",
)


def test_a_replay_fires_the_same_timers_without_waiting(Session):  # noqa: N803
    limits = Limits(time_ms=30)
    live, again = Session(), Session()
    for code in EVENTS:
        done = live.run(code, limits=limits)
        repeated = again.run(code, trace=done.trace, limits=limits)
        assert repeated.outcome == done.outcome
        assert repeated.trace == done.trace
        assert repeated.digest == done.digest


def test_a_replay_that_lacks_a_recorded_timer_has_another_digest(Session):  # noqa: N803
    session = Session()
    faithful = session.run("0", trace=replay())
    for trace in (replay(before=(7,)), replay(after=(7,))):
        done = session.run("0", trace=trace)
        assert done.digest != faithful.digest
        assert (done.trace.timers_before, done.trace.timers_after) == ((), ())


def test_a_snapshot_between_any_two_events_changes_nothing(Session):  # noqa: N803
    starts = itertools.count(PAST, 100 * SECOND)
    straight, cut = Session(), Session()
    for code in EVENTS:
        done = straight.run(code, trace=None, start_ticks=next(starts))
        cut = Session(cut.snapshot())
        assert cut.run(code, trace=done.trace).digest == done.digest


# --- looks ----------------------------------------------------------------------------------------


def test_the_functions_are_named_and_hidden_from_enumeration(value):
    code = """
      ['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval', 'clearImmediate', 'queueMicrotask']
        .map((name) => [globalThis[name].name === name, globalThis[name].length, Object.keys(globalThis).includes(name)])
        .join(' ')
    """
    assert value(code) == "'" + " ".join(7 * ["true,1,false"]) + "'"
