"""What the image and a container of it cost: bytes by layer, the time to a first answer, memory when idle.

The image is built of the checkout, under a name of this run's own, and removed at the end, as are its
containers.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.processes import COMMAND, Server, ServerError, free_port, smaps, stop

ROOT = Path(__file__).parent.parent
BASE = "debian:bookworm-slim"
"""What the Dockerfile puts the program on."""
PORT_INSIDE = 8080
BUILD_SECONDS = 900
COMMAND_SECONDS = 120
ANSWER_SECONDS = 60
Request = tuple[str, dict[str, object]]
"""A path, and the JSON to post to it."""
EXECUTE: Request = ("/api/exec", {"code": "1 + 2"})
OPEN_MCP: Request = (
    "/mcp",
    {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "bench", "version": "1"},
        },
    },
)
"""What of MCP is loaded late is loaded once this is answered."""
_UNITS = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_USED = ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes")
"""Where a container's group tells what it uses, in the versions 2 and 1 of the hierarchy."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer of the image that is not empty."""

    step: str
    """The step of the Dockerfile that made it."""
    size: float
    """Bytes, in three digits."""


@dataclass(frozen=True, kw_only=True)
class Idle:
    """Memory of a container, bytes, with one live session, once MCP was spoken."""

    proportional: int | None
    """The PSS of all its processes together; None where only root may look."""
    charged: int
    """What its control group is charged with, which has files that were read, too."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All of the section; times in seconds, sizes in bytes."""

    engine: str
    size: int
    base: int
    """What of that is Debian's."""
    layers: list[Layer]
    """Those on Debian's, the lowest first."""
    inside: list[float]
    """From ``run`` to the first answer of an execution, the store being empty, in each round."""
    outside: list[float]
    """The same from the start of the command."""
    idle: Idle


def found_engine() -> str | None:
    """``$CONTAINER_ENGINE``, or the engine that there is, if there is one."""
    asked = os.environ.get("CONTAINER_ENGINE")
    return next(filter(shutil.which, [asked] if asked else ["podman", "docker"]), None)


def measured(engine: str, folder: Path, rounds: int) -> Measured:
    """Build the image and measure, with stores in ``folder``. Raises ServerError if something fails."""
    name = f"mcp-v8-bench-{secrets.token_hex(4)}"
    _told(engine, "build", "-t", name, str(ROOT), seconds=BUILD_SECONDS)
    try:
        container = partial(_container, engine, name)
        for start in (container, partial(_command, folder / "first")):
            _first_answer(start)  # reads all files for the first time, which is another matter
        inside, outside = [], []
        for number in range(rounds):
            inside.append(_first_answer(container))
            outside.append(_first_answer(partial(_command, folder / f"cold-{number}")))
        return Measured(
            engine=engine,
            size=_size(engine, name),
            base=_size(engine, BASE),
            layers=_layers(engine, name),
            inside=inside,
            outside=outside,
            idle=_idle(engine, name),
        )
    finally:
        _told(engine, "rmi", "-f", name)


def parse_size(text: str) -> float:
    """The bytes of a size as engines print it: ``187 MB``, ``15.9kB``, ``0 B``. Raises ValueError."""
    found = re.fullmatch(r"([\d.]+) ?([kKMG]?B)", text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no size")
    return float(found[1]) * _UNITS[found[2]]


def parse_step(text: str) -> str:
    """The step of a Dockerfile, of what an engine's ``history`` says of it."""
    text = re.sub(r"\s*# buildkit$", "", text.strip())
    text = re.sub(r"^/bin/sh -c #\(nop\) ", "", text)
    text = re.sub(r"^(RUN )?/bin/sh -c ", "RUN ", text)
    text = re.sub(r"\b(file|dir|multi):\w+ in ", "", text)
    return " ".join(text.split())


def _size(engine: str, image: str) -> int:
    return int(_told(engine, "image", "inspect", "--format", "{{.Size}}", image))


def _layers(engine: str, image: str) -> list[Layer]:
    of_base = len(_history(engine, BASE))
    layers = _history(engine, image)[:-of_base]
    return [layer for layer in reversed(layers) if layer.size]


def _history(engine: str, image: str) -> list[Layer]:
    """All steps, the last one first."""
    told = _told(engine, "history", "--no-trunc", "--format", "{{.Size}}\t{{.CreatedBy}}", image)
    rows = (line.partition("\t") for line in told.splitlines())
    return [Layer(step=parse_step(step), size=parse_size(size)) for size, _, step in rows]


def _first_answer(start: Callable[[], AbstractContextManager[int]]) -> float:
    """Seconds from the start of a server to its first answer."""
    started = time.monotonic()
    with start() as port:
        _answer(port, *EXECUTE)
        return time.monotonic() - started


def _idle(engine: str, image: str) -> Idle:
    with _container(engine, image) as port:
        _answer(port, *EXECUTE)
        _answer(port, *OPEN_MCP)
        name = _name(image)
        first = int(_told(engine, "inspect", "--format", "{{.State.Pid}}", name))
        try:
            proportional = 1024 * (smaps(first)["Pss"] + Server(port, first).memory().proportional)
        except PermissionError:
            proportional = None
        charged = _told(engine, "exec", name, "sh", "-c", f"cat {' '.join(_USED)} 2>/dev/null; true")
        return Idle(proportional=proportional, charged=int(charged))


def _name(image: str) -> str:
    """Of the container of an image, of which there is one at a time."""
    return f"{image}-runs"


@contextmanager
def _container(engine: str, image: str) -> Iterator[int]:
    """The port of this machine that leads to a container's server, which may not listen yet."""
    port, name = free_port(), _name(image)
    try:
        _told(engine, "run", "-d", "--name", name, "-p", f"127.0.0.1:{port}:{PORT_INSIDE}", image)
        yield port
    finally:
        _told(engine, "rm", "-f", name)


@contextmanager
def _command(store: Path) -> Iterator[int]:
    """The port of a server outside of containers, which may not listen yet."""
    port = free_port()
    command = [COMMAND, "--http-port", str(port), "--directory-path", str(store)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield port
        finally:
            stop(process)


def _answer(port: int, path: str, body: dict[str, object]) -> None:
    """Ask until there is an answer. Raises ServerError if there is none, or one that is not 200."""
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
        try:
            connection.request("POST", path, json.dumps(body), headers)
            status = connection.getresponse().status
        except ConnectionError:  # not listening yet
            time.sleep(0.005)
            continue
        finally:
            connection.close()
        if status != http.HTTPStatus.OK:
            raise ServerError(f"POST {path} was answered with {status}")
        return
    raise ServerError(f"POST {path} was not answered within {ANSWER_SECONDS} s")


def _told(engine: str, *words: str, seconds: float = COMMAND_SECONDS) -> str:
    """What a command of the engine prints. Raises ServerError if it fails."""
    ended = subprocess.run(
        [engine, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if ended.returncode:
        raise ServerError(f"{engine} {' '.join(words)}\n{ended.stderr}")
    return ended.stdout.strip()
