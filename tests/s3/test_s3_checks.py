"""A bucket is tried before anything rests on it: what is missing is told in one sentence, and at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count, repeat

import pytest
from s3_memory import MemoryObjects
from s3_proxy import DROPPED, SILENCE, Proxy, status
from s3_server import BUCKET, READER_KEY, S3, SeaweedFS

from persistence.s3.checks import CHECK_SECONDS, MAX_SKEW, check_bucket, check_objects
from persistence.s3.client import S3Objects
from persistence.s3.objects import Refused, Unanswered
from persistence.s3.settings import Settings

OpenObjects = Callable[..., S3Objects]


def test_a_bucket_that_does_all_passes_and_is_left_as_it_was(s3: S3, open_objects: OpenObjects) -> None:
    settings = s3.settings()
    objects = open_objects(settings)
    objects.put("log/1", b"kept")
    check_bucket(settings)
    assert [one.key for one in objects.find("")] == ["log/1"]


def test_whatever_is_refused_nothing_is_left_behind(
    proxy: Proxy, moto: S3, open_objects: OpenObjects, prefix: str
) -> None:
    settings = Settings(bucket=moto.bucket, prefix=prefix, endpoint=proxy.endpoint)
    check_bucket(settings)
    methods = [method for method, _ in proxy.requests]
    assert methods == ["GET", "POST", "PUT", "PUT", "GET", "GET", "POST", "GET"]
    for method in ("GET", "POST", "PUT"):
        for nth in range(methods.count(method)):
            proxy.plan(method, *repeat(None, nth), status(403, "AccessDenied"))
            with pytest.raises(Refused, match="refuses s3:"):
                check_bucket(settings)
            assert proxy.planned == 0
            if (method, nth) != ("POST", 1):
                assert list(open_objects(moto.settings(prefix=prefix)).find("")) == [], f"{nth} {method}"


def test_no_bucket_or_no_permission_is_told_at_once(seaweedfs: SeaweedFS, aws: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match=r"there is no S3 bucket 'nowhere' at http.*: create it"):
        check_bucket(seaweedfs.settings(bucket="nowhere"))
    aws.setenv("AWS_ACCESS_KEY_ID", READER_KEY)
    with pytest.raises(Refused, match="refuses s3:DeleteObject"):
        check_bucket(seaweedfs.settings())


def test_a_service_that_takes_what_exists_is_refused() -> None:
    class Careless(MemoryObjects):
        def put(self, key: str, data: bytes, *, new: bool = False) -> None:  # noqa: ARG002
            super().put(key, data, new=False)

    objects = Careless()
    with pytest.raises(Refused, match=r"here has no conditional writes \(If-None-Match\): two servers could"):
        check_objects(objects, "here")
    assert objects.stored == {}


def test_a_service_that_refuses_conditions_is_told_of(proxy: Proxy, moto: S3, prefix: str) -> None:
    proxy.plan("PUT", status(501, "NotImplemented"))
    with pytest.raises(Refused, match="conditional writes"):
        check_bucket(Settings(bucket=moto.bucket, prefix=prefix, endpoint=proxy.endpoint))


def test_a_service_that_refuses_and_overwrites_all_the_same_is_refused() -> None:
    objects = MemoryObjects()

    def overwrite(operation: str, key: str) -> None:
        if operation == "get":
            objects.stored[key] = (b"two", datetime.now(UTC))

    objects.before_call = overwrite
    with pytest.raises(Refused, match="does not give back what was put"):
        check_objects(objects, "here")
    assert objects.stored == {}


@pytest.mark.parametrize(("seconds", "word"), [(MAX_SKEW + 60, "ahead of"), (-MAX_SKEW - 60, "behind")])
def test_clocks_that_differ_are_told_of(seconds: float, word: str) -> None:
    objects = MemoryObjects()
    with pytest.raises(Refused, match=f"the clock here is 360 s {word} that of here: set it"):
        check_objects(objects, "here", now=lambda: datetime.now(UTC) + timedelta(seconds=seconds))
    assert objects.stored == {}


@pytest.mark.parametrize(
    "fault", [SILENCE, DROPPED, status(503, "SlowDown")], ids=["silence", "dropped", "503"]
)
def test_a_service_that_does_not_answer_is_given_up_soon(proxy: Proxy, moto: S3, fault: object) -> None:
    proxy.keep_failing(repeat(fault))  # type: ignore[arg-type]
    before = time.monotonic()
    with pytest.raises(Unanswered):
        check_bucket(Settings(bucket=moto.bucket, endpoint=proxy.endpoint, read_seconds=0.5))
    assert time.monotonic() - before < CHECK_SECONDS


def test_a_service_that_answers_slowly_is_given_up_after_some_answers() -> None:
    objects = MemoryObjects()
    clock = count(0, 4)
    with pytest.raises(Unanswered, match="here is too slow"):
        check_objects(objects, "here", clock=lambda: next(clock))
    assert objects.stored == {}


@pytest.mark.usefixtures("aws")
def test_nobody_there_is_told_at_once() -> None:
    with pytest.raises(
        Unanswered, match="could not be reached: is the service running, and its address right"
    ):
        check_bucket(Settings(bucket=BUCKET, endpoint="http://127.0.0.1:1"))
