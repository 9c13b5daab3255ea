"""WebAssembly in sessions: that it works, and that a replay cannot come out differently."""

from __future__ import annotations

import pytest
import wasm
from wasm import Function, module, source

SEED = bytes(range(16))
START = 17_600_000_000_000

# fmt: off
FIB = Function("i", "i", [
    wasm.GET, 0, wasm.CONST, 2, wasm.LT_S, wasm.IF, wasm.TYPES["i"], wasm.GET, 0, wasm.ELSE,
    wasm.GET, 0, wasm.CONST, 1, wasm.SUB, wasm.CALL, 0,
    wasm.GET, 0, wasm.CONST, 2, wasm.SUB, wasm.CALL, 0, wasm.ADD, wasm.END,
], "fib")
# fmt: on
BUMP = Function(
    "",
    "i",
    [wasm.GLOBAL_GET, 0, wasm.CONST, 1, wasm.ADD, wasm.GLOBAL_SET, 0, wasm.GLOBAL_GET, 0],
    "bump",
)
DIVIDE = Function("ii", "i", [wasm.GET, 0, wasm.GET, 1, wasm.DIV_S], "divide")
STUCK = Function("", "", [wasm.UNREACHABLE], "stuck")
LOAD = Function("i", "i", [wasm.GET, 0, wasm.LOAD, 2, 0], "load")
STORE = Function("ii", "", [wasm.GET, 0, wasm.GET, 1, wasm.STORE, 2, 0], "store")
GROW = Function("i", "i", [wasm.GET, 0, wasm.GROW, 0], "grow")
PICK = Function("i", "i", [wasm.GET, 0, wasm.CALL_INDIRECT, 0, 0], "pick")
DEEPER = Function("i", "i", [wasm.GET, 0, wasm.CONST, 1, wasm.ADD, wasm.CALL, 0], "deeper")
# calls the imported function "f" twice, and adds
TWICE = Function("i", "i", [wasm.GET, 0, wasm.CALL, 0, wasm.GET, 0, wasm.CALL, 0, wasm.ADD], "twice")
RAISE = Function("i", "", [wasm.GET, 0, wasm.THROW, 0], "raise")
RESCUE = Function(
    "i",
    "i",
    [wasm.TRY, wasm.TYPES["i"], wasm.GET, 0, wasm.THROW, 0, wasm.CATCH, 0, wasm.CONST, 1, wasm.ADD, wasm.END],
    "rescue",
)
# 0/0, and a parameter over itself, as the bits of the NaN
NAN = Function("", "l", [wasm.F64_CONST, *bytes(8), wasm.F64_CONST, *bytes(8), wasm.F64_DIV, 0xBD], "nan")
NAN_OF = Function("d", "l", [wasm.GET, 0, wasm.GET, 0, wasm.F64_DIV, 0xBD], "nanOf")

MATHS = module(FIB, DIVIDE, STUCK)
STATE = module(BUMP, LOAD, STORE, GROW, memory=(1, 4), counter=True)
TABLE = module(Function("", "i", [wasm.CONST, 7]), PICK, table=True)
IMPORTS = module(TWICE, imports=[("f", "i", "i")])
EXCEPTIONS = module(RAISE, RESCUE, tag=True)
STARTED = module(Function("", "", [wasm.CALL, 0]), imports=[("f", "", "")], start=1)
NANS = module(NAN, NAN_OF)


def load(name: str, hex_module: str, imports: str = "{}") -> str:
    return (
        f"const {name} = new WebAssembly.Instance(new WebAssembly.Module({source(hex_module)}),"
        f" {imports}).exports; 0"
    )


def caught(code: str) -> str:
    return f"try {{ {code} }} catch (e) {{ [e.constructor.name, e.message, e.stack] }}"


