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
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from engine.errors import PlatformRefused
from engine.isolate import native
from engine.isolate.handles import Handle, HandleScope
from engine.isolate.host import Host
from engine.isolate.memory import BufferAllocator, HeapGuard
from engine.isolate.values import Values
from engine.isolate.wire import EXIT_BROKEN, EXIT_OUT_OF_MEMORY, EXIT_V8_FATAL

PENDING, FULFILLED, REJECTED = 0, 1, 2
BOOT_HEAP_MB = 16

_CONTROL_INDEX, _NATIVE_INDEX = 0, 1  # positions in the context's snapshot data


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


class Isolate(Values):
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
        v8 = native.library()
        super().__init__(v8, v8.isolate_allocate())
        self.host = Host(v8, self)
        self._creator = c.create_string_buffer(native.SNAPSHOT_CREATOR_SIZE)
        self.references = tuple(references)
        self._references = (c.c_int64 * (len(references) + 2))(
            self.host.address, *(v8.base + offset for offset in references), 0
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
            v8.set_reject_callback(self._isolate, native.address_of(self._reject_callback))

    # --- evaluating ----------------------------------------------------------------------------

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
            return Evaluation(None, self.copied(exception), location)
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
            self._v8.function_call(
                self._host_function, self._isolate, self._context, self._control, 1, values
            )
        return self.host.stack_pointer

    def set_stack_limit(self, address: int) -> None:
        """Guest code overflows when its stack would grow below ``address``."""
        self._v8.set_stack_limit(self._isolate, address)

    def cancel_termination(self) -> None:
        """After Terminated: let code run again, to collect what is left of the console."""
        self._v8.cancel_terminate(self._isolate)

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
            for expected, handle in ((_CONTROL_INDEX, self._control), (_NATIVE_INDEX, self._host_function)):
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
        self._host_function: Handle = 0
        self._control: Handle = 0
        self._functions: dict[str, Handle] = {}
        if restored:
            self._control = v8.context_data(self._context, _CONTROL_INDEX)
            self._host_function = v8.context_data(self._context, _NATIVE_INDEX)
            if not self._control or not self._host_function:
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
        self._host_function = v8.function_new(self._context, self.host.address, None, 0, 0, 0)
        values = (c.c_uint64 * 2)(self._host_function, inlined)
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
        self._v8.set_fatal_callback(self._isolate, native.address_of(self._fatal))
        self._v8.set_oom_callback(self._isolate, native.address_of(self._out_of_memory))

    # --- called by V8 --------------------------------------------------------------------------

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
