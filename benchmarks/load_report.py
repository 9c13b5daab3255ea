"""The section on the open loop: executions that arrive at a constant rate, on one node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks import arrivals
from benchmarks import load as load_client
from benchmarks.arrivals import Outcome, Plan
from benchmarks.figures import Cell, Figure, Figures, Part, Table, Text, columns
from benchmarks.processes import mcp_v8, settle

TITLE = "Open loop"
SEED = 20_261_129
SESSIONS = 32
WARM_UP = 100
"""Executions a second, for a second: each session is live after it."""
LONGER = 2
"""A load takes this many times another measurement's time: it is measured once."""
UNTHROTTLED = ("--max-requests-per-second", "100000")
"""All of it comes from one address, which else may send 2,000 requests a second."""
HEADS = columns("load", "asked|/s", "completed|/s", "success|%", "p50|ms", "p95|ms", "p99|ms")


@dataclass(frozen=True)
class Kind:
    """What the executions of a load are."""

    name: str
    flags: tuple[str, ...]
    """Of the server; ``{folder}`` is an empty one."""
    sessions: int
    rates: tuple[int, ...]


STATELESS = Kind("stateless", ("--stateless",), 0, (100, 200, 500, 1000))
LIVE = Kind(
    f"stateful, in one of {SESSIONS} sessions",
    ("--directory-path", "{folder}"),
    SESSIONS,
    (100, 200, 500),
)
NEW = Kind("stateful, a new session for each", ("--directory-path", "{folder}"), 0, (100, 200))
KINDS = (STATELESS, LIVE, NEW)
BAR = 200
"""Executions a second at which something is promised."""


@dataclass(frozen=True)
class Published:
    """A figure of the Rust mcp-v8, as its authors published it."""

    name: str
    asked: int | None
    per_second: float
    p95: float | None
    """Milliseconds."""


PUBLISHED = (
    Published("one node, stateful", 100, 51, 2_082),
    Published("one node, stateless", 200, 198, 127),
    Published("one node, stateless", 500, 139, None),
    Published("cluster, stateful", None, 134, None),
    Published("cluster, stateless", None, 500, None),
)


@dataclass(frozen=True, kw_only=True)
class Load:
    """One row of the section."""

    kind: Kind
    rate: int
    follow: bool
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All that was measured."""

    seconds: float
    loads: list[Load]


def measured(folder: Path, seconds: float, *, quick: bool) -> Measured:
    """Carry out every load, each against a server of its own: what one leaves undone slows no other.

    Executions are followed, and at the rate for which something is promised, the only one of a quick
    measurement, also asked for in one request.
    """
    asked = [(kind, rate, True) for kind in KINDS for rate in ((BAR,) if quick else kind.rates)]
    asked += [(kind, BAR, False) for kind in KINDS]
    length = LONGER * seconds
    loads = []
    for number, (kind, rate, follow) in enumerate(asked):
        outcome = arriving(folder / f"load-{number}", kind, rate, length, follow=follow)
        loads.append(Load(kind=kind, rate=rate, follow=follow, outcome=outcome))
    return Measured(seconds=length, loads=loads)


def arriving(folder: Path, kind: Kind, rate: int, seconds: float, *, follow: bool) -> Outcome:
    """Carry out one load on a new server, after a warm-up. Raises LoadError."""
    flags = [flag.format(folder=folder) for flag in kind.flags]
    with mcp_v8(*flags, *UNTHROTTLED) as server:
        settle(server.port)
        for asked, length in ((WARM_UP, 1.0), (rate, seconds)):
            plan = Plan(
                port=server.port,
                rate=asked,
                seconds=length,
                seed=SEED,
                sessions=kind.sessions,
                follow=follow,
            )
            outcome = arrivals.run(plan)
    return outcome


def parts(found: Measured) -> tuple[Part, ...]:
    """Its figures."""
    return (
        Figures("promised", "figure", figures(found)),
        Table("loads", HEADS, (*map(row, found.loads), *map(published_row, PUBLISHED))),
        Text(legend(found)),
    )


def figures(found: Measured) -> tuple[Figure, ...]:
    """The figures that have a target."""
    barred = [load for load in found.loads if load.rate == BAR and load.follow and load.kind is not NEW]
    return tuple(
        figure
        for load in barred
        for figure in (
            Figure(f"{BAR}/s, {load.kind.name}: p95", load.outcome.percentile(0.95), "ms", 30),
            Figure(
                f"{BAR}/s, {load.kind.name}: success", load.outcome.success * 100, "%", 100, at_least=True
            ),
        )
    )


def row(load: Load) -> tuple[Cell, ...]:
    """One load as a row of the table."""
    outcome = load.outcome
    return (
        load.kind.name if load.follow else f"{load.kind.name}, one request",
        load.rate,
        outcome.per_second,
        outcome.success * 100,
        *(outcome.percentile(share) for share in (0.5, 0.95, 0.99)),
    )


def published_row(published: Published) -> tuple[Cell, ...]:
    """A published figure as a row of the table."""
    name = f"Rust mcp-v8, published, another machine: {published.name}"
    return (name, published.asked, published.per_second, None, None, published.p95, None)


def legend(found: Measured) -> str:
    """How the table is to be read."""
    late = max(load_client.percentile(load.outcome.late_us, 0.99) for load in found.loads)
    return (
        f"Each load {found.seconds:g} s at a constant rate, on a server of its own, one of eight snippets at "
        f"random (seed {SEED}). Latency counts from when an execution was due; one that was refused, or not "
        f"over within {arrivals.PATIENCE_SECONDS:g} s of that, is no success, and counts as having taken as "
        "long. Each is submitted and then followed by its id, two requests, but where one is named. The "
        f"client sent 99 % of them within {late:.2g} ms of when they were due. What was published of the "
        "Rust mcp-v8 was measured on another machine: it says what its authors saw there, no more."
    )
