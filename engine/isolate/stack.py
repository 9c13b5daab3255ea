"""Did this execution overflow its stack, caught or not? Exactly.

How deep guest code can recurse depends on how far V8 has optimized it, so an overflow that guest
code catches would leave different state live and replayed while every visible outcome agrees. Two
things are watched, because each sees what the other cannot:

- the *watermark*, a pattern written just above the limit before each run, which any deep recursion
  overwrites, also one of V8's own (a parser, a regular expression) that ends in no overflow error;
- V8's function that throws the overflow error, which is also called where a frame would be too large
  to begin with, as by a spread of 200,000 arguments, and nothing near the limit is touched.
"""

from __future__ import annotations

import ctypes as c

from engine.isolate import native
from engine.isolate.interpose import interpose
from engine.isolate.isolate import Isolate

LIVE_BYTES = 900 << 10
REPLAY_BYTES = 4 * LIVE_BYTES
"""Replays get more, so that what fitted live fits again whatever is optimized."""
PROCESS_BYTES = 8 << 20
"""What the process's own stack must be able to grow to: replays, and Python and V8 beside them."""
_MARK_BYTES = 8 << 10
_PATTERN = b"\xa5" * _MARK_BYTES

_ThrowOverflow = c.PYFUNCTYPE(c.c_uint64, c.c_void_p)


class StackGuard:
    """Sets the stack limit of ``isolate`` and notices when code came to it. One for a process."""

    def __init__(self, isolate: Isolate) -> None:
        self.isolate = isolate
        self._limit = 0
        self._thrown = False
        v8 = native.library()
        original = c.cast(v8.throw_stack_overflow, c.c_void_p).value  # type: ignore[arg-type]
        assert original is not None
        self._original = _ThrowOverflow(original)
        self._watching = _ThrowOverflow(self._throw)
        replacement = c.cast(self._watching, c.c_void_p).value
        assert replacement is not None
        interpose(v8.path, original, replacement)

    def arm(self, *, replay: bool) -> None:
        """Before each run, from the function that will run the guest's code."""
        top = self.isolate.probe_stack()
        self._limit = (top - (REPLAY_BYTES if replay else LIVE_BYTES)) & ~4095
        self.isolate.set_stack_limit(self._limit)
        c.memmove(self._limit, _PATTERN, _MARK_BYTES)
        self._thrown = False

    def reached(self) -> bool:
        """After the run: whether the stack overflowed, or came near it, since ``arm``."""
        return self._thrown or c.string_at(self._limit, _MARK_BYTES) != _PATTERN

    def _throw(self, isolate: int) -> int:
        self._thrown = True
        return int(self._original(isolate))
