"""Code sees the recorded clock, whichever way it looks."""

from __future__ import annotations

import datetime as dt

import pytest

from engine.events import Trace
from engine.limits import Limits

# 2001-02-03T04:05:06.7890Z, in ticks of 0.1 ms
PAST = int(dt.datetime(2001, 2, 3, 4, 5, 6, 789000, tzinfo=dt.UTC).timestamp() * 10_000)
MANY = 1_000_000


def recorded(*clock: int) -> Trace:
    """A trace whose clock begins in the past."""
    return Trace(start=PAST, seed=bytes(16), clock=clock)


FROZEN = recorded(0, MANY)


@pytest.fixture(scope="module")
def value(Session):  # noqa: N803
    """The text of an expression's value, in a session shared by tests that change nothing."""
    return Session().value


ROUTES = {
    "Date.now()": "981173106789",
    "new Date().getTime()": "981173106789",
    "new Date().toISOString()": "'2001-02-03T04:05:06.789Z'",
    "Date()": "'Sat Feb 03 2001 04:05:06 GMT+0000 (Coordinated Universal Time)'",
    "Date(2020, 1, 1).slice(0, 15)": "'Sat Feb 03 2001'",
    "Date.call({}).slice(0, 15)": "'Sat Feb 03 2001'",
    "new (class Sub extends Date {})().getFullYear()": "2001",
    "new (Date.bind())().getFullYear()": "2001",
    "Reflect.construct(Date, []).getFullYear()": "2001",
    "Date.prototype.getFullYear.call(Reflect.construct(Date, [], Array))": "2001",
    "new Date.prototype.constructor().getFullYear()": "2001",
    "new (new Date(0).constructor)().getFullYear()": "2001",
    "new (Object.getPrototypeOf(class extends Date {}))().getFullYear()": "2001",
    "Object.getOwnPropertyDescriptor(Date, 'now').value()": "981173106789",
    "Object.getOwnPropertyDescriptor(Date.prototype, 'constructor').value().slice(0, 15)": "'Sat Feb 03 2001'",
    "new Date().toLocaleString()": "'2/3/2001, 4:05:06 AM'",
    "new Date().toTemporalInstant().toString()": "'2001-02-03T04:05:06.789Z'",
    "new Intl.DateTimeFormat().format()": "'2/3/2001'",
    "new Intl.DateTimeFormat().format(undefined)": "'2/3/2001'",
    "[undefined].map(new Intl.DateTimeFormat().format)[0]": "'2/3/2001'",
    "Intl.DateTimeFormat('de').format()": "'3.2.2001'",
    "Object.getOwnPropertyDescriptor(Intl.DateTimeFormat.prototype, 'format')"
    ".get.call(new Intl.DateTimeFormat())()": "'2/3/2001'",
    "new Intl.DateTimeFormat().formatToParts().map((part) => part.value).join('')": "'2/3/2001'",
    "new Intl.DateTimeFormat().formatToParts(undefined).length": "5",
    "Temporal.Now.instant().toString()": "'2001-02-03T04:05:06.789Z'",
    "Temporal.Now.plainDateTimeISO().toString()": "'2001-02-03T04:05:06.789'",
    "Temporal.Now.plainDateISO().toString()": "'2001-02-03'",
    "Temporal.Now.plainTimeISO().toString()": "'04:05:06.789'",
    "Temporal.Now.zonedDateTimeISO().toString()": "'2001-02-03T04:05:06.789+00:00[UTC]'",
    "Temporal.Now.plainDateTimeISO('Asia/Tokyo').toString()": "'2001-02-03T13:05:06.789'",
    "Temporal.Now.timeZoneId()": "'UTC'",
    "performance.timeOrigin": "981173106789",
    "performance.now()": "0",
}


@pytest.fixture(scope="module")
def shown(Session):  # noqa: N803
    """What every route shows in one session whose clock stands in the past."""
    session = Session()
    return {route: session.run(route, trace=FROZEN).outcome.result for route in ROUTES}


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_to_the_clock_shows_the_recorded_one(route, shown):
    assert shown[route] == ROUTES[route]


