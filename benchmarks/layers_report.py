"""The section on layers: where the CPU time of an execution goes."""

from __future__ import annotations

from benchmarks.figures import Cell, Part, Table, Text, columns
from benchmarks.layers import Layers
from benchmarks.measure import CLIENTS

TITLE = "Where the time goes"
LEGEND = (
    f"CPU time of a durable execution over REST, {CLIENTS} clients with a session each. Each layer is a "
    "difference of two measurements: a whole server, a server that does nothing on the same connections, an "
    "engine in a process without HTTP, its log alone, its workers alone, and the isolate alone. What a layer "
    "takes when it is used by itself may be more than among the others: a log alone makes smaller commits."
)


def parts(found: Layers) -> tuple[Part, ...]:
    """Its figures."""
    by_layer = layers(found)
    total = sum(by_layer.values())
    over_mcp = {
        "MCP without a session, in place of REST": found.mcp,
        "MCP in a session of its own": found.mcp_session,
    }
    return (
        Table(
            "layers",
            columns("layer", "CPU|ms", "of all|%"),
            (
                *((layer, took, 100 * took / total) for layer, took in by_layer.items()),
                ("all of it", total, 100.0),
            ),
        ),
        Table(
            "mcp",
            columns("beyond that", "CPU|ms", "of REST's|%"),
            tuple(more(what, cpu.server - found.rest.server, total) for what, cpu in over_mcp.items()),
        ),
        Text(LEGEND),
    )


def layers(found: Layers) -> dict[str, float]:
    """Milliseconds of each layer of an execution over REST; their sum is what a whole server takes."""
    return {
        "HTTP: connection, parser, answer": found.bare.server,
        "REST: gate, checks, JSON, metrics": found.rest.server - found.bare.server - found.engine.server,
        "actor: mailbox, session, processors": (found.engine.server - found.log.server - found.worker.server),
        "log: encoding, hash, commit": found.log.server,
        "wire: messages to the worker": found.worker.server,
        "worker: messages to the server": found.rest.workers - found.isolate,
        "V8: compiling, running, inspecting": found.isolate,
    }


def more(what: str, cpu: float, total: float) -> tuple[Cell, ...]:
    """What is used beyond REST, as a row of a table."""
    return what, cpu, 100 * cpu / total
