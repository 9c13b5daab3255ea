"""Whoever closes a log in a bucket that does not answer is free soon, and is told what is not known."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from blob_places import SMALL
from bucket import Bucket
from log_samples import History, collect
from s3_memory import Operation

from engine.errors import StoreError, StoreFailed
from persistence import threads
from persistence.s3 import batches, blobs, imports, indexed
from persistence.s3 import log as s3_log
from persistence.s3.blobs import S3BlobStore
from persistence.s3.log import S3EventLog, open_s3_log

LEAVE_SECONDS = 0.2
BOUND_SECONDS = 10


class Silence:
    """From ``begin`` to ``end`` puts below a prefix do not return."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._ended = threading.Event()
        self.met = trio.Event()
        """A put has met it."""

    def begin(self, prefix: str) -> None:
        token = trio.lowlevel.current_trio_token()

        def wait(operation: Operation, key: str) -> None:
            if operation == "put" and key.startswith(prefix):
                token.run_sync_soon(self.met.set)
                assert self._ended.wait(BOUND_SECONDS)

        self._bucket.before_call = wait

    def end(self) -> None:
        self._bucket.before_call = lambda operation, key: None
        self._ended.set()


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def silence(bucket: Bucket) -> Iterator[Silence]:
    silence = Silence(bucket)
    yield silence
    silence.end()


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexed, "LEAVE_SECONDS", LEAVE_SECONDS)
    monkeypatch.setattr(s3_log, "CLOSE_SECONDS", LEAVE_SECONDS)
    monkeypatch.setattr(blobs, "LEAVE_SECONDS", LEAVE_SECONDS)


async def ended(name: str) -> None:
    """Wait for the end of a thread's work."""
    with trio.fail_after(BOUND_SECONDS):
        while any(name in thread.name for thread in threading.enumerate()):  # noqa: ASYNC110 (nobody tells)
            await trio.sleep(0.01)


async def test_a_log_is_left_while_a_put_does_not_return_and_what_it_comes_to_is_found_later(
    bucket: Bucket, silence: Silence, tmp_path: Path
) -> None:
    kept, stuck, waiting = History("kept"), History("stuck"), History("waiting")
    told: dict[str, StoreError] = {}

    async def append(log: S3EventLog, history: History) -> None:
        with pytest.raises(StoreError) as failed:
            await log.append([history.created()])
        told[history.session] = failed.value

    async def serve() -> None:
        async with open_s3_log(bucket, tmp_path / "index") as log:
            await log.append([kept.created()])
            silence.begin(batches.PREFIX)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(append, log, stuck)
                await silence.met.wait()
                nursery.start_soon(append, log, waiting)
                await trio.testing.wait_all_tasks_blocked()
                log.leave()

    with trio.fail_after(BOUND_SECONDS / 2), pytest.raises(ExceptionGroup) as left:
        await serve()
    assert left.group_contains(StoreError, match="whether the last events were stored is not known")
    assert told.keys() == {"stuck", "waiting"}
    assert not any(isinstance(one, StoreFailed) for one in told.values()), "nobody says that it is not stored"

    silence.end()  # the put takes effect only now, and the index is somebody else's
    await ended("SqliteEventLog._write")
    async with open_s3_log(bucket, tmp_path / "index") as log:
        assert await collect(log.read("kept")) == kept.records
        assert await collect(log.read("stuck")) == stuck.records
        assert await collect(log.read("waiting")) == []


async def test_a_log_that_was_left_takes_what_still_comes_as_long_as_the_bucket_answers(
    bucket: Bucket, tmp_path: Path
) -> None:
    history = History()
    async with open_s3_log(bucket, tmp_path / "index") as log:
        log.leave()
        await trio.sleep(2 * LEAVE_SECONDS)
        await log.append([history.created()])
        await trio.sleep(2 * LEAVE_SECONDS)
        await log.append([history.executed()])
    async with open_s3_log(bucket, tmp_path / "index", only_if_free=True) as log:
        assert await collect(log.read("s1")) == history.records


async def test_that_it_ended_in_good_order_is_not_said_at_any_price(
    bucket: Bucket, silence: Silence, tmp_path: Path
) -> None:
    history = History()
    with trio.fail_after(BOUND_SECONDS / 2):
        async with open_s3_log(bucket, tmp_path / "index") as log:
            await log.append([history.created()])
            silence.begin(batches.PREFIX)
    silence.end()
    async with open_s3_log(bucket, tmp_path / "fresh") as log:
        assert await collect(log.read("s1")) == history.records


async def test_an_import_that_takes_long_holds_up_no_append_and_is_left_with_the_log(
    bucket: Bucket, silence: Silence, tmp_path: Path
) -> None:
    taken, other = History("taken"), History("other")
    refusal = ""

    async def take(log: S3EventLog) -> None:
        nonlocal refusal
        async with log.adoption() as adoption:
            await adoption.add([taken.created(), taken.executed()])
            with pytest.raises(StoreFailed) as failed:
                await adoption.commit()
            refusal = str(failed.value)

    with trio.fail_after(BOUND_SECONDS / 2):
        async with open_s3_log(bucket, tmp_path / "index") as log, trio.open_nursery() as nursery:
            silence.begin(imports.IMPORTS)
            nursery.start_soon(take, log)
            await silence.met.wait()
            await log.append([other.created()])
            assert not refusal
            log.leave()
    assert refusal == "the import was not stored: the server is stopping"
    silence.end()
    async with open_s3_log(bucket, tmp_path / "index") as log:
        assert await log.session("taken") is None
        assert await collect(log.read("other")) == other.records


async def test_an_import_that_the_service_refuses_is_refused(bucket: Bucket, tmp_path: Path) -> None:
    taken = History("taken")
    async with open_s3_log(bucket, tmp_path / "index") as log, log.adoption() as adoption:
        await adoption.add([taken.created(), taken.executed()])
        bucket.plan("put", "refused")
        with pytest.raises(StoreFailed, match=r"the import could not be stored, and was not: .* as planned"):
            await adoption.commit()
        await adoption.commit()
        assert await collect(log.read("taken")) == taken.records


async def test_an_import_that_took_so_long_that_its_records_may_be_removed_is_refused(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexed, "LONGEST_IMPORT_SECONDS", -1)
    async with open_s3_log(bucket, tmp_path / "index") as log, log.adoption() as adoption:
        await adoption.add([History("taken").created()])
        with pytest.raises(StoreFailed, match="the import took too long, and was not stored"):
            await adoption.commit()
        assert await log.session("taken") is None


async def test_nobody_who_is_cancelled_waits_for_long_for_a_blob(bucket: Bucket, silence: Silence) -> None:
    store = S3BlobStore(bucket)
    silence.begin(blobs.FOLDER)
    with trio.fail_after(BOUND_SECONDS / 2):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.put, SMALL)
            await silence.met.wait()
            nursery.cancel_scope.cancel()
    silence.end()
    assert await store.get(await store.put(SMALL)) == SMALL


async def test_what_ends_soon_after_a_cancellation_is_waited_for_and_what_has_not_begun_is_not() -> None:
    begun, go_on, limiter = trio.Event(), threading.Event(), trio.CapacityLimiter(1)
    results: list[str] = []

    def wait(what: str) -> str:
        trio.from_thread.run_sync(begun.set)
        assert go_on.wait(BOUND_SECONDS)
        return what

    async def work(what: str) -> None:
        results.append(await threads.run_awhile(partial(wait, what), limiter, 60))

    with trio.fail_after(BOUND_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work, "first")
            await begun.wait()
            nursery.start_soon(work, "second")
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
            go_on.set()
    assert results == ["first"]
