"""The start-up self-test: is this the V8, and the machine, that the binding was written for?

``versions`` comes first, before V8 is loaded. Everything else runs in throw-away children, since a
wrong layout is a crash. Both return the first difference as a sentence, or None.
"""

from __future__ import annotations

import ctypes as c
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from engine.events import Line, Trace
from engine.isolate import native, throwaway
from engine.isolate.executor import Executor
from engine.isolate.image import BaseImage, boot
from engine.isolate.isolate import BOOT_HEAP_MB, FULFILLED, Isolate
from engine.isolate.wire import EXIT_OUT_OF_MEMORY, Done, Run
from engine.limits import Limits

_FILL = 0xAA
_ROOM = 512  # more than any structure here

_OPTIMIZED = 1 << 3  # v8::internal::OptimizationStatus::kOptimized (runtime.h)
_OPTIMIZATION_STATUS = "_ZN2v88internal29Runtime_GetOptimizationStatusEiPmPNS0_7IsolateE"


def run(image: BaseImage) -> str | None:
    """The first thing that differs from what this program needs, or None when all is well.

    What ``versions`` looks at comes before: an image cannot be loaded without V8.
    """
    library = native.library()
    if library.missing:
        return f"V8's library lacks {', '.join(library.missing)}"
    if library.version().decode() != native.V8_VERSION:
        return f"V8 is {library.version().decode()}; this program was written for {native.V8_VERSION}"
    for what, check in CHECKS.items():
        ended = throwaway.run(partial(check, image))
        if ended.status:
            return f"the check of {what} {ended.describe()}"
        if ended.output:
            return f"the check of {what} found {ended.output.decode()}"
    return None


def versions() -> str | None:
    """What is wrong with the machine or the installed wheel, without loading V8."""
    if native.machine() not in native.ARCHITECTURES:
        return f"this machine is {native.machine()}; only {' and '.join(native.ARCHITECTURES)} are supported"
    installed = _installed()
    if installed != [native.MINI_RACER_VERSION]:
        found = " and ".join(installed) or "not there"
        return f"mini-racer is {found}; this program needs exactly {native.MINI_RACER_VERSION}"
    return None


def _installed() -> list[str]:
    """Versions of mini-racer, by the names of the folders in which installers describe them.

    To ask importlib.metadata would import much that the zygote and its workers can do without.
    """
    package = native.package()
    described = [] if package is None else sorted(package.parent.glob("mini_racer-*.dist-info"))
    return [path.name.removesuffix(".dist-info").partition("-")[2] for path in described]


def _layouts(_: BaseImage) -> bytes:
    """Structures that V8 fills in have the sizes and fields that the binding assumes."""
    v8 = native.library()
    params = c.create_string_buffer(bytes([_FILL]) * _ROOM, _ROOM)
    v8.params_init(params)
    written = _written(params.raw)
    if written != native.PARAMS_SIZE:
        return b"CreateParams takes %d bytes instead of %d" % (written, native.PARAMS_SIZE)
    if params.raw[native.PARAMS_ALLOW_ATOMICS_WAIT] != 1:
        return b"CreateParams without allow_atomics_wait where it should be"
    isolate = Isolate(None, ())
    attempt = c.create_string_buffer(bytes([_FILL]) * _ROOM, _ROOM)
    v8.try_init(attempt, isolate._isolate)
    v8.try_free(attempt)
    if _written(attempt.raw) > native.TRY_CATCH_SIZE:
        return b"a TryCatch larger than %d bytes" % native.TRY_CATCH_SIZE
    with isolate.scope():
        types = [
            native.instance_type(isolate.run_script(code)) for code in ("({})", "[]", "new Proxy({}, {})")
        ]
    if types[:2] != [native.JS_OBJECT_TYPE, native.JS_ARRAY_TYPE] or types[2] in types[:2]:
        return b"objects whose types are numbered otherwise"
    return _callback_layout(isolate)


