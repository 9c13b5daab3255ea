"""Whatever is altered in the database is noticed by whoever reads it, and named."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import trio
from log_samples import collect, every_kind

from engine.errors import StoreCorrupt, StoreError
from persistence.schema import DATABASE_NAME, STORE_VERSION
from persistence.sqlite import SqliteEventLog, open_sqlite_log

Reading = Callable[[SqliteEventLog], Awaitable[object]]


@pytest.fixture
async def database(directory: Path) -> Path:
    """The database of a closed store with two sessions in it."""
    history, fork = every_kind()
    async with open_sqlite_log(directory) as log:
        await log.append(history.records[:-1])
        await log.append(fork.records)
        await log.append(history.records[-1:])
    return directory / DATABASE_NAME


def alter(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.create_function("flip", 2, _flip)
        for statement in statements:
            assert db.execute(statement).rowcount > 0, "the test altered nothing"


def _flip(value: bytes, at: int) -> bytes:
    changed = bytearray(value)
    changed[at] ^= 1
    return bytes(changed)


def session(name: str, first: int = 0, last: int | None = None) -> Reading:
    return lambda log: collect(log.read(name, first, last))


def execution(name: str) -> Reading:
    return lambda log: log.execution(name)


SWAP_IDS = (
    "CREATE TEMP TABLE ids AS SELECT seq, id FROM events WHERE session = 's1'",
    "UPDATE events SET id = randomblob(32) WHERE session = 's1' AND seq IN (2, 3)",
    "UPDATE events SET id = (SELECT id FROM ids WHERE ids.seq = 5 - events.seq) WHERE seq IN (2, 3)",
)


@pytest.mark.parametrize(
    ("statements", "reading", "place"),
    [
        (["UPDATE events SET body = flip(body, 40) WHERE seq = 3"], session("s1"), "s1, event 3"),
        (["UPDATE events SET body = flip(body, 40) WHERE seq = 2"], execution("e_s1_2"), "s1, event 2"),
        (["UPDATE events SET prev = flip(prev, 0) WHERE seq = 3"], session("s1"), "s1, event 3"),
        (["UPDATE events SET id = hex(id) WHERE seq = 3"], session("s1"), "s1, event 3: what is there is no"),
        (
            ["UPDATE events SET body = 'text' WHERE seq = 3"],
            session("s1"),
            "s1, event 3: what is there is no",
        ),
        (["UPDATE events SET large = flip(large, 900) WHERE seq = 1"], session("s1"), "s1, event 1"),
        (["UPDATE events SET large = flip(large, 5) WHERE seq = 1"], session("s1"), "s1, event 1"),
        (["UPDATE events SET large = flip(large, 0) WHERE seq = 1"], session("s1"), "s1, event 1"),
        (["UPDATE events SET large = NULL WHERE seq = 4"], execution("e_s1_4"), "s1, event 4"),
        (
            ["DELETE FROM events WHERE session = 's1' AND seq = 0"],
            session("s1"),
            "s1, event 1: it does",
        ),
        (
            ["DELETE FROM events WHERE session = 's1' AND seq = 2"],
            session("s1"),
            "s1, event 2.*missing",
        ),
        (["DELETE FROM events WHERE session = 's1' AND seq = 2"], session("s1", 3, 3), "s1, event 3"),
        (
            ["DELETE FROM events WHERE session = 's1' AND seq = 5"],
            session("s1"),
            "s1, event 5.*missing",
        ),
        (["DELETE FROM events WHERE session = 's1' AND seq > 1"], session("s1", 3), "s1, event 3"),
        (["DELETE FROM events WHERE session = 's1' AND seq = 4"], session("s2"), "s2, event 5"),
        (["DELETE FROM events WHERE session = 's2'"], session("s2"), "s2 has lost all events"),
        (["DELETE FROM sessions WHERE session = 's2'"], session("s2"), "s2 has lost its entry"),
        (["UPDATE sessions SET head_id = flip(head_id, 9)"], session("s2"), "s2, event 6"),
        (SWAP_IDS[1:2], session("s1"), "s1, event 2"),
        (["UPDATE events SET seq = 9 WHERE session = 's1' AND seq = 3"], session("s1"), "s1, event 3"),
        (["UPDATE events SET session = 's3' WHERE session = 's2' AND seq = 6"], session("s2"), "s2, event 6"),
        (
            ["UPDATE events SET execution_id = 'e_else' WHERE execution_id = 'e_s1_1'"],
            execution("e_else"),
            "s1, event 1",
        ),
        (
            ["UPDATE events SET owner = 'bob' WHERE idempotency_key = 'k1'"],
            lambda log: log.idempotent("bob", "k1"),
            "s1, event 1",
        ),
        (
            ["UPDATE events SET status = 'crashed' WHERE execution_id = 'e_s1_1'"],
            execution("e_s1_1"),
            "s1, event 1",
        ),
        (["UPDATE events SET status = NULL WHERE status = 'accepted'"], session("s1"), "s1, event 5"),
        (
            ["UPDATE events SET large = NULL WHERE status = 'accepted'"],
            lambda log: log.accepted("s1"),
            "s1, event 5",
        ),
    ],
)
async def test_what_was_altered_is_named(
    database: Path, statements: list[str], reading: Reading, place: str
) -> None:
    alter(database, *statements)
    async with open_sqlite_log(database.parent) as log:
        with pytest.raises(StoreCorrupt, match=f"session {place}"):
            await reading(log)


async def test_swapped_ids_are_noticed(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        for statement in SWAP_IDS:
            db.execute(statement)
        ids = dict(db.execute("SELECT seq, id FROM events WHERE session = 's1'"))
    async with open_sqlite_log(database.parent) as log:
        with pytest.raises(StoreCorrupt, match="session s1, event 2"):
            await collect(log.read("s1"))
        with pytest.raises(StoreCorrupt, match="session s1, event 3"):
            await log.event(ids[3])


async def test_every_byte_of_a_record_counts(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        original = db.execute("SELECT body FROM events WHERE session = 's1' AND seq = 3").fetchone()[0]
        async with open_sqlite_log(database.parent) as log:
            for at in range(len(original)):
                change = "UPDATE events SET body = ? WHERE session = 's1' AND seq = 3"
                db.execute(change, (_flip(original, at),))
                with pytest.raises(StoreCorrupt, match="session s1, event 3"):
                    await collect(log.read("s1", 3, 3))


async def test_what_is_before_the_damage_is_read_and_each_event_behind_it_can_be(database: Path) -> None:
    records = every_kind()[0].records
    alter(database, "DELETE FROM events WHERE session = 's1' AND seq = 2")
    async with open_sqlite_log(database.parent) as log:
        reading = log.read("s1")
        assert [await anext(reading), await anext(reading)] == records[:2]
        with pytest.raises(StoreCorrupt, match="session s1, event 2: it is missing"):
            await anext(reading)
        with pytest.raises(StoreCorrupt, match="session s1, event 3: it does not follow"):
            await collect(log.read("s1", 3))
        assert [await log.at("s1", seq) for seq in (1, 2, 3, 99)] == [records[1], None, records[3], None]


async def test_an_event_alone_is_compared_with_its_neighbours(database: Path) -> None:
    alter(
        database,
        "UPDATE events SET id = flip(id, 9) WHERE session = 's1' AND seq = 2",
        "UPDATE sessions SET head_id = flip(head_id, 9) WHERE session = 's2'",
    )
    async with open_sqlite_log(database.parent) as log:
        head = (await log.session("s2")).head_seq
        for session, seq in (("s1", 2), ("s1", 3), ("s2", head)):
            with pytest.raises(StoreCorrupt, match=f"session {session}, event {seq}: "):
                await log.at(session, seq)


async def test_damage_in_one_session_leaves_the_others_readable(database: Path) -> None:
    alter(database, "UPDATE events SET body = flip(body, 7) WHERE session = 's1' AND seq = 1")
    async with open_sqlite_log(database.parent) as log:
        assert await collect(log.read("s2")) == every_kind()[1].records


async def test_fields_that_no_event_refers_to_are_not_handed_out(database: Path) -> None:
    stray = msgspec.msgpack.encode({bytes(32): b"stray"}).hex()
    alter(database, f"UPDATE events SET large = x'{stray}' WHERE session = 's1' AND seq = 3")
    async with open_sqlite_log(database.parent) as log:
        assert await collect(log.read("s1", 3, 3)) == every_kind()[0].records[3:4]


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    await trio.Path(tmp_path / DATABASE_NAME).write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreCorrupt, match=r"events\.db is damaged"):
        async with open_sqlite_log(tmp_path):
            raise AssertionError("opened")


async def test_a_store_of_a_newer_program_is_refused_and_left_alone(database: Path) -> None:
    with closing(sqlite3.connect(database)) as db:
        db.execute(f"PRAGMA user_version = {STORE_VERSION + 1}")
    with pytest.raises(StoreError, match=f"format {STORE_VERSION + 1}.*newer mcp-v8"):
        async with open_sqlite_log(database.parent):
            raise AssertionError("opened")
    with closing(sqlite3.connect(database)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == STORE_VERSION + 1
        assert db.execute("SELECT count(*) FROM events").fetchone()[0] == 9


@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA application_id = 0",
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = -1",
    ],
)
async def test_a_store_without_the_marks_of_this_program_is_refused(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as db:
        db.execute(statement)
    with pytest.raises(StoreCorrupt, match=r"another program|no mcp-v8"):
        async with open_sqlite_log(database.parent):
            raise AssertionError("opened")


async def test_a_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / DATABASE_NAME
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match="another program"):
        async with open_sqlite_log(tmp_path):
            raise AssertionError("opened")
    assert path.read_bytes() == before


async def test_an_empty_database_is_taken(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).touch()
    async with open_sqlite_log(tmp_path) as log:
        assert (await log.sessions("o", limit=100)).items == ()
