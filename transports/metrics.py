"""What Prometheus scrapes: counts of executions, their durations by stage, and how busy the engine is.

prometheus_client keeps the numbers and writes both text formats, in a registry of our own.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from engine.checkpointer import Made
from engine.commands import Change
from engine.errors import AppendConflict, StoreFailed
from engine.execution import Execution
from engine.recovery import Recovered
from engine.replay import Diverged, ReplayFailed
from transports.cachemetrics import Cache, CacheCollector
from transports.clustermetrics import ClusterCollector, Counting

if TYPE_CHECKING:
    from engine.supervisor import Supervisor
    from persistence.s3.requests import Request

STAGES = ("queued", "restored", "ran", "appended")
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""Seconds."""
BUSIEST = 10
"""Owners and sessions whose use of CPU time is told: there may be any number of them."""
_GAUGES = {
    "executions_in_flight": ("running", "Executions that wait or run"),
    "executions_queued": ("queued", "Executions that wait for their turn"),
    "workers": ("workers", "Worker processes, spare ones included"),
    "workers_held": ("held", "Workers that were stopped, so that others get their share of the processors"),
    "sessions_awake": ("awake", "Sessions that have a worker"),
    "store_bytes": ("store_bytes", "Bytes that the log and its checkpoints take"),
    "store_max_bytes": ("max_store_bytes", "Bytes that they may take"),
}


class InBucket(Protocol):
    """What there is to tell of a log in a bucket."""

    @property
    def loose_batches(self) -> int: ...


