"""A cache makes reading faster and nothing else: whatever befalls it, blobs are had as from the store behind it."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import secrets
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from blob_places import HOUR, SMALL, key_of, name_of
from bucket import Bucket

from engine.errors import BlobCorrupt, BlobMissing, BlobStoreFailed
from persistence import threads
from persistence.s3 import cache as cache_module
from persistence.s3.blobs import S3BlobStore
from persistence.s3.cache import CachedBlobStore
from persistence.s3.cachefolder import FOLDER

NAME = name_of(SMALL)
ROOM = 350
"""Bytes: for three blobs of a hundred."""
HUNDREDS = [bytes([number]) * 100 for number in range(10)]


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def open_cache(bucket: Bucket, tmp_path: Path) -> Callable[..., CachedBlobStore]:
    """One on the bucket, as after a restart."""
    return lambda room=1_000_000: CachedBlobStore(S3BlobStore(bucket), tmp_path, room)


@pytest.fixture
def cache(open_cache: Callable[..., CachedBlobStore]) -> CachedBlobStore:
    return open_cache()


@pytest.fixture
def small(open_cache: Callable[..., CachedBlobStore]) -> CachedBlobStore:
    return open_cache(ROOM)


def path_of(directory: Path, name: str) -> Path:
    return directory / FOLDER / name[:2] / name


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*") if path.is_file())


def size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def names(blobs: Sequence[bytes]) -> list[str]:
    return sorted(map(name_of, blobs))


def asked(bucket: Bucket) -> int:
    """How often the service was asked for a blob."""
    return sum(operation == "get" for operation, _ in bucket.calls)


async def put_by_another(bucket: Bucket, data: bytes = SMALL) -> str:
    return await S3BlobStore(bucket).put(data)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


# --- what it is for -------------------------------------------------------------------------------


async def test_what_was_put_or_read_here_is_not_asked_for_again(
    cache: CachedBlobStore, bucket: Bucket, open_cache: Callable[..., CachedBlobStore]
) -> None:
    put, other = await cache.put(SMALL), await put_by_another(bucket, b"other")
    for store in (cache, cache, open_cache()):
        assert (await store.get(put), await store.get(other)) == (SMALL, b"other")
    assert asked(bucket) == 1
    assert (cache.hits, cache.misses, cache.evictions, cache.failures) == (3, 1, 0, 0)
    assert cache.cached_bytes == len(SMALL) + len(b"other")


async def test_what_was_read_here_is_had_while_the_service_does_not_answer(
    cache: CachedBlobStore, bucket: Bucket
) -> None:
    name = await cache.put(SMALL)
    bucket.plan("get", *["before"] * 9)
    assert await cache.get(name) == SMALL


async def test_a_put_returns_once_the_store_has_the_blob(
    cache: CachedBlobStore, bucket: Bucket, tmp_path: Path
) -> None:
    await cache.put(SMALL)
    assert bucket.stored[key_of(NAME)][0] == SMALL
    bucket.plan("put", "refused", "before")
    for _ in range(2):
        with pytest.raises(BlobStoreFailed, match="as planned"):
            await cache.put(b"other")
    assert files(tmp_path) == [NAME], "what the store has not is in no cache"
    with pytest.raises(BlobMissing):
        await cache.get(name_of(b"other"))


async def test_what_the_store_says_of_a_blob_is_told(cache: CachedBlobStore, bucket: Bucket) -> None:
    await put_by_another(bucket)
    bucket.plan("get", "before")
    with pytest.raises(BlobStoreFailed):
        await cache.get(NAME)
    bucket.alter(key_of(NAME), b"altered")
    with pytest.raises(BlobCorrupt):
        await cache.get(NAME)
    await put_by_another(bucket)
    assert await cache.get(NAME) == SMALL


async def test_nobody_else_may_look_at_it(cache: CachedBlobStore, tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        path = path_of(tmp_path, await cache.put(SMALL))
    finally:
        os.umask(mask)
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (path.parent.parent, path.parent, path)]
    assert modes == [0o700, 0o700, 0o600]


# --- its bound ------------------------------------------------------------------------------------


async def test_what_was_not_used_for_longest_goes_first(small: CachedBlobStore, tmp_path: Path) -> None:
    for data in HUNDREDS[:3]:
        await small.put(data)
    await small.get(name_of(HUNDREDS[0]))
    await small.put(HUNDREDS[1])  # that is a use, too
    await small.put(HUNDREDS[3])
    assert files(tmp_path) == names([HUNDREDS[n] for n in (0, 1, 3)])
    await small.put(b"x" * 200)
    assert files(tmp_path) == names([HUNDREDS[3], b"x" * 200])
    assert (small.evictions, small.cached_bytes) == (3, 300)


async def test_a_blob_that_has_no_room_is_passed_through(
    small: CachedBlobStore, bucket: Bucket, tmp_path: Path
) -> None:
    await small.put(SMALL)
    large = await small.put(b"x" * (ROOM + 1))
    for _ in range(2):
        assert len(await small.get(large)) == ROOM + 1
    assert asked(bucket) == 2
    assert (files(tmp_path), small.evictions, small.failures) == ([NAME], 0, 0)
    exact = await small.put(b"x" * ROOM)
    assert files(tmp_path) == [exact]


async def test_a_restart_finds_what_is_there_and_the_order_of_its_use(
    small: CachedBlobStore,
    open_cache: Callable[..., CachedBlobStore],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for data in HUNDREDS[:3]:
        await small.put(data)
    await small.get(name_of(HUNDREDS[0]))
    again = open_cache(ROOM)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda _: pytest.fail("a blob was read to find it"))
        await again.put(HUNDREDS[3])
    assert files(tmp_path) == names([HUNDREDS[n] for n in (0, 2, 3)])
    assert again.cached_bytes == 300
    await open_cache(200).put(b"")  # it may take less than before
    assert files(tmp_path) == names([HUNDREDS[0], HUNDREDS[3], b""])


async def test_what_a_crash_left_half_written_is_removed_and_strangers_stay(
    cache: CachedBlobStore, open_cache: Callable[..., CachedBlobStore], tmp_path: Path
) -> None:
    path = path_of(tmp_path, await cache.put(SMALL))
    path.with_name(f"{name_of(b'')}.{'0' * 16}.tmp").write_bytes(b"half")
    strangers = [
        path.with_name("README"),
        path.with_name("a.tmp"),
        tmp_path / "events.db",
        tmp_path / "blobs" / "00" / NAME,
    ]
    for one in strangers:
        one.parent.mkdir(parents=True, exist_ok=True)
        one.write_bytes(b"mine")
    again = open_cache(0)
    await again.put(b"")
    assert files(tmp_path) == sorted([name_of(b""), *(one.name for one in strangers)])
    assert again.cached_bytes == 0


async def test_what_a_power_cut_left_without_its_bytes_is_read_from_the_store(
    cache: CachedBlobStore, open_cache: Callable[..., CachedBlobStore], tmp_path: Path
) -> None:
    path = path_of(tmp_path, await cache.put(SMALL))
    path.write_bytes(b"")
    again = open_cache()
    assert await again.get(NAME) == SMALL
    assert (path.read_bytes(), again.misses, again.cached_bytes) == (SMALL, 1, len(SMALL))


async def test_what_nothing_needs_leaves_it_with_a_sweep_and_with_a_discard(
    cache: CachedBlobStore, bucket: Bucket, tmp_path: Path
) -> None:
    kept, old, new = [await cache.put(data) for data in (SMALL, b"old", b"new")]
    bucket.age(key_of(old), HOUR + 60)
    await cache.survey([kept], older_than=HOUR)
    assert len(files(tmp_path)) == 3
    await cache.sweep([kept], older_than=HOUR)
    assert files(tmp_path) == [kept]
    assert await cache.get(new) == b"new", "it is only less near"
    await cache.discard(kept)
    assert (files(tmp_path), cache.cached_bytes) == ([new], 3)


# --- damaged, removed, full -----------------------------------------------------------------------


@pytest.mark.parametrize("damaged", [b"", SMALL[:-1], SMALL + b"\0", bytes(97), b"x" * 5_000])
async def test_a_damaged_file_is_mended_from_the_store(
    cache: CachedBlobStore, tmp_path: Path, damaged: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = path_of(tmp_path, await cache.put(SMALL))
    path.write_bytes(damaged)
    for _ in range(2):
        assert await cache.get(NAME) == SMALL
    assert path.read_bytes() == SMALL
    assert (cache.hits, cache.misses, cache.cached_bytes) == (1, 1, len(SMALL))
    assert warnings(caplog) == [f"{path} was altered, by the disk or by somebody: it is removed"]


@pytest.mark.parametrize("levels", [0, 1, 2])
async def test_what_somebody_removed_while_it_runs_is_made_again(
    cache: CachedBlobStore, tmp_path: Path, levels: int
) -> None:
    """A file, its folder, all of the cache."""
    await cache.put(b"other")
    path = path_of(tmp_path, await cache.put(SMALL))
    removed = [path, path.parent, path.parent.parent][levels]
    (shutil.rmtree if removed.is_dir() else Path.unlink)(removed)
    assert await cache.get(NAME) == SMALL
    assert path.read_bytes() == SMALL
    assert await cache.get(name_of(b"other")) == b"other"
    assert await cache.get(await cache.put(b"new")) == b"new"
    assert cache.failures == 0
    assert cache.cached_bytes == size(tmp_path)


async def use(cache: CachedBlobStore, bucket: Bucket) -> None:
    """All that is done with a cache, twice."""
    for _ in range(2):
        name, other = await cache.put(HUNDREDS[0]), await put_by_another(bucket, HUNDREDS[1])
        for _ in range(2):
            assert (await cache.get(name), await cache.get(other)) == (HUNDREDS[0], HUNDREDS[1])
        await cache.sweep([name], older_than=HOUR)
        await cache.discard(other)


async def test_a_directory_that_is_gone_is_told_once_and_not_made(
    bucket: Bucket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = CachedBlobStore(S3BlobStore(bucket), tmp_path / "gone", ROOM)
    await use(cache, bucket)
    assert warnings(caplog) == [
        f"the cache in {tmp_path}/gone/{FOLDER} does not help: No such file or directory: blobs come from S3"
    ]
    assert not (tmp_path / "gone").exists()
    assert (cache.failures, cache.cached_bytes) == (10, 0)
    (tmp_path / "gone").mkdir()
    await cache.get(await cache.put(SMALL))
    assert files(tmp_path / "gone") == [NAME], "it helps as soon as it can"


async def test_a_file_in_the_place_of_its_folder_is_told(
    cache: CachedBlobStore, bucket: Bucket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await cache.put(SMALL)
    shutil.rmtree(tmp_path / FOLDER)
    (tmp_path / FOLDER).write_bytes(b"")
    await use(cache, bucket)
    assert len(warnings(caplog)) <= 2
    (tmp_path / FOLDER).unlink()
    await use(cache, bucket)
    assert await cache.get(NAME) == SMALL
    assert NAME in files(tmp_path)


@pytest.mark.parametrize(
    ("function", "code"),
    [
        ("open", errno.ENOSPC),
        ("open", errno.EROFS),
        ("open", errno.EMFILE),
        ("mkdir", errno.EROFS),
        ("rename", errno.EIO),
        ("utime", errno.EROFS),
        ("unlink", errno.EROFS),
    ],
)
async def test_a_disk_that_fails_is_told_once_and_blobs_are_had(
    small: CachedBlobStore,
    bucket: Bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    function: str,
    code: int,
) -> None:
    def fail(path: Any, *args: Any, **more: Any) -> Any:
        if FOLDER in str(path):
            raise OSError(code, os.strerror(code))
        return real(path, *args, **more)

    real: Callable[..., Any] = getattr(os, function)
    with monkeypatch.context() as patch:
        patch.setattr(os, function, fail)
        await use(small, bucket)
        for data in HUNDREDS:
            await small.put(data)
    assert small.cached_bytes <= ROOM
    assert size(tmp_path) <= ROOM
    assert warnings(caplog) == [
        f"the cache in {tmp_path}/{FOLDER} does not help: {os.strerror(code)}: blobs come from S3"
    ]
    for data in HUNDREDS:
        assert await small.get(await small.put(data)) == data
    assert files(tmp_path) == names(HUNDREDS[-3:])


async def test_what_is_there_helps_where_its_time_cannot_be_set(
    cache: CachedBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that may only be read."""
    await cache.put(SMALL)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "utime", fail)
    assert await cache.get(NAME) == SMALL
    assert (cache.hits, cache.failures) == (1, 0)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 256 kB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(directory)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a file system")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


