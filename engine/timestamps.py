"""The wall clock, in the unit of events."""

import time


def now_us() -> int:
    """Microseconds since the Unix epoch."""
    return time.time_ns() // 1_000
