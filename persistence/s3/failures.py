"""What boto3 raises, as errors of ours: the one place where that is decided. Pure.

The messages name what is missing and what to do. They repeat nothing that could be a credential: neither
headers nor URLs, and of what the service says no long run of letters and digits.
Codes: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from botocore import exceptions
from botocore.parsers import ResponseParserError
from msgspec import Struct

from persistence.s3.objects import Exists, Missing, ObjectsError, Refused, Unanswered

FOREIGN = (exceptions.BotoCoreError, exceptions.ClientError, ResponseParserError)
"""All that boto3 raises when a request fails."""

_ACTIONS = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObjects": "s3:DeleteObject",
    "GetObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
}
_PUT = "s3:PutObject"
_AGAIN = {
    "BadDigest": "what was sent was damaged on its way",
    "ConditionalRequestConflict": "another write of the same object was under way",
    "IncompleteBody": "what was sent was cut off on its way",
    "InternalError": "it has an error of its own",
    "NoSuchUpload": "the upload in parts is over, or was removed",
    "OperationAborted": "another operation was under way",
    "RequestTimeout": "what was sent came too slowly",
    "ServiceUnavailable": "it is overloaded",
    "SlowDown": "it is overloaded",
    "ThrottlingException": "it is overloaded",
    "TooManyRequests": "it is overloaded",
    "XAmzContentChecksumMismatch": "what was sent was damaged on its way",
}
"""Answers after which an attempt may succeed, whatever their status."""
_WRONG_KEY = "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile"
_CREDENTIALS = {
    "ExpiredToken": "the AWS session token has expired: get a new one",
    "ExpiredTokenException": "the AWS session token has expired: get a new one",
    "InvalidAccessKeyId": f"it does not know the access key: {_WRONG_KEY}",
    "InvalidToken": "it does not take the AWS session token: get a new one, or unset AWS_SESSION_TOKEN",
    "SignatureDoesNotMatch": f"the secret does not fit the access key: {_WRONG_KEY}",
    "RequestTimeTooSkewed": "the clock here and the service's are too far apart: set the clock",
}
_ELSEWHERE = {
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "PermanentRedirect",
    "TemporaryRedirect",
}
_LIKE_A_SECRET = re.compile(r"[A-Za-z0-9/+=_]{16,}")
_MAX_SAID = 300
"""Characters of the service's own message."""


class Asked(Struct, frozen=True):
    """A request, for what is said of it when it fails."""

    operation: str
    """Of S3, as PutObject."""
    bucket: str
    endpoint: str
    """URL."""
    key: str = ""


def failure(asked: Asked, error: Exception) -> ObjectsError:
    """What one of FOREIGN comes to."""
    if isinstance(error, exceptions.ClientError):
        return _said(asked, error.response)
    return _unsaid(asked, error)


def unusable(bucket: str, error: Exception) -> ObjectsError:
    """What it comes to if boto3 cannot even begin, for its settings."""
    if isinstance(error, ValueError):  # also botocore's, of a region
        return Refused(f"the region or the endpoint for the S3 bucket {bucket!r} is none: correct it")
    return _unsaid(Asked("anything", bucket, "the endpoint of its settings"), error)


def said_of(asked: Asked, code: str, message: str) -> ObjectsError:
    """What an error within an answer comes to, as in those about many keys."""
    return _said(asked, {"Error": {"Code": code, "Message": message}})


def not_of_s3(asked: Asked) -> ObjectsError:
    """What an answer comes to that is not S3's, or of which only the beginning came."""
    return Unanswered(
        f"the answer to {asked.operation} of the S3 bucket {asked.bucket!r} at {asked.endpoint} was no whole"
        " one of S3: is it S3 that is there, and nothing between that answers in its place?"
    )


