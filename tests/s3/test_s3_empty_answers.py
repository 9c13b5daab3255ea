"""An answer whose body is cut off at its beginning is none, though boto3 takes it for one that says nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from s3_proxy import Fault, Proxy
from s3_server import S3

from persistence.s3.client import S3Objects
from persistence.s3.objects import Unanswered

OpenObjects = Callable[..., S3Objects]
PART = 5 << 20
EMPTY = Fault(cut=0)


def test_a_list_without_an_end_is_no_empty_list(through: OpenObjects, proxy: Proxy) -> None:
    through().put("a", b"")
    proxy.plan("GET", EMPTY, EMPTY)
    with pytest.raises(Unanswered, match="the connection broke"):
        list(through(retry_seconds=0).find(""))
    assert [found.key for found in through().find("")] == ["a"]
    assert proxy.planned == 0


@pytest.mark.parametrize("before", [0, 1])
def test_an_upload_in_parts_is_begun_and_completed_only_where_the_service_says_so(
    through: OpenObjects, proxy: Proxy, moto: S3, before: int
) -> None:
    objects = through(part_bytes=PART, retry_seconds=0, read_seconds=30)
    proxy.plan("POST", *[None] * before, EMPTY)
    with pytest.raises(Unanswered, match="the connection broke"):
        objects.put("large", bytes(PART + 1))
    assert proxy.planned == 0
    remove_uploads(moto)  # whoever was not told of one cannot
    objects.delete(["large"])
    objects.put("large", bytes(PART + 1))
    assert len(objects.get("large")) == PART + 1


def remove_uploads(moto: S3) -> None:
    with contextlib.closing(moto.client()) as client:
        for one in client.list_multipart_uploads(Bucket=moto.bucket).get("Uploads", ()):
            client.abort_multipart_upload(Bucket=moto.bucket, Key=one["Key"], UploadId=one["UploadId"])
