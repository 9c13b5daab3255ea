"""The plain ``MiniRacer`` class: ``python -m benchmarks.peers.racers PORT``.

One for each session, all in the process of the server.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from functools import partial

import trio
from py_mini_racer import MiniRacer

from benchmarks.peers import application
from benchmarks.peers.application import PATIENCE_SECONDS

THREADS = 32


@dataclass
class Session:
    """One context of V8, and whose turn it is."""

    racer: MiniRacer = field(default_factory=MiniRacer)
    turn: trio.Lock = field(default_factory=trio.Lock)


def main() -> None:
    """Serve until SIGTERM."""
    sessions: dict[str, Session] = {}
    threads = trio.CapacityLimiter(THREADS)

    async def evaluate(code: str, name: str) -> str:
        if name not in sessions:
            sessions[name] = Session()
        session = sessions[name]
        async with session.turn:
            execute = partial(session.racer.execute, code, timeout_sec=PATIENCE_SECONDS)
            value = await trio.to_thread.run_sync(execute, limiter=threads)
        return json.dumps(value, separators=(",", ":"))

    application.run(int(sys.argv[1]), evaluate)


if __name__ == "__main__":
    main()
