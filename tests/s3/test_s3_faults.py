"""Between the client and S3 there is a network: what is acknowledged is there, what is read is whole."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import repeat

import pytest
from s3_proxy import DROPPED, DROPPED_AFTER, SILENCE, SILENCE_AFTER, Fault, Proxy, at_random, status
from s3_server import S3, SeaweedFS

from persistence.s3 import client
from persistence.s3.client import S3Objects
from persistence.s3.objects import Exists, Missing, Refused, Unanswered
from persistence.s3.requests import Request

OpenObjects = Callable[..., S3Objects]
PART = 5 << 20
PASSING = {
    "dropped before": DROPPED,
    "dropped after": DROPPED_AFTER,
    "silence before": SILENCE,
    "silence after": SILENCE_AFTER,
    "500": status(500, "InternalError"),
    "500 after it was done": status(500, "InternalError", reaches=True),
    "503": status(503, "SlowDown"),
    "502 of a load balancer": status(502),
    "429": status(429, "TooManyRequests"),
    "400 of a body that was cut off": status(400, "IncompleteBody"),
    "409": status(409, "ConditionalRequestConflict"),
    "200 of another service": Fault(reaches=False, answer=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "204 of another service": Fault(reaches=False, answer=b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n"),
    "no HTTP": Fault(answer=b"SSH-2.0-OpenSSH\r\n\r\n"),
}


@pytest.fixture(params=PASSING)
def passing(request: pytest.FixtureRequest) -> Fault:
    """A fault after which another attempt succeeds."""
    return PASSING[request.param]


def patience_with(fault: Fault) -> float:
    """Seconds: little where a silence is waited out, else so much that a busy machine is not taken for one."""
    return 1.0 if fault.answer == "silence" else 20.0


def test_what_may_be_repeated_is_until_it_is_answered(
    through: OpenObjects, proxy: Proxy, passing: Fault, told: list[Request]
) -> None:
    objects = through(read_seconds=patience_with(passing))
    proxy.plan("PUT", passing, passing)
    objects.put("a", b"1")
    proxy.plan("GET", passing)
    assert objects.get("a") == b"1"
    proxy.plan("GET", passing)
    assert [one.key for one in objects.find("")] == ["a"]
    proxy.plan("POST", passing)
    objects.delete(["a"])
    assert list(objects.find("")) == []
    assert proxy.planned == 0
    assert [one.operation for one in told if one.outcome == "unanswered"] == [
        *repeat("PutObject", 2),
        "GetObject",
        "ListObjectsV2",
        "DeleteObjects",
    ]


def test_what_is_new_is_tried_once_and_its_fate_is_found_by_reading(
    through: OpenObjects, proxy: Proxy, passing: Fault
) -> None:
    objects = through(read_seconds=patience_with(passing))
    proxy.plan("PUT", passing)
    with pytest.raises(Unanswered):
        objects.put("log/1", b"mine", new=True)
    assert [method for method, _ in proxy.requests] == ["PUT"]
    if passing.reaches:
        assert objects.get("log/1") == b"mine", "it took effect"
        with pytest.raises(Exists):
            objects.put("log/1", b"mine", new=True)
    else:
        with pytest.raises(Missing):
            objects.get("log/1")
        objects.put("log/1", b"mine", new=True)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(cut=0),
        Fault(cut=1),
        Fault(cut=-1),
        Fault(cut=client.READ_BYTES),
        Fault(flip=0),
        Fault(flip=client.READ_BYTES + 1),
        Fault(cut=client.READ_BYTES, pause=0.01, piece=client.READ_BYTES),
    ],
    ids=str,
)
def test_no_object_comes_short_or_altered(through: OpenObjects, proxy: Proxy, fault: Fault) -> None:
    patient, impatient = through(), through(retry_seconds=0)
    data = random.Random(2).randbytes(2 * client.READ_BYTES + 5)
    patient.put("a", data)
    proxy.plan("GET", fault, fault)
    with pytest.raises(Unanswered):
        impatient.get("a")
    assert patient.get("a") == data, "the second attempt had the same fault, the third none"
    assert proxy.planned == 0


def test_no_object_of_an_unknown_length_is_taken(through: OpenObjects, proxy: Proxy) -> None:
    proxy.plan("GET", Fault(answer=b"HTTP/1.1 200 OK\r\nETag: x\r\nConnection: close\r\n\r\nsome", cut=4))
    objects = through(retry_seconds=0)
    with pytest.raises(Unanswered, match="4 bytes came"):
        objects.get("a")


def test_a_list_is_whole_or_fails(
    through: OpenObjects, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "KEYS_AT_ONCE", 2)
    objects, impatient = through(), through(retry_seconds=0)
    for number in range(5):
        objects.put(f"{number}", b"")
    proxy.plan("GET", None, Fault(cut=-30), Fault(cut=200))
    assert [one.key for one in objects.find("")] == list("01234")
    proxy.plan("GET", None, Fault(cut=200))
    found = impatient.find("")
    assert [next(found).key, next(found).key] == ["0", "1"]
    with pytest.raises(Unanswered):
        next(found)


def test_one_that_comes_too_slowly_is_given_up(through: OpenObjects, proxy: Proxy) -> None:
    objects = through(read_seconds=0.2, retry_seconds=0)
    objects.put("a", bytes(10 * client.READ_BYTES))
    proxy.plan("GET", Fault(pause=0.15, piece=client.READ_BYTES // 8))
    before = time.monotonic()
    with pytest.raises(Unanswered, match="too slowly"):
        objects.get("a")
    assert time.monotonic() - before < 10


def test_one_that_comes_byte_by_byte_is_given_up_in_the_midst_of_a_read(
    through: OpenObjects, proxy: Proxy
) -> None:
    objects = through(read_seconds=0.5, retry_seconds=0)
    objects.put("a", bytes(client.READ_BYTES // 2))
    proxy.plan("GET", Fault(pause=0.1, piece=1))
    before = time.monotonic()
    with pytest.raises(Unanswered, match="too slowly"):
        objects.get("a")
    assert time.monotonic() - before < 10
    assert objects.get("a") == bytes(client.READ_BYTES // 2), "in another connection"


@pytest.mark.parametrize(
    "fault", [SILENCE, status(503, "SlowDown"), DROPPED], ids=["silence", "503", "dropped"]
)
def test_attempts_end(through: OpenObjects, proxy: Proxy, fault: Fault) -> None:
    proxy.keep_failing(repeat(fault))
    objects = through(read_seconds=0.2, retry_seconds=0.5)
    for call in (
        lambda: objects.put("a", b"1"),
        lambda: objects.get("a"),
        lambda: list(objects.find("")),
        lambda: objects.delete(["a"]),
    ):
        before = time.monotonic()
        with pytest.raises(Unanswered):
            call()
        assert time.monotonic() - before < 5


def test_nobody_there_is_unanswered(moto: S3, open_objects: OpenObjects, proxy: Proxy) -> None:
    proxy.close()
    objects = open_objects(moto.settings(endpoint="http://127.0.0.1:1", retry_seconds=0.2))
    with pytest.raises(Unanswered, match=r"'tests' at http://127\.0\.0\.1:1 could not be reached"):
        objects.get("a")


def test_a_refusal_is_not_repeated(through: OpenObjects, proxy: Proxy) -> None:
    objects = through()
    for code in ("AccessDenied", "InvalidAccessKeyId"):
        proxy.plan("PUT", status(403, code))
        with pytest.raises(Refused):
            objects.put("a", b"1")
    assert len(proxy.requests) == 2
    with pytest.raises(Missing):
        objects.get("a")


def test_that_one_key_of_many_was_not_removed_is_an_error(
    through: OpenObjects, proxy: Proxy, prefix: str
) -> None:
    def answer(code: str) -> Fault:
        error = f"<Error><Key>{prefix}/b</Key><Code>{code}</Code></Error>" if code else ""
        body = f"<DeleteResult><Deleted><Key>{prefix}/a</Key></Deleted>{error}</DeleteResult>"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
        return Fault(answer=(head + body).encode())

    objects = through()
    proxy.plan("POST", answer("AccessDenied"))
    with pytest.raises(Refused, match="s3:DeleteObject"):
        objects.delete(["a", "b"])
    proxy.plan("POST", answer("InternalError"), answer(""), answer("NoSuchKey"))
    objects.delete(["a", "b"])
    assert len(proxy.requests) == 4


def test_a_connection_is_kept(through: OpenObjects, proxy: Proxy) -> None:
    objects = through()
    for number in range(5):
        objects.put("a", bytes(number * client.READ_BYTES))
        objects.get("a")
    assert proxy.connections == 1


@pytest.mark.parametrize(
    "fault", [DROPPED, DROPPED_AFTER, status(503, "SlowDown")], ids=["before", "after", "503"]
)
def test_parts_are_put_again(through: OpenObjects, proxy: Proxy, fault: Fault) -> None:
    objects = through(part_bytes=PART)
    data = random.Random(3).randbytes(PART + 7)
    proxy.plan("POST", fault)
    proxy.plan("PUT", fault, fault)
    objects.put("a", data)
    assert objects.get("a") == data
    assert proxy.planned == 0


def test_an_upload_that_fails_leaves_no_parts_behind(
    through: OpenObjects, proxy: Proxy, moto: S3, prefix: str
) -> None:
    objects = through(part_bytes=PART, retry_seconds=0)
    proxy.plan("PUT", None, status(403, "AccessDenied"))
    with pytest.raises(Refused):
        objects.put("a", bytes(PART + 1))
    proxy.plan("POST", None, DROPPED)
    with pytest.raises(Unanswered):
        objects.put("a", bytes(PART + 1))
    with pytest.raises(Missing):
        objects.get("a")
    assert moto.unfinished(prefix) == []


def test_that_parts_are_left_behind_is_logged(
    through: OpenObjects, proxy: Proxy, moto: S3, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    objects = through(part_bytes=PART, retry_seconds=0)
    proxy.plan("PUT", status(403, "AccessDenied"), status(403, "AccessDenied"))
    proxy.plan("DELETE", DROPPED)
    with pytest.raises(Refused):
        objects.put("a", bytes(PART + 1))
    assert "are left in the bucket" in caplog.text
    assert len(moto.unfinished(prefix)) == 1


@pytest.mark.parametrize("seed", range(3))  # the name of a test that fails has it
def test_under_random_faults_all_that_is_acknowledged_is_there(
    through: OpenObjects, proxy: Proxy, seed: int
) -> None:
    objects = through(retry_seconds=0.3)
    chance = random.Random(seed)
    proxy.keep_failing(at_random(seed, 0.4))
    may_be: dict[str, set[bytes | None]] = {}
    for number in range(60):
        key, data = f"{chance.randrange(8)}", f"{number}".encode()
        possible = may_be.setdefault(key, {None})
        new = chance.random() < 0.5
        try:
            objects.put(key, data, new=new)
        except Exists:
            may_be[key] = possible - {None}
            assert may_be[key], "it exists, but nobody put it"
        except Unanswered:
            possible.add(data)
        else:
            may_be[key] = {data}
    proxy.keep_failing(None)
    for key, possible in may_be.items():
        try:
            assert objects.get(key) in possible
        except Missing:
            assert None in possible


@pytest.mark.usefixtures("aws")
def test_a_real_service_that_is_killed_has_all_that_it_acknowledged(
    seaweedfs: SeaweedFS, open_objects: OpenObjects
) -> None:
    objects = open_objects(seaweedfs.settings(retry_seconds=30))
    for number in range(30):
        objects.put(f"log/{number:03d}", f"{number}".encode(), new=True)
    seaweedfs.kill()
    try:
        with pytest.raises(Unanswered):
            objects.put("log/030", b"30", new=True)  # tried once
    finally:
        seaweedfs.start()
    keys = [f"log/{number:03d}" for number in range(30)]
    assert [objects.get(key) for key in keys] == [f"{number}".encode() for number in range(30)]
    assert [one.key for one in objects.find("log/")] == keys
