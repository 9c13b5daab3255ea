"""A diverged session goes on in the state that its replay gives, once its owner accepts that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from checkpointing import Checkpoints, count_replays
from engines import CALLER, OWNER, Engine, append_altered, both_stores
from msgspec.structs import replace

from engine import chain, checkpoints, comparison
from engine.comparison import Difference
from engine.errors import Conflict, NotFound, StoreFailed, Unavailable
from engine.events import Accepted
from engine.replay import Diverged, ReplayFailed


async def accept(engine: Engine, name: str = "a"):
    return await engine.supervisor.requests.accept(OWNER, name, CALLER)


async def info(engine: Engine, name: str = "a"):
    return await engine.supervisor.session(OWNER, name)


async def last_event(engine: Engine, name: str = "a") -> Any:
    head = (await info(engine, name)).head_seq
    return (await engine.supervisor.event(OWNER, name, head)).event


async def diverge(open_engine, directory: Path) -> None:
    """Session "a": n becomes 7, then 70, which the log says was something else, and then 71."""
    async with open_engine(directory) as engine:
        await engine.run("let n = 7", session="a")
        await append_altered(engine, "a", "n *= 10; n", result="'not what it gives'")
        await append_altered(engine, "a", "n += 1; n", result="'nor that'")


async def append_accepted(engine: Engine, digests: dict[int, bytes], engine_id: str | None = None) -> None:
    """What another process could have put into the log of session "a"."""
    row = await engine.log.session_named(OWNER, "a")
    event = Accepted(
        session=row.session,
        seq=row.head_seq + 1,
        at=1,
        caller=CALLER,
        engine=engine_id or engine.supervisor.engine_id,
        digests=digests,
    )
    await engine.log.append([chain.seal(row.head_id, event)])


# --- accepting --------------------------------------------------------------------------------------


@both_stores
async def test_an_accepted_session_goes_on_with_a_new_heap_now_and_after_a_restart(open_engine, tmp_path):
    await diverge(open_engine, tmp_path)
    async with open_engine(tmp_path) as engine:
        with pytest.raises(Diverged):
            await engine.run("n", session="a")
        before = await info(engine)
        after = await accept(engine)
        assert (before.status, after.status, after.divergence) == ("diverged", "ok", None)
        assert (after.state_seq, after.head_seq) == (4, 4)
        assert after.heap != before.heap
        event = await last_event(engine)
        assert (list(event.digests), event.engine, event.caller) == (
            [2, 3],
            engine.supervisor.engine_id,
            CALLER,
        )
        assert await engine.value("n", heap=after.heap) == "71"
        assert (await engine.run("n++", session="a")).event == 6
    async with open_engine(tmp_path) as engine:
        assert await engine.value("n", session="a") == "72"
        assert await engine.value("n", session="a", at=4) == "71"
        assert await engine.value("n", session="a", at=1) == "7"


async def test_that_a_session_diverged_need_not_be_known_to_accept_it(open_engine, tmp_path):
    await diverge(open_engine, tmp_path)
    async with open_engine(tmp_path) as engine:
        assert (await accept(engine)).status == "ok"
        assert await engine.value("n", session="a") == "71"


async def test_a_sound_session_has_nothing_to_accept_and_goes_on(engine):
    await engine.run("let n = 1", session="a")
    with pytest.raises(Conflict, match="has not diverged"):
        await accept(engine)
    assert await engine.value("n", session="a") == "1"
    with pytest.raises(NotFound):
        await accept(engine, "nobody")


async def test_a_failed_session_cannot_be_accepted_but_forked(open_engine, tmp_path):
    async with open_engine(tmp_path) as engine:
        await engine.run("let n = 7", session="a")
        await append_altered(engine, "a", "n")
        row = await engine.log.session_named(OWNER, "a")
        event = replace(await last_event(engine), seq=3, code="new ArrayBuffer(2e9)", execution_id="e_killer")
        await engine.log.append([chain.seal(row.head_id, event)])
        await append_accepted(engine, {2: bytes(32)}, "0" * 32)
    async with open_engine(tmp_path) as engine:
        with pytest.raises(Conflict, match=r"event 3 ends its worker: fork it at its last good state, a@1$"):
            await accept(engine)
        found = await info(engine)
        assert (found.status, found.failed_event, found.divergence) == ("failed", 3, None)
        with pytest.raises(ReplayFailed):
            await engine.run("n", session="a")
        assert await engine.value("n", session="a", at=1) == "7"


async def test_what_could_not_be_stored_is_not_accepted(open_engine, tmp_path, monkeypatch):
    await diverge(open_engine, tmp_path)

    async def full(_records):
        raise StoreFailed("the disk is full")

    async with open_engine(tmp_path) as engine:
        with monkeypatch.context() as patch:
            patch.setattr(engine.log, "append", full)
            with pytest.raises(StoreFailed):
                await accept(engine)
        assert ((await info(engine)).status, (await info(engine)).head_seq) == ("diverged", 3)
        with pytest.raises(Diverged):
            await engine.run("n", session="a")
        assert (await accept(engine)).status == "ok"


async def test_accepting_is_put_off_where_a_recovery_would_be(open_engine, tmp_path):
    await diverge(open_engine, tmp_path)
    async with open_engine(tmp_path) as engine:
        with pytest.raises(Diverged):
            await engine.run("n", session="a")
        sessions = engine.supervisor._sessions
        sessions.max_recovery_seconds, enough = 0, sessions.max_recovery_seconds
        with pytest.raises(Unavailable, match=r"not rebuilt within 0 s.* the next request begins anew"):
            await accept(engine)
        assert (await info(engine)).status == "diverged"
        sessions.max_recovery_seconds = enough
        assert (await accept(engine)).status == "ok"


async def test_a_session_that_replays_as_recorded_after_all_just_goes_on(engine, monkeypatch):
    await engine.run("let n = 7", session="a")
    await engine.run("for (;;);", session="a", time_ms=50)
    with monkeypatch.context() as patch:
        patch.setattr(comparison, "_compare", lambda *_, **__: Difference("result", "this", "that"))
        with pytest.raises(Diverged):
            await engine.run("n", session="a")
    assert (await info(engine)).status == "diverged"
    after = await accept(engine)
    assert (after.status, after.head_seq) == ("ok", 2)
    assert await engine.value("n", session="a") == "7"


async def test_a_later_divergence_can_be_accepted_too(open_engine, tmp_path):
    await diverge(open_engine, tmp_path)
    async with open_engine(tmp_path) as engine:
        await accept(engine)
        await engine.run("n = 7", session="a")
        await append_altered(engine, "a", "n *= 2; n", result="'again not'")
    async with open_engine(tmp_path) as engine:
        await accept(engine)
        assert list((await last_event(engine)).digests) == [6]
    async with open_engine(tmp_path) as engine:
        assert await engine.value("n", session="a") == "14"
        assert await engine.value("n", session="a", at=5) == "7"
        assert await engine.value("n", session="a", at=4) == "71"


async def test_forks_of_an_accepted_session_replay_as_it_does(open_engine, tmp_path):
    await diverge(open_engine, tmp_path)
    async with open_engine(tmp_path) as engine:
        await accept(engine)
        await engine.run("n = 100", session="a")
        for name, at in (("at-the-head", 5), ("at-the-accepted", 4), ("before", 1), ("within", 3)):
            await engine.supervisor.requests.fork(OWNER, "a", at=at, into=name, caller=CALLER)
        await engine.supervisor.requests.delete(OWNER, "a", CALLER)
    async with open_engine(tmp_path) as engine:
        assert await engine.value("n", session="at-the-head") == "100"
        assert await engine.value("n", session="at-the-accepted") == "71"
        assert await engine.value("n", session="before") == "7"
        with pytest.raises(Diverged):  # that state was only ever recorded
            await engine.run("n", session="within")
        assert (await accept(engine, "within")).status == "ok"
        assert await engine.value("n", session="within") == "71"


# --- what is compared -------------------------------------------------------------------------------


async def test_a_replay_must_agree_with_what_was_accepted(open_engine, tmp_path):
    await diverge(open_engine, tmp_path)
    async with open_engine(tmp_path) as engine:
        await append_accepted(engine, {2: bytes(32), 3: bytes(32)})
        with pytest.raises(Diverged) as refused:
            await engine.run("n", session="a")
        found = refused.value.divergence
        assert (found.seq, found.field, found.expected) == (2, "digest", bytes(32).hex())
        assert found.agreed.seq == 1


async def test_what_was_accepted_under_another_engine_is_not_compared_until_it_is_accepted_here(
    open_engine, tmp_path
):
    await diverge(open_engine, tmp_path)
    async with open_engine(tmp_path) as engine:
        await append_accepted(engine, {2: bytes(32), 3: bytes(32)}, "0" * 32)
        assert await engine.value("n", session="a") == "71"
        await engine.run("n = 7", session="a")
        await append_altered(engine, "a", "n * 2", result="'not that'")
    async with open_engine(tmp_path) as engine:
        with pytest.raises(Diverged) as refused:
            await engine.run("n", session="a")
        assert (refused.value.divergence.seq, refused.value.divergence.agreed.seq) == (7, 6)
        await accept(engine)
        digests = (await last_event(engine)).digests
        assert list(digests) == [2, 3, 7]
        assert bytes(32) not in digests.values()
    async with open_engine(tmp_path) as engine:
        assert await engine.value("n", session="a") == "7"


# --- checkpoints ------------------------------------------------------------------------------------


async def test_a_checkpoint_of_a_state_that_was_not_accepted_serves_only_to_go_back_to_it(
    open_engine, tmp_path
):
    await diverge(open_engine, tmp_path)
    kept = Checkpoints()
    async with open_engine(tmp_path, observers=[kept], restore_target_seconds=0) as engine:
        recorded = await engine.run("let n = 1000", session="other")
        await kept.of(recorded.event)
        await accept(engine)
        await _keep_as(engine, "other", "a", 3)
    async with open_engine(tmp_path) as engine:
        assert await engine.value("n", session="a") == "71"
        assert await engine.value("n", session="a", at=3) == "1000"


async def _keep_as(engine: Engine, of: str, name: str, seq: int) -> None:
    """Give a session a checkpoint of one of its states that holds the state of another session."""
    other, row = [await engine.log.session_named(OWNER, one) for one in (of, name)]
    checkpoint = (await engine.log.checkpoints(other.session))[0]
    snapshot = checkpoints.unseal(
        await engine.blobs.get(checkpoint.blob), checkpoint.state, checkpoint.engine
    )
    state = (await engine.supervisor.event(OWNER, name, seq)).id
    blob = await engine.blobs.put(checkpoints.seal(state, checkpoint.engine, snapshot))
    await engine.log.forget_checkpoints(await engine.log.checkpoints(row.session))
    await engine.log.add_checkpoint(replace(checkpoint, session=row.session, seq=seq, state=state, blob=blob))


async def test_no_checkpoint_is_made_of_a_state_on_the_way_that_has_no_name(
    open_engine, tmp_path, monkeypatch
):
    await diverge(open_engine, tmp_path)
    kept = Checkpoints()
    options = {"observers": [kept], "restore_target_seconds": 0}
    async with open_engine(tmp_path, **options) as engine:
        await accept(engine)
        await engine.supervisor.drain(20)
    replayed = count_replays(monkeypatch)
    async with open_engine(tmp_path, **options) as engine:
        row = await engine.log.session_named(OWNER, "a")
        await engine.log.forget_checkpoints(await engine.log.checkpoints(row.session))
        assert await engine.value("n", session="a") == "71"
        await engine.supervisor.drain(20)
    assert replayed == [1, 2, 3]
    assert set(kept.kept) <= {1, 4, 5}


# --- drift ------------------------------------------------------------------------------------------


async def test_texts_of_another_engine_that_differ_are_counted_and_told(open_engine, tmp_path):
    async with open_engine(tmp_path) as engine:
        await engine.run("let n = 7", session="a")
        for changes in ({}, {"result": "seven"}, {"result_json_omitted": "another reason"}):
            await append_altered(engine, "a", "n", engine_id="0" * 32, **changes)
    seen = Checkpoints()
    async with open_engine(tmp_path, observers=[seen]) as engine:
        assert await engine.value("n", session="a") == "7"
        assert ((await info(engine)).status, (await info(engine)).drift) == ("ok", 2)
        (recovered,) = seen.recoveries
        drift = recovered.drift
        assert (drift.count, drift.seq, drift.field) == (2, 3, "result")
        await engine.supervisor.requests.state(OWNER, "a", at=2)
        assert (await info(engine)).drift == 2


async def test_an_upgrade_of_the_engine_keeps_sessions_and_tells_what_differs(
    open_engine, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr("engine.sessions.Sessions.engine_id", "f" * 32)
        async with open_engine(tmp_path) as engine:
            await engine.run("let n = 7; new Map([[n, [n]]])", session="a")
            await engine.run("console.log(n); throw new Error('seen')", session="a")
    async with open_engine(tmp_path) as engine:
        assert await engine.value("n", session="a") == "7"
        assert ((await info(engine)).status, (await info(engine)).drift) == ("ok", 0)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("status", {"status": "failed"}),
        ("result_json", {"result_json": "8"}),
        ("pending", {"pending": True}),
        ("pending_timers", {"pending_timers": 3}),
    ],
)
async def test_what_code_can_act_upon_must_agree_with_another_engine(open_engine, tmp_path, field, changes):
    async with open_engine(tmp_path) as engine:
        await engine.run("let n = 7", session="a")
        await append_altered(engine, "a", "n", engine_id="0" * 32, **changes)
    async with open_engine(tmp_path) as engine:
        with pytest.raises(Diverged) as refused:
            await engine.run("n", session="a")
        assert refused.value.divergence.field == field
