"""What the plots of the docs show, taken from the results. Pure; ``benchmarks.drawing`` draws it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from benchmarks.figures import Cell, Table
from benchmarks.results import Results, Section


class Series(Struct, frozen=True):
    """Points that belong together: for each x one y."""

    label: str
    xs: tuple[float, ...]
    ys: tuple[float, ...]


class Lines(Struct, frozen=True, kw_only=True, tag="lines"):
    """Lines through points. The axis of x is logarithmic."""

    name: str
    """Of the file."""
    x: str
    """What the axis is, with its unit."""
    y: str
    series: tuple[Series, ...]
    log_y: bool = False


class Bars(Struct, frozen=True, kw_only=True, tag="bars"):
    """A bar for each label, the first one on top."""

    name: str
    x: str
    labels: tuple[str, ...]
    values: tuple[float, ...]


Plot = Lines | Bars


def digest(plot: Plot) -> str:
    """Names what is shown: a drawing that has it shows the same."""
    return hashlib.sha256(msgspec.json.encode(plot)).hexdigest()


def of(results: Results) -> list[Plot]:
    """Every plot of which there are results."""
    made = []
    for name, plots in SHOWN.items():
        section = results.section(name)
        if section is not None:
            made += [plot for plot in (show(section) for show in plots) if plot is not None]
    return made


def rate_by_clients(section: Section) -> Plot | None:
    """Throughput against the number of clients."""
    table = section.part(Table, "clients")
    return Lines(
        name="rate-by-clients",
        x="clients, each with a session of its own",
        y="requests/s",
        series=(
            line(table, "no-op of a stock server", "clients", "no-op/s"),
            line(table, "durable executions", "clients", "executions/s"),
        ),
    )


def restore_by_history(section: Section) -> Plot | None:
    """Restores against the length of the history."""
    table = section.part(Table, "restores")
    events = table.columns[0].heading
    return Lines(
        name="restore-by-history",
        x="events of the session",
        y="ms until its state is restored",
        log_y=True,
        series=(
            line(table, "from the log alone", events, "without any ms"),
            line(table, "from a checkpoint", events, "with a checkpoint ms"),
        ),
    )


def memory_by_sessions(section: Section) -> Plot | None:
    """Memory against live sessions; None where only root may read it."""
    if not any(isinstance(part, Table) and part.name == "live" for part in section.parts):
        return None
    table = section.part(Table, "live")
    return Lines(
        name="memory-by-sessions",
        x="idle live sessions",
        y="MiB of PSS",
        log_y=True,
        series=(line(table, "all workers and their zygote", "live sessions", "PSS of all MiB"),),
    )


def latency_by_store(section: Section) -> Plot | None:
    """Executions against the number of sessions in the store."""
    table = section.part(Table, "stores")
    size = "sessions in the store"
    return Lines(
        name="latency-by-store",
        x=size,
        y="ms of one client's execution",
        series=(
            line(table, "first of a sleeping session", size, "first of a sleeping one ms"),
            line(table, "first of a new session", size, "first of a new one ms"),
            line(table, "in a live session", size, "in a live session ms"),
        ),
    )


def time_by_layer(section: Section) -> Plot | None:
    """CPU time of an execution by layer."""
    table = section.part(Table, "layers")
    return bars(table, "time-by-layer", "CPU ms of a durable execution", "layer", "CPU ms", rows=-1)


def loops_beside_node(section: Section) -> Plot | None:
    """Hot loops; None where there is no Node.js."""
    table = section.part(Table, "loops")
    if None in table.column("relative"):
        return None
    return bars(table, "loops", "time relative to Node.js", "hot loop", "relative")


def latency_by_arrivals(section: Section) -> Plot | None:
    """Latency against the rate of arrivals, of the executions here that were followed."""
    table = section.part(Table, "loads")
    points: dict[str, list[tuple[float, float]]] = {}
    for load, asked, success, p95 in zip(
        *map(table.column, ("load", "asked/s", "success %", "p95 ms")), strict=True
    ):
        here = success is not None  # which is not told of published ones
        if here and not str(load).endswith(", one request"):
            x, y = numbers((asked, p95))
            points.setdefault(str(load), []).append((x, y))
    return Lines(
        name="latency-by-arrivals",
        x="executions that arrive in a second",
        y="ms, p95",
        log_y=True,
        series=tuple(
            Series(load, tuple(x for x, _ in taken), tuple(y for _, y in taken))
            for load, taken in points.items()
        ),
    )


def rate_of_peers(section: Section) -> Plot | None:
    """Rates of what users would take instead, with the most clients."""
    table = section.part(Table, "peers")
    clients = max(numbers(table.column("clients")))
    most = replace(table, rows=tuple(row for row in table.rows if clients in row[1:2]))
    return bars(most, "rate-of-peers", f"executions/s of {clients:g} clients", "peer", "executions/s")


SHOWN: dict[str, tuple[Callable[[Section], Plot | None], ...]] = {
    "executions": (loops_beside_node,),
    "layers": (time_by_layer,),
    "load": (latency_by_arrivals,),
    "peers": (rate_of_peers,),
    "scale": (rate_by_clients, restore_by_history, memory_by_sessions, latency_by_store),
}
"""By the section that it is taken from."""


def line(table: Table, label: str, x: str, y: str) -> Series:
    """Two columns."""
    return Series(label, numbers(table.column(x)), numbers(table.column(y)))


def bars(table: Table, name: str, x: str, labels: str, values: str, rows: int | None = None) -> Bars:
    """Two columns, up to the row of that number."""
    return Bars(
        name=name,
        x=x,
        labels=tuple(str(label).replace("`", "") for label in table.column(labels)[:rows]),
        values=numbers(table.column(values)[:rows]),
    )


def numbers(cells: Sequence[Cell]) -> tuple[float, ...]:
    """Raises ValueError if there is something else."""
    found = tuple(float(cell) for cell in cells if isinstance(cell, (int, float)))
    if len(found) != len(cells):
        raise ValueError(f"not all of {cells} are numbers")
    return found
