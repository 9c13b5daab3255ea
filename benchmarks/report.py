"""The whole report: what was measured, beside what was promised."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks import measure
from benchmarks.figures import Figure, table
from benchmarks.image import ImageCost
from benchmarks.load import percentile
from benchmarks.measure import HotLoop, Sample, Scenario
from benchmarks.processes import Memory

PACKAGES = ("mcp-v8", "mini-racer", "trio", "quart-trio", "hypercorn")
ENOUGH_FOR_P999 = 2_000
SCENARIO_HEADS = ["scenario", "clients", "requests/s", "of no-op", "p50 ms", "p99 ms", "p99.9 ms"]
SCENARIO_HEADS += ["CPU ms: server", "zygote", "workers"]


def figures(samples: dict[Scenario, list[Sample]], memory: Memory | None, loop: HotLoop) -> list[Figure]:
    """The figures that have a target."""
    warm, new = samples[measure.DURABLE_ONE], samples[measure.NEW_SESSION]
    private = None if memory is None else memory.private / 1024
    relative = None if loop.node is None else loop.here / loop.node
    many = measure.ratio(samples[measure.DURABLE_MANY], samples[measure.NOOP_MANY])
    return [
        Figure("durable executions, 32 clients: rate relative to the no-op", many, "", 0.8, at_least=True),
        Figure("warm `1 + 1`, one client: p50", statistics.median(s.p50 for s in warm), " ms", 4),
        Figure("warm `1 + 1`, one client: p99", statistics.median(s.p99 for s in warm), " ms", 15),
        Figure("first answer of a new session: p50", statistics.median(s.p50 for s in new), " ms", 12),
        Figure("private memory of an idle live session", private, " MiB", 3),
        Figure("numeric hot loop: time relative to Node.js", relative, "", 1.3),
    ]


def document(*sections: list[str]) -> str:
    """The whole report, Markdown that reads well as plain text."""
    head = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, {machine()}; {versions()}."
    lines = ["# Benchmark results", "", head, ""]
    return "\n".join([*lines, *(line for section in sections for line in section)])


def executions(
    samples: dict[Scenario, list[Sample]],
    memory: Memory | None,
    loop: HotLoop,
    cost: ImageCost,
    *,
    seconds: float,
) -> list[str]:
    """The section on executions and the base image."""
    count = len(samples[measure.NOOP_MANY])
    promised = [figure.row() for figure in figures(samples, memory, loop)]
    measured = [scenario_row(scenario, samples) for scenario in samples]
    return [
        table(["figure", "measured", "target", "met"], promised),
        "",
        table(SCENARIO_HEADS, measured),
        "",
        legend(count, seconds),
        "",
        table(["base image", "measured"], image_rows(cost)),
        "",
        memory_line(memory),
        loop_line(loop),
        "",
    ]


def legend(count: int, seconds: float) -> str:
    """How the table is to be read."""
    return (
        f"Medians of {count} rounds of {seconds:g} s each, every scenario once a round, closed loop; p99.9 "
        "over all rounds together, where there were enough requests. CPU is per request. The no-op is a "
        "stock Quart-Trio application on stock Hypercorn that answers the same requests with a constant."
    )


def scenario_row(scenario: Scenario, samples: dict[Scenario, list[Sample]]) -> list[str]:
    """One scenario as a row of the table."""
    taken = samples[scenario]
    clients = len(scenario.requests)
    yardstick = measure.NOOP_ONE if clients == 1 else measure.NOOP_MANY
    everything = [latency for sample in taken for latency in sample.latencies_us]
    p999 = f"{percentile(everything, 0.999):.1f}" if len(everything) >= ENOUGH_FOR_P999 else "–"
    return [
        scenario.name,
        str(clients),
        f"{statistics.median(s.per_second for s in taken):,.0f}",
        f"{measure.ratio(taken, samples[yardstick]):.2f}",
        f"{statistics.median(s.p50 for s in taken):.2f}",
        f"{statistics.median(s.p99 for s in taken):.2f}",
        p999,
        f"{statistics.median(s.cpu.server for s in taken):.2f}",
        f"{statistics.median(s.cpu.zygote for s in taken):.2f}",
        f"{statistics.median(s.cpu.workers for s in taken):.2f}",
    ]


def image_rows(cost: ImageCost) -> list[list[str]]:
    """What the base image costs, as rows of a table."""
    return [
        ["size", f"{cost.blob_bytes / 1024:,.0f} KiB"],
        ["build, once for each version", f"{cost.build:.0f} ms"],
        ["boot, once for each zygote", f"{cost.boot:.1f} ms"],
        ["warm-up, once for each zygote", f"{cost.warm:.1f} ms"],
        ["pause of the zygote for a fork", f"{cost.fork:.2f} ms"],
        ["fork, `1 + 1` and the child's end", f"{cost.first:.1f} ms"],
    ]


def memory_line(memory: Memory | None) -> str:
    """What an idle session takes, in a sentence."""
    if memory is None:
        return "Memory of the workers could not be read: run as root."
    return (
        f"An idle live session takes {memory.private:,} KiB of private memory "
        f"({memory.proportional:,} KiB of PSS)."
    )


def loop_line(loop: HotLoop) -> str:
    """How fast the loop was, in a sentence."""
    beside = "there is no Node.js here" if loop.node is None else f"{loop.node:.0f} ms in Node.js"
    return f"The hot loop took {loop.here:.0f} ms in a session, {beside}."


def machine() -> str:
    """The machine, without names."""
    return (
        f"{os.cpu_count()} cores of {cpu_model()}, Linux {platform.release()} {platform.machine()}, "
        f"{file_system()} ({sync_ms():.2f} ms a sync)"
    )


def cpu_model() -> str:
    """The processor's name, or "an unknown processor"."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "an unknown processor"


def file_system() -> str:
    """The kind of file system that the stores were on."""
    folder = tempfile.gettempdir()
    stat = ["stat", "--file-system", "--format=%T", folder]
    return subprocess.run(stat, capture_output=True, check=True, text=True).stdout.strip()


def sync_ms() -> float:
    """The median time of writing 4 KiB and syncing them, there."""
    times = []
    with tempfile.TemporaryFile() as file:
        for _ in range(50):
            started = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - started)
    return statistics.median(times) * 1_000


def versions() -> str:
    """The versions that matter for the figures."""
    named = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    node = shutil.which("node")
    if node:
        version = subprocess.run([node, "--version"], capture_output=True, check=True, text=True).stdout
        named.append(f"Node.js {version.strip().removeprefix('v')}")
    return f"Python {platform.python_version()}, {', '.join(named)}"
