"""The time by the clock of the service, which gives objects theirs.

How old an object is, is judged by this alone: a server whose clock is wrong, or jumps, would remove what
somebody reads, or is about to name.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from persistence.s3.objects import Objects, Unanswered

CLOCK: Final = "blobs/sweep"
"""Key of an object without bytes, whose time is the service's; among the blobs, whose sweep had it first."""


def now(objects: Objects) -> datetime:
    """The time of an object that is put now. Raises Refused, Unanswered."""
    objects.put(CLOCK, b"")
    for found in objects.find(CLOCK):
        return found.modified
    raise Unanswered(f"{CLOCK}, which was put just now, is not in the bucket: somebody removed it")
