"""Code that is run at a point of a session, of which nothing is recorded."""

from __future__ import annotations

import pytest
import trio
from engines import OWNER, Engine, OpenEngine, submission

from engine.errors import NotFound, TooLarge
from engine.execution import Report


async def evaluated(engine: Engine, code: str, at: int | None = None, **options: object) -> Report:
    """What code comes to in session "a"."""
    return await engine.supervisor.past.evaluate("a", submission(code, session="a", at=at, **options))


async def test_code_runs_in_any_state_and_nothing_is_recorded(engine: Engine) -> None:
    for code in ("let n = 1", "n++", "n++"):
        await engine.run(code, session="a")
    before = await engine.supervisor.session(OWNER, "a")
    taken = engine.supervisor.places.taken
    assert [(await evaluated(engine, "n", at)).result for at in (None, 1, 2, 3)] == ["3", "1", "2", "3"]
    assert (await evaluated(engine, "n = 70; var more = 1; n")).result == "70"
    assert await engine.supervisor.session(OWNER, "a") == before
    assert engine.supervisor.places.taken == taken
    assert await engine.value("[n, typeof more]", session="a") == "[ 3, 'undefined' ]"


async def test_it_says_from_which_state_it_came(engine: Engine) -> None:
    await engine.run("let n = 1", session="a")
    await engine.run("for (;;);", session="a", time_ms=50)
    report = await evaluated(engine, "n", at=2)
    assert report.event == 2  # what would be the number of its event, and names its script
    assert report.heap == (await engine.supervisor.session(OWNER, "a")).heap


async def test_clock_and_randomness_are_those_of_now(engine: Engine) -> None:
    await engine.run("const r = Math.random(), t = Date.now()", session="a")
    for _ in range(2):
        told = await evaluated(engine, "[r === Math.random(), Date.now() >= t]")
        assert told.result == "[ false, true ]"
    assert (await engine.supervisor.past.replay(OWNER, "a", at=None)).agrees


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("for (;;);", "timed_out", "TimedOut"),
        ("const all = []; for (;;) all.push(new Array(1e6).fill(1.5))", "out_of_memory", "OutOfMemory"),
        ("new ArrayBuffer(2e9)", "out_of_memory", "OutOfMemory"),
        ("(function deeper() { deeper() })()", "failed", "StackOverflow"),
        ("n.(", "failed", "SyntaxError"),
        ("missing.x", "failed", "ReferenceError"),
    ],
)
async def test_what_goes_wrong_is_told_and_leaves_the_session_as_it_is(
    engine: Engine, code: str, status: str, error: str
) -> None:
    await engine.run("let n = 41", session="a")
    pids = set(engine.worker_pids())
    told = await evaluated(engine, code, time_ms=500 if status == "timed_out" else 30_000)
    assert told.error is not None
    assert (told.status, told.error.name) == (status, error)
    assert await engine.value("n + 1", session="a") == "42"
    (actor,) = engine.supervisor._actors
    assert actor.awake
    assert set(engine.worker_pids()) & pids  # the session's was not ended
    assert (await engine.supervisor.session(OWNER, "a")).head_seq == 2


async def test_a_point_that_there_is_not_and_wrong_code_are_refused(engine: Engine) -> None:
    await engine.run("1", session="a")
    with pytest.raises(NotFound):
        await evaluated(engine, "1", at=2)
    with pytest.raises(NotFound):
        await engine.supervisor.past.evaluate("a", submission("1", session="a", owner="another"))
    with pytest.raises(TooLarge):
        await evaluated(engine, "x" * (2 << 20))


async def test_whoever_leaves_meanwhile_leaves_nothing_behind(engine: Engine) -> None:
    await engine.run("let n = 1", session="a")
    taken = engine.supervisor.places.taken
    with trio.move_on_after(0.2) as scope:
        await evaluated(engine, "for (;;);")
    assert scope.cancelled_caught
    assert engine.supervisor.places.taken == taken
    assert engine.supervisor.past._looks.taken == 0
    assert engine.supervisor.scheduler._works == {}
    assert (await evaluated(engine, "n")).result == "1"


async def test_a_session_that_runs_code_is_looked_into_meanwhile(open_engine: OpenEngine, tmp_path) -> None:
    async with open_engine(tmp_path) as engine:
        await engine.run("let n = 1", session="a")
        running = await engine.supervisor.executions.submit(submission("n = 2; for (;;);", session="a"))
        assert (await evaluated(engine, "n")).result == "1"
        running.cancel()
        await running.wait(20)
