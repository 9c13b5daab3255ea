"""A segment is made of what its server has just written, without asking for it again."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from bucket import Bucket
from log_samples import History, collect

from persistence.s3 import batches, compaction, segments, written
from persistence.s3 import log as s3_log
from persistence.s3.compaction import Compaction
from persistence.s3.log import S3EventLog, open_s3_log
from persistence.s3.written import Written


@pytest.fixture(autouse=True)
def no_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """But when the test says so."""
    monkeypatch.setattr(compaction, "DUE_BATCHES", 1 << 30)


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


async def grow(log: S3EventLog, history: History, count: int) -> None:
    """So many batches of one event each."""
    for _ in range(count):
        await log.append([history.executed() if history.records else history.created()])


def asked_for(bucket: Bucket, folder: str) -> int:
    """Objects of a folder that were read."""
    return sum(operation == "get" and key.startswith(folder) for operation, key in bucket.calls)


async def test_no_batch_is_read_back_for_a_segment_nor_the_segment_for_a_larger_one(
    bucket: Bucket, tmp_path: Path
) -> None:
    history = History()
    async with open_s3_log(bucket, tmp_path / "index") as log:
        work = Compaction(bucket, log._index, segments.NONE, log._journal.written)
        for made in (1, 2):
            await grow(log, history, 5)
            bucket.calls.clear()
            work.extend(log._journal.position)
            assert asked_for(bucket, batches.PREFIX) == 0
            assert asked_for(bucket, segments.SEGMENTS) == made - 1, "the one before, to be merged with"
        (merged,) = work.manifest.segments
        assert (merged.first, merged.last) == (0, log._journal.position.number)
        assert log._journal.written.get(merged.last) is None, "what is in a segment is in memory no more"
    async with open_s3_log(bucket, tmp_path / "fresh") as log:
        assert await collect(log.read("s1")) == history.records


async def test_what_memory_has_no_room_for_is_read_from_the_bucket(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written, "KEPT_BYTES", 2_000)
    history = History()
    async with open_s3_log(bucket, tmp_path / "index") as log:
        await grow(log, history, 20)
        bucket.calls.clear()
        work = Compaction(bucket, log._index, segments.NONE, log._journal.written)
        work.extend(log._journal.position)
        assert 0 < asked_for(bucket, batches.PREFIX) < 20
    async with open_s3_log(bucket, tmp_path / "fresh") as log:
        assert await collect(log.read("s1")) == history.records


async def test_a_batch_that_the_bucket_has_lost_is_missed_though_memory_has_it(
    bucket: Bucket, tmp_path: Path
) -> None:
    async with open_s3_log(bucket, tmp_path / "index") as log:
        await grow(log, History(), 5)
        work = Compaction(bucket, log._index, segments.NONE, log._journal.written)
        del bucket.stored[batches.key(2)]
        with pytest.raises(Exception, match=f"{batches.key(2)} is missing: a part of the log was lost"):
            work.extend(log._journal.position)


async def test_the_batches_that_are_in_no_segment_yet_are_counted(bucket: Bucket, tmp_path: Path) -> None:
    async with open_s3_log(bucket, tmp_path / "index") as log:
        assert log.loose_batches == 1, "by which it was opened"
        await grow(log, History(), 5)
        assert log.loose_batches == 6
        log._upkeep.compaction.extend(log._journal.position)
        assert log.loose_batches == 0
        await grow(log, History("s2"), 2)
        assert log.loose_batches == 2


async def test_a_server_whose_whole_log_somebody_removed_says_so_and_goes_on(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(s3_log, "COMPACT_SECONDS", 0.01)
    history = History()
    async with open_s3_log(bucket, tmp_path / "index") as log:
        await grow(log, history, 5)
        bucket.stored.clear()
        monkeypatch.setattr(compaction, "DUE_BATCHES", 3)
        with trio.fail_after(10):
            while f"{batches.key(0)} is missing: a part of the log was lost" not in caplog.text:  # noqa: ASYNC110
                await trio.sleep(0.01)
        assert await collect(log.read("s1")) == history.records


def test_memory_holds_the_newest_up_to_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "KEPT_BYTES", 10)
    kept = Written()
    for number in range(4):
        kept.add(number, bytes(4))
    assert [kept.get(number) is not None for number in range(4)] == [False, False, True, True]
    kept.forget(2)
    assert kept.get(2) is None
    assert kept.get(3) == bytes(4)
    kept.add(4, bytes(11))
    assert [kept.get(number) for number in (3, 4)] == [None, None], "one that is too large is not kept at all"
