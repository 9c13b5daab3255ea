"""Checkpoints: when they are made, what is in them, what cannot be, and what a recovery makes of them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import trio
import trio.testing
from checkpointing import Checkpoints, count_replays
from engines import CALLER, OWNER, Engine, both_stores, in_directory, stored_blobs
from msgspec.structs import replace
from sampling import each

from engine import checkpoints, debt, places, replay
from engine.copies import Copy
from engine.errors import NotFound, Unavailable
from engine.recovery import Recovery
from engine.session import ForkPoint
from engine.worker import Worker
from persistence.directory_blobs import FOLDER

EVERY_EVENT = {"restore_target_seconds": 0.0}
NEVER = {"restore_target_seconds": 3_600.0}


# --- when -----------------------------------------------------------------------------------------


@both_stores
async def test_a_restart_begins_from_the_checkpoint_and_replays_what_came_after_it(
    open_engine, tmp_path, monkeypatch
):
    told = Checkpoints()
    async with open_engine(tmp_path, observers=[told], **EVERY_EVENT) as engine:
        await engine.run("let n = 1", session="a")
        await told.of(1)
        await engine.run("n++", session="a")
        await told.of(2)
    async with open_engine(tmp_path, **NEVER) as engine:
        await engine.run("n++", session="a")
    replayed = count_replays(monkeypatch)
    async with open_engine(tmp_path, **NEVER) as engine:
        assert await engine.value("n", session="a") == "3"
    assert replayed == [3]


async def test_a_checkpoint_is_made_once_replaying_would_take_longer_than_the_target(
    open_engine, tmp_path, monkeypatch
):
    monkeypatch.setattr(debt, "COST_US", 1)
    told = Checkpoints()
    async with open_engine(tmp_path, observers=[told], restore_target_seconds=0.02) as engine:
        await engine.run("let n = 0", session="a")
        busy = "for (const end = Date.now() + 200; Date.now() < end; ) n++; n > 0"
        await engine.run(busy, session="a")
        await told.of(2)
        await engine.run("n = 1", session="a")
        assert await engine.value("n", session="a") == "1"
    assert told.kept == [2]


async def test_a_session_goes_on_while_its_checkpoint_is_made(open_engine, tmp_path):
    told = Checkpoints()
    async with open_engine(tmp_path, observers=[told], **EVERY_EVENT) as engine:
        await engine.run("var big = []; for (let i = 0; i < 100_000; i++) big.push({ i })", session="a")
        assert await engine.value("big.push(1)", session="a") == "100001"
        assert told.made == []  # it took longer than the execution
        await told.of(1)
        assert await engine.value("big.push(2)", session="a") == "100002"


async def test_a_session_that_gives_its_place_to_another_makes_a_checkpoint_before_it_sleeps(
    open_engine, tmp_path, monkeypatch
):
    monkeypatch.setattr(debt, "COST_US", 1)
    told = Checkpoints()
    replayed = count_replays(monkeypatch)
    async with open_engine(tmp_path, max_workers=1, observers=[told], **NEVER) as engine:
        await engine.run("let n = 1", session="a")
        await engine.run("let n = 10", session="b")
        await told.of(1)
        assert await engine.value("++n", session="a") == "2"
    assert replayed == []


async def test_a_drain_makes_checkpoints_of_what_would_take_long_to_replay(
    open_engine, tmp_path, monkeypatch
):
    monkeypatch.setattr(debt, "COST_US", 1)
    told = Checkpoints()
    async with open_engine(tmp_path, observers=[told], **NEVER) as engine:
        for name in "abc":
            await engine.run(f"let name = '{name}'", session=name)
        await engine.supervisor.drain(30)
        assert engine.supervisor.status()["awake"] == 0
    assert len(told.kept) == 3
    replayed = count_replays(monkeypatch)
    async with open_engine(tmp_path) as engine:
        assert [await engine.value("name", session=name) for name in "abc"] == ["'a'", "'b'", "'c'"]
    assert replayed == []


async def test_a_drain_does_not_wait_for_checkpoints_beyond_its_time(open_engine, tmp_path, monkeypatch):
    monkeypatch.setattr(debt, "COST_US", 1)
    async with open_engine(tmp_path, **NEVER) as engine:
        await engine.run("let n = 41", session="a")
        with trio.fail_after(5):
            await engine.supervisor.drain(0)
    async with open_engine(tmp_path) as engine:
        assert await engine.value("n + 1", session="a") == "42"


async def test_a_long_recovery_makes_checkpoints_on_its_way(open_engine, tmp_path):
    async with open_engine(tmp_path, **NEVER) as engine:
        await engine.run("let n = 0", session="a")
        for _ in range(5):
            await engine.run("n++", session="a")
    told = Checkpoints()
    async with open_engine(tmp_path, observers=[told], **EVERY_EVENT) as engine:
        assert await engine.value("n", session="a") == "5"
        await told.wait(lambda made: made.seq < 6)


async def test_a_look_at_the_past_makes_no_checkpoints_that_the_target_does_not_ask_for(
    open_engine, tmp_path
):
    told = Checkpoints()
    async with open_engine(tmp_path, observers=[told], **NEVER) as engine:
        await engine.run("let n = 0", session="a")
        for _ in range(20):
            await engine.run("n++", session="a")
        view = await engine.supervisor.requests.state(OWNER, "a", at=10)
        assert view.event == 10
    assert told.made == []


async def test_a_session_does_not_sleep_before_a_checkpoint_of_its_recovery_is_copied(
    open_engine, tmp_path, monkeypatch
):
    async with open_engine(tmp_path, **NEVER) as engine:
        await engine.run("var big = []; for (let i = 0; i < 100_000; i++) big.push({ i })", session="a")
    told, go_on = Checkpoints(), trio.Event()
    snapshot = Copy.snapshot

    async def held(copy: Copy) -> bytes:
        await go_on.wait()
        return await snapshot(copy)

    monkeypatch.setattr(Copy, "snapshot", held)
    async with open_engine(tmp_path, observers=[told], restore_target_seconds=0.001) as engine:
        monkeypatch.setattr(debt, "COST_US", 1)
        assert await engine.value("big.length", session="a") == "100000"
        (actor,) = engine.supervisor._actors
        actor.retire()
        for _ in range(100):
            await trio.lowlevel.checkpoint()
        assert actor.awake
        go_on.set()
        await actor.ended.wait()
        await told.of(1)


async def test_a_recovery_that_takes_too_long_is_put_off_and_the_next_goes_on_from_where_it_was(
    open_engine, tmp_path, monkeypatch
):
    async with open_engine(tmp_path, **NEVER) as engine:
        for _ in range(4):
            await engine.run("globalThis.n = (globalThis.n ?? 0) + 1", session="a")
    told = Checkpoints()
    original = replay._replay_event

    async def stuck_at_the_third(worker, record, *rest):
        if record.event.seq == 3:
            await told.wait(lambda made: made.declined is None)
            await trio.sleep_forever()
        await original(worker, record, *rest)

    options = {"observers": [told], "max_recovery_seconds": 3.0, **EVERY_EVENT}
    async with open_engine(tmp_path, **options) as engine:
        monkeypatch.setattr(replay, "_replay_event", stuck_at_the_third)
        with pytest.raises(Unavailable, match=r"not rebuilt within 3 s, only to event 2 of 4"):
            await engine.run("n", session="a")
        monkeypatch.setattr(replay, "_replay_event", original)
        replayed = count_replays(monkeypatch)
        assert await engine.value("n", session="a") == "4"
    assert replayed in ([2, 3, 4], [3, 4])


# --- what is in them ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "go_on", "shown"),
    each(3, [
        (
            "let n = 0; const inc = () => ++n; for (let i = 0; i < 100_000; i++) inc()",
            "inc()",
            "100001",
        ),
        (
            "class P { #x = 1; static #all = 0; bump() { P.#all++; return ++this.#x } } const p = new P(); p.bump()",
            "p.bump()",
            "3",
        ),
        ("function* g() { yield 1; yield 2; yield 3 } const it = g(); it.next()", "it.next().value", "2"),
        ("let go; let late = await new Promise((r) => { go = r })", "go(7); await 0; late", "7"),
        ("const e = new TypeError('kept'), list = [new RangeError('in a list')]", "e.stack + list[0].stack",
         "'TypeError: kept\\n' +\n  '    at exec-1.js:1:11RangeError: in a list\\n' +\n  '    at exec-1.js:1:42'"),
        ("const e = new Error('x'); delete e.stack; const f = new SuppressedError(1, 2, 'y')",
         "[e.message, f.suppressed]", "[ 'x', 2 ]"),
        ("Object.freeze(globalThis); Object.freeze(Error); Object.freeze(Array.prototype)",
         "[Object.isFrozen(globalThis), Object.isFrozen(Error), Object.isFrozen(Array.prototype)]",
         "[ true, true, true ]"),
        ("Object.defineProperty(globalThis, 'own', { get: () => 5, enumerable: false, configurable: false })",
         "const d = Object.getOwnPropertyDescriptor(globalThis, 'own'); [own, d.enumerable, d.configurable]",
         "[ 5, false, false ]"),
        ("Error.stackTraceLimit = 1; function f() { return new Error('x') }",
         "[Error.stackTraceLimit, f().stack.split('\\n').length]", "[ 1, 2 ]"),
        ("let fired = 0; setTimeout(() => fired++, 40_000); const tick = setInterval(() => {}, 1e8)",
         "clearInterval(tick); fired", "0"),
        ("const bytes = new Uint8Array(1 << 20).fill(3); const view = new DataView(bytes.buffer)",
         "[bytes[99_999], view.getInt8(5)]", "[ 3, 3 ]"),
        ("const decoder = new TextDecoder(); decoder.decode(new Uint8Array([0xe2, 0x82]), { stream: true })",
         "decoder.decode(new Uint8Array([0xac]))", "'€'"),
        ("new Intl.NumberFormat('de').format(1e6); String(Temporal.Now.instant()); let dropped = 1",
         "dropped", "1"),
    ]),
)  # fmt: skip
async def test_a_state_survives_checkpoints_generation_after_generation(
    open_engine, tmp_path, monkeypatch, begin, go_on, shown
):
    told = Checkpoints()
    replayed = count_replays(monkeypatch)
    async with open_engine(tmp_path, observers=[told], **EVERY_EVENT) as engine:
        await engine.run(begin, session="a")
        await told.of(1)
    for seq in (2, 3):
        async with open_engine(tmp_path, observers=[told], **EVERY_EVENT) as engine:
            await engine.run("0", session="a")
            await told.of(seq)
    async with open_engine(tmp_path) as engine:
        assert await engine.value(go_on, session="a") == shown
    assert replayed == []


# --- what cannot be in them -----------------------------------------------------------------------

MODULE = "new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("new Intl.DateTimeFormat()", "the session holds 1 live Intl.DateTimeFormat"),
        ("[new Intl.Collator(), new Intl.Collator()]", "the session holds 2 live Intl.Collator"),
        ("new Temporal.PlainDate(2000, 1, 1)", "the session holds 1 live Temporal.PlainDate"),
        (MODULE, "the session holds 1 live WebAssembly.Module"),
        (f"new WebAssembly.Instance({MODULE})", "live WebAssembly.Instance"),
        ("new WebAssembly.Table({ initial: 1, element: 'anyfunc' })", "live WebAssembly.Table"),
        ("(Error.prepareStackTrace = () => 'mine', new Error())", "it set Error.prepareStackTrace"),
        (
            "Object.defineProperty(new Error(), 'name', { get() { globalThis.seen = true } })",
            "a getter for the name or message of an error",
        ),
        ("(Error.captureStackTrace((globalThis.o = {})), o)", "V8 cannot restore the snapshot"),
    ],
)
async def test_a_state_that_no_snapshot_holds_is_declined_with_the_reason_and_lives_on(
    open_engine, tmp_path, value, why
):
    told = Checkpoints()
    async with open_engine(tmp_path, observers=[told], **EVERY_EVENT) as engine:
        await engine.run(f"let n = 1; let kept = {value}", session="a")
        declined = await told.wait(lambda made: made.declined is not None)
        assert why in (declined.declined or "")
        assert await engine.value("++n + ' ' + typeof globalThis.seen", session="a") == "'2 undefined'"
        await engine.run("kept = globalThis.o = undefined; delete Error.prepareStackTrace", session="a")
        while told.made[-1].declined is not None:
            await engine.run("n", session="a")
            await told.one_more()
        assert await engine.value("n", session="a") == "2"


# --- when it is asked for --------------------------------------------------------------------------


async def test_a_checkpoint_that_is_asked_for_is_made_whatever_it_costs_and_once(
    open_engine, tmp_path, monkeypatch
):
    async with open_engine(tmp_path, **NEVER) as engine:
        await engine.run("let n = 1", session="a")
        made = await engine.supervisor.requests.checkpoint(OWNER, "a")
        assert (made.event, made.declined) == (1, None)
        assert made.size > 0
        assert made.took_us
        again = await engine.supervisor.requests.checkpoint(OWNER, "a")
        assert (again.event, again.size, again.took_us) == (1, made.size, None)
        info = await engine.supervisor.session(OWNER, "a")
        assert info.checkpoint is not None
        assert (info.checkpoint.seq, info.checkpoint.size) == (1, made.size)
    replayed = count_replays(monkeypatch)
    async with open_engine(tmp_path, **NEVER) as engine:
        assert await engine.value("n", session="a") == "1"
    assert replayed == []


async def test_a_checkpoint_of_a_session_that_sleeps_is_made_of_the_state_that_a_replay_gives(
    open_engine, tmp_path
):
    async with open_engine(tmp_path, **NEVER) as engine:
        await engine.run("let n = 1", session="a")
        await engine.run("n++", session="a")
        await engine.supervisor.requests.tag(OWNER, "a", at=1, tags={"k": "v"}, caller=CALLER)
    async with open_engine(tmp_path, **NEVER) as engine:
        made = await engine.supervisor.requests.checkpoint(OWNER, "a")
        assert (made.event, made.declined) == (2, None)


async def test_a_session_goes_on_while_a_checkpoint_that_was_asked_for_is_made(open_engine, tmp_path):
    async with open_engine(tmp_path, **NEVER) as engine:
        await engine.run("var big = []; for (let i = 0; i < 100_000; i++) big.push({ i })", session="a")
        over: list[str] = []

        async def keep() -> None:
            made = await engine.supervisor.requests.checkpoint(OWNER, "a")
            assert (made.event, made.declined) == (1, None)
            over.append("checkpoint")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep)
            await trio.testing.wait_all_tasks_blocked()
            assert await engine.value("big.push(1)", session="a") == "100001"
            over.append("execution")
        assert over == ["execution", "checkpoint"]


async def test_why_a_checkpoint_that_was_asked_for_was_declined_is_told(open_engine, tmp_path):
    async with open_engine(tmp_path, **NEVER) as engine:
        await engine.run("let m = new Intl.Collator()", session="a")
        declined = await engine.supervisor.requests.checkpoint(OWNER, "a")
        assert (declined.event, declined.size) == (1, 0)
        assert "live Intl.Collator" in (declined.declined or "")
        assert await engine.value("typeof m", session="a") == "'object'"


async def test_a_checkpoint_of_no_session_is_refused(open_engine, tmp_path):
    async with open_engine(tmp_path) as engine:
        with pytest.raises(NotFound):
            await engine.supervisor.requests.checkpoint(OWNER, "nobody")


async def test_sessions_that_are_costly_to_wake_give_their_places_up_last(open_engine, tmp_path):
    told = Checkpoints()
    async with open_engine(tmp_path, max_workers=2, observers=[told], **EVERY_EVENT) as engine:
        await engine.run("let kept = new Intl.Collator()", session="costly")
        await told.wait(lambda made: made.declined is not None)
        await engine.run("let n = 1", session="cheap")
        await told.wait(lambda made: made.declined is None)
        await engine.run("1", session="third")
        assert (await engine.supervisor.session(OWNER, "costly")).awake
        assert not (await engine.supervisor.session(OWNER, "cheap")).awake


async def test_what_came_due_while_a_checkpoint_was_made_gets_one_without_another_request(
    open_engine, tmp_path
):
    told = Checkpoints()
    async with open_engine(tmp_path, observers=[told], **EVERY_EVENT) as engine:
        for _ in range(5):
            await engine.run("globalThis.n = (globalThis.n ?? 0) + 1", session="a")
        await told.of(5)


@both_stores
async def test_blobs_of_checkpoints_that_are_forgotten_are_removed_at_once(open_engine, tmp_path, store):
    told = Checkpoints()
    async with open_engine(tmp_path, observers=[told], **EVERY_EVENT) as engine:
        for seq in range(1, 13):
            await engine.run("globalThis.n = (globalThis.n ?? 0) + 1", session="a")
            await told.of(seq)
        row = await engine.log.session_named(OWNER, "a")
        needed = {checkpoint.blob for checkpoint in await engine.log.checkpoints(row.session)}
        assert len(needed) < 12
        assert {*stored_blobs(tmp_path, store)} == needed


async def test_of_another_engines_checkpoints_the_newest_is_kept(open_engine, tmp_path):
    await checkpointed_session(open_engine, tmp_path)
    async with open_engine(tmp_path, **NEVER) as engine:
        row = await engine.log.session_named(OWNER, "a")
        foreign = [replace(one, engine="0" * 32) for one in await engine.log.checkpoints(row.session)]
        await engine.log.forget_checkpoints(await engine.log.checkpoints(row.session))
        for one in foreign:
            await engine.log.add_checkpoint(one)
    told = Checkpoints()
    async with open_engine(tmp_path, observers=[told], **EVERY_EVENT) as engine:
        await engine.run("n", session="a")
        await told.of(4)
        left = [(one.seq, one.engine) for one in await engine.log.checkpoints(row.session)]
        assert [seq for seq, engine_id in left if engine_id == "0" * 32] == [3]


async def test_a_session_that_is_about_to_sleep_serves_a_request_that_comes_before_that(
    open_engine, tmp_path, monkeypatch
):
    monkeypatch.setattr(debt, "COST_US", 1)
    told = Checkpoints()
    async with open_engine(tmp_path, observers=[told], **NEVER) as engine:
        await engine.run("var big = []; for (let i = 0; i < 300_000; i++) big.push({ i })", session="a")
        (actor,) = engine.supervisor._actors
        actor.retire()
        with trio.fail_after(20):
            while not [copy for pid in engine.worker_pids() for copy in _children(pid)]:
                await trio.lowlevel.checkpoint()
        assert await engine.value("big.length", session="a") == "300000"
        assert told.made == []  # the copy still makes it
        assert actor.awake


async def test_a_session_whose_checkpoint_takes_long_gives_its_place_up_in_time(
    open_engine, tmp_path, monkeypatch
):
    monkeypatch.setattr(debt, "COST_US", 1)
    monkeypatch.setattr(places, "EVICT_SECONDS", 0.1)
    told = Checkpoints()
    async with open_engine(tmp_path, max_workers=1, observers=[told], **NEVER) as engine:
        await engine.run("var big = []; for (let i = 0; i < 400_000; i++) big.push({ i })", session="a")
        assert await engine.value("1 + 1", session="b") == "2"
        assert [made.declined is None for made in told.made] != [True]
        assert await engine.value("big.length", session="a") == "400000"


async def test_a_session_tells_its_newest_checkpoint_and_why_there_is_none(open_engine, tmp_path):
    told = Checkpoints()
    async with open_engine(tmp_path, observers=[told], **EVERY_EVENT) as engine:
        await engine.run("let n = 1", session="a")
        made = await told.of(1)
        info = await engine.supervisor.session(OWNER, "a")
        assert info.checkpoint is not None
        assert (info.checkpoint.seq, info.checkpoint.size) == (1, made.size)
        assert info.checkpoint_declined is None
        await engine.run("let kept = new Intl.Collator()", session="a")
        await told.wait(lambda made: made.declined is not None)
        info = await engine.supervisor.session(OWNER, "a")
        assert info.checkpoint is not None
        assert info.checkpoint.seq == 1
        assert info.checkpoint_declined == "the session holds 1 live Intl.Collator"


async def test_a_session_tells_how_far_it_is_rebuilt(open_engine, tmp_path, monkeypatch):
    async with open_engine(tmp_path, **NEVER) as engine:
        for _ in range(3):
            await engine.run("globalThis.n = (globalThis.n ?? 0) + 1", session="a")
    reached, go_on = trio.Event(), trio.Event()
    original = replay._replay_event

    async def held_at_the_third(worker, record, *rest):
        if record.event.seq == 3:
            reached.set()
            await go_on.wait()
        await original(worker, record, *rest)

    monkeypatch.setattr(replay, "_replay_event", held_at_the_third)
    async with open_engine(tmp_path, **NEVER) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: engine.run("n", session="a"))
        await reached.wait()
        progress = (await engine.supervisor.session(OWNER, "a")).recovering
        assert progress is not None
        assert (progress.event, progress.target) == (2, 3)
        assert await engine.value("1", session="b") == "1"  # nobody else waits for it
        go_on.set()


# --- what a recovery makes of them ----------------------------------------------------------------


async def checkpointed_session(open_engine, directory: Path, events: int = 3) -> None:
    """A session ``a`` whose ``n`` says how many events it has, with a checkpoint of each."""
    told = Checkpoints()
    async with open_engine(directory, observers=[told], **EVERY_EVENT) as engine:
        for seq in range(1, events + 1):
            await engine.run("globalThis.n = (globalThis.n ?? 0) + 1", session="a")
            await told.of(seq)


async def known(engine: Engine) -> list[int]:
    """Numbers of the states of session ``a`` that the log knows checkpoints of."""
    row = await engine.log.session_named(OWNER, "a")
    return [checkpoint.seq for checkpoint in await engine.log.checkpoints(row.session)]


@pytest.mark.parametrize("harm", ["altered", "cut", "emptied", "removed", "all removed"])
async def test_blobs_that_are_damaged_or_gone_are_left_out_down_to_the_beginning(
    open_engine, tmp_path, store, monkeypatch, caplog, harm
):
    await checkpointed_session(open_engine, tmp_path)
    stored = stored_blobs(tmp_path, store)
    if harm == "all removed":
        stored.clear()
    for name, data in [*stored.items()]:
        match harm:
            case "altered":
                stored[name] = bytes([data[0] ^ 1]) + data[1:]
            case "cut":
                stored[name] = data[:-1]
            case "emptied":
                stored[name] = b""
            case "removed":
                del stored[name]
    replayed = count_replays(monkeypatch)
    async with open_engine(tmp_path, **NEVER) as engine:
        assert await engine.value("n", session="a") == "3"
        assert await known(engine) == []  # not to be tried again
    assert replayed == [1, 2, 3]
    assert "is not used" in caplog.text


@both_stores
async def test_the_newest_usable_checkpoint_is_taken_where_a_newer_one_is_damaged(
    open_engine, tmp_path, store, monkeypatch
):
    await checkpointed_session(open_engine, tmp_path)
    async with open_engine(tmp_path, **NEVER) as engine:
        row = await engine.log.session_named(OWNER, "a")
        newest = (await engine.log.checkpoints(row.session))[0]
    del stored_blobs(tmp_path, store)[newest.blob]
    replayed = count_replays(monkeypatch)
    async with open_engine(tmp_path, **NEVER) as engine:
        assert await engine.value("n", session="a") == "3"
    assert replayed == [3]


async def test_a_checkpoint_of_another_engine_is_left_alone(open_engine, tmp_path, monkeypatch):
    await checkpointed_session(open_engine, tmp_path)
    replayed = count_replays(monkeypatch)
    async with open_engine(tmp_path, **NEVER) as engine:
        row = await engine.log.session_named(OWNER, "a")
        taken: list[object] = []

        async def acquire():
            worker = await engine.supervisor._workers.acquire()
            taken.append(worker)
            return worker

        with engine.supervisor.scheduler.work("replay", OWNER, "a") as work:
            recovery = Recovery(engine.log, engine.blobs, "0" * 32, work)
            worker = await recovery.restore(ForkPoint(row.session, row.state_seq, row.state_id), acquire)
        await worker.aclose()
        assert await known(engine) != []
    assert replayed == [1, 2, 3]
    assert taken == [worker]


async def test_a_blob_that_is_another_states_is_not_taken_for_this_one(open_engine, tmp_path, monkeypatch):
    await checkpointed_session(open_engine, tmp_path)
    replayed = count_replays(monkeypatch)
    async with open_engine(tmp_path, **NEVER) as engine:
        row = await engine.log.session_named(OWNER, "a")
        newest, older, *_ = await engine.log.checkpoints(row.session)
        # as if the log's row had been altered
        await engine.log.add_checkpoint(replace(newest, blob=older.blob))
        assert await engine.value("n", session="a") == "3"
    assert replayed == [3]


async def test_a_checkpoint_from_which_the_replay_differs_gives_way_to_the_log(
    open_engine, tmp_path, monkeypatch, caplog
):
    await checkpointed_session(open_engine, tmp_path)
    replayed = count_replays(monkeypatch)
    async with open_engine(tmp_path, **NEVER) as engine:
        row = await engine.log.session_named(OWNER, "a")
        newest, older, oldest = await engine.log.checkpoints(row.session)
        # a snapshot of the wrong state, in an envelope that says it is the right one
        wrong = checkpoints.unseal(await engine.blobs.get(oldest.blob), oldest.state, oldest.engine)
        blob = await engine.blobs.put(checkpoints.seal(older.state, older.engine, wrong))
        await engine.log.forget_checkpoints([newest])
        await engine.log.add_checkpoint(replace(older, blob=blob))
        assert await engine.value("n", session="a") == "3"
        assert await known(engine) == [oldest.seq]
        assert (await engine.supervisor.session(OWNER, "a")).status == "ok"
    assert replayed == [3, 2, 3]
    assert "the replay from there failed" in caplog.text


async def test_a_fork_begins_from_its_parents_checkpoints(open_engine, tmp_path, monkeypatch):
    await checkpointed_session(open_engine, tmp_path)
    replayed = count_replays(monkeypatch)
    async with open_engine(tmp_path, **NEVER) as engine:
        fork = await engine.run("n * 10", session="a", at=2)
        assert fork.result == "20"
        info = await engine.supervisor.requests.fork(OWNER, "a", at=3, into="b", caller=CALLER)
        assert await engine.value("n * 10", session=info.name) == "30"
        state = await engine.supervisor.requests.state(OWNER, "a", at=1)
        assert [one.preview for one in state.globals if one.name == "n"] == ["1"]
    assert replayed == []


async def test_an_undone_execution_goes_back_to_the_checkpoint(open_engine, tmp_path, monkeypatch):
    told = Checkpoints()
    replayed = count_replays(monkeypatch)
    async with open_engine(tmp_path, observers=[told], **EVERY_EVENT) as engine:
        await engine.run("let n = 1", session="a")
        await told.of(1)
        report = await engine.run("n = 2; for (;;);", session="a", time_ms=50)
        assert report.status == "timed_out"
        assert await engine.value("n", session="a") == "1"
    assert replayed == []


# --- where something fails ------------------------------------------------------------------------


@in_directory
async def test_a_blob_store_that_fails_costs_checkpoints_and_nothing_else_and_works_again(
    open_engine, tmp_path
):
    told = Checkpoints()
    (tmp_path / FOLDER).write_text("a file in the place of the folder")
    async with open_engine(tmp_path, observers=[told], **EVERY_EVENT) as engine:
        await engine.run("let n = 1", session="a")
        declined = await told.wait(lambda made: made.declined is not None)
        assert (declined.declined or "").startswith(f"{tmp_path / FOLDER}: ")
        assert await engine.value("++n", session="a") == "2"
        (tmp_path / FOLDER).unlink()
        while told.made[-1].declined is not None:
            await engine.run("n", session="a")
            await told.one_more()


async def test_a_copy_that_is_killed_costs_one_checkpoint(open_engine, tmp_path):
    told = Checkpoints()
    async with open_engine(tmp_path, observers=[told], **EVERY_EVENT) as engine:
        await engine.run("var big = []; for (let i = 0; i < 200_000; i++) big.push({ i })", session="a")
        with trio.fail_after(10):
            while not (copies := [copy for pid in engine.worker_pids() for copy in _children(pid)]):
                await trio.lowlevel.checkpoint()
        for copy in copies:
            os.kill(copy, signal.SIGKILL)
        assert (await told.wait(lambda made: True)).declined is not None
        assert await engine.value("big.length", session="a") == "200000"


async def test_a_trial_that_is_killed_costs_one_checkpoint_and_blames_nobody(
    open_engine, tmp_path, monkeypatch
):
    told = Checkpoints()
    restore = Worker.restore

    async def killed_meanwhile(worker: Worker, snapshot: bytes) -> None:
        os.kill(worker.pid, signal.SIGKILL)
        await restore(worker, snapshot)

    monkeypatch.setattr(Worker, "restore", killed_meanwhile)
    async with open_engine(tmp_path, observers=[told], **EVERY_EVENT) as engine:
        await engine.run("let n = 1", session="a")
        declined = await told.wait(lambda made: True)
        assert (declined.declined or "").startswith("the snapshot was not tried to the end: worker ")
        monkeypatch.setattr(Worker, "restore", restore)
        assert await engine.value("++n", session="a") == "2"
        await told.of(2)


async def test_a_copy_ends_with_its_worker(open_engine, tmp_path):
    told = Checkpoints()
    async with open_engine(tmp_path, observers=[told], **EVERY_EVENT) as engine:
        await engine.run("var big = []; for (let i = 0; i < 200_000; i++) big.push({ i })", session="a")
        with trio.fail_after(10):
            while not (pairs := [(pid, copy) for pid in engine.worker_pids() for copy in _children(pid)]):
                await trio.lowlevel.checkpoint()
            ((worker, copy),) = pairs
            os.kill(worker, signal.SIGKILL)
            assert (await told.wait(lambda made: True)).declined is not None
            while _is_there(copy):
                await trio.lowlevel.checkpoint()
        assert await engine.value("big.length", session="a") == "200000"


def _is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
