"""Honest and hostile load together, for long: nothing grows, and no acknowledgement is lost.

The environment variables ``SEED`` and ``SOAK_SECONDS`` repeat the choices of an earlier run, and set how long
the long one takes.
"""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import httpx2
import pytest
import trio
from attacks import KINDS
from attacks.script import Script
from footprint import footprint
from judging import COUNT, WAIT, Json, execute, judge, told
from msgspec import Struct
from restarts import RestartingServer, executions, recorded, restarting

HONEST, HOSTILE = 4, 2
"""Clients at once."""
QUICK_SECONDS, QUICK_SAMPLES = 6.0, 6
LONG_SECONDS, LONG_SAMPLES = 1_800.0, 360
RESEND_CHANCE, FORK_CHANCE, DELETE_CHANCE, LOOK_CHANCE = 0.1, 0.05, 0.02, 0.05

# How much higher the median of the last third of the samples may be than that of the middle third: the first
# is warming up. Processes and descriptors come and go with what runs; a leak of one a minute would show.
MEMORY_MIB, DESCRIPTORS, PROCESSES, SESSIONS = 8.0, 8, 3, 3


class Sample(Struct, frozen=True):
    """What the server took at one moment."""

    memory_mib: float
    descriptors: int
    processes: int
    sessions: int


class Counter:
    """A client with a session that counts: it knows what each of its calls must come to."""

    def __init__(self, asking: httpx2.AsyncClient, name: str, chance: random.Random) -> None:
        self._asking, self.session, self._chance = asking, name, chance
        self.count = 0
        """What the session was last told to be at."""
        self.acknowledged: dict[str, int] = {}
        """Executions of the session as it is now, by id: what they came to."""
        self.steps = 0
        """How often it counted, in all sessions of that name."""

    async def count_until(self, over: trio.Event) -> None:
        """Count up, and now and then do something else, too."""
        while not over.is_set():
            await self._step()

    async def _step(self) -> None:
        self.steps += 1
        key = f"{self.session}-{self.steps}"
        answer = await self._send(key)
        self.count += 1
        assert (answer["status"], answer["result"]) == ("completed", str(self.count)), answer
        self.acknowledged[answer["execution_id"]] = self.count
        if self._chance.random() < RESEND_CHANCE:
            assert await self._send(key) == answer
        if self._chance.random() < LOOK_CHANCE:
            state = told(await self._asking.get(f"/api/sessions/{self.session}/state"))
            assert str(self.count) in [one["preview"] for one in state["globals"] if one["name"] == "n"]
        if self._chance.random() < FORK_CHANCE:
            await self._fork(answer["event"])
        if self._chance.random() < DELETE_CHANCE:
            told(await self._asking.delete(f"/api/sessions/{self.session}"))
            self.count, self.acknowledged = 0, {}

    async def _send(self, key: str) -> Json:
        return await execute(self._asking, self.session, COUNT, idempotency_key=key)

    async def _fork(self, event: int) -> None:
        """Count in a fork of a state of the past, and leave nothing of it."""
        back = self._chance.randrange(min(self.count, 20))
        name = f"{self.session}-fork-{self.steps}"
        body = {"event": event - back, "name": name}
        told(await self._asking.post(f"/api/sessions/{self.session}/fork", json=body), 201)
        answer = await execute(self._asking, name, COUNT)
        assert answer["result"] == str(self.count - back + 1), answer
        told(await self._asking.delete(f"/api/sessions/{name}"))


async def be_hostile(
    asking: httpx2.AsyncClient, name: str, scripts: Sequence[tuple[str, Script]], chance: random.Random
) -> None:
    """Run any of the scripts, one after the other."""
    number = 0
    while True:
        number += 1
        title, script = chance.choice(scripts)
        complaint = await judge(asking, f"{name}-{number}", script)
        assert complaint is None, f"{title}: {complaint}"


