"""Random values read as in Node, where the machine has the Node of the golden file."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable

import pytest
from isolates import Session as Isolate
from nodes import HERE, golden_node

MakeIsolate = Callable[..., Isolate]

SEEDS = range(3)
CALLS = 150  # of the console, for each seed
ALPHABET = "abcdefghij xyz'\"\\\n`漢é😀$"
KEYS = ["a", "b", "name", "some-key", "longer_key_name", "1", "x y", "it's"]
LENGTHS = [0, 1, 2, 3, 6, 7, 8, 10, 16, 27, 60]
OPTIONS = {
    "depth": [0, 1, 3, 5, None],
    "breakLength": [20, 40, 60, 120, 200],
    "compact": [False, 1, 2, 4, 5],
    "maxArrayLength": [0, 1, 5, 20],
    "maxStringLength": [0, 1, 5, 20],
    "sorted": [True],
}


class Generator:
    """Expressions of values, and calls that print them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def call(self) -> str:
        """A call that prints values."""
        value = self.value(self.random.randint(1, 5))
        options = {
            name: self.random.choice(of) for name, of in OPTIONS.items() if self.random.random() < 0.15
        }
        return self.random.choice(
            [
                f"console.log({value})",
                f"console.dir({value}, {json.dumps(options)})",
                f"console.table({value})",
                f"console.group(); console.log({value}, {self.value(2)}); console.groupEnd()",
            ]
        )

    def value(self, depth: int) -> str:
        """An expression whose value nests at most so deep."""
        makers = [self.primitive, self.primitive, self.primitive]
        if depth > 0:
            makers += [self.record, self.record, self.array, self.array, self.map, self.set, self.instance]
        return self.random.choice(makers)(depth - 1)

    def text(self) -> str:
        """A string literal."""
        length = self.random.choice([0, 1, 3, 5, 8, 13, 20, 40, 76, 90])
        letters = ALPHABET if self.random.random() < 0.5 else ALPHABET[:10]
        return json.dumps("".join(self.random.choices(letters, k=length)), ensure_ascii=False)

    def number(self, digits: int) -> str:
        """A whole number."""
        return str(self.random.randint(-9, 10 ** self.random.randint(1, digits)))

    def primitive(self, _: int) -> str:
        """A value without parts."""
        plain = [
            "null",
            "undefined",
            "true",
            "-0",
            "Symbol('q')",
            "() => 1",
            "class A {}",
            "new Date(0)",
            "/re/g",
        ]
        number = repr(self.random.random() * self.random.choice([1, 1e9, 1e-9]))
        numbers = [number, self.number(6), self.number(18) + "n"]
        return self.random.choice([*numbers, self.text(), self.text(), self.random.choice(plain)])

    def record(self, depth: int) -> str:
        """A plain object."""
        keys = self.random.sample([*KEYS, "k" * self.random.randint(1, 30)], self.random.randint(0, 7))
        return "({" + ", ".join(f"[{json.dumps(key)}]: {self.value(depth)}" for key in keys) + "})"

    def array(self, depth: int) -> str:
        """An array: long ones of values of a kind."""
        length = self.random.choice(LENGTHS)
        kinds = [lambda: self.number(6), self.text, lambda: self.number(9) + "n", lambda: self.value(1)]
        make = self.random.choice(kinds) if length > 8 else lambda: self.value(depth)
        items = ["" if self.random.random() < 0.03 else make() for _ in range(length)]
        return f"[{', '.join(items)}]"

    def map(self, depth: int) -> str:
        """A Map."""
        pairs = [
            f"[{self.value(depth)}, {self.value(depth)}]" for _ in range(self.random.choice([0, 1, 2, 4, 7]))
        ]
        return f"new Map([{', '.join(pairs)}])"

    def set(self, depth: int) -> str:
        """A Set."""
        return (
            f"new Set([{', '.join(self.value(depth) for _ in range(self.random.choice([0, 1, 2, 4, 7])))}])"
        )

    def instance(self, depth: int) -> str:
        """An object of a class, with properties."""
        first, second = self.value(depth), self.value(depth)
        made = [
            f"new (class Foo {{ constructor() {{ this.p = {first}; this.q = {second} }} }})()",
            f"Object.assign(new Error('x'), {{ stack: 'Error: x\\n    at f (x.js:1:1)', p: {first} }})",
            f"Object.assign([{first}], {{ p: {second} }})",
            f"Promise.resolve({first})",
            f"new Uint8Array({self.random.randint(0, 40)})",
        ]
        return self.random.choice(made)


def printed_by_node(calls: list[str]) -> list[str]:
    """What Node prints for each of the calls."""
    command = [golden_node(), HERE / "node_golden.mjs", "--calls"]
    made = subprocess.run(
        command, input=json.dumps(calls).encode(), capture_output=True, check=True, timeout=60
    )
    return ["\n".join(text for _, text in lines) for lines in json.loads(made.stdout)]


@pytest.mark.parametrize("seed", SEEDS)
def test_random_values_read_as_in_node(Session: MakeIsolate, seed: int) -> None:  # noqa: N803
    generator = Generator(seed)
    calls = [generator.call() for _ in range(CALLS)]
    session = Session()
    for code, theirs in zip(calls, printed_by_node(calls), strict=True):
        outcome = session.run(f"{{ {code} }}").outcome
        assert outcome.error is None, code
        ours = "\n".join(line.text for line in session.lines)
        if "more cell" not in ours:  # wider than a table may be
            assert ours == theirs, code
