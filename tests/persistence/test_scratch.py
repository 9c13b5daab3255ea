"""Checkpoints in memory, of a store that is only read."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from checkpointing import count_replays
from engines import opened

from cli.target import store
from cli.target.evaluation import evaluate
from engine.errors import BlobMissing, BlobStoreFailed, StoreReadOnly
from persistence import scratch
from persistence.directory_blobs import DirectoryBlobStore
from persistence.place import Directory
from persistence.readonly import open_sqlite_reader
from transports.identity import LOCAL

EVENTS = 6
SLOW = "for (let i = 0, x = 0; i < 5e7; i++) x = (x * 31 + i) | 0"
"""A copy of a worker that makes a checkpoint ends with it: the replay must last so long."""


@pytest.fixture
async def directory(tmp_path: Path, cache_dir: Path) -> Path:
    """A store with a session "a", and without a checkpoint."""
    async with opened(tmp_path, cache_dir, restore_target_seconds=1e6) as engine:
        for n in range(EVENTS):
            await engine.run(f"var n = {n}; {SLOW}", session="a", owner=LOCAL.owner)
    return tmp_path


def files(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


async def test_who_goes_back_again_goes_on_from_a_checkpoint_that_no_file_holds(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "REVISIT_SECONDS", 0.0)
    before = files(directory)
    replayed = count_replays(monkeypatch)
    with trio.fail_after(60):
        async with store.open_store(Directory(directory), owner=None, use="revisit") as (client,):
            await evaluate(client, "a", EVENTS, "n")
            assert len(replayed) == EVENTS
            while len(replayed) >= EVENTS - 1:  # until one was made
                replayed.clear()
                assert (await evaluate(client, "a", EVENTS - 1, "n")).result == str(EVENTS - 2)
    assert files(directory) == before


async def test_it_is_read_only_in_all_else_and_has_room_for_so_much(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "MAX_BYTES", 10)
    blobs = scratch.ScratchBlobStore(DirectoryBlobStore(directory))
    name = await blobs.put(b"12345678")
    assert await blobs.put(b"12345678") == name
    with pytest.raises(BlobStoreFailed):
        await blobs.put(b"123")
    await blobs.discard(name)
    assert await blobs.get(name) == b"12345678"
    with pytest.raises(BlobMissing):
        await blobs.get("0" * 64)
    async with open_sqlite_reader(directory, kind=scratch.ScratchEventLog) as log:
        with pytest.raises(StoreReadOnly):
            await log.append([])
