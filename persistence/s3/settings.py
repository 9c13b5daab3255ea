"""Which bucket, how it is reached, and what limits hold for its requests."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from persistence.s3.objects import Refused

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


class Settings(Struct, frozen=True, kw_only=True):
    """What is to be known to use a bucket, but for credentials, which boto3 finds where it always does.

    Raises Refused for what cannot be meant.
    """

    bucket: str
    prefix: str = ""
    """Before every key; one slash is put behind it. Empty: the bucket is all ours."""
    region: str | None = None
    """None: AWS_REGION, AWS_DEFAULT_REGION, or the one of the AWS configuration."""
    endpoint: str | None = None
    """A URL. None: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or that of AWS in the region."""
    path_style: bool | None = None
    """The bucket in the path of the URL, not in the name of the host. None: where an endpoint is given."""
    encryption: str | None = None
    """How the service encrypts what is put: ``AES256``, ``aws:kms``. None: as the bucket has it."""
    kms_key: str | None = None
    """Its id or ARN, for ``aws:kms``. None: the account's own for S3."""
    threads: int = 16
    """From how many the bucket is used: that many connections are kept."""
    connect_seconds: float = 3
    read_seconds: float = 10
    """How long the service may be silent."""
    retry_seconds: float = 15
    """How long after the first attempt another may begin."""
    part_bytes: int = 16 << 20
    """What is larger, and need not be new, is put in parts of this size; S3 takes no parts of less than 5 MiB
    but the last.
    """

    def __post_init__(self) -> None:
        if not _BUCKET.fullmatch(self.bucket):
            raise Refused(
                f"{self.bucket!r} is no name of a bucket: give the name alone, without s3:// or a path"
            )
        if self.endpoint is not None:
            check_endpoint(self.endpoint)
        if self.kms_key is not None and not (self.encryption or "").startswith("aws:kms"):
            raise Refused("a KMS key is for the encryption aws:kms: choose that too")

    def key(self, key: str) -> str:
        """The whole key of one below the prefix."""
        return f"{self.prefix.strip('/')}/{key}".removeprefix("/")

    def encrypted(self) -> Any:
        """What a request that begins an object says of how it is to be encrypted."""
        asked = {"ServerSideEncryption": self.encryption, "SSEKMSKeyId": self.kms_key}
        return {name: value for name, value in asked.items() if value is not None}


def check_endpoint(url: str) -> None:
    """Raise Refused unless this is the URL of a service without a password, which is not repeated."""
    if "@" in url:
        raise Refused("the S3 endpoint has credentials in its URL, where they are not used: take them out")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Refused(f"{url!r} is no S3 endpoint: give a URL such as http://localhost:8333")
