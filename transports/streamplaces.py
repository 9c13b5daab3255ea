"""How many streams of one kind are open, so that no owner's keep those of others out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from transports.identity import Identity


class StreamPlaces:
    """Places for so many streams, of which an owner gets half where there are owners."""

    def __init__(self, what: str) -> None:
        self._what = what
        """What the streams are called, in the plural."""
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._held.total()

    def refusal(self, who: Identity, most: int) -> str | None:
        """Why there is no place for one more, or None; ``most`` are there in all."""
        if len(self) >= most:
            return f"{most} {self._what} are open already"
        if who.credential and self._held[who.owner] >= most // 2:
            return f"{most // 2} {self._what} of yours are open already, which is half of all"
        return None

    @contextmanager
    def taken(self, who: Identity) -> Iterator[None]:
        """A stream of theirs is open in the block."""
        self._held[who.owner] += 1
        try:
            yield
        finally:
            self._held[who.owner] -= 1
            if not self._held[who.owner]:
                del self._held[who.owner]
