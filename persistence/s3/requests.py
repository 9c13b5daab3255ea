"""What is told of every request, for metrics and benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

Outcome = Literal["done", "exists", "missing", "refused", "unanswered"]


class Request(Struct, frozen=True, kw_only=True):
    """A request that is over; one that was tried again is told of each time."""

    operation: str
    """Of S3, as PutObject."""
    outcome: Outcome
    seconds: float
    """From before it was sent until the last byte of its answer, the wait for a free connection included."""
    sent: int = 0
    """Bytes of the object, or of its part."""
    received: int = 0


Observer = Callable[[Request], None]
"""Is told in the thread that asked, of many at once: be quick. What it raises goes to who asked."""


def unobserved(_: Request) -> None:
    """Tells nobody."""
