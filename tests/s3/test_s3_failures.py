"""What the service and boto3 say, in sentences of ours: what is missing, what to do, and no credential."""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import repeat
from typing import Any

import pytest
from botocore import exceptions
from botocore.parsers import ResponseParserError
from s3_proxy import Proxy, status
from s3_server import ACCESS_KEY, READER_KEY, S3, SECRET_KEY, SeaweedFS

from persistence.s3.client import S3Objects
from persistence.s3.failures import FOREIGN, Asked, failure
from persistence.s3.objects import Exists, Missing, ObjectsError, Refused, Unanswered

OpenObjects = Callable[..., S3Objects]
URL = "https://s3.example.org/bucket/key?X-Amz-Signature=topsecret"
TOKEN = "IQoJb3JpZ2luX2VjEJr//////////wEaCWV1LXdlc3QtMyJHMEUCIQ=="
ASKED = Asked("PutObject", "my-bucket", "https://s3.example.org", "log/1")


def told(code: str, http_status: int, /, operation: str = "PutObject", **error: str) -> ObjectsError:
    """What an answer comes to."""
    response: Any = {
        "Error": {"Code": code, **error},
        "ResponseMetadata": {"HTTPStatusCode": http_status, "HTTPHeaders": {}},
    }
    asked = Asked(operation, "my-bucket", "https://s3.example.org", "log/1")
    return failure(asked, exceptions.ClientError(response, operation))


@pytest.mark.parametrize(
    ("code", "http_status", "kind", "sentence"),
    [
        ("PreconditionFailed", 412, Exists, "there is an object 'log/1' in .*'my-bucket'.* already"),
        ("NoSuchKey", 404, Missing, "there is no object 'log/1' in the S3 bucket 'my-bucket'"),
        (
            "NoSuchBucket",
            404,
            Refused,
            "there is no S3 bucket 'my-bucket' at https://s3.example.org: create it",
        ),
        ("AccessDenied", 403, Refused, "'my-bucket'.* refuses s3:PutObject: allow it"),
        ("InvalidAccessKeyId", 403, Refused, "does not know the access key: correct AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", 403, Refused, "the secret does not fit the access key: correct"),
        ("ExpiredToken", 400, Refused, "session token has expired: get a new one"),
        ("InvalidToken", 400, Refused, "does not take the AWS session token"),
        ("RequestTimeTooSkewed", 403, Refused, "the clock here and the service's .*: set the clock"),
        ("NotImplemented", 501, Refused, "does not know how to do PutObject .*conditional writes"),
        ("InvalidRequest", 400, Refused, "refused PutObject: InvalidRequest"),
        ("KMS.DisabledException", 400, Refused, "refused PutObject: KMS.DisabledException"),
        ("EntityTooLarge", 400, Refused, "refused PutObject: EntityTooLarge"),
        ("ConditionalRequestConflict", 409, Unanswered, "another write of the same object was under way"),
        ("OperationAborted", 409, Unanswered, "another operation was under way"),
        ("NoSuchUpload", 404, Unanswered, "the upload in parts is over"),
        ("SlowDown", 503, Unanswered, r"it is overloaded \(SlowDown\)"),
        ("ThrottlingException", 400, Unanswered, "it is overloaded"),
        ("InternalError", 500, Unanswered, "it has an error of its own"),
        ("InternalError", 200, Unanswered, "it has an error of its own"),
        ("RequestTimeout", 400, Unanswered, "too slowly"),
        ("BadDigest", 400, Unanswered, "damaged on its way"),
        ("SomethingNew", 500, Unanswered, "failed at PutObject: SomethingNew"),
        ("404", 404, Unanswered, "the answer to PutObject of .* was no whole one of S3"),
        ("412", 412, Unanswered, "no whole one of S3"),
        ("501", 501, Unanswered, "no whole one of S3"),
        ("", 200, Unanswered, "no whole one of S3"),
    ],
)
def test_an_answer_is_told_in_a_sentence(
    code: str, http_status: int, kind: type[ObjectsError], sentence: str
) -> None:
    failed = told(code, http_status)
    assert type(failed) is kind
    with pytest.raises(kind, match=sentence):
        raise failed


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("PutObject", "s3:PutObject"),
        ("CreateMultipartUpload", "s3:PutObject"),
        ("UploadPart", "s3:PutObject"),
        ("CompleteMultipartUpload", "s3:PutObject"),
        ("AbortMultipartUpload", "s3:AbortMultipartUpload"),
        ("GetObject", "s3:GetObject"),
        ("ListObjectsV2", "s3:ListBucket"),
        ("DeleteObjects", "s3:DeleteObject"),
    ],
)
def test_what_is_not_allowed_is_named_as_policies_name_it(operation: str, action: str) -> None:
    assert f"refuses {action}: allow it" in str(told("AccessDenied", 403, operation=operation))


