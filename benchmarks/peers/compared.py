"""The peers measured, one after another in every round, all of them up all the time.

Closed loop, a session for each client, every client repeating the eight snippets.
"""

from __future__ import annotations

import http.client
import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load
from benchmarks.peers import catalogue
from benchmarks.peers.catalogue import Missing, Peer
from benchmarks.processes import Server, free_port, serving
from benchmarks.snippets import SNIPPETS


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One peer in one round, at one number of clients."""

    per_second: float
    p50: float
    """Milliseconds, like the next."""
    p99: float
    cpu: float
    """Of all its processes, those that ended included: milliseconds an execution."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All that was measured."""

    seconds: float
    rounds: int
    samples: dict[tuple[Peer, int], list[Sample]]
    """By peer and number of clients."""
    versions: dict[Peer, str]
    missing: dict[Peer, str]
    """Why they were not measured."""


def measured(folder: Path, rounds: int, seconds: float, clients: tuple[int, ...]) -> Measured:
    """Measure those that are installed, at each number of clients. Raises LoadError and ServerError."""
    versions, missing = installed()
    samples: dict[tuple[Peer, int], list[Sample]] = {
        (peer, count): [] for peer in versions for count in clients
    }
    with ExitStack() as running:
        servers = {peer: running.enter_context(started(peer, folder)) for peer in versions}
        for peer, server in servers.items():
            check(peer, server)
            sample(peer, server, max(clients), seconds=0)  # every client's session is there from here on
        for _, (peer, count) in itertools.product(range(rounds), samples):
            samples[peer, count].append(sample(peer, servers[peer], count, seconds))
    return Measured(seconds=seconds, rounds=rounds, samples=samples, versions=versions, missing=missing)


def installed() -> tuple[dict[Peer, str], dict[Peer, str]]:
    """The versions of those that are there, and the reasons why others are not."""
    versions, missing = {}, {}
    for peer in catalogue.PEERS:
        try:
            versions[peer] = catalogue.version(peer)
        except Missing as reason:
            missing[peer] = str(reason)
    return versions, missing


@contextmanager
def started(peer: Peer, folder: Path) -> Iterator[Server]:
    """The peer's server, for the duration of the block."""
    port = free_port()
    command = [part.format(folder=folder) for part in peer.command]
    with serving([*command, str(port)], port) as server:
        yield server


def check(peer: Peer, server: Server) -> None:
    """Run each snippet once. Raises LoadError if one does not come to its value."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=load.PATIENCE)
    for snippet, body in zip(SNIPPETS, bodies(peer, clients=1), strict=True):
        try:
            connection.request("POST", "/api/exec", json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse().read().decode()
        except TimeoutError as late:
            raise load.LoadError(f"{peer.name}: {snippet.javascript} had no answer") from late
        if peer is not catalogue.NOOP and snippet.expect not in answer:
            raise load.LoadError(f"{peer.name}: {snippet.javascript} came to {answer}")
    connection.close()


def bodies(peer: Peer, clients: int) -> list[dict[str, str]]:
    """What the clients send: each snippet for each of them, in a session of its own if there are sessions."""
    return [
        {"code": snippet.python if peer.python else snippet.javascript}
        | ({"session": f"peer-{client}"} if peer.state else {})
        for snippet in SNIPPETS
        for client in range(clients)
    ]


def sample(peer: Peer, server: Server, clients: int, seconds: float) -> Sample:
    """Run the closed loop once; in no time each client still sends one request."""
    requests = [load.post(body) for body in bodies(peer, clients)]
    plan = load.Plan(
        port=server.port, requests=requests, clients=clients, expect='"completed"', seconds=seconds
    )
    before = server.cpu()
    tally = load.run(plan)
    spent = server.cpu() - before
    return Sample(
        per_second=tally.per_second,
        p50=tally.percentile(0.5),
        p99=tally.percentile(0.99),
        cpu=(spent.server + spent.zygote + spent.workers) / len(tally.latencies_us),
    )
