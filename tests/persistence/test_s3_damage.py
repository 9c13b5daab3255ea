"""What is damaged, missing or of somebody else in a bucket is refused, with a sentence that names it."""

from __future__ import annotations

import random
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from bucket import Bucket
from log_samples import History, collect

from engine.errors import StoreCorrupt, StoreError, StoreMissing
from persistence.s3 import batches, compaction, segments
from persistence.s3.compaction import Compaction
from persistence.s3.index import Index
from persistence.s3.journal import Journal
from persistence.s3.log import S3EventLog, open_s3_index, open_s3_log
from persistence.schema import DATABASE_NAME

HEADER = 40
"""Bytes before the body: kind, version and hash."""


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture(autouse=True)
def no_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """But when the test says so."""
    monkeypatch.setattr(compaction, "DUE_BATCHES", 1 << 30)


async def filled(bucket: Bucket, directory: Path, *, segmented: bool = False) -> History:
    """A log of one session in a few batches, or in a segment and a batch."""
    history = History("s1")
    async with open_s3_log(bucket, directory) as log:
        await log.append([history.created()])
        await log.append([history.executed(code="1 + 2")])
        if segmented:
            for _ in range(5):
                await log.append([history.executed()])
            Compaction(bucket, log._index, segments.NONE).extend(log._journal.position)
    return history


def read_all(bucket: Bucket, directory: Path) -> None:
    """As a server that has nothing."""
    directory.mkdir(parents=True)
    Index(bucket, directory).open(Journal(bucket))


@pytest.mark.parametrize("folder", [batches.PREFIX, segments.SEGMENTS, segments.MANIFESTS])
async def test_every_byte_that_is_another_one_is_noticed(bucket: Bucket, tmp_path: Path, folder: str) -> None:
    await filled(bucket, tmp_path / "index", segmented=folder != batches.PREFIX)
    key = sorted(one for one in bucket.stored if one.startswith(folder))[
        -1 if folder != batches.PREFIX else 1
    ]
    data = bucket.stored[key][0]
    journal = Journal(bucket)
    manifest = segments.newest(bucket)
    unnoticed = []
    for at in range(len(data)):
        for bit in (0, 7):
            bucket.alter(key, data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :])
            try:
                if folder == batches.PREFIX:
                    journal.position = batches.BEGINNING
                    list(journal.read())
                elif folder == segments.SEGMENTS:
                    segments.get(bucket, manifest.segments[0])
                else:
                    segments.newest(bucket)
            except StoreError as refused:
                told = str(refused)
                if key not in told:
                    unnoticed.append((at, told))
            else:
                # of Zstandard's frame some bits say nothing of the body, whose hash is right then
                if at < HEADER and at != HEADER - 33:
                    unnoticed.append((at, "nothing"))
    assert not unnoticed


@pytest.mark.parametrize("left", [0, 7, 39, 40, -1])
async def test_what_is_cut_off_is_noticed(bucket: Bucket, tmp_path: Path, left: int) -> None:
    await filled(bucket, tmp_path / "index")
    key = batches.key(1)
    bucket.alter(key, bucket.stored[key][0][:left])
    with pytest.raises(StoreCorrupt, match=key):
        read_all(bucket, tmp_path / "other")


async def test_a_batch_that_is_missing_is_told(bucket: Bucket, tmp_path: Path) -> None:
    await filled(bucket, tmp_path / "index")
    del bucket.stored[batches.key(1)]
    with pytest.raises(StoreCorrupt, match=f"{batches.key(1)} is missing: a part of the log was lost"):
        read_all(bucket, tmp_path / "other")


async def test_a_batch_of_another_log_is_told(bucket: Bucket, tmp_path: Path) -> None:
    """It is whole, but does not follow."""
    other = Bucket()
    await filled(bucket, tmp_path / "index")
    await filled(other, tmp_path / "other")
    bucket.alter(batches.key(2), other.stored[batches.key(2)][0])
    with pytest.raises(
        StoreCorrupt, match=f"{batches.key(2)} does not follow the batch that is there before"
    ):
        read_all(bucket, tmp_path / "new")


async def test_batches_that_changed_places_are_told(bucket: Bucket, tmp_path: Path) -> None:
    await filled(bucket, tmp_path / "index")
    bucket.alter(batches.key(1), bucket.stored[batches.key(2)][0])
    with pytest.raises(StoreCorrupt, match=f"{batches.key(1)} holds batch 2"):
        read_all(bucket, tmp_path / "new")


@pytest.mark.parametrize("name", ["log/notes.txt", "log/1", "log/00000000000000000001.bak"])
async def test_what_somebody_else_keeps_among_the_batches_is_named(
    bucket: Bucket, tmp_path: Path, name: str
) -> None:
    await filled(bucket, tmp_path / "index")
    bucket.put(name, b"hello")
    with pytest.raises(StoreCorrupt, match=f"{re.escape(name)} is no part of a log|is missing"):
        read_all(bucket, tmp_path / "new")


async def test_what_a_newer_program_wrote_is_left_to_it(bucket: Bucket, tmp_path: Path) -> None:
    await filled(bucket, tmp_path / "index")
    key = batches.key(1)
    data = bytearray(bucket.stored[key][0])
    data[7] = 9
    bucket.alter(key, bytes(data))
    with pytest.raises(StoreError, match="has format 9; this program knows format 2") as refused:
        read_all(bucket, tmp_path / "new")
    assert not isinstance(refused.value, StoreCorrupt)


