"""Stores that older programs wrote are read as they are, and opened by their owner.

Each file is a database as the program of its time wrote it, from the golden history of an event format; the
names say which store format and which event format. They are never to be changed. A new store format gets
one, written by the last program that has the old one.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from itertools import groupby
from pathlib import Path

import pytest
from histories import FOLDER, path_of, read

from engine.chain import Record
from engine.events import Created, Forked
from persistence.eventlog import EventLog
from persistence.readonly import open_sqlite_reader
from persistence.schema import DATABASE_NAME, STORE_VERSION
from persistence.sqlite import open_sqlite_log

STORES = sorted((FOLDER / "stores").glob("*.db"))
OWNER = "tester"


@pytest.fixture(params=STORES, ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> Path:
    """One of the files."""
    return request.param


@pytest.fixture
def store(golden: Path, tmp_path: Path) -> Path:
    """A directory with it."""
    shutil.copy(golden, tmp_path / DATABASE_NAME)
    return tmp_path


def formats(golden: Path) -> tuple[int, int]:
    """Those of the store and of its events."""
    found = re.fullmatch(r"store(\d+)-events(\d+)", golden.stem)
    assert found is not None
    return int(found[1]), int(found[2])


def recorded(golden: Path) -> dict[str, list[Record]]:
    """The events that must be in it, by their sessions; the first store format had no labels."""
    store, events = formats(golden)
    sessions: dict[str, list[Record]] = {}
    for session, group in groupby(read(path_of(events)), key=lambda record: record.event.session):
        records = list(group)
        kinds = [type(record.event).__name__ for record in records]
        end = kinds.index("Tagged") if store == 1 and "Tagged" in kinds else len(records)
        sessions[session] = records[:end]
    return sessions


async def assert_holds(log: EventLog, sessions: dict[str, list[Record]]) -> None:
    for session, records in sessions.items():
        assert [record async for record in log.read(session)] == records
    listed = (await log.sessions(OWNER, limit=100)).items
    begun = {session: records[0].event for session, records in sessions.items()}
    assert {row.session: row.name for row in listed} == {
        session: first.name
        for session, first in begun.items()
        if isinstance(first, Created | Forked) and first.name != "deleted"
    }
    (branch,) = (row for row in listed if row.name == "branch")
    audits = [await log.audit(session) for session in await log.audited(None)]
    assert [one.faults for one in audits if one is not None] == [()] * len(sessions)
    assert await log.integrity() == []
    assert (await log.details([branch.session]))[branch.session].forked_from == ("golden", 5)


def test_there_is_a_store_of_every_format_that_there_was() -> None:
    assert {formats(path)[0] for path in STORES} == {*range(1, STORE_VERSION + 1)}
    assert {formats(path)[1] for path in STORES} == {int(path.stem[1:]) for path in FOLDER.glob("v*.jsonl")}


async def test_it_is_read_without_a_change_to_it(golden: Path, store: Path, temporary: Path) -> None:
    told: list[str] = []
    async with open_sqlite_reader(store, told.append) as log:
        await assert_holds(log, recorded(golden))
    version, _ = formats(golden)
    if version == STORE_VERSION:
        assert told == []
    else:
        (notice,) = told
        begins = f"{store / DATABASE_NAME} has store format {version}: reading a copy of its 0.1 MB"
        assert notice.startswith(begins)
    assert names(store) == [DATABASE_NAME]
    digests = {hashlib.sha256(path.read_bytes()).digest() for path in (golden, store / DATABASE_NAME)}
    assert len(digests) == 1
    assert names(temporary) == [], "the copy is gone"


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


async def test_its_owner_brings_it_to_this_version(golden: Path, store: Path) -> None:
    for _ in range(2):
        async with open_sqlite_log(store) as log:
            await assert_holds(log, recorded(golden))
    async with open_sqlite_reader(store, lambda told: pytest.fail(told)) as reader:
        await assert_holds(reader, recorded(golden))
