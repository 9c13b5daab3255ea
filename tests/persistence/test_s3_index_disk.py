"""What the disk of the index does to a server on a bucket: nothing that cannot be told, or mended."""

from __future__ import annotations

import shutil
import sqlite3
from collections import namedtuple
from pathlib import Path

import pytest
from bucket import Bucket
from log_samples import History, collect

from engine.errors import StoreError, StoreFailed
from persistence import schema
from persistence.s3 import index, segments
from persistence.s3 import log as s3_log
from persistence.s3.compaction import Compaction
from persistence.s3.log import open_s3_log

Usage = namedtuple("Usage", "total used free")


async def test_a_disk_without_room_for_the_index_ends_the_start_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, history = Bucket(), History()
    async with open_s3_log(bucket, tmp_path / "roomy") as log:
        await log.append([history.created(), history.executed(code="z" * 1_000_000)])

    def connect(path: Path) -> sqlite3.Connection:
        db = schema.connect(path)
        db.execute("PRAGMA max_page_count = 60")
        return db

    with monkeypatch.context() as small:
        small.setattr(index, "connect", connect)
        with pytest.raises(StoreError, match=f"is full.: free space in {tmp_path}/small"):
            async with open_s3_log(bucket, tmp_path / "small"):
                pass
    async with open_s3_log(bucket, tmp_path / "small", only_if_free=True) as log:
        assert await collect(log.read("s1")) == history.records


async def test_what_the_index_has_no_room_for_is_not_put_in_the_bucket_and_the_server_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, history = Bucket(), History()
    async with open_s3_log(bucket, tmp_path) as log:
        await log.append([history.created()])
        before = {*bucket.stored}
        executed = history.executed()
        with monkeypatch.context() as full:
            full.setattr(shutil, "disk_usage", lambda _: Usage(64 << 20, 64 << 20, s3_log.ROOM_BYTES - 1))
            with pytest.raises(StoreFailed, match=f"was not: .* free space in {tmp_path}"):
                await log.append([executed])
            assert {*bucket.stored} == before
            assert log.failing is not None
            assert await collect(log.read("s1")) == history.records[:1]
        await log.append([executed])
        assert log.failing is None


async def test_a_file_system_without_limits_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 0))
    async with open_s3_log(Bucket(), tmp_path) as log:
        await log.append([History().created()])


async def test_no_base_is_made_where_it_would_take_the_room_of_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket()
    async with open_s3_log(bucket, tmp_path) as log:
        await log.append([History().created()])
        work = Compaction(bucket, log._index, segments.newest(bucket))
        size = log._index.path.stat().st_size
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2 * size, 1, 2 * size - 1))
        with pytest.raises(StoreFailed, match="a base needs"):
            work.rebase()
        assert not any(key.startswith("bases/") for key in bucket.stored)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2 * size, 0, 2 * size))
        work.rebase()
        assert any(key.startswith("bases/") for key in bucket.stored)