async def test_a_segment_that_is_missing_is_told(bucket: Bucket, tmp_path: Path) -> None:
    await filled(bucket, tmp_path / "index", segmented=True)
    (key,) = [one for one in bucket.stored if one.startswith(segments.SEGMENTS)]
    del bucket.stored[key]
    with pytest.raises(StoreCorrupt, match=f"{key} is missing"):
        read_all(bucket, tmp_path / "new")


async def test_where_there_is_no_log_a_reader_is_told(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(StoreMissing, match="there is no store in the bucket below that prefix"):
        await open_s3_index(bucket, tmp_path / "index")


async def refused_until_removed(bucket: Bucket, index: Path) -> None:
    """Neither a server nor a reader takes the index, and neither changes anything."""
    before = dict(bucket.stored)
    for _ in range(2):
        with pytest.raises(StoreCorrupt, match="has events that the log does not have: the bucket has lost"):
            async with open_s3_log(bucket, index):
                pass
    with pytest.raises(StoreCorrupt, match=f"to go on with what it has, remove {index}"):
        await open_s3_index(bucket, index)
    assert bucket.stored == before
    shutil.rmtree(index)


async def test_an_index_of_another_log_is_refused_until_it_is_removed(bucket: Bucket, tmp_path: Path) -> None:
    other = Bucket()
    async with open_s3_log(other, tmp_path / "index") as log:
        await log.append([History("other").created()])
    history = await filled(bucket, tmp_path / "of the bucket")
    await refused_until_removed(bucket, tmp_path / "index")
    async with open_s3_log(bucket, tmp_path / "index") as log:
        assert await log.session("other") is None
        assert await collect(log.read("s1")) == history.records


@pytest.mark.parametrize("segmented", [False, True])
@pytest.mark.parametrize("goes_on", [False, True])
async def test_what_a_bucket_that_was_set_back_has_lost_is_told_and_not_thrown_away(
    bucket: Bucket, tmp_path: Path, segmented: bool, goes_on: bool
) -> None:
    """Also where another server, which had no index, goes on with what it has."""
    history = await filled(bucket, tmp_path / "index", segmented=segmented)
    earlier, known = dict(bucket.stored), len(history.records)
    async with open_s3_log(bucket, tmp_path / "index") as log:
        for _ in range(10):
            await log.append([history.executed()])
    bucket.stored = earlier
    if goes_on:
        async with open_s3_log(bucket, tmp_path / "another") as log:
            another = History("s2")
            await log.append([another.created()])
            for _ in range(20):
                await log.append([another.executed()])
    await refused_until_removed(bucket, tmp_path / "index")
    async with open_s3_log(bucket, tmp_path / "index") as log:
        assert await collect(log.read("s1")) == history.records[:known]


async def test_an_index_of_another_log_that_is_not_as_far_as_the_segments_is_made_again(
    bucket: Bucket, tmp_path: Path
) -> None:
    """It may as well be one of this log: what it has is in segments."""
    other = Bucket()
    async with open_s3_log(other, tmp_path / "index") as log:
        await log.append([History("other").created()])
    history = History("s1")
    async with open_s3_log(bucket, tmp_path / "of the bucket") as log:
        for record in (history.created(), history.executed(), history.executed()):
            await log.append([record])
        Compaction(bucket, log._index, segments.NONE).extend(log._journal.position)
    async with open_s3_log(bucket, tmp_path / "index") as log:
        assert await log.session("other") is None
        assert await collect(log.read("s1")) == history.records


async def test_an_index_behind_the_segments_is_made_again(bucket: Bucket, tmp_path: Path) -> None:
    history = History("s1")
    async with open_s3_log(bucket, tmp_path / "old") as log:
        await log.append([history.created()])
    async with open_s3_log(bucket, tmp_path / "new") as log:
        await log.append([history.executed()])
        Compaction(bucket, log._index, segments.NONE).extend(log._journal.position)
    async with open_s3_log(bucket, tmp_path / "old") as log:
        assert await collect(log.read("s1")) == history.records


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.torture) for seed in range(3, 40))]
)
async def test_an_index_with_damaged_pages_is_made_again(bucket: Bucket, tmp_path: Path, seed: int) -> None:
    """What shows in its structure; what an event says is verified when it is read."""
    chance = random.Random(seed)
    history = History("s1")
    async with open_s3_log(bucket, tmp_path / "index") as log:
        await log.append([history.created()])
        for _ in range(40):
            await log.append([history.executed(code="x" * 500)])
    path = tmp_path / "index" / DATABASE_NAME
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    pages = path.stat().st_size // 4096
    with path.open("r+b") as file:
        if seed % 2:
            file.truncate(chance.randrange(pages) * 4096)
        else:
            file.seek(chance.randrange(pages) * 4096)
            file.write(chance.randbytes(4096))
    async with open_s3_log(bucket, tmp_path / "index") as log:
        assert await collect(log.read("s1")) == history.records
        await log.append([history.executed()])


async def test_readers_of_a_log_see_it_beside_its_owner(bucket: Bucket, tmp_path: Path) -> None:
    history = History("s1")
    async with open_s3_log(bucket, tmp_path / "owner") as log:
        assert isinstance(log, S3EventLog)
        await log.append([history.created()])
        await open_s3_index(bucket, tmp_path / "reader")
        await log.append([history.executed()])
        assert await collect(log.read("s1")) == history.records
