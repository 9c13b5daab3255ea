"""The host function: what the base image asks of the process around it, by the number of an operation."""

from __future__ import annotations

import ctypes as c
import os
from collections.abc import Callable

from engine.isolate import native
from engine.isolate.handles import Handle
from engine.isolate.steadytime import SteadyTime
from engine.isolate.values import Values
from engine.isolate.wire import EXIT_BROKEN

_TICKS_PER_SECOND = 10_000


class Host:
    """That of one isolate, whose ``values`` it is given and answers with. V8 calls it while code runs."""

    def __init__(self, v8: native.Library, values: Values) -> None:
        self.emit: Callable[[str], None] = lambda text: None
        """Receives the console's JSON chunks while code runs."""
        self.time = SteadyTime()
        """By which timers are waited for, and short times are told."""
        self.stack_pointer = 0
        """An address on the stack near where guest code will run; see ``Isolate.probe_stack``."""
        self._v8 = v8
        self._values = values
        self._brands = [(brand, getattr(v8, name)) for brand, name in native.BRANDS]
        self._callback = native.FunctionCallback(self._call)
        self.address = native.address_of(self._callback)
        """Of the function that V8 calls, as long as this object is there."""

    def _call(self, info: int) -> None:
        """The base image's ``native(op, value)``; its numbers are listed in base/README.md."""
        try:
            implicit, values, count = (c.c_uint64 * 3).from_address(info)
            arguments = count & 0xFFFF_FFFF
            # values[0] is the first argument; a slot's address serves as a handle
            op = c.c_uint32.from_address(values).value >> native.SMI_SHIFT if arguments else -1
            result = self._answer(op, values + 8 if arguments > 1 else 0, info)
            if result is not None:
                slot = implicit + native.CALLBACK_RETURN_SLOT
                if isinstance(result, int):
                    c.c_uint32.from_address(slot).value = result << native.SMI_SHIFT
                else:
                    word = c.c_uint64.from_address(result[0]).value
                    c.c_uint64.from_address(slot).value = word
        except BaseException:  # noqa: BLE001 - nothing may propagate into V8's frames
            os._exit(EXIT_BROKEN)

    def _answer(self, op: int, value: Handle, info: int) -> int | tuple[Handle] | None:
        """An int is returned as a small integer, a 1-tuple as the handle in it."""
        match op:
            case 0:
                self.emit(self._values.text(value))
            case 1:
                return self.brand(value)
            case 2:
                return (self._values.number(self.time.now() // (1_000_000_000 // _TICKS_PER_SECOND)),)
            case 3:
                return int(self._v8.promise_state(value))
            case 4:
                return (self._v8.promise_result(value),)
            case 5:
                pairs = c.c_bool()
                entries = self._v8.preview_entries(value, c.byref(pairs))
                return (entries or self._values.array(),)
            case 6:
                return (self._v8.proxy_target(value),)
            case 7:
                self.stack_pointer = info
            case 8:
                pairs = c.c_bool()
                self._v8.preview_entries(value, c.byref(pairs))
                return int(pairs.value)
        return None

    def brand(self, value: Handle) -> int:
        """One of BRANDS; 0 for any other object. Most are plain, and asking of each brand is slow."""
        if native.instance_type(value) in (native.JS_OBJECT_TYPE, native.JS_ARRAY_TYPE):
            return 0
        return next((brand for brand, check in self._brands if check(value)), 0)