@pytest.mark.parametrize(
    "code", ["PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"]
)
def test_the_right_region_is_named(code: str) -> None:
    assert "is in another region: set AWS_REGION=eu-west-3" in str(told(code, 301, Region="eu-west-3"))
    assert "is in another region: set AWS_REGION to its own" in str(told(code, 400))
    assert "set AWS_REGION to its own" in str(told(code, 400, Region=f"eu west {SECRET_KEY}"))


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (
            exceptions.NoCredentialsError(),
            Refused,
            "there are no AWS credentials for .*: set AWS_ACCESS_KEY_ID",
        ),
        (
            exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
            Refused,
            "one half of the AWS credentials",
        ),
        (exceptions.ProfileNotFound(profile=SECRET_KEY), Refused, "AWS configuration .*ProfileNotFound"),
        (exceptions.UnauthorizedSSOTokenError(), Refused, "log in again"),
        (
            exceptions.CredentialRetrievalError(provider="process", error_msg=SECRET_KEY),
            Unanswered,
            "credentials .* could not be had",
        ),
        (
            exceptions.EndpointConnectionError(endpoint_url=URL),
            Unanswered,
            "could not be reached: is the service",
        ),
        (
            exceptions.ConnectTimeoutError(endpoint_url=URL),
            Unanswered,
            "could not be reached: is the service",
        ),
        (exceptions.ProxyConnectionError(proxy_url=URL), Unanswered, "through the proxy"),
        (exceptions.SSLError(endpoint_url=URL, error=SECRET_KEY), Unanswered, "with TLS: is its certificate"),
        (exceptions.ReadTimeoutError(endpoint_url=URL), Unanswered, "was silent for too long in PutObject"),
        (exceptions.ConnectionClosedError(endpoint_url=URL), Unanswered, "cut off or damaged"),
        (exceptions.ResponseStreamingError(error=SECRET_KEY), Unanswered, "cut off or damaged"),
        (exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), Unanswered, "cut off or damaged"),
        (exceptions.FlexibleChecksumError(error_msg=SECRET_KEY), Unanswered, "cut off or damaged"),
        (ResponseParserError(SECRET_KEY), Unanswered, "cut off or damaged"),
        (
            exceptions.ParamValidationError(report=SECRET_KEY),
            Refused,
            "could not be asked .*ParamValidationError",
        ),
    ],
)
def test_what_boto3_finds_is_told_in_a_sentence(
    error: Exception, kind: type[ObjectsError], sentence: str
) -> None:
    assert isinstance(error, FOREIGN)
    with pytest.raises(kind, match=sentence) as raised:
        raise failure(ASKED, error)
    assert SECRET_KEY not in str(raised.value)
    assert "topsecret" not in str(raised.value)


def test_of_what_the_service_says_nothing_is_repeated_that_could_be_a_credential() -> None:
    words = f"Denied\n to {ACCESS_KEY} with {SECRET_KEY} and {TOKEN}, says policy eu-only"
    for code in ("AccessDenied", "SomethingElse"):
        sentence = str(told(code, 403, Message=words))
        assert "says policy eu-only" in sentence
        assert not any(secret in sentence for secret in (ACCESS_KEY, SECRET_KEY, TOKEN))
        assert "\n" not in sentence