def _callback_layout(isolate: Isolate) -> bytes:
    seen: list[tuple[int, list[int]]] = []

    def record(info: int) -> None:
        implicit, values, count = (c.c_uint64 * 3).from_address(info)
        words = [c.c_uint32.from_address(values + 8 * index).value for index in range(count & 0xFFFFFFFF)]
        seen.append((c.c_uint64.from_address(implicit + native.CALLBACK_ISOLATE_SLOT).value, words))
        c.c_uint32.from_address(implicit + native.CALLBACK_RETURN_SLOT).value = 42 << native.SMI_SHIFT

    v8, callback = native.library(), native.FunctionCallback(record)
    with isolate.scope():
        function = v8.function_new(isolate._context, c.cast(callback, c.c_void_p), None, 0, 0, 0)
        values = (c.c_uint64 * 3)(isolate.integer(7), isolate.integer(8), isolate.integer(9))
        receiver = v8.context_global(isolate._context)
        result = v8.function_call(function, isolate._isolate, isolate._context, receiver, 3, values)
        if seen != [
            (isolate._isolate, [7 << native.SMI_SHIFT, 8 << native.SMI_SHIFT, 9 << native.SMI_SHIFT])
        ]:
            return b"FunctionCallbackInfo laid out otherwise"
        if isolate.float(result) != 42:
            return b"a callback's return slot elsewhere"
    return b""


def _behaviour(image: BaseImage) -> bytes:
    isolate = boot(image)
    level, next_handle = isolate._scope._level[0], isolate._scope._next[0]
    for _ in range(100):
        with isolate.scope():
            isolate.evaluate("({ a: [1] })")
    if (isolate._scope._level[0], isolate._scope._next[0]) != (level, next_handle):
        return b"handles left over after their scope"
    with isolate.scope():
        broken = isolate.evaluate("let = = 1")
        if broken.promise is not None or broken.location is None or broken.location.line != 1:
            return b"a syntax error without its place"
        before = isolate.buffers.used
        if _number(isolate, "globalThis.held = new Uint8Array(4096); held.length") != 4096:
            return b"typed arrays that do not work"
        if isolate.buffers.used - before != 4096:
            return b"an array buffer that did not come from our allocator"
        if _number(isolate, "let later = 1; later = await Promise.resolve(41); later + 1") != 42:
            return b"no top-level await"
        if isolate.lexical_names() != ["later"]:
            return b"other names of variables than were declared"
    return b""


def _optimization(image: BaseImage) -> bytes:
    """Hot code must reach an optimizing compiler: without one, everything is many times slower."""
    isolate, v8 = boot(image), native.library()
    with isolate.scope():
        _number(
            isolate,
            "globalThis.hot = (n) => { let sum = 0; for (let i = 0; i < n; i++) sum += i & 7; return sum; };"
            "for (let i = 0; i < 200; i++) hot(20_000); hot(8)",
        )
        function = isolate.settlement(_evaluated(isolate, "hot")).value
        status = c.PyDLL(str(v8.path))[_OPTIMIZATION_STATUS]
        status.restype, status.argtypes = c.c_uint64, (c.c_int, c.c_void_p, c.c_void_p)
        bits = (status(1, function, isolate._isolate) & 0xFFFFFFFF) >> native.SMI_SHIFT
        if not bits & _OPTIMIZED:
            return b"that hot code is not optimized (status bits %#x)" % bits
    return b""


_OVERFLOW = "try { (function f() { f() })() } catch {} 1"
_BUFFERS = (
    "const a = new Uint8Array(4096), b = a.slice(), c = new Uint8Array(a), d = new Uint8Array(1).buffer,"
    " e = d.transfer(8192)"
)
_GROW = (
    "new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.fromHex("
    # (module (memory 1) (func (export "") (param i32) (result i32) local.get 0 memory.grow))
    "'0061736d0100000001060160017f017f0302010005030100010704010000000' + 'a08010600200040000b'"
    "))).exports[''](20_000)"
)
_EXHAUSTION = (
    "const all = []; for (;;) all.push(new Array(100_000).fill(1))",
    "try { new ArrayBuffer(1e9) } catch {}",
    "try { new ArrayBuffer(1, { maxByteLength: 2e9 }).resize(1e9) } catch {}",
    _GROW,
)


