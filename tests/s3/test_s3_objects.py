"""Objects in S3, a quick one and a real one: what is put is there, and new is new."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from s3_server import S3

from persistence.s3 import client
from persistence.s3.client import S3Objects
from persistence.s3.objects import Exists, Missing, Objects
from persistence.s3.requests import Request
from persistence.s3.settings import Settings

OpenObjects = Callable[..., S3Objects]
PART = 5 << 20
"""The smallest that S3 takes."""


def test_what_is_put_is_there_until_it_is_removed(objects: Objects) -> None:
    for data in (b"", b"one", bytes(range(256)) * 300):
        objects.put("folder/a key with blanks & ünicode+%", data)
        assert objects.get("folder/a key with blanks & ünicode+%") == data
    objects.delete(["folder/a key with blanks & ünicode+%"])
    with pytest.raises(Missing, match="there is no object"):
        objects.get("folder/a key with blanks & ünicode+%")


def test_what_is_new_is_put_once(objects: Objects) -> None:
    objects.put("log/1", b"first", new=True)
    with pytest.raises(Exists, match="log/1"):
        objects.put("log/1", b"second", new=True)
    assert objects.get("log/1") == b"first"
    objects.put("log/1", b"third")
    assert objects.get("log/1") == b"third", "without new it is replaced"


@pytest.mark.usefixtures("aws")
def test_of_many_that_put_the_same_at_once_one_wins(seaweedfs: S3, open_objects: OpenObjects) -> None:
    objects = open_objects(seaweedfs.settings())  # moto may let two of them win

    def attempt(number: int) -> int | None:
        try:
            objects.put("log/1", f"{number}".encode(), new=True)
        except Exists:
            return None
        return number

    for round_ in range(5):
        objects.delete(["log/1"])
        with ThreadPoolExecutor(8) as threads:
            winners = [one for one in threads.map(attempt, range(8)) if one is not None]
        assert len(winners) == 1, f"round {round_}"
        assert objects.get("log/1") == f"{winners[0]}".encode()


def test_a_large_object_is_put_in_parts_and_is_the_same(
    s3: S3, open_objects: OpenObjects, told: list[Request]
) -> None:
    settings = s3.settings(part_bytes=PART)
    objects = open_objects(settings)
    data = random.Random(1).randbytes(2 * PART + 1)
    objects.put("large", data)
    assert objects.get("large") == data
    objects.put("large", data[:-1])
    assert objects.get("large") == data[:-1]
    parts = [one.sent for one in told if one.operation == "UploadPart"]
    assert sorted(parts) == [1, PART, PART, PART, PART]
    assert s3.unfinished(settings.prefix) == []


def test_what_must_be_new_is_put_in_one_request_however_large_it_is(
    s3: S3, open_objects: OpenObjects, told: list[Request]
) -> None:
    """Of conditions only that of such a request is tried before a bucket is used."""
    objects = open_objects(s3.settings(part_bytes=PART))
    data = random.Random(1).randbytes(2 * PART + 1)
    objects.put("large", data, new=True)
    with pytest.raises(Exists):
        objects.put("large", data[:-1], new=True)
    assert objects.get("large") == data
    assert [(one.operation, one.outcome) for one in told] == [
        ("PutObject", "done"),
        ("PutObject", "exists"),
        ("GetObject", "done"),
    ]


def test_keys_are_found_in_their_order_page_by_page(
    objects: Objects, monkeypatch: pytest.MonkeyPatch, told: list[Request]
) -> None:
    keys = [f"log/{number:020d}" for number in range(8)]
    for key in reversed(keys):
        objects.put(key, key.encode()[-3:])
    objects.put("logs", b"another")
    objects.put("blobs/ab/1", b"another")
    monkeypatch.setattr(client, "KEYS_AT_ONCE", 3)
    found = list(objects.find("log/"))
    assert [one.key for one in found] == keys
    assert {one.size for one in found} == {3}
    assert all(one.modified.tzinfo is not None for one in found)
    assert [one.key for one in objects.find("log/", after=keys[2])] == keys[3:]
    assert [one.key for one in objects.find("log/", after=keys[7])] == []
    assert [one.key for one in objects.find("")] == ["blobs/ab/1", *keys, "logs"]
    assert [one.key for one in objects.find("nothing/")] == []
    lists = [one for one in told if one.operation == "ListObjectsV2"]
    assert len(lists) == 3 + 2 + 1 + 4 + 1


def test_many_are_removed_at_once_whether_they_are_there_or_not(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "KEYS_AT_ONCE", 3)
    for number in range(7):
        objects.put(f"blobs/{number}", b"")
    objects.delete({f"blobs/{number}" for number in range(1, 10)})
    assert [one.key for one in objects.find("")] == ["blobs/0"]
    objects.delete([])


def test_what_is_below_one_prefix_is_nothing_to_another(s3: S3, open_objects: OpenObjects) -> None:
    settings = s3.settings()
    ours = open_objects(settings)
    theirs = open_objects(s3.settings(prefix=f"/{settings.prefix}x/"))
    ours.put("a", b"ours")
    theirs.put("b", b"theirs")
    assert [one.key for one in ours.find("")] == ["a"]
    assert [one.key for one in theirs.find("")] == ["b"]


def test_every_request_is_told_of(objects: Objects, told: list[Request]) -> None:
    objects.put("a", b"12345", new=True)
    with pytest.raises(Exists):
        objects.put("a", b"123", new=True)
    objects.get("a")
    with pytest.raises(Missing):
        objects.get("b")
    assert [(one.operation, one.outcome, one.sent, one.received) for one in told] == [
        ("PutObject", "done", 5, 0),
        ("PutObject", "exists", 3, 0),
        ("GetObject", "done", 0, 5),
        ("GetObject", "missing", 0, 0),
    ]
    assert all(0 < one.seconds < 30 for one in told)


def test_a_bucket_may_be_all_ours() -> None:
    assert Settings(bucket="bucket").key("log/1") == "log/1"
    assert Settings(bucket="bucket", prefix="/a/b/").key("log/1") == "a/b/log/1"