SCRIPTS: dict[str, list[str]] = {
    "hot code": [load("m", MATHS), "m.fib(22)", "m.fib(25) + m.fib(3)"],
    "memory and a counter": [
        load("m", STATE),
        "m.store(4, 42); m.bump(); const before = m.memory.buffer",
        "m.grow(1); m.store(65_536, 7); [m.load(4), m.load(65_536), m.bump(), before.byteLength]",
        "m.grow(9) + ' ' + m.counter.value + ' ' + new Uint8Array(m.memory.buffer).length",
    ],
    "traps": [
        load("m", MATHS) + "; let all = []",
        *(caught(code) for code in ("m.divide(1, 0)", "m.divide(-2147483648, -1)", "m.stuck()")),
        "m.stuck()",
        "m.fib(10)",
    ],
    "traps of memory and tables": [
        load("m", STATE) + ";" + load("t", TABLE),
        *(caught(code) for code in ("m.load(-1)", "m.load(65_533)", "t.pick(1)", "t.pick(5)", "t.table.get(9)")),
        "t.pick(0)",
        "t.table.set(1, t.table.get(0)); t.pick(1)",
    ],
    "imports": [
        "const calls = []; const f = (x) => { calls.push(x, Math.random()); if (x < 0) throw new Error('no'); return x }",
        load("m", IMPORTS, "{ env: { f } }"),
        "m.twice(3)",
        caught("m.twice(-1)"),
        "m.twice({ valueOf() { calls.push(Date.now()); return 5 } }) + ' ' + calls.join()",
    ],
    "exceptions": [
        load("m", EXCEPTIONS),
        "m.rescue(4)",
        "try { m.raise(9) } catch (e) { [e instanceof WebAssembly.Exception, e.getArg(m.tag, 0), String(e)] }",
        "m.raise(9)",
    ],
    "a start function": [
        "let started = 0; const f = () => { started++ }",
        load("m", STARTED, "{ env: { f } }"),
        caught(load("failed", STARTED, "{ env: { f() { throw new Error('in start') } } }").removesuffix("; 0")),
        "started",
    ],
    "the asynchronous functions": [
        f"const order = []; const bytes = {source(MATHS)}",
        "WebAssembly.compile(bytes).then(() => order.push('compiled')); Promise.resolve().then(() => order.push('microtask')); WebAssembly.instantiate(bytes).then(() => order.push('instantiated')); setTimeout(() => order.push('timer'), 0)",
        "const { module: made, instance } = await WebAssembly.instantiate(bytes); instance.exports.fib(9)",
        "(await WebAssembly.instantiate(made)).exports.fib(10)",
        "WebAssembly.Module.exports(await WebAssembly.compile(bytes))",
        "WebAssembly.validate(bytes) + ' ' + WebAssembly.validate(bytes.slice(0, 20)) + ' ' + order.join()",
    ],
    "what is refused": [
        *(
            f"await WebAssembly.{name}({wrong})"
            for name in ("compile", "instantiate")
            for wrong in ("new Uint8Array(3)", "1", source(MATHS[:-10]))
        ),
        "new WebAssembly.Module(new Uint8Array(9))",
        f"await WebAssembly.instantiate({source(IMPORTS)})",
        f"await WebAssembly.instantiate({source(IMPORTS)}, {{ env: {{ f: 1 }} }})",
        "new WebAssembly.Memory({ initial: 5, maximum: 1 })",
    ],
    "objects made without a module": [
        "const g = new WebAssembly.Global({ value: 'i64', mutable: true }, 5n); const t = new WebAssembly.Table({ element: 'externref', initial: 2 }, 'x'); const mem = new WebAssembly.Memory({ initial: 1 })",
        "g.value *= 3n; t.set(1, { deep: [1] }); t.grow(1); new Uint8Array(mem.buffer)[9] = 3; mem.grow(1)",
        "[g.value, t.length, t.get(0), t.get(1), new Uint8Array(mem.buffer)[9], mem.buffer.byteLength]",
    ],
    "the bits of NaN, cold and hot": [
        load("m", NANS) + "; const bits = () => [m.nan(), m.nanOf(0)].map((n) => BigInt.asUintN(64, n).toString(16)).join()",
        "const cold = bits(); for (let i = 0; i < 100_000; i++) { m.nan(); m.nanOf(0) }",
        "[cold === bits(), bits()]",
    ],
}  # fmt: skip

