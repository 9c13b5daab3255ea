"""What an operator can choose about the HTTP side."""

from __future__ import annotations

from msgspec import Struct


class HttpSettings(Struct, frozen=True, kw_only=True):
    """Settings of the HTTP side."""

    allowed_hosts: tuple[str, ...] = ()
    """Names for which requests are taken, beside loopback; ``*`` for all."""
    exec_async: bool = False
    """Whether ``POST /api/exec`` answers 202 at once by default."""
    drain_seconds: float = 5.0
    """Time that running executions get to end at shutdown."""
    store: str = "none"
    """What the log is kept in, as ``/readyz`` tells it."""
