"""A large object, put in parts, some of them at once. It is there when all of it is, or not at all.

What was sent of an upload that is not completed is kept, and paid for, until it is aborted: here, whatever
ended it, but for the end of the process and of the network. For those a bucket has a rule of its lifecycle.
"""

from __future__ import annotations

import logging
from concurrent.futures import Executor, Future, wait
from typing import TYPE_CHECKING, Any, cast

from persistence.s3.objects import ObjectsError, Unanswered
from persistence.s3.service import Service, complete
from persistence.threads import NO_THREAD

if TYPE_CHECKING:
    from types_boto3_s3.type_defs import CompletedPartTypeDef

_log = logging.getLogger(__name__)


def put_in_parts(service: Service, threads: Executor, key: str, data: bytes) -> None:
    """Put an object under the whole ``key``, whether there is one or not; see ``Objects.put``."""
    bucket = service.settings.bucket
    upload = service.ask_again(
        "CreateMultipartUpload",
        key,
        lambda: complete(
            service.client.create_multipart_upload(Bucket=bucket, Key=key, **service.settings.encrypted()),
            "UploadId",
        ),
    )["UploadId"]
    try:
        parts = _put_parts(service, threads, key, upload, data)
        service.ask_again(
            "CompleteMultipartUpload",
            key,
            lambda: complete(
                service.client.complete_multipart_upload(
                    Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
                ),
                "ETag",
            ),
        )
    except BaseException:
        _abort(service, key, upload)
        raise


def _put_parts(
    service: Service, threads: Executor, key: str, upload: str, data: bytes
) -> list[CompletedPartTypeDef]:
    size = service.settings.part_bytes
    futures: list[Future[CompletedPartTypeDef]] = []
    try:
        for number, at in enumerate(range(0, len(data), size), start=1):
            for future in filter(Future.done, futures):
                future.result()  # once one has failed no more are begun
            futures.append(_start(threads, _put_part, service, key, upload, number, data[at : at + size]))
        return [future.result() for future in futures]
    finally:
        wait(futures)


def _start(threads: Executor, work: Any, *of: Any) -> Future[CompletedPartTypeDef]:
    try:
        return threads.submit(work, *of)
    except RuntimeError as failed:  # the process has all the threads that it may have, or is ending
        raise Unanswered(NO_THREAD) from failed


def _put_part(service: Service, key: str, upload: str, number: int, part: bytes) -> CompletedPartTypeDef:
    answer = service.ask_again(
        "UploadPart",
        key,
        lambda: service.client.upload_part(
            Bucket=service.settings.bucket, Key=key, UploadId=upload, PartNumber=number, Body=part
        ),
        sent=len(part),
    )
    # S3 wants the checksums that it was sent again, and answers with them
    checksums = {name: value for name, value in answer.items() if name.startswith("ChecksumCRC")}
    return cast("CompletedPartTypeDef", checksums | {"PartNumber": number, "ETag": answer["ETag"]})


def _abort(service: Service, key: str, upload: str) -> None:
    """Once: what made the upload fail is not waited for again."""
    try:
        service.ask(
            "AbortMultipartUpload",
            key,
            lambda: service.client.abort_multipart_upload(
                Bucket=service.settings.bucket, Key=key, UploadId=upload
            ),
        )
    except ObjectsError as failed:
        _log.warning("parts of %s that no object will have are left in the bucket: %s", key, failed)
