"""A live run, a replay, and a run with a snapshot and restore after every event agree."""

from __future__ import annotations

import datetime as dt
import json
import re

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
INTERFACES = """
[[globalThis, ''], [console, 'console.'], ...[
  'URL', 'URLSearchParams', 'TextEncoder', 'TextDecoder', 'AbortController', 'Event', 'EventTarget', 'Blob',
  'Crypto', 'SubtleCrypto', 'Performance',
].map((name) => [globalThis[name].prototype, `${name}.`])]
  .flatMap(([object, owner]) => Object.getOwnPropertyNames(object).map((name) => owner + name))
  .filter((path) => !path.endsWith('.constructor'))
"""
# What the corpus says nothing of: the phases of an event, of which there is only one, and old names of what it uses.
UNUSED = {
    *("Event.NONE", "Event.CAPTURING_PHASE", "Event.AT_TARGET", "Event.BUBBLING_PHASE", "Event.eventPhase"),
    *("Event.srcElement", "Event.returnValue", "Event.cancelBubble", "Event.initEvent"),
}


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
    assert len(SCRIPTS) >= 63


def test_every_interface_of_a_session_is_used_by_some_script(Session):  # noqa: N803
    """A new global or method comes with a script that shows that a replay of it agrees."""
    words = set(re.findall(r"[\w$]+", " ".join(code for codes in SCRIPTS.values() for code in codes)))
    paths = json.loads(Session().run(INTERFACES).outcome.result_json)
    assert {path for path in paths if path.split(".")[-1] not in words} == UNUSED


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