FINALLY = {
    "hot code": "75027",
    "memory and a counter": "'-1 2 131072'",
    "traps": "55",
    "traps of memory and tables": "7",
    "exceptions": None,
    "a start function": "1",
    "the bits of NaN, cold and hot": "[ true, 'fff8000000000000,fff8000000000000' ]",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_replay_of_webassembly_agrees_with_the_live_run(Session, name):  # noqa: N803
    session, again = Session(), Session()
    for number, code in enumerate(SCRIPTS[name]):
        done = session.run(code, start_ticks=START + number * 10_000, seed=SEED)
        assert not done.overflow
        replayed = again.run(code, trace=done.trace)
        assert (replayed.outcome, replayed.digest) == (done.outcome, done.digest)
    if name in FINALLY:
        assert done.outcome.result == FINALLY[name]


@pytest.mark.parametrize(
    ("hex_module", "call", "message"),
    [
        (MATHS, "m.divide(1, 0)", "divide by zero"),
        (MATHS, "m.stuck()", "unreachable"),
        (STATE, "m.load(-1)", "memory access out of bounds"),
        (TABLE, "m.pick(5)", "table index is out of bounds"),
    ],
)
def test_a_trap_is_an_error_that_code_can_catch(Session, hex_module, call, message):  # noqa: N803
    session = Session()
    session.value(load("m", hex_module))
    assert session.value(
        f"try {{ {call} }} catch (e) {{ e instanceof WebAssembly.RuntimeError && e.message }}"
    ) == (f"'{message}'")
    error = session.run(call).outcome.error
    assert (error.name, error.message) == ("RuntimeError", message)


def test_asynchronous_compilation_settles_in_the_execution_that_awaits_it(Session):  # noqa: N803
    session = Session()
    session.value(f"const {{ instance }} = await WebAssembly.instantiate({source(MATHS)}); 0")
    assert session.value("instance.exports.fib(20)") == "6765"
    assert not session.run(f"await WebAssembly.compile({source(MATHS)})").outcome.pending


def test_a_hot_function_is_optimized(Session):  # noqa: N803
    """As fast as JavaScript or faster; without an optimizing compiler it takes longer than that."""
    session = Session()
    session.value(
        load("m", MATHS) + "; const fib = (n) => (n < 2 ? n : fib(n - 1) + fib(n - 2)); fib(20) + m.fib(20)"
    )
    in_js = min(session.run("fib(27)").cpu_us for _ in range(10))
    in_wasm = min(session.run("m.fib(27)").cpu_us for _ in range(10))
    assert in_wasm < in_js


def test_an_overflow_inside_webassembly_is_noticed_though_the_code_catches_it(Session):  # noqa: N803
    session = Session()
    session.value(load("m", module(DEEPER)))
    done = session.run("try { m.deeper(0) } catch (e) { e.message }")
    assert (done.outcome.result, done.overflow) == ("'Maximum call stack size exceeded'", True)


def test_stacks_cannot_be_suspended_and_shared_memory_and_streaming_are_absent(Session):  # noqa: N803
    session = Session()
    names = "['Suspending', 'promising', 'SuspendError', 'compileStreaming', 'instantiateStreaming']"
    assert session.value(f"{names}.filter((name) => name in WebAssembly)") == "[]"
    assert (
        session.run("new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })").outcome.status
        == "failed"
    )


@pytest.mark.parametrize(
    "value", ["new WebAssembly.Memory({ initial: 1 })", f"new WebAssembly.Module({source(MATHS)})"]
)
def test_a_session_with_such_an_object_can_be_looked_at_and_goes_on(Session, value):  # noqa: N803
    session = Session()
    session.value(f"const held = {value}; 0")
    assert [one.type for one in session.look().globals] in (["Memory"], ["Module"])
    assert session.value("held instanceof Object") == "true"


def test_a_session_that_kept_nothing_of_webassembly_can_be_in_a_snapshot_and_use_it_again(Session):  # noqa: N803
    use = f"{{ {load('m', STATE)}; globalThis.bumps = (globalThis.bumps ?? 0) + m.bump() }}"
    blob = None
    for _ in range(3):
        session = Session(blob)
        session.value(f"{use} WebAssembly.validate(new Uint8Array(3))")
        blob = session.snapshot()
    assert Session(blob).value("bumps") == "3"


async def test_a_session_with_a_live_module_comes_back_after_a_restart(open_engine, tmp_path):
    async with open_engine(tmp_path) as engine:
        await engine.run(load("m", STATE), session="a")
        await engine.run("m.bump(); m.store(8, 99)", session="a")
    async with open_engine(tmp_path) as engine:
        assert await engine.value("[m.bump(), m.load(8)]", session="a") == "[ 2, 99 ]"


async def test_too_much_memory_undoes_the_execution_and_the_session_keeps_its_module(open_engine, tmp_path):
    async with open_engine(tmp_path) as engine:
        await engine.run(load("m", module(BUMP, GROW, memory=(1, 30_000), counter=True)), session="a")
        failed = await engine.run("m.bump(); m.grow(20_000)", session="a")
        assert (failed.error.name, failed.error.undone) == ("OutOfMemory", True)
        assert await engine.value("m.bump()", session="a") == "1"
