"""Memory limits inside a worker: V8's heap, and the buffers outside it.

At the heap's limit the worker ends; at the buffers' V8 collects garbage and tries again, and then
fails, which ``engine.isolate.exhaustion`` makes the end of the worker, too: the parent records an abort
and the session goes back to the state before.
"""

from __future__ import annotations

import ctypes as c
import os

from engine.isolate import native
from engine.isolate.wire import EXIT_BROKEN, EXIT_OUT_OF_MEMORY

_HEADROOM = 32 << 20  # lets V8 unwind after a termination, in bytes


class HeapGuard:
    """Raises V8's heap limit on demand up to an execution's maximum, then terminates it."""

    def __init__(self, v8: native.Library, isolate: int, boot_bytes: int) -> None:
        self._v8, self._isolate = v8, isolate
        self._boot = self._maximum = boot_bytes
        self.exhausted = False
        """Whether the maximum was reached; the worker must not be used again."""
        self._callback = native.NearHeapLimitCallback(self._near_limit)
        self._address = c.cast(self._callback, c.c_void_p).value
        v8.add_heap_callback(isolate, self._address, None)

    def arm(self, maximum: int) -> None:
        """Set the next execution's maximum, in bytes.

        A limit that an earlier execution raised is lowered again, as far as live objects allow.
        """
        self._v8.remove_heap_callback(self._isolate, self._address, self._boot)
        self._maximum = maximum
        self._v8.add_heap_callback(self._isolate, self._address, None)

    def _near_limit(self, _data: int, current: int, _initial: int) -> int:
        try:
            if self.exhausted:
                os._exit(EXIT_OUT_OF_MEMORY)
            if current < self._maximum:
                return min(2 * current, self._maximum)
            self.exhausted = True
            self._v8.terminate(self._isolate)
            return current + _HEADROOM
        except BaseException:  # noqa: BLE001 - nothing may propagate into V8's frames
            os._exit(EXIT_BROKEN)


class BufferAllocator:
    """V8's ArrayBuffer allocator with a budget.

    A copy of the default allocator's virtual table in which allocating counts towards the budget:
    V8 requires buffers to lie in its own address range, which only its allocator knows. Its method for
    uninitialized memory calls the one for zeroed memory, so that one sees all.
    """

    def __init__(self, v8: native.Library, budget: int) -> None:
        self._inner: int = v8.default_allocator()
        original = c.c_uint64.from_address(self._inner).value
        self._table = (c.c_uint64 * native.ALLOCATOR_SLOTS).from_buffer_copy(
            c.string_at(original, 8 * native.ALLOCATOR_SLOTS)
        )
        self._allocate = native.AllocateCallback(self._table[native.ALLOCATOR_ALLOCATE])
        self._free = native.FreeCallback(self._table[native.ALLOCATOR_FREE])
        self._callbacks = (
            native.AllocateCallback(self._take),
            native.FreeCallback(self._give_back),
        )
        for slot, callback in zip(
            (native.ALLOCATOR_ALLOCATE, native.ALLOCATOR_FREE),
            self._callbacks,
            strict=True,
        ):
            self._table[slot] = c.cast(callback, c.c_void_p).value or 0
        # the default allocator has no fields that its methods read: the table is the object
        c.c_uint64.from_address(self._inner).value = c.addressof(self._table)
        self.budget = budget
        """Bytes that buffers may take together."""
        self.used = 0

    @property
    def address(self) -> int:
        """The v8::ArrayBuffer::Allocator*."""
        return self._inner

    def _take(self, _this: int, size: int) -> int:
        try:
            if self.used + size > self.budget:
                return 0
            pointer: int | None = self._allocate(self._inner, size)
            if not pointer:
                return 0
            self.used += size
        except BaseException:  # noqa: BLE001 - nothing may propagate into V8's frames
            os._exit(EXIT_BROKEN)
        return pointer

    def _give_back(self, _this: int, data: int, size: int) -> None:
        try:
            self.used -= size
            self._free(self._inner, data, size)
        except BaseException:  # noqa: BLE001 - nothing may propagate into V8's frames
            os._exit(EXIT_BROKEN)
