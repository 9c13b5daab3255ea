"""A load that arrives at a constant rate, whatever becomes of it: an open loop.

Users do not wait for each other, so neither do these requests: when each is due is fixed beforehand, and its
latency counts from then, also where the server, or this client, was late to take it. A closed loop leaves
that out: what is slow there is asked less.

An execution is submitted and then followed to its end, as the clients of the Rust mcp-v8 do, or asked for
and answered in one request. One that fails, is refused, or is not over within ``PATIENCE_SECONDS`` of when it
was due, counts as having taken that long.

``run`` starts a process for it; ``python -m benchmarks.arrivals`` is it: a plan as JSON on stdin, what came
of it as JSON on stdout.
"""

from __future__ import annotations

import json
import random
import re
import select
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field

from benchmarks import load
from benchmarks.load import Connection, LoadError
from benchmarks.snippets import SNIPPETS

PATIENCE_SECONDS = 10.0
MOST_CONNECTIONS = 900
"""The server takes 1,000; an arrival for which none is free waits, and the time counts."""
RUNNING = b'"status":"running"'
COMPLETED = b'"status":"completed"'
EXECUTION = re.compile(rb'"execution_id":"([^"]+)"')


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One load."""

    port: int
    rate: float
    """Executions a second."""
    seconds: float
    seed: int
    """Of what each of them is."""
    sessions: int = 0
    """Each goes to one of that many sessions at random; 0: they name none."""
    follow: bool = True
    """Submitted, then followed; False: answered in one request."""


@dataclass(frozen=True)
class Arrival:
    """One execution that is asked for."""

    due_ns: int
    """When, from the beginning of the load."""
    request: bytes
    expect: bytes
    """What the answer must contain once it is completed."""


@dataclass(kw_only=True)
class Outcome:
    """What came of a load."""

    asked: int
    latencies_us: list[int] = field(default_factory=list)
    """From when they were due to their end, of those that were completed in time."""
    late_us: list[int] = field(default_factory=list)
    """How long after they were due they were sent."""
    failures: dict[str, int] = field(default_factory=dict)
    """The others, by why: the status of HTTP or of the execution, or "late"."""
    seconds: float = 0.0
    """From the beginning to the last answer in time."""
    cpu_ms: float = 0.0
    """CPU time of the client."""

    @property
    def success(self) -> float:
        """The share that was completed in time."""
        return len(self.latencies_us) / self.asked

    @property
    def per_second(self) -> float:
        """Executions completed in a second."""
        return len(self.latencies_us) / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Milliseconds within which ``share`` of all were completed; the patience if so many were not."""
        failed = self.asked - len(self.latencies_us)
        return load.percentile(self.latencies_us + [int(PATIENCE_SECONDS * 1e6)] * failed, share)


def schedule(plan: Plan) -> list[Arrival]:
    """When what is asked for: equal distances, a random snippet each, the same for the same seed."""
    chance = random.Random(plan.seed)  # noqa: S311 (of no use to an attacker)
    headers = {"prefer": "respond-async"} if plan.follow else {}
    arrivals = []
    for number in range(round(plan.rate * plan.seconds)):
        snippet = chance.choice(SNIPPETS)
        body = {"code": snippet.javascript}
        if plan.sessions:
            body["session"] = f"open-{chance.randrange(plan.sessions)}"
        request = load.post(body, **headers).encode()
        arrivals.append(Arrival(round(number * 1e9 / plan.rate), request, snippet.expect.encode()))
    return arrivals


def run(plan: Plan) -> Outcome:
    """Carry out the plan in a process of its own. Raises LoadError."""
    return Outcome(**load.apart("benchmarks.arrivals", plan, plan.seconds))


@dataclass
class Flight:
    """One arrival that is under way on a connection."""

    connection: Connection
    arrival: Arrival