# Calls every function that can be reached, as function and constructor, with the receivers that
# might suit it, and collects what looks like the current time in any of the results.
WALK = """
(() => {
  const year = new RegExp('(^|[^0-9])' + YEAR + '([^0-9]|$)');
  const [apply, construct] = [Reflect.apply, Reflect.construct];
  const samples = [
    new Date(0), new Intl.DateTimeFormat(), new Intl.NumberFormat(), new Intl.RelativeTimeFormat(),
    Temporal.Instant.from('1970-01-01T00:00Z'), Temporal.PlainDate.from('1970-01-01'),
    Temporal.PlainDateTime.from('1970-01-01'), Temporal.ZonedDateTime.from('1970-01-01[UTC]'),
    Temporal.PlainTime.from('00:00'), Temporal.Duration.from('PT1S'), Promise.resolve(1), new Map(),
    new Set(), [], /x/, 'text', 1, 1n, Symbol.iterator, new Error('x'), new ArrayBuffer(8),
    new Uint8Array(8), new DataView(new ArrayBuffer(8)), (function* () {})(), (async function* () {})(),
    [].values(), new Map().entries(), async () => {}, new WeakMap(), new WeakRef({}),
    new FinalizationRegistry(() => {}), new DisposableStack(), new Proxy({}, {}), new Intl.Locale('en'),
    new Intl.DurationFormat('en'), performance,
  ];
  const seen = new Set(), functions = [];
  const queue = [globalThis, ...samples].map((sample) => [sample, undefined]);
  while (queue.length) {
    const [value, holder] = queue.pop();
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null) continue;
    if (seen.has(value)) continue;
    seen.add(value);
    if (typeof value === 'function') functions.push([value, holder]);
    queue.push([Object.getPrototypeOf(value), undefined]);
    for (const key of Reflect.ownKeys(value)) {
      const { value: inner, get, set } = Object.getOwnPropertyDescriptor(value, key);
      for (const part of [inner, get, set]) queue.push([part, value]);
    }
  }
  const near = (number) => [1, 10, 1e-3, 1e3, 1e6].some((unit) => Math.abs(number / unit - NOW) < 864e5);
  const tells = (value, depth = 0) => {
    switch (typeof value) {
      case 'number': case 'bigint': return near(Number(value));
      case 'string': return year.test(value) || near(Number(value));
      case 'function': {
        if (depth > 0) return false;
        for (const args of [[], [undefined]]) try { if (tells(value(...args), 1)) return true; } catch {}
        return false;
      }
      case 'object': {
        if (value === null || depth > 2) return false;
        try { if (near(Date.prototype.getTime.call(value))) return true; } catch {}
        if (Object.prototype.toString.call(value).startsWith('[object Temporal')) return tells(String(value));
        if (Array.isArray(value) && value.length > 100) return false;
        return Reflect.ownKeys(value).slice(0, 100).some((key) => {
          const inner = Object.getOwnPropertyDescriptor(value, key)?.value;
          return typeof inner !== 'function' && tells(inner, depth + 1);
        });
      }
    }
    return false;
  };
  const found = new Set();
  const isBelow = (sample, holder) => Object(sample) === sample && holder?.isPrototypeOf?.(sample);
  for (const [f, holder] of functions) {
    const attempts = [() => construct(f, []), () => construct(f, [], Object)];
    for (const args of [[], [undefined], [undefined, undefined]]) {
      const receivers = [undefined, holder, ...samples.filter((sample) => isBelow(sample, holder))];
      for (const self of receivers) attempts.push(() => apply(f, self, args));
    }
    for (const attempt of attempts) {
      try { if (tells(attempt())) { found.add(f.name); break; } } catch {}
    }
  }
  return functions.length + '|' + [...found].sort().join();
})()
"""


def walk(Session, *, moment: dt.datetime) -> tuple[int, set[str]]:  # noqa: N803
    """How many functions a session whose clock stands in the past has, and which show ``moment``."""
    setup = f"const YEAR = {moment.year}, NOW = {moment.timestamp() * 1000};"
    session = Session()
    session.run(setup, trace=FROZEN)
    outcome = session.run(WALK, trace=FROZEN).outcome
    assert outcome.status == "completed", outcome.error
    count, _, names = outcome.result.strip("'").partition("|")
    return int(count), set(filter(None, names.split(",")))


def test_no_function_at_all_shows_the_real_clock(Session):  # noqa: N803
    functions, found = walk(Session, moment=dt.datetime.now(dt.UTC))
    assert functions > 900
    assert found == set()


