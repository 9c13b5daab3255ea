"""A writer that is killed in the middle of its work has lost nothing that it acknowledged."""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from log_samples import collect, faults_of

from persistence.sqlite import open_sqlite_log

SESSIONS = 8

WRITER = f"""
import os, random, sys, trio
from pathlib import Path
from log_samples import History
from persistence.sqlite import open_sqlite_log

async def fill(log, session, chance):
    history = History(session)
    await log.append([history.created()])
    while True:
        first = history.executed(code="x" * chance.randrange(5_000))
        records = [first, *(history.executed() for _ in range(chance.randrange(3)))]
        await log.append(records)
        os.write(1, "".join(r.id.hex() + "\\n" for r in records).encode())

async def main():
    async with open_sqlite_log(Path(sys.argv[1])) as log, trio.open_nursery() as nursery:
        for n in range({SESSIONS}):
            nursery.start_soon(fill, log, f"s{{n}}", random.Random(int(sys.argv[2]) + n))

trio.run(main)
"""


async def kill_after(directory: Path, seed: int, acknowledged: int) -> set[str]:
    """Kill a writer once it has acknowledged so many events; the ids that it acknowledged."""
    command = [sys.executable, "-c", WRITER, str(directory), str(seed)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    writer = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, env=environment)
    assert writer.stdout is not None
    told = b""
    try:
        while told.count(b"\n") < acknowledged:
            chunk = await writer.stdout.receive_some()
            assert chunk, "the writer ended by itself"
            told += chunk
    finally:
        writer.kill()
        with trio.CancelScope(shield=True):
            await writer.wait()
    async with writer.stdout:
        async for chunk in writer.stdout:
            told += chunk
    return set(told.decode().rpartition("\n")[0].split("\n"))


async def check(directory: Path, seed: int) -> None:
    told: set[str] = set()
    with trio.fail_after(60):
        told = await kill_after(directory, seed, random.Random(seed).randrange(50, 1_500))
        async with open_sqlite_log(directory) as log:
            assert await faults_of(log) == [], f"seed {seed}"
            found = {r.id.hex() for n in range(SESSIONS) for r in await collect(log.read(f"s{n}"))}
    assert not told - found, f"seed {seed}: acknowledged events are lost"
    unacknowledged = len(found) - len(told)
    assert unacknowledged <= SESSIONS * 4, f"seed {seed}: {unacknowledged} events nobody asked for"


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_every_acknowledged_event_survives_kill_9(directory: Path, seed: int) -> None:
    await check(directory, seed)


@pytest.mark.torture
async def test_every_acknowledged_event_survives_many_kills(tmp_path: Path) -> None:
    for _ in range(40):
        seed = secrets.randbits(32)
        await check(tmp_path / str(seed), seed)
