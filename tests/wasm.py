"""WebAssembly modules for tests, put together by hand: just enough of the binary format.

A function is (parameters, results, locals, body); types are strings such as "ii" for two i32. Bodies
are written as instructions' bytes, see the constants; ``module`` adds what is around.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

TYPES = {"i": 0x7F, "l": 0x7E, "f": 0x7D, "d": 0x7C, "x": 0x6F}
"""i32, i64, f32, f64, externref."""

UNREACHABLE, LOOP, IF, ELSE, TRY, CATCH, THROW, END = 0x00, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x0B
BR, BR_IF, CALL, CALL_INDIRECT, DROP = 0x0C, 0x0D, 0x10, 0x11, 0x1A
GET, SET, TEE, GLOBAL_GET, GLOBAL_SET = 0x20, 0x21, 0x22, 0x23, 0x24
LOAD, STORE, SIZE, GROW, CONST = 0x28, 0x36, 0x3F, 0x40, 0x41
EQZ, LT_S, ADD, SUB, MUL, DIV_S = 0x45, 0x48, 0x6A, 0x6B, 0x6C, 0x6D
F64_CONST, F64_DIV, F64_REINTERPRET = 0x44, 0xA3, 0xBF
VOID, FUNCREF = 0x40, 0x70


class Function(NamedTuple):
    """A function of a module; exported where it has a name."""

    parameters: str
    results: str
    body: Sequence[int]
    name: str = ""
    locals: str = ""


def module(
    *functions: Function,
    imports: Sequence[tuple[str, str, str]] = (),
    memory: tuple[int, int] | None = None,
    table: bool = False,
    counter: bool = False,
    tag: bool = False,
    start: int | None = None,
) -> str:
    """A module in hex.

    ``imports`` are functions of "env" (name, parameters, results), numbered before ``functions``.
    ``memory`` (initial and maximum pages) is exported as "memory"; ``table`` exports a "table" that
    holds all of ``functions``; ``counter`` a mutable i32 "counter"; ``tag`` is an exception tag with
    an i32, exported as "tag"; ``start`` is the number of a function to call at the beginning.
    """
    signatures: list[tuple[str, str]] = []

    def type_of(parameters: str, results: str) -> int:
        if (parameters, results) not in signatures:
            signatures.append((parameters, results))
        return signatures.index((parameters, results))

    imported = [[*_name("env"), *_name(name), 0, type_of(p, r)] for name, p, r in imports]
    declared = [[type_of(one.parameters, one.results)] for one in functions]
    tags = [[0, type_of("i", "")]] if tag else []
    first = len(imports)
    numbered = [*enumerate(functions, first)]
    exports = [[*_name(one.name), 0, number] for number, one in numbered if one.name]
    exports += [[*_name("table"), 1, 0]] if table else []
    exports += [[*_name("memory"), 2, 0]] if memory else []
    exports += [[*_name("counter"), 3, 0]] if counter else []
    exports += [[*_name("tag"), 4, 0]] if tag else []
    count = len(functions)
    sections = (
        (1, [[0x60, *_values(p), *_values(r)] for p, r in signatures]),
        (2, imported),
        (3, declared),
        (4, [[FUNCREF, 1, count, count]] if table else []),
        (5, [[1, *_number(memory[0]), *_number(memory[1])]] if memory else []),
        (13, tags),
        (6, [[TYPES["i"], 1, CONST, 0, END]] if counter else []),
        (7, exports),
        (8, None if start is None else [start]),
        (9, [[0, CONST, 0, END, count, *(number for number, _ in numbered)]] if table else []),
        (10, [_code(one) for one in functions]),
    )
    encoded = bytearray(b"\0asm\1\0\0\0")
    for number, content in sections:
        if content:
            body = content if number == 8 else _vector(content)  # the start section is one number
            encoded += bytes([number, *_number(len(body)), *body])  # type: ignore[list-item]
    return encoded.hex()


def source(hex_module: str) -> str:
    """JavaScript for its bytes."""
    return f"Uint8Array.fromHex('{hex_module}')"


def _code(one: Function) -> list[int]:
    groups = [[1, TYPES[kind]] for kind in one.locals]
    body = [*_vector(groups), *one.body, END]
    return [*_number(len(body)), *body]


def _vector(items: Sequence[Sequence[int]]) -> list[int]:
    return [*_number(len(items)), *(byte for item in items for byte in item)]


def _values(kinds: str) -> list[int]:
    return [len(kinds), *(TYPES[kind] for kind in kinds)]


def _name(text: str) -> list[int]:
    return [len(text), *text.encode()]


def _number(value: int) -> list[int]:
    """Unsigned LEB128."""
    encoded = [value & 0x7F]
    while value := value >> 7:
        encoded[-1] |= 0x80
        encoded.append(value & 0x7F)
    return encoded
