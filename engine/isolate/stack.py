"""The stack watermark: an exact answer to "did this execution come near its stack limit?".

How deep guest code can recurse depends on how far V8 has optimized it, so an overflow that guest
code catches would leave different state live and replayed while every visible outcome agrees. A
pattern written just above the limit before each run is overwritten by any frame that comes there,
caught or not.
"""

from __future__ import annotations

import ctypes as c

from engine.isolate.isolate import Isolate

LIVE_BYTES = 900 << 10
REPLAY_BYTES = 4 * LIVE_BYTES
"""Replays get more, so that what fitted live fits again whatever is optimized."""
_MARK_BYTES = 8 << 10
_PATTERN = b"\xa5" * _MARK_BYTES


class Watermark:
    """Sets an isolate's stack limit and notices when its stack came within 8 KiB of it."""

    def __init__(self, isolate: Isolate) -> None:
        self._isolate = isolate
        self._limit = 0

    def arm(self, *, replay: bool) -> None:
        """Before each run, from the function that will run the guest's code."""
        top = self._isolate.probe_stack()
        self._limit = (top - (REPLAY_BYTES if replay else LIVE_BYTES)) & ~4095
        self._isolate.set_stack_limit(self._limit)
        c.memmove(self._limit, _PATTERN, _MARK_BYTES)

    def reached(self) -> bool:
        """After the run: whether the stack came near its limit since ``arm``."""
        return c.string_at(self._limit, _MARK_BYTES) != _PATTERN
