"""WebAssembly: loops, memories, tables, and modules that are hard to compile, or no modules."""

from __future__ import annotations

import wasm
from wasm import Function, module, source

from attacks.script import (
    OUT_OF_MEMORY,
    TIMED_OUT,
    Outcome,
    Script,
    any_of,
    completes,
    deep,
    endless,
    gives,
    greedy,
    throws,
)

V = wasm.VOID
LOOP = module(Function("", "", [wasm.LOOP, V, wasm.BR, 0, wasm.END], "f"))
STARTS = module(Function("", "", [wasm.LOOP, V, wasm.BR, 0, wasm.END], "f"), start=0)
DEEPER = module(Function("i", "i", [wasm.GET, 0, wasm.CONST, 1, wasm.ADD, wasm.CALL, 0], "f"))
CALLS_OUT = module(Function("", "", [wasm.CALL, 0], "f"), imports=[("g", "", "")])
GROWS = module(Function("", "i", [wasm.CONST, 1, wasm.GROW, 0], "grow"), memory=(0, 65536))
TOUCHES = module(
    Function("i", "", [wasm.GET, 0, wasm.CONST, 1, wasm.STORE, 2, 0], "store"),
    Function("i", "i", [wasm.GET, 0, wasm.GROW, 0], "grow"),
    memory=(0, 65536),
)
DEEP_BLOCKS = module(Function("", "", [wasm.LOOP, V] * 20_000 + [wasm.END] * 20_000, "f"))
LONG = module(Function("", "i", [wasm.CONST, 0] + [wasm.CONST, 1, wasm.ADD] * 60_000, "f"))
LOCALS = module(*(Function("", "", [], f"f{i}", locals="l" * 1_000) for i in range(50)))
STUCK = module(Function("", "", [wasm.UNREACHABLE], "f"))
NAMES = module(Function("", "", [], "\\u202e"))
SHARED = "0061736d0100000005040103010a"  # a memory that says it is shared


def instance(hex_module: str, imports: str = "{}") -> str:
    return f"const {'{'} f, grow, store, memory {'}'} = new WebAssembly.Instance(new WebAssembly.Module({source(hex_module)}), {imports}).exports;"


