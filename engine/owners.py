"""How many sessions each owner has, those included that are just being made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from engine.errors import TooManySessions


class Owners:
    """Counts the sessions of one log; of what other nodes write it is told.

    ``counts`` are those that were there before.
    """

    def __init__(self, counts: Mapping[str, int], most: int) -> None:
        self._counts = Counter(counts)
        self._most = most

    def check(self, owner: str) -> None:
        """Raises TooManySessions unless the owner may have one more."""
        if self._counts[owner] >= self._most:
            raise TooManySessions(
                f"you have {self._most:,} sessions, which is the limit: delete some that you do not need any "
                "more, or go on in one that you have",
                field="session",
            )

    def add(self, owner: str) -> None:
        """One more is being made. Raises TooManySessions."""
        self.check(owner)
        self._counts[owner] += 1

    def note(self, owner: str, change: int) -> None:
        """Another node has begun or closed one, whatever the limit."""
        self._counts[owner] += change

    def remove(self, owner: str) -> None:
        """One was closed, or not made after all."""
        self._counts[owner] -= 1
        if not self._counts[owner]:
            del self._counts[owner]
