"""What an execution takes in the isolate by itself: no process is asked, nothing is sent.

``cpu_ms`` runs this module as a program, since V8 must not be loaded in a process that measures others.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

TIMES = 200
"""Executions of a round."""


def cpu_ms(code: str, rounds: int) -> float:
    """Milliseconds of CPU time of an execution in a warm isolate, the median of the rounds."""
    command = [sys.executable, "-m", "benchmarks.executing", code, str(rounds)]
    ended = subprocess.run(command, capture_output=True, check=True, timeout=120)
    value: float = json.loads(ended.stdout)
    return value


def _measure(code: str, rounds: int) -> float:
    from engine.isolate import image, worker
    from engine.isolate.executor import Executor
    from engine.isolate.wire import Run
    from engine.limits import Limits

    source = image.base_source()
    built = image.build(source, image.engine_id(source, None), image.program_id())
    executor = Executor(image.boot(built))
    worker.warm(executor)
    taken = []
    for _ in range(rounds + 1):  # the first one warms up
        began = time.process_time()
        for seq in range(1, TIMES + 1):
            run = Run(seq=seq, code=code, limits=Limits(), start=0, seed=bytes(16))
            executor.execute(run, lambda lines: None, time.sleep)
        taken.append((time.process_time() - began) * 1_000 / TIMES)
    return statistics.median(taken[1:])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(sys.argv[1], int(sys.argv[2]))))
