"""What a bucket does to blobs: others write to it at the same time, its clock is its own, and it may not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
import trio
from blob_places import HOUR, SMALL, key_of, name_of
from bucket import Bucket
from s3_memory import Fault, Operation

from engine.errors import BlobMissing, BlobStoreFailed
from persistence.s3 import blobs
from persistence.s3.blobs import FOLDER, SWEEP_SECONDS, S3BlobStore
from persistence.s3.objects import Unanswered
from persistence.s3.servicetime import CLOCK

NAME = name_of(SMALL)
KEY = key_of(NAME)


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def store(bucket: Bucket) -> S3BlobStore:
    return S3BlobStore(bucket)


async def put_long_ago(store: S3BlobStore, bucket: Bucket, data: bytes = SMALL) -> str:
    name = await store.put(data)
    bucket.age(key_of(name), HOUR + 60)
    return name


def once(operation: Operation, key: str, work: Callable[[], object]) -> Callable[[Operation, str], None]:
    """Does it at the first such call."""
    is_done = False

    def do(asked: Operation, keys: str) -> None:
        nonlocal is_done
        if not is_done and asked == operation and key in keys.split():
            is_done = True
            work()

    return do


# --- puts and sweeps at once ----------------------------------------------------------------------


async def test_what_is_put_again_after_a_sweep_has_seen_it_stays(store: S3BlobStore, bucket: Bucket) -> None:
    await put_long_ago(store, bucket)
    bucket.after_call = once("find", FOLDER, lambda: trio.from_thread.run(store.put, SMALL))
    swept = await store.sweep((), older_than=HOUR)
    assert (swept.kept, swept.removed) == (1, 0)
    assert await store.get(NAME) == SMALL
    assert store.used_bytes == len(SMALL)


@pytest.mark.parametrize("moment", ["before_call", "after_call"])
async def test_what_is_being_put_while_a_sweep_goes_by_stays(
    store: S3BlobStore, bucket: Bucket, moment: str
) -> None:
    """Whether the put has taken effect already or not."""
    await put_long_ago(store, bucket)

    def sweep() -> None:
        bucket.age(KEY, HOUR + 60)  # the put goes on for long
        assert trio.from_thread.run(lambda: store.sweep((), older_than=HOUR)).removed == 0

    setattr(bucket, moment, once("put", KEY, sweep))
    await store.put(SMALL)
    assert await store.get(NAME) == SMALL
    assert store.used_bytes == len(SMALL)


async def test_what_was_put_while_a_sweep_looked_stays(store: S3BlobStore, bucket: Bucket) -> None:
    """The put had begun before, and is over when the sweep comes to remove what it saw."""
    await put_long_ago(store, bucket)
    begun, seen, over = trio.Event(), trio.Event(), trio.Event()

    async def put() -> None:
        await store.put(SMALL)
        over.set()

    def wait() -> None:
        trio.from_thread.run_sync(begun.set)
        trio.from_thread.run(seen.wait)

    def let_it_end() -> None:
        trio.from_thread.run_sync(seen.set)
        trio.from_thread.run(over.wait)

    bucket.before_call = once("put", KEY, wait)
    bucket.after_call = once("find", FOLDER, let_it_end)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(put)
            await begun.wait()
            assert (await store.sweep((), older_than=HOUR)).removed == 0
    assert await store.get(NAME) == SMALL


@pytest.mark.parametrize("moment", ["before_call", "after_call"])
@pytest.mark.parametrize("how", ["sweep", "discard"])
async def test_what_is_being_removed_is_put_after_that(
    store: S3BlobStore, bucket: Bucket, moment: str, how: str
) -> None:
    await put_long_ago(store, bucket)
    put = threading.Thread(target=store._put, args=(SMALL,))

    def begin() -> None:
        put.start()
        put.join(0.2)  # it does not end, however long

    setattr(bucket, moment, once("delete", KEY, begin))
    await (store.sweep((), older_than=HOUR) if how == "sweep" else store.discard(NAME))
    await trio.to_thread.run_sync(put.join)
    assert await store.get(NAME) == SMALL
    asked = [operation for operation, key in bucket.calls if key == KEY]
    assert asked == ["put", "delete", "put", "get"]


@pytest.mark.parametrize("moment", ["before_call", "after_call"])
async def test_what_is_being_put_is_not_discarded(store: S3BlobStore, bucket: Bucket, moment: str) -> None:
    setattr(bucket, moment, once("put", KEY, lambda: trio.from_thread.run(store.discard, NAME)))
    await store.put(SMALL)
    assert await store.get(NAME) == SMALL


async def test_others_are_put_while_some_are_removed(store: S3BlobStore, bucket: Bucket) -> None:
    await put_long_ago(store, bucket)
    bucket.before_call = once("delete", KEY, lambda: trio.from_thread.run(store.put, b"another"))
    assert (await store.sweep((), older_than=HOUR)).removed == 1
    assert await store.get(name_of(b"another")) == b"another"
    assert store.used_bytes == len(b"another")


async def test_what_another_server_puts_meanwhile_stays_until_it_is_old(
    store: S3BlobStore, bucket: Bucket
) -> None:
    """What nothing needs by the log of the one, that of the other may name."""
    other = S3BlobStore(bucket)
    await other.put(b"before")
    bucket.after_call = once("put", CLOCK, lambda: trio.from_thread.run(other.put, SMALL))
    assert (await store.sweep((), older_than=HOUR)).removed == 0
    assert await other.get(NAME) == SMALL
    for data in (b"before", SMALL):
        bucket.age(key_of(name_of(data)), HOUR + 60)
    assert (await store.sweep([name_of(b"before")], older_than=HOUR)).removed == 1
    with pytest.raises(BlobMissing):
        await other.get(NAME)
    await other.sweep((), older_than=HOUR)
    assert other.used_bytes == 0, "and the other knows it from its own sweep on"


@pytest.mark.parametrize("hours", [-2, 2])
async def test_what_is_old_is_told_by_the_clock_of_the_service(
    store: S3BlobStore, bucket: Bucket, hours: int
) -> None:
    bucket.slow_by = timedelta(hours=hours)
    old = await put_long_ago(store, bucket, b"old")
    await store.put(SMALL)
    swept = await store.sweep((), older_than=HOUR)
    assert (swept.kept, swept.removed) == (1, 1)
    assert (key_of(old) in bucket.stored, KEY in bucket.stored) == (False, True)


@pytest.mark.parametrize("pages", [0, 1])
async def test_a_sweep_that_takes_too_long_removes_nothing_more(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    """The log may have come to need what it did not when it was asked."""
    monkeypatch.setattr(blobs, "REMOVED_AT_ONCE", 1)
    times = iter([0.0, *[SWEEP_SECONDS] * pages, SWEEP_SECONDS + 1])
    store = S3BlobStore(bucket, clock=lambda: next(times))
    for data in (b"1", b"2", b"3"):
        await put_long_ago(store, bucket, data)
    with pytest.raises(BlobStoreFailed, match="not removed within 600 s: the next sweep goes on"):
        await store.sweep((), older_than=HOUR)
    assert store.used_bytes == 3 - pages
    assert sum(key.startswith(FOLDER) for key in bucket.stored) == 3 - pages + 1
    assert (await S3BlobStore(bucket).sweep((), older_than=HOUR)).removed == 3 - pages


async def test_a_sweep_removes_some_at_a_time(
    store: S3BlobStore, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "REMOVED_AT_ONCE", 2)
    for number in range(5):
        await put_long_ago(store, bucket, b"%d" % number)
    assert (await store.sweep((), older_than=HOUR)).removed == 5
    assert [operation for operation, _ in bucket.calls].count("delete") == 3
    assert [*bucket.stored] == [CLOCK]


async def test_a_sweep_leaves_alone_what_is_no_blob(store: S3BlobStore, bucket: Bucket) -> None:
    name = await put_long_ago(store, bucket)
    mine = [
        "log/00000000000000000000",
        "blobs/README",
        f"blobs/{name}",
        f"blobs/00/{name}",
        f"{KEY}.bak",
        f"{KEY}/",
        f"x{KEY}",
        KEY.upper(),
    ]
    for key in mine:
        bucket.put(key, b"mine")
        bucket.age(key, HOUR + 60)
    swept = await store.sweep((), older_than=HOUR)
    assert (swept.kept, swept.removed) == (0, 1)
    assert sorted(bucket.stored) == sorted([*mine, CLOCK])


# --- what fails -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["refused", "before"])
@pytest.mark.parametrize("operation", ["put", "get", "discard", "survey", "sweep"])
async def test_what_the_service_says_is_told_and_it_works_the_next_time(
    store: S3BlobStore, bucket: Bucket, operation: str, fault: Fault
) -> None:
    await put_long_ago(store, bucket)
    work = {
        "put": lambda: store.put(SMALL),
        "get": lambda: store.get(NAME),
        "discard": lambda: store.discard(NAME),
        "survey": lambda: store.survey([NAME], older_than=HOUR),
        "sweep": lambda: store.sweep((), older_than=HOUR),
    }[operation]
    calls: dict[str, Operation] = {
        "put": "put",
        "get": "get",
        "discard": "delete",
        "survey": "find",
        "sweep": "delete",
    }
    bucket.plan(calls[operation], fault)
    with pytest.raises(BlobStoreFailed, match=r"of '.*blobs/.*, as planned") as failed:
        await work()
    assert failed.value.code == "blob_store_failed"
    assert await store.get(NAME) == SMALL
    assert store.used_bytes == len(SMALL)
    await work()
    await store.put(SMALL)
    assert await store.get(NAME) == SMALL
    assert store.used_bytes == len(SMALL)


async def test_a_put_that_was_not_answered_is_counted_once_it_is_seen(
    store: S3BlobStore, bucket: Bucket
) -> None:
    bucket.plan("put", "after")
    with pytest.raises(BlobStoreFailed):
        await store.put(SMALL)
    assert store.used_bytes == 0
    await store.sweep((), older_than=HOUR)
    assert store.used_bytes == len(SMALL)


async def test_a_removal_that_was_not_answered_is_counted_once_it_is_seen(
    store: S3BlobStore, bucket: Bucket
) -> None:
    await put_long_ago(store, bucket)
    bucket.plan("delete", "after")
    with pytest.raises(BlobStoreFailed):
        await store.discard(NAME)
    assert store.used_bytes == len(SMALL)
    await store.sweep((), older_than=HOUR)
    assert store.used_bytes == 0


async def test_a_list_that_breaks_off_ends_the_sweep_and_leaves_what_is_counted(
    store: S3BlobStore, bucket: Bucket
) -> None:
    """What was not seen may be there."""
    await store.put(SMALL)

    def break_off() -> None:
        raise Unanswered("the list broke off")

    bucket.after_call = once("find", FOLDER, break_off)
    with pytest.raises(BlobStoreFailed):
        await store.sweep((), older_than=HOUR)
    assert store.used_bytes == len(SMALL)


async def test_a_sweep_whose_clock_is_removed_removes_nothing(store: S3BlobStore, bucket: Bucket) -> None:
    await put_long_ago(store, bucket)
    bucket.after_call = once("put", CLOCK, lambda: bucket.delete([CLOCK]))
    with pytest.raises(BlobStoreFailed, match="somebody removed it"):
        await store.sweep((), older_than=HOUR)
    assert await store.get(NAME) == SMALL


async def test_a_put_that_is_cancelled_meanwhile_is_waited_for(store: S3BlobStore, bucket: Bucket) -> None:
    with trio.CancelScope() as scope:
        bucket.before_call = once("put", KEY, lambda: trio.from_thread.run_sync(scope.cancel))
        await store.put(SMALL)
        await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert await store.get(NAME) == SMALL
