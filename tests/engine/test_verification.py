"""A replay that says whether a session's log gives what it says, and of which nothing is kept."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
from broken_sessions import make_store
from checkpointing import Checkpoints, count_replays
from engines import CALLER, OWNER, Engine, OpenEngine, append_altered
from msgspec.structs import replace

from engine import chain, checkpoints, looking
from engine.errors import Conflict, InvalidField, NotFound, TooLarge
from engine.events import Line
from engine.verification import Step
from transports.identity import LOCAL


async def test_a_log_that_gives_what_it_says_agrees_and_stays_as_it_is(engine: Engine) -> None:
    for code in ("let n = 1", "n += Math.random(); Date.now()", "null.x", "n"):
        await engine.run(code, session="a")
    before = await engine.supervisor.session(OWNER, "a")
    told = await engine.supervisor.past.replay(OWNER, "a", at=None)
    assert (told.session, told.event, told.executions, told.different) == ("a", 4, 4, 0)
    assert told.agrees
    assert told.found == {}
    part = await engine.supervisor.past.replay(OWNER, "a", at=2)
    assert (part.event, part.executions) == (2, 2)
    assert await engine.supervisor.session(OWNER, "a") == before


async def test_a_fork_is_replayed_from_the_first_event_of_its_parent(engine: Engine) -> None:
    await engine.run("let n = 1", session="a")
    fork = await engine.run("n + 1", session="a", at=0)
    assert fork.session is not None
    await engine.run("let n = 2", session=fork.session)
    told = await engine.supervisor.past.replay(OWNER, fork.session, at=None)
    assert (told.executions, told.agrees) == (2, True)


async def test_every_event_that_differs_is_named_and_the_replay_goes_on(engine: Engine) -> None:
    await engine.run("let n = 7", session="a")
    await append_altered(engine, "a", "n * 10", result_json="71", result="71")
    await append_altered(engine, "a", "n * 100", result_json="700", result="seven hundred")
    told = await engine.supervisor.past.replay(OWNER, "a", at=None)
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
        failed = await engine.supervisor.past.replay(LOCAL.owner, "failed", at=None)
        assert (failed.executions, failed.failed, failed.agrees) == (1, 2, False)
        drifted = await engine.supervisor.past.replay(LOCAL.owner, "drifted", at=None)
        assert (drifted.executions, drifted.agrees) == (1, True)
        assert drifted.drift is not None


async def test_a_replay_gives_its_place_back_also_where_it_takes_too_long(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await engine.run("for (const end = Date.now() + 200; Date.now() < end;);", session="a")
    taken = engine.supervisor.places.taken
    await engine.supervisor.past.replay(OWNER, "a", at=None)
    assert engine.supervisor.places.taken == taken
    monkeypatch.setattr(looking, "PATIENCE_SECONDS", 0.01)
    with pytest.raises(
        TooLarge, match=r"replaying a@1 takes more than 0\.01 s: it came to event 0; replay less"
    ):
        await engine.supervisor.past.replay(OWNER, "a", at=None)
    assert engine.supervisor.places.taken == taken


async def test_what_is_not_the_owners_is_not_replayed(engine: Engine) -> None:
    await engine.run("1", session="a")
    for owner, name, at in (("another", "a", None), (OWNER, "b", None), (OWNER, "a", 2)):
        with pytest.raises(NotFound):
            await engine.supervisor.past.replay(owner, name, at=at)


class Told:
    """Remembers the steps of a walk; ``then`` is done after each."""

    def __init__(self, then: Callable[[int], Awaitable[None]] | None = None) -> None:
        self.steps: list[Step] = []
        self._then = then

    async def __call__(self, step: Step) -> None:
        self.steps.append(step)
        if self._then is not None:
            await self._then(step.event)

    @property
    def events(self) -> list[int]:
        return [step.event for step in self.steps]


async def with_checkpoints(open_engine: OpenEngine, store: Path, *codes: str) -> None:
    """Make a session "a" with a checkpoint after every event."""
    seen = Checkpoints()
    async with open_engine(store, restore_target_seconds=0.0, observers=[seen]) as engine:
        for seq, code in enumerate(codes, 1):
            await engine.run(code, session="a")
            await seen.of(seq)


async def test_each_event_is_told_of_once_and_in_order(engine: Engine) -> None:
    for code in ("let n = 1", "n++", "for (;;);", "n++"):
        await engine.run(code, session="a", time_ms=100)
    await engine.supervisor.requests.tag(OWNER, "a", at=None, tags={"k": "v"}, caller=CALLER)
    told = Told()
    ended = await engine.supervisor.past.walk(OWNER, "a", told)
    assert told.events == [1, 2, 4]  # nothing was run as 3, which was undone, and as 5, the label
    assert (ended.executions, ended.event, ended.agrees) == (3, 4, True)
    assert all(step.difference is step.drift is step.changes is None for step in told.steps)


@pytest.mark.parametrize(
    ("first", "last", "events"),
    [(0, None, [1, 2, 4]), (2, 2, [2]), (3, 4, [4]), (3, 3, []), (4, None, [4]), (5, None, []), (0, 0, [])],
)
async def test_a_part_is_told_of_whatever_events_are_at_its_borders(
    engine: Engine, first: int, last: int | None, events: list[int]
) -> None:
    for code in ("let n = 1", "n++", "for (;;);", "n++"):
        await engine.run(code, session="a", time_ms=100)
    await engine.supervisor.requests.tag(OWNER, "a", at=None, tags={"k": "v"}, caller=CALLER)
    told = Told()
    ended = await engine.supervisor.past.walk(OWNER, "a", told, first=first, last=last)
    assert (told.events, ended.executions, ended.agrees) == (events, len(events), True)


async def test_a_part_without_events_is_refused(engine: Engine) -> None:
    await engine.run("1", session="a")
    told = Told()
    with pytest.raises(InvalidField, match="no event is from 2 to 1"):
        await engine.supervisor.past.walk(OWNER, "a", told, first=2)
    with pytest.raises(NotFound):
        await engine.supervisor.past.walk(OWNER, "a", told, last=2)
    assert told.steps == []


async def test_a_part_begins_from_the_newest_checkpoint_before_it(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_checkpoints(open_engine, tmp_path, "let n = 1", "n++", "n++", "n++")
    replayed = count_replays(monkeypatch)
    async with open_engine(tmp_path) as engine:
        told = Told()
        await engine.supervisor.past.walk(OWNER, "a", told, first=3)
        assert told.events == [3, 4]
        assert 1 not in replayed
        replayed.clear()
        await engine.supervisor.past.walk(OWNER, "a", told)
        assert replayed == [1, 2, 3, 4]  # the whole is of the log alone


async def test_what_differs_before_the_part_is_not_of_it(engine: Engine) -> None:
    await engine.run("let n = 7", session="a")
    await append_altered(engine, "a", "n * 10", result_json="71", result="71")
    await engine.run("n", session="b")
    await append_altered(engine, "a", "n + 1")
    told = Told()
    ended = await engine.supervisor.past.walk(OWNER, "a", told, first=3)
    assert (told.events, ended.different) == ([3], 1)  # its digest, which was altered, too
    assert list(ended.found) == [3]


@pytest.mark.parametrize("victim", [1, 2, 3])
async def test_a_worker_that_is_killed_in_the_middle_costs_nobody_an_event(
    engine: Engine, victim: int
) -> None:
    for code in ("let n = 1", "n++", "let m = n", "n++"):
        await engine.run(code, session="a")
    for actor in list(engine.supervisor._actors):  # so that every worker but the spares replays
        actor.retire()
        await actor.ended.wait()
    killed = 0

    async def kill(event: int) -> None:
        nonlocal killed
        if event == victim and not killed:
            killed += 1
            for pid in engine.worker_pids():
                os.kill(pid, signal.SIGKILL)

    told = Told(kill)
    ended = await engine.supervisor.past.walk(OWNER, "a", told, changes=True)
    assert (told.events, ended.executions, ended.agrees, killed) == ([1, 2, 3, 4], 4, True, 1)
    changes = [step.changes for step in told.steps]
    assert [len(one.added) for one in changes if one] == [1, 0, 1, 0]
    assert [len(one.changed) for one in changes if one] == [0, 1, 0, 1]


async def test_each_step_says_what_it_did_to_the_variables_also_from_the_middle(engine: Engine) -> None:
    for code in (
        "let n = 1",
        "n++; var s = 'x'",
        "delete globalThis.s; globalThis.t = 1",
        "delete globalThis.t",
    ):
        await engine.run(code, session="a")
    for first in (0, 2, 4):
        told = Told()
        await engine.supervisor.past.walk(OWNER, "a", told, first=first, changes=True)
        found = {step.event: step.changes for step in told.steps if step.changes is not None}
        last = found[4]
        assert ([one.name for one in last.removed], last.added, last.changed) == (["t"], (), ())
        if first <= 2:
            assert [one.name for one in found[2].added] == ["s"]
            assert [(pair.before.preview, pair.after.preview) for pair in found[2].changed] == [("1", "2")]


async def test_a_fork_is_walked_from_the_middle_of_its_parent(engine: Engine) -> None:
    for code in ("let n = 1", "n++", "n++"):
        await engine.run(code, session="a")
    fork = await engine.run("n * 2", session="a", at=2)
    assert fork.session is not None
    told = Told()
    await engine.supervisor.past.walk(OWNER, fork.session, told, first=2)
    assert told.events == [2, 4]  # 3 is the fork itself


async def test_what_was_accepted_agrees_and_what_the_log_said_before_does_not(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    async with open_engine(tmp_path) as engine:
        await engine.run("let n = 7", session="a")
        await append_altered(engine, "a", "n *= 10", result_json="71", result="71")
    async with open_engine(tmp_path) as engine:
        assert (await engine.supervisor.requests.state(OWNER, "a", at=1)).event == 1
        with pytest.raises(Conflict):
            await engine.supervisor.requests.state(OWNER, "a", at=None)
        await engine.supervisor.requests.accept(OWNER, "a", CALLER)
        await engine.run("n + 1", session="a")
        told = Told()
        ended = await engine.supervisor.past.walk(OWNER, "a", told)
        assert (told.events, ended.agrees) == ([1, 2, 4], True)
        before = await engine.supervisor.past.walk(OWNER, "a", told, last=2)
        assert list(before.found) == [2]
        part = await engine.supervisor.past.walk(OWNER, "a", Told(), first=4)
        assert (part.executions, part.agrees) == (1, True)


async def test_what_another_engine_recorded_is_held_to_the_letter_only_if_that_is_asked_for(
    open_engine: OpenEngine, broken_store: Path
) -> None:
    async with open_engine(broken_store) as engine:
        told = Told()
        lenient = await engine.supervisor.past.walk(LOCAL.owner, "drifted", told)
        assert (lenient.agrees, lenient.different) == (True, 0)
        assert lenient.drift is not None
        assert (lenient.drift.count, lenient.drift.seq, lenient.drift.field) == (1, 1, "result")
        (step,) = told.steps
        assert (step.difference, step.is_other) == (None, True)
        assert step.drift is not None
        assert tuple(step.drift) == ("result", "seven", "7")
        strict = await engine.supervisor.past.walk(LOCAL.owner, "drifted", told, strict=True)
        assert (strict.agrees, strict.drift) == (False, None)
        assert tuple(strict.found[1]) == ("result", "seven", "7")


async def test_drift_before_the_part_is_not_counted(engine: Engine) -> None:
    await engine.run("let n = 7", session="a")
    for _ in range(2):
        await append_altered(engine, "a", "n", engine_id="0" * 32, result="seven")
    whole = await engine.supervisor.past.walk(OWNER, "a", Told())
    part = await engine.supervisor.past.walk(OWNER, "a", Told(), first=3)
    assert whole.drift is not None
    assert part.drift is not None
    assert (whole.drift.count, part.drift.count, part.drift.seq) == (2, 1, 3)


async def test_lines_of_a_console_and_errors_that_differ_are_texts_that_can_be_read(engine: Engine) -> None:
    await engine.run("let n = 7", session="a")
    lines = tuple(Line("warn" if i == 50 else "log", f"line {i}") for i in range(60))
    code = "for (let i = 0; i < 60; i++) console.log('line ' + i)"
    await append_altered(engine, "a", code)
    assert engine.log is not None
    record = await engine.log.execution("e_a_1")
    assert record is not None
    altered = replace(record.event, seq=record.event.seq + 1, console=lines, execution_id="e_console")
    await engine.log.append([chain.seal(record.id, altered)])
    found = (await engine.supervisor.past.walk(OWNER, "a", Told())).found
    assert found[3].field == "console"
    assert found[3].expected.splitlines()[0] == "warn: line 50"
    assert found[3].got.splitlines()[:2] == ["log: line 50", "log: line 51"]


async def test_whoever_leaves_in_the_middle_leaves_nothing_behind(engine: Engine) -> None:
    for _ in range(4):
        # a replay has the recorded clock: it takes as long only where it computes
        await engine.run("for (let i = 0, x = 0; i < 4e7; i++) x = (x * 31 + i) | 0", session="a")
    taken = engine.supervisor.places.taken
    with trio.CancelScope() as scope:

        async def leave(event: int) -> None:
            if event == 2:
                scope.cancel()
                await trio.lowlevel.checkpoint()

        await engine.supervisor.past.walk(OWNER, "a", Told(leave))
    assert scope.cancelled_caught
    with trio.CancelScope() as scope:  # while it runs an event

        async def leave_soon(event: int) -> None:
            if event == 2:
                scope.deadline = trio.current_time() + 0.02

        await engine.supervisor.past.walk(OWNER, "a", Told(leave_soon))
    assert scope.cancelled_caught
    assert engine.supervisor.places.taken == taken
    assert engine.supervisor.past._walks.taken == 0
    assert engine.supervisor.scheduler._works == {}
    assert (await engine.supervisor.past.walk(OWNER, "a", Told())).agrees


async def test_a_long_walk_keeps_no_look_from_its_place(engine: Engine) -> None:
    await engine.run("let n = 1", session="a")
    await engine.run("n = 2", session="a")

    async def look(_event: int) -> None:
        assert (await engine.supervisor.requests.state(OWNER, "a", at=1)).globals[0].preview == "1"

    with trio.fail_after(20):
        assert (await engine.supervisor.past.walk(OWNER, "a", Told(look))).executions == 2


async def test_what_differs_by_a_checkpoints_doing_is_no_difference(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_checkpoints(open_engine, tmp_path, "var n = 1", "n++", "n++", "n++")
    async with open_engine(tmp_path, restore_target_seconds=1e6) as engine:
        row = await engine.log.session_named(OWNER, "a")
        assert row is not None
        known = await engine.log.checkpoints(row.session)
        base = next(one for one in known if one.seq < 3)
        other = next(one for one in known if one.seq != base.seq)
        # a snapshot of the wrong state, in an envelope that says it is the right one
        wrong = checkpoints.unseal(await engine.blobs.get(other.blob), other.state, other.engine)
        blob = await engine.blobs.put(checkpoints.seal(base.state, base.engine, wrong))
        await engine.log.forget_checkpoints([one for one in known if one.seq != base.seq])
        await engine.log.add_checkpoint(replace(base, blob=blob))
        replayed = count_replays(monkeypatch)
        told = Told()
        ended = await engine.supervisor.past.walk(OWNER, "a", told, first=3)
        assert (told.events, ended.different, ended.agrees) == ([3, 4], 0, True)
        assert 1 in replayed  # the checkpoint was not believed
