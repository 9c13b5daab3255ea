"""A blob that was put is there, whole, or its absence has a name; it is never another."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.errors import BlobMissing, BlobStoreFailed
from persistence import directory_blobs
from persistence.blobstore import Swept
from persistence.directory_blobs import DirectoryBlobStore

SMALL = bytes(range(97))
HOUR = 3_600.0


@pytest.fixture
def store(tmp_path: Path) -> DirectoryBlobStore:
    return DirectoryBlobStore(tmp_path)


def name_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def path_of(directory: Path, name: str) -> Path:
    return directory / "blobs" / name[:2] / name


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*") if path.is_file())


def age(path: Path, seconds: float) -> None:
    moment = path.stat().st_mtime - seconds
    os.utime(path, (moment, moment))


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, function: str, number: int, code: int) -> Iterator[list[Any]]:
    """The ``number``-th call of a function of ``os`` fails; the arguments of all its calls."""
    real: Callable[..., Any] = getattr(os, function)
    calls: list[Any] = []

    def call(*args: Any, **more: Any) -> Any:
        calls.append(args)
        if len(calls) == number:
            raise OSError(code, os.strerror(code))
        return real(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, function, call)
        yield calls


async def test_putting_it_again_changes_nothing_but_its_age(
    store: DirectoryBlobStore, tmp_path: Path
) -> None:
    name = await store.put(SMALL)
    inode = path_of(tmp_path, name).stat().st_ino
    age(path_of(tmp_path, name), HOUR)
    before = path_of(tmp_path, name).stat().st_mtime
    assert await store.put(SMALL) == name
    assert path_of(tmp_path, name).stat().st_ino == inode
    assert path_of(tmp_path, name).stat().st_mtime > before + HOUR / 2
    assert files(tmp_path) == [name]


async def test_nobody_else_may_look_at_blobs(store: DirectoryBlobStore, tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        path = path_of(tmp_path, await store.put(SMALL))
    finally:
        os.umask(mask)
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (path.parent.parent, path.parent, path)]
    assert modes == [0o700, 0o700, 0o600]


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/etc/passwd",
        "../../secret",
        "ab/../../../secret",
        "a" * 63,
        "a" * 65,
        "A" * 64,
        "g" * 64,
        "a" * 64 + "\n",
        "a" * 64 + ".tmp",
        "\u0661" * 64,
        "a" * 63 + "\0",
        "../" * 21 + "a",
    ],
)
async def test_what_is_no_name_is_never_a_path(
    store: DirectoryBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    await store.put(SMALL)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("something was read"))
    with pytest.raises(BlobMissing, match="is no name of a blob"):
        await store.get(name)


# --- durable --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 2, 3, 4])
async def test_after_a_sync_that_failed_the_next_put_syncs_again(
    store: DirectoryBlobStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """That the name can be seen already does not mean that it is on the disk."""
    with failing(monkeypatch, "fsync", number, errno.EIO), pytest.raises(BlobStoreFailed):
        await store.put(SMALL)
    with failing(monkeypatch, "fsync", 0, 0) as again:
        await store.put(SMALL)
    assert len(again) == (4 if number == 1 else 3), "the folders, and the file if it was not stored"


# --- sweeping -------------------------------------------------------------------------------------


async def test_a_put_never_relies_on_a_blob_that_a_sweep_is_removing(
    store: DirectoryBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The put comes between the decision to remove the blob and its removal."""
    path = path_of(tmp_path, await store.put(SMALL))
    age(path, HOUR + 60)
    unlink = Path.unlink
    puts: list[threading.Thread] = []

    def slowly(removed: Path, missing_ok: bool = False) -> None:
        if removed == path and not puts:
            puts.append(threading.Thread(target=store._put, args=(SMALL,)))
            puts[0].start()
            puts[0].join(0.2)  # where it must wait for the sweep it does not end, however long
        unlink(removed, missing_ok)

    monkeypatch.setattr(Path, "unlink", slowly)
    assert (await store.sweep((), older_than=HOUR)).removed == 1
    puts[0].join()
    assert await store.get(path.name) == SMALL


