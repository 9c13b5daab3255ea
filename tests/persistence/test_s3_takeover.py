"""Of servers that believe that the log is theirs one goes on, however late the others learn of it."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
from bucket import Bucket
from log_samples import History, collect
from s3_memory import Operation

from engine.errors import StoreCorrupt, StoreFailed, StoreLocked
from persistence.s3 import batches, compaction, journal, segments
from persistence.s3.compaction import GRACE, Compaction
from persistence.s3.index import Index
from persistence.s3.journal import Fenced, Journal
from persistence.s3.log import S3EventLog, open_s3_index, open_s3_log
from persistence.s3.objects import Unanswered

PAUSE_SECONDS = 0.005
"""Between two events of a busy server; far less than it takes to read the log."""


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments when the test says so, and no waiting."""
    monkeypatch.setattr(compaction, "DUE_BATCHES", 3)
    monkeypatch.setattr(compaction, "READ_WITHIN", timedelta())
    monkeypatch.setattr(journal, "FIRST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(journal, "LONGEST_PAUSE_SECONDS", 0.0)

    async def nothing(*_: object) -> None:
        """No segments by themselves."""

    monkeypatch.setattr(S3EventLog, "compact", nothing)


def compact(bucket: Bucket, log: S3EventLog) -> None:
    """Make one segment of all that there is."""
    work = Compaction(bucket, log._index, segments.newest(bucket))
    work.extend(log._journal.position)


async def grow(log: S3EventLog, name: str, batch_count: int = 5) -> History:
    """A session with an event in each of so many batches."""
    history = History(name, name=name)
    await log.append([history.created()])
    for _ in range(batch_count - 1):
        await log.append([history.executed()])
    return history


async def test_a_server_that_slept_while_another_took_over_and_made_segments_is_fenced(
    bucket: Bucket, tmp_path: Path
) -> None:
    async with open_s3_log(bucket, tmp_path / "sleeper") as sleeper:
        before = await grow(sleeper, "before")
        async with open_s3_log(bucket, tmp_path / "new") as new:
            after = await grow(new, "after")
            compact(bucket, new)
            with pytest.raises(Fenced, match="another server has taken over the store"):
                await sleeper.append([before.executed()])
            before.records.pop()
    async with open_s3_log(bucket, tmp_path / "last") as last:
        assert await collect(last.read("before")) == before.records
        assert await collect(last.read("after")) == after.records


async def test_a_fenced_server_asks_the_bucket_for_nothing_more(bucket: Bucket, tmp_path: Path) -> None:
    """It tries now and then whether it may append."""
    async with open_s3_log(bucket, tmp_path / "old") as old, open_s3_log(bucket, tmp_path / "new"):
        with pytest.raises(Fenced):
            await old.append([History("late").created()])
        bucket.calls.clear()
        for tried in ([], [History("later").created()]):
            with pytest.raises(Fenced):
                await old.append(tried)
        with pytest.raises(Fenced):
            await old.checkpoint_blobs()
        assert bucket.calls == []


async def test_so_is_one_after_several_others(bucket: Bucket, tmp_path: Path) -> None:
    async with open_s3_log(bucket, tmp_path / "0") as first, open_s3_log(bucket, tmp_path / "1") as second:
        await grow(second, "second")
        async with open_s3_log(bucket, tmp_path / "2") as third:
            await grow(third, "third")
            compact(bucket, third)
            for fenced in (first, second):
                with pytest.raises(Fenced):
                    await fenced.append([History("late").created()])


async def test_takeovers_after_a_good_end_leave_nothing_for_ever(bucket: Bucket, tmp_path: Path) -> None:
    for turn in range(4):
        async with open_s3_log(bucket, tmp_path / "index") as log:
            await grow(log, f"s{turn}")
            compact(bucket, log)
    assert not [key for key in bucket.stored if key.startswith(batches.CLAIMS)]
    assert len([key for key in bucket.stored if key.startswith(batches.PREFIX)]) == 1


async def test_who_slept_between_reading_the_end_and_taking_over_reads_again(
    bucket: Bucket, tmp_path: Path
) -> None:
    """Its batch finds room where those of the other server are in a segment by now."""
    async with open_s3_log(bucket, tmp_path / "old") as old:
        await grow(old, "s1")
        late, index = Journal(bucket), Index(bucket, tmp_path / "late")
        (tmp_path / "late").mkdir()
        index.open(late)
        await grow(old, "s2")
        compact(bucket, old)
        assert late.claim()
        index.open(late)
        assert late.position == old._journal.position, "what it has claimed is not the end of the log"
        assert late.claim()
        with pytest.raises(Fenced):
            await old.append([History("s3").created()])


async def test_an_event_whose_answer_was_lost_and_that_became_part_of_a_segment_is_acknowledged(
    bucket: Bucket, tmp_path: Path
) -> None:
    """It is in the log, put twice; what comes after is not."""
    async with open_s3_log(bucket, tmp_path / "old") as old:
        history = await grow(old, "s1")
        where = batches.key(old._journal.position.number + 1)
        entered, go_on = trio.Event(), trio.Event()
        token = trio.lowlevel.current_trio_token()

        def wait(operation: Operation, key: str) -> None:
            if operation == "get" and key == where:  # what is there: ours?
                bucket.before_call = lambda operation, key: None
                trio.from_thread.run_sync(entered.set, trio_token=token)
                trio.from_thread.run(go_on.wait, trio_token=token)

        bucket.plan("put", "after", None)
        bucket.before_call = wait
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(old.append, [history.executed()])
                await entered.wait()
                async with open_s3_log(bucket, tmp_path / "new") as new:
                    await grow(new, "s2")
                    compact(bucket, new)
                    assert where not in bucket.stored
                    go_on.set()
        with pytest.raises(Fenced):
            await old.append([History("late").created()])
    async with open_s3_log(bucket, tmp_path / "last") as last:
        assert await collect(last.read("s1")) == history.records


async def test_a_reader_goes_on_with_the_newer_manifest_when_its_own_is_replaced(
    bucket: Bucket, tmp_path: Path
) -> None:
    async with open_s3_log(bucket, tmp_path / "owner") as owner:
        history = await grow(owner, "s1")
        compact(bucket, owner)
        await grow(owner, "s2")
        replaced = []

        def replace_first(operation: Operation, key: str) -> None:
            if operation == "get" and key.startswith(segments.MANIFESTS) and not replaced:
                replaced.append(key)
                compact(bucket, owner)

        bucket.before_call = replace_first
        await open_s3_index(bucket, tmp_path / "reader")
        assert replaced
        assert replaced[0] not in bucket.stored
        assert len(history.records) == 5


async def test_a_manifest_that_was_lost_is_told(bucket: Bucket, tmp_path: Path) -> None:
    async with open_s3_log(bucket, tmp_path / "owner") as owner:
        await grow(owner, "s1")
        compact(bucket, owner)

    (key,) = [key for key in bucket.stored if key.startswith(segments.MANIFESTS)]
    kept = bucket.stored[key]

    def lose(operation: Operation, _: str) -> None:
        """It is still in lists."""
        if operation == "get":
            del bucket.stored[key]
        else:
            bucket.stored[key] = kept

    bucket.before_call = lose
    with pytest.raises(StoreCorrupt, match=f"{key} is missing: a part of the log was lost"):
        segments.newest(bucket)


async def test_who_sleeps_in_the_midst_of_making_segments_removes_none_of_the_new_server(
    bucket: Bucket, tmp_path: Path
) -> None:
    async with open_s3_log(bucket, tmp_path / "old") as old:
        await grow(old, "s1")
        work = Compaction(bucket, old._index, segments.newest(bucket))
        async with open_s3_log(bucket, tmp_path / "new") as new:

            def sleep(operation: Operation, _: str) -> None:
                """Between the manifest and the removal: the others go on for hours."""
                if operation == "delete":
                    bucket.before_call = lambda operation, key: None
                    compact(bucket, new)
                    for one in [*bucket.stored]:
                        bucket.age(one, 3 * GRACE.total_seconds())

            await grow(new, "s2")
            bucket.before_call = sleep
            work.extend(old._journal.position)
    async with open_s3_log(bucket, tmp_path / "last") as last:
        assert [await last.session(name) is not None for name in ("s1", "s2")] == [True, True]


async def test_a_server_that_goes_on_writing_is_taken_over(bucket: Bucket, tmp_path: Path) -> None:
    history = History("busy")
    written = []

    async def write(log: S3EventLog) -> None:
        await log.append([history.created()])
        with suppress(Fenced):
            while True:
                await log.append([history.executed()])
                written.append(history.head)
                await trio.sleep(PAUSE_SECONDS)

    with trio.fail_after(60):
        async with open_s3_log(bucket, tmp_path / "busy") as busy, trio.open_nursery() as nursery:
            nursery.start_soon(write, busy)
            while len(written) < 3:
                await trio.lowlevel.checkpoint()
            async with open_s3_log(bucket, tmp_path / "new") as new:
                (*_, last) = await collect(new.read("busy"))
                compact(bucket, new)
    assert last == written[-1]
    async with open_s3_log(bucket, tmp_path / "last") as log:
        assert await collect(log.read("busy")) == history.records[:-1]


def test_a_server_that_writes_faster_than_that_leaves_time_for_it(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before each request of who takes over there is one batch more, until it sees the marks of that one."""
    rival, new = Journal(bucket), Journal(bucket)
    assert rival.claim()
    pauses = []

    def write(_operation: Operation, _key: str) -> None:
        bucket.before_call = lambda operation, key: None
        rival.ship((), patience)
        if not pauses:
            bucket.before_call = write

    monkeypatch.setattr(journal, "time", SimpleNamespace(sleep=pauses.append))
    bucket.before_call = write
    assert new.claim()
    assert pauses == [journal.LET_SECONDS]
    assert rival.position.number <= 2 * journal.LOOK_BATCHES
    with pytest.raises(Fenced):
        rival.ship((), patience)


def test_one_from_which_nobody_takes_over_never_waits(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it has got its log, and though it cannot always look."""
    before, owner = Journal(bucket), Journal(bucket)
    assert before.claim()
    before.ship((), patience)
    assert owner.claim()
    assert any(key.startswith(batches.CLAIMS) for key in bucket.stored), "it has left marks itself"
    pauses: list[float] = []
    monkeypatch.setattr(journal, "time", SimpleNamespace(sleep=pauses.append))
    bucket.calls.clear()
    bucket.plan("find", None, "refused", "before")
    for _ in range(4 * journal.LOOK_BATCHES):
        owner.ship((), patience)
    assert pauses == []
    assert bucket.calls.count(("find", batches.CLAIMS)) == 3


def patience(reason: str, seconds: float) -> None:
    """There is no need of any."""
    raise AssertionError(reason, seconds)


async def test_a_command_never_takes_over_from_a_server_that_starts_just_then(
    bucket: Bucket, tmp_path: Path
) -> None:
    rival = Journal(bucket)

    def start(operation: Operation, _: str) -> None:
        if operation == "put":
            bucket.before_call = lambda operation, key: None
            assert rival.claim()

    bucket.before_call = start
    with pytest.raises(StoreLocked, match="has not ended in good order"):
        async with open_s3_log(bucket, tmp_path / "command", only_if_free=True):
            pass


async def test_a_command_that_writes_is_refused_where_a_server_may_still_run(
    bucket: Bucket, tmp_path: Path
) -> None:
    async with open_s3_log(bucket, tmp_path / "server") as server:
        history = await grow(server, "s1")
        with pytest.raises(
            StoreLocked, match=r"opened by mcp-v8 .*, process \d+ on .*has not ended in good order"
        ):
            async with open_s3_log(bucket, tmp_path / "command", only_if_free=True):
                pass
        await server.append([history.executed()])
    async with open_s3_log(bucket, tmp_path / "command", only_if_free=True) as command:
        assert await collect(command.read("s1")) == history.records


async def test_a_takeover_whose_answer_is_lost_does_not_begin(bucket: Bucket, tmp_path: Path) -> None:
    bucket.plan("put", "after")
    with pytest.raises(Exception, match="cannot be written to") as failed:
        async with open_s3_log(bucket, tmp_path / "index"):
            pass
    assert not isinstance(failed.value, (Unanswered, StoreFailed))
    async with open_s3_log(bucket, tmp_path / "index") as log:
        await grow(log, "s1")
