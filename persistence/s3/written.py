"""The newest batches of the log as their server has put them: a segment is made of them without reading back.

They are kept in memory, compressed, up to a bound. What had to go is read from the bucket.
"""

from __future__ import annotations

import threading

KEPT_BYTES = 16 << 20
"""Of objects; the oldest go first."""


class Written:
    """Objects of batches by number. Safe for many threads."""

    def __init__(self) -> None:
        self._kept: dict[int, bytes] = {}
        """The oldest first."""
        self._size = 0
        self._changing = threading.Lock()

    def add(self, number: int, data: bytes) -> None:
        """Keep the next one, which is in the bucket."""
        with self._changing:
            self._kept[number] = data
            self._size += len(data)
            while self._size > KEPT_BYTES:
                self._forget_oldest()

    def get(self, number: int) -> bytes | None:
        """What was put under that number, if it is still kept."""
        with self._changing:
            return self._kept.get(number)

    def forget(self, last: int) -> None:
        """Those up to that number are in a segment."""
        with self._changing:
            while self._kept and next(iter(self._kept)) <= last:
                self._forget_oldest()

    def _forget_oldest(self) -> None:
        self._size -= len(self._kept.pop(next(iter(self._kept))))
