"""Crowds of clients that load a server in one way or another, each in a process of its own.

``Crowd`` starts that process; ``python -m benchmarks.crowd`` is it: a plan as JSON on stdin, a line on stdout
once all clients are under way, and at the end how much was answered. It ends by itself.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from benchmarks import load, mcp_requests

Kind = Literal["flood", "event streams", "followers", "slow readers", "reconnects", "half-open heads"]

GATHER_SECONDS = 30
"""What a crowd may take until all of it is under way."""
SMALL_BUFFER = 4_096
"""Bytes that the kernel keeps for a client that reads nothing."""
LARGE = "for (let i = 0; i < 900; i++) console.log('x'.repeat(1000))"
"""Prints nearly as much as is kept."""
FOLLOW = (
    "GET /api/sessions/{session}/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HALF_A_HEAD = "POST /api/exec HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Ty"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One crowd."""

    kind: Kind
    port: int
    count: int
    """Clients; reconnects come from one after the other."""
    seconds: float
    """How long it lasts once it is under way."""
    session: str
    """What is followed."""


class Crowd:
    """A crowd that is under way. Raises LoadError if it does not come to that."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.crowd"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent.parent,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(plan)))
        self._process.stdin.close()
        self._process.stdin = None
        if not self._process.stdout.readline():  # it says so, or ends
            self.finish()

    def finish(self) -> float:
        """At its end, the requests of it that were answered in a second.

        Raises LoadError if it was not served as it should be.
        """
        try:
            out, err = self._process.communicate(timeout=self._plan.seconds + GATHER_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise load.LoadError(f"{self._plan.kind}: they did not end") from None
        if self._process.returncode:
            raise load.LoadError(f"{self._plan.kind}: {err.strip()}")
        per_second: float = json.loads(out)
        return per_second


def flood(plan: Plan) -> float:
    """Executions in a closed loop, a session for each client."""
    requests = [load.post({"code": "1 + 1", "session": f"flood-{i}"}) for i in range(plan.count)]
    loop = load.Plan(port=plan.port, requests=requests, expect='"completed"', seconds=0, most=plan.count)
    load.drive(loop)  # makes the sessions
    _under_way()
    tally = load.drive(
        load.Plan(port=plan.port, requests=requests, expect='"completed"', seconds=plan.seconds)
    )
    return tally.per_second


def event_streams(plan: Plan) -> float:
    """MCP sessions whose clients listen to what the server tells on its own, which is nothing."""
    sessions = [mcp_requests.open_session(plan.port) for _ in range(plan.count)]
    return _listen([_asked(plan.port, mcp_requests.listen(session)) for session in sessions], plan.seconds)


def followers(plan: Plan) -> float:
    """WebSockets that tell what happens in the session."""
    request = FOLLOW.format(session=plan.session)
    return _listen([_asked(plan.port, request) for _ in range(plan.count)], plan.seconds)


def slow_readers(plan: Plan) -> float:
    """Clients who ask for a large answer and read nothing of it."""
    connection = http.client.HTTPConnection("127.0.0.1", plan.port, timeout=load.PATIENCE)
    connection.request("POST", "/api/exec", json.dumps({"code": LARGE}), {"Content-Type": "application/json"})
    name = json.loads(connection.getresponse().read())["execution_id"]
    connection.close()
    request = load.get(f"/api/executions/{name}/events")
    readers = [_asked(plan.port, request, buffer=SMALL_BUFFER) for _ in range(plan.count)]
    _await(readers)
    _under_way()
    time.sleep(plan.seconds)
    return 0.0


def reconnects(plan: Plan) -> float:
    """Clients who connect, open an MCP session and are gone, one after the other."""
    request = mcp_requests.initialize().encode()
    _under_way()
    began = time.monotonic()
    count = 0
    while time.monotonic() < began + plan.seconds:
        connection = load.Connection(plan.port, request)
        connection.socket.settimeout(load.PATIENCE)
        connection.send(count)
        while (head := connection.receive()) is None:
            pass
        connection.socket.close()
        if b"\r\nmcp-session-id:" not in head:
            raise load.LoadError(f"no session was opened: {head!r}")
        count += 1
    return count / (time.monotonic() - began)


def half_open(plan: Plan) -> float:
    """Connections that begin a request and say no more."""
    kept = [_asked(plan.port, HALF_A_HEAD) for _ in range(plan.count)]
    _under_way()
    time.sleep(plan.seconds)
    for connection in kept:
        connection.close()
    return 0.0


CROWDS: dict[Kind, Callable[[Plan], float]] = {
    "flood": flood,
    "event streams": event_streams,
    "followers": followers,
    "slow readers": slow_readers,
    "reconnects": reconnects,
    "half-open heads": half_open,
}


def _under_way() -> None:
    """Say that all clients are there."""
    sys.stdout.write("under way\n")
    sys.stdout.flush()


def _asked(port: int, request: str, buffer: int | None = None) -> socket.socket:
    """A connection that has sent a request, with so small a buffer for the answer."""
    connection = socket.socket()
    if buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    connection.settimeout(load.PATIENCE)
    connection.connect(("127.0.0.1", port))
    connection.sendall(request.encode())
    return connection


def _await(connections: Iterable[socket.socket]) -> None:
    """Until each has something to read. Raises LoadError."""
    deadline = time.monotonic() + GATHER_SECONDS
    for connection in connections:
        if not select.select([connection], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise load.LoadError(f"some were not answered within {GATHER_SECONDS} s")


def _listen(connections: list[socket.socket], seconds: float) -> float:
    """Check that all are streams, and read what comes. Raises LoadError, also if one is ended."""
    _await(connections)
    for connection in connections:
        head = connection.recv(1 << 16)
        if head.split(b" ", 2)[1] not in (b"101", b"200"):
            raise load.LoadError(f"a stream was refused: {head!r}")
    _under_way()
    poll = select.epoll()
    by_fd = {connection.fileno(): connection for connection in connections}
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for fd, _ in poll.poll(left):
            if not by_fd[fd].recv(1 << 16):
                raise load.LoadError("a stream was ended")
    return 0.0


if __name__ == "__main__":
    try:
        told = Plan(**json.load(sys.stdin))
        json.dump(CROWDS[told.kind](told), sys.stdout)
    except (load.LoadError, OSError) as broken:
        sys.exit(f"crowd: {broken}")
