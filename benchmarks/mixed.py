"""Throughput while checkpoints are made, beside that of a server that makes none, under a mixed load.

Both servers are up at once, and one of them is loaded at a time, in turns; what a round begins to make, it
has made before the next one.
"""

from __future__ import annotations

import http.client
import re
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load
from benchmarks.checkpoints import objects
from benchmarks.engines import NEVER_SECONDS
from benchmarks.processes import Server, mcp_v8

SESSIONS = {"small": 10, "medium": 5, "large": 1}
"""How many of each kind there are: with a small state, with 1 MB, with 10 MB."""
TINY = "globalThis.n = (globalThis.n ?? 0) + 1; console.log('n is', n); n"
WORK = """(() => {
  let hash = n;
  for (let i = 0; i < 2_000_000; i++) hash = Math.imul(hash ^ i, 0x01000193);
  kept[n++ % kept.length].value = hash;
  return n;
})()"""
"""About 2 ms of CPU time, and a change of what the session holds."""
KEPT, DECLINED = (f'checkpoints_total{{result="{result}"}}' for result in ("kept", "declined"))
SETTLED_SECONDS = 0.5
SETTLE_WITHIN = 60
"""Seconds that checkpoints may take after a round."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """One server in one round."""

    per_second: float
    p50: float
    """Milliseconds, like the next."""
    p99: float


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """The rounds of both servers, and what the one has made in them."""

    seconds: float
    """Length of a round."""
    with_checkpoints: list[Round]
    without: list[Round]
    kept: int
    declined: int
    stored: int
    """Bytes of the checkpoints."""
    took: float
    """Seconds that one took, from the fork until it was kept, on average."""

    @property
    def ratio(self) -> float:
        """Rate with checkpoints relative to that without, of the same round, the median of the rounds."""
        pairs = zip(self.with_checkpoints, self.without, strict=True)
        return statistics.median(one.per_second / other.per_second for one, other in pairs)


def measured(folder: Path, rounds: int, seconds: float) -> Mixed:
    """Load both servers in turns."""
    with ExitStack() as stack:
        default = stack.enter_context(mcp_v8("--directory-path", str(folder / "default")))
        never = stack.enter_context(
            mcp_v8("--directory-path", str(folder / "never"), "--restore-target", f"{NEVER_SECONDS:g}")
        )
        servers = {default: list[Round](), never: list[Round]()}
        for server in servers:
            begin(server)
            sample(server, seconds)
        before = counters(default)
        for number in range(rounds):
            for server in list(servers)[:: -1 if number % 2 else 1]:
                servers[server].append(sample(server, seconds))
        after = counters(default)
        if KEPT in counters(never):
            raise load.LoadError("a server made checkpoints that was to make none")
    made = {name: value - before.get(name, 0.0) for name, value in after.items()}
    kept, declined = made.get(KEPT, 0.0), made.get(DECLINED, 0.0)
    return Mixed(
        seconds=seconds,
        with_checkpoints=servers[default],
        without=servers[never],
        kept=round(kept),
        declined=round(declined),
        stored=round(made["checkpoint_bytes_total"]),
        took=made["checkpoint_seconds_sum"] / max(1.0, kept + declined),
    )


def medians(rounds: Sequence[Round]) -> tuple[float, float, float]:
    """Rate, p50 and p99, each the median of the rounds."""
    return (
        statistics.median(one.per_second for one in rounds),
        statistics.median(one.p50 for one in rounds),
        statistics.median(one.p99 for one in rounds),
    )


def begin(server: Server) -> None:
    """Make the sessions."""
    codes = {"small": "var n = 0", "medium": f"var n = 0; {objects(1)}", "large": f"var n = 0; {objects(10)}"}
    requests = everywhere(codes)
    load.run(plan(server, requests, seconds=60, most=len(requests)))


def sample(server: Server, seconds: float) -> Round:
    """One round, and the end of what it began."""
    requests = everywhere({"small": TINY, "medium": WORK, "large": WORK})
    tally = load.run(plan(server, requests, seconds=seconds))
    settle(server)
    return Round(per_second=tally.per_second, p50=tally.percentile(0.5), p99=tally.percentile(0.99))


def everywhere(codes: dict[str, str]) -> list[str]:
    """A request for each session, which runs the code of its kind."""
    return [
        load.post({"code": codes[kind], "session": f"{kind}-{i}"})
        for kind, count in SESSIONS.items()
        for i in range(count)
    ]


def plan(server: Server, requests: list[str], seconds: float, most: int = 1_000_000) -> load.Plan:
    """A client for each request."""
    return load.Plan(port=server.port, requests=requests, expect='"completed"', seconds=seconds, most=most)


def settle(server: Server) -> None:
    """Until the server's processes use no more than 2 % of a processor: it tells of no end of checkpoints."""
    deadline = time.monotonic() + SETTLE_WITHIN
    while time.monotonic() < deadline:
        before = server.cpu()
        time.sleep(SETTLED_SECONDS)
        spent = server.cpu() - before
        if spent.server + spent.zygote + spent.workers <= 20 * SETTLED_SECONDS:
            return
    raise load.LoadError(f"a server was not done with its checkpoints within {SETTLE_WITHIN} s")


def counters(server: Server) -> dict[str, float]:
    """The server's numbers that tell of checkpoints."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    found = re.findall(r"^mcp_v8_(checkpoint\S*) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in found}
