"""The section on scale: what changes with the number of clients, of sessions, and of events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import lengths, scale
from benchmarks.figures import ROOT_ONLY, Part, Table, Text, columns
from benchmarks.lengths import Restored
from benchmarks.measure import CLIENTS
from benchmarks.scale import Held, Rate, Stored

TITLE = "Scale"
SHARE = 3
"""A sample takes this part of another measurement's time: there are many."""
KIB_OF_GIB = 1 << 20
RATES = (
    "Medians of the rounds, closed loop, durable executions that count and print. In the first table each "
    "client has a session of its own, in the second the clients use the sessions in turns: those of one "
    "session wait for each other."
)
LIVE = (
    "Growth of the workers and their zygote, for each idle session; PSS has a share of what they have in "
    "common. A GiB holds as many as their PSS lets it."
)
RESTORES = (
    "Medians, until a worker that was ready is in the last state of a small session. What a restore takes by "
    "what the session holds is in the section on checkpoints."
)
STORES = (
    "Sessions of one event that sleep, on a server with the usual flags. Medians of one client; a start is "
    "measured once, in steps of 50 ms."
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All of the section."""

    clients: dict[int, tuple[Rate, Rate]]
    sessions: dict[int, Rate]
    live: list[Held] | None
    restores: list[Restored]
    stores: list[Stored]


def measured(folder: Path, rounds: int, seconds: float, *, quick: bool) -> Measured:
    """Measure all of it, with stores in ``folder``."""
    sizes = scale.QUICK if quick else scale.Sizes()
    sample = seconds / SHARE
    return Measured(
        clients=scale.with_clients(folder / "clients", sizes.clients, rounds, sample),
        sessions=scale.with_sessions(folder / "sessions", sizes.sessions, rounds, sample),
        live=scale.live(folder / "live", sizes.live),
        restores=lengths.measured(folder / "restores", lengths.QUICK if quick else lengths.LENGTHS),
        stores=scale.stored(folder / "stores", sizes.stored, sample),
    )


def parts(found: Measured) -> tuple[Part, ...]:
    """Its figures."""
    return (
        by_clients(found.clients),
        by_sessions(found.sessions),
        Text(RATES),
        *live_parts(found.live),
        by_length(found.restores),
        Text(RESTORES),
        by_store(found.stores),
        Text(STORES),
    )


def by_clients(found: dict[int, tuple[Rate, Rate]]) -> Table:
    """Rates with so many clients."""
    heads = columns("clients", "no-op|/s", "executions|/s", "of no-op", "p50|ms", "p99|ms")
    rows = (
        (size, noop.per_second, one.per_second, one.per_second / noop.per_second, one.p50, one.p99)
        for size, (noop, one) in found.items()
    )
    return Table("clients", heads, tuple(rows))


def by_sessions(found: dict[int, Rate]) -> Table:
    """Rates with so many sessions."""
    heads = columns(f"sessions of {CLIENTS} clients", "executions|/s", "p50|ms", "p99|ms")
    rows = ((size, one.per_second, one.p50, one.p99) for size, one in found.items())
    return Table("sessions", heads, tuple(rows))


def live_parts(found: Sequence[Held] | None) -> tuple[Part, ...]:
    """Memory of live sessions."""
    if found is None:
        return (ROOT_ONLY,)
    heads = columns("live sessions", "private each|KiB", "PSS each|KiB", "PSS of all|MiB", "a GiB holds")
    rows = (
        (one.sessions, one.private, one.proportional, one.everything, round(KIB_OF_GIB / one.proportional))
        for one in found
    )
    return Table("live", heads, tuple(rows)), Text(LIVE)


def by_length(found: Sequence[Restored]) -> Table:
    """Restores by length of the history."""
    heads = columns("restore of a session of so many events", "with a checkpoint|ms", "without any|ms")
    return Table("restores", heads, tuple((one.events, one.restored, one.replayed) for one in found))


def by_store(found: Sequence[Stored]) -> Table:
    """Executions on a store with so many sessions."""
    heads = columns(
        "sessions in the store",
        "start|s",
        "in a live session|ms",
        "first of a new one|ms",
        "first of a sleeping one|ms",
    )
    rows = ((one.sessions, one.start, one.live, one.new, one.woken) for one in found)
    return Table("stores", heads, tuple(rows))
