"""Every kind of process is killed while sessions run and checkpoints are made: no state is ever another one."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import signal
from pathlib import Path

import pytest
import trio
from restarts import RestartingServer, execute, restarting
from test_kills import CLIENTS, MAX_DELAY_SECONDS, Load, check, sessions

from persistence.directory_blobs import FOLDER

CHECKPOINT_EACH = ("--restore-target", "0")
KINDS = {"worker": 5, "copy": 5, "zygote": 1, "server": 1}
"""What is killed, and how often. Workers are those of sessions, spare ones, and those that try snapshots."""


def children(pid: int) -> list[int]:
    """Processes that it has started and that have not ended."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def found(server: int, kind: str) -> list[int]:
    """The processes of that kind now."""
    zygotes = children(server)
    workers = [worker for zygote in zygotes for worker in children(zygote)]
    match kind:
        case "zygote":
            return zygotes
        case "worker":
            return workers
        case _:
            return [copy for worker in workers for copy in children(worker)]


async def kill_one(server: RestartingServer, kind: str, chance: random.Random) -> None:
    """Kill one process of that kind, as soon as there is one."""
    if kind == "server":
        await server.kill_and_restart()
        return
    while not (pids := found(server.process.process.pid, kind)):
        await trio.lowlevel.checkpoint()
    try:
        os.kill(chance.choice(pids), signal.SIGKILL)
    except ProcessLookupError:
        return  # it has ended by itself meanwhile


async def storm(directory: Path, *, rounds: int) -> None:
    """Kill one process a round while clients count, then check everything, from the checkpoints and without.

    The environment variable ``SEED`` repeats the choices of an earlier run.
    """
    seed = int(os.environ.get("SEED") or secrets.randbits(32))
    print(f"SEED={seed}")  # noqa: T201 (pytest shows it with a failure)
    chance = random.Random(seed)
    load, over = Load(), trio.Event()
    kinds = chance.choices(list(KINDS), list(KINDS.values()), k=rounds)
    async with restarting(directory, *CHECKPOINT_EACH) as server:
        async with trio.open_nursery() as nursery:
            for n in range(CLIENTS):
                own = random.Random(chance.randrange(1 << 32))
                nursery.start_soon(load.count, server, own, f"client-{n}", lambda _step: not over.is_set())
            for before, kind in zip(["server", *kinds], kinds, strict=False):
                # A zygote is left in peace until it is up: a server ends when six in a row do not come up.
                more = 2 * CLIENTS if before == "zygote" else chance.randrange(1, CLIENTS)
                await load.acknowledged(len(load.told) + more)
                await trio.sleep(chance.random() * MAX_DELAY_SECONDS)
                await kill_one(server, kind, chance)
            over.set()
        expected = {name: str(count) for name, count in sessions(load).items()}
        assert await counted(server, expected) == expected
        await server.stop()
        await check(directory, load)
        await server.start()
        assert await counted(server, expected) == expected  # from the last checkpoints
        await server.stop()
        await trio.to_thread.run_sync(shutil.rmtree, directory / FOLDER)
        await server.start()
        assert await counted(server, expected) == expected  # from the first event
        await server.stop()


async def counted(server: RestartingServer, names: dict[str, str]) -> dict[str, str]:
    """What each session answers."""
    return {name: (await execute(server, session=name, code="n"))["result"] for name in names}


async def test_no_kill_of_any_process_costs_an_acknowledged_execution(tmp_path: Path) -> None:
    with trio.fail_after(240):
        await storm(tmp_path, rounds=25)


@pytest.mark.torture
@pytest.mark.parametrize("rounds", [100] * 10)
async def test_no_kill_of_a_thousand_costs_an_acknowledged_execution(tmp_path: Path, rounds: int) -> None:
    with trio.fail_after(1_800):
        await storm(tmp_path, rounds=rounds)
