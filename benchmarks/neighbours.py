"""How long an honest session waits for its answers while others do their worst, and how long alone."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load
from benchmarks.processes import Server, mcp_v8

ATTACKERS = 16
"""Sessions that attack at once, each again as soon as it was answered."""
LIMIT_SECONDS = 2
"""Time limit of an attack that does not end by itself."""
RAMP_SECONDS = 0.5
"""What attacks need until all of them are under way."""
HONEST: dict[str, object] = {"code": "globalThis.n = (globalThis.n ?? 0) + 1", "session": "honest"}

ATTACKS = {
    "endless loop": "for (;;);",
    "microtasks": "(function flood() { Promise.resolve().then(flood) })()",
    "timers": "await new Promise(() => { (function again() { setTimeout(again) })() })",
    "console": "for (;;) console.log('x'.repeat(1000))",
    "regular expression": "/(a+)+$/.test('a'.repeat(60) + 'b')",
    "heap until it is full": "const k = []; for (;;) k.push(new Array(1000).fill(k))",
    "strings until they are too much": "let s = ['x'.repeat(2 ** 20)]; for (;;) s.push(s[0] + s.length)",
    "buffers until there are no more": "const b = []; for (;;) b.push(new Uint8Array(2 ** 24).fill(1))",
    "recursion": "(function f() { f() })()",
    "large results": "'x'.repeat(2 ** 24)",
    "compilation": "for (let i = 0; ; i++) new Function('a', `for (;a < ${i}; a++); return a`)(i)",
    "state that grows by 5 MB with each call": (
        "(globalThis.all ??= []).push(new Uint8Array(5e6).fill(1)); all.length %= 9"
    ),
    "calls without end": "0",
}


@dataclass(frozen=True, kw_only=True)
class Neighbour:
    """What an honest session saw. Times in milliseconds."""

    attack: str | None
    """None: it was alone."""
    p50: float
    p99: float
    worst: float
    per_second: float


def measured(folder: Path, seconds: float) -> list[Neighbour]:
    """An honest session alone, then beside each attack, each for so long, on one server."""
    with mcp_v8("--directory-path", str(folder)) as server:
        honest(server, 0.2)
        return [alone(server, seconds), *(beside(server, attack, seconds) for attack in ATTACKS)]


def alone(server: Server, seconds: float) -> Neighbour:
    """Nobody else there."""
    return _neighbour(None, honest(server, seconds))


def beside(server: Server, attack: str, seconds: float) -> Neighbour:
    """Beside many sessions that make the same attack."""
    plan = load.Plan(
        port=server.port,
        requests=[
            load.post(
                {
                    "code": ATTACKS[attack],
                    "session": f"{attack.replace(' ', '-')}-{i}",
                    "execution_timeout_secs": LIMIT_SECONDS,
                }
            )
            for i in range(ATTACKERS)
        ],
        expect='"status"',
        seconds=seconds + RAMP_SECONDS,
    )
    attacking = _Attack(plan)
    attacking.start()
    time.sleep(RAMP_SECONDS)
    tally = honest(server, seconds)
    attacking.finish()
    return _neighbour(attack, tally)


def honest(server: Server, seconds: float) -> load.Tally:
    """One client that counts, in a closed loop. Raises LoadError if an answer is wrong."""
    return load.run(
        load.Plan(port=server.port, requests=[load.post(HONEST)], expect='"completed"', seconds=seconds)
    )


class _Attack(threading.Thread):
    """Attackers in a process of their own."""

    def __init__(self, plan: load.Plan) -> None:
        super().__init__()
        self._plan = plan
        self._failure: Exception | None = None

    def run(self) -> None:
        try:
            load.run(self._plan)
        except Exception as failed:  # noqa: BLE001 - raised where it is waited for
            self._failure = failed

    def finish(self) -> None:
        """Until they are done. Raises LoadError if they were not served."""
        self.join()
        if self._failure is not None:
            raise self._failure


def _neighbour(attack: str | None, tally: load.Tally) -> Neighbour:
    return Neighbour(
        attack=attack,
        p50=tally.percentile(0.5),
        p99=tally.percentile(0.99),
        worst=max(tally.latencies_us) / 1_000,
        per_second=tally.per_second,
    )
