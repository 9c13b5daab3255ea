"""Where server and workers run."""

from __future__ import annotations

import os

import pytest

from engine.placement import Placement, place
from engine.workers import open_workers


@pytest.mark.parametrize(
    ("available", "pin", "pinned"),
    [
        ({0}, None, False),
        ({0}, True, False),
        ({0, 1}, None, True),
        ({2, 5, 7}, None, True),
        ({0, 1, 2, 3}, None, False),
        ({0, 1, 2, 3}, True, True),
        ({0, 1}, False, False),
    ],
)
def test_the_server_gets_a_processor_of_its_own_where_there_are_few(available, pin, pinned):
    placed = place(available, pin=pin)
    assert (placed is not None) == pinned
    if placed is not None:
        assert len(placed.server) == 1
        assert placed.server | placed.workers == available
        assert not placed.server & placed.workers


async def test_workers_run_on_their_processors_and_the_server_stays_where_it_is(cache_dir):
    available = os.sched_getaffinity(0)
    one = frozenset({max(available)})
    placement = Placement(server=frozenset(available), workers=one)
    async with open_workers(cache_dir=cache_dir, data_budget_mb=512, placement=placement) as workers:
        worker = await workers.acquire()
        assert os.sched_getaffinity(worker.pid) == one
        assert os.sched_getaffinity(workers.zygote_pid) == available
        await worker.aclose()
    assert os.sched_getaffinity(0) == available
