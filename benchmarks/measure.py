"""What is measured, and how: every scenario once a round, all servers up, rounds one after another.

The machine's speed drifts, so what is compared is taken seconds apart, and what is reported is the
median of the rounds.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from benchmarks import load
from benchmarks.processes import Cpu, Memory, Server, mcp_v8

COUNT = "globalThis.n = (globalThis.n ?? 0) + 1; console.log('n is', n); n"
"""Changes the session's state, prints, and has a value."""

CLIENTS = 32
NEW_SESSIONS = 100
"""New sessions a round: few, so that their workers do not pile up."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One closed loop against one server."""

    name: str
    server: str
    requests: tuple[str, ...]
    """One for each client."""
    most: int = 1_000_000
    expect: str = '"completed"'


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One scenario in one round."""

    per_second: float
    p50: float
    """Milliseconds, like the next."""
    p99: float
    latencies_us: list[int]
    cpu: Cpu
    """Milliseconds of CPU a request."""


def execute(code: str, session: str | None = None) -> str:
    """The request that runs ``code``."""
    return load.post({"code": code} if session is None else {"code": code, "session": session})


NOOP_MANY = Scenario(name="no-op", server="noop", requests=(execute(COUNT),) * CLIENTS)
NOOP_RAW = Scenario(name="no-op without Quart", server="raw", requests=(execute(COUNT),) * CLIENTS)
NOOP_ONE = Scenario(name="no-op", server="noop", requests=(execute(COUNT),))
DURABLE_MANY = Scenario(
    name="durable execution, a session each",
    server="durable",
    requests=tuple(execute(COUNT, f"load-{i}") for i in range(CLIENTS)),
)
DURABLE_ONE = Scenario(
    name="durable execution, warm `1 + 1`", server="durable", requests=(execute("1 + 1", "warm"),)
)
NEW_SESSION = Scenario(
    name="first answer of a new session",
    server="durable",
    requests=(execute("1 + 1", "new-" + load.COUNTER.decode()),),
    most=NEW_SESSIONS,
)
HEALTH = Scenario(name="`/healthz`", server="durable", requests=(load.get("/healthz"),) * CLIENTS, expect="")
STATELESS_MANY = Scenario(
    name="stateless execution", server="stateless", requests=(execute(COUNT),) * CLIENTS
)
STATELESS_ONE = Scenario(name="stateless execution", server="stateless", requests=(execute("1 + 1"),))
CONTEXTS_MANY = Scenario(
    name="stateless execution, a context each", server="contexts", requests=(execute(COUNT),) * CLIENTS
)
CONTEXTS_ONE = Scenario(
    name="stateless execution, a context each", server="contexts", requests=(execute("1 + 1"),)
)

SCENARIOS = (
    NOOP_MANY,
    NOOP_RAW,
    DURABLE_MANY,
    HEALTH,
    STATELESS_MANY,
    CONTEXTS_MANY,
    NOOP_ONE,
    DURABLE_ONE,
    STATELESS_ONE,
    CONTEXTS_ONE,
    NEW_SESSION,
)


def rounds(
    servers: dict[str, Server], scenarios: Sequence[Scenario], count: int, seconds: float
) -> dict[Scenario, list[Sample]]:
    """Warm up, then sample every scenario in each of ``count`` rounds."""
    for scenario in scenarios:
        sample(servers, scenario, seconds / 4, first=0)
    samples: dict[Scenario, list[Sample]] = {scenario: [] for scenario in scenarios}
    for number in range(1, count + 1):
        for scenario in scenarios:
            first = number * 1_000_000  # counters differ between rounds, so that sessions are new
            samples[scenario].append(sample(servers, scenario, seconds, first))
    return samples


def sample(servers: dict[str, Server], scenario: Scenario, seconds: float, first: int) -> Sample:
    """Run a scenario once."""
    server = servers[scenario.server]
    plan = load.Plan(
        port=server.port,
        requests=list(scenario.requests),
        expect=scenario.expect,
        seconds=seconds,
        most=scenario.most,
        first=first,
    )
    before = server.cpu()
    tally = load.run(plan)
    spent = server.cpu() - before
    answered = len(tally.latencies_us)
    return Sample(
        per_second=tally.per_second,
        p50=tally.percentile(0.5),
        p99=tally.percentile(0.99),
        latencies_us=tally.latencies_us,
        cpu=Cpu(spent.server / answered, spent.zygote / answered, spent.workers / answered),
    )


def ratio(samples: Sequence[Sample], yardstick: Sequence[Sample]) -> float:
    """Rate relative to the yardstick's of the same round, the median of the rounds."""
    return statistics.median(s.per_second / y.per_second for s, y in zip(samples, yardstick, strict=True))


def idle_session_memory(directory: str, sessions: int) -> Memory | None:
    """What one more idle live session takes, KiB, on a server of its own.

    The growth of zygote and workers together over ``sessions`` sessions, so that ready workers, which
    are there before and after, do not count. None where only root may read it.
    """
    with mcp_v8("--directory-path", directory) as server:
        try:
            before = settled_memory(server)
            request = execute("1 + 1", "idle-" + load.COUNTER.decode())
            load.run(load.Plan(port=server.port, requests=[request], seconds=60, most=sessions))
            after = settled_memory(server)
        except PermissionError:
            return None
    return Memory(
        private=(after.private - before.private) // sessions,
        proportional=(after.proportional - before.proportional) // sessions,
    )


def settled_memory(server: Server) -> Memory:
    """Memory once it has stopped changing by more than 1 %, or after 10 s."""
    for earlier, now in pairwise(readings(server, count=20)):
        if abs(now.private - earlier.private) <= now.private // 100:
            return now
    return now


def readings(server: Server, count: int) -> Iterator[Memory]:
    """The memory now, and every half second."""
    for _ in range(count):
        yield server.memory()
        time.sleep(0.5)
