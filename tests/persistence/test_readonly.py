"""A store is read without a byte of it being altered: beside its owner, after its end, and where nobody may
write.
"""

from __future__ import annotations

import hashlib
import os
import random
import secrets
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path

import pytest
import trio
from log_samples import checkpoint_of, collect, every_kind
from other_process import writing

from engine.errors import (
    BlobMissing,
    BlobStoreFailed,
    StoreCorrupt,
    StoreError,
    StoreMissing,
    StoreReadOnly,
)
from persistence.directory_blobs import DirectoryBlobStore
from persistence.eventlog import EventLog
from persistence.readonly import open_sqlite_reader
from persistence.readonly_blobs import ReadOnlyBlobStore
from persistence.schema import DATABASE_NAME, STORE_VERSION
from persistence.sqlite import open_sqlite_log

LATER = 1 << 40
"""A time after all events of these tests."""


def files(directory: Path) -> dict[str, tuple[str, int]]:
    """The hash of every file, and when it was written to."""
    found = [path for path in directory.rglob("*") if path.is_file()]
    return {
        str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in found
    }


async def fill(directory: Path) -> None:
    """Every kind of event, and checkpoints; the store is closed then."""
    history, fork = every_kind()
    async with open_sqlite_log(directory) as log:
        await log.append(history.records[:-1])
        await log.append(fork.records)
        await log.append(history.records[-1:])
        await log.add_checkpoint(checkpoint_of(history.records[1]))
        await log.add_checkpoint(checkpoint_of(fork.records[1]))


async def closed(directory: Path) -> None:
    """The store as its owner leaves it: without a write-ahead log."""
    await fill(directory)
    assert not (directory / f"{DATABASE_NAME}-wal").exists()


async def killed(directory: Path) -> None:
    """The store as an owner leaves it that is killed: what was written last is in the write-ahead log."""
    await fill(directory)
    async with writing(directory, "other") as writer:
        await writer.append(50_000)
        await writer.kill()
    assert (directory / f"{DATABASE_NAME}-wal").stat().st_size > 0


async def copied(directory: Path) -> None:
    """The same without the index of the write-ahead log."""
    await killed(directory)
    (directory / f"{DATABASE_NAME}-shm").unlink()


LEFT = pytest.mark.parametrize("leave", [closed, killed, copied])
Leave = Callable[[Path], Awaitable[None]]


async def answers(log: EventLog) -> list[object]:
    """Whatever can be asked of a log."""
    rows = (await log.sessions("ann", limit=9)).items
    records = await collect(log.read("s1"))
    return [
        rows,
        records,
        await collect(log.read("s2")),
        await collect(log.read("s1", 2, 4)),
        await log.first("s2"),
        await log.session_named("ann", "fork"),
        await log.session("s1"),
        await log.open_sessions(),
        await log.unused("*", LATER),
        await log.details(["s1", "s2"]),
        await log.executions("ann", limit=9),
        await log.event(records[2].id),
        await log.accepted("s1"),
        await log.execution("e_s1_1"),
        await log.idempotent("ann", "k1"),
        await log.checkpoints("s2"),
        await log.purgeable(LATER, limit=9),
        await log.checkpoint_blobs(),
    ]


@LEFT
async def test_a_reader_answers_as_the_owner_would_and_alters_nothing(directory: Path, leave: Leave) -> None:
    await leave(directory)
    before = files(directory)
    async with open_sqlite_reader(directory) as log:
        read = await answers(log)
        assert log.used_bytes > 50_000
    assert files(directory) == before
    async with open_sqlite_log(directory) as owner:
        assert read == await answers(owner)


async def test_a_reader_beside_the_owner_sees_each_event_as_soon_as_it_is_durable(directory: Path) -> None:
    await fill(directory)
    async with writing(directory, "live") as writer, open_sqlite_reader(directory) as log:
        for _ in range(5):
            seq = await writer.append(200_000)
            before = files(directory)
            assert [record.event.seq for record in await collect(log.read("live"))] == [*range(seq + 1)]
            assert len(await answers(log)) > 0
            assert files(directory) == before
        await writer.close()
        assert len(await collect(log.read("live"))) == 6


async def test_a_reader_does_not_keep_an_owner_from_starting_and_sees_what_that_writes(
    directory: Path,
) -> None:
    await fill(directory)
    async with open_sqlite_reader(directory) as log:
        assert await log.session("new") is None
        for name in ("new", "newer"):
            async with writing(directory, name) as writer:
                await writer.append()
                assert len(await collect(log.read(name))) == 2
                await writer.close()
            assert len(await collect(log.read(name))) == 2