def test_no_credential_is_in_what_is_raised_shown_or_logged(
    through: OpenObjects, proxy: Proxy, caplog: pytest.LogCaptureFixture, aws: pytest.MonkeyPatch
) -> None:
    aws.setenv("AWS_SESSION_TOKEN", TOKEN)
    objects = through(retry_seconds=0)
    secrets = (ACCESS_KEY, SECRET_KEY, TOKEN)
    ours = [
        name for name in logging.root.manager.loggerDict if name.split(".")[0] in ("persistence", "engine")
    ]
    shown: list[str] = [repr(objects), repr(vars(objects))]
    for name in ours:
        caplog.set_level(logging.DEBUG, name)
    caplog.set_level(logging.INFO)
    for code in ("AccessDenied", "SignatureDoesNotMatch", "InvalidAccessKeyId", "InternalError", "Odd"):
        proxy.plan("PUT", status(403, code, message=" ".join(secrets)))
        with pytest.raises(ObjectsError) as raised:
            objects.put("a", b"1", new=True)
        shown += [str(raised.value), repr(raised.value), str(raised.getrepr(chain=True).reprcrash)]
        logging.getLogger("persistence").error("as it would be logged", exc_info=raised.value)
    shown.append(caplog.text)
    for text in shown:
        assert not any(secret in text for secret in secrets), text


def test_a_real_service_says_what_is_wrong_with_credentials(
    seaweedfs: SeaweedFS, open_objects: OpenObjects, aws: pytest.MonkeyPatch
) -> None:
    objects = open_objects(seaweedfs.settings())
    objects.put("a", b"1")
    for name, value, sentence in (
        ("AWS_ACCESS_KEY_ID", "AKIANOBODYKNOWSTHAT0", "does not know the access key"),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY[::-1], "the secret does not fit the access key"),
        ("AWS_ACCESS_KEY_ID", READER_KEY, "refuses s3:PutObject: allow it"),
    ):
        with aws.context() as changed:
            changed.setenv(name, value)
            with pytest.raises(Refused, match=sentence):
                open_objects(seaweedfs.settings()).put("a", b"2")
    with pytest.raises(Refused, match="there is no S3 bucket 'nowhere' at http"):
        open_objects(seaweedfs.settings(bucket="nowhere")).put("a", b"1", new=True)


@pytest.mark.usefixtures("aws")
def test_a_service_that_speaks_no_tls_is_told_of(moto: S3, open_objects: OpenObjects) -> None:
    secure = moto.endpoint.replace("http:", "https:")
    with pytest.raises(Unanswered, match=r"could not be reached with TLS: .* or does it want http"):
        open_objects(moto.settings(endpoint=secure, retry_seconds=0)).get("a")


@pytest.mark.parametrize("code", ["PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed"])
def test_a_bucket_that_is_elsewhere_is_told_of(through: OpenObjects, proxy: Proxy, code: str) -> None:
    number = 400 if code == "AuthorizationHeaderMalformed" else 301
    proxy.keep_failing(repeat(status(number, code, more="<Region>eu-south-2</Region>")))
    with pytest.raises(Refused, match="is in another region: set AWS_REGION=eu-south-2"):
        through().put("a", b"1", new=True)


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "there are no AWS credentials"),
        ({"AWS_SECRET_ACCESS_KEY": None}, "one half of the AWS credentials"),
        ({"AWS_PROFILE": "nobody"}, "AWS configuration .*ProfileNotFound"),
        ({"AWS_REGION": "not a region"}, "the region or the endpoint .* is none"),
    ],
)
def test_what_is_missing_here_is_told_before_anything_is_asked(
    moto: S3,
    open_objects: OpenObjects,
    aws: pytest.MonkeyPatch,
    variables: dict[str, str | None],
    sentence: str,
) -> None:
    for name, value in variables.items():
        if value is None:
            aws.delenv(name)
        else:
            aws.setenv(name, value)
    with pytest.raises(Refused, match=sentence):
        open_objects(moto.settings()).get("a")
