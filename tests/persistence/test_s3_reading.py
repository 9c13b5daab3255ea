"""What reading a log takes: of the machine no more than it has, of the bucket nothing twice."""

from __future__ import annotations

import random
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import trio
from bucket import Bucket
from log_samples import History, collect
from s3_memory import Operation

from engine.errors import StoreError
from persistence.s3 import batches, compaction, journal, segments
from persistence.s3 import log as s3_log
from persistence.s3.blobs import S3BlobStore
from persistence.s3.cache import CachedBlobStore
from persistence.s3.compaction import Compaction
from persistence.s3.journal import Journal
from persistence.s3.log import S3EventLog, open_s3_index, open_s3_log

KILOBYTES = 100
BOUND_SECONDS = 10
NO_SEGMENT = "no segment could be made of the log: the log cannot be read: no thread"


@asynccontextmanager
async def reading(bucket: Bucket, directory: Path) -> AsyncIterator[None]:
    """As a command that only reads."""
    await open_s3_index(bucket, directory)
    yield


async def grow(log: S3EventLog, count: int) -> History:
    """A session whose events fill as many batches, each of 100 KB that cannot be compressed."""
    noise, history = random.Random(1), History()
    await log.append([history.created()])
    for _ in range(count - 1):
        await log.append([history.executed(code=noise.randbytes(KILOBYTES << 9).hex())])
    return history


async def test_few_of_large_batches_are_in_memory_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_CHUNK_BYTES", 4 * KILOBYTES << 10)
    bucket = Bucket()
    async with open_s3_log(bucket, tmp_path) as log:
        await grow(log, 20)
        bucket.calls.clear()
        ahead = 0
        for count, _ in enumerate(Journal(bucket).read(), 1):
            ahead = max(ahead, sum(operation == "get" for operation, _ in bucket.calls) - count)
        assert count == 21, "all come, the one that opened the log too"
        assert 0 < ahead < 12


async def test_a_server_without_threads_to_make_segments_with_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(compaction, "DUE_BATCHES", 3)
    monkeypatch.setattr(s3_log, "COMPACT_SECONDS", 0.01)
    bucket, start = Bucket(), threading.Thread.start

    def none(thread: threading.Thread) -> None:
        if thread.name.startswith("s3-read"):
            raise RuntimeError("can't start new thread")
        start(thread)

    async with open_s3_log(bucket, tmp_path) as log:
        with monkeypatch.context() as full:
            full.setattr(threading.Thread, "start", none)
            history = await grow(log, 5)
            with trio.fail_after(BOUND_SECONDS):
                while NO_SEGMENT not in caplog.text:  # noqa: ASYNC110 (nobody tells)
                    await trio.sleep(0.01)
            with pytest.raises(StoreError, match="no thread could be started"):
                [*Journal(bucket).read()]
        assert await collect(log.read("s1")) == history.records
        with trio.fail_after(BOUND_SECONDS):
            while not any(key.startswith("segments/") for key in bucket.stored):  # noqa: ASYNC110
                await trio.sleep(0.01)


@pytest.mark.parametrize("opened", [open_s3_log, reading])
async def test_a_start_that_is_given_up_reads_no_more_of_a_large_log(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    opened: Callable[..., AbstractAsyncContextManager[object]],
) -> None:
    monkeypatch.setattr(compaction, "RATIO", 0)
    bucket = Bucket()
    async with open_s3_log(bucket, tmp_path / "index") as log:
        work = Compaction(bucket, log._index, segments.NONE)
        history = History()
        for _ in range(5):
            await log.append([history.executed() if history.records else history.created()])
            await trio.to_thread.run_sync(work.extend, log._journal.position)
    read: list[str] = []
    with trio.CancelScope() as start:

        def stop(operation: Operation, key: str) -> None:
            if operation == "get" and key.startswith(segments.SEGMENTS):
                read.append(key)
                trio.from_thread.run_sync(start.cancel)

        bucket.before_call = stop
        async with opened(bucket, tmp_path / "fresh"):
            pass
    assert start.cancelled_caught
    assert len(read) == 1
    bucket.before_call = lambda operation, key: None
    async with open_s3_log(bucket, tmp_path / "fresh") as log:
        assert await collect(log.read("s1")) == history.records


def cached(bucket: Bucket, directory: Path) -> CachedBlobStore:
    return CachedBlobStore(S3BlobStore(bucket), directory, 1_000_000)


async def test_a_warm_restart_reads_the_last_batch_and_no_other_nor_a_segment_or_blob(
    tmp_path: Path,
) -> None:
    """By that batch it knows the log again, also where the server before it was killed."""
    bucket = Bucket()
    async with open_s3_log(bucket, tmp_path) as log:
        history = await grow(log, 5)
        await trio.to_thread.run_sync(
            Compaction(bucket, log._index, segments.NONE).extend, log._journal.position
        )
        blob = await cached(bucket, tmp_path).put(b"a snapshot")
    for is_killed in (False, True, False, False):
        last = max(key for key in bucket.stored if key.startswith(batches.PREFIX))
        bucket.calls.clear()
        with trio.CancelScope() as life:
            async with open_s3_log(bucket, tmp_path) as log:
                assert await collect(log.read("s1")) == history.records
                assert await cached(bucket, tmp_path).get(blob) == b"a snapshot"
                read = [key for operation, key in bucket.calls if operation == "get"]
                assert read == [segments._key(0), last]
                await log.append([history.executed()])
                if is_killed:
                    life.cancel()
