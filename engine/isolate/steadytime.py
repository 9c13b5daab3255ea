"""The wall clock, but that it never goes back within an execution: timers are waited for by it."""

from __future__ import annotations

import time
from collections.abc import Callable


class SteadyTime:
    """Nanoseconds since the Unix epoch, by the wall clock; by another one where that was set back."""

    def __init__(
        self, wall: Callable[[], int] = time.time_ns, running: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall = wall
        self._running = running
        self.begin()

    def begin(self) -> None:
        """Be the wall clock again, wherever that is now."""
        self._ahead = self._wall() - self._running()

    def now(self) -> int:
        """The time. Who waits until then does so by the clock that runs, also while the other is set back."""
        running = self._running()
        self._ahead = max(self._ahead, self._wall() - running)
        return running + self._ahead
