"""Whether code is all there, as V8 sees it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from engines import CALLER, OWNER, Engine

from engine import looking, supervisor
from engine.execution import Submission
from engine.limits import LimitPolicy
from engine.parsing import Parsed
from engine.places import Places
from engine.scheduler import Scheduler

INCOMPLETE = [
    "let a = {",
    "foo(",
    "foo(1",
    "foo(bar(1",
    "`a ${f(1",
    "[1, 2",
    "a +",
    "a.",
    "if (a)",
    "if (a) {",
    "for (;;",
    "do",
    "() =>",
    "async () => { await",
    "function f() {\n  return `",
    "class A {",
    "x = `${",
    "`a ${b",
    "`a ${b} c",
    "`abc\n def",
    "/* abc\n  ",
    "f() /* and",
    "f(/* and",
    "{a: 1, b: {",
    "{a: 1, b: 2",
    "{a: 1,",
]
COMPLETE = [
    "",
    "// nothing",
    "1 + 1",
    "await x",
    "let a = 1; var b; var b = 2",
    "{a: 1, b: 2}",
    "{a: 1,\n b: 2}",
    "(1)\n[0]",
    "`a\nb`",
    "/* a */ 1",
    "while (true) {}",
]
WRONG = {
    "}": (1, 1),
    "'abc": (1, 1),
    "/[a": (1, 1),
    "foo(\n1 2": (2, 1),
    "return 1": (1, 1),
    "/* a */ )": (1, 9),
    "`a ${b c}`": (1, 6),
}


async def parsed(engine: Engine, code: str) -> Parsed:
    return await engine.supervisor.parse(Submission(code=code, owner=OWNER, caller=CALLER))


async def test_code_that_ends_in_the_middle_of_something_is_not_complete(engine: Engine) -> None:
    for code in INCOMPLETE:
        assert await parsed(engine, code) == Parsed(is_complete=False), code


async def test_code_that_parses_is_complete_and_none_of_it_is_run(engine: Engine) -> None:
    for code in COMPLETE:
        assert await parsed(engine, code) == Parsed(is_complete=True), code


async def test_code_that_nothing_can_complete_is_told_with_its_place(engine: Engine) -> None:
    for code, place in WRONG.items():
        found = await parsed(engine, code)
        assert found.is_complete, code
        assert found.error is not None, code
        assert found.error.name == "SyntaxError", code
        assert (found.error.line, found.error.column) == place, code


async def test_parsing_leaves_no_worker_and_no_event(engine: Engine) -> None:
    await engine.run("let n = 1", session="a")
    pids = len(engine.worker_pids())
    for _ in range(5):
        await parsed(engine, "n = 2; console.log(n)")
    assert engine.supervisor.places.taken == 1
    with trio.fail_after(20):  # those that were killed may not be gone yet
        while len(engine.worker_pids()) > pids + 1:  # noqa: ASYNC110 (nobody tells)
            await trio.sleep(0.01)
    assert (await engine.supervisor.session(OWNER, "a")).events == 2


@pytest.mark.parametrize("depth", [100_000])
async def test_code_that_is_too_deep_for_the_parser_counts_as_complete(engine: Engine, depth: int) -> None:
    assert (await parsed(engine, "(" * depth)).is_complete


async def test_parsing_takes_no_more_workers_than_it_has_places_and_of_an_owner_one(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    most, under_way = {"in all": 0, "of one": 0}, list[str]()
    parse = supervisor.parse

    async def counted(places: Places, scheduler: Scheduler, policy: LimitPolicy, *asked: Any) -> Parsed:
        owner = asked[-1].owner
        under_way.append(owner)
        most["in all"] = max(most["in all"], len(under_way))
        most["of one"] = max(most["of one"], under_way.count(owner))
        parsed = await parse(places, scheduler, policy, *asked)
        under_way.remove(owner)
        return parsed

    monkeypatch.setattr(supervisor, "parse", counted)
    async with trio.open_nursery() as nursery:
        for number in range(18):
            asked = Submission(code="1", owner=f"owner {number % 6}", caller=CALLER)
            nursery.start_soon(engine.supervisor.parse, asked)
    assert most == {"in all": looking.MAX_PARSES, "of one": 1}
    assert engine.supervisor._parses.taken == 0
