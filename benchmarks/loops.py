"""How fast V8 runs hot loops in a session, beside Node.js: numbers, strings, objects, regular expressions."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
from dataclasses import dataclass

from benchmarks import load
from benchmarks.processes import Server

NUMERIC = "numeric"
BODIES = {
    NUMERIC: """
  let hash = 0x811c9dc5, sum = 0;
  for (let i = 0; i < 60_000_000; i++) {
    hash = Math.imul(hash ^ (i & 255), 0x01000193);
    sum += (hash >>> 0) / (i + 1);
  }
  return [hash, sum];""",
    "strings": """
  let length = 0, codes = 0;
  for (let i = 0; i < 80_000; i++) {
    const words = `item ${i} of ${i * 7}`.toUpperCase().split(' ');
    const text = words.reverse().join('-') + words[1].padStart(12, '*');
    length += text.length + text.indexOf('OF');
    codes = (codes + text.charCodeAt(i % text.length)) | 0;
  }
  return [length, codes];""",
    "objects": """
  class Point {
    constructor(x, y) { this.x = x; this.y = y }
    plus(other) { return new Point(this.x + other.x, this.y ^ other.y) }
  }
  const seen = new Map();
  let at = new Point(0, 0);
  for (let i = 0; i < 300_000; i++) {
    at = at.plus({ x: 1, y: i });
    const key = i & 1023;
    seen.set(key, { ...seen.get(key), at, [`f${i & 3}`]: i });
  }
  return [at.x + at.y, [...seen.values()].reduce((sum, { at, f1 = 0 }) => sum + at.y + f1, 0)];""",
    "regular expressions": """
  const line = /^(?<date>\\d{4}-\\d\\d-\\d\\d) +(\\w+)\\[(\\d+)\\]: (.*?)(?: key=(?<key>[a-z]+))?$/;
  let found = 0, length = 0;
  for (let i = 0; i < 80_000; i++) {
    const text = `2026-0${1 + i % 9}-1${i % 10} server[${i}]: answered ${i % 97}${i % 3 ? ' key=abc' : ''}`;
    const match = line.exec(text);
    found += match.groups.key ? 1 : 0;
    length += text.replace(/\\d+/g, (digits) => digits.length).length + match[4].length;
  }
  return [found, length];""",
}
"""What each loop does and comes to: two checksums, the same wherever it runs."""


@dataclass(frozen=True, kw_only=True)
class Loop:
    """Best times of one of them, ms."""

    name: str
    here: float
    node: float | None
    """None where there is no Node.js, as the next."""
    node_alone: float | None
    """In Node.js with one thread, as a worker has: without it another processor collects garbage."""

    @property
    def relative(self) -> float | None:
        """The time here relative to Node.js."""
        return None if self.node is None else self.here / self.node


def measured(server: Server, times: int) -> list[Loop]:
    """Time every loop here and in Node.js, in turns. Raises LoadError if their values differ."""
    node = shutil.which("node")
    return [_measured(server, node, name, times) for name in BODIES]


def _measured(server: Server, node: str | None, name: str, times: int) -> Loop:
    code = (
        "(() => { const started = performance.now(); "
        f"const values = (() => {{{BODIES[name]}\n}})(); "
        "return [performance.now() - started, ...values] })()"
    )
    here_ms: list[float] = []
    node_ms: list[float] = []
    alone_ms: list[float] = []
    for _ in range(times):
        elapsed, *values = run_here(server, code)
        here_ms.append(elapsed)
        if node is None:
            continue
        for taken, flags in ((node_ms, []), (alone_ms, ["--single-threaded"])):
            elapsed, *node_values = run_in_node(node, code, *flags)
            taken.append(elapsed)
            if values != node_values:
                raise load.LoadError(f"{name} came to {values} here and to {node_values} in Node.js")
    return Loop(
        name=name,
        here=min(here_ms),
        node=min(node_ms, default=None),
        node_alone=min(alone_ms, default=None),
    )


def run_here(server: Server, code: str) -> list[float]:
    """The value of ``code`` in the session ``hot``."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    body = json.dumps({"code": code, "session": "hot"})
    connection.request("POST", "/api/exec", body, {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    if answer.get("status") != "completed":
        raise load.LoadError(f"a hot loop: {answer}")
    value: list[float] = answer["result_json"]
    return value


def run_in_node(node: str, code: str, *flags: str) -> list[float]:
    """The value of ``code`` in a fresh Node.js with these flags."""
    script = f"console.log(JSON.stringify({code}))"
    ended = subprocess.run([node, *flags, "-e", script], capture_output=True, check=True, timeout=60)
    value: list[float] = json.loads(ended.stdout)
    return value
