"""How long one client waits for its answers while a crowd of others loads the server, and how long alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks import load
from benchmarks.crowd import Crowd, Kind, Plan
from benchmarks.measure import execute
from benchmarks.processes import Server, mcp_v8

COUNTS: dict[Kind, int] = {
    "flood": 64,
    "event streams": 200,
    "followers": 200,
    "slow readers": 200,
    "reconnects": 1,
    "half-open heads": 500,
}
WARM = "warm"
"""The client's session, which the followers follow."""
MARGIN_SECONDS = 0.5
"""What a crowd lasts longer than the client whose time is taken needs, with its start."""


@dataclass(frozen=True, kw_only=True)
class Waited:
    """What the client saw. Times in milliseconds."""

    beside: Kind | None
    """None: it was alone."""
    p50: float
    p99: float
    worst: float
    per_second: float
    crowd_per_second: float
    """Requests of the crowd that were answered."""


def measured(folder: Path, seconds: float) -> list[Waited]:
    """The client alone, then beside each crowd, each for so long, on one server."""
    with mcp_v8("--directory-path", str(folder)) as server:
        client(server, seconds / 4)
        return [alone(server, seconds), *(beside(server, kind, seconds) for kind in COUNTS)]


def alone(server: Server, seconds: float) -> Waited:
    """Nobody else there."""
    return _waited(None, client(server, seconds), 0.0)


def beside(server: Server, kind: Kind, seconds: float) -> Waited:
    """All of a crowd under way."""
    crowd = Crowd(
        Plan(
            kind=kind,
            port=server.port,
            count=COUNTS[kind],
            seconds=seconds + MARGIN_SECONDS,
            session=WARM,
        )
    )
    try:
        tally = client(server, seconds)
    finally:
        crowd_per_second = crowd.finish()
    return _waited(kind, tally, crowd_per_second)


def client(server: Server, seconds: float) -> load.Tally:
    """One client in a closed loop. Raises LoadError if an answer is wrong."""
    request = execute("1 + 1", WARM)
    return load.run(load.Plan(port=server.port, requests=[request], expect='"completed"', seconds=seconds))


def _waited(kind: Kind | None, tally: load.Tally, crowd_per_second: float) -> Waited:
    return Waited(
        beside=kind,
        p50=tally.percentile(0.5),
        p99=tally.percentile(0.99),
        worst=max(tally.latencies_us) / 1_000,
        per_second=tally.per_second,
        crowd_per_second=crowd_per_second,
    )
