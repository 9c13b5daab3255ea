"""Stores of older versions are opened, and brought to this version in one transaction."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from log_samples import History, checkpoint_of, collect, faults_of

from engine.chain import Record
from engine.errors import AppendConflict, StoreCorrupt, StoreError
from engine.events import Aborted, Executed, Forked, Outcome, Tagged
from engine.outcomes import status_of
from persistence import schema
from persistence.heads import advance
from persistence.schema import (
    APPLICATION_ID,
    DATABASE_NAME,
    SESSION_COLUMNS,
    STORE_VERSION,
    session_values,
)
from persistence.sqlite import open_sqlite_log

VERSION_1 = """
CREATE TABLE events (
    session         TEXT NOT NULL,
    seq             INTEGER NOT NULL,
    id              BLOB NOT NULL UNIQUE,
    prev            BLOB NOT NULL,
    body            BLOB NOT NULL,
    large           BLOB,
    execution_id    TEXT,
    key_owner       TEXT,
    idempotency_key TEXT,
    UNIQUE (session, seq)
);
CREATE UNIQUE INDEX events_execution ON events (execution_id) WHERE execution_id IS NOT NULL;
CREATE UNIQUE INDEX events_key ON events (key_owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE sessions (
    session    TEXT PRIMARY KEY,
    owner      TEXT NOT NULL,
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    head_seq   INTEGER NOT NULL,
    head_id    BLOB NOT NULL,
    state_seq  INTEGER NOT NULL,
    state_id   BLOB NOT NULL,
    closed     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX sessions_open ON sessions (owner, name) WHERE NOT closed;
"""
"""The tables as version 1 made them. Never to be changed: there are stores that have them."""


VERSION_2 = """
CREATE TABLE events (
    session         TEXT NOT NULL,
    seq             INTEGER NOT NULL,
    id              BLOB NOT NULL UNIQUE,
    prev            BLOB NOT NULL,
    body            BLOB NOT NULL,
    large           BLOB,
    execution_id    TEXT,
    owner           TEXT,
    idempotency_key TEXT,
    status          TEXT,
    UNIQUE (session, seq)
);
CREATE UNIQUE INDEX events_execution ON events (execution_id) WHERE execution_id IS NOT NULL;
CREATE UNIQUE INDEX events_key ON events (owner, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE sessions (
    session    TEXT PRIMARY KEY,
    owner      TEXT NOT NULL,
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    head_seq   INTEGER NOT NULL,
    head_id    BLOB NOT NULL,
    state_seq  INTEGER NOT NULL,
    state_id   BLOB NOT NULL,
    closed     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX sessions_open ON sessions (owner, name) WHERE NOT closed;
CREATE INDEX events_status ON events (owner, status) WHERE status IS NOT NULL;
CREATE TABLE tags (
    session TEXT NOT NULL,
    target  INTEGER NOT NULL,
    key     TEXT NOT NULL,
    value   TEXT NOT NULL,
    PRIMARY KEY (session, target, key)
) WITHOUT ROWID;
CREATE INDEX tags_key ON tags (key, value);
"""
"""The same of version 2."""

VERSION_3 = f"""
{VERSION_2}
ALTER TABLE sessions ADD COLUMN parent TEXT;
CREATE TABLE checkpoints (
    session TEXT NOT NULL,
    seq     INTEGER NOT NULL,
    engine  TEXT NOT NULL,
    state   BLOB NOT NULL,
    blob    TEXT NOT NULL,
    size    INTEGER NOT NULL,
    made_at INTEGER NOT NULL,
    cost_us INTEGER NOT NULL,
    PRIMARY KEY (session, seq, engine)
) WITHOUT ROWID;
"""
"""The same of version 3."""

INSERTS = {
    1: "INSERT INTO events (session, seq, execution_id, key_owner, idempotency_key, id, prev, body, large) "
    "VALUES (?,?,?,?,?,?,?,?,?)",
    2: "INSERT INTO events (session, seq, execution_id, owner, idempotency_key, status, id, prev, body, large) "
    "VALUES (?,?,?,?,?,?,?,?,?,?)",
}

INSERTS[3] = INSERTS[2]

Make = Callable[..., Path]
LATER = 1 << 40
"""A time after all events of these tests."""


def make_version_1(directory: Path, *histories: History) -> Path:
    """A store with these sessions, as version 1 wrote it."""
    return make_store(directory, 1, VERSION_1, map(version_1_row, merged(histories)), histories)


def make_version_2(directory: Path, *histories: History) -> Path:
    """A store with these sessions, as version 2 wrote it; its labels are left out."""
    return make_store(directory, 2, VERSION_2, map(version_2_row, merged(histories)), histories)


def make_version_3(directory: Path, *histories: History) -> Path:
    """A store with these sessions, as version 3 wrote it; its labels and checkpoints are left out."""
    path = make_store(directory, 3, VERSION_3, map(version_2_row, merged(histories)), histories)
    with closing(sqlite3.connect(path)) as db:
        for first in (history.records[0].event for history in histories):
            if isinstance(first, Forked):
                db.execute("UPDATE sessions SET parent = ? WHERE session = ?", (first.parent, first.session))
        db.commit()
    return path


def merged(histories: Sequence[History]) -> list[Record]:
    return [record for history in histories for record in history.records]


def make_store(
    directory: Path,
    version: int,
    tables: str,
    rows: Iterable[tuple[object, ...]],
    histories: Sequence[History],
) -> Path:
    directory.mkdir()
    path = directory / DATABASE_NAME
    with closing(sqlite3.connect(path)) as db:
        db.executescript(tables)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {version}")
        db.executemany(INSERTS[version], rows)
        for history in histories:
            values = session_values(advance(None, history.records))
            places = ",".join("?" * len(values))
            db.execute(f"INSERT INTO sessions ({SESSION_COLUMNS}) VALUES ({places})", values)
        db.commit()
    return path


def version_1_row(record: Record) -> tuple[object, ...]:
    event = record.event
    keys: tuple[object, ...] = (None, None, None)
    if isinstance(event, (Executed, Aborted)):
        key = event.idempotency_key
        keys = (event.execution_id, None if key is None else event.owner, key)
    large = msgspec.msgpack.encode(record.large) if record.large else None
    return (event.session, event.seq, *keys, record.id, record.prev, record.body, large)


def version_2_row(record: Record) -> tuple[object, ...]:
    event = record.event
    keys: tuple[object, ...] = (None, None, None, None)
    if isinstance(event, (Executed, Aborted)):
        keys = (event.execution_id, event.owner, event.idempotency_key, status_of(event))
    large = msgspec.msgpack.encode(record.large) if record.large else None
    return (event.session, event.seq, *keys, record.id, record.prev, record.body, large)


def old_histories() -> tuple[History, History]:
    """Every kind of event that version 1 wrote: it had no labels."""
    history = History()
    history.created()
    history.executed(code="x" * 50_000, idempotency_key="k1", request_hash="ab")
    history.aborted(reason="stack_overflow")
    history.executed(outcome=Outcome(status="failed", result="y" * 2_000))
    fork = History("s2", name="fork")
    fork.forked(history.head)
    fork.executed()
    return history, fork


OLD = pytest.mark.parametrize(
    "make",
    [make_version_1, make_version_2, make_version_3],
    ids=["version 1", "version 2", "version 3"],
)


@OLD
async def test_an_old_store_is_read_listed_and_continued(directory: Path, make: Make) -> None:
    history, fork = old_histories()
    path = make(directory, history, fork)
    async with open_sqlite_log(directory) as log:
        assert await collect(log.read("s1")) == history.records
        assert await collect(log.read("s2")) == fork.records
        executed = history.records[1]
        assert await log.idempotent("ann", "k1") == executed == await log.execution("e_s1_1")
        listed = (await log.executions("ann", limit=9)).items
        assert [record.event.execution_id for record in listed] == ["e_s2_5", "e_s1_3", "e_s1_2", "e_s1_1"]
        failed = (await log.executions("ann", limit=9, status="failed")).items
        assert [record.event.execution_id for record in failed] == ["e_s1_3", "e_s1_2"]
        with pytest.raises(AppendConflict, match="idempotency key"):
            await log.append([fork.executed(idempotency_key="k1")])
        fork.undo()
        await log.append([fork.tagged(5, release="1")])
        assert (await log.details(["s2"]))["s2"].tags == {5: {"release": "1"}}
    async with open_sqlite_log(directory) as log:
        assert isinstance((await collect(log.read("s2")))[-1].event, Tagged)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == STORE_VERSION
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


async def test_bringing_a_store_to_this_version_is_told_once(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_version_1(directory, *old_histories())
    caplog.set_level(logging.INFO)
    for _ in range(2):
        async with open_sqlite_log(directory):
            pass
    assert len([line for line in caplog.messages if "has store format 1" in line]) == 1


@OLD
async def test_an_old_store_gets_the_same_tables_as_a_new_one(tmp_path: Path, make: Make) -> None:
    make(tmp_path / "old", *old_histories())
    shapes = []
    for name in ("old", "new"):
        async with open_sqlite_log(tmp_path / name):
            pass
        with closing(sqlite3.connect(tmp_path / name / DATABASE_NAME)) as db:
            tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            columns = {
                table: sorted(db.execute(f"SELECT name, type FROM pragma_table_info('{table}')"))
                for table in tables
            }
            indexes = {
                row[0]: [
                    tuple(column) for column in db.execute(f"SELECT name FROM pragma_index_info('{row[0]}')")
                ]
                for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
            }
            shapes.append((columns, indexes))
    assert shapes[0] == shapes[1]


@OLD
async def test_the_forks_in_an_old_store_keep_checkpoints_of_what_they_come_from(
    directory: Path, make: Make
) -> None:
    """A fork of a fork is open: it has no checkpoint, those that it comes from have."""
    first, alone = History("s1"), History("alone")
    first.created()
    first.executed()
    first.executed()
    second, third = History("s2"), History("s3")
    second.forked(first.records[1])
    second.executed()
    third.forked(second.head)
    alone.created()
    for history in (first, second, alone):
        history.closed()
    make(directory, first, second, third, alone)
    async with open_sqlite_log(directory) as log:
        for history in (first, second, alone):
            await log.add_checkpoint(checkpoint_of(history.records[-2], blob=history.session))
        assert await log.checkpoint_blobs() == {"s1", "s2"}
        await log.append([third.closed()])
        assert await log.checkpoint_blobs() == set()


@OLD
async def test_only_forks_in_an_old_store_have_parents(directory: Path, make: Make) -> None:
    path = make(directory, *old_histories())
    async with open_sqlite_log(directory) as log:
        assert await faults_of(log) == []
    with closing(sqlite3.connect(path)) as db:
        assert dict(db.execute("SELECT session, parent FROM sessions")) == {"s1": None, "s2": "s1"}


@OLD
async def test_sessions_that_were_deleted_in_an_old_store_give_their_space_back(
    directory: Path, make: Make
) -> None:
    """But for what an open fork comes from."""
    first, second, alone = History("s1"), History("s2"), History("alone")
    for history in (first, alone):
        history.created()
        history.executed()
        history.executed()
    second.forked(first.records[1])
    for history in (first, alone):
        history.closed()
    make(directory, first, second, alone)
    async with open_sqlite_log(directory) as log:
        while sessions := await log.purgeable(LATER, limit=9):
            for session in sessions:
                await log.purge(session, LATER)
        assert await log.session("alone") is None
        assert await collect(log.read("s1")) == first.records[:2]
        assert await collect(log.read("s2")) == second.records


@pytest.mark.parametrize(
    ("make", "version", "statements"),
    [
        (make_version_1, 1, "_FROM_VERSION_1"),
        (make_version_2, 2, "_FROM_VERSION_2"),
        (make_version_3, 3, "_SPACE"),
    ],
)
async def test_a_migration_that_fails_leaves_the_old_store(
    directory: Path, monkeypatch: pytest.MonkeyPatch, make: Make, version: int, statements: str
) -> None:
    histories = old_histories()
    path = make(directory, *histories)
    with monkeypatch.context() as patch:
        broken = f"{getattr(schema, statements)} INSERT INTO nowhere VALUES (1);"
        patch.setattr(schema, statements, broken)
        with pytest.raises(StoreError, match="nowhere"):
            async with open_sqlite_log(directory):
                pass
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == version
        columns = [row[1] for row in db.execute("PRAGMA table_info(sessions)")]
        assert "first_seq" not in columns
        assert ("parent" in columns) == (version >= 3)
        assert ("status" in [row[1] for row in db.execute("PRAGMA table_info(events)")]) == (version >= 2)
    async with open_sqlite_log(directory) as log:
        assert await collect(log.read("s1")) == histories[0].records


async def test_a_damaged_event_in_an_old_store_is_refused_when_it_is_read_and_not_before(
    directory: Path,
) -> None:
    history, fork = old_histories()
    path = make_version_1(directory, history, fork)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE events SET body = x'00' WHERE execution_id = 'e_s1_1'")
        db.execute("UPDATE events SET large = x'c1' WHERE execution_id = 'e_s1_3'")
        db.commit()
    async with open_sqlite_log(directory) as log:
        assert await log.execution("e_s2_5") == fork.records[-1]
        for execution_id in ("e_s1_1", "e_s1_3"):
            with pytest.raises(StoreCorrupt):
                await log.execution(execution_id)
