"""What durability in a bucket costs: beside the directory store, and beside the S3 server's own latency."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load
from benchmarks.load import Plan, Tally
from benchmarks.processes import Server, mcp_v8
from persistence.s3.client import S3Objects
from tests.s3_server import SeaweedFS, environment, seaweedfs_command

CLIENTS = (1, 32)
PUTS = 200
"""Of a kilobyte, one after the other, with the condition that nothing is there."""
EVENTS = 1_000
"""Events of the session that is restored."""
_TOOK = re.compile(
    r"^mcp_v8_(execution_stage|s3_request)_seconds_(sum|count)"
    r'\{(?:operation="PutObject"|stage="appended")\} (\S+)$',
    re.MULTILINE,
)
_COUNTED = re.compile(
    r'^mcp_v8_s3_(requests|bytes)_total\{(?:operation|direction)="(\w+)".*\} (\S+)$', re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class Durable:
    """Executions of so many sessions, a client for each; milliseconds."""

    where: str
    clients: int
    per_second: float
    p50: float
    p99: float


@dataclass(frozen=True, kw_only=True)
class Restart:
    """From the start of a server to the first answer of a session of EVENTS events."""

    what: str
    seconds: float
    gets: float
    """Objects that were read for it."""


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """All of the section."""

    put_p50: float
    """Milliseconds."""
    put_p99: float
    durable: list[Durable]
    append: float
    """Of the many sessions: mean milliseconds from the end of the code to its event being durable."""
    put: float
    """Mean milliseconds of the puts meanwhile."""
    asked: Mapping[str, float]
    """For 1,000 executions of the many sessions: requests by operation, and bytes by direction."""
    restarts: list[Restart]


def measured(folder: Path, rounds: int, seconds: float, *, events: int = EVENTS) -> Bucket | None:
    """The costs here; None where there is no SeaweedFS."""
    if seaweedfs_command() is None:
        return None
    (folder / "s3").mkdir()
    s3 = SeaweedFS(folder / "s3")
    try:
        with variables({**environment(), "AWS_ENDPOINT_URL": s3.endpoint}):
            puts = _puts(s3)
            durable, asked, append, put = _durable(folder, s3, rounds, seconds)
            restarts = _restarts(folder, s3, rounds, events)
    finally:
        s3.kill()
    return Bucket(
        put_p50=load.percentile(puts, 0.5),
        put_p99=load.percentile(puts, 0.99),
        durable=durable,
        append=append,
        put=put,
        asked=asked,
        restarts=restarts,
    )


@contextmanager
def variables(chosen: Mapping[str, str]) -> Iterator[None]:
    """Variables of the environment of servers that are started meanwhile."""
    before = dict(os.environ)
    os.environ.update(chosen)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _puts(s3: SeaweedFS) -> list[int]:
    """Latencies of S3 itself, microseconds."""
    data, took = os.urandom(1_024), []
    with S3Objects(s3.settings()) as objects:
        for number in range(PUTS):
            began = time.perf_counter_ns()
            objects.put(f"{number:08}", data, new=True)
            took.append((time.perf_counter_ns() - began) // 1_000)
    return took


def _durable(
    folder: Path, s3: SeaweedFS, rounds: int, seconds: float
) -> tuple[list[Durable], dict[str, float], float, float]:
    """Rates on each store, in turns; of the most clients what S3 was asked, and the means of an append and a
    put, in milliseconds.
    """
    tallies: dict[tuple[str, int], list[Tally]] = {}
    asked: list[dict[str, float]] = []
    appends: list[float] = []
    puts: list[float] = []
    with (
        mcp_v8("--directory-path", str(folder / "durable")) as directory,
        mcp_v8("--s3-bucket", s3.bucket, "--s3-prefix", "durable") as bucket,
    ):
        for _ in range(rounds):
            for where, server in (("directory", directory), ("S3", bucket)):
                for clients in CLIENTS:
                    before, began = (_counted(server), _took(server)) if where == "S3" else ({}, {})
                    tally = _load(server, clients, seconds)
                    tallies.setdefault((where, clients), []).append(tally)
                    if where == "S3" and clients == CLIENTS[-1]:
                        after, done, ended = _counted(server), len(tally.latencies_us), _took(server)
                        appends.append(_mean("execution_stage", began, ended))
                        puts.append(_mean("s3_request", began, ended))
                        asked.append(
                            {name: (after[name] - before.get(name, 0)) * 1_000 / done for name in after}
                        )
    rows = [
        Durable(
            where=where,
            clients=clients,
            per_second=statistics.median(one.per_second for one in taken),
            p50=statistics.median(one.percentile(0.5) for one in taken),
            p99=statistics.median(one.percentile(0.99) for one in taken),
        )
        for (where, clients), taken in tallies.items()
    ]
    names = sorted({name for one in asked for name in one})
    usual = {name: statistics.median(one.get(name, 0) for one in asked) for name in names}
    return rows, usual, statistics.median(appends), statistics.median(puts)


def _load(server: Server, clients: int, seconds: float) -> Tally:
    code = "globalThis.n = (globalThis.n ?? 0) + 1; console.log('n is', n); n"
    requests = [load.post({"session": f"s{client}", "code": code}) for client in range(clients)]
    load.run(Plan(port=server.port, requests=requests, expect='"completed"', seconds=0.2))  # warm
    return load.run(Plan(port=server.port, requests=requests, expect='"completed"', seconds=seconds))


def _counted(server: Server) -> dict[str, float]:
    """What S3 was asked so far: requests by operation, bytes by direction."""
    found: dict[str, float] = {}
    for _, name, value in _COUNTED.findall(_metrics(server)):
        found[name] = found.get(name, 0) + float(value)
    return found


def _took(server: Server) -> dict[tuple[str, str], float]:
    """Sum, in seconds, and count of what was timed so far."""
    return {(what, kind): float(value) for what, kind, value in _TOOK.findall(_metrics(server))}


def _mean(
    what: str, before: Mapping[tuple[str, str], float], after: Mapping[tuple[str, str], float]
) -> float:
    """Milliseconds."""
    total, count = (after[what, kind] - before.get((what, kind), 0) for kind in ("sum", "count"))
    return 1_000 * total / count


def _metrics(server: Server) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def _restarts(folder: Path, s3: SeaweedFS, rounds: int, events: int) -> list[Restart]:
    """First answers of a session with a history, after an end in good order."""
    cache, index = folder / "cache", folder / "cache" / "index"
    in_bucket = ("--s3-bucket", s3.bucket, "--s3-prefix", "restarts", "--cache-dir", str(cache))
    in_directory = ("--directory-path", str(folder / "restarts"))
    for flags in (in_directory, in_bucket):
        with mcp_v8(*flags) as server:
            _run(server, events)

    found = []
    for what, flags, lost in (
        ("directory", in_directory, None),
        ("S3, warm cache", in_bucket, None),
        ("S3, cache without its index", in_bucket, index),
        ("S3, no cache", in_bucket, cache),
    ):
        took, gets = [], []
        for _ in range(rounds):
            if lost is not None:
                shutil.rmtree(lost)
            began = time.perf_counter()
            with mcp_v8(*flags) as server:
                _run(server, 1)
                took.append(time.perf_counter() - began)
                gets.append(_counted(server).get("GetObject", 0))
        found.append(Restart(what=what, seconds=statistics.median(took), gets=statistics.median(gets)))
    return found


def _run(server: Server, times: int) -> None:
    request = load.post({"session": "long", "code": "globalThis.n = (globalThis.n ?? 0) + 1"})
    load.run(Plan(port=server.port, requests=[request], expect='"completed"', seconds=600, most=times))