def _said(asked: Asked, response: Mapping[str, Any]) -> ObjectsError:
    error: Mapping[str, Any] = response.get("Error", {})
    metadata: Mapping[str, Any] = response.get("ResponseMetadata", {})
    code = str(error.get("Code", ""))
    status = int(metadata.get("HTTPStatusCode", 0))
    region = error.get("Region") or metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region")
    where = f"the S3 bucket {asked.bucket!r} at {asked.endpoint}"
    if not code or code.isdecimal():  # botocore's, of the status: what S3 says has a code of its own
        return not_of_s3(asked)
    if code == "PreconditionFailed":
        return Exists(f"there is an object {asked.key!r} in {where} already")
    if code == "NoSuchKey":
        return Missing(f"there is no object {asked.key!r} in {where}")
    if code == "NoSuchBucket":
        return Refused(
            f"there is no S3 bucket {asked.bucket!r} at {asked.endpoint}: create it, or name another"
        )
    if code in _CREDENTIALS:
        return Refused(f"{where} refused {asked.operation}: {_CREDENTIALS[code]}")
    if code in _ELSEWHERE:
        return Refused(f"{where} is in another region: {_region_to_set(region)}")
    if code in _AGAIN:
        return Unanswered(f"{where} did not do {asked.operation}: {_AGAIN[code]} ({code})")
    if code == "NotImplemented":
        return Refused(
            f"{where} does not know how to do {asked.operation} as it is needed: another service that speaks"
            " S3 is needed, one with conditional writes (If-None-Match)"
        )
    if code in ("AccessDenied", "AllAccessDisabled", "AccountProblem") or status == 403:
        action = _ACTIONS.get(asked.operation, _PUT)
        return Refused(f"{where} refuses {action}: allow it for these credentials{_its_words(error)}")
    if status >= 500 or status in (0, 429) or status < 400:
        return Unanswered(f"{where} failed at {asked.operation}: {code or status}{_its_words(error)}")
    return Refused(f"{where} refused {asked.operation}: {code or status}{_its_words(error)}")


def _region_to_set(region: object) -> str:
    if isinstance(region, str) and re.fullmatch(r"[a-z0-9-]{2,30}", region):
        return f"set AWS_REGION={region}"
    return "set AWS_REGION to its own"


def _its_words(error: Mapping[str, Any]) -> str:
    """What the service says, in parentheses, without what could be a credential."""
    words = " ".join(str(error.get("Message") or "").split())
    masked = _LIKE_A_SECRET.sub("…", words)[:_MAX_SAID]
    return f" (it says: {masked})" if masked else ""


def _unsaid(asked: Asked, error: Exception) -> ObjectsError:
    """Of the error its kind, and never its text, in which URLs are."""
    where = f"the S3 bucket {asked.bucket!r} at {asked.endpoint}"
    match error:
        case exceptions.NoCredentialsError():
            return Refused(
                f"there are no AWS credentials for {where}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
                " or a profile, or give the machine a role"
            )
        case exceptions.PartialCredentialsError():
            return Refused(f"one half of the AWS credentials for {where} is missing: set both")
        case (
            exceptions.ProfileNotFound()
            | exceptions.ConfigNotFound()
            | exceptions.ConfigParseError()
            | exceptions.SSOError()
            | exceptions.LoginError()
            | exceptions.TokenRetrievalError()
        ):
            return Refused(
                f"the AWS configuration for {where} cannot be used ({type(error).__name__}): correct the"
                " profile, or log in again"
            )
        case exceptions.CredentialRetrievalError() | exceptions.MetadataRetrievalError():
            return Unanswered(f"the AWS credentials for {where} could not be had from where they are kept")
        case exceptions.SSLError():
            return Unanswered(
                f"{where} could not be reached with TLS: is its certificate one that this machine trusts"
                " (AWS_CA_BUNDLE), or does it want http?"
            )
        case exceptions.ConnectTimeoutError() | exceptions.EndpointConnectionError():
            return Unanswered(f"{where} could not be reached: is the service running, and its address right?")
        case exceptions.ProxyConnectionError():
            return Unanswered(f"{where} could not be reached through the proxy that HTTPS_PROXY names")
        case exceptions.ReadTimeoutError():
            return Unanswered(f"{where} was silent for too long in {asked.operation}")
        case (
            exceptions.HTTPClientError()
            | exceptions.ConnectionError()
            | exceptions.IncompleteReadError()
            | exceptions.FlexibleChecksumError()
            | ResponseParserError()
        ):
            return Unanswered(
                f"the answer of {where} to {asked.operation} was cut off or damaged ({type(error).__name__})"
            )
    return Refused(f"{asked.operation} could not be asked of {where}: {type(error).__name__}")