def test_the_search_for_the_real_clock_finds_clocks(Session):  # noqa: N803
    _, found = walk(Session, moment=dt.datetime.fromtimestamp(PAST / 10_000, dt.UTC))
    assert found >= {"Date", "now", "get format", "formatToParts", "get timeOrigin", "instant"}
    assert found >= {"plainDateISO", "plainDateTimeISO", "zonedDateTimeISO"}


def test_a_replay_reads_what_was_recorded_in_order(Session):  # noqa: N803
    done = Session().run(
        "[Date.now(), Date.now(), Date.now(), performance.now()].join()", trace=recorded(10, 2, 25, 2)
    )
    assert done.outcome.result == "'981173106790,981173106790,981173106792,3.5'"
    assert done.trace.clock == (10, 2, 25, 2)


def test_a_replay_of_a_live_run_gives_the_same(Session):  # noqa: N803
    code = """
      const seen = [Date.now(), performance.now(), Date(), String(Temporal.Now.instant()), Math.random()];
      while (performance.now() < seen[1] + 3) seen.push(Date.now());
      await new Promise((resolve) => setTimeout(resolve, 2));
      seen.push(performance.now(), new Intl.DateTimeFormat('en', { timeStyle: 'full' }).format());
      seen.join()
    """
    live = Session().run(code)
    again = Session().run(code, trace=live.trace)
    assert len(live.trace.clock) > 10
    assert again.outcome == live.outcome
    assert again.trace == live.trace
    assert again.digest == live.digest


@pytest.mark.parametrize(
    ("clock", "code"),
    [((0, 1), "Date.now() - Date.now()"), ((), "Date.now() - 981173106789"), ((0, 3), "Date.now() * 0")],
    ids=["too few", "none", "too many"],
)
def test_a_replay_that_reads_the_clock_otherwise_has_another_digest(clock, code, Session):  # noqa: N803
    faithful = Session().run("0", trace=recorded())
    other = Session().run(code, trace=recorded(*clock))
    assert other.outcome.result == "0"
    assert other.digest != faithful.digest
    assert other.trace.clock != clock


def test_readings_never_go_back_and_are_run_length_coded(Session):  # noqa: N803
    done = Session().run("""
      let last = 0, steps = 0, ok = true;
      for (let i = 0; i < 20000; i++) {
        const now = i % 3 ? Date.now() : performance.timeOrigin + performance.now();
        ok &&= Math.floor(now) >= Math.floor(last);
        last = now;
      }
      ok
    """)
    assert done.outcome.result == "true"
    deltas, counts = done.trace.clock[::2], done.trace.clock[1::2]
    assert sum(counts) == 20_000
    assert len(counts) < 10_000
    assert min(deltas[1:], default=1) > 0


LIMIT_MESSAGE = "clock reads: limit of 50 distinct readings in one execution reached"
UNTIL_IT_THROWS = """
  let count = 0, errors = [];
  try { for (;;) { performance.now(); count++; } } catch (error) { errors.push(error); }
  for (const read of [() => Date.now(), () => new Date(), () => setTimeout(() => {}), () => Temporal.Now.instant()])
    try { read(); errors.push('read'); } catch (error) { errors.push(error); }
  count + '|' + errors.map(String).join('|')
"""


def test_after_the_limit_every_reading_throws_live_and_replayed(Session):  # noqa: N803
    limits = Limits(clock_reads=50)
    live = Session().run(UNTIL_IT_THROWS, limits=limits)
    again = Session().run(UNTIL_IT_THROWS, trace=live.trace, limits=limits)
    assert live.outcome.result.endswith("|".join([""] + 5 * [f"RangeError: {LIMIT_MESSAGE}"]) + "'")
    assert len(live.trace.clock) == 100
    assert again.digest == live.digest


def test_the_limit_counts_for_each_execution_anew(Session):  # noqa: N803
    session, limits = Session(), Limits(clock_reads=50)
    session.run(UNTIL_IT_THROWS, limits=limits)
    assert session.run("Date.now() > 0", limits=limits).outcome.result == "true"


def test_performance_now_grows_over_the_life_of_a_session_and_a_snapshot(Session):  # noqa: N803
    first = Session()
    assert first.run("performance.now()", trace=recorded(5, 1)).outcome.result == "0.5"
    restored = Session(first.snapshot())
    later = Trace(start=PAST + 600_000, seed=bytes(16), clock=(7, 1))
    done = restored.run("performance.now() + ' ' + performance.timeOrigin", trace=later)
    assert done.outcome.result == "'60000.7 981173106789'"


