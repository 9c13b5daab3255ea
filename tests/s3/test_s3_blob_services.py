"""Blobs in S3 as it is: what the service says of time, of large ones, and of what is gone."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from s3_proxy import Proxy, at_random

from engine.errors import BlobMissing, BlobStoreFailed
from persistence.s3 import blobs, client, servicetime
from persistence.s3.blobs import FOLDER, S3BlobStore
from persistence.s3.cache import CachedBlobStore
from persistence.s3.client import S3Objects

OpenObjects = Callable[..., S3Objects]
HOUR = 3_600.0


async def test_blobs_are_put_had_discarded_and_swept(objects: S3Objects, tmp_path: Path) -> None:
    store = S3BlobStore(objects)
    assert (await store.sweep((), older_than=HOUR)).kept == 0
    small, empty, large = [await store.put(data) for data in (b"small", b"", bytes(20 << 20))]
    for either in (store, CachedBlobStore(S3BlobStore(objects), tmp_path, 1 << 30)):
        for _ in range(2):
            assert [len(await either.get(name)) for name in (small, empty, large)] == [5, 0, 20 << 20]
    await store.discard(small)
    await store.discard(small)
    with pytest.raises(BlobMissing):
        await store.get(small)
    swept = await store.sweep((), older_than=HOUR)
    assert (swept.kept, swept.kept_bytes, swept.removed) == (2, 20 << 20, 0)
    swept = await store.sweep([large], older_than=-HOUR)
    assert (swept.kept, swept.removed, store.used_bytes) == (1, 1, 20 << 20)
    with pytest.raises(BlobMissing):
        await store.get(empty)


async def test_a_put_makes_a_blob_new_by_the_clock_of_the_service(objects: S3Objects) -> None:
    """Its time has whole seconds at some services."""
    store = S3BlobStore(objects)
    name = await store.put(b"again")
    (first,) = objects.find(FOLDER)
    with trio.fail_after(10):
        while True:
            await store.put(b"again")
            (found,) = objects.find(FOLDER)
            if found.modified > first.modified:
                break
    age = (found.modified - first.modified).total_seconds()
    assert abs((servicetime.now(objects) - found.modified).total_seconds()) <= 1.1
    assert 0 < age <= 10
    assert await store.get(name) == b"again"


async def test_a_sweep_removes_blobs_while_it_goes_on_to_list_them(
    objects: S3Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service is asked for the next page after what was on the last one is gone."""
    monkeypatch.setattr(client, "KEYS_AT_ONCE", 10)
    monkeypatch.setattr(blobs, "REMOVED_AT_ONCE", 7)
    store = S3BlobStore(objects)
    names: list[str] = []

    async def put(number: int) -> None:
        names.append(await store.put(b"%d" % number))

    async with trio.open_nursery() as nursery:
        for number in range(60):
            nursery.start_soon(put, number)
    swept = await store.sweep(names[:5], older_than=-HOUR)
    assert (swept.kept, swept.removed) == (5, 55)
    assert len([*objects.find(FOLDER)]) == 6


async def test_whatever_becomes_of_the_connections_no_blob_that_was_put_is_lost(
    proxy: Proxy, through: OpenObjects, tmp_path: Path
) -> None:
    """A part of all requests has no answer, an error, or half an answer. The seed is fixed."""
    proxy.keep_failing(at_random(3, 0.2))
    store = CachedBlobStore(S3BlobStore(through()), tmp_path, 2_000)
    put: dict[str, bytes] = {}
    failed = 0

    async def work(chance: random.Random) -> None:
        nonlocal failed
        for _ in range(12):
            try:
                if not put or chance.random() < 0.4:
                    data = chance.randbytes(chance.randrange(600))
                    put[await store.put(data)] = data
                elif chance.random() < 0.2:
                    await store.sweep([*put], older_than=HOUR)
                else:
                    name = chance.choice([*put])
                    assert await store.get(name) == put[name]
            except BlobStoreFailed:
                failed += 1

    async with trio.open_nursery() as nursery:
        for seed in range(4):
            nursery.start_soon(work, random.Random(seed))
    proxy.keep_failing(None)
    again = S3BlobStore(through())
    for name, data in put.items():
        assert await again.get(name) == data
    assert len(put) > 10
    assert failed < 24
