"""Eight small pieces of code, in JavaScript and in Python: the work of the open loop and of the peers."""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Snippet:
    """An expression without side effects."""

    javascript: str
    python: str
    value: object
    """What it comes to, of JSON's types."""

    @property
    def expect(self) -> str:
        """What the answer to it contains, beside its status."""
        return '"result_json":' + json.dumps(self.value, separators=(",", ":"))


SNIPPETS = (
    Snippet("1 + 1", "1 + 1", 2),
    Snippet("Math.hypot(3, 4)", "round((3**2 + 4**2) ** 0.5)", 5),
    Snippet("'abc'.repeat(4).length", "len('abc' * 4)", 12),
    Snippet("[3, 1, 2].sort().join('-')", "'-'.join(map(str, sorted([3, 1, 2])))", "1-2-3"),
    Snippet(
        "Array.from({length: 20}, (_, i) => i * i).reduce((sum, n) => sum + n, 0)",
        "sum(i * i for i in range(20))",
        2470,
    ),
    Snippet(
        "Object.entries({x: 1, y: 2}).map(([key, value]) => key + value)",
        "[f'{key}{value}' for key, value in {'x': 1, 'y': 2}.items()]",
        ["x1", "y2"],
    ),
    Snippet(
        "JSON.parse(JSON.stringify({name: 'a', sizes: [1, 2]})).sizes",
        "__import__('json').loads(__import__('json').dumps({'name': 'a', 'sizes': [1, 2]}))['sizes']",
        [1, 2],
    ),
    Snippet(
        "/(\\d+)-(\\d+)/.exec('lines 10-32').slice(1).map(Number)",
        "[int(n) for n in __import__('re').search(r'(\\d+)-(\\d+)', 'lines 10-32').groups()]",
        [10, 32],
    ),
)
