"""Every kind of process is killed while sessions run and checkpoints are made: no state is ever another one."""

from __future__ import annotations

import contextlib
import math
import os
import random
import secrets
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from counting import Load, check, sessions
from engines import Engine, opened
from restarts import OWNER, RestartingServer, execute, restarting
from test_kills import CLIENTS, MAX_DELAY_SECONDS

from cli import environment
from engine.isolate.wire import Look, Seen
from engine.recovery import Recovery
from engine.session import ForkPoint
from engine.workers import Worker
from persistence.directory_blobs import FOLDER

pytestmark = pytest.mark.own_zygote  # finds the server's processes

CHECKPOINT_EACH = ("--restore-target", "0")
CODE = """
globalThis.next ??= ((k) => () => ++k)(0);
globalThis.kept ??= new Map();
kept.set(next(), { before: [...kept.keys()].at(-1) ?? 0 });
kept.size
"""
SHOW = "[...kept].every(([k, { before }], i) => k === i + 1 && before === i) && kept.size"
KINDS = {"worker": 4, "copy": 5, "trial": 4, "zygote": 1, "server": 1}
"""What is killed, and how often. Workers are those of sessions, spare ones, and those that try snapshots."""
MAX_ZYGOTES = 4
"""A server ends itself when six of its zygotes have died, each of them soon."""
ROUNDS = int(os.environ.get("ROUNDS") or 1_000)
"""Kills of the long version."""
ROUNDS_OF_A_STORM = 100
SECONDS_OF_A_ROUND = 15
TRIAL_SECONDS = 0.2
"""A trial begins that soon after the copy has ended, if there is one."""
MAX_TRIES = 20
TRIAL_KILLED = "the snapshot was not tried to the end"


def children(pid: int) -> list[int]:
    """Processes that it has started and that have not ended, oldest first."""
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


