"""An audit finds all that is wrong with what is stored, and nothing where all is as it was written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
from log_samples import History, checkpoint_of, collect, every_kind
from test_corruption import SWAP_IDS, alter

from engine.errors import StoreError
from persistence.eventlog import Audited, EventLog, Fault
from persistence.readonly import open_sqlite_reader
from persistence.schema import DATABASE_NAME
from persistence.sqlite import open_sqlite_log

LATER = 1 << 40
"""A time after all events of these tests."""


@pytest.fixture
async def database(directory: Path) -> Path:
    """The database of a closed store: s1 and s2, which is a fork of it, and the checkpoint of a state."""
    history, fork = every_kind()
    async with open_sqlite_log(directory) as log:
        await log.append(history.records[:-1])
        await log.append(fork.records)
        await log.append(fork.tagged(6, release="1") and fork.records[-1:])
        await log.append(history.records[-1:])
        await log.add_checkpoint(checkpoint_of(fork.records[1]))
    return directory / DATABASE_NAME


async def audits(log: EventLog, owner: str | None = None) -> dict[str, Audited]:
    found = [await log.audit(session) for session in await log.audited(owner)]
    return {one.session: one for one in found if one is not None}


async def faults(database: Path) -> list[tuple[str, str, int | None, int | None]]:
    """Session, kind and place of each."""
    async with open_sqlite_reader(database.parent) as log:
        return [
            (session, fault.kind, fault.first, fault.last)
            for session, one in (await audits(log)).items()
            for fault in one.faults
        ]


async def test_nothing_is_wrong_with_what_was_written(database: Path) -> None:
    async with open_sqlite_reader(database.parent) as log:
        found = await audits(log)
        assert await log.integrity() == []
        assert list(await audits(log, "ann")) == ["s1", "s2"]
        assert await audits(log, "bob") == {}
    history, fork = found["s1"], found["s2"]
    assert [one.faults for one in found.values()] == [(), ()]
    assert (history.owner, history.name, history.closed, history.events) == ("ann", "s1", True, 7)
    assert (history.first, history.head, history.parent) == (0, 6, None)
    assert (fork.first, fork.head, fork.parent, fork.events) == (5, 7, "s1", 3)
    assert [one.seq for one in fork.checkpoints] == [6]
    assert history.size > 50_000


async def test_a_session_that_an_earlier_program_noted_as_its_own_parent_is_sound(database: Path) -> None:
    alter(database, "UPDATE sessions SET parent = session WHERE session = 's1'")
    assert await faults(database) == []


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (["UPDATE events SET body = flip(body, 40) WHERE seq = 3"], [("s1", "damaged", 3, 3)]),
        (
            [
                "UPDATE events SET body = flip(body, 40) WHERE seq IN (1, 2)",
                "UPDATE events SET body = flip(body, 90) WHERE seq = 4",
                "UPDATE tags SET value = '2'",
            ],
            [("s1", "damaged", 1, 2), ("s1", "damaged", 4, 4), ("s2", "labels", None, None)],
        ),
        (
            ["UPDATE events SET prev = flip(prev, 0) WHERE session = 's1' AND seq = 3"],
            [("s1", "damaged", 3, 3)],
        ),
        (["UPDATE events SET large = flip(large, 900) WHERE seq = 1"], [("s1", "damaged", 1, 1)]),
        (["UPDATE events SET large = flip(large, 0) WHERE seq = 1"], [("s1", "damaged", 1, 1)]),
        (["UPDATE events SET large = NULL WHERE seq = 4"], [("s1", "damaged", 4, 4)]),
        (["DELETE FROM events WHERE session = 's1' AND seq = 0"], [("s1", "missing", 0, 0)]),
        (["DELETE FROM events WHERE session = 's1' AND seq = 2"], [("s1", "missing", 2, 2)]),
        (["DELETE FROM events WHERE session = 's1' AND seq > 4"], [("s1", "missing", 5, 6)]),
        (
            ["DELETE FROM events WHERE session = 's1' AND seq = 4"],
            [("s1", "missing", 4, 4), ("s2", "origin", 5, 5)],
        ),
        (
            ["DELETE FROM events WHERE session = 's2'"],
            [("s2", "missing", 5, 7), ("s2", "checkpoint", 6, 6)],
        ),
        (["DELETE FROM sessions WHERE session = 's2'"], [("s2", "entry", None, None)]),
        (
            ["UPDATE sessions SET head_id = flip(head_id, 9)"],
            [("s1", "chain", 6, 6), ("s2", "chain", 7, 7)],
        ),
        (
            ["UPDATE sessions SET head_seq = 6 WHERE session = 's2'"],
            [("s2", "chain", 7, 7)],
        ),
        (["UPDATE sessions SET name = 'x', state_seq = 1"], [("s1", "entry", None, None), ("s2", "entry", None, None)]),
        (["UPDATE sessions SET closed = 0"], [("s1", "entry", None, None)]),
        (["UPDATE sessions SET parent = NULL WHERE session = 's2'"], [("s2", "entry", None, None)]),
        (["UPDATE sessions SET name = CAST(x'ff' AS TEXT) WHERE session = 's2'"], [("s2", "entry", None, None)]),
        (["UPDATE sessions SET head_seq = 'x' WHERE session = 's2'"], [("s2", "entry", None, None)]),
        (SWAP_IDS[1:2], [("s1", "damaged", 2, 3), ("s1", "chain", 4, 4)]),
        (
            ["UPDATE events SET seq = 9 WHERE session = 's1' AND seq = 3"],
            [("s1", "missing", 3, 3), ("s1", "missing", 7, 8), ("s1", "damaged", 9, 9), ("s1", "chain", 7, 9)],
        ),
        (
            ["UPDATE events SET session = 's3' WHERE session = 's2' AND seq = 7"],
            [("s2", "missing", 7, 7), ("s3", "damaged", 7, 7), ("s3", "entry", None, None)],
        ),
        (["UPDATE events SET execution_id = 'e_else' WHERE seq = 1"], [("s1", "damaged", 1, 1)]),
        (["UPDATE events SET owner = 'bob' WHERE idempotency_key = 'k1'"], [("s1", "damaged", 1, 1)]),
        (["UPDATE events SET status = 'crashed' WHERE seq = 1"], [("s1", "damaged", 1, 1)]),
        (["UPDATE events SET status = CAST(x'ff' AS TEXT) WHERE seq = 1"], [("s1", "damaged", 1, 1)]),
        (["UPDATE events SET status = NULL WHERE status = 'accepted'"], [("s1", "damaged", 5, 5)]),
        (["UPDATE events SET large = NULL WHERE status = 'accepted'"], [("s1", "damaged", 5, 5)]),
        (["UPDATE events SET id = hex(id) WHERE seq = 1"], [("s1", "damaged", 1, 1)]),
        (["UPDATE events SET body = 'text' WHERE seq = 1"], [("s1", "damaged", 1, 1)]),
        (["UPDATE events SET prev = 7 WHERE seq = 1"], [("s1", "damaged", 1, 1)]),
        (["UPDATE events SET large = 7 WHERE seq = 1"], [("s1", "damaged", 1, 1)]),
        (["DELETE FROM tags"], [("s2", "labels", None, None)]),
        (["UPDATE tags SET target = 5"], [("s2", "labels", None, None)]),
        (["UPDATE tags SET value = CAST(x'ff' AS TEXT)"], [("s2", "labels", None, None)]),
        (["UPDATE checkpoints SET state = randomblob(32)"], [("s2", "checkpoint", 6, 6)]),
        (["UPDATE checkpoints SET size = -1"], [("s2", "checkpoint", None, None)]),
    ],
)  # fmt: skip
async def test_all_that_was_altered_is_found_and_named(
    database: Path, statements: list[str], expected: list[tuple[str, str, int | None, int | None]]
) -> None:
    alter(database, *statements)
    assert await faults(database) == expected


async def test_events_whose_names_were_swapped_are_found(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        for statement in SWAP_IDS:
            db.execute(statement)
    assert await faults(database) == [("s1", "damaged", 2, 3), ("s1", "chain", 4, 4)]


async def test_events_that_the_database_cannot_give_do_not_hide_the_others(directory: Path) -> None:
    history = History()
    history.created()
    for _ in range(40):
        history.executed(code="x" * 900)
    async with open_sqlite_log(directory) as log:
        await log.append(history.records)
    path = directory / DATABASE_NAME
    with closing(sqlite3.connect(path)) as db:
        root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()[0]
    data = bytearray(await trio.Path(path).read_bytes())
    page = 4_096 * (int.from_bytes(data[4_096 * (root - 1) + 8 :][:4]) - 1)  # the last of the leaves
    assert data[page] == 13
    data[page] = 99
    await trio.Path(path).write_bytes(data)
    async with open_sqlite_reader(directory) as log:
        found = (await audits(log))["s1"]
        assert await log.integrity() != []
    (fault,) = found.faults
    assert (fault.kind, fault.what) == ("damaged", "the database cannot give it")
    assert found.events == 41
    assert 1 < fault.last - fault.first + 1 < 20


async def test_rows_beside_the_events_that_are_of_no_session_are_found(database: Path) -> None:
    alter(
        database,
        "INSERT INTO tags VALUES ('s9', 1, 'a', 'b')",
        "UPDATE checkpoints SET session = 's9'",
    )
    async with open_sqlite_reader(database.parent) as log:
        assert await log.integrity() == [
            "there are checkpoints of a session 's9' that is not there",
            "there are labels of a session 's9' that is not there",
        ]


async def test_an_index_that_lacks_an_event_is_found(database: Path) -> None:
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        index = db.execute("SELECT sql FROM sqlite_master WHERE name = 'events_execution'").fetchone()[0]
        db.execute("PRAGMA writable_schema = ON")
        altered = index.replace("IS NOT NULL", "IS NULL")
        db.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'events_execution'", (altered,))
    async with open_sqlite_reader(database.parent) as log:
        assert "missing from index events_execution" in " ".join(await log.integrity())


async def test_many_faults_are_told_as_few(directory: Path) -> None:
    history = History()
    history.created()
    for _ in range(1_000):
        history.tagged()
    async with open_sqlite_log(directory) as log:
        await log.append(history.records)
    alter(directory / DATABASE_NAME, "UPDATE events SET body = flip(body, 9) WHERE seq > 100 AND seq < 900")
    alter(directory / DATABASE_NAME, "DELETE FROM events WHERE seq > 400 AND seq % 2")
    async with open_sqlite_reader(directory) as log:
        found = (await audits(log))["s1"]
    assert found.faults[0] == Fault(
        "damaged", "it does not hash to its name: the store was altered", 101, 400
    )
    assert len(found.faults) == 100
    assert found.more_faults > 100


async def test_a_deleted_session_that_is_being_removed_is_sound_at_each_step(directory: Path) -> None:
    history, fork = every_kind()
    for _ in range(300):
        fork.executed()
    fork.closed()
    async with open_sqlite_log(directory) as log:
        await log.append(history.records[:-1])
        await log.append(fork.records)
        await log.append(history.records[-1:])
        steps = 0
        while sessions := await log.purgeable(LATER, limit=1):
            await log.purge(sessions[0], LATER)
            steps += 1
            assert [one.faults for one in (await audits(log)).values()] in ([()] * 2, [()], [])
        assert steps > 3


async def test_what_is_written_and_removed_meanwhile_is_no_fault(directory: Path) -> None:
    histories = [History(f"s{number}") for number in range(4)]
    async with open_sqlite_log(directory) as log, trio.open_nursery() as nursery:

        async def write(history: History) -> None:
            await log.append([history.created()])
            for number in range(300):
                await log.append([history.tagged(n=str(number)) if number % 2 else history.executed()])
            await log.append([history.closed()])
            while not (await log.purge(history.session, LATER)).over:
                await trio.lowlevel.checkpoint()

        async def look() -> None:
            while True:
                for one in (await audits(log)).values():
                    assert one.faults == ()

        looking = trio.CancelScope()

        async def write_all() -> None:
            async with trio.open_nursery() as writers:
                for history in histories:
                    writers.start_soon(write, history)
            looking.cancel()

        nursery.start_soon(write_all)
        with looking:
            await look()


async def test_a_check_of_the_files_that_nobody_waits_for_ends(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persistence.survey._STEPS", 1)
    history, _ = every_kind()
    async with open_sqlite_log(directory) as log:
        await log.append(history.records)
        with trio.CancelScope() as scope:
            scope.cancel()
            await log.integrity()
        assert scope.cancelled_caught
        assert await collect(log.read("s1")) == history.records, "the connection is as good as before"
        assert await log.integrity() == []


# --- any byte -------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [401, pytest.param(7, marks=pytest.mark.torture)])
async def test_whatever_byte_is_altered_an_audit_ends_and_finds_what_a_reader_would(
    database: Path, tmp_path: Path, share: int
) -> None:
    original = await trio.Path(database).read_bytes()
    copy = tmp_path / "copy"
    copy.mkdir()
    found = 0
    for at in range(0, len(original), share):
        altered = original[:at] + bytes([original[at] ^ (1 << at % 8)]) + original[at + 1 :]
        await trio.Path(copy / DATABASE_NAME).write_bytes(altered)
        noticed = await is_noticed(copy)
        found += noticed
        if not noticed:
            assert await is_read(copy), f"byte {at} is damage that only a reader notices"
    assert found > len(original) // share // 4


async def is_noticed(directory: Path) -> bool:
    """Whether an audit notices damage."""
    try:
        async with open_sqlite_reader(directory) as log:
            sound = not any(one.faults for one in (await audits(log)).values())
            return not sound or await log.integrity() != []
    except StoreError:
        return True


async def is_read(directory: Path) -> bool:
    """Whether everything is read as it was written."""
    history, fork = every_kind()
    try:
        async with open_sqlite_reader(directory) as log:
            read = [await collect(log.read("s1")), (await collect(log.read("s2")))[:2]]
    except StoreError:
        return False
    return read == [history.records, fork.records]
