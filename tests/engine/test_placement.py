"""Where server and workers run."""

from __future__ import annotations

import os

import pytest

from engine import cgroup
from engine.placement import Placement, place, usable
from engine.workers import open_workers

pytestmark = pytest.mark.own_zygote


@pytest.mark.parametrize(
    ("available", "pin", "quota", "pinned"),
    [
        ({0}, None, None, False),
        ({0}, True, None, False),
        ({0, 1}, None, None, True),
        ({2, 5, 7}, None, None, True),
        ({0, 1, 2, 3}, None, None, False),
        ({0, 1, 2, 3}, True, None, True),
        ({0, 1}, False, None, False),
        ({0, 1}, None, 1.5, False),
        ({0, 1}, None, 2.0, True),
        ({0, 1}, True, 0.5, True),
        ({0, 1, 2, 3}, None, 2.0, False),
    ],
)
def test_the_server_gets_a_processor_of_its_own_where_there_are_few(available, pin, quota, pinned):
    placed = place(available, pin=pin, quota=quota)
    assert (placed is not None) == pinned
    if placed is not None:
        assert len(placed.server) == 1
        assert placed.server | placed.workers == available
        assert not placed.server & placed.workers


@pytest.mark.parametrize(("quota", "expected"), [(None, 4), (0.2, 1), (1.0, 1), (1.5, 2), (8.0, 4)])
def test_workers_use_no_more_processors_than_the_container_may(monkeypatch, quota, expected):
    monkeypatch.setattr(cgroup, "processors", lambda: quota)
    assert usable(Placement(server=frozenset({9}), workers=frozenset({0, 1, 2, 3}))) == expected


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