async def sample(asking: httpx2.AsyncClient, server: RestartingServer) -> Sample:
    """Of the server now."""
    ready = told(await asking.get("/readyz"))
    taken = footprint(server.process.process.pid)
    return Sample(taken.memory_mib, taken.descriptors, taken.processes, ready["sessions"])


async def soak(
    directory: Path, scripts: Sequence[tuple[str, Script]], seconds: float, samples: int
) -> list[Sample]:
    """Load a server; then check the sessions of the honest clients, also after a restart."""
    seed = int(os.environ.get("SEED") or secrets.randbits(32))
    print(f"SEED={seed}")  # noqa: T201 (pytest shows it with a failure)
    taken: list[Sample] = []
    async with restarting(directory, "--log-format", "json", "--idle-seconds", "2") as server:
        async with httpx2.AsyncClient(base_url=await server.url(), timeout=120, headers=WAIT) as asking:
            counters = [
                Counter(asking, f"honest-{number}", random.Random(seed + number)) for number in range(HONEST)
            ]
            over = trio.Event()
            async with trio.open_nursery() as honest:
                for counter in counters:
                    honest.start_soon(counter.count_until, over)
                async with trio.open_nursery() as hostile:
                    for number in range(HOSTILE):
                        chance = random.Random(seed + HONEST + number)
                        hostile.start_soon(be_hostile, asking, f"hostile-{number}", scripts, chance)
                    for _ in range(samples):
                        await trio.sleep(seconds / samples)
                        taken.append(await sample(asking, server))
                    hostile.cancel_scope.cancel()
                over.set()
        print(f"{sum(counter.steps for counter in counters)} steps; {taken[0]} {taken[-1]}")  # noqa: T201
        await server.stop()
        await check_records(directory, counters)
        await server.start()
        async with httpx2.AsyncClient(base_url=await server.url(), timeout=120, headers=WAIT) as asking:
            for counter in counters:
                answer = await execute(asking, counter.session, COUNT)
                assert answer["result"] == str(counter.count + 1), answer
        await server.stop()
    return taken


async def check_records(directory: Path, counters: Sequence[Counter]) -> None:
    """Each session holds what its client was told, once each and in order, and nothing else."""
    found = await recorded(directory)
    for counter in counters:
        ran = [record.event.execution_id for record in executions(found.get(counter.session, []))]
        assert ran == list(counter.acknowledged)


def check_flat(taken: Sequence[Sample]) -> None:
    """Nothing is higher in the last third than in the middle one, but for the tolerances."""
    third = len(taken) // 3
    middle, last = taken[third : 2 * third], taken[2 * third :]

    def risen(field: str) -> float:
        return median(getattr(one, field) for one in last) - median(getattr(one, field) for one in middle)

    figures = {field: risen(field) for field in Sample.__struct_fields__}
    print(f"risen by {figures}, from {middle[0]}")  # noqa: T201
    assert figures["memory_mib"] <= MEMORY_MIB
    assert figures["descriptors"] <= DESCRIPTORS
    assert figures["processes"] <= PROCESSES
    assert figures["sessions"] <= SESSIONS


async def test_a_short_soak_loses_nothing(tmp_path: Path) -> None:
    scripts = [
        (f"{kind}: {name}", script)
        for kind, all_of_it in KINDS.items()
        for name, script in all_of_it.items()
        if not script.is_slow
    ]
    with trio.fail_after(240):
        taken = await soak(tmp_path, scripts, QUICK_SECONDS, QUICK_SAMPLES)
    assert len(taken) == QUICK_SAMPLES


@pytest.mark.torture
async def test_a_long_soak_is_flat(tmp_path: Path) -> None:
    scripts = [
        (f"{kind}: {name}", one) for kind, all_of_it in KINDS.items() for name, one in all_of_it.items()
    ]
    seconds = float(os.environ.get("SOAK_SECONDS") or LONG_SECONDS)
    with trio.fail_after(seconds + 600):
        check_flat(await soak(tmp_path, scripts, seconds, LONG_SAMPLES))
