"""The section on peers: what users would take instead, measured beside this server."""

from __future__ import annotations

import statistics
from pathlib import Path

from benchmarks.figures import Cell, Figure, Figures, Part, Table, Text, columns
from benchmarks.peers import catalogue, compared
from benchmarks.peers.catalogue import Peer
from benchmarks.peers.compared import Measured, Sample

TITLE = "Peers"
CLIENTS = (1, 32)
FEW_CLIENTS = (1, 8)
"""Of a quick measurement: a Jupyter kernel takes a second to start."""
SHARE = 3
"""A sample takes this part of another measurement's time: eighteen rows would take minutes."""
HEADS = columns("peer", "clients", "executions|/s", "of mcp-v8", "p50|ms", "p99|ms", "CPU|ms")
TRAITS = columns(
    "peer", "version", "state is kept", "durable", "clients apart by", "confined by", "limits of"
)
LEGEND = (
    "Every one is behind the same route, in Python on stock Quart-Trio and Hypercorn as the no-op, or on "
    "Node.js's own HTTP, and runs the same eight snippets (in Jupyter their like in Python), in as many "
    "sessions as there are clients. CPU is that of all its processes, an execution. What a peer is faster by "
    "is the price of what the second table says it lacks: durable is what is there after `kill -9`."
)


def measured(folder: Path, rounds: int, seconds: float, *, quick: bool) -> Measured:
    """Measure those that are installed, with stores in ``folder``."""
    return compared.measured(folder, rounds, seconds / SHARE, FEW_CLIENTS if quick else CLIENTS)


def parts(found: Measured) -> tuple[Part, ...]:
    """Its figures."""
    named = found.versions.items()
    return (
        Figures("promised", "figure", (warm(found),)),
        Table("peers", HEADS, tuple(row(found, peer, clients) for peer, clients in found.samples)),
        Text(f"Medians of {found.rounds} rounds of {found.seconds:.2g} s each, closed loop. {LEGEND}"),
        Table("traits", TRAITS, tuple(traits(peer, version) for peer, version in named)),
        *(Text(f"Not measured, {peer.name}: {reason}.") for peer, reason in found.missing.items()),
    )


def warm(found: Measured) -> Figure:
    """The figure that has a target."""
    p50 = statistics.median(sample.p50 for sample in found.samples[catalogue.DURABLE, 1])
    return Figure("durable execution, one client: p50", p50, "ms", 3)


def row(found: Measured, peer: Peer, clients: int) -> tuple[Cell, ...]:
    """One peer at one number of clients."""
    taken = found.samples[peer, clients]
    return (
        peer.name,
        clients,
        statistics.median(sample.per_second for sample in taken),
        ratio(taken, found.samples[catalogue.DURABLE, clients]),
        statistics.median(sample.p50 for sample in taken),
        statistics.median(sample.p99 for sample in taken),
        statistics.median(sample.cpu for sample in taken),
    )


def ratio(samples: list[Sample], yardstick: list[Sample]) -> float:
    """Rate relative to the yardstick's of the same round, the median of the rounds."""
    return statistics.median(s.per_second / y.per_second for s, y in zip(samples, yardstick, strict=True))


def traits(peer: Peer, version: str) -> tuple[Cell, ...]:
    """What a user of it has and has not."""
    state = "yes" if peer.state else "no"
    return (peer.name, version or None, state, peer.durable, peer.apart, peer.confined, peer.limits)
