"""Hostile code of every kind ends as documented, harms nobody else, and leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from attacks import KINDS
from attacks.script import TIMED_OUT, Script
from footprint import Footprint, settled
from judging import client, execute, judge, neighbour, told
from server_process import ServerProcess, running

pytestmark = pytest.mark.own_zygote  # counts the server's processes

EVERY = 5
"""Of the scripts of a kind the usual run has the first of so many, and torture the others."""
AT_ONCE = 3
"""Scripts that run at the same time, each in a session of its own."""
MAX_GROWTH_MIB = 48
"""Of the server's own memory by all of them: what it keeps for reuse."""
FILES = {"events.db", "events.db-wal", "events.db-shm", "lock", "blobs"}
WARM_UP = "({ a: 1 })"


class Target:
    """A server, where its store is, and what it took before anything hostile came."""

    def __init__(self, server: ServerProcess, store: Path) -> None:
        self.server = server
        self.store = store
        self.level = trio.run(self._warm_up)

    async def _warm_up(self) -> Footprint:
        """Serve as many sessions at once as the tests do, then forget them: what stays is no leak."""
        async with client(self.server) as asking:
            async with trio.open_nursery() as nursery:
                for number in range(2 * AT_ONCE):
                    nursery.start_soon(execute, asking, f"warm-{number}", WARM_UP)
            for number in range(2 * AT_ONCE):
                await asking.delete(f"/api/sessions/warm-{number}")
            await asking.post("/mcp", json={})  # whatever the answer: MCP's SDK is imported for it
            # a zygote, two workers that are ready
            idle = Footprint(processes=3, descriptors=1_000, memory_mib=0)
            with trio.fail_after(60):
                return await settled(asking, self.server.process.pid, idle)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """One real server for all tests here, whose log must not tell of anything out of the ordinary."""
    store = tmp_path_factory.mktemp("store")
    with running("--directory-path", str(store), "--log-format", "json") as server:
        yield Target(server, store)
    lines = [json.loads(line) for line in server.log.splitlines()]
    # a crash that is documented is a warning
    assert [line for line in lines if line["level"] not in ("debug", "info") and "death" not in line] == []


def quick(kind: str) -> list[tuple[str, Script]]:
    """Scripts that take a moment, by name."""
    return [(name, script) for name, script in KINDS[kind].items() if not script.is_slow]


async def judge_all(target: Target, kind: str, scripts: dict[str, Script]) -> None:
    """Run scripts, some at once, with a neighbour beside them; fail if anything is not as it should be."""
    complaints = {}
    one_of_few = trio.CapacityLimiter(AT_ONCE)
    with trio.fail_after(240):
        async with client(target.server) as asking:

            async def judge_one(number: int, name: str) -> None:
                async with one_of_few:
                    complaint = await judge(asking, f"{kind}-{number}", scripts[name])
                if complaint is not None:
                    complaints[name] = complaint

            async with neighbour(asking, f"beside-{kind}"), trio.open_nursery() as nursery:
                for number, name in enumerate(scripts):
                    nursery.start_soon(judge_one, number, name)
    assert complaints == {}
    with trio.fail_after(60):
        async with client(target.server) as asking:
            after = await settled(asking, target.server.process.pid, target.level)
            assert told(await asking.get("/api/sessions"))["sessions"] == []
    assert after.memory_mib - target.level.memory_mib < MAX_GROWTH_MIB
    assert {path.name for path in target.store.iterdir()} <= FILES


@pytest.mark.parametrize("kind", KINDS)
async def test_every_script_ends_as_documented_beside_a_neighbour_and_leaves_nothing(
    target: Target, kind: str
) -> None:
    await judge_all(target, kind, dict(quick(kind)[::EVERY]))


@pytest.mark.torture
@pytest.mark.parametrize("kind", KINDS)
async def test_so_do_those_between(target: Target, kind: str) -> None:
    others = quick(kind)
    del others[::EVERY]
    await judge_all(target, kind, dict(others))


@pytest.mark.torture
@pytest.mark.parametrize(
    "kind", [kind for kind, scripts in KINDS.items() if any(one.is_slow for one in scripts.values())]
)
async def test_so_does_every_script_that_takes_longer(target: Target, kind: str) -> None:
    slow = {name: script for name, script in KINDS[kind].items() if script.is_slow}
    await judge_all(target, kind, slow)


async def test_an_endless_script_of_each_kind_at_once_is_cancelled_and_undone(target: Target) -> None:
    endless = {
        kind: next(one for one in scripts.values() if TIMED_OUT in one.outcomes)
        for kind, scripts in KINDS.items()
        if any(TIMED_OUT in one.outcomes for one in scripts.values())
    }
    assert len(endless) > 10
    async with client(target.server) as asking, neighbour(asking, "beside-all"):
        with trio.fail_after(120):
            places = {}
            for kind, script in endless.items():
                begun = await asking.post(
                    "/api/exec",
                    json={
                        "session": f"cancelled-{kind}",
                        "code": f"globalThis.touched = 1; {script.code}",
                        "execution_timeout_secs": 120,
                        "heap_memory_max_mb": 1_024,
                    },
                    headers={"prefer": "respond-async"},
                )
                places[kind] = begun.headers["location"]
            for kind, place in places.items():
                assert (await asking.post(f"{place}/cancel")).json()["status"] == "cancelled", kind
                after = await execute(asking, f"cancelled-{kind}", "typeof touched")
                assert after["result"] == "'undefined'", kind
                await asking.delete(f"/api/sessions/cancelled-{kind}")


def test_there_are_scripts_of_every_kind_and_in_all_enough() -> None:
    assert sum(map(len, KINDS.values())) >= 200
    assert min(map(len, KINDS.values())) >= 10
