"""Long replays take turns, so that none keeps the processors from the others and from live sessions."""

from __future__ import annotations

import trio

FREE_SECONDS = 0.25
"""A replay that is over by then needs no turn."""
TURN_SECONDS = 0.25
"""A replay gives up its turn after so long if others wait for one."""


class Turns:
    """At most ``at_once`` long replays go on at a time; the others wait, first come, first served."""

    def __init__(self, at_once: int) -> None:
        self._limiter = trio.CapacityLimiter(at_once)

    def turn(self) -> Turn:
        """For one replay that begins now; ``end`` it."""
        return Turn(self._limiter)


class Turn:
    """What one replay has of the turns."""

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._since = trio.current_time()
        self._held = False

    async def step(self) -> None:
        """Between two events: wait for a turn if this replay has become a long one, or had its turn."""
        took = trio.current_time() - self._since
        if self._held:
            if took < TURN_SECONDS or not self._limiter.statistics().tasks_waiting:
                return
            self.end()
        elif took < FREE_SECONDS:
            return
        await self._limiter.acquire_on_behalf_of(self)
        self._held, self._since = True, trio.current_time()

    def end(self) -> None:
        """Let others go on. May be called any number of times."""
        if self._held:
            self._held = False
            self._limiter.release_on_behalf_of(self)
