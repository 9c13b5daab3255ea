"""A store is copied whole, as it is at one moment, whatever its owner does meanwhile; or nothing is left."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from log_samples import checkpoint_of, every_kind, faults_of
from other_process import writing
from test_readonly import copied, files, fill, killed

from engine.errors import BlobStoreFailed, StoreCorrupt, StoreError, StoreMissing
from persistence import duplicate, folders
from persistence.directory_blobs import DirectoryBlobStore
from persistence.place import Directory
from persistence.readonly import open_sqlite_reader
from persistence.schema import DATABASE_NAME
from persistence.sqlite import open_sqlite_log
from persistence.storecopy import StoreCopy, copying

GOLDEN = Path(__file__).parent.parent / "golden" / "stores"
BLOB = b"a checkpoint" * 1_000


def quiet(_done: int, _of: int) -> None:
    """Nobody wants to hear of it."""


async def copy(
    source: Path, to: Path, *, before_blobs: Callable[[StoreCopy], Awaitable[None]] | None = None
) -> None:
    with trio.fail_after(60):
        async with copying(Directory(source), Directory(to)) as made:
            await made.copy_log(quiet)
            if before_blobs is not None:
                await before_blobs(made)
            await made.copy_blobs(quiet)
            made.keep()


async def with_blob(directory: Path) -> str:
    """A store with a checkpoint that has a blob, and its name."""
    history, _ = every_kind()
    async with open_sqlite_log(directory) as log:
        name = await DirectoryBlobStore(directory).put(BLOB)
        await log.append(history.records[:-1])
        await log.add_checkpoint(checkpoint_of(history.records[1], blob=name))
    return name


def names(folder: Path) -> list[str]:
    """What is in the folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("left", [fill, killed, copied])
async def test_a_store_is_copied_however_its_owner_has_left_it(
    directory: Path, tmp_path: Path, left: Callable[[Path], Awaitable[None]]
) -> None:
    await left(directory)
    before = files(directory)
    to = tmp_path / "copies" / "monday"
    await copy(directory, to)
    assert files(directory) == before, "of the original not a byte is altered"
    assert names(to.parent) == ["monday"]
    assert names(to) == [DATABASE_NAME]
    assert (to.stat().st_mode & 0o777, (to / DATABASE_NAME).stat().st_mode & 0o777) == (0o700, 0o600)
    async with open_sqlite_reader(directory) as log, open_sqlite_reader(to) as backup:
        assert await faults_of(backup) == []
        sessions = await log.audited(None)
        assert await backup.audited(None) == sessions
        assert [await backup.audit(one) for one in sessions] == [await log.audit(one) for one in sessions]


async def test_it_has_what_was_written_before_it_began_and_not_what_was_written_meanwhile(
    directory: Path, tmp_path: Path
) -> None:
    to = tmp_path / "copy"
    async with writing(directory, "busy") as writer:
        last = 0
        for _ in range(30):
            last = await writer.append(100_000)  # so that there are several steps
        steps = []

        def step(done: int, of: int) -> None:
            steps.append((done, of))
            trio.from_thread.run(writer.append)

        with trio.fail_after(60):
            async with copying(Directory(directory), Directory(to)) as made:
                await made.copy_log(step)
                await made.copy_blobs(quiet)
                made.keep()
        newest = await writer.append()
    assert newest - 1 == last + len(steps)
    assert len(steps) > 2
    assert steps[-1][0] == steps[-1][1]
    async with open_sqlite_reader(to) as log:
        assert await faults_of(log) == []
        row = await log.session("busy")
    assert row is not None
    assert row.head_seq == last


@pytest.mark.parametrize("golden", sorted(GOLDEN.glob("*.db")), ids=lambda path: path.stem)
async def test_a_store_of_an_older_program_stays_one_in_the_copy(golden: Path, tmp_path: Path) -> None:
    source = tmp_path / "old"
    source.mkdir()
    shutil.copy(golden, source / DATABASE_NAME)
    await copy(source, tmp_path / "copy")
    versions = []
    for folder in (source, tmp_path / "copy"):
        with closing(sqlite3.connect(f"{(folder / DATABASE_NAME).as_uri()}?immutable=1", uri=True)) as db:
            versions.append(db.execute("PRAGMA user_version").fetchone())
    assert versions[0] == versions[1]


async def test_checkpoints_are_copied_with_their_blobs_and_others_are_not(
    directory: Path, tmp_path: Path
) -> None:
    name = await with_blob(directory)
    other = await DirectoryBlobStore(directory).put(b"nobody's")
    heard = []
    async with copying(Directory(directory), Directory(tmp_path / "copy")) as made:
        await made.copy_log(quiet)
        await made.copy_blobs(lambda done, of: heard.append((done, of)))
        made.keep()
    copied_blobs = DirectoryBlobStore(tmp_path / "copy")
    assert await copied_blobs.get(name) == BLOB
    assert not list((tmp_path / "copy").rglob(other))
    assert heard == [(1, 1)]


