"""Deleting, forking, tagging and looking at sessions, in their turn among the executions."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import trio
import trio.testing
from engines import CALLER, OWNER, Engine, copy_store, first_line, stores_of, submission

from engine import labels, looking
from engine.errors import (
    AppendConflict,
    Busy,
    Conflict,
    EngineError,
    InvalidField,
    NotFound,
    StoreFailed,
    TooLarge,
    Unavailable,
)
from engine.events import Closed, Executed, Forked, Tagged
from engine.history import history
from engine.isolate import wire
from engine.limits import LimitPolicy
from engine.live import LiveSession

LOOP = "console.log(1); for (;;);"


async def delete(engine: Engine, name: str):
    return await engine.supervisor.requests.delete(OWNER, name, CALLER)


async def fork(engine: Engine, name: str, at: int | None = None, into: str | None = None):
    return await engine.supervisor.requests.fork(OWNER, name, at=at, into=into, caller=CALLER)


async def tag(engine: Engine, name: str, at: int | None = None, **tags: str | None):
    return await engine.supervisor.requests.tag(OWNER, name, at=at, tags=tags, caller=CALLER)


async def variables(engine: Engine, name: str, at: int | None = None) -> dict[str, str]:
    view = await engine.supervisor.requests.state(OWNER, name, at=at)
    return {variable.name: variable.preview for variable in view.globals}


async def looping(engine: Engine, name: str):
    """An execution that has begun and does not end."""
    loop = await engine.supervisor.executions.submit(submission(LOOP, session=name))
    assert await first_line(loop) == "1"
    return loop


@asynccontextmanager
async def asked(engine: Engine, *commands):
    """Commands that have been put, in order, into the mailbox of session "a", which is busy; what came
    of them by their position."""
    answers: dict[int, Any] = {}

    async def ask(number, command):
        try:
            answers[number] = await command
        except EngineError as failure:
            answers[number] = failure

    async with trio.open_nursery() as nursery:
        for number, command in enumerate(commands):
            waiting = (await engine.supervisor.session(OWNER, "a")).running
            nursery.start_soon(ask, number, command)
            while (await engine.supervisor.session(OWNER, "a")).running == waiting:
                assert number not in answers, answers
        yield answers


def refusing(failure: Exception):
    """An append that fails."""

    async def append(_records):
        raise failure

    return append


# --- delete ------------------------------------------------------------------------------------------


async def test_a_deleted_session_is_gone_and_its_name_is_free(engine: Engine):
    before = await engine.run("globalThis.n = 1", session="a")
    gone = await delete(engine, "a")
    assert (gone.name, gone.head_seq, gone.heap, gone.awake) == ("a", 2, before.heap, False)
    supervisor = engine.supervisor
    assert (await supervisor.sessions(OWNER)).items == ()
    assert (await supervisor.executions.page(OWNER)).items == ()
    for ask in (supervisor.session, supervisor.events):
        with pytest.raises(NotFound):
            await ask(OWNER, "a")
    with pytest.raises(NotFound):
        await delete(engine, "a")
    with pytest.raises(NotFound):
        await engine.run("1", heap=before.heap)
    again = await engine.run("typeof n", session="a")
    assert (again.created, again.event, again.result) == (True, 1, "'undefined'")


async def test_a_deletion_is_an_event_that_says_who_asked(engine: Engine):
    await engine.run("1", session="a")
    row = await engine.log.session_named(OWNER, "a")
    await delete(engine, "a")
    records = [record async for record in engine.log.read(row.session)]
    assert isinstance(records[-1].event, Closed)
    assert records[-1].event.caller == CALLER


async def test_a_deletion_ends_the_worker(engine: Engine):
    await engine.run("1", session="a")
    assert engine.supervisor.status()["awake"] == 1
    await delete(engine, "a")
    assert engine.supervisor.status()["awake"] == 0


async def test_forks_outlive_the_session_that_they_share_history_with(engine: Engine):
    await engine.run("globalThis.n = 1", session="a")
    info = await fork(engine, "a", into="b")
    await delete(engine, "a")
    assert await engine.value("n", session="b") == "1"
    assert (await engine.supervisor.session(OWNER, "b")).forked_from == info.forked_from == "a@1"
    assert len((await engine.supervisor.events(OWNER, "b")).items) == 4


async def test_a_deletion_waits_for_what_is_queued_before_it(engine: Engine):
    await engine.run("globalThis.n = 1", session="a")
    loop = await looping(engine, "a")
    before = await engine.supervisor.executions.submit(submission("n", session="a"))
    async with asked(engine, delete(engine, "a")) as answers:
        after = await engine.supervisor.executions.submit(submission("typeof n", session="a"))
        branch = await engine.supervisor.executions.submit(submission("typeof n", session="a", at=0))
        loop.cancel()
        assert (await before.wait(30)).result == "1"
        report = await after.wait(30)
        assert (report.created, report.result) == (True, "'undefined'")
        assert (await branch.wait(30)).result == "'undefined'"
    assert answers[0].head_seq == 4


async def test_a_session_that_the_server_named_does_not_come_back(engine: Engine):
    name = (await engine.run("1")).session
    loop = await looping(engine, name)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(delete, engine, name)
        while (await engine.supervisor.session(OWNER, name)).running < 2:
            pass
        after = await engine.supervisor.executions.submit(submission("1", session=name))
        loop.cancel()
        with pytest.raises(NotFound):
            await after.wait(30)


async def test_a_deletion_is_done_even_if_nobody_waits_for_it(engine: Engine):
    await engine.run("1", session="a")
    loop = await looping(engine, "a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(delete, engine, "a")
        while (await engine.supervisor.session(OWNER, "a")).running < 2:
            pass
        nursery.cancel_scope.cancel()
    loop.cancel()
    while (await engine.supervisor.sessions(OWNER)).items:
        pass


async def test_a_deletion_survives_a_restart(open_engine, tmp_path):
    async with open_engine(tmp_path) as engine:
        await engine.run("1", session="a")
        await delete(engine, "a")
    async with open_engine(tmp_path) as engine:
        assert (await engine.supervisor.sessions(OWNER)).items == ()


# --- fork --------------------------------------------------------------------------------------------


async def test_a_fork_begins_at_once_in_the_state_of_its_parent(engine: Engine):
    parent = await engine.run("globalThis.n = 1", session="a")
    info = await fork(engine, "a", into="b")
    assert (info.name, info.head_seq, info.state_seq, info.forked_from) == ("b", 2, 2, "a@1")
    assert info.heap != parent.heap
    record = await engine.supervisor.event(OWNER, "b", 2)
    assert isinstance(record.event, Forked)
    assert record.event.caller == CALLER
    report = await engine.run("n += 1", session="b")
    assert (report.result, report.event, report.created) == ("2", 3, False)
    assert await engine.value("n", session="a") == "1"


async def test_a_fork_without_a_name_gets_one(engine: Engine):
    await engine.run("globalThis.n = 1", session="a")
    info = await fork(engine, "a")
    assert info.name.startswith("s_")
    assert await engine.value("n", session=info.name) == "1"


async def test_a_fork_can_begin_at_any_past_event(engine: Engine):
    for number in range(1, 4):
        await engine.run(f"globalThis.n = {number}", session="a")
    await engine.run("for (;;);", session="a", time_ms=50)
    for at, value in ((0, "undefined"), (1, "1"), (2, "2"), (3, "3"), (4, "3")):
        info = await fork(engine, "a", at=at)
        assert info.forked_from == f"a@{min(at, 3)}"
        assert await engine.value("globalThis.n", session=info.name) == value
    again = await fork(engine, info.name, at=1)
    assert again.forked_from == "a@1"
    with pytest.raises(NotFound):
        await fork(engine, "a", at=5)
    with pytest.raises(NotFound):
        await fork(engine, "a", at=-1)


async def test_a_fork_costs_one_event_and_no_worker(engine: Engine):
    for number in range(5):
        await engine.run(f"globalThis.n = {number}", session="a")
    await fork(engine, "a", at=2, into="b")
    assert [info.awake for info in (await engine.supervisor.sessions(OWNER)).items] == [False, True]
    row = await engine.log.session_named(OWNER, "b")
    assert len([record async for record in engine.log.read(row.session)]) == 1


async def test_a_fork_into_a_name_that_is_taken_is_refused(engine: Engine):
    await engine.run("1", session="a")
    await engine.run("2", session="b")
    for at in (None, 0):
        for into in ("a", "b"):
            with pytest.raises(Conflict, match=into) as refused:
                await fork(engine, "a", at=at, into=into)
            assert refused.value.field == "into"
    for into in ("no/slash", "s_0123456789abcdef"):
        with pytest.raises(InvalidField) as wrong:
            await fork(engine, "a", into=into)
        assert wrong.value.field == "into"


async def test_of_many_forks_into_one_name_one_is_made(engine: Engine):
    await engine.run("1", session="a")
    outcomes = []

    async def try_it():
        try:
            outcomes.append((await fork(engine, "a", at=1, into="b")).name)
        except Conflict as refused:
            outcomes.append(refused.field)

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(try_it)
    assert sorted(outcomes) == ["b"] + ["into"] * 7


async def test_a_fork_of_the_head_waits_for_what_runs_and_one_of_the_past_does_not(engine: Engine):
    await engine.run("globalThis.n = 1", session="a")
    loop = await looping(engine, "a")
    counting = await engine.supervisor.executions.submit(submission("n = 2", session="a"))
    async with asked(engine, fork(engine, "a", into="later")) as answers:
        assert await engine.value("n", session=(await fork(engine, "a", at=1)).name) == "1"
        assert not counting.done
        assert not answers
        loop.cancel()
    assert answers[0].forked_from == "a@3"
    assert await engine.value("n", session="later") == "2"


async def test_a_fork_that_could_not_be_stored_leaves_the_name_free(engine: Engine, monkeypatch):
    await engine.run("globalThis.n = 1", session="a")
    with monkeypatch.context() as patch:
        patch.setattr(engine.log, "append", refusing(StoreFailed("the disk is full")))
        with pytest.raises(StoreFailed):
            await fork(engine, "a", into="b")
    report = await engine.run("typeof n", session="b")
    assert (report.created, report.event, report.result) == (True, 1, "'undefined'")


async def test_a_fork_whose_name_the_log_has_is_a_conflict_and_the_session_goes_on(engine, monkeypatch):
    """The name was taken between the look-up and the append."""
    await engine.run("globalThis.n = 1", session="a")
    with monkeypatch.context() as patch:
        patch.setattr(engine.log, "append", refusing(AppendConflict("the owner has a session of that name")))
        with pytest.raises(Conflict) as refused:
            await fork(engine, "a", into="b")
    assert refused.value.field == "into"
    assert await engine.value("n", session="a") == "1"


# --- tag ---------------------------------------------------------------------------------------------


async def test_labels_are_put_on_states_and_taken_away(engine: Engine):
    await engine.run("1", session="a")
    assert (await tag(engine, "a", release="1", by="ann")).tags == {1: {"release": "1", "by": "ann"}}
    await engine.run("2", session="a")
    info = await tag(engine, "a", release="2")
    assert info.tags == {1: {"release": "1", "by": "ann"}, 3: {"release": "2"}}
    info = await tag(engine, "a", at=1, by=None, release="1.1")
    assert info.tags == {1: {"release": "1.1"}, 3: {"release": "2"}}
    assert (await tag(engine, "a", at=3, release=None)).tags == {1: {"release": "1.1"}}
    assert (await engine.supervisor.session(OWNER, "a")).tags == {1: {"release": "1.1"}}


async def test_a_label_is_an_event_that_leaves_the_state_as_it_was(engine: Engine):
    report = await engine.run("globalThis.n = 1", session="a")
    info = await tag(engine, "a", k="v")
    assert (info.heap, info.head_seq, info.state_seq) == (report.heap, 2, 1)
    event = (await engine.supervisor.event(OWNER, "a", 2)).event
    assert isinstance(event, Tagged)
    assert (event.target, event.tags, event.caller) == (1, {"k": "v"}, CALLER)
    after = await engine.run("n", session="a", heap=report.heap)
    assert (after.result, after.event) == ("1", 3)


async def test_a_label_that_is_there_already_is_no_event(engine: Engine):
    await engine.run("1", session="a")
    first = await tag(engine, "a", k="v")
    assert (await tag(engine, "a", k="v", other=None)).head_seq == first.head_seq


async def test_an_event_that_made_no_state_stands_for_the_state_before_it(engine: Engine):
    await engine.run("1", session="a")
    await engine.run("for (;;);", session="a", time_ms=50)
    assert (await tag(engine, "a", at=2, k="v")).tags == {1: {"k": "v"}}
    for at in (9, -1):
        with pytest.raises(NotFound):
            await tag(engine, "a", at=at, k="v")


async def test_a_fork_has_labels_of_its_own_on_states_that_it_shares(engine: Engine):
    await engine.run("1", session="a")
    await tag(engine, "a", k="parent")
    await fork(engine, "a", into="b")
    assert (await tag(engine, "b", at=1, k="fork")).tags == {1: {"k": "fork"}}
    assert (await engine.supervisor.session(OWNER, "a")).tags == {1: {"k": "parent"}}


async def test_sessions_are_found_by_label(engine: Engine):
    for name, release in (("a", "1"), ("b", "2"), ("c", None)):
        await engine.run("1", session=name)
        if release is not None:
            await tag(engine, name, release=release)

    async def found(label: str) -> set[str]:
        return {info.name for info in (await engine.supervisor.sessions(OWNER, tag=label)).items}

    assert await found("release") == {"a", "b"}
    assert await found("release:2") == {"b"}
    assert await found("release:3") == await found("other") == set()
    await tag(engine, "b", release=None)
    await delete(engine, "a")
    assert await found("release") == set()


async def test_labels_are_limited(engine: Engine):
    await engine.run("1", session="a")
    for tags, error in (
        ({}, InvalidField),
        ({"": "v"}, InvalidField),
        ({"k" * 65: "v"}, InvalidField),
        ({"k": "v" * 257}, InvalidField),
        ({"k": "\ud800"}, InvalidField),
        ({str(number): "" for number in range(65)}, TooLarge),
    ):
        with pytest.raises(error) as refused:
            await tag(engine, "a", **tags)
        assert refused.value.field == "tags"
    await tag(engine, "a", **{str(number): "" for number in range(64)})
    with pytest.raises(TooLarge):
        await tag(engine, "a", one="more")
    await tag(engine, "a", **{"0": None, "another": "instead"})


def test_labels_of_a_session_are_limited_together():
    before = {seq: dict.fromkeys("abcd", "") for seq in range(256)}
    assert labels.changes(before, 3, {"a": "changed", "b": None, "z": None}) == {"a": "changed", "b": None}
    with pytest.raises(TooLarge, match="session"):
        labels.changes(before, 999, {"e": ""})


async def test_a_label_waits_for_what_runs(engine: Engine):
    await engine.run("1", session="a")
    loop = await looping(engine, "a")
    await engine.supervisor.executions.submit(submission("2", session="a"))
    async with asked(engine, tag(engine, "a", k="v")) as answers:
        assert not answers
        loop.cancel()
    assert answers[0].tags == {3: {"k": "v"}}


async def test_a_full_log_takes_no_label_but_a_deletion(open_engine, tmp_path):
    async with open_engine(tmp_path, policy=LimitPolicy(max_session_events=3)) as engine:
        await engine.run("1", session="a")
        await engine.run("2", session="a")
        with pytest.raises(Conflict, match="limit"):
            await tag(engine, "a", k="v")
        assert (await delete(engine, "a")).head_seq == 3


# --- look --------------------------------------------------------------------------------------------


async def test_the_variables_of_a_session_are_shown(engine: Engine):
    report = await engine.run("let xs = [1, 2]; const f = (a) => a; globalThis.g = 'x'", session="a")
    view = await engine.supervisor.requests.state(OWNER, "a", at=None)
    assert (view.session, view.event, view.heap, view.more) == ("a", 1, report.heap, 0)
    shown = {variable.name: (variable.scope, variable.type) for variable in view.globals}
    assert shown == {"xs": ("lexical", "Array"), "f": ("lexical", "function"), "g": ("global", "string")}
    assert (await variables(engine, "a"))["xs"] == "[ 1, 2 ]"


async def test_looking_records_nothing_and_changes_nothing(engine: Engine):
    before = await engine.run("let n = 1", session="a")
    await variables(engine, "a")
    await variables(engine, "a", at=0)
    info = await engine.supervisor.session(OWNER, "a")
    assert (info.head_seq, info.heap) == (1, before.heap)
    assert await engine.value("n + 1", session="a") == "2"


async def test_the_variables_of_the_past_are_shown(engine: Engine):
    await engine.run("let n = 1", session="a")
    await engine.run("n = 2; let m = 3", session="a")
    await engine.run("for (;;);", session="a", time_ms=50)
    assert await variables(engine, "a", at=0) == {}
    assert await variables(engine, "a", at=1) == {"n": "1"}
    assert await variables(engine, "a", at=2) == await variables(engine, "a", at=3) == {"n": "2", "m": "3"}
    info = await fork(engine, "a", at=1)
    assert await variables(engine, info.name) == await variables(engine, info.name, at=2) == {"n": "1"}
    with pytest.raises(NotFound):
        await variables(engine, "a", at=4)


async def test_a_look_at_the_past_leaves_no_worker_behind(open_engine, tmp_path):
    async with open_engine(tmp_path, max_workers=1) as engine:
        await engine.run("let n = 1", session="a")
        await engine.run("n = 2", session="a")
        for _ in range(3):
            assert await variables(engine, "a", at=1) == {"n": "1"}
        assert engine.supervisor.places.taken == 0
        assert await engine.value("n", session="a") == "2"


async def test_a_look_at_the_head_waits_for_what_runs_and_one_at_the_past_does_not(engine: Engine):
    await engine.run("let n = 1", session="a")
    loop = await looping(engine, "a")
    await engine.supervisor.executions.submit(submission("n = 2", session="a"))
    async with asked(engine, engine.supervisor.requests.state(OWNER, "a", at=None)) as answers:
        assert await variables(engine, "a", at=1) == {"n": "1"}
        assert not answers
        loop.cancel()
    assert answers[0].event == 3
    assert [variable.preview for variable in answers[0].globals] == ["2"]


async def test_a_look_at_a_point_shows_that_point_even_if_the_session_moves_on_meanwhile(engine, monkeypatch):
    await engine.run("let n = 1", session="a")
    at_rest = engine.supervisor._registry.at_rest

    async def then_moves_on(*asked):
        answer = await at_rest(*asked)
        await engine.run("n = 2", session="a")
        return answer

    monkeypatch.setattr(engine.supervisor._registry, "at_rest", then_moves_on)
    view = await engine.supervisor.requests.state(OWNER, "a", at=1)
    assert (view.event, [variable.preview for variable in view.globals]) == (1, ["1"])


async def test_a_look_wakes_a_session_that_sleeps(open_engine, tmp_path):
    async with open_engine(tmp_path) as engine:
        await engine.run("let n = 1", session="a")
    async with open_engine(tmp_path) as engine:
        assert await variables(engine, "a") == {"n": "1"}
        assert (await engine.supervisor.session(OWNER, "a")).awake


async def test_a_look_that_takes_too_long_ends_the_worker_and_not_the_session(engine: Engine, monkeypatch):
    await engine.run("let n = 1", session="a")
    monkeypatch.setattr(looking, "LOOK_SECONDS", 0.0)
    with pytest.raises(TooLarge, match="take more than"):
        await variables(engine, "a")
    assert not (await engine.supervisor.session(OWNER, "a")).awake
    assert await engine.value("n", session="a") == "1"


async def test_a_look_that_needs_too_much_memory_is_refused_and_the_session_goes_on(
    engine: Engine, monkeypatch
):
    await engine.run("let n = 1", session="a")

    async def exhausted(worker, _message):
        raise looking.WorkerDied(worker.number, wire.EXIT_OUT_OF_MEMORY << 8, "out_of_memory")

    monkeypatch.setattr(looking.Worker, "look", exhausted)
    for at in (None, 0):
        with pytest.raises(TooLarge, match="memory"):
            await variables(engine, "a", at=at)
    monkeypatch.undo()
    assert await variables(engine, "a") == {"n": "1"}


async def test_a_worker_that_dies_during_a_look_is_told_and_the_session_goes_on(engine: Engine, monkeypatch):
    await engine.run("let n = 1", session="a")
    ask = looking.Worker.look

    async def killed(worker, message):
        os.kill(worker.pid, signal.SIGKILL)
        return await ask(worker, message)

    monkeypatch.setattr(looking.Worker, "look", killed)
    for at in (None, 0):
        with pytest.raises(Unavailable, match="try again"):
            await variables(engine, "a", at=at)
    monkeypatch.undo()
    assert await variables(engine, "a") == {"n": "1"}


async def test_a_look_waits_so_long_and_is_not_done_when_nobody_waits_for_it(engine: Engine, monkeypatch):
    loop = await looping(engine, "a")
    looked: list[str] = []
    monkeypatch.setattr(LiveSession, "look", lambda session, _chars: looked.append(session.name))
    monkeypatch.setattr(looking, "PATIENCE_SECONDS", 0.01)
    with pytest.raises(Busy, match="try again later"):
        await variables(engine, "a")
    loop.cancel()
    assert await engine.value("1", session="a") == "1"
    assert not looked
    await engine.supervisor.drain(1)


async def test_a_look_at_the_past_replays_so_long_and_gives_its_place_back(engine: Engine, monkeypatch):
    await engine.run("for (const end = Date.now() + 200; Date.now() < end;);", session="a")
    await engine.run("1", session="a")
    taken = engine.supervisor.places.taken
    monkeypatch.setattr(looking, "PATIENCE_SECONDS", 0.01)
    with pytest.raises(TooLarge, match="a@1 takes more than") as refused:
        await variables(engine, "a", at=1)
    assert refused.value.field == "at"
    assert engine.supervisor.places.taken == taken


async def test_few_looks_at_the_past_are_on_their_way_at_once_and_of_an_owner_one(
    engine: Engine, monkeypatch
):
    owners = ("ann", "ben", "cem")
    for owner in owners:
        await engine.run("let n = 1", session="a", owner=owner)
        await engine.run("n = 2", session="a", owner=owner)
    look_back = looking.look_back
    under_way: list[str] = []
    most = {"in all": 0, "of one": 0}

    async def counted(sessions, owner, *asked):
        under_way.append(owner)
        most["in all"] = max(most["in all"], len(under_way))
        most["of one"] = max(most["of one"], under_way.count(owner))
        view = await look_back(sessions, owner, *asked)
        under_way.remove(owner)
        return view

    monkeypatch.setattr(looking, "look_back", counted)
    async with trio.open_nursery() as nursery:
        for owner in owners * 3:
            nursery.start_soon(lambda o=owner: engine.supervisor.requests.state(o, "a", at=1))
    assert most == {"in all": looking.MAX_LOOKS_BACK, "of one": 1}
    assert engine.supervisor.past._looks.taken == 0


async def test_nobodys_looks_at_the_past_keep_others_from_theirs(engine: Engine, monkeypatch):
    for owner in ("ann", "ben"):
        await engine.run("let n = 1", session="a", owner=owner)
        await engine.run("n = 2", session="a", owner=owner)
    look_back, ever = looking.look_back, trio.Event()

    async def slow(sessions, owner, *asked):
        if owner == "ann":
            await ever.wait()
        return await look_back(sessions, owner, *asked)

    monkeypatch.setattr(looking, "look_back", slow)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(lambda: engine.supervisor.requests.state("ann", "a", at=1))
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(20):
            assert (await engine.supervisor.requests.state("ben", "a", at=1)).event == 1
        with monkeypatch.context() as patched:
            patched.setattr(looking, "PATIENCE_SECONDS", 0.05)
            with pytest.raises(Busy, match="one at a time for each owner"):
                await engine.supervisor.requests.state("ann", "a", at=1)
        nursery.cancel_scope.cancel()


# --- together ----------------------------------------------------------------------------------------


async def test_commands_count_as_queued(open_engine, tmp_path):
    async with open_engine(tmp_path, policy=LimitPolicy(max_queue=2)) as engine:
        await engine.run("1", session="a")
        loop = await looping(engine, "a")
        async with asked(
            engine, tag(engine, "a", k="v"), engine.supervisor.requests.state(OWNER, "a", at=None)
        ) as answers:
            for refused in (
                tag(engine, "a", k="v"),
                delete(engine, "a"),
                fork(engine, "a"),
                engine.run("2", session="a"),
            ):
                with pytest.raises(Busy):
                    await refused
            loop.cancel()
        assert answers[0].tags == {1: {"k": "v"}}


async def test_a_wrong_command_costs_the_session_nothing(engine: Engine):
    await engine.run("let n = 1", session="a")
    workers = engine.worker_pids()
    with pytest.raises(NotFound):
        await tag(engine, "a", at=7, k="v")
    with pytest.raises(Conflict):
        await engine.run("1", session="a", heap="0" * 64)
    assert set(workers) <= set(engine.worker_pids())  # a spare may have come up meanwhile


async def test_a_drain_waits_for_commands_and_takes_no_more(engine: Engine):
    await engine.run("1", session="a")
    loop = await looping(engine, "a")
    async with asked(engine, tag(engine, "a", k="v")) as answers, trio.open_nursery() as nursery:
        nursery.start_soon(engine.supervisor.drain, 30)
        while engine.supervisor.status()["ready"]:
            await trio.lowlevel.checkpoint()
        for refused in (delete(engine, "a"), fork(engine, "a", at=0), variables(engine, "a", at=0)):
            with pytest.raises(Unavailable):
                await refused
        loop.cancel()
    assert answers[0].tags == {1: {"k": "v"}}


async def test_what_is_queued_when_the_engine_ends_is_told(open_engine, tmp_path):
    async with trio.open_nursery() as nursery:
        failures = []

        async def ask(engine):
            with pytest.raises(Unavailable) as refused:
                await delete(engine, "a")
            failures.append(refused.value)

        async with open_engine(tmp_path) as engine:
            await engine.run("1", session="a")
            await looping(engine, "a")
            nursery.start_soon(ask, engine)
            while (await engine.supervisor.session(OWNER, "a")).running < 2:
                pass
    assert len(failures) == 1
    async with open_engine(tmp_path) as engine:
        assert (await engine.supervisor.session(OWNER, "a")).head_seq == 1


@pytest.mark.parametrize("kind", ["delete", "fork", "tag", "state"])
async def test_a_client_that_leaves_at_any_moment_leaves_nothing_half_done(engine: Engine, kind: str):
    """Its wait is cancelled after its n-th step, for every n until it is answered first."""
    ask = {
        "delete": lambda name: delete(engine, name),
        "fork": lambda name: fork(engine, name, into=f"{name}-fork"),
        "tag": lambda name: tag(engine, name, k="v"),
        "state": lambda name: variables(engine, name),
    }[kind]
    for steps in range(1, 100):
        name = f"a{steps}"
        await engine.run("globalThis.n = 1", session=name)
        left = await leaving_after(steps, ask, name)
        report = await engine.run("globalThis.n", session=name)
        assert report.result == ("undefined" if report.created else "1")
        if kind == "fork":
            report = await engine.run("globalThis.n", session=f"{name}-fork")
            assert report.result == ("undefined" if report.created else "1")
        await delete(engine, name)
        if not left:
            assert steps > 1
            return
    pytest.fail("it was never answered")


async def test_an_engine_that_ends_at_any_moment_has_done_what_it_told(open_engine, tmp_path, store):
    """It is cancelled after the n-th step of the sessions' actors, for every n until all was done first."""
    async with open_engine(tmp_path / "begun") as engine:
        await engine.run("1", session="a")
    for steps in range(1, 100):
        directory = tmp_path / str(steps)
        copy_store(tmp_path / "begun", directory)
        told: list[str] = []
        scope = trio.CancelScope()
        with scope:
            async with open_engine(directory, spares=0) as engine:
                with stopwatch(lambda task: task.name.endswith("Sessions._run"), steps, scope):
                    await tag(engine, "a", k="v")
                    told.append("tag")
                    await fork(engine, "a", into="b")
                    told.append("fork")
                    await delete(engine, "a")
                    told.append("delete")
        async with stores_of(directory, store) as (log, _):
            rows = {row.name: row for row in (await log.sessions(OWNER, limit=9)).items}
            assert "delete" not in told or "a" not in rows
            assert "fork" not in told or "b" in rows
            for row in rows.values():
                events = [record.event async for record in history(log, row.session, row.head_seq)]
                assert [event.seq for event in events] == list(range(len(events)))
            if "a" in rows:
                own = [record.event async for record in log.read(rows["a"].session)]
                labelled = any(isinstance(event, Tagged) for event in own)
                assert labelled or "tag" not in told
                assert bool((await log.details([rows["a"].session]))[rows["a"].session].tags) is labelled
        if not scope.cancelled_caught:
            assert told == ["tag", "fork", "delete"]
            assert steps > 3
            return
    pytest.fail("it was never done")


