"""A process for each execution: ``python -m benchmarks.peers.spawned node PORT`` (or ``deno``)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import trio

from benchmarks.peers import application

IN_NODE = "console.log(JSON.stringify((0, eval)(process.argv[1])))"
IN_DENO = Path(__file__).with_name("evaluate_in_deno.js")
DENO = str(Path(sys.executable).with_name("deno"))
AT_ONCE = 32
"""Processes; further requests wait."""


def command(runtime: str, code: str) -> list[str]:
    """What runs this code and prints its value. ``deno run`` gives it no permission at all."""
    if runtime == "node":
        return ["node", "-e", IN_NODE, code]
    return [DENO, "run", "--quiet", "--no-prompt", str(IN_DENO), code]


def main() -> None:
    """Serve until SIGTERM."""
    runtime, port = sys.argv[1:]
    places = trio.CapacityLimiter(AT_ONCE)
    environment = os.environ | {"DENO_NO_UPDATE_CHECK": "1", "NO_COLOR": "1"}

    async def evaluate(code: str, _session: str) -> str:
        async with places:
            ended = await trio.run_process(command(runtime, code), capture_stdout=True, env=environment)
        return ended.stdout.decode().rstrip()

    application.run(int(port), evaluate)


if __name__ == "__main__":
    main()
