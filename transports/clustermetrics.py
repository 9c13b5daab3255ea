"""What Prometheus learns of a cluster, from each of its nodes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class ClusterNumbers(NamedTuple):
    """What a node counts."""

    members: int
    sessions: int
    forwarded: int
    lease_seconds: float
    leads: bool
    tail_batches: int
    tail_bytes: int
    lag: int


class Counting(Protocol):
    """A node."""

    def numbers(self) -> ClusterNumbers:
        """As of now."""
        ...


class ClusterCollector(Collector):
    """The numbers of one node at the time of the scrape."""

    def __init__(self, node: Counting) -> None:
        self._node = node

    def collect(self) -> Iterable[Metric]:
        """All of them are known from the start."""
        now = self._node.numbers()
        for name, text, value in (
            ("members", "Nodes of the cluster that are there, as this one sees it", now.members),
            ("owned_sessions", "Sessions that this node has", now.sessions),
            ("lease_seconds", "How long this node may serve if etcd is not reached again", now.lease_seconds),
            ("leader", "1 at the node that moves the log from etcd to the bucket", int(now.leads)),
            ("log_tail_batches", "Group commits in etcd that are not in the bucket yet", now.tail_batches),
            ("log_tail_bytes", "Bytes of these", now.tail_bytes),
            ("log_lag_batches", "Group commits of other nodes that are not in this one's index yet", now.lag),
        ):
            yield GaugeMetricFamily(f"mcp_v8_cluster_{name}", text, value=value)
        yield CounterMetricFamily(
            "mcp_v8_cluster_forwarded",
            "Executions and commands that this node let others carry out",
            value=now.forwarded,
        )
