"""A blob that was put is there, whole, or its absence has a name; it is never another. Wherever it is kept."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
from blob_places import HOUR, PLACES, SMALL, Place, name_of

from engine.errors import BlobCorrupt, BlobError, BlobMissing, BlobStoreFailed
from persistence.blobstore import BlobStore, Swept
from persistence.readonly_blobs import ReadOnlyBlobStore
from persistence.scratch import ScratchBlobStore

MANY = 30
"""Tasks: more than there are threads for them."""


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    made: Place = request.param(tmp_path)
    return made


@pytest.fixture
def store(place: Place) -> BlobStore:
    return place.open()


async def test_a_blob_is_named_by_its_hash_and_had_again_after_a_restart(
    store: BlobStore, place: Place
) -> None:
    for data in (SMALL, b"", b"x" * 3_000_000):
        assert await store.put(data) == name_of(data)
        assert await place.open().get(name_of(data)) == data


async def test_many_tasks_put_the_same_blob(store: BlobStore, place: Place) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(MANY):
            nursery.start_soon(store.put, SMALL * 1_000)
    assert place.names() == [name_of(SMALL * 1_000)]
    assert await store.get(name_of(SMALL * 1_000)) == SMALL * 1_000


async def test_a_blob_that_is_not_there_is_missing(store: BlobStore) -> None:
    for _ in range(2):
        with pytest.raises(BlobMissing, match=f"no blob {name_of(b'')} in "):
            await store.get(name_of(b""))
        await store.put(SMALL)


@pytest.mark.parametrize("name", ["", "../../secret", "a" * 63, "A" * 64, "a" * 64 + "\n", "\u0661" * 64])
async def test_what_is_no_name_is_missing_and_removes_nothing(
    store: BlobStore, place: Place, name: str
) -> None:
    await store.put(SMALL)
    with pytest.raises(BlobMissing, match="is no name of a blob"):
        await store.get(name)
    with pytest.raises(BlobMissing, match="is no name of a blob"):
        await store.discard(name)
    assert place.names() == [name_of(SMALL)]


async def test_what_is_discarded_is_gone_and_may_be_put_again(store: BlobStore, place: Place) -> None:
    name = await store.put(SMALL)
    for _ in range(2):
        await store.discard(name)
        assert place.names() == []
        with pytest.raises(BlobMissing):
            await store.get(name)
    assert await store.get(await store.put(SMALL)) == SMALL


# --- altered --------------------------------------------------------------------------------------


def flips(data: bytes) -> Iterator[bytes]:
    for at in range(len(data)):
        yield data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def truncations(data: bytes) -> Iterator[bytes]:
    for length in range(len(data)):
        yield data[:length]


def sampled(data: bytes) -> Iterator[bytes]:
    """Bits, ends, stretches of zeros and doubled bytes, of a large blob."""
    chance = random.Random(1)
    for _ in range(40):
        at, length = chance.randrange(len(data)), chance.randrange(1, 9_000)
        yield data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
        yield data[:at]
        yield data[:at] + bytes(len(data[at : at + length])) + data[at + length :]
        yield data[: at + length] + data[at:]
    yield data + b"\0"
    yield bytes(len(data))


ALTERED = pytest.mark.parametrize(
    ("data", "alter"),
    [
        pytest.param(SMALL, flips, id="every byte"),
        pytest.param(SMALL, truncations, id="every end"),
        pytest.param(random.Random(0).randbytes(400_000), sampled, id="a large one, sampled"),
    ],
)


@ALTERED
async def test_an_altered_blob_is_never_handed_out(
    store: BlobStore, place: Place, data: bytes, alter: Callable[[bytes], Iterator[bytes]]
) -> None:
    name = await store.put(data)
    for altered in alter(data):
        place.alter(name, altered)
        with pytest.raises(BlobCorrupt, match=f"{name} .*is not what was put there"):
            await store.get(name)
    place.alter(name, data)
    assert await store.get(name) == data


@ALTERED
async def test_putting_a_blob_that_was_altered_puts_it_right(
    store: BlobStore, place: Place, data: bytes, alter: Callable[[bytes], Iterator[bytes]]
) -> None:
    """Also where its size is right: what only looks as if it were stored is not."""
    name = await store.put(data)
    for altered in alter(data):
        place.alter(name, altered)
        await store.put(data)
        assert place.read(name) == data
    assert place.names() == [name]


async def test_a_blob_in_another_ones_place_is_not_handed_out(store: BlobStore, place: Place) -> None:
    a, b = await store.put(b"a"), await store.put(b"b")
    place.alter(b, b"a")
    with pytest.raises(BlobCorrupt):
        await store.get(b)
    assert await store.get(a) == b"a"


# --- sweeping -------------------------------------------------------------------------------------


async def test_a_sweep_removes_what_is_old_and_not_needed(store: BlobStore, place: Place) -> None:
    names = {word: await store.put(word * 10) for word in (b"old", b"kept", b"new")}
    for word in (b"old", b"kept"):
        place.age(names[word], HOUR + 60)
    keep = {names[b"kept"], "f" * 64, "no name"}
    before, used = place.names(), store.used_bytes
    known = await store.survey(keep, older_than=HOUR)
    assert (place.names(), store.used_bytes) == (before, used), "a survey removes nothing"
    swept = await store.sweep(keep, older_than=HOUR)
    assert known == swept
    assert swept == Swept(kept=2, kept_bytes=70, removed=1, removed_bytes=30)
    assert place.names() == sorted([names[b"kept"], names[b"new"]])
    with pytest.raises(BlobMissing):
        await store.get(names[b"old"])


async def test_a_blob_that_is_put_again_counts_as_new(store: BlobStore, place: Place) -> None:
    name = await store.put(SMALL)
    place.age(name, HOUR + 60)
    await store.put(SMALL)
    assert (await store.sweep((), older_than=HOUR)).removed == 0
    assert await store.get(name) == SMALL


async def test_a_sweep_of_nothing_finds_nothing(store: BlobStore) -> None:
    assert await store.sweep((), older_than=0) == Swept(kept=0, kept_bytes=0, removed=0, removed_bytes=0)


async def test_sweeps_at_once_remove_a_blob_once(store: BlobStore, place: Place) -> None:
    name, kept = await store.put(SMALL), await store.put(b"kept")
    place.age(name, HOUR + 60)
    removed = []

    async def sweep() -> None:
        removed.append((await store.sweep([kept], older_than=HOUR)).removed)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(sweep)
    assert sorted(removed) == [0, 0, 1]
    assert store.used_bytes == 4


# --- only read ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ReadOnlyBlobStore, ScratchBlobStore])
async def test_a_store_that_is_only_read_is_left_as_it_is(
    store: BlobStore, place: Place, kind: type[ReadOnlyBlobStore]
) -> None:
    name = await store.put(SMALL)
    place.age(name, HOUR + 60)
    before = place.written()
    seen = kind(place.open())
    assert await seen.get(name) == SMALL
    assert (await seen.survey((), older_than=HOUR)).removed == 1
    with pytest.raises(BlobStoreFailed, match="reading only"):
        await seen.sweep((), older_than=HOUR)
    if kind is ScratchBlobStore:
        assert await seen.get(await seen.put(b"new")) == b"new"
        await seen.discard(name)
    else:
        for write in (lambda: seen.put(SMALL), lambda: seen.discard(name)):
            with pytest.raises(BlobStoreFailed, match="reading only"):
                await write()
    with pytest.raises(BlobMissing):
        await seen.get(name_of(b""))
    assert place.written() == before


# --- what they take -------------------------------------------------------------------------------


async def test_what_blobs_take_is_counted_as_it_changes(store: BlobStore, place: Place) -> None:
    assert store.used_bytes == 0
    first, second = await store.put(SMALL), await store.put(b"x" * 5_000)
    await store.put(SMALL)
    assert store.used_bytes == place.size() == 5_097
    place.alter(second, b"altered")
    await store.sweep([], older_than=HOUR)
    assert store.used_bytes == place.size() == 104
    await store.put(b"x" * 5_000)
    assert store.used_bytes == place.size() == 5_097
    await store.discard(first)
    await store.discard(first)
    assert store.used_bytes == place.size() == 5_000
    await store.sweep([], older_than=-HOUR)
    assert store.used_bytes == place.size() == 0


async def test_what_was_there_before_is_counted_by_a_sweep(store: BlobStore, place: Place) -> None:
    await store.put(SMALL)
    again = place.open()
    await again.put(b"new")
    await again.sweep([], older_than=HOUR)
    assert again.used_bytes == 100


async def test_what_many_tasks_put_and_discard_is_counted_once(store: BlobStore, place: Place) -> None:
    async def put_and_discard(number: int) -> None:
        for _ in range(5):
            name = await store.put(b"%d" % (number % 3) * 1_000)
            await store.discard(name)
        await store.put(b"%d" % (number % 3) * 1_000)

    async with trio.open_nursery() as nursery:
        for number in range(9):
            nursery.start_soon(put_and_discard, number)
    assert store.used_bytes == place.size()


# --- cancellation ---------------------------------------------------------------------------------


async def test_a_put_that_is_cancelled_before_it_began_leaves_nothing(store: BlobStore, place: Place) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.put(SMALL)
    assert scope.cancelled_caught
    assert place.names() == []


def test_every_failure_of_a_blob_is_one_of_the_store() -> None:
    """Whoever only wants a shortcut catches them all."""
    assert all(issubclass(one, BlobError) for one in (BlobMissing, BlobCorrupt, BlobStoreFailed))
