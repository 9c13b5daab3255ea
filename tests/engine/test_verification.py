"""A replay that says whether a session's log gives what it says, and of which nothing is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from broken_sessions import make_store
from engines import OWNER, Engine, OpenEngine, append_altered

from engine import looking
from engine.errors import NotFound, TooLarge
from transports.identity import LOCAL


async def test_a_log_that_gives_what_it_says_agrees_and_stays_as_it_is(engine: Engine) -> None:
    for code in ("let n = 1", "n += Math.random(); Date.now()", "null.x", "n"):
        await engine.run(code, session="a")
    before = await engine.supervisor.session(OWNER, "a")
    told = await engine.supervisor.replay(OWNER, "a", at=None)
    assert (told.session, told.event, told.executions, told.different) == ("a", 4, 4, 0)
    assert told.agrees
    assert told.found == {}
    part = await engine.supervisor.replay(OWNER, "a", at=2)
    assert (part.event, part.executions) == (2, 2)
    assert await engine.supervisor.session(OWNER, "a") == before


async def test_a_fork_is_replayed_from_the_first_event_of_its_parent(engine: Engine) -> None:
    await engine.run("let n = 1", session="a")
    fork = await engine.run("n + 1", session="a", at=0)
    assert fork.session is not None
    await engine.run("let n = 2", session=fork.session)
    told = await engine.supervisor.replay(OWNER, fork.session, at=None)
    assert (told.executions, told.agrees) == (2, True)


async def test_every_event_that_differs_is_named_and_the_replay_goes_on(engine: Engine) -> None:
    await engine.run("let n = 7", session="a")
    await append_altered(engine, "a", "n * 10", result_json="71", result="71")
    await append_altered(engine, "a", "n * 100", result_json="700", result="seven hundred")
    told = await engine.supervisor.replay(OWNER, "a", at=None)
    assert (told.executions, told.different, told.agrees, told.failed) == (3, 2, False, None)
    assert {event: tuple(one) for event, one in told.found.items()} == {
        2: ("result_json", "71", "70"),
        3: ("result", "seven hundred", "700"),
    }
    assert (await engine.supervisor.session(OWNER, "a")).status == "ok"  # nobody asked to go on in it


@pytest.fixture
def broken_store(tmp_path: Path) -> Path:
    """A store with sessions that do not replay as they were recorded."""
    make_store(tmp_path)
    return tmp_path


async def test_an_event_that_ends_every_worker_ends_the_replay_and_drift_is_no_fault(
    open_engine: OpenEngine, broken_store: Path
) -> None:
    async with open_engine(broken_store) as engine:
        failed = await engine.supervisor.replay(LOCAL.owner, "failed", at=None)
        assert (failed.executions, failed.failed, failed.agrees) == (1, 2, False)
        drifted = await engine.supervisor.replay(LOCAL.owner, "drifted", at=None)
        assert (drifted.executions, drifted.agrees) == (1, True)
        assert drifted.drift is not None


async def test_a_replay_gives_its_place_back_also_where_it_takes_too_long(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.run("for (const end = Date.now() + 200; Date.now() < end;);", session="a")
    taken = engine.supervisor.places.taken
    await engine.supervisor.replay(OWNER, "a", at=None)
    assert engine.supervisor.places.taken == taken
    monkeypatch.setattr(looking, "PATIENCE_SECONDS", 0.01)
    with pytest.raises(
        TooLarge, match=r"replaying a@1 takes more than 0\.01 s: it came to event 0; replay less"
    ):
        await engine.supervisor.replay(OWNER, "a", at=None)
    assert engine.supervisor.places.taken == taken


async def test_what_is_not_the_owners_is_not_replayed(engine: Engine) -> None:
    await engine.run("1", session="a")
    for owner, name, at in (("another", "a", None), (OWNER, "b", None), (OWNER, "a", 2)):
        with pytest.raises(NotFound):
            await engine.supervisor.replay(owner, name, at=at)
