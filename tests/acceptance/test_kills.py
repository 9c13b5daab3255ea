"""Clients that count while the server is killed: what was answered stays, and nothing runs twice."""

from __future__ import annotations

import os
import random
import secrets
import signal
from pathlib import Path

import pytest
import trio
from counting import Load, check, sessions
from restarts import execute, restarting

from benchmarks.processes import all_stats, descendants

pytestmark = pytest.mark.own_zygote  # finds the server's processes

CLIENTS = 8
MAX_DELAY_SECONDS = 0.02
"""A kill comes up to that long after the acknowledgement that it was set for."""


async def kill_loop(directory: Path, *, kills: int, steps: int) -> None:
    """Kill the server ``kills`` times while clients take ``steps`` steps each, then check everything.

    The environment variable ``SEED`` repeats the choices of an earlier run.
    """
    seed = int(os.environ.get("SEED") or secrets.randbits(32))
    print(f"SEED={seed}")  # noqa: T201 (pytest shows it with a failure)
    chance = random.Random(seed)
    moments = sorted(chance.randrange(1, CLIENTS * steps) for _ in range(kills))
    load = Load()
    async with restarting(directory) as server:
        async with trio.open_nursery() as nursery:
            for n in range(CLIENTS):
                own = random.Random(chance.randrange(1 << 32))
                nursery.start_soon(load.count, server, own, f"client-{n}", lambda step: step < steps)
            for moment in moments:
                await load.acknowledged(moment)
                await trio.sleep(chance.random() * MAX_DELAY_SECONDS)
                await server.kill_and_restart()
        totals = {name: (await execute(server, session=name, code="n"))["result"] for name in sessions(load)}
        await server.stop()
    assert len(load.told) == CLIENTS * steps
    assert totals == {name: str(count) for name, count in sessions(load).items()}
    await check(directory, load)


async def test_what_was_acknowledged_survives_kills_and_nothing_runs_twice(tmp_path: Path) -> None:
    with trio.fail_after(240):
        await kill_loop(tmp_path, kills=3, steps=40)


@pytest.mark.torture
@pytest.mark.parametrize("turn", range(10))
async def test_what_was_acknowledged_survives_many_kills(tmp_path: Path, turn: int) -> None:
    with trio.fail_after(1_800):
        await kill_loop(tmp_path, kills=20 + turn, steps=150)


async def test_dead_workers_and_zygotes_under_load_cost_nothing(tmp_path: Path) -> None:
    load = Load()
    chance = random.Random(int(os.environ.get("SEED") or 1))
    steps, victims = 40, ["worker", "zygote", "worker", "worker"]
    with trio.fail_after(120):
        async with restarting(tmp_path) as server:
            async with trio.open_nursery() as nursery:
                for n in range(CLIENTS):
                    own = random.Random(chance.randrange(1 << 32))
                    nursery.start_soon(load.count, server, own, f"client-{n}", lambda step: step < steps)
                for turn, victim in enumerate(victims):
                    await load.acknowledged(CLIENTS * steps * (turn + 1) // (len(victims) + 1))
                    kill_one(server.process.process.pid, victim, chance)
            await server.stop()
        assert len(load.told) == CLIENTS * steps
        await check(tmp_path, load)


def kill_one(server: int, victim: str, chance: random.Random) -> None:
    """Kill the server's zygote, or one of its workers."""
    stats = all_stats()
    (zygote,) = [pid for pid, stat in stats.items() if stat.parent == server]
    workers = sorted(descendants(zygote, stats))
    os.kill(zygote if victim == "zygote" else chance.choice(workers), signal.SIGKILL)


async def test_sigterm_under_load_ends_well_and_loses_nothing(tmp_path: Path) -> None:
    load = Load()
    chance = random.Random(1)
    with trio.fail_after(120):
        async with restarting(tmp_path) as server, trio.open_nursery() as nursery:
            for n in range(CLIENTS):
                own = random.Random(chance.randrange(1 << 32))
                nursery.start_soon(load.count, server, own, f"client-{n}", lambda _step: True)
            await load.acknowledged(100)
            await server.stop()
            nursery.cancel_scope.cancel()
        await check(tmp_path, load)