SCRIPTS: dict[str, Script] = {
    "an endless loop": endless(f"{instance(LOOP)} f()"),
    "an endless loop at the start": endless(f"{instance(STARTS)} 1"),
    "an endless loop, asynchronously": endless(f"await WebAssembly.instantiate({source(STARTS)})"),
    "recursion": deep(f"{instance(DEEPER)} f(1)"),
    "recursion, caught": deep(f"{instance(DEEPER)} try {{ f(1) }} catch {{ }} 'fine'"),
    "recursion through JavaScript": deep(
        f"let e; const g = () => e.f(); e = new WebAssembly.Instance(new WebAssembly.Module({source(CALLS_OUT)}), {{ env: {{ g }} }}).exports; g()"
    ),
    "an import that throws": throws("Uncaught", f"{instance(CALLS_OUT, '{ env: { g() { throw 1 } } }')} f()"),
    "an import that never ends": endless(f"{instance(CALLS_OUT, '{ env: { g() { for (;;); } } }')} f()"),
    "imports that are a Proxy": throws(
        "TypeError",
        f"new WebAssembly.Instance(new WebAssembly.Module({source(CALLS_OUT)}), new Proxy({{}}, {{ get: () => 1 }}))",
    ),
    "imports with a getter that never ends": endless(
        f"new WebAssembly.Instance(new WebAssembly.Module({source(CALLS_OUT)}), {{ get env() {{ for (;;); }} }})"
    ),
    "memory that grows, untouched": any_of(
        f"{instance(GROWS)} let n; while ((n = grow()) !== -1); n", OUT_OF_MEMORY, TIMED_OUT, seconds=0.5
    ),
    "memory that grows and is used": any_of(
        f"{instance(TOUCHES)} for (let at = 0; ; at += 65536) {{ grow(1); for (let i = 0; i < 65536; i += 4096) store(at + i) }}",
        OUT_OF_MEMORY,
        TIMED_OUT,
        TIMED_OUT,
        seconds=0.5,
    ),
    "a huge memory": any_of("new WebAssembly.Memory({ initial: 65536 }); 'fine'", OUT_OF_MEMORY),
    "memories": greedy("const m = []; for (;;) m.push(new WebAssembly.Memory({ initial: 16 }))"),
    "empty memories": any_of(
        "const m = []; for (;;) m.push(new WebAssembly.Memory({ initial: 0 }))", OUT_OF_MEMORY
    ),
    "memory.grow from outside": greedy(
        "const m = new WebAssembly.Memory({ initial: 1 }); for (;;) { m.grow(512); new Uint8Array(m.buffer).fill(1) }"
    ),
    "memory.grow past its maximum": throws(
        "RangeError", "const m = new WebAssembly.Memory({ initial: 1, maximum: 2 }); m.grow(2)"
    ),
    "shared memory": throws("TypeError", "new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true })"),
    "shared memory of a module": any_of(
        f"new WebAssembly.Instance(new WebAssembly.Module({source(SHARED)}))",
        Outcome("failed", "TypeError"),
        Outcome("failed", "CompileError"),
    ),
    "a huge table": completes(
        "new WebAssembly.Table({ element: 'externref', initial: 10_000_000 }); 'fine'", heap_mb=128
    ),
    "a table over V8's limit": throws(
        "TypeError", "new WebAssembly.Table({ element: 'anyfunc', initial: 2 ** 40 })"
    ),
    "a table that grows": any_of(
        "const t = new WebAssembly.Table({ element: 'externref', initial: 1 }); for (;;) t.grow(100_000, {})",
        OUT_OF_MEMORY,
        TIMED_OUT,
        Outcome("failed", "RangeError"),
    ),
    "tables": greedy(
        "const t = []; for (;;) t.push(new WebAssembly.Table({ element: 'externref', initial: 1000 }))"
    ),
    "globals": greedy(
        "const g = []; for (;;) g.push(new WebAssembly.Global({ value: 'i64', mutable: true }, 0n))",
        is_slow=True,
    ),
    "modules": any_of(
        f"const m = [], b = {source(LONG)}; for (;;) m.push(new WebAssembly.Module(b))",
        OUT_OF_MEMORY,
        TIMED_OUT,
        TIMED_OUT,
        seconds=0.5,
    ),
    "instances": greedy(
        f"const l = [], m = new WebAssembly.Module({source(LOOP)}); for (;;) l.push(new WebAssembly.Instance(m))",
        is_slow=True,
    ),
    "a long function": gives("60000", f"{instance(LONG)} f()", heap_mb=128),
    "blocks in blocks": any_of(
        f"{instance(DEEP_BLOCKS)} 'fine'",
        Outcome("completed"),
        Outcome("failed", "CompileError"),
        heap_mb=128,
    ),
    "many locals": completes(f"new WebAssembly.Module({source(LOCALS)}); 'fine'", heap_mb=64),
    "a trap": throws("RuntimeError", f"{instance(STUCK)} f()"),
    "a trap with a hostile prepareStackTrace": throws(
        "RuntimeError", f"Error.prepareStackTrace = () => {{ for (;;); }}; {instance(STUCK)} f()"
    ),
    "no module": throws("CompileError", "new WebAssembly.Module(new Uint8Array(64))"),
    "no module of ten megabytes": throws(
        "CompileError", "new WebAssembly.Module(new Uint8Array(1e7).fill(0x60))"
    ),
    "a section that says it is huge": throws(
        "CompileError",
        "new WebAssembly.Module(Uint8Array.fromHex('0061736d01000000' + '01ffffffff0f' + '00'.repeat(99)))",
    ),
    "a vector that says it is huge": throws(
        "CompileError", "new WebAssembly.Module(Uint8Array.fromHex('0061736d01000000' + '0106ffffffff0f60'))"
    ),
    "bytes that change while they are read": any_of(
        f"const b = {source(LONG)}; const p = WebAssembly.compile(b); b.fill(0); await p; 'fine'",
        Outcome("completed"),
        Outcome("failed", "CompileError"),
        heap_mb=128,
    ),
    "a detached buffer": any_of(
        "const b = new Uint8Array(8); b.buffer.transfer(); new WebAssembly.Module(b)",
        Outcome("failed", "CompileError"),
        Outcome("failed", "TypeError"),
    ),
    "every prefix of a module": gives(
        "'fine'",
        f"const b = {source(GROWS)}; for (let i = 0; i < b.length; i++) WebAssembly.validate(b.subarray(0, i)); 'fine'",
    ),
    "every byte of a module changed": gives(
        "'fine'",
        f"const b = {source(TOUCHES)}; for (let i = 8; i < b.length; i++) for (const x of [1, 0x7f, 0x80, 0xff]) {{ const c = b.slice(); c[i] ^= x; try {{ new WebAssembly.Module(c) }} catch {{ }} }} 'fine'",
        heap_mb=128,
    ),
    "stack switching": gives(
        "'undefined undefined'", "`${typeof WebAssembly.promising} ${typeof WebAssembly.Suspending}`"
    ),
    "streaming": gives(
        "'undefined undefined'",
        "`${typeof WebAssembly.compileStreaming} ${typeof WebAssembly.instantiateStreaming}`",
    ),
    "an export with an odd name": completes(
        f"new WebAssembly.Instance(new WebAssembly.Module({source(module(Function('', '', [], 'toString')))})).exports"
    ),
    "memory that is used after it grew": gives(
        "'TypeError'",
        "const m = new WebAssembly.Memory({ initial: 1 }), v = new Uint8Array(m.buffer), d = new DataView(m.buffer); m.grow(1); let t; try { d.getInt8(0) } catch (e) { t = e.name } t",
    ),
    "memory that cannot be transferred": throws(
        "TypeError", "new WebAssembly.Memory({ initial: 1 }).buffer.transfer()"
    ),
    "memory that cannot be cloned": completes(
        "try { structuredClone(new WebAssembly.Memory({ initial: 1 })) } catch (e) { e.name }"
    ),
}
