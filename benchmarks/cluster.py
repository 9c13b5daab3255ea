"""What a cluster costs on one machine: rates beside a single server, forwarding, and the gaps of faults."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load
from benchmarks.bucket import Durable, variables
from benchmarks.load import LoadError, Plan, Tally
from benchmarks.processes import COMMAND, Server, free_port, serving
from tests.etcd_program import etcd_command
from tests.etcd_server import EtcdServer
from tests.s3_server import SeaweedFS, environment, seaweedfs_command

CLIENTS = (1, 32)
MEMBERS = 3
TTLS = (5, 2)
"""Seconds, the usual one first."""
_TESTS = Path(__file__).parent.parent / "tests"
_GAPS_WITHIN = 3_600


@dataclass(frozen=True, kw_only=True)
class Gap:
    """What clients saw of a fault; times in seconds."""

    fault: str
    ttl: int
    """Of the cluster."""
    usual: float
    """The longest wait for one answer, in the middle of several times."""
    longest: float
    """In the worst of them."""
    failed: int
    """Attempts that failed, of all clients and times, each of which was made again."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """All of the section."""

    rates: list[Durable]
    gaps: list[Gap]


def measured(folder: Path, rounds: int, seconds: float, *, faults: bool = True) -> Cluster | None:
    """The costs here; None where SeaweedFS or etcd is missing. ``faults``: whether the gaps are measured."""
    if seaweedfs_command() is None or etcd_command() is None:
        return None
    (folder / "rates").mkdir()
    rates = _rates(folder / "rates", rounds, seconds)
    gaps = [gap for ttl in TTLS for gap in _gaps(folder / f"gaps-{ttl}", rounds, ttl)] if faults else []
    return Cluster(rates=rates, gaps=gaps)


def _rates(folder: Path, rounds: int, seconds: float) -> list[Durable]:
    """Of a server on the bucket by itself, of a cluster of one node, and of three, in turns."""
    (folder / "s3").mkdir()
    (folder / "etcd").mkdir()
    s3, etcd = SeaweedFS(folder / "s3"), None
    tallies: dict[tuple[str, int], list[Tally]] = {}
    try:
        etcd = EtcdServer(folder / "etcd", members=MEMBERS)
        with variables({**environment(), "AWS_ENDPOINT_URL": s3.endpoint, "MCP_V8_CLUSTER_SECRET": "s" * 32}):
            for _ in range(rounds):
                for where, tally in _round(folder, s3, etcd, seconds):
                    tallies.setdefault(where, []).append(tally)
    finally:
        if etcd is not None:
            etcd.close()
        s3.kill()
    return [
        Durable(
            where=where,
            clients=clients,
            per_second=statistics.median(one.per_second for one in taken),
            p50=statistics.median(one.percentile(0.5) for one in taken),
            p99=statistics.median(one.percentile(0.99) for one in taken),
        )
        for (where, clients), taken in tallies.items()
    ]


def _round(
    folder: Path, s3: SeaweedFS, etcd: EtcdServer, seconds: float
) -> Iterator[tuple[tuple[str, int], Tally]]:
    """Each measured once, by what it is and how many clients there are."""
    for nodes in (0, 1, 3):
        with _servers(folder, s3, etcd, nodes) as servers:
            for clients in CLIENTS:
                first = servers[0]
                _own(first, clients)
                where = {0: "a server by itself, on S3", 1: "a cluster of one node"}.get(
                    nodes, "three nodes, the owner asked"
                )
                yield (where, clients), _load(first.port, clients, seconds)
                if nodes == 3:
                    yield (
                        ("three nodes, another one asked", clients),
                        _load(servers[1].port, clients, seconds),
                    )


@contextmanager
def _servers(folder: Path, s3: SeaweedFS, etcd: EtcdServer, nodes: int) -> Iterator[list[Server]]:
    """So many nodes of a new cluster; 0: one server that is in none."""
    settings = s3.settings()
    store = ("--s3-bucket", settings.bucket, "--s3-prefix", settings.prefix)
    cluster = ("--cluster-etcd", ",".join(etcd.urls), "--cluster-name", settings.prefix)
    with ExitStack() as stack:
        servers = []
        for n in range(max(nodes, 1)):
            port = free_port()
            flags = ["--http-port", str(port), *store, "--cache-dir", str(folder / f"{settings.prefix}-{n}")]
            if nodes:
                flags += [*cluster, "--node-id", f"node-{n}", "--advertise-addr", f"127.0.0.1:{port}"]
            servers.append(stack.enter_context(serving([COMMAND, *flags], port)))
        yield servers


def _own(server: Server, clients: int) -> None:
    """Let the server have all sessions: it is asked for one after the other, when none is busy."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=load.PATIENCE)
    for client in range(clients):
        body = json.dumps({"session": f"s{client}", "code": "0"})
        connection.request("POST", "/api/exec", body, {"content-type": "application/json"})
        if (answer := connection.getresponse()).status != http.HTTPStatus.OK:
            raise LoadError(f"not the answer expected: {answer.read().decode()}")
        answer.read()
    connection.close()


def _load(port: int, clients: int, seconds: float) -> Tally:
    code = "globalThis.n = (globalThis.n ?? 0) + 1; console.log('n is', n); n"
    requests = [load.post({"session": f"s{client}", "code": code}) for client in range(clients)]
    load.run(Plan(port=port, requests=requests, expect='"completed"', seconds=0.2))  # warm
    return load.run(Plan(port=port, requests=requests, expect='"completed"', seconds=seconds))


def _gaps(folder: Path, times: int, ttl: int) -> list[Gap]:
    """As the tests' clients see them, in a process of their own. Raises LoadError."""
    folder.mkdir()
    path = os.pathsep.join(map(str, (_TESTS.parent, _TESTS, _TESTS / "cluster")))
    ended = subprocess.run(
        [sys.executable, _TESTS / "cluster" / "measuring.py", folder, str(times), str(ttl)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        timeout=_GAPS_WITHIN,
        check=False,
    )
    if ended.returncode:
        raise LoadError(ended.stderr[-4_000:])
    return [
        Gap(
            fault=fault,
            ttl=ttl,
            usual=statistics.median(seconds for seconds, _ in seen),
            longest=max(seconds for seconds, _ in seen),
            failed=sum(failed for _, failed in seen),
        )
        for fault, seen in json.loads(ended.stdout).items()
    ]
