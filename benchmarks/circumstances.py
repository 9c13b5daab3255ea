"""Where and with what is measured: the machine, without names, and the versions that matter."""

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

from benchmarks.results import Machine, Run

PACKAGES = ("mcp-v8", "mini-racer", "trio", "quart-trio", "hypercorn")


def now(rounds: int, seconds: float) -> Run:
    """Those of a run that begins now, of so many rounds of so many seconds."""
    machine = Machine(
        cores=os.cpu_count() or 1,
        processor=processor(),
        system=f"Linux {platform.release()} {platform.machine()}",
        file_system=file_system(),
        sync_ms=round(sync_ms(), 3),
    )
    today = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    return Run(date=today, machine=machine, versions=versions(), seconds=seconds, rounds=rounds)


def processor() -> str:
    """The processor's name, or "an unknown processor"."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "an unknown processor"


def file_system() -> str:
    """The kind of file system that the stores are on."""
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


def versions() -> dict[str, str]:
    """By name."""
    named = {"Python": platform.python_version()}
    named |= {name: importlib.metadata.version(name) for name in PACKAGES}
    node = shutil.which("node")
    if node:
        version = subprocess.run([node, "--version"], capture_output=True, check=True, text=True).stdout
        named["Node.js"] = version.strip().removeprefix("v")
    return named
