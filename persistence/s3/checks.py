"""Whether a bucket can do what the store asks of it, found out before anything rests on it.

It is tried under a key that nobody else uses, and removed again: first that it may be removed.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

from msgspec.structs import replace

from persistence.s3.client import S3Objects
from persistence.s3.objects import Exists, Missing, Objects, ObjectsError, Refused, Unanswered
from persistence.s3.requests import Observer, unobserved
from persistence.s3.settings import Settings

CHECK_SECONDS = 10.0
"""No request of the check begins later."""
MAX_SKEW = 300.0
"""Seconds between the clocks here and there, for a start. S3 itself refuses requests from 900 on."""
_FOLDER = "check/"


def check_bucket(settings: Settings, *, observe: Observer = unobserved) -> None:
    """Try all that the store asks of this bucket, each once.

    Raises Refused or Unanswered, with one sentence that says what is missing, within CHECK_SECONDS and the
    time of one request. Leaves nothing behind.
    """
    impatient = replace(
        settings,
        connect_seconds=min(2, settings.connect_seconds),
        read_seconds=min(5, settings.read_seconds),
        retry_seconds=0,
    )
    with S3Objects(impatient, observe=observe) as objects:
        check_objects(objects, f"the S3 bucket {settings.bucket!r} at {objects.endpoint}")


def check_objects(
    objects: Objects,
    where: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """The same with objects that are there already; ``where`` names them in sentences."""
    key = f"{_FOLDER}{secrets.token_hex(16)}"
    end = clock() + CHECK_SECONDS

    def on_time() -> None:
        if clock() >= end:
            raise Unanswered(f"{where} is too slow: trying it was not over after {CHECK_SECONDS:.0f} s")

    for _ in objects.find(key):  # it may be listed
        pass
    on_time()
    objects.delete([key])  # S3 refuses that, too, if it is not there
    on_time()
    try:
        objects.put(key, b"one", new=True)
        on_time()
        _keeps_the_first(objects, key, where)
        on_time()
        _is_found(objects, key, where, now)
        on_time()
        objects.delete([key])
    except ObjectsError:
        with contextlib.suppress(ObjectsError):  # what is wrong is told already
            objects.delete([key])
        raise
    on_time()
    _is_gone(objects, key, where)


def _keeps_the_first(objects: Objects, key: str, where: str) -> None:
    """What two servers rest on that write the same log: the second of them must be refused."""
    try:
        objects.put(key, b"two", new=True)
    except Exists:
        if (data := objects.get(key)) != b"one":
            raise Refused(f"{where} does not give back what was put: {len(data)} other bytes") from None
        return
    raise Refused(
        f"{where} has no conditional writes (If-None-Match): two servers could overwrite each other's log;"
        " another service that speaks S3 is needed"
    )


def _is_found(objects: Objects, key: str, where: str, now: Callable[[], datetime]) -> None:
    found = [one for one in objects.find(key) if one.key == key]
    if not found:
        raise Refused(f"{where} does not list an object that was just put: it is not consistent")
    skew = (now() - found[0].modified).total_seconds()
    if abs(skew) > MAX_SKEW:
        raise Refused(
            f"the clock here is {abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} that of {where}:"
            " set it, as with NTP"
        )


def _is_gone(objects: Objects, key: str, where: str) -> None:
    try:
        objects.get(key)
    except Missing:
        return
    raise Refused(f"{where} still gives an object that was just removed: it is not consistent")
