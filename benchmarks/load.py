"""A closed-loop HTTP/1.1 load client that is cheap beside what it measures.

Raw sockets and requests encoded beforehand, in one process of its own: about 0.03 ms of CPU a request,
a fiftieth of what the server spends on it. ``run`` starts that process; ``python -m benchmarks.load``
is it: a plan as JSON on stdin, a tally as JSON on stdout.
"""

from __future__ import annotations

import itertools
import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

COUNTER = b"########"
"""In a request, stands for a number of as many digits, another one each time it is sent."""

CHUNKED = b"\r\ntransfer-encoding: chunked"
LAST_CHUNK = b"\r\n0\r\n\r\n"
"""What ends a chunked answer: no line of JSON or of an event stream is a bare 0."""

PATIENCE = 30
"""Seconds without any answer after which a run is given up."""


class LoadError(Exception):
    """A connection broke, or an answer was not the one expected."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One closed loop: each connection sends its request again as soon as it has been answered."""

    port: int
    requests: list[str]
    """Complete HTTP requests, one for each connection, which repeats it; but see ``clients``."""
    clients: int = 0
    """Connections that take the requests in turns, however many there are; 0: as many as requests."""
    expect: str = ""
    """What every answer must contain, beside the status 200."""
    seconds: float
    most: int = 1_000_000
    """Requests after which to stop early."""
    first: int = 0
    """First value of the counter."""


@dataclass(kw_only=True)
class Tally:
    """What a run came to."""

    latencies_us: list[int] = field(default_factory=list)
    seconds: float = 0.0
    """From the first request to the last answer."""
    cpu_ms: float = 0.0
    """CPU time of the client."""

    @property
    def per_second(self) -> float:
        """Requests answered in a second."""
        return len(self.latencies_us) / self.seconds

    def percentile(self, share: float) -> float:
        """Latency in milliseconds that ``share`` of the answers did not exceed."""
        return percentile(self.latencies_us, share)


def percentile(latencies_us: list[int], share: float) -> float:
    """The ``share`` quantile, in milliseconds."""
    ranked = sorted(latencies_us)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share))] / 1_000


def post(body: Mapping[str, object], path: str = "/api/exec", **headers: str) -> str:
    """A complete POST request; a run of ``COUNTER`` in the body becomes a number."""
    text = json.dumps(body)
    headers |= {"content_type": "application/json", "content_length": str(len(text))}
    return f"POST {path} HTTP/1.1\r\n{_lines(headers)}\r\n{text}"


def get(path: str, **headers: str) -> str:
    """A complete GET request."""
    return f"GET {path} HTTP/1.1\r\n{_lines(headers)}\r\n"


def _lines(headers: dict[str, str]) -> str:
    """The lines of a head, names with ``_`` for ``-``, and ``Host``."""
    named = {"host": "127.0.0.1", **headers}
    return "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())


def run(plan: Plan) -> Tally:
    """Carry out the plan in a process of its own. Raises LoadError."""
    return Tally(**apart("benchmarks.load", plan, plan.seconds))


def apart(module: str, plan: DataclassInstance, seconds: float) -> dict[str, Any]:
    """What the module, as a program, makes of a plan that takes so long. Raises LoadError if it fails."""
    ended = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(asdict(plan)),
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
        timeout=seconds + 2 * PATIENCE,
        check=False,
    )
    if ended.returncode:
        raise LoadError(ended.stderr.strip())
    made: dict[str, Any] = json.loads(ended.stdout)
    return made


class Connection:
    """One connection and the request that it repeats."""

    def __init__(self, port: int, request: bytes = b"") -> None:
        self.port = port
        self.repeat(request)
        self.sent_at = 0
        self.answer = b""
        self.open()

    def repeat(self, request: bytes) -> None:
        """Send this one from now on."""
        self.request = request
        self.counted = COUNTER in request

    def open(self) -> None:
        """Connect, anew where the server ended the previous connection."""
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, number: int) -> None:
        """Send the request once more, as the ``number``-th of the run."""
        self.answer = b""
        request = self.request.replace(COUNTER, b"%08d" % number) if self.counted else self.request
        self.sent_at = time.perf_counter_ns()
        self.socket.sendall(request)

    def receive(self) -> bytes | None:
        """The head of the answer once all of it has come. Raises LoadError."""
        chunk = self.socket.recv(1 << 16)
        if not chunk:
            raise LoadError(f"the server closed the connection after {self.answer!r}")
        self.answer += chunk
        head, blank, body = self.answer.partition(b"\r\n\r\n")
        if not blank:
            return None
        head = head.lower()
        if CHUNKED in head:
            return head if body.endswith(LAST_CHUNK) else None
        _, found, length = head.partition(b"content-length:")
        if not found:
            raise LoadError(f"an answer without a length: {self.answer!r}")
        return head if len(body) >= int(length.partition(b"\r")[0]) else None


def drive(plan: Plan) -> Tally:
    """Carry out the plan in this process."""
    expect = plan.expect.encode()
    turns = itertools.cycle([request.encode() for request in plan.requests])
    connections = [Connection(plan.port, next(turns)) for _ in range(plan.clients or len(plan.requests))]
    poll = select.epoll()
    by_fd = {}
    for connection in connections:
        by_fd[connection.socket.fileno()] = connection
        poll.register(connection.socket, select.EPOLLIN)
    tally = Tally()
    started = time.perf_counter_ns()
    end = started + int(plan.seconds * 1e9)
    sent = 0
    for connection in connections:
        connection.send(plan.first + sent)
        sent += 1
    while len(tally.latencies_us) < sent:
        ready = poll.poll(PATIENCE)
        if not ready:
            raise LoadError(f"no answer for {PATIENCE} s")
        for fd, _ in ready:
            connection = by_fd[fd]
            head = connection.receive()
            if head is None:
                continue
            now = time.perf_counter_ns()
            tally.latencies_us.append((now - connection.sent_at) // 1_000)
            if not head.startswith(b"http/1.1 200") or expect not in connection.answer:
                raise LoadError(f"not the answer expected: {connection.answer[:2_000].decode()}")
            if now >= end or sent >= plan.most:
                continue
            if b"\r\nconnection: close" in head:  # Hypercorn ends a connection after 1,000 requests
                poll.unregister(fd)
                del by_fd[fd]
                connection.socket.close()
                connection.open()
                by_fd[connection.socket.fileno()] = connection
                poll.register(connection.socket, select.EPOLLIN)
            if plan.clients:
                connection.repeat(next(turns))
            connection.send(plan.first + sent)
            sent += 1
    tally.seconds = (time.perf_counter_ns() - started) / 1e9
    tally.cpu_ms = time.process_time() * 1_000
    return tally


if __name__ == "__main__":
    try:
        json.dump(asdict(drive(Plan(**json.load(sys.stdin)))), sys.stdout)
    except (LoadError, OSError) as broken:
        sys.exit(f"load: {broken}")