class Metrics:
    """Observes executions, changes, checkpoints and recoveries, and tells what it has seen."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        self._executions = Counter(
            "mcp_v8_executions",
            "Executions that are over, by status; not_recorded are those that left no event",
            ["status"],
            registry=self._registry,
        )
        stages = Histogram(
            "mcp_v8_execution_stage_seconds",
            "Time in each stage of an execution: queued, restored (its state), ran, appended (durable)",
            ["stage"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._stages = [(f"{stage}_us", stages.labels(stage)) for stage in STAGES]
        self._cpu_seconds = Histogram(
            "mcp_v8_execution_cpu_seconds",
            "CPU time that executions used, by status",
            ["status"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._appends = Counter(
            "mcp_v8_store_appends",
            "Executions and changes of sessions that were stored",
            registry=self._registry,
        )
        self._append_failures = Counter(
            "mcp_v8_store_append_failures",
            "Executions and changes that were not stored",
            registry=self._registry,
        )
        self._checkpoints = Counter(
            "mcp_v8_checkpoints",
            "Attempts to make a checkpoint, by result: kept, or declined",
            ["result"],
            registry=self._registry,
        )
        self._checkpoint_bytes = Counter(
            "mcp_v8_checkpoint_bytes", "Bytes of checkpoints that were stored", registry=self._registry
        )
        self._checkpoint_seconds = Histogram(
            "mcp_v8_checkpoint_seconds",
            "Time from the fork of the copy until the checkpoint was kept or declined",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._diverged = Counter(
            "mcp_v8_sessions_diverged",
            "Recoveries that found that a session's log gives another state than was recorded",
            registry=self._registry,
        )
        self._failed = Counter(
            "mcp_v8_sessions_failed",
            "Recoveries that found an event whose replay ends every worker",
            registry=self._registry,
        )
        self._drift = Counter(
            "mcp_v8_replay_drift",
            "Events of another engine whose texts a recovery found to differ",
            registry=self._registry,
        )
        self._refused = Counter(
            "mcp_v8_requests_refused",
            "Requests that were refused before any door saw them, by status: a token, Host, Origin, the rate",
            ["status"],
            registry=self._registry,
        )
        self._s3_requests = Counter(
            "mcp_v8_s3_requests",
            "Requests to S3, by operation and outcome: done, exists, missing, refused, unanswered",
            ["operation", "outcome"],
            registry=self._registry,
        )
        self._s3_seconds = Histogram(
            "mcp_v8_s3_request_seconds",
            "Time of requests to S3, by operation",
            ["operation"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._s3_bytes = Counter(
            "mcp_v8_s3_bytes",
            "Bytes of objects in requests to S3 (sent) and in answers (received)",
            ["direction"],
            registry=self._registry,
        )
        self._by_status: dict[str, tuple[Counter, Histogram]] = {}
        self._engine: Supervisor | None = None
        ProcessCollector(registry=self._registry)

    def refused(self, status: int) -> None:
        """Count a request that was not let in."""
        self._refused.labels(str(status)).inc()

    def executed(self, execution: Execution) -> None:
        """Count an execution that is over."""
        report = execution.report
        counted, cpu_seconds = self._of_status("not_recorded" if report is None else report.status)
        counted.inc()
        cpu_seconds.observe(execution.cpu_us / 1_000_000)
        self._count_append(report is not None and report.event is not None, execution.failure)
        for stage, histogram in self._stages:
            if took := getattr(execution.timings, stage):  # it may not have come so far
                histogram.observe(took / 1_000_000)

    def changed(self, change: Change) -> None:
        """Count what was stored of a deletion, a fork, an import or a change of labels."""
        self._count_append(change.told is not None and change.told.event is not None, change.failure)

    def checkpointed(self, made: Made) -> None:
        """Count an attempt to make a checkpoint."""
        self._checkpoints.labels("kept" if made.declined is None else "declined").inc()
        self._checkpoint_bytes.inc(made.size)
        self._checkpoint_seconds.observe(made.took_us / 1_000_000)

    def recovered(self, recovered: Recovered) -> None:
        """Count what a recovery found."""
        self._diverged.inc(isinstance(recovered.failure, Diverged))
        self._failed.inc(isinstance(recovered.failure, ReplayFailed))
        self._drift.inc(0 if recovered.drift is None else recovered.drift.count)

    def asked_s3(self, request: Request) -> None:
        """Count a request to S3; called in the thread that made it."""
        self._s3_requests.labels(request.operation, request.outcome).inc()
        self._s3_seconds.labels(request.operation).observe(request.seconds)
        self._s3_bytes.labels("sent").inc(request.sent)
        self._s3_bytes.labels("received").inc(request.received)

    def _of_status(self, status: str) -> tuple[Counter, Histogram]:
        """What counts executions that ended so, looked for once: that takes as long as the counting."""
        if (found := self._by_status.get(status)) is None:
            found = self._executions.labels(status), self._cpu_seconds.labels(status)
            self._by_status[status] = found
        return found

    def _count_append(self, stored: bool, failure: Exception | None) -> None:
        if stored:
            self._appends.inc()
        elif isinstance(failure, StoreFailed | AppendConflict):
            self._append_failures.inc()

    def watch(self, engine: Supervisor) -> None:
        """Tell of this engine, too."""
        build = Info("mcp_v8_build", "Version of the server and its engine", registry=self._registry)
        build.info({"version": version("mcp-v8"), "engine": engine.engine_id})
        self._registry.register(_Gauges(engine))
        self._engine = engine

    def watch_cache(self, cache: Cache) -> None:
        """Tell of this cache of blobs, too."""
        self._registry.register(CacheCollector(cache))

    def watch_bucket(self, log: InBucket) -> None:
        """Tell of this log in a bucket, too."""
        batches = Gauge(
            "mcp_v8_s3_log_batches",
            "Group commits in the bucket that are in no segment yet",
            registry=self._registry,
        )
        batches.set_function(lambda: log.loose_batches)

    def watch_cluster(self, node: Counting) -> None:
        """Tell of this node of a cluster, too."""
        self._registry.register(ClusterCollector(node))

    def text(self, accept: str, owner: str) -> tuple[bytes, str]:
        """Everything, in the format that ``accept`` (a header) asks for, and its content type.

        Owners and sessions are named to their owner alone.
        """
        encode, content_type = choose_encoder(accept)
        return encode(_View(self._registry, self._engine, owner)), content_type


class _Gauges(Collector):
    """How busy the engine is at the time of the scrape."""

    def __init__(self, engine: Supervisor) -> None:
        self._engine = engine

    def collect(self) -> Iterable[Metric]:
        """One gauge for each number, and what CPU time was used for."""
        status = self._engine.status()
        for name, (key, text) in _GAUGES.items():
            if status[key] is not None:  # what a stateless server has not
                yield GaugeMetricFamily(f"mcp_v8_{name}", text, value=status[key])
        total = _cpu_seconds()
        for kind, seconds in self._engine.scheduler.cpu_seconds.items():
            total.add_metric([kind], seconds)
        yield total

    def describe(self) -> Iterable[Metric]:
        """The gauges without their values."""
        for name, (_, text) in _GAUGES.items():
            yield GaugeMetricFamily(f"mcp_v8_{name}", text)
        yield _cpu_seconds()


class _View(Collector):
    """What one owner sees."""

    def __init__(self, registry: CollectorRegistry, engine: Supervisor | None, owner: str) -> None:
        self._registry = registry
        self._engine = engine
        self._owner = owner

    def collect(self) -> Iterable[Metric]:
        """What is for everybody, and of those who used most CPU time the owner's own."""
        yield from self._registry.collect()
        owners, sessions = _busiest()
        if self._engine is not None:
            scheduler = self._engine.scheduler
            for owner, seconds in scheduler.busiest_owners(BUSIEST):
                if owner == self._owner:
                    owners.add_metric([owner], seconds)
            for who, seconds in scheduler.busiest_sessions(BUSIEST):
                if who[0] == self._owner:
                    sessions.add_metric(who, seconds)
        yield from (owners, sessions)


def _cpu_seconds() -> CounterMetricFamily:
    """Without its values."""
    return CounterMetricFamily(
        "mcp_v8_cpu_seconds", "CPU time of workers, by what for: execution, replay, look", labels=["kind"]
    )


def _busiest() -> tuple[GaugeMetricFamily, GaugeMetricFamily]:
    """Without their values."""
    recent = "used lately: what was used counts half after each second"
    return (
        GaugeMetricFamily(
            "mcp_v8_owner_cpu_recent_seconds", f"CPU time that the busiest owners {recent}", labels=["owner"]
        ),
        GaugeMetricFamily(
            "mcp_v8_session_cpu_recent_seconds",
            f"CPU time that the busiest sessions {recent}",
            labels=["owner", "session"],
        ),
    )