def run_time(pid: int) -> int:
    """How long it has run, in nanoseconds; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        return 0


async def trying(server: int) -> list[int]:
    """The worker that tries a snapshot, by what can be seen of it: it did nothing as long as a copy was there, and
    begins to when that has ended. Any worker if none does so time and again.
    """
    for _ in range(MAX_TRIES):
        while not (copies := found(server, "copy")):
            await trio.lowlevel.checkpoint()
        resting = {worker: run_time(worker) for worker in found(server, "worker")}
        while copies[0] in found(server, "copy"):
            resting = {worker: took for worker, took in resting.items() if run_time(worker) == took}
            await trio.lowlevel.checkpoint()
        with trio.move_on_after(TRIAL_SECONDS):
            while True:
                for worker, took in resting.items():
                    if run_time(worker) > took:
                        return [worker]
                await trio.lowlevel.checkpoint()
    return found(server, "worker")


async def kill_one(server: RestartingServer, kind: str, chance: random.Random) -> None:
    """Kill one process of that kind, as soon as there is one."""
    pid, delay = server.process.process.pid, 0.0
    match kind:
        case "server":
            await server.kill_and_restart()
            return
        case "trial":
            pids = await trying(pid)
        case _:
            while not (pids := found(pid, kind)):
                await trio.lowlevel.checkpoint()
            delay = chance.random() * MAX_DELAY_SECONDS if kind == "copy" else 0.0
    await trio.sleep(delay)  # a copy is killed as far as it has come by then
    with contextlib.suppress(ProcessLookupError, IndexError):  # it has ended by itself meanwhile
        os.kill(chance.choice(pids), signal.SIGKILL)


def planned(chance: random.Random, rounds: int) -> list[str]:
    """What to kill in each round; everything at least once if there are rounds enough."""
    kinds = chance.sample(list(KINDS), len(KINDS))
    kinds += chance.choices(list(KINDS), list(KINDS.values()), k=max(0, rounds - len(KINDS)))
    zygotes = 0
    for number, kind in enumerate(kinds):
        if kind == "zygote" and zygotes == MAX_ZYGOTES:
            kinds[number] = "server"
        zygotes = 0 if kinds[number] == "server" else zygotes + (kind == "zygote")
    return kinds[:rounds]


async def storm(directory: Path, *, rounds: int, turn: int = 0) -> None:
    """Kill one process a round while clients count, then check everything, from the checkpoints and without.

    The environment variable ``SEED`` repeats the choices of an earlier run.
    """
    seed = int(os.environ["SEED"]) if os.environ.get("SEED") else secrets.randbits(32)
    print(f"SEED={seed}, turn {turn}")  # noqa: T201 (pytest shows it with a failure)
    chance = random.Random(f"{seed}-{turn}")
    load, over = Load(CODE), trio.Event()
    kinds = planned(chance, rounds)
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
        usable = await check_checkpoints(directory)
        assert usable > 0
        await server.start()
        assert await counted(server, expected) == expected  # from the last checkpoints
        await server.stop()
        await trio.to_thread.run_sync(shutil.rmtree, directory / FOLDER)
        await server.start()
        assert await counted(server, expected) == expected  # from the first event
        await server.stop()
    print(  # noqa: T201
        f"{rounds} kills: {len(load.told)} executions acknowledged, {usable} checkpoints at the end, "
        f"{server.log.count(TRIAL_KILLED)} trials killed"
    )
    assert "Traceback" not in server.log


async def counted(server: RestartingServer, names: dict[str, str]) -> dict[str, str]:
    """What each session answers."""
    return {name: (await execute(server, session=name, code=SHOW))["result"] for name in names}


async def check_checkpoints(directory: Path) -> int:
    """Every checkpoint that a log knows holds the state that a replay from the first event comes to.

    How many there are.
    """
    count = 0
    async with opened(directory, environment.cache_directory()) as engine:
        for row in (await engine.log.sessions(OWNER, limit=100)).items:
            known = await engine.log.checkpoints(row.session)
            if not known:
                continue
            points = [ForkPoint(row.session, one.seq, one.state) for one in known]
            assert [await from_checkpoint(engine, point) for point in points] == await replayed(
                engine, points
            )
            count += len(known)
    return count


async def from_checkpoint(engine: Engine, point: ForkPoint) -> Seen:
    """The variables of a state of which there is a checkpoint: nothing is to be replayed."""
    with engine.supervisor.scheduler.work("replay", OWNER, "any") as work:
        sessions = engine.supervisor._sessions
        recovery = Recovery(engine.log, sessions.blobs, sessions.image_id, work)
        worker = await recovery.restore(point, engine.supervisor._workers.acquire)
    try:
        assert (recovery.checkpoint, recovery.replayed) == (point.seq, 0)
        return await worker.look(Look())
    finally:
        await worker.aclose()


async def replayed(engine: Engine, points: Sequence[ForkPoint]) -> list[Seen]:
    """The variables of states, newest first, on the way of one replay from the first event."""
    seen: dict[int, Seen] = {}
    wanted = {point.seq for point in points}

    async def look(worker: Worker, point: ForkPoint | None) -> None:
        assert point is not None
        if point.seq in wanted:
            seen[point.seq] = await worker.look(Look())

    with engine.supervisor.scheduler.work("replay", OWNER, "any") as work:
        recovery = Recovery(engine.log, None, engine.supervisor.engine_id, work, between=look)
        worker = await recovery.restore(points[0], engine.supervisor._workers.acquire)
    await worker.aclose()
    return [seen[point.seq] for point in points]


async def test_no_kill_of_any_process_costs_an_acknowledged_execution(tmp_path: Path) -> None:
    with trio.fail_after(240):
        await storm(tmp_path, rounds=8)


@pytest.mark.torture
@pytest.mark.parametrize("turn", range(math.ceil(ROUNDS / ROUNDS_OF_A_STORM)))
async def test_no_kill_of_a_thousand_costs_an_acknowledged_execution(tmp_path: Path, turn: int) -> None:
    """The environment variable ``ROUNDS`` gives another number."""
    rounds = min(ROUNDS_OF_A_STORM, ROUNDS - turn * ROUNDS_OF_A_STORM)
    with trio.fail_after(240 + SECONDS_OF_A_ROUND * rounds):
        await storm(tmp_path, rounds=rounds, turn=turn)
