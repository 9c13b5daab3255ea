"""What the disk of the index does to a server on a bucket: nothing that cannot be told, or mended."""

from __future__ import annotations

import shutil
import sqlite3
from collections import namedtuple
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from bucket import Bucket
from log_samples import History, collect

from engine.chain import Record
from engine.errors import StoreError, StoreFailed
from persistence import schema
from persistence.changes import Entry
from persistence.s3 import compaction, index, indexed, segments
from persistence.s3 import log as s3_log
from persistence.s3.compaction import Compaction
from persistence.s3.index import Index
from persistence.s3.log import open_s3_index, open_s3_log
from persistence.schema import DATABASE_NAME

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
            full.setattr(shutil, "disk_usage", lambda _: Usage(64 << 20, 64 << 20, indexed.ROOM_BYTES - 1))
            with pytest.raises(StoreFailed, match=f"was not: .* free space in {tmp_path}"):
                await log.append([executed])
            assert {*bucket.stored} == before
            assert log.failing is not None
            assert await collect(log.read("s1")) == history.records[:1]
        await log.append([executed])
        assert log.failing is None


async def segmented(bucket: Bucket, directory: Path, size: int) -> History:
    """A session of ten events of that size, each in a segment of its own."""
    history = History()
    async with open_s3_log(bucket, directory) as log:
        work = Compaction(bucket, log._index, segments.NONE)
        await log.append([history.created()])
        for _ in range(10):
            await log.append([history.executed(code="z" * size)])
            await trio.to_thread.run_sync(work.extend, log._journal.position)
    return history


async def test_an_index_is_made_in_little_more_room_than_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a server that was stopped can be started again on the disk that it had: nothing is there twice."""
    monkeypatch.setattr(compaction, "RATIO", 0)
    bucket, megabytes, most = Bucket(), 3, 0
    await segmented(bucket, tmp_path / "roomy", megabytes << 20)
    make = Index.make

    def look(self: Index, db: sqlite3.Connection, entries: Sequence[Entry], name: str) -> list[Record]:
        nonlocal most
        records = make(self, db, entries, name)
        most = max(most, self.path.with_name(f"{DATABASE_NAME}-wal").stat().st_size)
        return records

    monkeypatch.setattr(Index, "make", look)
    await open_s3_index(bucket, tmp_path / "fresh")
    assert 0 < most < 12 << 20


async def test_what_a_start_has_made_half_of_an_index_is_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the bucket is another one by then, in which nothing is."""
    monkeypatch.setattr(compaction, "RATIO", 0)
    monkeypatch.setattr(index, "_COMMIT_BYTES", 1)
    bucket = Bucket()
    history = await segmented(bucket, tmp_path / "whole", 10)
    bucket.plan("get", *[None] * 5, "before")
    with pytest.raises(StoreError, match="as planned"):
        await open_s3_index(bucket, tmp_path / "half")
    assert bucket.planned == 0
    shutil.copytree(tmp_path / "half", tmp_path / "other")
    async with open_s3_log(Bucket(), tmp_path / "other") as log:
        assert await log.session("s1") is None
    async with open_s3_log(bucket, tmp_path / "half") as log:
        assert await collect(log.read("s1")) == history.records


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


async def test_the_copy_that_a_killed_server_was_making_a_base_of_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "base.db"
    left.write_bytes(bytes(1_000_000))
    async with open_s3_log(Bucket(), tmp_path):
        with trio.fail_after(10):
            while left.exists():  # noqa: ASYNC110 (nobody tells)
                await trio.sleep(0.01)


async def test_while_no_segment_can_be_made_for_one_reason_that_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    attempts = []

    def fail(work: Compaction, end: object) -> bool:
        attempts.append((work, end))
        raise StoreFailed("a base needs 2 bytes free" if len(attempts) < 4 else "S3 is silent")

    monkeypatch.setattr(s3_log, "COMPACT_SECONDS", 0.01)
    monkeypatch.setattr(Compaction, "is_long", fail)
    async with open_s3_log(Bucket(), tmp_path):
        with trio.fail_after(10):
            while len(attempts) < 6:  # noqa: ASYNC110 (nobody tells)
                await trio.sleep(0.01)
    told = [record.getMessage() for record in caplog.records if "no segment" in record.getMessage()]
    assert told == [
        "no segment could be made of the log: a base needs 2 bytes free",
        "no segment could be made of the log: S3 is silent",
    ]
