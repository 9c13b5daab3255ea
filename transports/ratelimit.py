"""How many requests a second one client may make: a token bucket for each, as the GCRA has it.

Of each client a single time is kept: when its bucket will be full again. One whose time has passed is as
good as forgotten, so that memory is bounded by forgetting.
"""

from __future__ import annotations

from collections.abc import Hashable

MAX_CLIENTS = 10_000
"""Buckets that are kept at once."""
BURST_SECONDS = 1.0
"""What a full bucket holds: the requests of such a time at once."""


class RateLimiter:
    """Buckets that fill with so many requests a second."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._burst = max(BURST_SECONDS - self._interval, 0.0)
        self._full_at: dict[Hashable, float] = {}
        self._swept_at = 0.0

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, client: Hashable, now: float) -> float:
        """Let a request through, or not: 0, or the seconds until it would be. ``now`` never goes back."""
        full_at = self._full_at.get(client)
        if full_at is None:
            self._make_room(now)
            full_at = now
        elif full_at < now:
            full_at = now
        elif full_at - now > self._burst:
            return full_at - now - self._burst
        self._full_at[client] = full_at + self._interval
        return 0.0

    def _make_room(self, now: float) -> None:
        """Forget full buckets, if there are too many; else the oldest, which costs its client no request."""
        if len(self._full_at) < MAX_CLIENTS:
            return
        if now - self._swept_at > BURST_SECONDS:  # looking through all of them is not for every request
            self._swept_at = now
            self._full_at = {client: full for client, full in self._full_at.items() if full > now}
        if len(self._full_at) >= MAX_CLIENTS:
            del self._full_at[next(iter(self._full_at))]
