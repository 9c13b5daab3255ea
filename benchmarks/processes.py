"""Servers as processes: starting and stopping them, and what ``/proc`` says of them.

CPU times are cumulative and in milliseconds (the kernel counts in steps of 10), memory is in KiB.
"""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_WITHIN = 60
"""Seconds a server may take until it is ready: the first start builds the base image."""
STOP_WITHIN = 20
"""Seconds it may take to end after SIGTERM."""

TICK_MS = 1_000 / os.sysconf("SC_CLK_TCK")
COMMAND = str(Path(sys.executable).with_name("mcp-v8"))


class ServerError(Exception):
    """A server did not become ready, or did not end as it should."""


@dataclass(frozen=True)
class Cpu:
    """CPU time by kind of process, ms."""

    server: float
    zygote: float = 0.0
    workers: float = 0.0

    def __sub__(self, earlier: Cpu) -> Cpu:
        return Cpu(self.server - earlier.server, self.zygote - earlier.zygote, self.workers - earlier.workers)


@dataclass(frozen=True)
class Memory:
    """Memory of all processes below the server together, KiB."""

    private: int
    """Pages that no other process has."""
    proportional: int
    """The same, plus a fair share of those that several have."""


@dataclass(frozen=True)
class Stat:
    """The part of ``/proc/PID/stat`` that matters here."""

    parent: int
    own_ms: float
    reaped_ms: float
    """CPU time of the children that have ended and been waited for."""


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    pid: int

    def cpu(self) -> Cpu:
        """CPU time so far. That of processes that have ended stays counted, as workers'."""
        stats = all_stats()
        zygotes = {pid for pid, stat in stats.items() if stat.parent == self.pid}
        workers = descendants(self.pid, stats) - zygotes
        return Cpu(
            server=stats[self.pid].own_ms,
            zygote=sum(stats[pid].own_ms for pid in zygotes),
            workers=sum(stats[pid].own_ms + stats[pid].reaped_ms for pid in workers)
            + sum(stats[pid].reaped_ms for pid in zygotes)
            + stats[self.pid].reaped_ms,
        )

    def memory(self) -> Memory:
        """Memory of the zygote and the workers. Raises PermissionError where only root may look."""
        private = proportional = 0
        for pid in descendants(self.pid, all_stats()):
            try:
                fields = smaps(pid)
            except (FileNotFoundError, ProcessLookupError):  # ended since
                continue
            private += fields["Private_Clean"] + fields["Private_Dirty"]
            proportional += fields["Pss"]
        return Memory(private, proportional)


def all_stats() -> dict[int, Stat]:
    """Every process of the machine, by pid."""
    stats = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):  # ended since
            continue
        fields = text[text.rindex(")") + 2 :].split()  # the name before it may contain anything
        user, system, reaped_user, reaped_system = (int(field) for field in fields[11:15])
        stats[int(folder.name)] = Stat(
            parent=int(fields[1]),
            own_ms=(user + system) * TICK_MS,
            reaped_ms=(reaped_user + reaped_system) * TICK_MS,
        )
    return stats


def descendants(root: int, stats: dict[int, Stat]) -> set[int]:
    """The processes below ``root``."""
    found: set[int] = set()
    layer = {root}
    while layer:
        layer = {pid for pid, stat in stats.items() if stat.parent in layer}
        found |= layer
    return found


def smaps(pid: int) -> dict[str, int]:
    """The sums of ``/proc/PID/smaps_rollup``, KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {name: int(value.split()[0]) for name, value in (line.split(":") for line in lines)}


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def noop_server(*mode: str) -> Iterator[Server]:
    """The stock no-op application, or with ``raw`` or ``bare`` another one: see ``benchmarks.noop``."""
    port = free_port()
    with serving([sys.executable, "-m", "benchmarks.noop", str(port), *mode], port) as server:
        yield server


@contextmanager
def mcp_v8(*flags: str) -> Iterator[Server]:
    """The real server, with these flags beside the port."""
    port = free_port()
    with serving([COMMAND, "--http-port", str(port), *flags], port) as server:
        yield server


def settle(port: int) -> None:
    """Have a server import MCP's SDK: a second of computing, which it does soon after its start anyway."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_WITHIN)
    connection.request("POST", "/mcp", b"{}", {"Content-Type": "application/json"})
    connection.getresponse().read()  # whatever it says
    connection.close()


@contextmanager
def serving(command: Sequence[str], port: int) -> Iterator[Server]:
    """A server for the duration of the block; its log is shown only if it fails.

    Raises ServerError if it does not become ready, or has to be killed at the end.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            if not answers(process, port):
                log.seek(0)
                raise ServerError(f"{' '.join(command)} did not become ready:\n{log.read().decode()}")
            yield Server(port, process.pid)
        finally:
            stop(process)


def answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait for the server to say that it is ready; False when it ends or takes too long."""
    deadline = time.monotonic() + START_WITHIN
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return True
        except (ConnectionError, TimeoutError):
            pass  # not listening yet
        finally:
            connection.close()
        time.sleep(0.05)
    return False


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server with SIGTERM, or, with an error, with SIGKILL."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise ServerError(f"a server did not end within {STOP_WITHIN} s of SIGTERM") from None