def test_performance_now_stays_when_the_hosts_clock_is_set_back(Session):  # noqa: N803
    session = Session()
    session.run("0", trace=recorded())
    assert session.run("performance.now()", trace=recorded(500, 1)).outcome.result == "50"
    back = Trace(start=PAST - 10_000, seed=bytes(16), clock=(0, 2))
    assert (
        session.run("performance.now() + ' ' + Date.now()", trace=back).outcome.result == "'50 981173105789'"
    )


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("[Date.length, Date.name, typeof Date]", "7,Date,function"),
        ("Reflect.ownKeys(Date)", "length,name,prototype,now,parse,UTC"),
        ("flags(globalThis, 'Date')", "true,false,true"),
        ("flags(Date, 'prototype')", "false,false,false"),
        ("flags(Date, 'length')", "false,false,true"),
        ("['now', 'parse', 'UTC'].map((name) => flags(Date, name))", ",".join(3 * ["true,false,true"])),
        ("flags(Date.prototype, 'constructor')", "true,false,true"),
        ("flags(Math, 'random')", "true,false,true"),
        ("flags(Temporal.Now, 'instant')", "true,false,true"),
        ("flags(Intl.DateTimeFormat.prototype, 'formatToParts')", "true,false,true"),
        ("[Date.now.name, Date.now.length, 'prototype' in Date.now]", "now,0,false"),
        ("Reflect.ownKeys(Temporal.Now).map((k) => Temporal.Now[k].length ?? k)", "0,0,0,0,0,0,12"),
        ("Date.prototype.constructor === Date", "true"),
        ("new Date(0) instanceof Date", "true"),
        ("new Date(2020, 0, 31, 12).toISOString()", "2020-01-31T12:00:00.000Z"),
        ("[new Date(undefined).getTime(), new Date(NaN).getTime()]", "NaN,NaN"),
        ("Date.UTC(2020, 1) + Date.parse('2020-01-01')", "3158352000000"),
        ("((sub) => [sub.f(), +sub])(new (class extends Date { f() { return 5 } })(7))", "5,7"),
        ("(() => { const f = new Intl.DateTimeFormat(); return f.format === f.format })()", "true"),
        ("[new Intl.DateTimeFormat().format.name, new Intl.DateTimeFormat().format.length]", ",1"),
        ("new Intl.DateTimeFormat().format(0)", "1/1/1970"),
        ("new Intl.DateTimeFormat().format(null)", "1/1/1970"),
        ("Object.getOwnPropertyDescriptor(Intl.DateTimeFormat.prototype, 'format').get.name", "get format"),
        ("Object.prototype.toString.call(performance)", "[object Performance]"),
        ("[Atomics.wait.length, Atomics.waitAsync.length]", "4,4"),
        ("Object.keys(globalThis).includes('performance')", "false"),
    ],
)
def test_replacements_look_like_the_originals(code, result, value):
    flags = (
        "const flags = (object, name) => { const d = Object.getOwnPropertyDescriptor(object, name); "
        "return [d.writable, d.enumerable, d.configurable] };"
    )
    assert value(f"{flags} String({code})") == f"'{result}'"


@pytest.mark.parametrize(
    "code",
    [
        "Object.getOwnPropertyDescriptor(Intl.DateTimeFormat.prototype, 'format').get.call({})",
        "Intl.DateTimeFormat.prototype.formatToParts.call({})",
        "new Date.now()",
        "Temporal.Now.plainDateISO('nowhere')",
        "Atomics.wait(new Int32Array(new WebAssembly.Memory({ shared: true, initial: 1, maximum: 1 }).buffer), 0, 0, 1)",
    ],
)
def test_misuse_throws_as_ever(code, value):
    assert (
        value(
            f"try {{ {code} }} catch (error) {{ error instanceof TypeError || error instanceof RangeError }}"
        )
        == "true"
    )


def test_zone_and_locale_are_pinned(value):
    code = "const { timeZone, locale } = new Intl.DateTimeFormat().resolvedOptions(); "
    code += (
        "[timeZone, locale, new Date(2020, 6, 1).getTimezoneOffset(), (1234.5).toLocaleString()].join(' ')"
    )
    assert value(code) == "'UTC en-US 0 1,234.5'"
