"""No failure to allocate is ever seen by guest code: each is the end of the worker.

V8 collects garbage and tries again before it gives up, and then throws an error that guest code could
catch, or answers a WebAssembly module's ``memory.grow`` with -1. What a process has room for depends
on what it did before, so a replay could go another way. Instead the process exits with
EXIT_OUT_OF_MEMORY in the places of V8 that every such failure passes, whatever asked for memory:

- the functions that make the errors for it, and the one that grows a WebAssembly memory; where the error is
  ICU's, which does not say what failed, ``errno`` tells;
- the one that ends the process where an array would be longer than V8 can make one;
- its imports of ``mmap`` and ``mprotect``, where the kernel refuses more than RLIMIT_DATA allows.

RLIMIT_DATA counts what is writable now, not what was written before. So memory that V8 makes inaccessible is
given back at once, which V8 would do next, and what it makes read-only stays writable; the filter of system
calls refuses the rest.

Shared WebAssembly memories are refused in the same manner: they would give guest code the
SharedArrayBuffer that contexts are made without.
"""

from __future__ import annotations

import ctypes as c
import errno
import itertools
import mmap
import os
import resource
from collections.abc import Callable
from typing import Any

from engine.isolate import native, process
from engine.isolate.interpose import interpose, interpose_import
from engine.isolate.isolate import Isolate
from engine.isolate.wire import EXIT_BROKEN, EXIT_OUT_OF_MEMORY
from engine.limits import MIB, Limits

_OUT_OF_MEMORY = ("Array buffer allocation failed", "%: Out of memory")
"""V8's message templates for it."""
_ICU_ERROR = "Internal error. Icu error."
"""The template for any error of ICU."""
_IN_ERROR_TEXTS = ("could not allocate memory", "Unable to grow instance memory", "ut of memory")
"""How the errors of WebAssembly, which have no templates, say it."""

_REPLAY_MEMORY = 2
"""A replay may use this many times the memory, so that it never fails first."""
_SLACK = 64 * MIB
"""Beside heap and buffers: the young generation, compilers, tables, and what Python needs."""

_UNLIMITED = 1 << 40

_SHARED = 1  # v8::internal::SharedFlag::kShared
_FAILED = -1

_word, _int, _ptr = c.c_uint64, c.c_int, c.c_void_p
_NewFromTemplate = c.PYFUNCTYPE(_word, _ptr, _int, _ptr, c.c_size_t)
_NewError = c.PYFUNCTYPE(_word, _ptr, _ptr, _ptr, _ptr)
_GrowMemory = c.PYFUNCTYPE(c.c_int32, _ptr, _ptr, c.c_uint32)
_NewMemory = c.PYFUNCTYPE(_word, _ptr, _int, _int, c.c_uint8, c.c_uint8)
_FatalSize = c.PYFUNCTYPE(None, c.c_char_p)
_NotifyPressure = c.PYFUNCTYPE(None, _ptr, _int, c.c_bool)
_Map = c.CFUNCTYPE(_word, _ptr, c.c_size_t, _int, _int, _int, c.c_int64, use_errno=True)
_Protect = c.CFUNCTYPE(_int, _ptr, c.c_size_t, _int, use_errno=True)
_ProtectWithKey = c.CFUNCTYPE(_int, _ptr, c.c_size_t, _int, _int, use_errno=True)
_MAP_FAILED = (1 << 64) - 1
_PROT_NONE, _MAP_FIXED, _MAP_NORESERVE = 0, 0x10, 0x4000  # asm-generic/mman-common.h, asm-generic/mman.h
_RESERVED = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE | _MAP_FIXED


