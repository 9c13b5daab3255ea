"""A small log of which any byte is altered, or the end is missing, in the database or the write-ahead log.

What is read of it is as it was appended, up to some event, or an error of the store says that it is damaged.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import pytest
from log_samples import History, collect

from engine.chain import Record
from engine.errors import StoreError
from persistence import schema, sqlite, writer
from persistence.schema import DATABASE_NAME
from persistence.sqlite import SqliteEventLog, open_sqlite_log

FILES = (DATABASE_NAME, f"{DATABASE_NAME}-wal")
SEED = 1
SHARE = 60
"""So many of the offsets of each file are looked at, where it is not all of them."""

Damage = Callable[[bytes, int], bytes]


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]


def truncated(data: bytes, at: int) -> bytes:
    return data[:at]


class Log:
    """The files of a log of whose events some are in the database and some in the write-ahead log only."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.files: dict[str, bytes] = {}
        self.histories = [History("s1"), History("s2")]

    async def make(self) -> None:
        history, fork = self.histories
        history.created()
        history.executed(idempotency_key="k1", input='"' + "x" * 1_500 + '"')
        history.aborted()
        history.tagged()
        async with open_sqlite_log(self._directory) as log:
            await log.append(history.records)
        async with open_sqlite_log(self._directory) as log:
            await log.append([history.executed()])
            fork.forked(history.head)
            fork.executed(idempotency_key="k2")
            await log.append(fork.records)
            self.files = {name: (self._directory / name).read_bytes() for name in FILES}

    def place(self, name: str, altered: bytes) -> None:
        """Put the files into the directory, one of them altered, as a process that was killed left them."""
        shutil.rmtree(self._directory)
        self._directory.mkdir()
        for other, data in self.files.items():
            (self._directory / other).write_bytes(altered if other == name else data)

    async def check(self) -> str:
        """Read all of it, in every way; what it came to."""
        try:
            async with open_sqlite_log(self._directory) as log:
                return "read" if await self._read(log) else "refused"
        except StoreError:
            return "refused"

    async def _read(self, log: SqliteEventLog) -> bool:
        whole = True
        known = {record.id: record for history in self.histories for record in history.records}
        for history in self.histories:
            found: list[Record] = []
            whole &= await _allowed(_into(found, collect(log.read(history.session))))
            assert found == history.records[: len(found)]
        for name, record in known.items():
            whole &= await _same(log.event(name), record)
        whole &= await _same(log.idempotent("ann", "k1"), self.histories[0].records[1])
        whole &= await _same(log.execution("e_s2_6"), self.histories[1].records[1])
        listed: list[Record] = []
        whole &= await _allowed(_listed(listed, log))
        assert all(known.get(record.id) == record for record in listed)
        return whole


async def _into(found: list[Record], reading: Awaitable[list[Record]]) -> None:
    found += await reading


async def _listed(found: list[Record], log: SqliteEventLog) -> None:
    found += (await log.executions("ann", limit=100)).items


async def _same(reading: Awaitable[Record | None], expected: Record) -> bool:
    found: list[Record | None] = []

    async def read() -> None:
        found.append(await reading)

    allowed = await _allowed(read())
    assert all(record in (None, expected) for record in found)
    return allowed


async def _allowed(reading: Awaitable[None]) -> bool:
    """Whether it was read; if not, the store said so."""
    try:
        await reading
    except StoreError:
        return False
    return True


@pytest.fixture
async def log(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Log:
    """Of small pages, so that the files are small, and without syncs."""
    connect = schema.connect

    def small(path: Path) -> sqlite3.Connection:
        db = connect(path)
        db.executescript("PRAGMA page_size = 512; PRAGMA synchronous = OFF")
        return db

    for module in (schema, sqlite, writer):
        monkeypatch.setattr(module, "connect", small)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    log = Log(directory)
    await log.make()
    return log


async def sweep(log: Log, name: str, damage: Damage, offsets: Iterable[int]) -> dict[str, int]:
    came_to = {"read": 0, "refused": 0}
    for at in offsets:
        log.place(name, damage(log.files[name], at))
        try:
            came_to[await log.check()] += 1
        except Exception as wrong:
            wrong.add_note(f"{damage.__name__} at {at} of {name}")
            raise
    return came_to


ALL = [
    pytest.param(name, damage, id=f"{name} {damage.__name__}")
    for name in FILES
    for damage in (flipped, truncated)
]


async def test_the_files_as_they_are_hold_everything(log: Log) -> None:
    for name in FILES:
        assert len(log.files[name]) > 10_000
        log.place("", b"")
        assert await log.check() == "read"


@pytest.mark.parametrize(("name", "damage"), ALL)
async def test_wherever_it_is_damaged_nothing_altered_is_read(log: Log, name: str, damage: Damage) -> None:
    chance = random.Random(SEED)
    came_to = await sweep(log, name, damage, sorted(chance.sample(range(len(log.files[name])), SHARE)))
    assert came_to["read"] + came_to["refused"] == SHARE
    assert came_to["refused"] or name != DATABASE_NAME


@pytest.mark.torture
@pytest.mark.parametrize(("name", "damage"), ALL)
async def test_every_byte_and_every_end(log: Log, name: str, damage: Damage) -> None:
    await sweep(log, name, damage, range(len(log.files[name])))
