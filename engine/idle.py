"""Workers that are asked nothing have nothing to do: one that computes all the same is not ours any more.

Whoever has got hold of a worker could answer like an honest one, and then use a processor for as long as the
session is awake, which is no work that the scheduler knows of.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final, NoReturn

import trio

from engine.worker import Worker

LOOK_SECONDS: Final = 1.0
"""Between two looks at all workers, about 1 µs for each."""
MOST_NS: Final = 50_000_000
"""CPU time that a worker may use between two looks while it is asked nothing: far more than none."""

_log = logging.getLogger(__name__)


async def watch(workers: Callable[[], Iterable[Worker]]) -> NoReturn:
    """Kill such workers, for ever. Their sessions go on in others, in the state that is recorded."""
    seen: dict[Worker, tuple[int, int]] = {}
    while True:
        await trio.sleep(LOOK_SECONDS)
        before, seen = seen, {}
        for worker in workers():
            used = worker.cpu_ns() if worker.is_free else None
            if used is None:
                continue
            asked, then = before.get(worker, (worker.asked, used))
            if asked == worker.asked and used - then > MOST_NS:
                _log.warning("worker %d computes while it is asked nothing: it is ended", worker.number)
                worker.kill()
            seen[worker] = worker.asked, used
