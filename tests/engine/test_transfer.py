"""Sessions leave one store and are the same in another: names, ids, states, labels, and what they go on to do."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from engines import CALLER, OWNER, Engine, OpenEngine, append_altered, both_stores, submission
from msgspec.structs import asdict, replace
from portable_files import check, lines_of, packed, pieces

from engine import transfer
from engine.catalog import SessionInfo
from engine.chain import Record
from engine.errors import (
    Busy,
    Conflict,
    EngineError,
    FileCorrupt,
    NotFound,
    StoreFull,
    TooLarge,
    TooManySessions,
    Unavailable,
)
from engine.limits import LimitPolicy
from engine.transfer import Imported
from persistence.adoption import LogAdoption


async def export(engine: Engine, name: str, owner: str = OWNER) -> bytes:
    return b"".join([chunk async for chunk in await engine.supervisor.store.export(owner, name, "test")])


async def import_(engine: Engine, file: bytes, owner: str = OWNER) -> Imported:
    async with aclosing(arriving(file)) as source:
        return await engine.supervisor.store.import_session(owner, source, CALLER)


async def arriving(file: bytes, then: trio.Event | None = None) -> AsyncGenerator[bytes, None]:
    """A file that comes in pieces, the last one not before ``then``."""
    *first, last = pieces(file, max(1, len(file) // 3))
    for piece in first:
        yield piece
        await trio.lowlevel.checkpoint()
    if then is not None:
        await then.wait()
    yield last


async def family(engine: Engine) -> None:
    """``base``, with an execution of each outcome and labels; ``fork`` of it; and ``twig``, a fork of that."""
    for code, options in (
        ("let xs = [1, 2]; const id = crypto.randomUUID()", {}),
        ("xs.push(input.n); console.log('%d', xs.length); xs", {"input": '{"n":3}'}),
        ("null.x", {}),
        ("for (;;);", {"time_ms": 50}),
        ("setTimeout(() => xs.push(Date.now()), 5); xs.length", {"idempotency_key": "key-1"}),
    ):
        await engine.run(code, session="base", **options)
    await engine.supervisor.requests.tag(OWNER, "base", at=2, tags={"stage": "raw", "x": "1"}, caller=CALLER)
    await engine.supervisor.requests.tag(OWNER, "base", at=2, tags={"x": None}, caller=CALLER)
    await engine.supervisor.requests.fork(OWNER, "base", at=3, into="fork", caller=CALLER)
    await engine.run("xs.push(Math.random()); xs.at(-1)", session="fork")
    await engine.run("xs.push('late')", session="fork")
    await engine.supervisor.requests.fork(OWNER, "fork", at=5, into="twig", caller=CALLER)
    await engine.supervisor.requests.tag(OWNER, "twig", at=1, tags={"stage": "old"}, caller=CALLER)
    await engine.run("id.length + xs.length", session="twig")


NAMES = ("base", "fork", "twig")


def lasting(info: SessionInfo) -> dict[str, Any]:
    """What there is to a session that is not of this run of the engine."""
    passing = {
        "awake": False,
        "running": 0,
        "checkpoint": None,
        "checkpoint_declined": None,
        "recovering": None,
    }
    return asdict(replace(info, **passing))


@both_stores
async def test_sessions_are_the_same_in_another_store_and_replay_there(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    async with open_engine(tmp_path / "one") as engine:
        await family(engine)
        files = {name: await export(engine, name) for name in NAMES}
        infos = {name: lasting(await engine.supervisor.session(OWNER, name)) for name in NAMES}
        events = {name: (await engine.supervisor.events(OWNER, name)).items for name in NAMES}
        state = (await engine.supervisor.requests.state(OWNER, "twig", at=None)).globals
    async with open_engine(tmp_path / "two") as engine:
        for name in ("twig", "base", "fork"):
            told = await import_(engine, files[name])
            assert (told.position.name, told.is_new, told.events) == (name, True, infos[name]["events"])
            assert lasting(await engine.supervisor.session(OWNER, name)) == infos[name]
        for name in NAMES:
            assert (await engine.supervisor.events(OWNER, name)).items == events[name]
            assert check(await export(engine, name)) == list(events[name])
            replayed = await engine.supervisor.past.replay(OWNER, name, at=None)
            assert (replayed.different, replayed.failed, replayed.drift) == (0, None, None)
        assert (await engine.supervisor.requests.state(OWNER, "twig", at=None)).globals == state
        execution = await engine.supervisor.executions.find(OWNER, events["base"][2].event.execution_id)
        assert execution.report is not None
        assert execution.report.result == "[ 1, 2, 3 ]"
        assert await engine.value("xs.length", session="twig") == "4"
        assert await engine.value("xs.length", session="base", at=2) == "3"
        again = await engine.run("0", heap=infos["fork"]["heap"])
        assert again.status == "completed"


async def test_a_session_that_diverged_and_was_accepted_comes_whole(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    async with open_engine(tmp_path / "one") as engine:
        await engine.run("let n = 1", session="odd")
        await append_altered(engine, "odd", "n *= 10; n", result="'not what it gives'")
    async with open_engine(tmp_path / "one") as engine:
        await engine.supervisor.requests.accept(OWNER, "odd", CALLER)
        assert await engine.value("++n", session="odd") == "11"
        file = await export(engine, "odd")
    async with open_engine(tmp_path / "two") as engine:
        await import_(engine, file)
        assert await engine.value("++n", session="odd") == "12"


async def test_what_is_there_already_stays_and_is_told_so(engine: Engine) -> None:
    await family(engine)
    for name in NAMES:
        before = await engine.supervisor.session(OWNER, name)
        told = await import_(engine, await export(engine, name))
        assert not told.is_new
        assert told.position.heap == before.heap
        assert await engine.supervisor.session(OWNER, name) == before


async def test_a_deleted_session_comes_back_once_what_was_left_is_gone(engine: Engine) -> None:
    await engine.run("let n = 1", session="a")
    file = await export(engine, "a")
    await engine.supervisor.requests.delete(OWNER, "a", CALLER)
    with pytest.raises(Conflict, match="was deleted here"):
        await import_(engine, file)
    assert engine.log is not None
    (session,) = await engine.log.purgeable(1 << 60, limit=9)
    await engine.log.purge(session, 1 << 60)
    assert (await import_(engine, file)).is_new
    assert await engine.value("++n", session="a") == "2"


async def test_only_the_owner_can_export_and_import(engine: Engine) -> None:
    await engine.run("1", session="mine")
    file = await export(engine, "mine")
    with pytest.raises(NotFound):
        await export(engine, "mine", owner="other")
    with pytest.raises(Conflict, match="belongs to 'tester', and you are 'other'"):
        await import_(engine, file, owner="other")


async def test_an_unknown_session_is_not_found(engine: Engine) -> None:
    with pytest.raises(NotFound, match="there is no session nobody"):
        await export(engine, "nobody")


async def test_a_stateless_engine_has_nothing_to_export(open_engine: OpenEngine) -> None:
    async with open_engine(None) as engine:
        for ask in (export(engine, "a"), import_(engine, b"")):
            with pytest.raises(EngineError, match="stateless"):
                await ask


async def exported(
    open_engine: OpenEngine, tmp_path: Path, *codes: str, name: str = "a", **options: Any
) -> bytes:
    """The file of a session in another store."""
    async with open_engine(tmp_path / "elsewhere", **options) as engine:
        for code in codes or ("let n = 1",):
            await engine.run(code, session=name)
        return await export(engine, name)


async def test_an_owner_gets_no_more_sessions_by_importing(open_engine: OpenEngine, tmp_path: Path) -> None:
    file = await exported(open_engine, tmp_path)
    async with open_engine(tmp_path / "store", policy=LimitPolicy(max_owner_sessions=2)) as engine:
        await engine.run("1", session="b")
        await engine.run("1", session="c")
        with pytest.raises(TooManySessions):
            await import_(engine, file)
        await engine.supervisor.requests.delete(OWNER, "b", CALLER)
        assert (await import_(engine, file)).is_new
        assert not (await import_(engine, file)).is_new
        for _ in range(2):
            with pytest.raises(TooManySessions):
                await engine.run("1", session="d")
        await engine.supervisor.requests.delete(OWNER, "a", CALLER)
        await engine.run("1", session="d")


async def test_a_refused_import_does_not_count_as_a_session(open_engine: OpenEngine, tmp_path: Path) -> None:
    file = await exported(open_engine, tmp_path)
    damaged = packed(lines_of(file)[:-1])
    async with open_engine(tmp_path / "store", policy=LimitPolicy(max_owner_sessions=1)) as engine:
        for _ in range(3):
            with pytest.raises(FileCorrupt):
                await import_(engine, damaged)
        assert (await import_(engine, file)).is_new


async def test_a_larger_file_than_is_allowed_is_refused(open_engine: OpenEngine, tmp_path: Path) -> None:
    file = await exported(open_engine, tmp_path, f"'{'x' * 9_000}'")
    async with open_engine(tmp_path / "store", policy=LimitPolicy(max_import_bytes=4_096)) as engine:
        with pytest.raises(TooLarge, match=r"over 4,096 bytes unpacked.*--max-import-bytes"):
            await import_(engine, file)


async def test_a_store_without_room_takes_nothing_in(open_engine: OpenEngine, tmp_path: Path) -> None:
    file = await exported(open_engine, tmp_path, *[f"'{number:09999}'" for number in range(99)])
    async with open_engine(tmp_path / "store", max_store_bytes=400_000) as engine:
        with pytest.raises(StoreFull):
            await import_(engine, file)
        with pytest.raises(NotFound):
            await engine.supervisor.session(OWNER, "a")


async def test_a_file_of_few_bytes_is_not_kept_aside_beyond_the_stores_room(
    open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await exported(open_engine, tmp_path, *[f"'{'x' * 900_000}'.length" for _ in range(12)])
    assert len(file) < 100_000

    async def at_once() -> AsyncGenerator[bytes, None]:
        yield file

    taken: list[int] = []
    add = LogAdoption.add

    async def counted(adoption: LogAdoption, batch: Sequence[Record]) -> None:
        await add(adoption, batch)
        taken.append(adoption.size)

    monkeypatch.setattr(LogAdoption, "add", counted)
    async with open_engine(tmp_path / "store", max_store_bytes=4_000_000) as engine:
        with pytest.raises(StoreFull):
            async with aclosing(at_once()) as source:
                await engine.supervisor.store.import_session(OWNER, source, CALLER)
    assert max(taken) < 6_000_000


async def test_events_of_higher_limits_are_refused_by_a_server_and_taken_by_a_command(
    open_engine: OpenEngine, tmp_path: Path
) -> None:
    generous = LimitPolicy(max_heap_mb=2_048)
    async with open_engine(tmp_path / "elsewhere", policy=generous) as engine:
        await engine.run("1", session="a", heap_mb=2_048)
        file = await export(engine, "a")
    async with open_engine(tmp_path / "store") as engine:
        with pytest.raises(TooLarge, match=r"event 1 was recorded with 2,048 MB of heap.*--heap-memory-max"):
            await import_(engine, file)
    async with open_engine(tmp_path / "store", for_command=True) as engine:
        assert (await import_(engine, file)).is_new


async def test_an_import_that_is_cancelled_leaves_nothing(
    engine: Engine, open_engine: OpenEngine, tmp_path: Path
) -> None:
    file = await exported(open_engine, tmp_path)
    async with aclosing(arriving(file, trio.Event())) as source:
        with trio.move_on_after(0.05):
            await engine.supervisor.store.import_session(OWNER, source, CALLER)
    with pytest.raises(NotFound):
        await engine.supervisor.session(OWNER, "a")
    assert (await import_(engine, file)).is_new


async def test_a_name_that_is_being_made_is_taken(
    engine: Engine, open_engine: OpenEngine, tmp_path: Path
) -> None:
    file = await exported(open_engine, tmp_path)
    sent = trio.Event()
    async with trio.open_nursery() as nursery:

        async def late() -> None:
            async with aclosing(arriving(file, sent)) as source:
                with pytest.raises(Conflict, match=r"just being made|another session a here"):
                    await engine.supervisor.store.import_session(OWNER, source, CALLER)

        nursery.start_soon(late)
        execution = await engine.supervisor.executions.submit(
            _submission("await new Promise(d => setTimeout(d, 100)); 7")
        )
        sent.set()
        report = await execution.wait(60)
        assert report is not None
        assert (report.status, report.created) == ("completed", True)


async def test_whoever_uses_a_session_that_is_being_imported_is_asked_to_wait(
    engine: Engine, open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await exported(open_engine, tmp_path)
    assert engine.log is not None
    reached, go_on = trio.Event(), trio.Event()
    adopt = engine.log._adopt

    async def slow(lineage: Any) -> None:
        reached.set()
        await go_on.wait()
        await adopt(lineage)

    monkeypatch.setattr(engine.log, "_adopt", slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(import_, engine, file)
        await reached.wait()
        with pytest.raises(Busy, match="session a is just being imported"):
            await engine.supervisor.executions.submit(_submission("1"))
        with pytest.raises(Busy):
            await engine.supervisor.requests.fork(OWNER, "a", at=None, into="b", caller=CALLER)
        with pytest.raises(Busy, match="1 imports are under way already"):
            await import_(engine, file)
        go_on.set()
    assert await engine.value("++n", session="a") == "2"


async def test_there_are_so_many_imports_at_once(
    engine: Engine, open_engine: OpenEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "MAX_IMPORTS", 2)
    file = await exported(open_engine, tmp_path)
    held = trio.Event()
    async with trio.open_nursery() as nursery:
        for owner in ("a", "b"):
            nursery.start_soon(_ignored, engine.supervisor.store.import_session(owner, _held(held), CALLER))
        await trio.testing.wait_all_tasks_blocked(0.01)
        with pytest.raises(Busy, match="2 imports are under way"):
            await import_(engine, file)
        held.set()
    assert (await import_(engine, file)).is_new


async def test_a_server_that_stops_takes_nothing_in(open_engine: OpenEngine, tmp_path: Path) -> None:
    file = await exported(open_engine, tmp_path)
    async with open_engine(tmp_path / "store") as engine:
        await engine.supervisor.drain(0)
        with pytest.raises(Unavailable):
            await import_(engine, file)


def _submission(code: str) -> Any:
    return submission(code, session="a")


async def _held(until: trio.Event) -> AsyncGenerator[bytes, None]:
    await until.wait()
    yield b""


async def _ignored(importing: Any) -> None:
    with pytest.raises(FileCorrupt):
        await importing
