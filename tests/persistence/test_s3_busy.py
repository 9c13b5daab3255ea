"""A log that is written to faster than it can be read is read, all the same."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import trio
from bucket import Bucket
from log_samples import History, collect
from s3_memory import Operation

from persistence.readonly import open_sqlite_reader
from persistence.s3 import batches, compaction, segments
from persistence.s3 import log as s3_log
from persistence.s3.compaction import Compaction
from persistence.s3.log import S3EventLog, open_s3_index, open_s3_log

BOUND_SECONDS = 10


@pytest.fixture(autouse=True)
def no_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """But when the test says so."""
    monkeypatch.setattr(compaction, "DUE_BATCHES", 1 << 30)


class Busy:
    """A server that has written so much, whenever somebody has read the segments, that there is one more."""

    def __init__(self, bucket: Bucket, log: S3EventLog) -> None:
        self.history = History()
        self.bucket = bucket
        self._log = log
        self._work = Compaction(bucket, log._index, segments.NONE)

    async def grow(self) -> None:
        for _ in range(3):
            await self._log.append(
                [self.history.executed() if self.history.records else self.history.created()]
            )

    def go_on(self, operation: Operation, key: str) -> None:
        if operation == "find" and key == batches.PREFIX:
            self.bucket.before_call = lambda operation, key: None
            trio.from_thread.run(self.grow)
            self._work.extend(self._log._journal.position)
            self.bucket.before_call = self.go_on


async def test_a_backup_of_a_log_of_which_segments_are_made_all_the_time_is_all_of_it(tmp_path: Path) -> None:
    bucket = Bucket()
    async with open_s3_log(bucket, tmp_path / "busy") as log:
        busy = Busy(bucket, log)
        await busy.grow()
        bucket.before_call = busy.go_on
        await open_s3_index(bucket, tmp_path / "reader")
        bucket.before_call = lambda operation, key: None
        async with open_sqlite_reader(tmp_path / "reader") as reader:
            assert await collect(reader.read("s1")) == busy.history.records


@pytest.mark.parametrize("hours", [0, 2, -2])
async def test_batches_that_are_in_segments_are_removed_once_nobody_reads_them_any_more(
    tmp_path: Path, hours: int
) -> None:
    """However wrong the clock is of the server that does that: it has jumped since it started."""
    bucket = Bucket()
    bucket.slow_by = timedelta(hours=hours)
    async with open_s3_log(bucket, tmp_path / "busy") as log:
        busy = Busy(bucket, log)
        work = Compaction(bucket, log._index, segments.NONE)
        await busy.grow()
        old = [key for key in bucket.stored if key.startswith(batches.PREFIX)]
        for key in old:
            bucket.age(key, compaction.READ_WITHIN.total_seconds() + 1)
        await busy.grow()
        young = [key for key in bucket.stored if key.startswith(batches.PREFIX) and key not in old]
        work.extend(log._journal.position)
        assert [key for key in bucket.stored if key.startswith(batches.PREFIX)] == young


async def test_those_that_a_server_left_to_be_read_are_removed_though_it_has_nothing_more_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Among them may be what was deleted."""
    monkeypatch.setattr(s3_log, "COMPACT_SECONDS", 0.01)
    bucket = Bucket()
    async with open_s3_log(bucket, tmp_path / "old") as log:
        await Busy(bucket, log).grow()
        Compaction(bucket, log._index, segments.NONE).extend(log._journal.position)
        left = [key for key in bucket.stored if key.startswith(batches.PREFIX)]
    assert len(left) == 4
    monkeypatch.setattr(compaction, "READ_WITHIN", timedelta())
    async with open_s3_log(bucket, tmp_path / "new"):
        with trio.fail_after(BOUND_SECONDS):
            while any(key in bucket.stored for key in left):  # noqa: ASYNC110 (nobody tells)
                await trio.sleep(0.01)