async def test_what_was_read_while_an_owner_came_and_went_is_read_again(directory: Path) -> None:
    await fill(directory)
    async with open_sqlite_reader(directory) as log:
        tries = 0

        async def write() -> None:
            async with writing(directory, f"s{tries}0") as writer:
                await writer.close()

        def slow(db: sqlite3.Connection) -> int:
            nonlocal tries
            before = db.execute("SELECT count(*) FROM sessions").fetchone()[0]
            tries += 1
            if tries < 3:
                trio.from_thread.run(write)
            return before

        assert (await log._query(slow), tries) == (4, 3)


@LEFT
async def test_a_store_on_a_disk_that_may_not_be_written_to_is_read(
    directory: Path, read_only: Callable[[], Path], leave: Leave
) -> None:
    await leave(directory)
    async with open_sqlite_reader(read_only()) as log:
        assert await collect(log.read("s1")) == every_kind()[0].records


async def test_a_reader_that_may_not_write_sees_what_the_owner_writes(
    directory: Path, read_only: Callable[[], Path]
) -> None:
    await fill(directory)
    async with writing(directory, "live") as writer, open_sqlite_reader(read_only()) as log:
        for seq in (1, 2, 3):
            assert await writer.append() == seq
            assert len(await collect(log.read("live"))) == seq + 1


@pytest.fixture
def read_only(directory: Path, tmp_path: Path) -> Iterator[Callable[[], Path]]:
    """Mounts the store once more, where it cannot be written to."""
    place = tmp_path / "mounted"
    place.mkdir()
    unmount = ExitStack()

    def mount() -> Path:
        if os.geteuid() != 0 or not run("mount", "--bind", directory, place):
            pytest.skip("only root may mount a file system")
        unmount.callback(run, "umount", place)
        assert run("mount", "-o", "remount,ro,bind", place)
        with pytest.raises(OSError, match="Read-only"):
            (place / "file").touch()
        return place

    with unmount:
        yield mount


def run(*command: str | Path) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


async def test_a_reader_refuses_to_write_and_says_who_owns_the_store(directory: Path) -> None:
    await fill(directory)
    history, fork = every_kind()
    checkpoint = checkpoint_of(fork.head)
    async with open_sqlite_reader(directory) as log:
        for write in (
            partial(log.append, [fork.executed()]),
            partial(log.add_checkpoint, checkpoint),
            partial(log.forget_checkpoints, [checkpoint]),
            partial(log.purge, history.session, LATER),
        ):
            with pytest.raises(StoreReadOnly) as refused:
                await write()
            assert refused.value.message == f"the store in {directory} is open for reading only"
        async with writing(directory, "live") as writer:
            with pytest.raises(StoreReadOnly, match=f"since process {writer.pid} owns it.*--url"):
                await log.append([fork.head])
        with pytest.raises(StoreReadOnly, match=r"only$"):
            await log.append([fork.head])


@pytest.mark.parametrize("name", ["odd ?#%41&x=y", "ü", "-"])
async def test_a_store_is_read_whatever_its_name(tmp_path: Path, name: str) -> None:
    await killed(tmp_path / name)
    async with open_sqlite_reader(tmp_path / name) as log:
        assert len(await collect(log.read("other"))) == 2


def nothing(directory: Path) -> None:
    """There is not even a directory."""


def empty(directory: Path) -> None:
    """A directory without a store."""
    directory.mkdir()


def begun(directory: Path) -> None:
    """What a server leaves that is killed before it has made its tables."""
    directory.mkdir()
    (directory / DATABASE_NAME).touch()


def file(directory: Path) -> None:
    """A file in the place of the directory."""
    directory.touch()