async def test_sweeps_at_once_count_what_they_remove_once(
    store: DirectoryBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, kept = path_of(tmp_path, await store.put(SMALL)), await store.put(b"kept")
    age(path, HOUR + 60)
    look, both = store._look, threading.Semaphore(0)

    def slowly(*asked: Any) -> Swept:
        both.release()
        if both.acquire(timeout=0.2) and both.acquire(timeout=0.2):  # the other does not begin, however long
            both.release(2)
        return look(*asked)

    monkeypatch.setattr(store, "_look", slowly)
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(lambda: store.sweep([kept], older_than=HOUR))
    assert store.used_bytes == on_disk(tmp_path) == 4


async def test_what_interrupted_writes_left_is_removed_once_it_is_old(
    store: DirectoryBlobStore, tmp_path: Path
) -> None:
    path = path_of(tmp_path, await store.put(SMALL))
    temporaries = [
        path.with_name(f"{name_of(word)}.0011{end}.tmp") for word, end in ((b"a", "f"), (b"b", "e"))
    ]
    for temporary in temporaries:
        temporary.write_bytes(b"half")
    age(temporaries[0], HOUR + 60)
    swept = await store.sweep({path.name}, older_than=HOUR)
    assert (swept.removed, swept.removed_bytes, swept.kept) == (1, 4, 2)
    assert files(tmp_path) == sorted([path.name, temporaries[1].name])


async def test_a_sweep_leaves_alone_what_is_no_blob(store: DirectoryBlobStore, tmp_path: Path) -> None:
    path = path_of(tmp_path, await store.put(SMALL))
    strange = [
        tmp_path / "events.db",
        tmp_path / "blobs" / name_of(b""),
        path.with_name("README"),
        path.with_name(name_of(b"")[:-1]),
        path.with_name(f"{name_of(b'')}.bak"),
    ]
    for one in strange:
        one.write_bytes(b"mine")
        age(one, HOUR + 60)
    assert (await store.sweep((), older_than=HOUR)).removed == 0
    assert all(one.exists() for one in strange)


# --- folders and disks ----------------------------------------------------------------------------


def on_disk(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("blobs/??/*"))


async def test_a_put_that_fails_takes_nothing(
    store: DirectoryBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with failing(monkeypatch, "write", 1, errno.ENOSPC), pytest.raises(BlobStoreFailed):
        await store.put(SMALL)
    assert store.used_bytes == 0


async def test_folders_that_were_removed_are_made_again(store: DirectoryBlobStore, tmp_path: Path) -> None:
    name = await store.put(SMALL)
    for folder in (path_of(tmp_path, name).parent, tmp_path / "blobs"):
        shutil.rmtree(folder)
        with pytest.raises(BlobMissing):
            await store.get(name)
        assert await store.put(SMALL) == name
        assert await store.get(name) == SMALL


async def test_a_file_in_the_place_of_a_folder_is_said_and_may_go_away(
    store: DirectoryBlobStore, tmp_path: Path
) -> None:
    (tmp_path / "blobs").write_bytes(b"")
    for work in (lambda: store.put(SMALL), lambda: store.get(name_of(SMALL))):
        with pytest.raises(BlobStoreFailed, match=f"{tmp_path}/blobs: .*: see that it is there"):
            await work()
    (tmp_path / "blobs").unlink()
    assert await store.get(await store.put(SMALL)) == SMALL


async def test_a_folder_in_the_place_of_a_blob_is_said(store: DirectoryBlobStore, tmp_path: Path) -> None:
    path_of(tmp_path, name_of(SMALL)).mkdir(parents=True)
    for work in (lambda: store.put(SMALL), lambda: store.get(name_of(SMALL))):
        with pytest.raises(BlobStoreFailed, match="Is a directory"):
            await work()
    assert files(tmp_path) == []


async def test_a_directory_that_is_gone_is_not_made(tmp_path: Path) -> None:
    """It is the log's to make, and to lock."""
    with pytest.raises(BlobStoreFailed, match="No such file"):
        await DirectoryBlobStore(tmp_path / "gone").put(SMALL)
    assert not (tmp_path / "gone").exists()


async def test_of_a_directory_that_is_gone_no_blob_is_missing(tmp_path: Path) -> None:
    """A checkpoint whose blob is missing is forgotten; the disk may only not be mounted."""
    directory, away = trio.Path(tmp_path / "store"), trio.Path(tmp_path / "away")
    await directory.mkdir()
    store = DirectoryBlobStore(tmp_path / "store")
    name = await store.put(SMALL)
    await directory.rename(away)
    with pytest.raises(BlobStoreFailed, match="No such file"):
        await store.get(name)
    await away.rename(directory)
    assert await store.get(name) == SMALL


@pytest.mark.parametrize(
    ("function", "number", "code", "sentence"),
    [
        ("write", 1, errno.ENOSPC, "No space left on device: free some space"),
        ("write", 1, errno.EDQUOT, "quota exceeded: free some space"),
        ("write", 1, errno.EIO, "Input/output error: see that it is there and can be written"),
        ("fsync", 1, errno.EIO, "Input/output error: see that"),
        ("rename", 1, errno.ENOSPC, "free some space"),
        ("mkdir", 1, errno.EROFS, "Read-only file system: see that"),
        ("mkdir", 2, errno.ENOSPC, "free some space"),
        ("open", 1, errno.EMFILE, "Too many open files"),
    ],
)
async def test_what_fails_is_said_leaves_nothing_and_works_the_next_time(
    store: DirectoryBlobStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    number: int,
    code: int,
    sentence: str,
) -> None:
    with (
        failing(monkeypatch, function, number, code),
        pytest.raises(BlobStoreFailed, match=sentence) as failed,
    ):
        await store.put(SMALL)
    assert failed.value.message.startswith(f"{tmp_path}/blobs: ")
    assert failed.value.code == "blob_store_failed"
    assert files(tmp_path) == []
    with pytest.raises(BlobMissing):
        await store.get(name_of(SMALL))
    assert await store.get(await store.put(SMALL)) == SMALL


async def test_a_blob_that_cannot_be_read_is_neither_missing_nor_corrupt(
    store: DirectoryBlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = await store.put(SMALL)

    def unreadable(path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", unreadable)
        with pytest.raises(BlobStoreFailed, match="Input/output error"):
            await store.get(name)
        assert await store.put(SMALL) == name, "it is written anew"
    assert await store.get(name) == SMALL


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


async def test_a_full_disk_keeps_what_it_has_and_takes_more_when_there_is_room(small_disk: Path) -> None:
    store = DirectoryBlobStore(small_disk)
    first, large = b"a" * 100_000, b"b" * 200_000
    await store.put(first)
    with pytest.raises(BlobStoreFailed, match="No space left on device: free some space"):
        await store.put(large)
    assert files(small_disk) == [name_of(first)]
    assert await store.get(await store.put(first)) == first
    path_of(small_disk, name_of(first)).unlink()
    assert await store.get(await store.put(large)) == large


# --- cancellation ---------------------------------------------------------------------------------


async def test_a_put_that_is_cancelled_while_it_writes_is_waited_for(
    store: DirectoryBlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No thread goes on writing to a store that may be closed, or another's, by then."""
    write = directory_blobs._write

    def cancelled_meanwhile(path: Path, data: bytes) -> None:
        trio.from_thread.run_sync(scope.cancel)
        write(path, data)

    monkeypatch.setattr(directory_blobs, "_write", cancelled_meanwhile)
    with trio.CancelScope() as scope:
        await store.put(SMALL)
        await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert files(tmp_path) == [name_of(SMALL)]
    assert await store.get(name_of(SMALL)) == SMALL
