"""JavaScript values of one isolate: made, and read."""

from __future__ import annotations

import ctypes as c
import struct

from engine.isolate import native
from engine.isolate.handles import Handle, HandleScope


class Values:
    """Those of the isolate at that address."""

    def __init__(self, v8: native.Library, isolate: int) -> None:
        self._v8 = v8
        self._isolate = isolate

    def scope(self) -> HandleScope:
        """A handle scope; every handle must be made inside one."""
        return HandleScope(self._v8, self._isolate)

    def string(self, text: str) -> Handle:
        """A new JavaScript string."""
        data = text.encode("utf-8", "surrogatepass")
        return int(self._v8.string_new(self._isolate, data, 0, len(data)))

    def integer(self, value: int) -> Handle:
        """A new number, -2**31 <= value < 2**31."""
        return int(self._v8.integer_new(self._isolate, value))

    def number(self, value: float) -> Handle:
        """A new number."""
        return int(self._v8.number_new(self._isolate, value))

    def array(self) -> Handle:
        """A new array, empty."""
        return int(self._v8.array_new(self._isolate, 0))

    def boolean(self, handle: Handle) -> bool:
        """Truthiness of a value; runs no code."""
        return bool(self._v8.boolean_value(handle, self._isolate))

    def float(self, handle: Handle) -> float:
        """The value of a number."""
        word = c.c_uint32.from_address(handle).value
        if not word & 1:
            return (word - (1 << 32) if word >> 31 else word) >> native.SMI_SHIFT
        return float(self._v8.number_value(handle))

    def text(self, handle: Handle) -> str:
        """A string's text (another value is converted, which may run guest code)."""
        utf8 = c.create_string_buffer(native.UTF8_VALUE_SIZE)
        self._v8.utf8_init(utf8, self._isolate, handle)
        pointer, length = struct.unpack("<QQ", utf8.raw)
        data = c.string_at(pointer, length) if pointer else b""
        self._v8.utf8_free(utf8)
        return data.decode("utf-8", "surrogatepass")

    def copied(self, handle: Handle) -> Handle:
        """A handle of the current scope to the same value (a TryCatch's slot ends with it)."""
        fresh = self.number(0.5)
        c.c_uint64.from_address(fresh).value = c.c_uint64.from_address(handle).value
        return fresh
