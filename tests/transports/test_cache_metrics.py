"""/metrics tells of the cache of blobs, as the documents name it."""

from __future__ import annotations

from pathlib import Path

import trio
from documents import ROOT
from s3_memory import MemoryObjects

from persistence.s3.blobs import S3BlobStore
from persistence.s3.cache import CachedBlobStore
from transports.metrics import Metrics


def told(metrics: Metrics) -> dict[str, float]:
    lines = metrics.text("text/plain", "ann")[0].decode().splitlines()
    return {
        name: float(value)
        for name, value in (line.split(" ") for line in lines if line.startswith("mcp_v8_blob_cache"))
    }


async def test_what_a_cache_did_is_counted(tmp_path: Path) -> None:
    objects, metrics = MemoryObjects(), Metrics()
    cache = CachedBlobStore(S3BlobStore(objects), tmp_path, 150)
    metrics.watch_cache(cache)
    first = await cache.put(b"a" * 100)
    second = await cache.put(b"b" * 100)
    await cache.get(second)
    await cache.get(second)
    await cache.get(first)
    expected = {
        'mcp_v8_blob_cache_reads_total{result="hit"}': 2,
        'mcp_v8_blob_cache_reads_total{result="miss"}': 1,
        "mcp_v8_blob_cache_evictions_total": 2,
        "mcp_v8_blob_cache_failures_total": 0,
        "mcp_v8_blob_cache_bytes": 100,
    }
    assert told(metrics) == expected
    documented = await trio.Path(ROOT / "docs/checkpoints.md").read_text()
    assert all(f"`{name.partition('{')[0]}`" in documented for name in expected)


def test_without_a_cache_nothing_is_told_of_one() -> None:
    assert told(Metrics()) == {}
