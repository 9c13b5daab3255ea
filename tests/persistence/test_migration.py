"""Stores of older versions are opened, and brought to this version in one transaction."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from log_samples import History, collect

from engine.chain import Record
from engine.errors import AppendConflict, StoreCorrupt, StoreError
from engine.events import Aborted, Executed, Outcome, Tagged
from persistence import schema
from persistence.heads import advance
from persistence.schema import APPLICATION_ID, DATABASE_NAME, STORE_VERSION, session_values
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


def make_version_1(directory: Path, *histories: History) -> Path:
    """A store with these sessions, as version 1 wrote it."""
    directory.mkdir()
    path = directory / DATABASE_NAME
    with closing(sqlite3.connect(path)) as db:
        db.executescript(VERSION_1)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("PRAGMA user_version = 1")
        for history in histories:
            db.executemany(
                "INSERT INTO events (session, seq, execution_id, key_owner, idempotency_key, id, prev, body, "
                "large) VALUES (?,?,?,?,?,?,?,?,?)",
                map(version_1_row, history.records),
            )
            values = session_values(advance(None, history.records))
            db.execute(f"INSERT INTO sessions VALUES ({','.join('?' * len(values))})", values)
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


async def test_a_store_of_version_1_is_read_listed_and_continued(directory: Path) -> None:
    history, fork = old_histories()
    path = make_version_1(directory, history, fork)
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


async def test_an_old_store_gets_the_same_tables_as_a_new_one(tmp_path: Path) -> None:
    make_version_1(tmp_path / "old", *old_histories())
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


async def test_a_migration_that_fails_leaves_the_old_store(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    histories = old_histories()
    path = make_version_1(directory, *histories)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "_FROM_VERSION_1", f"{schema._FROM_VERSION_1} INSERT INTO nowhere VALUES (1);")
        with pytest.raises(StoreError, match="nowhere"):
            async with open_sqlite_log(directory):
                pass
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == 1
        assert "status" not in [row[1] for row in db.execute("PRAGMA table_info(events)")]
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