@pytest.mark.parametrize("make", [nothing, empty, begun, file])
async def test_that_there_is_no_store_is_said_and_none_is_made(
    directory: Path, make: Callable[[Path], None]
) -> None:
    make(directory)
    before = sorted(directory.parent.rglob("*"))
    with pytest.raises(StoreMissing, match=f"there is no store in {directory}: give --directory-path"):
        async with open_sqlite_reader(directory):
            raise AssertionError("opened")
    assert sorted(directory.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("change", "kind", "sentence"),
    [
        (f"PRAGMA user_version = {STORE_VERSION + 1}", StoreError, "newer mcp-v8"),
        ("PRAGMA user_version = 0", StoreCorrupt, "no mcp-v8 ever wrote"),
        ("PRAGMA application_id = 7", StoreCorrupt, "another program"),
    ],
)
async def test_a_store_that_is_not_this_programs_is_refused_and_left_alone(
    directory: Path, change: str, kind: type[StoreError], sentence: str
) -> None:
    await fill(directory)
    with closing(sqlite3.connect(directory / DATABASE_NAME)) as db:
        db.execute(change)
    before = files(directory)
    with pytest.raises(StoreError, match=sentence) as refused:
        async with open_sqlite_reader(directory):
            raise AssertionError("opened")
    assert type(refused.value) is kind
    assert files(directory) == before


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5_000])
async def test_a_file_that_is_no_database_is_refused(directory: Path, content: bytes) -> None:
    empty(directory)
    await trio.Path(directory / DATABASE_NAME).write_bytes(content)
    with pytest.raises(StoreCorrupt, match=r"events\.db is damaged"):
        async with open_sqlite_reader(directory):
            raise AssertionError("opened")


async def test_what_is_damaged_is_named_also_where_a_copy_is_read(directory: Path) -> None:
    await copied(directory)
    path = directory / DATABASE_NAME
    path.write_bytes(path.read_bytes()[:5_000])
    (directory / f"{DATABASE_NAME}-wal").write_bytes(b"\0" * 5_000)
    with pytest.raises(StoreCorrupt, match=f"^{path} is damaged"):
        async with open_sqlite_reader(directory):
            raise AssertionError("opened")


async def test_a_database_that_may_not_be_read_is_an_error_with_its_name(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(directory)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read everything
    with pytest.raises(PermissionError, match=DATABASE_NAME):
        async with open_sqlite_reader(directory):
            raise AssertionError("opened")


async def test_a_copy_that_has_no_room_says_where(
    directory: Path, monkeypatch: pytest.MonkeyPatch, small_disk: Path
) -> None:
    await copied(directory)
    monkeypatch.setattr("tempfile.tempdir", str(small_disk))
    with pytest.raises(StoreError, match=f"no room in {small_disk}: free some, or let TMPDIR"):
        async with open_sqlite_reader(directory):
            raise AssertionError("opened")
    assert files(small_disk) == {}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@asynccontextmanager
async def coming_and_going(directory: Path, chance: random.Random) -> AsyncIterator[dict[str, int]]:
    """Owners that start, write, and stop or are killed; gives what they acknowledged, the last event of each."""
    acknowledged: dict[str, int] = {}

    async def own() -> None:
        for number in range(1_000):
            session = f"w{number}"
            async with writing(directory, session) as writer:
                acknowledged[session] = 0
                for _ in range(chance.randrange(4)):
                    acknowledged[session] = await writer.append(chance.choice((10, 300_000)))
                await (writer.close if chance.random() < 0.5 else writer.kill)()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(own)
        yield acknowledged
        nursery.cancel_scope.cancel()


async def read_while_owners_come_and_go(directory: Path, owners: int, seed: int) -> None:
    await fill(directory)
    history, fork = every_kind()
    chance = random.Random(seed)
    async with coming_and_going(directory, chance) as acknowledged:
        while len(acknowledged) < owners:
            async with open_sqlite_reader(directory) as log:
                for _ in range(chance.randrange(1, 40)):
                    assert await collect(log.read("s1")) == history.records
                    assert await collect(log.read("s2")) == fork.records
                    for session, seq in list(acknowledged.items())[-3:]:
                        assert len(await collect(log.read(session))) > seq


@pytest.mark.parametrize("owners", [10, pytest.param(400, marks=pytest.mark.torture)])
async def test_readers_are_not_led_astray_by_owners_that_come_and_go(directory: Path, owners: int) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    await read_while_owners_come_and_go(directory, owners, seed)


# --- blobs ----------------------------------------------------------------------------------------


async def test_blobs_are_read_and_neither_made_nor_removed(directory: Path) -> None:
    empty(directory)
    name = await DirectoryBlobStore(directory).put(b"blob")
    before = files(directory)
    blobs = ReadOnlyBlobStore(DirectoryBlobStore(directory))
    assert await blobs.get(name) == b"blob"
    for write in (partial(blobs.put, b"other"), partial(blobs.discard, name)):
        with pytest.raises(BlobStoreFailed, match="reading only"):
            await write()
    with pytest.raises(BlobStoreFailed, match="reading only"):
        await blobs.sweep([], older_than=0)
    assert files(directory) == before
    shutil.rmtree(directory / "blobs")
    with pytest.raises(BlobMissing):
        await blobs.get(name)
    assert not (directory / "blobs").exists()
