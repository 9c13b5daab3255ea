"""What the base image costs: its size, and the time to build it, boot it, and fork a booted process.

``measured`` runs this module as a program, since V8 must not be loaded in a process that measures others.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ImageCost:
    """Medians, times in milliseconds."""

    blob_bytes: int
    build: float
    """Making the image, with the search for what it refers to; once for each version."""
    boot: float
    """Restoring an isolate from it; once for each zygote, as the next."""
    warm: float
    fork: float
    """What a fork of the booted process keeps that process from going on."""
    first: float
    """From a fork to the end of the child that has run ``1 + 1``, without sandbox."""


def measured(rounds: int) -> ImageCost:
    """The costs here."""
    command = [sys.executable, "-m", "benchmarks.image", str(rounds)]
    ended = subprocess.run(command, capture_output=True, check=True, timeout=120)
    return ImageCost(**json.loads(ended.stdout))


def _measure(rounds: int) -> ImageCost:
    from engine.isolate import image, throwaway, worker
    from engine.isolate.executor import Executor
    from engine.isolate.wire import Run
    from engine.limits import Limits

    source = image.base_source()
    identity, program = image.engine_id(source, None), image.program_id()
    built, build = _timed(rounds, lambda: image.build(source, identity, program))

    def boot_and_warm() -> bytes:
        executor, boot = _timed(1, lambda: Executor(image.boot(built)))
        _, warm = _timed(1, lambda: worker.warm(executor))
        return json.dumps([boot, warm]).encode()

    booted = [json.loads(throwaway.run(boot_and_warm).output) for _ in range(rounds)]
    executor = Executor(image.boot(built))
    worker.warm(executor)
    run = Run(seq=1, code="1 + 1", limits=Limits(), start=0, seed=bytes(16))

    def execute() -> bytes:
        return executor.execute(run, lambda lines: None, time.sleep).digest

    _, first = _timed(5 * rounds, lambda: throwaway.run(execute))
    return ImageCost(
        blob_bytes=len(built.blob),
        build=build,
        boot=statistics.median(boot for boot, _ in booted),
        warm=statistics.median(warm for _, warm in booted),
        fork=statistics.median(_fork_ms() for _ in range(5 * rounds)),
        first=first,
    )


def _timed(times: int, function: Callable[[], T]) -> tuple[T, float]:
    """The last value, and the median of the milliseconds that it took."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        value = function()
        taken.append(time.perf_counter() - started)
    return value, statistics.median(taken) * 1_000


def _fork_ms() -> float:
    started = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    took = time.perf_counter() - started
    os.waitpid(pid, 0)
    return took * 1_000


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_measure(int(sys.argv[1])))))