async def test_a_full_disk_keeps_what_it_has_and_takes_more_when_there_is_room(
    bucket: Bucket, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = CachedBlobStore(S3BlobStore(bucket), small_disk, 1_000_000)
    first, large = await cache.put(b"a" * 100_000), await cache.put(b"b" * 200_000)
    assert await cache.get(first) == b"a" * 100_000
    assert await cache.get(large) == b"b" * 200_000
    assert (files(small_disk), cache.cached_bytes, cache.hits, cache.misses) == ([first], 100_000, 1, 1)
    assert len(warnings(caplog)) == 1
    assert "No space left on device" in caplog.text
    await cache.discard(first)
    await cache.get(large)
    assert files(small_disk) == [large]


async def test_a_machine_that_has_no_thread_for_the_cache_is_told(
    cache: CachedBlobStore, bucket: Bucket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def none(*_: Any) -> None:
        raise threads.NoThread(threads.NO_THREAD)

    monkeypatch.setattr(cache_module, "threads", SimpleNamespace(run=none, NoThread=threads.NoThread))
    await use(cache, bucket)
    assert len(warnings(caplog)) == 1
    assert "no thread could be started" in caplog.text


# --- at once --------------------------------------------------------------------------------------


async def test_a_blob_that_many_ask_for_at_once_is_asked_for_once(
    cache: CachedBlobStore, bucket: Bucket
) -> None:
    await put_by_another(bucket)
    await read_by_many(cache, bucket)
    assert (asked(bucket), cache.hits, cache.misses) == (1, 9, 1)


async def test_one_that_has_no_room_is_asked_for_once(bucket: Bucket, tmp_path: Path) -> None:
    await put_by_another(bucket)
    await read_by_many(CachedBlobStore(S3BlobStore(bucket), tmp_path, 0), bucket)
    assert asked(bucket) == 1


async def read_by_many(cache: CachedBlobStore, bucket: Bucket) -> None:
    """Ten tasks ask before there is an answer."""
    let_go = trio.Event()
    bucket.before_call = lambda operation, key: operation == "get" and trio.from_thread.run(let_go.wait)

    async def read() -> None:
        assert await cache.get(NAME) == SMALL

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            let_go.set()


async def test_what_the_one_is_told_is_told_to_all(cache: CachedBlobStore, bucket: Bucket) -> None:
    await put_by_another(bucket)
    bucket.plan("get", "before")
    told = []
    let_go = trio.Event()
    bucket.before_call = lambda operation, key: operation == "get" and trio.from_thread.run(let_go.wait)

    async def read() -> None:
        with pytest.raises(BlobStoreFailed) as failed:
            await cache.get(NAME)
        told.append(failed.value.message)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            let_go.set()
    assert (len(told), len(set(told)), asked(bucket)) == (5, 1, 1)
    assert await cache.get(NAME) == SMALL


async def test_who_waits_for_one_that_is_cancelled_gets_the_blob(
    cache: CachedBlobStore, bucket: Bucket
) -> None:
    """It asks itself then."""
    await put_by_another(bucket)
    read: list[bytes] = []

    class Held(S3BlobStore):
        async def get(self, name: str) -> bytes:
            if first.cancel_called:
                return await super().get(name)
            await trio.sleep_forever()
            raise AssertionError

    async def get(scope: trio.CancelScope) -> None:
        with scope:
            read.append(await cache.get(NAME))

    cache._inner = Held(bucket)
    first = trio.CancelScope()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(get, first)
            while not cache.misses:
                await trio.testing.wait_all_tasks_blocked(0.001)
            for _ in range(3):
                nursery.start_soon(get, trio.CancelScope())
            await trio.testing.wait_all_tasks_blocked()
            first.cancel()
    assert read == [SMALL] * 3
    assert asked(bucket) == 1


async def test_what_was_put_is_had_by_who_asks_after_that(cache: CachedBlobStore, bucket: Bucket) -> None:
    """Also while somebody is being told that it is missing, who asked before."""
    answered, let_go = trio.Event(), trio.Event()

    class Slow(S3BlobStore):
        async def get(self, name: str) -> bytes:
            try:
                return await super().get(name)
            finally:
                answered.set()
                await let_go.wait()

    cache._inner = Slow(bucket)

    async def miss() -> None:
        with pytest.raises(BlobMissing):
            await cache.get(NAME)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(miss)
            await answered.wait()
            await cache.put(SMALL)
            assert await cache.get(NAME) == SMALL
            let_go.set()


async def test_a_put_that_is_cancelled_is_in_the_cache_if_it_is_in_the_store(
    cache: CachedBlobStore, bucket: Bucket, tmp_path: Path
) -> None:
    with trio.CancelScope() as scope:
        bucket.after_call = lambda operation, key: trio.from_thread.run_sync(scope.cancel)
        await cache.put(SMALL)
        await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert files(tmp_path) == [NAME]


async def test_a_blob_that_goes_while_it_is_read_is_had(
    small: CachedBlobStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await small.put(SMALL)
    read = Path.read_bytes

    def and_then_it_goes(path: Path) -> bytes:
        data = read(path)
        trio.from_thread.run(small.put, b"x" * ROOM)
        return data

    monkeypatch.setattr(Path, "read_bytes", and_then_it_goes)
    assert await small.get(NAME) == SMALL
    assert small.cached_bytes == ROOM
    assert files(tmp_path) == [name_of(b"x" * ROOM)]


@pytest.mark.parametrize("steps", [60, pytest.param(3_000, marks=pytest.mark.torture)])
async def test_whatever_comes_together_every_blob_is_had_and_the_bound_is_kept(
    small: CachedBlobStore, bucket: Bucket, tmp_path: Path, steps: int
) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    chance = random.Random(seed)
    for data in HUNDREDS:
        await put_by_another(bucket, data)

    async def work() -> None:
        for _ in range(steps):
            data = chance.choice(HUNDREDS)
            path = path_of(tmp_path, name_of(data))
            step = chance.randrange(20)
            if step == 0:
                shutil.rmtree(chance.choice([path.parent, path.parent.parent]), ignore_errors=True)
            elif step == 1 and path.exists():
                damage(path)
            elif step == 2:
                await small.sweep(chance.choices([*map(name_of, HUNDREDS)], k=5), older_than=HOUR)
            elif step < 8:
                await small.put(data)
            else:
                assert await small.get(name_of(data)) == data

    with trio.fail_after(600):
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(work)
    for data in HUNDREDS:  # what was removed is noticed when it is used, or has to go
        assert await small.get(name_of(data)) == data
    assert small.cached_bytes == 300
    assert files(tmp_path) == names(HUNDREDS[-3:])


def damage(path: Path) -> None:
    """If it is still there."""
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_WRONLY)
        os.write(descriptor, b"damaged")
        os.close(descriptor)
