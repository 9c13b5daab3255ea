"""A store is copied into a bucket, out of it and between buckets: all of it, or there is none."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from log_samples import History, checkpoint_of, every_kind, faults_of
from s3_memory import Fault, MemoryObjects
from s3_server import S3
from test_s3_rebuilds import content
from test_storecopy import BLOB, names, with_blob

from engine.errors import EngineError, StoreCorrupt, StoreError, StoreMissing
from persistence import copytargets
from persistence.copysources import Source, from_bucket, from_directory
from persistence.copytargets import Target, to_bucket, to_directory
from persistence.directory_blobs import DirectoryBlobStore
from persistence.place import Bucket, Directory
from persistence.readonly import open_sqlite_reader
from persistence.s3 import bases
from persistence.s3.blobs import S3BlobStore
from persistence.s3.log import open_s3_log
from persistence.s3.segments import is_begun
from persistence.s3.settings import Settings
from persistence.sqlite import open_sqlite_log
from persistence.storecopy import StoreCopy, copying
from persistence.stores import see_stores

PLACE = Bucket(Settings(bucket="backups", prefix="monday"))


def quiet(_done: int, _of: int) -> None:
    """Nobody wants to hear of it."""


def quiet_of_copies(_: str) -> None:
    """Nor of what is read through a copy."""


async def copy(
    source: AbstractAsyncContextManager[Source],
    target: AbstractAsyncContextManager[Target],
    *,
    before_blobs: Callable[[], Awaitable[None]] | None = None,
) -> None:
    async with source as origin, target as place:
        made = StoreCopy(origin, place)
        await made.copy_log(quiet)
        if before_blobs is not None:
            await before_blobs()
        await made.copy_blobs(quiet)
        await made.send_log(quiet)
        made.keep()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bases of several parts, and no waiting."""
    monkeypatch.setattr(bases, "PART_BYTES", 50_000)
    monkeypatch.setattr(copytargets, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects()


@pytest.fixture
def into(tmp_path: Path) -> Callable[[MemoryObjects], AbstractAsyncContextManager[Target]]:
    """A bucket to copy to, with a folder of its own."""
    numbers = itertools.count()

    @asynccontextmanager
    async def made(objects: MemoryObjects) -> AsyncIterator[Target]:
        folder = tmp_path / f"staged{next(numbers)}"
        folder.mkdir()
        async with to_bucket(objects, PLACE, folder) as target:
            yield target

    return made


Into = Callable[[MemoryObjects], AbstractAsyncContextManager[Target]]


async def test_what_went_into_a_bucket_and_came_back_is_what_was_there(
    directory: Path, tmp_path: Path, objects: MemoryObjects, into: Into
) -> None:
    name = await with_blob(directory)
    other = MemoryObjects()
    await copy(from_directory(directory), into(objects))
    await copy(from_bucket(objects), into(other))
    await copy(from_bucket(other), to_directory(tmp_path / "back"))
    assert content(tmp_path / "back") == content(directory)
    assert names(tmp_path / "back") == ["blobs", "events.db"]
    assert await DirectoryBlobStore(tmp_path / "back").get(name) == BLOB
    async with open_sqlite_reader(tmp_path / "back") as log:
        assert await faults_of(log) == []
    assert len([key for key in objects.stored if key.startswith("bases/")]) > 1


async def test_a_store_goes_through_a_real_bucket_and_is_seen_there_before_it_is_one(
    directory: Path, tmp_path: Path, s3: S3
) -> None:
    await with_blob(directory)
    place, back = Bucket(s3.settings()), Directory(tmp_path / "back")
    async with copying(Directory(directory), place) as made:
        await made.copy_log(quiet)
        await made.copy_blobs(quiet)
        await made.send_log(quiet)
        async with see_stores(made.place, quiet_of_copies) as (log, blobs):
            (known,) = await log.checkpoints("s1")
            assert await blobs.get(known.blob) == BLOB
        with pytest.raises(StoreMissing):
            async with see_stores(place, quiet_of_copies):
                pass
        made.keep()
    async with copying(place, back) as made:
        await made.copy_log(quiet)
        await made.copy_blobs(quiet)
        await made.send_log(quiet)
        made.keep()
    assert content(back.path) == content(directory)
    assert names(tmp_path) == ["back", directory.name]


async def test_a_server_goes_on_where_the_copy_ends_and_later_copies_have_that_too(
    directory: Path, tmp_path: Path, objects: MemoryObjects, into: Into
) -> None:
    await with_blob(directory)
    await copy(from_directory(directory), into(objects))
    history = History("later", name="later")
    async with open_s3_log(objects, tmp_path / "index", only_if_free=True) as log:
        await log.append([history.created(), history.executed()])
        await copy(from_bucket(objects), to_directory(tmp_path / "beside"))
        await log.append([history.executed()])
    for known, folder in ((2, "beside"), (3, "index")):
        async with open_sqlite_reader(tmp_path / folder) as reader:
            assert [record async for record in reader.read("later")] == history.records[:known]
    before = content(directory)["events"]
    assert [row for row in content(tmp_path / "index")["events"] if row[0] != "later"] == before


@pytest.mark.parametrize("fault", ["refused", "before", "after"])
async def test_whichever_write_fails_there_is_no_store_or_a_whole_one(
    directory: Path, tmp_path: Path, into: Into, fault: Fault
) -> None:
    await with_blob(directory)
    outcomes = []
    for number in range(100):
        objects = MemoryObjects()
        objects.plan("put", *[None] * number, fault)
        try:
            await copy(from_directory(directory), into(objects))
        except EngineError as failed:
            if "as planned" not in str(failed):
                raise
            assert not is_begun(objects)
            outcomes.append("none")
            await copy(from_directory(directory), into(objects))
        else:
            outcomes.append("whole")
        await copy(from_bucket(objects), to_directory(tmp_path / f"back{number}"))
        assert content(tmp_path / f"back{number}") == content(directory)
        if objects.planned:
            break
    writes = len(outcomes) - 1
    assert writes > 3
    manifest_at = writes - 1
    assert outcomes[:manifest_at] == ["none"] * manifest_at
    assert outcomes[manifest_at:] == ["none" if fault == "refused" else "whole", "whole"]


async def test_a_service_that_does_not_answer_for_the_manifest_is_told_of(
    directory: Path, objects: MemoryObjects, into: Into
) -> None:
    await with_blob(directory)

    def fail(operation: str, key: str) -> None:
        if operation == "put" and key.startswith("manifests/"):
            objects.plan("put", "before")

    objects.before_call = fail
    with pytest.raises(StoreError, match="it is not known whether s3://backups/monday has the copy: put"):
        await copy(from_directory(directory), into(objects))
    assert len([key for _, key in objects.calls if key.startswith("manifests/0")]) == copytargets.ATTEMPTS


async def test_where_a_store_is_or_comes_meanwhile_nothing_is_copied(
    directory: Path, tmp_path: Path, objects: MemoryObjects, into: Into
) -> None:
    await with_blob(directory)
    taken = "s3://backups/monday has a store already: a copy gets a prefix of its own"

    async def come() -> None:
        async with open_s3_log(objects, tmp_path / "index"):
            pass

    with pytest.raises(StoreError, match=taken):
        await copy(from_directory(directory), into(objects), before_blobs=come)
    assert not [key for key in objects.stored if key.startswith("manifests/")]
    calls = len(objects.calls)
    with pytest.raises(StoreError, match=taken):
        await copy(from_directory(directory), into(objects))
    assert {operation for operation, _ in objects.calls[calls:]} == {"find"}


async def test_a_bucket_without_a_store_leaves_nothing(tmp_path: Path, objects: MemoryObjects) -> None:
    with pytest.raises(StoreMissing, match="there is no store in the bucket"):
        await copy(from_bucket(objects), to_directory(tmp_path / "copies" / "copy"))
    assert names(tmp_path) == []


async def test_a_checkpoint_that_the_server_of_a_bucket_forgets_meanwhile_is_forgotten_by_the_copy_too(
    tmp_path: Path, objects: MemoryObjects
) -> None:
    history, _ = every_kind()
    blobs = S3BlobStore(objects)
    async with open_s3_log(objects, tmp_path / "index") as log:
        await log.append(history.records[:-1])
        lost, forgotten = await blobs.put(b"lost"), await blobs.put(b"forgotten")
        for number, name in enumerate((lost, forgotten), 1):
            await log.add_checkpoint(checkpoint_of(history.records[number], blob=name))
        known = {one.blob: one for one in await log.checkpoints("s1")}

        async def forget() -> None:
            await log.forget_checkpoints([known[forgotten]])
            await blobs.discard(forgotten)
            await blobs.discard(lost)

        await copy(from_bucket(objects), to_directory(tmp_path / "copy"), before_blobs=forget)
    async with open_sqlite_reader(tmp_path / "copy") as backup:
        assert [one.blob for one in await backup.checkpoints("s1")] == [lost], "of which a check tells"


@pytest.mark.parametrize("is_lost", [True, False])
async def test_a_base_of_which_a_part_is_lost_or_altered_is_not_read(
    directory: Path, tmp_path: Path, objects: MemoryObjects, into: Into, is_lost: bool
) -> None:
    async with open_sqlite_log(directory):
        pass
    await copy(from_directory(directory), into(objects))
    part = next(key for key in objects.stored if key.startswith("bases/"))
    data, when = objects.stored.pop(part)
    if not is_lost:
        objects.stored[part] = (data[:-1] + bytes([data[-1] ^ 1]), when)
    with pytest.raises(
        StoreCorrupt, match="is missing: a part of the log was lost" if is_lost else "altered"
    ):
        async with open_s3_log(objects, tmp_path / "index"):
            pass
