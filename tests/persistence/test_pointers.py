"""What a log remembers of checkpoints: found in order, replaced, forgotten, and never in the way of events."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing
from log_samples import History, Stranger, checkpoint_of, collect

from engine.checkpoints import Checkpoint
from engine.errors import StoreError, StoreFailed
from persistence import pointers, schema, sqlite
from persistence.appends import Append, Note
from persistence.changes import Change
from persistence.schema import DATABASE_NAME
from persistence.sqlite import SqliteEventLog, open_sqlite_log
from persistence.writer import Writer

PAGE = 4_096


def history_of(length: int, session: str = "s1") -> History:
    history = History(session)
    history.created()
    for _ in range(length):
        history.executed()
    return history


async def closed_line(log: SqliteEventLog, length: int) -> list[History]:
    """Closed sessions with a checkpoint each, of which each but the first is a fork of the one before."""
    line = [history_of(1, "f0")]
    await log.append(line[0].records)
    for number in range(1, length):
        fork = History(f"f{number}")
        fork.forked(line[-1].head)
        fork.executed()
        await log.append(fork.records)
        line.append(fork)
    for history in line:
        await log.add_checkpoint(checkpoint_of(history.head, blob=history.session))
        await log.append([history.closed()])
    return line


async def test_checkpoints_are_there_after_a_restart_newest_state_first(directory: Path) -> None:
    history = history_of(5)
    made = [checkpoint_of(history.records[seq]) for seq in (3, 1, 5)]
    async with open_sqlite_log(directory) as log:
        await log.append(history.records)
        for one in made:
            await log.add_checkpoint(one)
    async with open_sqlite_log(directory) as log:
        assert await log.checkpoints("s1") == [made[2], made[0], made[1]]
        assert await log.checkpoints("s2") == []
        assert await log.checkpoint_blobs() == {one.blob for one in made}


async def test_a_range_of_states_is_found_with_both_its_ends(log: SqliteEventLog) -> None:
    history = history_of(5)
    await log.append(history.records)
    for record in history.records:
        await log.add_checkpoint(checkpoint_of(record))

    async def numbers(first: int, last: int | None) -> list[int]:
        return [one.seq for one in await log.checkpoints("s1", first, last)]

    assert await numbers(2, 4) == [4, 3, 2]
    assert await numbers(4, None) == [5, 4]
    assert await numbers(0, 0) == [0]
    assert await numbers(4, 3) == []
    assert await numbers(6, None) == []


async def test_one_of_the_same_state_and_engine_takes_the_place_of_the_one_before(
    log: SqliteEventLog,
) -> None:
    history = history_of(1)
    await log.append(history.records)
    old = checkpoint_of(history.head, blob="a")
    other = checkpoint_of(history.head, blob="b", engine="ffff")
    new = checkpoint_of(history.head, blob="c", size=7)
    for one in (old, other, new):
        await log.add_checkpoint(one)
    assert sorted((await log.checkpoints("s1")), key=lambda one: one.engine) == [new, other]
    assert await log.checkpoint_blobs() == {"b", "c"}


async def test_superfluous_ones_are_forgotten_with_the_same_note(log: SqliteEventLog) -> None:
    history = history_of(3)
    await log.append(history.records)
    first, second, third = (checkpoint_of(record) for record in history.records[1:])
    await log.add_checkpoint(first)
    await log.add_checkpoint(second)
    await log.add_checkpoint(third, [first, second])
    assert await log.checkpoints("s1") == [third]


async def test_what_took_the_place_of_a_forgotten_one_stays(log: SqliteEventLog) -> None:
    history = history_of(1)
    await log.append(history.records)
    useless, new = checkpoint_of(history.head, blob="a"), checkpoint_of(history.head, blob="b")
    await log.add_checkpoint(useless)
    await log.add_checkpoint(new)
    await log.forget_checkpoints([useless])
    assert await log.checkpoints("s1") == [new]
    await log.forget_checkpoints([new])
    await log.forget_checkpoints([new])
    await log.forget_checkpoints([])
    assert await log.checkpoints("s1") == []


async def test_two_checkpoints_may_need_the_same_blob(log: SqliteEventLog) -> None:
    history = history_of(2)
    await log.append(history.records)
    first, second = (checkpoint_of(record, blob="a") for record in history.records[1:])
    await log.add_checkpoint(first)
    await log.add_checkpoint(second)
    await log.forget_checkpoints([first])
    assert await log.checkpoint_blobs() == {"a"}


async def test_a_closed_session_needs_no_blob(log: SqliteEventLog) -> None:
    kept, closed = history_of(1, "kept"), history_of(1, "closed")
    for history in (kept, closed):
        await log.append(history.records)
        await log.add_checkpoint(checkpoint_of(history.head, blob=history.session))
    assert await log.checkpoint_blobs() == {"kept", "closed"}
    await log.append([closed.closed()])
    assert await log.checkpoint_blobs() == {"kept"}
    assert await log.checkpoints("closed") == []


async def test_a_checkpoint_that_comes_after_its_session_was_closed_is_forgotten(log: SqliteEventLog) -> None:
    history = history_of(1)
    await log.append(history.records)
    late = checkpoint_of(history.head)
    await log.append([history.closed()])
    await log.add_checkpoint(late)
    assert await log.checkpoint_blobs() == set()
    assert await log.checkpoints("s1") == []


async def test_all_that_an_open_session_comes_from_keep_their_checkpoints(log: SqliteEventLog) -> None:
    """A long line of forks, of which only the last is open, and branches that are closed."""
    line = await closed_line(log, 40)
    branch, last = History("branch"), History("last")
    branch.forked(line[20].records[0])
    last.forked(line[30].records[-2])
    for history in (branch, last):
        await log.append(history.records)
        await log.add_checkpoint(checkpoint_of(history.head, blob=history.session))
    await log.append([branch.closed()])
    assert await log.checkpoint_blobs() == {*(f"f{number}" for number in range(31)), "last"}
    assert await log.checkpoints("f31") == []
    await log.append([last.closed()])
    assert await log.checkpoint_blobs() == set()


async def test_what_is_needed_is_found_without_looking_at_events(directory: Path) -> None:
    async with open_sqlite_log(directory) as log:
        await closed_line(log, 3)
        with closing(sqlite3.connect(directory / DATABASE_NAME, isolation_level=None)) as db:
            db.execute("DROP TABLE events")
        assert await log.checkpoint_blobs() == set()


async def test_needed_blobs_are_read_though_nothing_can_be_written(
    directory: Path, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what must be forgotten is a write."""
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.01)
    history, closed = history_of(1), history_of(1, "closed")
    async with open_sqlite_log(directory) as log:
        await log.append(history.records)
        await log.append(closed.records)
        await log.add_checkpoint(checkpoint_of(history.head, blob="a"))
        with stranger():
            assert await log.checkpoint_blobs() == {"a"}
        await log.add_checkpoint(checkpoint_of(closed.head, blob="b"))
        await log.append([closed.closed()])
        with stranger(), pytest.raises(StoreFailed, match=r"known of a checkpoint.*locked"):
            await log.checkpoint_blobs()
        assert await log.checkpoint_blobs() == {"a"}


