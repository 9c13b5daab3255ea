"""Room for the checkpoints that are made at a time, of which long ones take no more than their share.

A session with a large state would otherwise keep the others from theirs: some such sessions, all of it.
"""

from __future__ import annotations

import trio

AT_ONCE = 2
"""Each takes a copy of a worker, and then a worker that tries it, at low priority."""
LONG_AT_ONCE = 1
LONG_SECONDS = 2.0
"""From then on a copy is a long one."""


class Slots:
    """Who makes a checkpoint. A slot is taken on behalf of an object, once."""

    def __init__(self) -> None:
        self._all = trio.CapacityLimiter(AT_ONCE)
        self._long = trio.CapacityLimiter(LONG_AT_ONCE)

    @property
    def are_free(self) -> bool:
        """Whether no checkpoint is being made."""
        return not self._all.borrowed_tokens

    async def take(self, who: object, *, long: bool, wait: bool) -> bool:
        """Whether there is a slot, after a while if it shall ``wait``; for what is known to be ``long``."""
        if not wait:
            return self._take_now(who, long)
        if long:
            await self._long.acquire_on_behalf_of(who)
        try:
            await self._all.acquire_on_behalf_of(who)
        except BaseException:
            self._give_back_long(who)
            raise
        return True

    def lengthen(self, who: object) -> bool:
        """Whether what has a slot may go on now that it has become a long one."""
        if who in self._long.statistics().borrowers:
            return True
        try:
            self._long.acquire_on_behalf_of_nowait(who)
        except trio.WouldBlock:
            return False
        return True

    def give_back(self, who: object) -> None:
        """Let others have it."""
        self._all.release_on_behalf_of(who)
        self._give_back_long(who)

    def _take_now(self, who: object, long: bool) -> bool:
        if self._all.available_tokens < 1 or (long and not self.lengthen(who)):
            return False
        self._all.acquire_on_behalf_of_nowait(who)
        return True

    def _give_back_long(self, who: object) -> None:
        if who in self._long.statistics().borrowers:
            self._long.release_on_behalf_of(who)