async def test_a_checkpoint_that_its_owner_forgets_meanwhile_is_forgotten_by_the_copy_too(
    directory: Path, tmp_path: Path
) -> None:
    name = await with_blob(directory)
    async with open_sqlite_log(directory) as log:

        async def forget(_: StoreCopy) -> None:
            (known,) = await log.checkpoints("s1")
            await log.forget_checkpoints([known])
            await DirectoryBlobStore(directory).discard(name)

        await copy(directory, tmp_path / "copy", before_blobs=forget)
    async with open_sqlite_reader(tmp_path / "copy") as backup:
        assert await backup.checkpoints("s1") == []


@pytest.mark.parametrize("is_altered", [False, True])
async def test_a_blob_that_is_lost_or_altered_is_still_named_by_the_copy(
    directory: Path, tmp_path: Path, is_altered: bool
) -> None:
    name = await with_blob(directory)
    path = directory / "blobs" / name[:2] / name
    path.unlink()
    if is_altered:
        path.write_bytes(b"another")
    await copy(directory, tmp_path / "copy")
    async with open_sqlite_reader(tmp_path / "copy") as backup:
        (known,) = await backup.checkpoints("s1")
    assert known.blob == name, "so that a check finds that it is missing"
    assert not list((tmp_path / "copy").rglob(name))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 200 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a file system")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


# --- what cannot be copied --------------------------------------------------------------------------


async def test_where_something_is_nothing_is_copied(directory: Path, tmp_path: Path) -> None:
    await fill(directory)
    file, full, empty = tmp_path / "file", tmp_path / "full", tmp_path / "empty"
    file.write_text("")
    (full / "something").mkdir(parents=True)
    empty.mkdir()
    for to in (file, full):
        with pytest.raises(StoreError, match=f"{to} is something already"):
            await copy(directory, to)

    async def come(_: StoreCopy) -> None:
        (empty / DATABASE_NAME).write_bytes(b"of another")

    with pytest.raises(StoreError, match=f"{empty} was empty, and something has come"):
        await copy(directory, empty, before_blobs=come)
    assert (names(full), names(empty)) == (["something"], [DATABASE_NAME])
    assert (empty / DATABASE_NAME).read_bytes() == b"of another"


async def test_an_empty_folder_where_a_disk_may_be_mounted_gets_the_log_last(
    directory: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await with_blob(directory)
    moved = []
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda path, to: moved.append(path.name) or rename(path, to))
    await copy(directory, small_disk)
    assert names(small_disk) == ["blobs", DATABASE_NAME]
    assert moved[-2:] == ["blobs", DATABASE_NAME]


async def test_without_a_store_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match="there is no store in"):
        await copy(tmp_path / "nowhere", tmp_path / "copies" / "copy")
    assert not (tmp_path / "copies").exists()


async def test_what_is_no_store_leaves_nothing(directory: Path, tmp_path: Path) -> None:
    folders.make(directory)
    (directory / DATABASE_NAME).write_bytes(b"something else" * 1_000)
    with pytest.raises(StoreCorrupt, match=f"{directory / DATABASE_NAME} is damaged"):
        await copy(directory, tmp_path / "copies" / "copy")
    assert names(tmp_path / "copies") == []


async def test_a_copy_that_is_given_up_or_not_kept_leaves_nothing(directory: Path, tmp_path: Path) -> None:
    async with writing(directory, "large") as writer:
        await writer.append(3 * duplicate.STEP_PAGES * 4_096)
    to = tmp_path / "copies" / "copy"
    steps = []
    with trio.CancelScope() as scope:

        def step(done: int, _of: int) -> None:
            steps.append(done)
            trio.from_thread.run_sync(scope.cancel)

        async with copying(Directory(directory), Directory(to)) as made:
            await made.copy_log(step)
    assert scope.cancelled_caught
    assert steps == [duplicate.STEP_PAGES], "it ended with the next step"
    async with copying(Directory(directory), Directory(to)) as made:
        await made.copy_log(quiet)

    async def fail(_: StoreCopy) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await copy(directory, to, before_blobs=fail)
    assert names(to.parent) == []


async def test_a_full_disk_is_told_with_its_place_and_gets_its_room_back(
    directory: Path, small_disk: Path
) -> None:
    await with_blob(directory)
    noise = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(10_000))
    blobs = DirectoryBlobStore(directory)
    history, _ = every_kind()
    large = checkpoint_of(history.records[2], blob=await blobs.put(noise))
    async with open_sqlite_log(directory) as log:
        await log.add_checkpoint(large)
    with pytest.raises(BlobStoreFailed, match=f"{small_disk}.*No space left on device"):
        await copy(directory, small_disk / "copy")
    async with writing(directory, "large") as writer:
        await writer.append(300_000)
    with pytest.raises(OSError, match="No space left on device") as told:
        await copy(directory, small_disk / "copy")
    assert str(told.value.filename).startswith(str(small_disk))
    assert names(small_disk) == []
