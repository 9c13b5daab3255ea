"""The section on executions: what was measured, beside what was promised, and what the base image costs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import image, loops, measure
from benchmarks.figures import ROOT_ONLY, Cell, Column, Figure, Figures, Part, Table, Text, columns
from benchmarks.image import ImageCost
from benchmarks.load import percentile
from benchmarks.loops import NUMERIC, Loop
from benchmarks.measure import Sample, Scenario
from benchmarks.processes import Memory, mcp_v8, noop_server

TITLE = "Executions"
ENOUGH_FOR_P999 = 2_000
SCENARIO_COLUMNS: tuple[Column, ...] = columns(
    "scenario", "clients", "requests|/s", "of no-op", "p50|ms", "p99|ms", "p99.9|ms"
) + columns("server CPU|ms", "zygote|ms", "workers|ms")
LOOPS = (
    "Best of some times each, in turns; all came to the same values. Node.js collects garbage on other "
    "processors meanwhile; a session's process has one thread, as Node.js has with `--single-threaded`."
)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All of the section."""

    rounds: int
    seconds: float
    samples: dict[Scenario, list[Sample]]
    memory: Memory | None
    loops: list[Loop]
    cost: ImageCost


def measured(folder: Path, rounds: int, seconds: float) -> Measured:
    """Measure all of it, with stores in ``folder``."""
    with (
        noop_server() as noop,
        noop_server("raw") as raw,
        mcp_v8("--directory-path", str(folder / "durable")) as durable,
        mcp_v8("--stateless") as stateless,
        mcp_v8("--stateless", "--stateless-isolation", "context") as contexts,
    ):
        servers = {
            "noop": noop,
            "raw": raw,
            "durable": durable,
            "stateless": stateless,
            "contexts": contexts,
        }
        samples = measure.rounds(servers, measure.SCENARIOS, rounds, seconds)
        timed = loops.measured(durable, times=2 * rounds)
    return Measured(
        rounds=rounds,
        seconds=seconds,
        samples=samples,
        memory=measure.idle_session_memory(str(folder / "idle"), sessions=10 * rounds),
        loops=timed,
        cost=image.measured(rounds),
    )


def parts(found: Measured) -> tuple[Part, ...]:
    """Its figures."""
    return (
        Figures("promised", "figure", figures(found)),
        scenarios(found.samples),
        Text(legend(found.rounds, found.seconds)),
        loops_table(found.loops),
        Text(LOOPS),
        image_figures(found.cost),
        *memory_parts(found.memory),
    )


def figures(found: Measured) -> tuple[Figure, ...]:
    """The figures that have a target."""
    samples, memory = found.samples, found.memory
    warm, new = samples[measure.DURABLE_ONE], samples[measure.NEW_SESSION]
    private = None if memory is None else memory.private / 1024
    (numeric,) = (loop for loop in found.loops if loop.name == NUMERIC)
    many = measure.ratio(samples[measure.DURABLE_MANY], samples[measure.NOOP_MANY])
    raw = measure.ratio(samples[measure.DURABLE_MANY], samples[measure.NOOP_RAW])
    stateless = measure.ratio(samples[measure.STATELESS_MANY], samples[measure.NOOP_MANY])
    return (
        Figure("durable executions, 32 clients: rate relative to the no-op", many, "", 0.8, at_least=True),
        Figure("the same relative to the no-op without Quart", raw, "", 1.0, at_least=True),
        Figure(
            "stateless executions, 32 clients: rate relative to the no-op", stateless, "", 0.4, at_least=True
        ),
        Figure("warm `1 + 1`, one client: p50", statistics.median(s.p50 for s in warm), "ms", 4),
        Figure("warm `1 + 1`, one client: p99", statistics.median(s.p99 for s in warm), "ms", 15),
        Figure("first answer of a new session: p50", statistics.median(s.p50 for s in new), "ms", 12),
        Figure("private memory of an idle live session", private, "MiB", 3),
        Figure("numeric hot loop: time relative to Node.js", numeric.relative, "", 1.3),
    )


def legend(count: int, seconds: float) -> str:
    """How the table is to be read."""
    return (
        f"Medians of {count} rounds of {seconds:g} s each, every scenario once a round, closed loop; p99.9 "
        "over all rounds together, where there were enough requests. CPU is per request. The no-op is a "
        "stock Quart-Trio application on stock Hypercorn that answers the same requests with a constant; "
        "without Quart it is an ASGI application there."
    )


def scenarios(samples: dict[Scenario, list[Sample]]) -> Table:
    """All scenarios, the first of one client and the first of many being the yardsticks."""
    rows = tuple(scenario_row(scenario, samples) for scenario in samples)
    return Table("scenarios", SCENARIO_COLUMNS, rows)


def scenario_row(scenario: Scenario, samples: dict[Scenario, list[Sample]]) -> tuple[Cell, ...]:
    """One scenario as a row of the table."""
    taken = samples[scenario]
    clients = len(scenario.requests)
    yardstick = measure.NOOP_ONE if clients == 1 else measure.NOOP_MANY
    everything = [latency for sample in taken for latency in sample.latencies_us]
    return (
        scenario.name,
        clients,
        statistics.median(s.per_second for s in taken),
        measure.ratio(taken, samples[yardstick]),
        statistics.median(s.p50 for s in taken),
        statistics.median(s.p99 for s in taken),
        percentile(everything, 0.999) if len(everything) >= ENOUGH_FOR_P999 else None,
        statistics.median(s.cpu.server for s in taken),
        statistics.median(s.cpu.zygote for s in taken),
        statistics.median(s.cpu.workers for s in taken),
    )


def loops_table(timed: Sequence[Loop]) -> Table:
    """The hot loops."""
    heads = columns("hot loop", "in a session|ms", "in Node.js|ms", "relative", "Node.js, one thread|ms")
    rows = ((loop.name, loop.here, loop.node, loop.relative, loop.node_alone) for loop in timed)
    return Table("loops", heads, tuple(rows))


def image_figures(cost: ImageCost) -> Figures:
    """What the base image costs."""
    return Figures(
        "base image",
        "base image",
        (
            Figure("size", cost.blob_bytes / 1024, "KiB"),
            Figure("build, once for each version", cost.build, "ms"),
            Figure("boot, once for each zygote", cost.boot, "ms"),
            Figure("warm-up, once for each zygote", cost.warm, "ms"),
            Figure("pause of the zygote for a fork", cost.fork, "ms"),
            Figure("fork, `1 + 1` and the child's end", cost.first, "ms"),
        ),
    )


def memory_parts(memory: Memory | None) -> tuple[Part, ...]:
    """What an idle session takes."""
    if memory is None:
        return (ROOT_ONLY,)
    return (
        Figures(
            "idle memory",
            "an idle live session",
            (
                Figure("private memory", float(memory.private), "KiB"),
                Figure("PSS", float(memory.proportional), "KiB"),
            ),
        ),
    )