def _executions(image: BaseImage) -> bytes:
    """What an execution reports beside its outcome, and how one ends that wants too much."""
    executor = Executor(boot(image))
    done, _ = _execute(executor, _OVERFLOW)
    replayed, _ = _execute(executor, _OVERFLOW, done.trace)
    if not (done.overflow and replayed.overflow):
        return b"a stack overflow that goes unnoticed"
    done, lines = _execute(executor, "Promise.reject(7); 1")
    if done.overflow or [line.text for line in lines] != ["Uncaught (in promise) 7"]:
        return b"a rejection that goes unnoticed"
    before = executor._isolate.buffers.used
    _execute(executor, _BUFFERS)
    used = executor._isolate.buffers.used - before
    if not 5 * 4096 <= used < 6 * 4096:
        return b"that buffers of 20 KiB count as %d bytes at our allocator" % used
    for code in _EXHAUSTION:
        ended = throwaway.run(lambda code=code: _execute(executor, code)[0].digest)  # type: ignore[misc]
        if ended.status != EXIT_OUT_OF_MEMORY << 8:
            return f"that a process out of memory ({code}) {ended.describe()}".encode()
    return b""


def _execute(executor: Executor, code: str, trace: Trace | None = None) -> tuple[Done, list[Line]]:
    lines: list[Line] = []
    limits = Limits(heap_mb=2 * BOOT_HEAP_MB, offheap_mb=16)
    run = Run(seq=1, code=code, limits=limits, start=10**13, seed=bytes(16), trace=trace)
    return executor.execute(run, lines.extend, time.sleep), lines


def _round_trip(image: BaseImage) -> bytes:
    """Closures, a generator and a pending await survive a snapshot, with optimized code around."""

    def first() -> bytes:
        isolate = boot(image)
        with isolate.scope():
            _number(
                isolate,
                "let n = 0; const count = () => ++n;"
                "function* squares() { for (let i = 0; ; i++) yield i * i }"
                "const gen = squares(); gen.next(); gen.next(); for (let i = 0; i < 50_000; i++) count();"
                "let go; const gate = new Promise((resolve) => { go = resolve }); n",
            )
            isolate.evaluate("let late = await gate")
            isolate.drain()
        isolate.lexical_names()  # leaves no handles, with which there could be no snapshot
        return isolate.snapshot()

    made = throwaway.run(first)
    if made.status:
        return f"that the child that made it {made.describe()}".encode()
    isolate = Isolate(made.output, image.references)
    with isolate.scope():
        if _number(isolate, "count() + gen.next().value") != 50_005:
            return b"another state after it"
        _number(isolate, "go(5); 0")
        if _number(isolate, "late") != 5:
            return b"that a pending await was lost"
    return b""


def _evaluated(isolate: Isolate, code: str) -> int:
    evaluation = isolate.evaluate(code)
    isolate.drain()
    if evaluation.promise is None or isolate.promise_state(evaluation.promise) != FULFILLED:
        raise RuntimeError(f"{code!r} did not run")
    return evaluation.promise


def _number(isolate: Isolate, code: str) -> float:
    return isolate.float(isolate.settlement(_evaluated(isolate, code)).value)


def _written(raw: bytes) -> int:
    return len(raw.rstrip(bytes([_FILL])))


CHECKS: Final[dict[str, Callable[[BaseImage], bytes]]] = {
    "memory layouts": _layouts,
    "running code": _behaviour,
    "optimizing code": _optimization,
    "executions": _executions,
    "a snapshot round trip": _round_trip,
}
"""What ``run`` checks, in order: each comes to what it has found, or nothing."""
