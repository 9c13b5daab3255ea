"""Objects in S3, or in anything that speaks it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from persistence.s3.daemons import Daemons
from persistence.s3.failures import FOREIGN, not_of_s3, said_of
from persistence.s3.multipart import put_in_parts
from persistence.s3.objects import Found, Unanswered
from persistence.s3.requests import Observer, unobserved
from persistence.s3.retrying import Retrying
from persistence.s3.service import PARTS_AT_ONCE, Service, complete
from persistence.s3.settings import Settings
from persistence.threads import NO_THREAD

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

READ_BYTES = 64 << 10
"""What is read of an answer at once."""
SLOWEST = 256 << 10
"""Bytes a second: an object that takes longer by more than ``Settings.read_seconds`` is given up."""
KEYS_AT_ONCE = 1_000
"""In a list, and to be removed; more S3 does not do."""


class S3Objects:
    """``Objects`` in a bucket. To be closed, or used as a context manager."""

    def __init__(
        self, settings: Settings, *, observe: Observer = unobserved, retrying: Retrying | None = None
    ) -> None:
        """Asks nothing yet (``persistence.s3.checks`` does). Raises Refused for settings of no use."""
        self._settings = settings
        self._retrying = retrying or Retrying(settings.retry_seconds)
        self._service = Service(settings, self._retrying, observe)
        self._parts = Daemons(PARTS_AT_ONCE, "parts")

    @property
    def endpoint(self) -> str:
        """URL of the service, for people."""
        return self._service.endpoint

    def put(self, key: str, data: bytes, *, new: bool = False) -> None:
        """See ``Objects``."""
        whole = self._settings.key(key)
        # Not every service that refuses to put what is there refuses to complete an upload to its key.
        if len(data) > self._settings.part_bytes and not new:
            put_in_parts(self._service, self._parts, whole, data)
            return
        condition: Any = {"IfNoneMatch": "*"} if new else {}
        ask = self._service.ask if new else self._service.ask_again
        ask(
            "PutObject",
            whole,
            lambda: self._service.client.put_object(
                Bucket=self._settings.bucket,
                Key=whole,
                Body=data,
                **condition,
                **self._settings.encrypted(),
            ),
            sent=len(data),
        )

    def get(self, key: str) -> bytes:
        """See ``Objects``."""
        whole = self._settings.key(key)
        return self._service.ask_again("GetObject", whole, lambda: self._get(whole))

    def find(self, start: str, *, after: str = "") -> Iterator[Found]:
        """See ``Objects``."""
        place: Any = {"StartAfter": self._settings.key(after)} if after else {}
        while True:
            page = self._page(self._settings.key(start), place)
            for one in page.get("Contents", ()):
                key = one["Key"].removeprefix(self._settings.key(""))
                yield Found(key, one["Size"], one["LastModified"])
            if not page["IsTruncated"]:
                return
            if not (token := page.get("NextContinuationToken")):
                raise Unanswered("the service has more keys and does not say from where on")
            place = {"ContinuationToken": token}

    def delete(self, keys: Collection[str]) -> None:
        """See ``Objects``."""
        whole = [self._settings.key(key) for key in keys]
        for at in range(0, len(whole), KEYS_AT_ONCE):
            self._delete(whole[at : at + KEYS_AT_ONCE])

    def close(self) -> None:
        """Close the connections. A call that is under way ends as its request does."""
        self._retrying.stop()
        self._parts.shutdown()
        self._service.close()

    def __enter__(self) -> S3Objects:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _get(self, whole: str) -> bytes:
        """One attempt."""
        answer = self._service.client.get_object(Bucket=self._settings.bucket, Key=whole)
        if "ETag" not in answer:
            raise not_of_s3(self._service.asked("GetObject", whole))
        expected = answer.get("ContentLength", -1)
        seconds = self._settings.read_seconds + expected / SLOWEST
        end = time.monotonic() + seconds
        try:
            with closing(answer["Body"]) as body, _broken_after(seconds, body):
                # the last, empty one: checksum and length are verified
                data = b"".join(iter(lambda: body.read(READ_BYTES), b""))
        except FOREIGN:
            if time.monotonic() < end:
                raise
            slow = f"the object {whole!r} came too slowly: {expected:,} bytes were to come"
            raise Unanswered(slow) from None
        if len(data) != expected:
            raise Unanswered(f"of the object {whole!r} {len(data):,} bytes came instead of {expected:,}")
        return data

    def _page(self, start: str, place: Any) -> ListObjectsV2OutputTypeDef:
        return self._service.ask_again(
            "ListObjectsV2",
            start,
            lambda: complete(
                self._service.client.list_objects_v2(
                    Bucket=self._settings.bucket, Prefix=start, MaxKeys=KEYS_AT_ONCE, **place
                ),
                "IsTruncated",
            ),
        )

    def _delete(self, whole: list[str]) -> None:
        def attempt() -> None:
            answer = self._service.client.delete_objects(
                Bucket=self._settings.bucket,
                Delete={"Objects": [{"Key": key} for key in whole]},
            )
            gone = {one.get("Key") for one in answer.get("Deleted", ())}
            for error in answer.get("Errors", ()):
                if error.get("Code") != "NoSuchKey":
                    asked = self._service.asked("DeleteObjects", error.get("Key", ""))
                    raise said_of(asked, error.get("Code", ""), error.get("Message", ""))
                gone.add(error.get("Key"))
            if not gone.issuperset(whole):
                raise not_of_s3(self._service.asked("DeleteObjects", ""))

        self._service.ask_again("DeleteObjects", "", attempt)


@contextmanager
def _broken_after(seconds: float, body: Any) -> Iterator[None]:
    """End the connection of an answer unless the block has ended by then.

    How long the service may be silent says nothing of one that sends a byte now and then. Raises Unanswered.
    """

    def end() -> None:
        with contextlib.suppress(RuntimeError, ValueError):  # all of it came just then
            body._raw_stream.shutdown()  # urllib3's, which boto3 has no name for

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    try:
        timer.start()
    except RuntimeError as failed:  # the process has all the threads that it may have
        raise Unanswered(NO_THREAD) from failed
    try:
        yield
    finally:
        timer.cancel()
