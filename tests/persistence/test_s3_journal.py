"""The log in a bucket, where the service or the index fails: every append gets an answer that is true."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import trio
from bucket import Bucket
from log_samples import History, collect
from s3_memory import Operation
from statement_faults import Faults
from trio.testing import wait_all_tasks_blocked

from engine.chain import Record
from engine.errors import StoreError, StoreFailed
from persistence import writer
from persistence.s3 import batches, journal
from persistence.s3.log import S3EventLog, open_s3_log


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(journal, "LONGEST_PAUSE_SECONDS", 0.01)


class Outage:
    """While it lasts, puts of batches are not answered."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self.met = trio.Event()
        """A put has met it, was told so, and is tried again."""
        self._tried: set[str] = set()
        self._token = trio.lowlevel.current_trio_token()

    def begin(self) -> None:
        self._bucket.before_call = self._fail

    def end(self) -> None:
        self._bucket.before_call = lambda operation, key: None

    def _fail(self, operation: Operation, key: str) -> None:
        if operation == "put" and key.startswith(batches.PREFIX):
            self._bucket.plan("put", "before")
            if key in self._tried:
                self._token.run_sync_soon(self.met.set)
            self._tried.add(key)


async def test_whichever_statement_of_the_index_fails_the_answers_are_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep over the writer's statements: the first fails, the second, … until none is left."""
    refusals = 0
    ends: list[bool] = []
    for point in range(1, 100):
        bucket = Bucket()
        faults = Faults(lambda count, _, point=point: count == point, code=sqlite3.SQLITE_FULL)
        kept: set[bytes] = set()
        open_: set[bytes] = set()
        one, other = History("a"), History("b")
        try:
            async with open_s3_log(bucket, tmp_path / str(point)) as log:
                with faults(monkeypatch):
                    refusals += await _attempt(log, one, one.created(), kept, open_)
                    if one.records:
                        refusals += await _attempt(log, one, one.executed(), kept, open_)
                    refusals += await _attempt(log, other, other.created(), kept, open_)
        except* StoreError as failed:
            ends.append(failed.subgroup(_is_of_the_index) is not None)
        async with open_s3_log(bucket, tmp_path / str(point)) as log:
            found = {record.id for name in "ab" for record in await collect(log.read(name))}
            assert kept <= found <= kept | open_, f"statement {point}"
        async with open_s3_log(bucket, tmp_path / f"fresh {point}") as log:
            assert found == {record.id for name in "ab" for record in await collect(log.read(name))}
        if not faults.failed:
            break
    assert not faults.failed
    assert refusals >= 5
    assert len(ends) >= 2, "how far it is, and the commit"
    assert all(ends), "whoever sees the server end is told why"


def _is_of_the_index(failed: BaseException) -> bool:
    return "could not be written to its index" in str(failed)


async def _attempt(
    log: S3EventLog, history: History, record: Record, kept: set[bytes], open_: set[bytes]
) -> bool:
    """Append, and note where the record must be by what that came to; whether it was refused."""
    try:
        await log.append([record])
    except StoreFailed:
        history.records.pop()
        return True
    except StoreError:
        open_.add(record.id)
        raise
    kept.add(record.id)
    return False


async def test_what_waits_behind_a_batch_that_is_not_answered_is_refused_after_a_while(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch itself is not: nobody knows yet whether it is stored."""
    first, second = History("first"), History("second")
    answered = {name: trio.Event() for name in ("first", "second")}
    refusal = ""

    async def append_first() -> None:
        await log.append([first.created()])
        answered["first"].set()

    async def append_second() -> None:
        nonlocal refusal
        with pytest.raises(StoreFailed) as failed:
            await log.append([second.created()])
        refusal = str(failed.value)
        answered["second"].set()

    with trio.fail_after(20):
        async with open_s3_log(bucket, tmp_path / "index") as log, trio.open_nursery() as nursery:
            outage = Outage(bucket)
            outage.begin()
            nursery.start_soon(append_first)
            await outage.met.wait()
            nursery.start_soon(append_second)
            await wait_all_tasks_blocked()
            assert log.failing is not None
            assert "as planned" in log.failing
            assert not any(one.is_set() for one in answered.values())
            monkeypatch.setattr(writer, "MAX_WAIT_SECONDS", 0.0)
            await answered["second"].wait()
            assert "the event was not stored: " in refusal
            assert "as planned" in refusal
            assert not answered["first"].is_set()
            outage.end()
            await answered["first"].wait()
            await log.append([History("third").created()])
            assert log.failing is None
    async with open_s3_log(bucket, tmp_path / "index") as log:
        assert await collect(log.read("first")) == first.records
        assert await collect(log.read("second")) == []


@pytest.mark.parametrize("took_effect", [False, True], ids=["not stored", "stored"])
async def test_a_server_that_stops_meanwhile_says_that_it_does_not_know(
    bucket: Bucket, tmp_path: Path, took_effect: bool
) -> None:
    stuck, waiting = History("stuck"), History("waiting")
    refused: dict[str, StoreError] = {}

    async def append(history: History) -> None:
        try:
            await log.append([history.created()])
        except StoreError as failed:
            refused[history.session] = failed

    async def serve() -> None:
        nonlocal log, outage
        async with trio.open_nursery() as nursery, open_s3_log(bucket, tmp_path / "index") as log:
            if took_effect:
                bucket.plan("put", "after")
            outage = Outage(bucket)
            outage.begin()
            nursery.start_soon(append, stuck)
            await outage.met.wait()
            nursery.start_soon(append, waiting)
            await wait_all_tasks_blocked()

    log: S3EventLog
    outage: Outage
    with trio.fail_after(20), pytest.raises(ExceptionGroup) as ended:
        await serve()
    assert ended.group_contains(StoreError, match="whether the last events were stored is not known")
    assert not isinstance(refused["stuck"], StoreFailed)
    assert isinstance(refused["waiting"], StoreFailed)
    outage.end()
    bucket._planned.clear()
    async with open_s3_log(bucket, tmp_path / "index") as log:
        assert await collect(log.read("stuck")) == (stuck.records if took_effect else [])
        assert await collect(log.read("waiting")) == []