@contextmanager
def stopwatch(counts: Callable[[trio.lowlevel.Task], bool], steps: int, scope: trio.CancelScope):
    """Cancel ``scope`` after so many steps of the tasks that count."""

    class Countdown(trio.abc.Instrument):
        left = steps

        def after_task_step(self, task):
            if counts(task):
                self.left -= 1
                if self.left == 0:
                    scope.cancel()

    countdown = Countdown()
    trio.lowlevel.add_instrument(countdown)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(countdown)


async def leaving_after(steps: int, ask, name: str) -> bool:
    """Ask in a task that is cancelled after so many of its steps; whether it was."""
    scope = trio.CancelScope()

    async def client():
        with scope:
            await ask(name)

    with stopwatch(lambda task: task.coro.cr_code is client.__code__, steps, scope):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client)
    return scope.cancelled_caught


async def test_executions_and_commands_at_once_leave_a_chain_without_gaps(engine: Engine):
    async def work(name: str) -> None:
        for number in range(6):
            await engine.run(f"globalThis.n = (globalThis.n ?? 0) + {number}", session=name)

    async def tagging() -> None:
        for number in range(6):
            await tag(engine, "a", k=str(number))

    async def forking() -> None:
        for number in range(6):
            await fork(engine, "a", into=f"f{number}")

    async def watching() -> None:
        for _ in range(6):
            await variables(engine, "a")

    await engine.run("1", session="a")
    async with trio.open_nursery() as nursery:
        for task in (tagging, forking, watching):
            nursery.start_soon(task)
        nursery.start_soon(work, "a")
    page = await engine.supervisor.events(OWNER, "a")
    assert [record.event.seq for record in page.items] == list(range(14))
    assert sum(isinstance(record.event, Executed) for record in page.items) == 7
    for number in range(6):
        info = await engine.supervisor.session(OWNER, f"f{number}")
        assert info.forked_from is not None
        expected = await engine.supervisor.requests.state(
            OWNER, "a", at=int(info.forked_from.partition("@")[2])
        )
        assert (await engine.supervisor.requests.state(OWNER, info.name, at=None)).globals == expected.globals