class MemoryGuard:
    """Sets the memory limits of executions in ``isolate`` and ends the process at them. One for a process."""

    def __init__(self, isolate: Isolate) -> None:
        self.isolate, self._v8 = isolate, native.library()
        self._base = process.memory_bytes("VmData")
        self._pressure = 0
        self._templates = frozenset(_template(self._v8, text) for text in _OUT_OF_MEMORY)
        self._icu_error = _template(self._v8, _ICU_ERROR)
        self._kept: list[object] = []
        self._new_range_error = self._replace("new_range_error", _NewFromTemplate, self._on_range_error)
        self._new_type_error = self._replace("new_type_error", _NewFromTemplate, self._on_type_error)
        self._new_error = self._replace("new_error", _NewError, self._on_error)
        self._grow_memory = self._replace("wasm_memory_grow", _GrowMemory, self._on_grow)
        self._new_memory = self._replace("wasm_memory_new", _NewMemory, self._on_new_memory)
        self._replace("fatal_size", _FatalSize, self._on_fatal_size)
        self._notify_pressure = self._replace("memory_pressure", _NotifyPressure, self._on_pressure)
        libc = c.CDLL(None)
        self._errno = c.c_int.from_address(_address_of_errno(libc))
        for name, kind, failed in (
            ("mmap", _Map, _MAP_FAILED),
            ("mprotect", _Protect, _FAILED),
            ("pkey_mprotect", _ProtectWithKey, _FAILED),
        ):
            if hasattr(libc, name):
                self._watch_import(libc, name, kind, failed)

    def arm(self, limits: Limits, *, replay: bool) -> None:
        """Set the limits of the next execution."""
        times = _REPLAY_MEMORY if replay else 1
        heap, buffers = limits.heap_mb * times * MIB, limits.offheap_mb * times * MIB
        self.isolate.heap.arm(heap)
        self.isolate.buffers.budget = buffers
        self._pressure = 0
        self._errno.value = 0
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        soft = self._base + heap + buffers + _SLACK
        resource.setrlimit(
            resource.RLIMIT_DATA, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard)
        )

    def lift(self) -> None:
        """Allow as much as the process may ever have, for what is not an execution."""
        self.isolate.heap.arm(_UNLIMITED)
        self.isolate.buffers.budget = _UNLIMITED
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))

    def _replace(self, name: str, kind: Any, replacement: Any) -> Any:
        """Let V8 call ``replacement`` instead of its function; that function, to be called from it."""
        original = c.cast(getattr(self._v8, name), c.c_void_p).value
        assert original is not None
        callback = kind(_or_broken(replacement))
        self._kept.append(callback)
        interpose(self._v8.path, original, c.cast(callback, c.c_void_p).value or 0)
        return kind(original)

    def _watch_import(self, libc: c.CDLL, name: str, kind: Any, failed: int) -> None:
        address = c.cast(getattr(libc, name), c.c_void_p).value
        assert address is not None
        original = kind(address)
        wrapped = original if kind is _Map else _counted(original)

        def call(*arguments: int) -> int:
            result: int = wrapped(*arguments)
            if result == failed and c.get_errno() == errno.ENOMEM:
                os._exit(EXIT_OUT_OF_MEMORY)
            return result

        callback = kind(_or_broken(call))
        self._kept.append(callback)
        interpose_import(self._v8.path, address, c.cast(callback, c.c_void_p).value or 0)

    # --- called by V8 ----------------------------------------------------------------------------

    def _on_range_error(self, factory: int, template: int, values: int, count: int) -> int:
        self._check(template)
        return int(self._new_range_error(factory, template, values, count))

    def _on_type_error(self, factory: int, template: int, values: int, count: int) -> int:
        self._check(template)
        return int(self._new_type_error(factory, template, values, count))

    def _check(self, template: int) -> None:
        """End the process if the error to be made with that template is for want of memory."""
        if template in self._templates:
            os._exit(EXIT_OUT_OF_MEMORY)
        # nothing else that fails in this process leaves this number behind: a failed mapping ends it
        if template == self._icu_error and self._errno.value == errno.ENOMEM:
            os._exit(EXIT_OUT_OF_MEMORY)

    def _on_error(self, factory: int, constructor: int, message: int, options: int) -> int:
        text = self.isolate.text(message)
        if any(phrase in text for phrase in _IN_ERROR_TEXTS):
            os._exit(EXIT_OUT_OF_MEMORY)
        return int(self._new_error(factory, constructor, message, options))

    def _on_fatal_size(self, _message: bytes) -> None:
        os._exit(EXIT_OUT_OF_MEMORY)

    def _on_grow(self, isolate: int, memory: int, pages: int) -> int:
        """Growing fails at the declared maximum, or after V8 tried in vain to make room."""
        before = self._pressure
        result = int(self._grow_memory(isolate, memory, pages))
        if result == _FAILED and self._pressure > before:
            os._exit(EXIT_OUT_OF_MEMORY)
        return result

    def _on_pressure(self, heap: int, level: int, is_isolate_locked: bool) -> None:
        self._pressure += 1
        self._notify_pressure(heap, level, is_isolate_locked)

    def _on_new_memory(self, isolate: int, initial: int, maximum: int, shared: int, kind: int) -> int:
        if shared != _SHARED:
            return int(self._new_memory(isolate, initial, maximum, shared, kind))
        text = self.isolate.string("WebAssembly: shared memory is not available here")
        self._v8.throw_exception(isolate, self._v8.type_error(text, None))
        return 0


def _or_broken(function: Any) -> Any:
    """``function`` as V8 may call it: nothing may propagate into V8's frames."""

    def call(*arguments: int) -> int:
        try:
            return function(*arguments)  # type: ignore[no-any-return]
        except BaseException:  # noqa: BLE001 - see above
            os._exit(EXIT_BROKEN)

    return call


def _counted(protect: Callable[..., int]) -> Callable[..., int]:
    """An mprotect that leaves no page behind which is kept and which RLIMIT_DATA does not count."""
    libc = c.CDLL(None)
    reserve = _Map(c.cast(libc.mmap, c.c_void_p).value or 0)

    def call(address: int, size: int, protection: int, *key: int) -> int:
        if protection == _PROT_NONE:
            mapped = reserve(address, size, protection, _RESERVED, -1, 0)
            return _FAILED if mapped == _MAP_FAILED else 0
        return protect(address, size, protection | mmap.PROT_WRITE, *key)

    return call


def _address_of_errno(libc: c.CDLL) -> int:
    """Of this thread, which is the only one; in glibc and musl."""
    location = libc["__errno_location"]
    location.restype = c.c_void_p
    address: int = location()
    return address


def _template(v8: native.Library, text: str) -> int:
    """The number of V8's message template with this text; V8 ends the process if there is none."""
    return next(number for number in itertools.count() if v8.template_string(number) == text.encode())