class Generator:
    """The client: connections that are free, and those on which an answer is waited for."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.poll = select.epoll()
        self.free: list[Connection] = []
        self.flights: dict[int, Flight] = {}
        self.failures: Counter[str] = Counter()
        self.started_ns = 0
        self.last_ns = 0

    def drive(self) -> Outcome:
        """Send all that is due, and wait for the answers. Raises LoadError for a wrong one."""
        arrivals = schedule(self.plan)
        outcome = Outcome(asked=len(arrivals))
        waiting = arrivals[::-1]
        end = arrivals[-1].due_ns + int(PATIENCE_SECONDS * 1e9)
        self.started_ns = time.perf_counter_ns()
        while waiting or self.flights:
            now = self.now()
            if now >= end:
                break
            while waiting and waiting[-1].due_ns <= now and self.has_connection():
                arrival = waiting.pop()
                outcome.late_us.append((self.now() - arrival.due_ns) // 1_000)
                self.send(self.connection(), arrival, arrival.request)
            self.wait(waiting[-1].due_ns if waiting and self.has_connection() else end)
            self.collect(outcome)
        self.failures["late"] += outcome.asked - len(outcome.latencies_us) - self.failures.total()
        outcome.failures = dict(+self.failures)
        outcome.seconds = self.last_ns / 1e9
        outcome.cpu_ms = time.process_time() * 1_000
        return outcome

    def now(self) -> int:
        """Nanoseconds since the beginning."""
        return time.perf_counter_ns() - self.started_ns

    def has_connection(self) -> bool:
        """Whether there is one, or may be made one, for another execution."""
        return bool(self.free) or len(self.flights) < MOST_CONNECTIONS

    def connection(self) -> Connection:
        """The one that was used last, or a new one."""
        if self.free:
            return self.free.pop()
        connection = Connection(self.plan.port)
        self.poll.register(connection.socket, select.EPOLLIN)
        return connection

    def send(self, connection: Connection, arrival: Arrival, request: bytes) -> None:
        """Send one request of an execution."""
        self.flights[connection.socket.fileno()] = Flight(connection, arrival)
        connection.repeat(request)
        connection.send(0)

    def wait(self, until_ns: int) -> None:
        """Wait for an answer, not longer than until then. (epoll itself counts in milliseconds.)"""
        select.select([self.poll], [], [], max(0, until_ns - self.now()) / 1e9)

    def collect(self, outcome: Outcome) -> None:
        """Take what has arrived."""
        for fd, _ in self.poll.poll(0):
            flight = self.flights.get(fd)
            if flight is None:  # the server ended a connection that nothing was asked on
                self.drop(next(free for free in self.free if free.socket.fileno() == fd))
                continue
            head = flight.connection.receive()
            if head is not None:
                del self.flights[fd]
                self.answered(flight, head, outcome)

    def drop(self, connection: Connection) -> None:
        """Close a connection, free or not."""
        if connection in self.free:
            self.free.remove(connection)
        self.poll.unregister(connection.socket)
        connection.socket.close()

    def answered(self, flight: Flight, head: bytes, outcome: Outcome) -> None:
        """Count an answer, or ask on."""
        connection, arrival = flight.connection, flight.arrival
        answer = connection.answer
        if b"\r\nconnection: close" in head:
            self.drop(connection)
        else:
            self.free.append(connection)
        status = head.split(b" ", 2)[1].decode()
        if status in ("200", "202") and RUNNING in answer:
            found = EXECUTION.search(answer)
            assert found is not None
            path = f"/api/executions/{found[1].decode()}?wait={PATIENCE_SECONDS:g}"
            self.send(self.connection(), arrival, load.get(path).encode())
        elif status != "200":
            self.failures[status] += 1
        elif COMPLETED not in answer:
            self.failures["not completed"] += 1
        elif arrival.expect not in answer:
            raise LoadError(f"not the answer expected: {answer[:2_000].decode()}")
        else:
            took = self.now() - arrival.due_ns
            if took <= PATIENCE_SECONDS * 1e9:
                self.last_ns = self.now()
                outcome.latencies_us.append(took // 1_000)


if __name__ == "__main__":
    try:
        json.dump(asdict(Generator(Plan(**json.load(sys.stdin))).drive()), sys.stdout)
    except (LoadError, OSError) as broken:
        sys.exit(f"arrivals: {broken}")
