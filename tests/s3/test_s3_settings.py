"""Which bucket and which service is meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from s3_proxy import Proxy
from s3_server import S3

from persistence.s3.client import S3Objects
from persistence.s3.objects import Refused
from persistence.s3.settings import Settings

OpenObjects = Callable[..., S3Objects]


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"bucket": "s3://bucket/prefix"}, "give the name alone"),
        ({"bucket": ""}, "is no name of a bucket"),
        ({"endpoint": "localhost:8333"}, "is no S3 endpoint"),
        ({"endpoint": "ftp://localhost"}, "is no S3 endpoint"),
        ({"endpoint": "http://localhost:99999"}, "is no S3 endpoint"),
        ({"endpoint": "http://me:secret@localhost:8333"}, "has credentials in its URL"),
        ({"endpoint": "http://me:secret@localhost:99999"}, "has credentials in its URL"),
        ({"kms_key": "alias/mine"}, "choose that too"),
        ({"kms_key": "alias/mine", "encryption": "AES256"}, "choose that too"),
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused, match=sentence) as raised:
        Settings(**({"bucket": "bucket"} | wrong))
    assert "secret" not in str(raised.value)


def test_the_endpoint_may_be_in_the_environment(
    moto: S3, open_objects: OpenObjects, aws: pytest.MonkeyPatch, prefix: str
) -> None:
    settings = Settings(bucket=moto.bucket, prefix=prefix)
    aws.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert open_objects(settings).endpoint == "http://127.0.0.1:1"
    aws.setenv("AWS_ENDPOINT_URL_S3", moto.endpoint)
    objects = open_objects(settings)
    assert objects.endpoint == moto.endpoint
    objects.put("a", b"1")
    assert objects.get("a") == b"1"
    aws.setenv("AWS_ENDPOINT_URL_S3", "http://me:secret@127.0.0.1:1")
    with pytest.raises(Refused, match="has credentials in its URL") as raised:
        open_objects(settings)
    assert "secret" not in str(raised.value)


def test_the_region_is_that_of_aws_region_before_the_default_one(
    open_objects: OpenObjects, aws: pytest.MonkeyPatch
) -> None:
    aws.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    aws.setenv("AWS_REGION", "eu-south-1")
    assert (
        open_objects(Settings(bucket="b-1", region="eu-west-1")).endpoint
        == "https://s3.eu-west-1.amazonaws.com"
    )
    assert open_objects(Settings(bucket="b-1")).endpoint == "https://s3.eu-south-1.amazonaws.com"
    aws.delenv("AWS_REGION")
    assert open_objects(Settings(bucket="b-1")).endpoint == "https://s3.eu-north-1.amazonaws.com"


def test_another_service_needs_no_region(
    moto: S3, open_objects: OpenObjects, aws: pytest.MonkeyPatch
) -> None:
    aws.delenv("AWS_REGION")
    objects = open_objects(moto.settings())
    objects.put("a", b"1")
    assert objects.get("a") == b"1"


def test_the_bucket_is_in_the_path_where_an_endpoint_is_given(
    through: OpenObjects, proxy: Proxy, prefix: str
) -> None:
    through().put("a", b"1")
    through(path_style=True).put("b", b"1")
    assert [path for _, path in proxy.requests] == [f"/tests/{prefix}/a", f"/tests/{prefix}/b"]


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("size", [1, (5 << 20) + 1], ids=["whole", "in parts"])
def test_what_is_put_is_encrypted_as_is_wanted(moto: S3, open_objects: OpenObjects, size: int) -> None:
    for encryption, key in (("AES256", None), ("aws:kms", "alias/mine")):
        settings = moto.settings(encryption=encryption, kms_key=key, part_bytes=5 << 20)
        open_objects(settings).put("a", bytes(size))
        looking = moto.client()
        head = looking.head_object(Bucket=moto.bucket, Key=settings.key("a"))
        looking.close()
        assert head["ServerSideEncryption"] == encryption
        assert head.get("SSEKMSKeyId") == key
