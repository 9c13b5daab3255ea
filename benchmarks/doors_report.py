"""The section on doors: what an execution costs through each, and how long one waits beside crowds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks import crowded, doors
from benchmarks.crowd import Kind
from benchmarks.crowded import COUNTS, Waited
from benchmarks.executions_report import scenarios
from benchmarks.figures import Cell, Part, Table, Text, columns
from benchmarks.measure import Sample, Scenario

TITLE = "Doors and crowds"
SHARE = 3
"""A sample of a door takes this part of another measurement's time, so that ten rows take no minute."""
WHO: dict[Kind, str] = {
    "flood": "{} connections, each with executions in a session of its own",
    "event streams": "{} open streams of MCP sessions",
    "followers": "{} WebSockets that follow its session",
    "slow readers": "{} clients who read nothing of 0.9 MB",
    "reconnects": "clients who connect, open an MCP session and are gone",
    "half-open heads": "{} connections with half a head",
}
DOORS = (
    "The same execution as above through each door, a session for each client. `/mcp` answers calls of a "
    "session with an event stream, others with JSON. The second no-op is an ASGI application on this "
    "server's own connections: what an execution takes beyond that is not HTTP."
)
CROWDED = (
    "A client runs `1 + 1` in a live session, in a closed loop; each crowd is a process of its own, and all "
    "of it is under way before the client begins. The crowd's rate is what was answered of its requests."
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All of the section."""

    seconds: float
    """Length of a sample of a door."""
    rounds: int
    doors: dict[Scenario, list[Sample]]
    waited: list[Waited]


def measured(folder: Path, rounds: int, seconds: float) -> Measured:
    """Measure all of it, with stores in ``folder``."""
    return Measured(
        seconds=seconds / SHARE,
        rounds=rounds,
        doors=doors.measured(folder / "doors", rounds, seconds / SHARE),
        waited=crowded.measured(folder / "crowded", seconds),
    )


def parts(found: Measured) -> tuple[Part, ...]:
    """Its figures."""
    heads = columns("a client beside", "p50|ms", "p99|ms", "worst|ms", "answers|/s", "crowd's|/s")
    return (
        scenarios(found.doors),
        Text(f"Medians of {found.rounds} rounds of {found.seconds:.2g} s each. {DOORS}"),
        Table("crowds", heads, tuple(map(row, found.waited))),
        Text(CROWDED),
    )


def row(waited: Waited) -> tuple[Cell, ...]:
    """One situation as a row of the table."""
    kind = waited.beside
    return (
        "nobody" if kind is None else WHO[kind].format(COUNTS[kind]),
        waited.p50,
        waited.p99,
        waited.worst,
        waited.per_second,
        waited.crowd_per_second or None,
    )
