"""performance: marks and measures on the recorded clock."""

from __future__ import annotations

import pytest


@pytest.fixture
def value(Session):  # noqa: N803
    """The text of what a function body returns, in a fresh session."""
    return lambda body: Session().value(f"await (async () => {{ {body} }})()")


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("const m = performance.mark('a'); log.push(m.name, m.entryType, m.duration, m.detail === null, m.startTime <= performance.now())",
         "a,mark,0,true,true"),
        ("const m = performance.mark('a', { startTime: 5, detail: { x: [1] } }); log.push(m.startTime, m.detail.x)", "5,1"),
        ("const d = { x: 1 }; const m = performance.mark('a', { detail: d }); d.x = 2; log.push(m.detail.x, m.detail === m.detail)", "1,true"),
        ("const m = new PerformanceMark('a', { startTime: 1 }); log.push(m.startTime, performance.getEntries().length)", "1,0"),
        ("mark('a', 3); mark('b', 10); const m = performance.measure('m', 'a', 'b'); log.push(m.startTime, m.duration, m.entryType)", "3,7,measure"),
        ("mark('a', 3); mark('a', 4); mark('b', 10); log.push(performance.measure('m', 'a', 'b').duration)", "6"),
        ("mark('b', 10); log.push(performance.measure('m', undefined, 'b').duration)", "10"),
        (("log.push(performance.measure('m', { start: 2, end: 5 }).duration, performance.measure('m', { start: 2, duration: 5 }).duration, "
         "performance.measure('m', { end: 9, duration: 5 }).startTime)"), "3,5,4"),
        ("log.push(performance.measure('m', { start: 2, end: 5, detail: 'd' }).detail)", "d"),
        ("log.push(performance.measure('m').startTime, performance.measure('m', {}).startTime)", "0,0"),
        ("mark('late', 9); mark('early', 1); mark('same', 9); log.push(performance.getEntries().map((e) => e.name))", "early,late,same"),
        (("mark('a', 1); mark('b', 2); performance.measure('a', { start: 0, end: 1 }); "
         "log.push(performance.getEntriesByName('a').length, performance.getEntriesByName('a', 'mark').length, performance.getEntriesByType('measure').length)"),
         "2,1,1"),
        (("mark('a', 1); mark('b', 2); performance.clearMarks('a'); log.push(performance.getEntries().length); performance.clearMarks(); "
         "log.push(performance.getEntries().length)"), "1,0"),
        ("performance.measure('m'); performance.mark('m'); performance.clearMeasures(); log.push(performance.getEntries()[0].entryType)", "mark"),
        ("log.push(JSON.stringify(performance.mark('a', { startTime: 5 })))", '{"name":"a","entryType":"mark","startTime":5,"duration":0}'),
        ("log.push(Object.keys(performance.toJSON()), performance instanceof EventTarget)", "timeOrigin,true"),
        ("log.push(Object.prototype.toString.call(performance), Object.keys(performance).length)", "[object Performance],0"),
        ("performance.getEntries().push(1); log.push(performance.getEntries().length, Array.isArray(performance.getEntries()))", "0,true"),
    ],
)  # fmt: skip
def test_it_is_as_the_standard_says(value, body, result):
    helper = "const mark = (name, startTime) => performance.mark(name, { startTime });"
    assert value(f"const log = []; {helper} {body}; return log.join()") == f"'{result}'"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("performance.mark()", "TypeError"),
        ("performance.mark('a', 5)", "TypeError"),
        ("performance.mark('a', { startTime: -1 })", "TypeError"),
        ("performance.mark('a', { startTime: NaN })", "TypeError"),
        ("performance.mark('a', { detail() {} })", "DataCloneError"),
        ("performance.measure('m', 'absent')", "SyntaxError"),
        ("performance.measure('m', undefined, 'absent')", "SyntaxError"),
        ("performance.measure('m', { start: 1 }, 'b')", "TypeError"),
        ("performance.measure('m', { detail: 1 })", "TypeError"),
        ("performance.measure('m', { start: 1, end: 2, duration: 1 })", "TypeError"),
        ("performance.measure('m', { start: -1 })", "TypeError"),
        ("new Performance()", "TypeError"),
        ("new PerformanceEntry()", "TypeError"),
        ("new PerformanceMeasure('m')", "TypeError"),
        ("PerformanceEntry.prototype.name", "TypeError"),
        ("performance.now.call({})", "TypeError"),
        ("Performance.prototype.timeOrigin", "TypeError"),
        ("Reflect.get(PerformanceMeasure.prototype, 'detail', performance.mark('a'))", "TypeError"),
    ],
)
def test_wrong_uses_are_named(value, code, name):
    assert value(f"try {{ {code}; return 'none' }} catch (e) {{ return e.name }}") == f"'{name}'"


def test_entries_are_bounded_and_the_error_says_what_to_do(value):
    code = """
      try { for (;;) performance.mark('a', { startTime: 0 }) } catch (error) {
        const { length } = performance.getEntries();
        performance.clearMarks();
        performance.mark('again');
        return `${length} ${error}`;
      }
    """
    assert value(code) == (
        "'100000 RangeError: performance: limit of 100000 entries reached; use clearMarks() or clearMeasures()'"
    )


def test_marks_survive_a_snapshot(Session):  # noqa: N803
    first = Session()
    first.run("performance.mark('before', { startTime: 1, detail: [1] }); 0")
    second = Session(first.snapshot())
    assert second.value(
        "performance.measure('m', 'before', 'before').duration + performance.getEntries()[0].name"
    ) == ("'0before'")


def test_a_measure_takes_no_longer_however_many_entries_there_are(evaluate):
    assert (
        evaluate("""
        performance.mark('first')
        for (let i = 0; i < 20_000; i++) { performance.mark('m' + i); performance.measure('n', 'first') }
        performance.getEntriesByName('n').length
    """)
        == "20000"
    )
