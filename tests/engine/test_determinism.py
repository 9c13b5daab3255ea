"""A live run, a replay, and a run with a snapshot and restore after every event agree."""

from __future__ import annotations

import datetime as dt

import pytest
from corpus import SCRIPTS

from engine.isolate.wire import Done

SEED = bytes(range(16))
START = int(dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC).timestamp()) * 10_000
OVERFLOW = """
let depth = 0
function down() { depth++; down() }
for (let i = 0; i < 300; i++) { let left = 50; (function warm() { if (left--) warm() })() }
try { down() } catch {}
'done'
"""


def live(session, codes: list[str]) -> list[tuple[Done, tuple]]:
    out = []
    for number, code in enumerate(codes):
        done = session.run(code, start_ticks=START + number * 10_000, seed=SEED)
        assert not done.overflow, code
        out.append((done, session.lines))
    return out


def seen(runs: list[tuple[Done, tuple]]) -> list:
    return [(done.digest, done.outcome, lines) for done, lines in runs]


def test_no_script_is_lost():
    assert len(SCRIPTS) >= 54


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_replay_agrees_with_the_live_run(Session, name):  # noqa: N803
    first = live(Session(), SCRIPTS[name])
    assert first[-1][0].outcome.status == "completed"
    again = Session()
    replayed = [
        (again.run(code, trace=done.trace), again.lines)
        for code, (done, _) in zip(SCRIPTS[name], first, strict=True)
    ]
    assert seen(replayed) == seen(first)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_run_with_a_snapshot_and_a_restore_after_every_event_agrees(Session, name):  # noqa: N803
    first = live(Session(), SCRIPTS[name])
    blob, runs = None, []
    for number, (code, (done, _)) in enumerate(zip(SCRIPTS[name], first, strict=True)):
        session = Session(blob)
        session.seq = number
        runs.append((session.run(code, trace=done.trace), session.lines))
        blob = session.snapshot()
    assert seen(runs) == seen(first)


def test_an_overflow_is_noticed_though_the_code_catches_it_and_a_replay_goes_deeper(Session):  # noqa: N803
    """Why an overflow must abort: the outcomes agree, the state does not."""
    session, again = Session(), Session()
    first = session.run(OVERFLOW, start_ticks=START, seed=SEED)
    replayed = again.run(OVERFLOW, trace=first.trace)
    assert first.overflow
    assert replayed.overflow
    assert first.outcome == replayed.outcome
    assert session.value("depth") != again.value("depth")


async def test_after_a_caught_overflow_live_and_replayed_state_are_the_same(open_engine, tmp_path):
    """The watermark script: the call is undone, live and after a restart alike."""
    async with open_engine(tmp_path) as engine:
        await engine.run("let depth = 0; function down() { depth++; down() }", session="a")
        undone = await engine.run("try { down() } catch {} 'done'", session="a")
        assert (undone.status, undone.error.undone) == ("failed", True)
        assert await engine.value("depth", session="a") == "0"
    async with open_engine(tmp_path) as engine:
        assert await engine.value("depth", session="a") == "0"
