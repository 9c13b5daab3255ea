"""A session comes back from its log: after a stop, a lost worker, an eviction, at any past event."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest
import trio
from engines import CALLER, OWNER, append_altered, both_stores, first_line, submission
from msgspec.structs import replace

from engine import chain
from engine.errors import AppendConflict, Busy, Conflict, NotFound, Unavailable
from engine.events import Executed, Forked
from engine.limits import LimitPolicy
from engine.replay import Diverged, ReplayFailed


@both_stores
async def test_a_session_survives_the_end_of_the_engine(open_engine, tmp_path):
    async with open_engine(tmp_path) as engine:
        await engine.run(
            "let n = 1; class P { #x = 7; get() { return this.#x } } const p = new P()", session="a"
        )
        await engine.run("function* g() { yield 1; yield 2 } const it = g(); it.next(); n++", session="a")
        await engine.run("let go; let late = await new Promise((r) => { go = r })", session="a")
    async with open_engine(tmp_path) as engine:
        assert await engine.value("go('x'); [n, p.get(), it.next().value]", session="a") == "[ 2, 7, 2 ]"
        assert await engine.value("late", session="a") == "'x'"


async def test_clock_randomness_and_timers_come_back_as_they_were(open_engine, tmp_path):
    code = "[Math.random(), Date.now(), performance.now()]"
    async with open_engine(tmp_path) as engine:
        await engine.run(f"const before = {code}; setTimeout(() => before.push(Date.now()), 5)", session="a")
        shown = await engine.value("before.join()", session="a")
    async with open_engine(tmp_path) as engine:
        assert await engine.value("before.join()", session="a") == shown


async def test_a_lost_worker_is_replaced_at_the_next_execution(engine):
    await engine.run("let n = 41", session="a")
    for pid in engine.worker_pids():
        os.kill(pid, signal.SIGKILL)
    assert await engine.value("n + 1", session="a") == "42"


async def test_a_lost_zygote_costs_no_session(engine):
    await engine.run("let n = 41", session="a")
    os.kill(engine.supervisor.status()["zygote_pid"], signal.SIGKILL)
    with trio.fail_after(30):
        while True:
            try:
                assert await engine.value("n + 1", session="a") == "42"
                break
            except Unavailable:
                await trio.lowlevel.checkpoint()


async def test_more_sessions_than_workers_take_turns(open_engine, tmp_path):
    async with open_engine(tmp_path, max_workers=2) as engine:
        names = [f"s{i}" for i in range(6)]
        for turn in range(3):
            async with trio.open_nursery() as nursery:
                for name in names:
                    nursery.start_soon(_add, engine, name, turn + 1)
        for name in names:
            assert await engine.value("t", session=name) == "6"


async def _add(engine, name: str, amount: int) -> None:
    await engine.run(f"globalThis.t = (globalThis.t ?? 0) + {amount}", session=name)


async def test_a_session_that_was_idle_gives_its_worker_up_and_wakes(open_engine, tmp_path):
    async with open_engine(tmp_path, idle_seconds=0.05) as engine:
        await engine.run("let n = 41", session="a")
        with trio.fail_after(10):
            while engine.supervisor.status()["sessions"]:
                await trio.lowlevel.checkpoint()
        assert await engine.value("n + 1", session="a") == "42"


async def test_a_past_event_can_be_gone_on_from_and_the_session_is_left_alone(engine):
    await engine.run("let n = 1", session="a")
    await engine.run("n = 2", session="a")
    await engine.run("n = 3", session="a")
    fork = await engine.run("n += 10; n", session="a", at=2)
    assert (fork.result, fork.created, fork.event) == ("12", True, 4)
    assert fork.session.startswith("s_")
    assert await engine.value("n", session="a") == "3"
    assert await engine.value("n", session=fork.session) == "12"


@both_stores
async def test_a_fork_of_a_fork_goes_back_through_both(open_engine, tmp_path):
    async with open_engine(tmp_path) as engine:
        await engine.run("const path = ['root']", session="a")
        first = await engine.run("path.push('one')", session="a", at=1)
        await engine.run("path.push('elsewhere')", session="a")
        first = await engine.run("path.push('one')", session="a", at=1)
        second = await engine.run("path.push('two'); path.join()", heap=first.heap)
        assert second.result == "'root,one,two'"
        assert second.session == first.session
        third = await engine.run("path.push('three'); path.join()", session=first.session, at=first.event)
        assert third.result == "'root,one,three'"
    async with open_engine(tmp_path) as engine:
        assert await engine.value("path.join()", session=third.session) == "'root,one,three'"


async def test_the_heap_of_the_head_continues_and_an_older_one_forks(engine):
    first = await engine.run("let n = 1", session="a")
    second = await engine.run("++n", heap=first.heap)
    assert (second.session, second.result, second.created) == ("a", "2", False)
    branch = await engine.run("++n", heap=first.heap)
    assert branch.session != "a"
    assert (branch.result, branch.created) == ("2", True)


async def test_a_session_and_a_heap_that_is_not_its_head_are_a_conflict(engine):
    first = await engine.run("let n = 1", session="a")
    await engine.run("n = 2", session="a")
    with pytest.raises(Conflict) as refused:
        await engine.run("n", session="a", heap=first.heap)
    assert refused.value.field == "heap"


async def test_an_abort_moves_the_sequence_but_not_the_state(engine):
    first = await engine.run("let n = 1", session="a")
    stopped = await engine.run("while (true);", session="a", time_ms=200)
    assert (stopped.event, stopped.heap) == (2, first.heap)
    third = await engine.run("n", session="a", at=2)
    assert (third.session, third.event) == ("a", 3)


async def test_where_a_job_runs_is_decided_when_its_turn_comes(engine):
    first = await engine.run("let n = 1", session="a")
    slow = await engine.supervisor.executions.submit(
        submission("n = 2; await new Promise((r) => setTimeout(r, 50))", session="a")
    )
    later = await engine.supervisor.executions.submit(submission("n", heap=first.heap))
    assert (await slow.wait(30)).status == "completed"
    report = await later.wait(30)
    assert (report.session != "a", report.result) == (True, "1")


async def test_a_session_that_cannot_be_restored_says_so_and_can_be_labelled_forked_and_deleted(
    open_engine, tmp_path
):
    async with open_engine(tmp_path) as engine:
        await engine.run("let n = 1", session="a")
        await append_altered(engine, "a", "n * 10", result="'not what it gives'")
    async with open_engine(tmp_path) as engine:
        supervisor = engine.supervisor
        assert (await supervisor.session(OWNER, "a")).status == "ok"  # nobody had to find out
        for at in (None, 2):
            with pytest.raises(Diverged):
                await supervisor.requests.state(OWNER, "a", at=at)
        assert (await supervisor.session(OWNER, "a")).status == "diverged"
        info = await supervisor.requests.tag(OWNER, "a", at=1, tags={"good": "yes"}, caller=CALLER)
        assert info.tags == {1: {"good": "yes"}}
        assert [v.preview for v in (await supervisor.requests.state(OWNER, "a", at=1)).globals] == ["1"]
        fork = await supervisor.requests.fork(OWNER, "a", at=1, into="b", caller=CALLER)
        assert (await engine.value("n", session="b"), fork.status) == ("1", "ok")
        await supervisor.requests.delete(OWNER, "a", CALLER)
        assert await engine.value("typeof n", session="a") == "'undefined'"


async def test_a_history_that_does_not_reproduce_makes_the_session_read_only(open_engine, tmp_path):
    async with open_engine(tmp_path) as engine:
        await engine.run("let n = 1", session="a")
        await engine.run("n = 7; n", session="a")
        await append_altered(engine, "a", "n * 10", result="'not what it gives'")
    async with open_engine(tmp_path) as engine:
        for _ in range(2):
            with pytest.raises(Diverged) as refused:
                await engine.run("n", session="a")
        report = refused.value.divergence
        assert (report.seq, report.field, report.expected, report.got) == (
            3,
            "result",
            "'not what it gives'",
            "70",
        )
        assert refused.value.code == "session_diverged"
        frames = len(refused.traceback)
        with pytest.raises(Diverged) as again:
            await engine.run("n", session="a")
        assert (again.value, len(again.traceback)) == (refused.value, frames)
        saved = await engine.run("n", heap=report.agreed.id.hex())
        assert (saved.result, saved.created) == ("7", True)


async def test_a_diverged_fork_of_a_deleted_session_goes_on_from_the_number_in_the_refusal(
    open_engine, tmp_path
):
    async with open_engine(tmp_path) as engine:
        await engine.run("let n = 1", session="a")
        await append_altered(engine, "a", "n * 10", result="'not what it gives'")
    async with open_engine(tmp_path) as engine:
        await engine.supervisor.requests.fork(OWNER, "a", at=None, into="b", caller=CALLER)
        await engine.supervisor.requests.delete(OWNER, "a", CALLER)
        with pytest.raises(
            Diverged,
            match=r"as name@1, or with heap \w{64}; or accept .*: mcp-v8 accept name, or POST \S+/accept$",
        ):
            await engine.run("n", session="b")
        assert await engine.value("n", session="b", at=1) == "1"


async def test_another_engines_texts_may_differ_but_its_json_may_not(open_engine, tmp_path):
    async with open_engine(tmp_path) as engine:
        await engine.run("let n = 7", session="drift")
        await append_altered(engine, "drift", "n", result="seven", engine_id="0" * 32)
        await engine.run("let n = 7", session="differs")
        await append_altered(engine, "differs", "n", result_json="8", engine_id="0" * 32)
    async with open_engine(tmp_path) as engine:
        assert await engine.value("n", session="drift") == "7"
        with pytest.raises(Diverged) as refused:
            await engine.run("n", session="differs")
        assert refused.value.divergence.field == "result_json"


async def test_an_event_that_kills_every_worker_makes_the_session_failed(open_engine, tmp_path):
    async with open_engine(tmp_path) as engine:
        await engine.run("let n = 1", session="a")
        row = await engine.log.session_named(OWNER, "a")
        report = await engine.run("1", session="scratch")
        record = await engine.log.execution(report.execution_id)
        killer = replace(
            record.event,
            session=row.session,
            seq=2,
            execution_id="e_killer",
            code="new ArrayBuffer(2e9)",
        )
        await engine.log.append([chain.seal(row.head_id, killer)])
    async with open_engine(tmp_path) as engine:
        with pytest.raises(ReplayFailed) as refused:
            await engine.run("n", session="a")
        assert (refused.value.seq, refused.value.code) == (2, "session_failed")
        assert await engine.value("1", session="other") == "1"


async def test_a_cancel_during_recovery_is_a_cancel(open_engine, tmp_path):
    slow = (
        "const until = Date.now() + 700; while (Date.now() < until); globalThis.n = (globalThis.n ?? 0) + 1"
    )
    async with open_engine(tmp_path) as engine:
        for _ in range(2):
            await engine.run(slow, session="a")
    async with open_engine(tmp_path) as engine:
        execution = await engine.supervisor.executions.submit(submission("n = 100", session="a"))
        with trio.fail_after(20):
            while execution.cancel_scope is None:
                await trio.lowlevel.checkpoint()
        await engine.supervisor.executions.cancel(OWNER, execution.id)
        assert (await execution.wait(30)).status == "cancelled"
        assert await engine.value("n", session="a") == "2"


async def test_an_event_that_took_longer_than_its_limit_said_is_replayed_all_the_same(open_engine, tmp_path):
    """A limit of 1 ms, met only thanks to the grace, says nothing of how long a replay may take."""
    async with open_engine(tmp_path) as engine:
        report = await engine.run(
            "let n = 0; for (let i = 0; i < 3e6; i++) n += i % 7; n", session="a", time_ms=1
        )
        if report.status != "completed":
            await engine.run("let n = 1", session="a")
    async with open_engine(tmp_path) as engine:
        assert await engine.value("typeof n", session="a") == "'number'"


async def test_workers_killed_during_recovery_do_not_condemn_the_session(open_engine, tmp_path):
    slow = (
        "const until = Date.now() + 1500; while (Date.now() < until); globalThis.n = (globalThis.n ?? 0) + 1"
    )
    async with open_engine(tmp_path) as engine:
        await engine.run(slow, session="a")
    async with open_engine(tmp_path) as engine:
        execution = await engine.supervisor.executions.submit(submission("n", session="a"))
        killed: set[int] = set()
        for _ in range(4):
            pid = await _busy_worker(engine, killed)
            killed.add(pid)
            os.kill(pid, signal.SIGKILL)
        assert (await execution.wait(60)).result == "1"


async def _busy_worker(engine, killed: set[int]) -> int:
    """The process id of a worker, not one of ``killed``, that has been computing for a while."""
    with trio.fail_after(20):
        while True:
            for pid in engine.worker_pids():
                if pid not in killed and _cpu_seconds(pid) >= 0.05:
                    return pid
            await trio.lowlevel.checkpoint()


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return int(fields[11]) / os.sysconf("SC_CLK_TCK") if fields[0] != "Z" else 0.0


async def test_a_point_in_a_session_whose_first_job_failed_is_not_found(open_engine, tmp_path):
    async with open_engine(tmp_path, policy=LimitPolicy(max_session_events=1)) as engine:
        first = await engine.supervisor.executions.submit(submission("1", session="new"))
        second = await engine.supervisor.executions.submit(
            submission("'ran on an empty session'", session="new")
        )
        with pytest.raises(Conflict):
            await first.wait(30)
        with pytest.raises(Conflict):
            await second.wait(30)
        with pytest.raises(NotFound):
            await engine.run("1", session="new", at=7)


async def test_a_log_written_to_by_somebody_else_costs_one_execution_and_no_queue(engine):
    await engine.run("let n = 1", session="a")
    row = await engine.log.session_named(OWNER, "a")
    record = [record async for record in engine.log.read(row.session)][-1]
    foreign = replace(record.event, seq=2, execution_id="e_foreign", code="1")
    running = await engine.supervisor.executions.submit(
        submission("console.log('on'); await new Promise((r) => setTimeout(r, 100)); 'mine'", session="a")
    )
    await first_line(running)
    queued = await engine.supervisor.executions.submit(submission("1", session="other"))
    await engine.log.append([chain.seal(record.id, foreign)])
    with pytest.raises(AppendConflict):
        await running.wait(30)
    assert (await queued.wait(30)).status == "completed"


async def test_a_full_mailbox_is_busy_and_the_others_are_served(open_engine, tmp_path):
    async with open_engine(tmp_path, policy=LimitPolicy(max_queue=3)) as engine:
        running = await engine.supervisor.executions.submit(
            submission("console.log('on'); await new Promise((r) => setTimeout(r, 300))", session="a")
        )
        assert await first_line(running) == "on"
        queued = [await engine.supervisor.executions.submit(submission("1", session="a")) for _ in range(3)]
        with pytest.raises(Busy):
            await engine.supervisor.executions.submit(submission("1", session="a"))
        assert await engine.value("2", session="b") == "2"
        assert [(await one.wait(30)).status for one in queued] == ["completed"] * 3


async def test_a_drain_lets_what_runs_end_and_refuses_the_rest(engine):
    running = await engine.supervisor.executions.submit(
        submission("console.log('on'); await new Promise((r) => setTimeout(r, 200)); 'finished'", session="a")
    )
    await first_line(running)
    await engine.supervisor.drain(20)
    assert running.report.result == "'finished'"
    with pytest.raises(Unavailable):
        await engine.supervisor.executions.submit(submission("1"))
    assert engine.supervisor.status()["ready"] is False


async def test_a_drain_cancels_what_does_not_end_and_records_it(open_engine, tmp_path):
    async with open_engine(tmp_path) as engine:
        running = await engine.supervisor.executions.submit(
            submission("console.log('on'); while (true);", session="a")
        )
        await first_line(running)
        await engine.supervisor.drain(0.2)
        assert running.report.status == "cancelled"
    async with open_engine(tmp_path) as engine:
        found = await engine.supervisor.executions.find(OWNER, running.id)
        assert found.report.status == "cancelled"


async def test_a_fork_is_recorded_with_its_parent(engine):
    await engine.run("1", session="a")
    await engine.run("2", session="a")
    fork = await engine.run("3", session="a", at=1)
    parent = await engine.log.session_named(OWNER, "a")
    row = await engine.log.session_named(OWNER, fork.session)
    records = [record async for record in engine.log.read(row.session)]
    assert [type(record.event) for record in records] == [Forked, Executed]
    assert (records[0].event.parent, records[0].event.seq) == (parent.session, 2)


@pytest.mark.parametrize("seed", range(6))
async def test_an_engine_cancelled_at_any_moment_leaves_a_log_that_replays(open_engine, tmp_path, seed):
    """Every acknowledged execution is there once, and a new engine finds the same state."""
    chance = random.Random(seed)
    acknowledged: dict[str, int] = {}

    async def client(engine, name: str) -> None:
        while True:
            report = await engine.run("globalThis.n = (globalThis.n ?? 0) + 1", session=name)
            acknowledged[name] = int(report.result)

    async with open_engine(tmp_path) as engine:
        with trio.move_on_after(chance.uniform(0.05, 0.6)):
            async with trio.open_nursery() as nursery:
                for number in range(4):
                    nursery.start_soon(client, engine, f"c{number}")
    print(f"seed {seed}: {acknowledged}")  # noqa: T201 - shown when the test fails
    async with open_engine(tmp_path) as engine:
        for name in [row.name for row in (await engine.supervisor.sessions(OWNER)).items]:
            row = await engine.log.session_named(OWNER, name)
            events = [r.event async for r in engine.log.read(row.session) if isinstance(r.event, Executed)]
            assert [event.outcome.result for event in events] == [str(i + 1) for i in range(len(events))]
            assert len(events) >= acknowledged.get(name, 0)
            assert await engine.value("n", session=name) == str(len(events))
