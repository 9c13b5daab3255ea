"""One V8 isolate with one context: evaluate, call the base image's control functions, snapshot.

The isolate is a SnapshotCreator's, so that it can be turned into a blob at any time. V8's private
flag ``serializer_enabled_`` is 1 while such an isolate is set up and inside ``CreateBlob``; between
the two it is held at 0, and the code in it is optimized like any other.

A ``Handle`` is the address of a slot that holds a JavaScript value (a ``v8::Local``); it is valid
inside the ``HandleScope`` in which it was made. Everything here belongs to one thread.
"""

from __future__ import annotations

import ctypes as c
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from engine.errors import PlatformRefused
from engine.isolate import native
from engine.isolate.handles import Handle, HandleScope
from engine.isolate.memory import BufferAllocator, HeapGuard
from engine.isolate.steadytime import SteadyTime
from engine.isolate.wire import EXIT_BROKEN, EXIT_OUT_OF_MEMORY, EXIT_V8_FATAL

PENDING, FULFILLED, REJECTED = 0, 1, 2
BOOT_HEAP_MB = 16

_CONTROL_INDEX, _NATIVE_INDEX = 0, 1  # positions in the context's snapshot data
_TICKS_PER_SECOND = 10_000


class Location(NamedTuple):
    """Where an error arose: script name, 1-based line and column, and the script's text."""

    script: str
    line: int
    column: int
    source: str


BASE_SCRIPT = "mcp-v8:base"
"""The name of the base image's scripts."""


class BaseScripts(NamedTuple):
    """The base image's source: one script of the platform, and one that V8 inlines.

    ``hidden`` is a function that is called with the host function and the value of ``inlined``, and returns
    the control object. Its functions show neither frames in stacks nor source, and V8 does not inline them.
    """

    hidden: str
    inlined: str


class Settlement(NamedTuple):
    """How it stands with evaluated code."""

    state: int
    """PENDING, FULFILLED or REJECTED."""
    value: Handle
    """The value, or what was thrown; of no use while pending."""
    promise: Handle
    """The promise that has it."""


class Evaluation(NamedTuple):
    """What ``evaluate`` gave: a promise for the value, or the exception of a syntax error."""

    promise: Handle | None
    exception: Handle | None
    location: Location | None


class Terminated(Exception):
    """V8 stopped the running code because the heap is at its limit."""


class ControlFailed(RuntimeError):
    """A control function threw: a bug of ours, or the stack was too full for it to begin."""


