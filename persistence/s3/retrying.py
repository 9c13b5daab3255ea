"""Attempts again, after pauses that grow and are random, for a bounded time.

Full jitter: those who were refused together do not come back together.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from itertools import count
from typing import TypeVar

from persistence.s3.objects import Unanswered

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 4.0
"""Seconds; half of it on average."""

T = TypeVar("T")


class Retrying:
    """How often and for how long what had no answer is tried again. Safe for many threads."""

    def __init__(
        self,
        within: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        fraction: Callable[[], float] = random.random,
    ) -> None:
        """``within``: no attempt begins later than that many seconds after the first."""
        self._within = within
        self._clock = clock
        self._sleep = sleep
        self._fraction = fraction
        self._is_stopped = False

    def stop(self) -> None:
        """Try nothing again any more, also what is being tried."""
        self._is_stopped = True

    def run(self, attempt: Callable[[], T]) -> T:
        """What the first attempt that is answered comes to. Raises the last one's Unanswered."""
        end = self._clock() + self._within
        for number in count():
            try:
                return attempt()
            except Unanswered:
                pause = self._fraction() * min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(number, 16))
                if self._is_stopped or self._clock() + pause >= end:
                    raise
            self._sleep(pause)
        raise AssertionError("counting has no end")
