"""Logs that older formats and engines recorded are read, and replayed as they were recorded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pytest
from checkpointing import Checkpoints
from engines import OWNER
from histories import path_of, read
from msgspec import UNSET

from engine.chain import GENESIS, Record, seal
from engine.events import FORMAT_VERSION, Aborted, Closed, Created, Executed, Forked
from engine.history import history
from persistence.sqlite import open_sqlite_log

VERSIONS = range(1, FORMAT_VERSION + 1)


@pytest.fixture(params=VERSIONS, ids=lambda version: f"v{version}")
def version(request: pytest.FixtureRequest) -> int:
    """A version of the event format."""
    return request.param


@pytest.fixture
def records(version: int) -> list[Record]:
    """What it recorded."""
    return list(read(path_of(version)))


def by_session(records: Sequence[Record]) -> list[list[Record]]:
    """The sessions, a parent before its forks."""
    return [list(group) for _, group in groupby(records, key=lambda record: record.event.session)]


def test_a_history_holds_every_kind_of_event_that_its_format_has(version: int, records: list[Record]) -> None:
    kinds = {type(record.event).__name__.lower() for record in records}
    later = {"accepted"} if version < 2 else set()
    assert kinds == {"created", "forked", "executed", "aborted", "accepted", "tagged", "closed"} - later
    assert {record.event.v for record in records} == {version}
    assert any(record.large for record in records)
    reasons = {record.event.reason for record in records if isinstance(record.event, Aborted)}
    assert ("node_lost" in reasons) == (version >= 4)
    limits = [record.event.limits for record in records if isinstance(record.event, (Executed, Aborted))]
    assert {limit.cpu_ms is UNSET for limit in limits} == {version < 3}


def test_every_record_is_chained_to_the_one_before_and_encodes_to_the_same_bytes(
    records: list[Record],
) -> None:
    known = {GENESIS}
    for session in by_session(records):
        assert isinstance(session[0].event, (Created, Forked))
        assert session[0].prev in known
        for before, record in zip([None, *session], session, strict=False):
            assert before is None or record.prev == before.id
            assert seal(record.prev, record.event) == record
            known.add(record.id)


async def test_every_event_replays_in_this_engine_as_it_was_recorded(
    records: list[Record], open_engine, tmp_path: Path
) -> None:
    async with open_sqlite_log(tmp_path) as log:
        for session in by_session(records):
            await log.append(session)
    seen = Checkpoints()
    async with open_engine(tmp_path, observers=[seen]) as engine:
        for session in by_session(records):
            begun, last = session[0].event, session[-1].event
            assert isinstance(begun, (Created, Forked))
            if isinstance(last, Closed):
                continue
            await engine.supervisor.requests.state(OWNER, begun.name, at=None)
            executed = [
                record
                async for record in history(engine.log, begun.session, last.seq)
                if isinstance(record.event, Executed)
            ]
            recovered = seen.recoveries[-1]
            assert (recovered.name, recovered.failure) == (begun.name, None)
            assert (recovered.checkpoint, recovered.replayed) == (None, len(executed))
            assert await engine.value("'goes on'", session=begun.name) == "'goes on'"


def test_a_history_that_was_cut_is_never_written_over() -> None:
    path = path_of(FORMAT_VERSION)
    before = path.read_bytes()
    command = [sys.executable, str(path.with_name("cut.py"))]
    folders = {"PYTHONPATH": str(path.parent.parent)}
    ended = subprocess.run(command, env=folders, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "is there already" in ended.stderr
    assert path.read_bytes() == before