class Isolate:
    """A live, optimizing isolate that can be snapshotted.

    ``blob`` is a snapshot made with the same ``references`` (offsets in the V8 library of native
    functions that the context's own installers use), or None for an empty context with every
    shipping language feature. ``install`` is, for an empty context, the base image's scripts (see
    ``engine.isolate.image``). ``heap_mb`` is the size to which its heap may grow while it is made. One that
    is ``renewable`` keeps the blob for new contexts: see ``renew``.
    """

    def __init__(
        self,
        blob: bytes | None,
        references: Sequence[int],
        *,
        install: BaseScripts | None = None,
        heap_mb: int = BOOT_HEAP_MB,
        renewable: bool = False,
    ) -> None:
        self._v8 = v8 = native.library()
        self.emit: Callable[[str], None] = lambda text: None
        """Receives the console's JSON chunks while code runs."""
        self.time = SteadyTime()
        """By which timers are waited for, and short times are told."""
        self.stack_pointer = 0
        """An address on the stack near where guest code will run; see ``probe_stack``."""
        self._native_callback = native.FunctionCallback(self._host_function)
        self._brands = [(brand, getattr(v8, name)) for brand, name in native.BRANDS]
        self._isolate: int = v8.isolate_allocate()
        self._creator = c.create_string_buffer(native.SNAPSHOT_CREATOR_SIZE)
        self.references = tuple(references)
        self._references = (c.c_int64 * (len(references) + 2))(
            _address(self._native_callback), *(v8.base + offset for offset in references), 0
        )
        self.buffers = BufferAllocator(v8, heap_mb << 20)
        self._startup = self._create(blob, heap_mb)
        self._serializer_enabled = c.c_uint8.from_address(self._isolate + native.SERIALIZER_ENABLED)
        if self._serializer_enabled.value != 1:
            raise PlatformRefused("V8's serializer flag is not where this program was written for")
        v8.set_microtasks_policy(self._isolate, 0)  # explicit: only when we say so
        v8.set_allow_atomics_wait(self._isolate, False)  # nothing may sleep but timers
        self.heap = HeapGuard(v8, self._isolate, BOOT_HEAP_MB << 20)
        self._install_failure_callbacks()
        self._enter_context(restored=blob is not None)
        if install is not None:
            self._install(install)
        if not renewable:
            self._startup = None  # only other new contexts would need it
        self._reject_callback = native.PromiseRejectCallback(self._on_reject)
        if self._control:
            v8.set_reject_callback(self._isolate, _address(self._reject_callback))

    # --- evaluating ----------------------------------------------------------------------------

    def scope(self) -> HandleScope:
        """A handle scope; every handle must be made inside one."""
        return HandleScope(self._v8, self._isolate)

    def evaluate(self, source: str) -> Evaluation:
        """Run a script as a REPL does: top-level await, and ``let`` may be declared again.

        Nothing but the synchronous part runs; see ``drain``. Raises Terminated.
        """
        v8 = self._v8
        attempt = c.create_string_buffer(native.TRY_CATCH_SIZE)
        v8.try_init(attempt, self._isolate)
        try:
            promise = v8.evaluate_global(self._isolate, self.string(source), 0, True)
            if promise:
                return Evaluation(promise, None, None)
            if v8.try_terminated(attempt):
                raise Terminated
            exception = v8.try_exception(attempt)
            message = v8.try_message(attempt)
            location = self._location(message) if message else None
            return Evaluation(None, self._copy(exception), location)
        finally:
            v8.try_free(attempt)

    def run_script(self, source: str) -> Handle:
        """Run a script of our own; its value. Raises Terminated."""
        v8 = self._v8
        attempt = c.create_string_buffer(native.TRY_CATCH_SIZE)
        v8.try_init(attempt, self._isolate)
        try:
            script = v8.script_compile(self._context, self.string(source), None)
            result: Handle = v8.script_run(script, self._context) if script else 0
            if v8.try_terminated(attempt):
                raise Terminated
            if not result:
                raise RuntimeError(f"a script failed: {self.text(v8.try_exception(attempt))}")
            return result
        finally:
            v8.try_free(attempt)

    def lexical_names(self) -> list[str]:
        """The variables declared by let, const, class and using in all scripts, in order, each once."""
        v8 = self._v8
        vector = (c.c_uint64 * native.VECTOR_WORDS)()
        v8.lexical_names(self._context, vector)
        begin, end, _ = vector
        names: dict[str, None] = {}
        for cell in range(begin, end, 8):
            slot = c.c_uint64.from_address(cell).value
            names[self.text(slot)] = None
            v8.global_dispose(slot)  # one that is alive makes a snapshot impossible
        if begin:
            v8.operator_delete(begin)
        return list(names)

    def drain(self) -> None:
        """Run all queued microtasks. Raises Terminated."""
        v8 = self._v8
        attempt = c.create_string_buffer(native.TRY_CATCH_SIZE)
        v8.try_init(attempt, self._isolate)
        try:
            v8.run_microtasks(self._isolate)
            if v8.try_terminated(attempt):
                raise Terminated
        finally:
            v8.try_free(attempt)

    def promise_state(self, promise: Handle) -> int:
        """PENDING, FULFILLED or REJECTED."""
        return int(self._v8.promise_state(promise))

    def settlement(self, promise: Handle) -> Settlement:
        """What became of a promise of ``evaluate``.

        The code's last expression need not say ``await``: where it is a promise, that one decides.
        """
        v8, state = self._v8, self.promise_state(promise)
        if state == FULFILLED:
            # A REPL script fulfils with {".repl_result": value}, an object that V8 itself made.
            completion = v8.promise_result(promise)
            value = v8.object_get(completion, self._context, self.string(".repl_result")) or completion
            if not v8.IsPromise(value):
                return Settlement(FULFILLED, value, promise)
            promise, state = value, self.promise_state(value)
        if state == PENDING:
            return Settlement(PENDING, promise, promise)
        if state == REJECTED:
            v8.promise_mark_handled(promise)
        return Settlement(state, v8.promise_result(promise), promise)

    def locate(self, error: Handle) -> Location | None:
        """Where a thrown value was made, as far as V8 knows."""
        message = self._v8.message_of(self._isolate, error)
        return self._location(message) if message else None

    # --- the base image's control functions ----------------------------------------------------

    def control(self, name: str, *arguments: Handle) -> Handle:
        """Call a control function. Raises Terminated or ControlFailed."""
        v8 = self._v8
        function = self._functions.get(name)
        if function is None:
            raise ControlFailed(f"the base image has no control function {name}")
        values = (c.c_uint64 * max(1, len(arguments)))(*arguments)
        attempt = c.create_string_buffer(native.TRY_CATCH_SIZE)
        v8.try_init(attempt, self._isolate)
        try:
            result: Handle = v8.function_call(
                function, self._isolate, self._context, self._control, len(arguments), values
            )
            if v8.try_terminated(attempt):
                raise Terminated
            if not result:
                raise ControlFailed(f"control function {name} threw {self.text(v8.try_exception(attempt))}")
            return result
        finally:
            v8.try_free(attempt)

    def bind_control(self, *names: str) -> None:
        """Look control functions up once; their handles live as long as the isolate."""
        for name in names:
            function = self._v8.object_get(self._control, self._context, self.string(name))
            if function:
                self._functions[name] = function

    def probe_stack(self) -> int:
        """An address close to the top of the stack as guest code called from here would see it."""
        with self.scope():
            values = (c.c_uint64 * 1)(self.integer(7))
            self._v8.function_call(self._host, self._isolate, self._context, self._control, 1, values)
        return self.stack_pointer

    def set_stack_limit(self, address: int) -> None:
        """Guest code overflows when its stack would grow below ``address``."""
        self._v8.set_stack_limit(self._isolate, address)

    def cancel_termination(self) -> None:
        """After Terminated: let code run again, to collect what is left of the console."""
        self._v8.cancel_terminate(self._isolate)

    # --- values --------------------------------------------------------------------------------

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

    # --- snapshots -----------------------------------------------------------------------------

    @property
    def cage(self) -> int:
        """See ``native.cage_of``; objects of V8's own may be elsewhere."""
        return native.cage_of(c.c_uint64.from_address(self._context).value)

    def objects(self) -> Iterator[int]:
        """All objects in the heap that are alive, as tagged pointers. Nothing may be allocated meanwhile."""
        v8, heap = self._v8, self._isolate + native.HEAP
        v8.collect_garbage(heap, native.GC_FOR_SNAPSHOT)
        walk = c.create_string_buffer(native.HEAP_ITERATOR_SIZE)
        v8.heap_walk_init(walk, heap, native.NO_FILTERING)
        try:
            yield from iter(partial(v8.heap_walk_next, c.addressof(walk)), 0)
        finally:
            v8.heap_walk_free(walk)

    def snapshot(self) -> bytes:
        """The whole state as a blob. Consumes the isolate: call it in a forked child.

        V8 ends the process if the state cannot be in a blob (see V8's traps in the documentation).
        """
        v8 = self._v8
        v8.deoptimize_all(self._isolate)
        self._forget_metrics()
        self._serializer_enabled.value = 1
        if self._control:
            for expected, handle in ((_CONTROL_INDEX, self._control), (_NATIVE_INDEX, self._host)):
                word = c.c_uint64.from_address(handle).value
                if v8.creator_add_data(self._creator, self._context, word) != expected:
                    raise RuntimeError("the context's snapshot data is not in the expected order")
        v8.creator_set_default_context(
            self._creator, self._context, native.NO_CALLBACK, native.NO_CALLBACK, native.NO_CALLBACK
        )
        v8.context_exit(self._context)
        self._scope.__exit__()
        data = v8.creator_blob(self._creator, 0)  # kClear: compiled code is not kept
        return c.string_at(data.data, data.raw_size)

    def dispose(self) -> None:
        """End it. Isolates share what a snapshot has of constants, so that one must be gone before another is
        made from another snapshot.
        """
        v8 = self._v8
        v8.context_exit(self._context)
        self._scope.__exit__()
        v8.creator_free(self._creator)
        v8.isolate_dispose(self._isolate)

    def _forget_metrics(self) -> None:
        """Once WebAssembly was used, V8's metrics hold the context, which no blob can have."""
        number = self._v8.metrics_id(self._context)
        info = (c.c_uint64 * native.WEAK_CALLBACK_WORDS)(self._isolate, number)
        self._v8.forget_metrics_id(info)

    def renew(self) -> None:
        """Leave the context for ever and go on in a new one, as the snapshot has it.

        Nothing of the old one runs on: the host asks only the new one for its timers, and microtasks were
        drained. What both share is V8's own: caches, the symbol registry, whether built-ins are as fast as
        they can be. To be called in no handle scope; control functions must be bound again.
        """
        if self._startup is None:
            raise RuntimeError("the isolate was not made renewable")
        self._v8.context_exit(self._context)
        self._scope.__exit__()
        self._enter_context(restored=True)

    # --- setting up ----------------------------------------------------------------------------

    def _enter_context(self, *, restored: bool) -> None:
        v8 = self._v8
        self._scope = HandleScope(v8, self._isolate).__enter__()
        # A context made with the flag at 0 gets every shipping feature; a restored one has them.
        self._serializer_enabled.value = 1 if restored else 0
        self._context: Handle = v8.context_new(
            self._isolate, None, None, None, native.NO_CALLBACK, None, native.NO_CALLBACK, native.NO_CALLBACK
        )
        v8.context_enter(self._context)
        self._serializer_enabled.value = 0
        self._host: Handle = 0
        self._control: Handle = 0
        self._functions: dict[str, Handle] = {}
        if restored:
            self._control = v8.context_data(self._context, _CONTROL_INDEX)
            self._host = v8.context_data(self._context, _NATIVE_INDEX)
            if not self._control or not self._host:
                raise PlatformRefused("the snapshot has no control functions in it")

    def _create(self, blob: bytes | None, heap_mb: int) -> object:
        """Set the isolate up; what must be kept as long as contexts are made."""
        v8 = self._v8
        params = c.create_string_buffer(native.PARAMS_SIZE)
        v8.params_init(params)
        startup = None
        if blob is not None:
            data = c.create_string_buffer(blob, len(blob))
            startup = (data, native.StartupData(c.addressof(data), len(blob)))
            struct.pack_into("<Q", params, native.PARAMS_SNAPSHOT_BLOB, c.addressof(startup[1]))
        struct.pack_into("<Q", params, native.PARAMS_MAX_OLD_GENERATION, heap_mb << 20)
        struct.pack_into("<Q", params, native.PARAMS_ALLOCATOR, self.buffers.address)
        struct.pack_into("<Q", params, native.PARAMS_EXTERNAL_REFERENCES, c.addressof(self._references))
        v8.creator_init(self._creator, self._isolate, params)
        return startup

    def _install(self, scripts: BaseScripts) -> None:
        v8 = self._v8
        inlined = self.run_script(scripts.inlined)
        hidden = v8.script_compile_hidden(self._isolate, self.string(scripts.hidden))
        if not hidden:
            raise RuntimeError("the base image has a syntax error")
        function = v8.script_run(v8.script_bind(hidden), self._context)
        self._host = v8.function_new(self._context, _address(self._native_callback), None, 0, 0, 0)
        values = (c.c_uint64 * 2)(self._host, inlined)
        attempt = c.create_string_buffer(native.TRY_CATCH_SIZE)
        v8.try_init(attempt, self._isolate)
        result = v8.function_call(
            function, self._isolate, self._context, v8.context_global(self._context), 2, values
        )
        if not result:
            raise RuntimeError(f"the base image threw {self.text(v8.try_exception(attempt))}")
        self._control = result
        v8.try_free(attempt)

    def _install_failure_callbacks(self) -> None:
        self._fatal = native.FatalCallback(lambda where, what: os._exit(EXIT_V8_FATAL))
        self._out_of_memory = native.OutOfMemoryCallback(lambda where, details: os._exit(EXIT_OUT_OF_MEMORY))
        self._v8.set_fatal_callback(self._isolate, _address(self._fatal))
        self._v8.set_oom_callback(self._isolate, _address(self._out_of_memory))

    # --- called by V8 --------------------------------------------------------------------------

    def _host_function(self, info: int) -> None:
        """The base image's ``native(op, value)``; its numbers are listed in base/README.md."""
        try:
            implicit, values, count = (c.c_uint64 * 3).from_address(info)
            arguments = count & 0xFFFF_FFFF
            # values[0] is the first argument; a slot's address serves as a handle
            op = c.c_uint32.from_address(values).value >> native.SMI_SHIFT if arguments else -1
            result = self._host_call(op, values + 8 if arguments > 1 else 0, info)
            if result is not None:
                slot = implicit + native.CALLBACK_RETURN_SLOT
                if isinstance(result, int):
                    c.c_uint32.from_address(slot).value = result << native.SMI_SHIFT
                else:
                    word = c.c_uint64.from_address(result[0]).value
                    c.c_uint64.from_address(slot).value = word
        except BaseException:  # noqa: BLE001 - nothing may propagate into V8's frames
            os._exit(EXIT_BROKEN)

    def _host_call(self, op: int, value: Handle, info: int) -> int | tuple[Handle] | None:
        """An int is returned as a small integer, a 1-tuple as the handle in it."""
        match op:
            case 0:
                self.emit(self.text(value))
            case 1:
                return self._brand(value)
            case 2:
                return (self.number(self.time.now() // (1_000_000_000 // _TICKS_PER_SECOND)),)
            case 3:
                return self.promise_state(value)
            case 4:
                return (self._v8.promise_result(value),)
            case 5:
                pairs = c.c_bool()
                entries = self._v8.preview_entries(value, c.byref(pairs))
                return (entries or self._v8.array_new(self._isolate, 0),)
            case 6:
                return (self._v8.proxy_target(value),)
            case 7:
                self.stack_pointer = info
            case 8:
                pairs = c.c_bool()
                self._v8.preview_entries(value, c.byref(pairs))
                return int(pairs.value)
        return None

    def _brand(self, value: Handle) -> int:
        """One of BRANDS; 0 for any other object. Most are plain, and asking of each brand is slow."""
        if native.instance_type(value) in (native.JS_OBJECT_TYPE, native.JS_ARRAY_TYPE):
            return 0
        return next((brand for brand, check in self._brands if check(value)), 0)

    def _on_reject(self, message: native.PromiseRejectMessage) -> None:
        try:
            if "rejected" in self._functions:
                with self.scope():
                    event = self.integer(message.event)
                    # V8 passes no value when a handler was added; the event number stands in
                    self.control("rejected", event, message.promise, message.value or event)
        except (Terminated, ControlFailed):
            # the code that made the rejection is being stopped, or is at its stack's end: either
            # way the execution is an abort, and what it reports does not matter
            return
        except BaseException:  # noqa: BLE001 - nothing may propagate into V8's frames
            os._exit(EXIT_BROKEN)

    def _location(self, message: Handle) -> Location:
        v8 = self._v8
        script = v8.message_script(message)
        source = v8.message_source(message, self._context)
        return Location(
            script=self.text(script) if script else "",
            line=v8.message_line(message, self._context) >> 32,  # Maybe<int>: value in the high half
            column=v8.message_column(message) + 1,
            source=self.text(source) if source else "",
        )

    def _copy(self, handle: Handle) -> Handle:
        """A handle of the current scope to the same value (a TryCatch's slot ends with it)."""
        fresh = self.number(0.5)
        c.c_uint64.from_address(fresh).value = c.c_uint64.from_address(handle).value
        return fresh


def _address(callback: object) -> int:
    address = c.cast(callback, c.c_void_p).value  # type: ignore[arg-type]
    assert address is not None
    return address
