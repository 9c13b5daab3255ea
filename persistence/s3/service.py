"""A bucket over boto3: every request goes through here, with its limits, and is counted.

boto3 signs, keeps connections, adds checksums to what is sent and verifies those of what comes back. It tries
nothing again itself: what may be tried again, and for how long, is decided here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import botocore.session
from botocore.config import Config
from botocore.loaders import create_loader

from persistence.s3.failures import FOREIGN, Asked, failure, not_of_s3, unusable
from persistence.s3.objects import Exists, Missing, ObjectsError, Refused, Unanswered
from persistence.s3.requests import Observer, Outcome, Request
from persistence.s3.retrying import Retrying
from persistence.s3.settings import Settings, check_endpoint

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

PARTS_AT_ONCE = 4
"""Of objects that are put in parts, in all."""
_LOADER = create_loader()
"""What boto3 knows of S3 is read once: it takes far longer than all else before the first request."""
_ANSWERED_BY = {
    "CompleteMultipartUpload": "ETag",
    "CreateMultipartUpload": "UploadId",
    "ListObjectsV2": "IsTruncated",
    "PutObject": "ETag",
    "UploadPart": "ETag",
}
"""What S3's answer to it always has: one without it is somebody else's, whatever its status."""
_OUTCOMES: dict[type[ObjectsError], Outcome] = {
    Exists: "exists",
    Missing: "missing",
    Refused: "refused",
    Unanswered: "unanswered",
}

T = TypeVar("T")
A = TypeVar("A", bound=Mapping[str, object])


class Service:
    """A boto3 client and the bucket that it is for. Safe for many threads."""

    def __init__(self, settings: Settings, retrying: Retrying, observe: Observer) -> None:
        """Asks nothing yet. Raises Refused if the settings, or those of AWS, cannot be used."""
        self.settings = settings
        self._retrying = retrying
        self._observe = observe
        self.client = _client(settings)
        self.endpoint: str = self.client.meta.endpoint_url
        check_endpoint(self.endpoint)

    def ask(self, operation: str, key: str, call: Callable[[], T], *, sent: int = 0) -> T:
        """What one request comes to; foreign exceptions become ours, without their texts.

        ``call`` may raise ours, too.
        """
        begun = time.monotonic()
        outcome: Outcome = "unanswered"
        received = 0
        try:
            answer = call()
            if isinstance(answer, dict) and _ANSWERED_BY.get(operation, "ResponseMetadata") not in answer:
                raise not_of_s3(self.asked(operation, key))
            outcome = "done"
            received = len(answer) if isinstance(answer, bytes) else 0
        except FOREIGN as error:
            failed = failure(self.asked(operation, key), error)
            outcome = _OUTCOMES[type(failed)]
            raise failed from None  # its text may be anything, a credential too
        except ObjectsError as failed:
            outcome = _OUTCOMES[type(failed)]
            raise
        finally:
            seconds = time.monotonic() - begun
            self._observe(
                Request(operation=operation, outcome=outcome, seconds=seconds, sent=sent, received=received)
            )
        return answer

    def ask_again(self, operation: str, key: str, call: Callable[[], T], *, sent: int = 0) -> T:
        """The same of a request that may be repeated: tried again while there is no answer, for a while."""
        return self._retrying.run(lambda: self.ask(operation, key, call, sent=sent))

    def asked(self, operation: str, key: str) -> Asked:
        """A request, for what is said of it when it fails."""
        return Asked(operation, self.settings.bucket, self.endpoint, key)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


def complete(answer: A, member: str) -> A:
    """The answer, if it has what every such answer has.

    To boto3 a body that was cut off at its very beginning is one that says nothing, and no error. Raises
    Unanswered.
    """
    if member not in answer:
        raise Unanswered("of an answer nothing came but that there is one: the connection broke")
    return answer


def _client(settings: Settings) -> S3Client:
    styles: Any = {None: "auto", True: "path", False: "virtual"}
    try:
        core = botocore.session.Session()
        core.register_component("data_loader", _LOADER)
        # boto3 itself knows only AWS_DEFAULT_REGION
        region = settings.region or os.environ.get("AWS_REGION") or None
        session = boto3.session.Session(region_name=region, botocore_session=core)
        return session.client(
            "s3",
            endpoint_url=settings.endpoint,
            config=Config(
                connect_timeout=settings.connect_seconds,
                read_timeout=settings.read_seconds,
                retries={"total_max_attempts": 1},
                max_pool_connections=settings.threads + PARTS_AT_ONCE,
                s3={"addressing_style": styles[settings.path_style]},
            ),
        )
    except (*FOREIGN, ValueError) as error:
        raise unusable(settings.bucket, error) from None
