"""The interface to objects in a bucket, below one prefix; what it raises says what to do about it.

Calls block: they are made in threads, those of the event log in the one that writes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Protocol

from msgspec import Struct


class ObjectsError(Exception):
    """Base of what goes wrong with objects; the message is a sentence that says what to do."""


class Refused(ObjectsError):
    """The service said no, and will again: no such bucket, no permission, wrong credentials, a bad request.

    What was to be written was not.
    """


class Unanswered(ObjectsError):
    """No answer, or one that says that the service fails: what was to be written may have been.

    It may be tried again.
    """


class Exists(ObjectsError):
    """An object of that key exists already: nothing was written (by this attempt)."""


class Missing(ObjectsError):
    """There is no object of that key."""


class Found(Struct, frozen=True):
    """An object in a list."""

    key: str
    """Below the prefix."""
    size: int
    """Bytes."""
    modified: datetime
    """By the service's clock, with a time zone."""


class Objects(Protocol):
    """Objects by key. Strongly consistent, as S3 is. Safe for many threads."""

    def put(self, key: str, data: bytes, *, new: bool = False) -> None:
        """Write an object, whole or not at all; ``new``: only if there is none of that key.

        With ``new`` it is tried once, in one request, however large. Else it is tried again, for a bounded
        time. Raises Exists, Refused, Unanswered.
        """
        ...

    def get(self, key: str) -> bytes:
        """All bytes of an object, as they were put. Raises Missing, Refused, Unanswered."""
        ...

    def find(self, start: str, *, after: str = "") -> Iterator[Found]:
        """Objects whose keys start so, in the order of their keys, those after ``after`` only.

        Raises Refused, Unanswered, in the midst too.
        """
        ...

    def delete(self, keys: Collection[str]) -> None:
        """Remove objects; one that is not there is no fault. Raises Refused, Unanswered."""
        ...
