"""Wakes those who follow a session. Nothing is queued for them: they look at the log and at what runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio


class Follower:
    """One who follows."""

    def __init__(self) -> None:
        self._woken = trio.Event()

    async def wait(self) -> None:
        """Until something has happened since the last wait; it may have been in another owner's session."""
        await self._woken.wait()
        self._woken = trio.Event()

    def wake(self) -> None:
        """Something has happened."""
        self._woken.set()


class Feed:
    """All followers, by the name of the session that they follow."""

    def __init__(self) -> None:
        self.changes = 0
        """How often something was recorded, in any session: while it stays, the log says nothing new."""
        self._followers: dict[str, set[Follower]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._followers.values()))

    @contextmanager
    def follow(self, name: str) -> Iterator[Follower]:
        """Follow the session of that name in the block."""
        follower = Follower()
        self._followers.setdefault(name, set()).add(follower)
        try:
            yield follower
        finally:
            others = self._followers[name]
            others.discard(follower)
            if not others:
                del self._followers[name]

    def accepted(self, name: str | None) -> None:
        """An execution waits for its turn in the session of that name."""
        if self._followers and name is not None:
            for follower in self._followers.get(name, ()):
                follower.wake()

    def recorded(self, name: str | None) -> None:
        """An execution is over in the session of that name, or it was changed: the log may have more."""
        self.changes += 1
        self.accepted(name)