@pytest.mark.parametrize(
    "damage",
    [
        "engine = x'ff'",
        "engine = CAST(x'6162ff' AS TEXT)",
        "blob = CAST(x'ff' AS TEXT)",
        "state = 'a text'",
        "state = 12.5",
        "state = zeroblob(31)",
        "state = zeroblob(33)",
        "size = -1",
        "size = 'large'",
        "size = 1.5",
        "made_at = x'00'",
        "cost_us = 'a'",
    ],
)
async def test_a_damaged_row_is_left_out_and_said(
    directory: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    history = history_of(3)
    made = [checkpoint_of(record) for record in history.records[1:]]
    async with open_sqlite_log(directory) as log:
        await log.append(history.records)
        for one in made:
            await log.add_checkpoint(one)
        with closing(sqlite3.connect(directory / DATABASE_NAME, isolation_level=None)) as db:
            assert db.execute(f"UPDATE checkpoints SET {damage} WHERE seq = 2").rowcount == 1
        assert await log.checkpoints("s1") == [made[2], made[0]]
        assert await log.checkpoint_blobs() >= {made[0].blob, made[2].blob}
        assert len([line for line in caplog.messages if "session s1 is left out" in line]) == 1
        await log.append([history.closed()])
        assert await log.checkpoint_blobs() == set()


async def test_a_row_of_no_session_is_forgotten(directory: Path) -> None:
    history = history_of(1)
    async with open_sqlite_log(directory) as log:
        await log.append(history.records)
        await log.add_checkpoint(checkpoint_of(history.head, blob="a"))
        await log.add_checkpoint(checkpoint_of(history.head, session="nobody", blob="b"))
        await log.add_checkpoint(checkpoint_of(history.head, session="damaged", blob="c"))
        with closing(sqlite3.connect(directory / DATABASE_NAME, isolation_level=None)) as db:
            db.execute("UPDATE checkpoints SET session = CAST(x'ff' AS TEXT) WHERE session = 'damaged'")
        assert await log.checkpoint_blobs() == {"a"}
        with closing(sqlite3.connect(directory / DATABASE_NAME)) as db:
            assert db.execute("SELECT count(*) FROM checkpoints").fetchone()[0] == 1


async def test_a_damaged_table_costs_checkpoints_and_not_a_session(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are only a shortcut: whoever looks for one finds none, and events are appended as before."""
    history = history_of(1)
    async with open_sqlite_log(directory) as log:
        await log.append(history.records)
        await log.add_checkpoint(checkpoint_of(history.head))
    overwrite_root(directory / DATABASE_NAME, "checkpoints")
    async with open_sqlite_log(directory) as log:
        assert await log.checkpoints("s1") == []
        assert "malformed" in caplog.text
        with pytest.raises(StoreFailed, match=r"known of a checkpoint.*malformed"):
            await log.add_checkpoint(checkpoint_of(history.head))
        assert log.failing is None
        await log.append([history.executed()])
        assert (await log.session("s1")).head_id == history.head.id


def root_of(database: Path, table: str) -> int:
    """Where in the file the first page of a table is."""
    with closing(sqlite3.connect(database)) as db:
        root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    return (root - 1) * PAGE


def overwrite_root(database: Path, table: str) -> None:
    """Let the first page of a table be no page."""
    root = root_of(database, table)
    with database.open("r+b") as file:
        file.seek(root)
        file.write(b"\xff" * PAGE)


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.torture)])
async def test_whichever_byte_of_the_table_is_flipped_what_is_read_is_a_checkpoint_or_left_out(
    directory: Path, every: int
) -> None:
    """Its fields may say something else, which the blob then does not bear out, but they have their form."""
    history = history_of(3)
    made = [checkpoint_of(record) for record in history.records[1:]]
    async with open_sqlite_log(directory) as log:
        await log.append(history.records)
        for one in made:
            await log.add_checkpoint(one)
    database = directory / DATABASE_NAME
    root = root_of(database, "checkpoints")
    content = database.read_bytes()
    used = [at for at in range(root, root + PAGE) if content[at]]
    assert len(used) > 300
    counts: set[int] = set()
    for at in used[::every]:
        for bit in (0, 3, 7):
            damaged = bytearray(content)
            damaged[at] ^= 1 << bit
            database.write_bytes(damaged)
            with closing(schema.connect(database)) as db:
                found = pointers.of_session(db, "s1", 0, None)
                assert all(msgspec.convert(msgspec.to_builtins(one), Checkpoint) == one for one in found)
                counts.add(len(found))
    assert counts >= {0, 2, 3}


def test_a_note_that_cannot_be_written_makes_no_event_of_its_batch_fail(tmp_path: Path) -> None:
    path = schema.prepare(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TRIGGER no BEFORE INSERT ON checkpoints BEGIN SELECT raise(ABORT, 'no'); END")
    history = history_of(1)
    settled: list[list[Append]] = []
    writer = Writer(path, settled.append)

    def write(db: sqlite3.Connection) -> tuple[Change, ...]:
        db.execute("INSERT INTO checkpoints VALUES ('s', 1, 'e', x'00', 'b', 1, 1, 1)")
        return ()

    note = Append((), None, Note("what is known of a checkpoint", write))
    event = Append(history.records, None)
    for one in (note, event):
        writer.put(one)
    writer.stop()
    writer.run()
    assert settled == [[event], [note]]
    assert event.failure is None
    assert isinstance(note.failure, StoreFailed)
    assert writer.unanswered == []


async def test_checkpoints_and_events_are_written_side_by_side_while_blobs_are_collected(
    log: SqliteEventLog,
) -> None:
    """Also those of sessions that are closed meanwhile: at the end only they have none."""
    histories = [history_of(0, f"s{number}") for number in range(6)]
    alive = len(histories)

    async def live(history: History, *, closes: bool) -> None:
        nonlocal alive
        await log.append(history.records)
        before: list[Checkpoint] = []
        for _ in range(12):
            await log.append([history.executed()])
            checkpoint = checkpoint_of(history.head)
            await log.add_checkpoint(checkpoint, before)
            assert checkpoint in await log.checkpoints(history.session)
            assert checkpoint.blob in await log.checkpoint_blobs()
            before = [checkpoint]
        if closes:
            await log.append([history.closed()])
        alive -= 1

    async def collect_blobs() -> None:
        while alive:
            await log.checkpoint_blobs()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for number, history in enumerate(histories):
                nursery.start_soon(lambda h=history, c=number % 2 == 1: live(h, closes=c))
            nursery.start_soon(collect_blobs)
    open_ones = histories[::2]
    assert await log.checkpoint_blobs() == {checkpoint_of(one.head).blob for one in open_ones}
    for history in histories:
        assert await collect(log.read(history.session)) == history.records
        assert len(await log.checkpoints(history.session)) == (history in open_ones)


async def test_notes_wait_their_turn_when_the_queue_is_full(
    log: SqliteEventLog, stranger: Stranger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "MAX_QUEUED_BYTES", 4_096)
    history = history_of(1)
    await log.append(history.records)
    made = [checkpoint_of(history.head, engine=f"{number:04}") for number in range(20)]
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            with stranger():
                for one in made:
                    nursery.start_soon(log.add_checkpoint, one)
                await trio.testing.wait_all_tasks_blocked()
                assert 0 < log.queued_bytes <= 4_096
    assert log.queued_bytes == 0
    assert len(await log.checkpoints("s1")) == len(made)


async def test_a_log_that_is_closed_refuses_notes_and_look_ups(directory: Path) -> None:
    history = history_of(1)
    async with open_sqlite_log(directory) as log:
        await log.append(history.records)
    with pytest.raises(StoreFailed, match="closed"):
        await log.add_checkpoint(checkpoint_of(history.head))
    for ask in (log.checkpoint_blobs, lambda: log.checkpoints("s1")):
        with pytest.raises(StoreError, match="closed"):
            await ask()
