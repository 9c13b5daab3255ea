"""What Prometheus learns of the cache of blobs: whether it helps, and how full it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Cache(Protocol):
    """What there is to tell of one."""

    hits: int
    misses: int
    failures: int

    @property
    def evictions(self) -> int: ...

    @property
    def cached_bytes(self) -> int: ...


class CacheCollector(Collector):
    """The numbers of one cache at the time of the scrape."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def collect(self) -> Iterable[Metric]:
        """All of them are known from the start."""
        reads = CounterMetricFamily(
            "mcp_v8_blob_cache_reads",
            "Blobs that were read, by result: hit (without asking S3), or miss",
            labels=["result"],
        )
        reads.add_metric(["hit"], self._cache.hits)
        reads.add_metric(["miss"], self._cache.misses)
        yield reads
        yield CounterMetricFamily(
            "mcp_v8_blob_cache_evictions",
            "Blobs that had to leave the cache for others",
            value=self._cache.evictions,
        )
        yield CounterMetricFamily(
            "mcp_v8_blob_cache_failures",
            "Times that the disk of the cache failed; the log says how",
            value=self._cache.failures,
        )
        yield GaugeMetricFamily(
            "mcp_v8_blob_cache_bytes", "What the cache takes", value=self._cache.cached_bytes
        )
