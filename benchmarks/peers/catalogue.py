"""The peers: how each is started, and what a user of it has and has not.

This server itself is among them, with sessions and without, and the no-op, which is what HTTP alone costs.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.spawned import DENO
from benchmarks.processes import COMMAND

FOLDER = Path(__file__).parent
IN_NODE = ("node", "--no-node-snapshot")
"""isolated-vm needs that flag since Node.js 20."""
PROBE_SECONDS = 60
VERSION = re.compile(r"\d+(\.\d+)+")


class Missing(Exception):
    """A peer is not installed here."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """Something that runs code, behind the same route."""

    name: str
    command: tuple[str, ...]
    """Starts it, once the port is put behind; ``{folder}`` is an empty one."""
    probe: tuple[str, ...] = ("true",)
    """Succeeds where it is installed, and prints its version."""
    python: bool = False
    """It runs Python, not JavaScript."""
    state: bool
    """It has sessions: variables stay for the next execution."""
    durable: str
    """Whether they are there after ``kill -9``."""
    apart: str
    """What keeps one client's code from another's."""
    confined: str
    """What keeps the code from the files and the network of the machine."""
    limits: str
    """What of time and memory has a limit."""


def module(name: str, *arguments: str) -> tuple[str, ...]:
    """The command of a peer in Python."""
    return (sys.executable, "-m", f"benchmarks.peers.{name}", *arguments)


NOOP = Peer(
    name="no-op: runs nothing",
    command=(sys.executable, "-m", "benchmarks.noop"),
    state=False,
    durable="–",
    apart="–",
    confined="–",
    limits="–",
)
DURABLE = Peer(
    name="mcp-v8",
    command=(COMMAND, "--directory-path", "{folder}", "--http-port"),
    state=True,
    durable="yes",
    apart="a process each",
    confined="V8, and the kernel's sandbox",
    limits="time, memory",
)
STATELESS = Peer(
    name="mcp-v8 `--stateless`",
    command=(COMMAND, "--stateless", "--http-port"),
    state=False,
    durable="–",
    apart="a process each",
    confined="V8, and the kernel's sandbox",
    limits="time, memory",
)
CONTEXTS = Peer(
    name="Node.js, `vm` contexts in a server",
    command=(*IN_NODE, str(FOLDER / "contexts.mjs")),
    probe=("node", "--version"),
    state=True,
    durable="no",
    apart="nothing",
    confined="nothing",
    limits="time",
)
ISOLATES = Peer(
    name="`isolated-vm` in a server",
    command=(*IN_NODE, str(FOLDER / "isolates.mjs")),
    probe=(*IN_NODE, "-p", "require('isolated-vm'); require('isolated-vm/package.json').version"),
    state=True,
    durable="no",
    apart="an isolate each",
    confined="V8",
    limits="time, memory",
)
RACERS = Peer(
    name="`MiniRacer` in a server",
    command=module("racers"),
    state=True,
    durable="no",
    apart="an isolate each",
    confined="V8",
    limits="time",
)
KERNELS = Peer(
    name="Jupyter, `ipykernel` for each session",
    command=module("kernels"),
    probe=(sys.executable, "-c", "import ipykernel, jupyter_client; print(ipykernel.__version__)"),
    python=True,
    state=True,
    durable="no",
    apart="a process each",
    confined="nothing",
    limits="none",
)
NODE = Peer(
    name="`node -e` for each execution",
    command=module("spawned", "node"),
    probe=("node", "--version"),
    state=False,
    durable="–",
    apart="a process each",
    confined="nothing",
    limits="none",
)
DENO_RUN = Peer(
    name="`deno run` for each execution",
    command=module("spawned", "deno"),
    probe=(DENO, "--version"),
    state=False,
    durable="–",
    apart="a process each",
    confined="V8, and Deno's permissions",
    limits="none",
)
PEERS = (NOOP, DURABLE, STATELESS, CONTEXTS, ISOLATES, RACERS, KERNELS, NODE, DENO_RUN)


def version(peer: Peer) -> str:
    """The version that its probe prints, if it prints one. Raises Missing, with the reason."""
    try:
        ended = subprocess.run(
            peer.probe, cwd=FOLDER, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
    except FileNotFoundError as missing:
        raise Missing(f"no {Path(peer.probe[0]).name}") from missing
    if ended.returncode:
        said = [line for line in ended.stderr.splitlines() if "Error" in line]
        raise Missing(said[-1] if said else f"exit status {ended.returncode}")
    found = VERSION.search(ended.stdout)
    return "" if found is None else found[0]
