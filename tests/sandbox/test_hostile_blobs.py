"""Checkpoints come from processes that ran hostile code: whatever is in one costs the worker that tries it."""

from __future__ import annotations

import math
import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
import trio
from backports import zstd

from engine.isolate.image import BaseImage
from engine.isolate.wire import Done, Run
from engine.limits import Limits
from engine.worker import WorkerDied
from engine.workers import Workers, open_workers

BUDGET_MB = 512
PATIENCE_SECONDS = 2.0
"""A snapshot that V8 takes for one and that is not what it was may restore for ever."""
FLIPS = 40
FINGERPRINT_BYTES = 16
STATE = "let kept = Array.from({ length: 2000 }, (_, i) => ({ i, text: `item ${i}` })); const f = () => kept.length"


@pytest.fixture
async def workers(cache_dir: Path) -> AsyncIterator[Workers]:
    with trio.fail_after(120):
        async with open_workers(cache_dir=cache_dir, data_budget_mb=BUDGET_MB) as workers:
            yield workers


def run(code: str) -> Run:
    return Run(seq=1, code=code, limits=Limits(), start=0, seed=bytes(16))


async def snapshot(workers: Workers) -> bytes:
    """A good one."""
    worker = await workers.acquire()
    await worker.run(run(STATE), lambda lines: None)
    made = await (await worker.checkpoint()).snapshot()
    await worker.aclose()
    return made


async def tried(workers: Workers, blob: bytes, *, patience: float = math.inf) -> str:
    """What comes of restoring it and going on in it."""
    worker = await workers.acquire()
    try:
        with trio.move_on_after(patience):
            await worker.restore(blob)
            done: Done = await worker.run(run("f()"), lambda lines: None)
            return done.outcome.result or "another outcome"
    except WorkerDied:
        return "died"
    finally:
        await worker.aclose()
    return "hung"


async def test_a_good_snapshot_is_restored(workers: Workers) -> None:
    assert await tried(workers, await snapshot(workers)) == "2000"


BOMB = zstd.compress(bytes(64 << 20)) * 64
"""4 GB of zeros, in frames one after the other."""

MALFORMED: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda good: b"",
    "noise": lambda good: random.Random(0).randbytes(10_000),
    "cut short": lambda good: good[: len(good) // 2],
    "followed by more": lambda good: good + b"more",
    "of another image": lambda good: bytes([good[0] ^ 1]) + good[1:],
    "compressed noise": lambda good: good[:FINGERPRINT_BYTES] + zstd.compress(bytes(range(256)) * 100),
    "a bomb": lambda good: good[:FINGERPRINT_BYTES] + BOMB,
    "an empty frame": lambda good: good[:FINGERPRINT_BYTES] + zstd.compress(b""),
}


@pytest.mark.parametrize("kind", MALFORMED)
async def test_what_is_no_snapshot_ends_the_worker_that_tries_it(workers: Workers, kind: str) -> None:
    good = await snapshot(workers)
    assert await tried(workers, MALFORMED[kind](good)) == "died"
    assert await tried(workers, good) == "2000"


def unpacked(cache: Path, snapshot: bytes) -> bytearray:
    """The blob of V8 in a snapshot."""
    (image,) = (path.read_bytes() for path in cache.glob("base-*.image"))
    samples = msgspec.msgpack.decode(image[32:], type=BaseImage).samples
    dictionary = zstd.ZstdDict(samples, is_raw=True)
    return bytearray(zstd.decompress(snapshot[FINGERPRINT_BYTES:], zstd_dict=dictionary))


async def test_an_altered_snapshot_costs_the_worker_that_tries_it_at_most(
    workers: Workers, cache_dir: Path
) -> None:
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print(f"SEED={seed}")  # noqa: T201
    chance = random.Random(seed)
    good = await snapshot(workers)
    blob = unpacked(cache_dir, good)
    came = []
    for _ in range(FLIPS):
        altered = bytearray(blob)
        for _ in range(chance.randint(1, 8)):
            altered[chance.randrange(len(altered))] ^= 1 << chance.randrange(8)
        packed = good[:FINGERPRINT_BYTES] + zstd.compress(bytes(altered), level=1)
        came.append(await tried(workers, packed, patience=PATIENCE_SECONDS))
    assert set(came) > {"2000"}  # else nothing was tried
    assert await tried(workers, good) == "2000"
