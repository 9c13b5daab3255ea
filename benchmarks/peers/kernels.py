"""A Jupyter kernel for each session: ``python -m benchmarks.peers.kernels PORT``.

The code is Python: ``ipykernel`` is the kernel that most use, and a notebook's session what is nearest to one
of this server's. Its clients block, so each request has a thread.
"""

from __future__ import annotations

import ast
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from typing import Any

import trio
from jupyter_client.manager import start_new_kernel

from benchmarks.peers import application
from benchmarks.peers.application import PATIENCE_SECONDS

THREADS = 32
STARTS_AT_ONCE = 2


class Kernel:
    """One kernel process and the client of it."""

    def __init__(self) -> None:
        self.turn = trio.Lock()
        self.manager: Any = None
        self.client: Any = None

    def start(self) -> None:
        """Start the process, and wait until it is ready."""
        no_history = ["--HistoryManager.enabled=False"]  # it is a file that all would share
        self.manager, self.client = start_new_kernel(
            startup_timeout=PATIENCE_SECONDS, extra_arguments=no_history
        )

    def execute(self, code: str) -> str:
        """Run code as a notebook does, and give its value as JSON. Raises ValueError if it has none."""
        shown: list[str] = []

        def show(message: dict[str, Any]) -> None:
            if message["msg_type"] == "execute_result":
                shown.append(message["content"]["data"]["text/plain"])

        self.client.execute_interactive(code, timeout=PATIENCE_SECONDS, output_hook=show, allow_stdin=False)
        if not shown:
            raise ValueError(f"{code!r} has no value")
        return json.dumps(ast.literal_eval(shown[0]), separators=(",", ":"))

    def stop(self) -> None:
        """End the process."""
        if self.client is not None:
            self.client.stop_channels()
            self.manager.shutdown_kernel(now=True)


def stop_all(kernels: dict[str, Kernel]) -> None:
    """End the processes."""
    for kernel in kernels.values():
        kernel.stop()


def main() -> None:
    """Serve until SIGTERM."""
    kernels: dict[str, Kernel] = {}
    threads = trio.CapacityLimiter(THREADS)
    starts = trio.CapacityLimiter(STARTS_AT_ONCE)

    async def evaluate(code: str, session: str) -> str:
        if session not in kernels:
            kernels[session] = Kernel()
        kernel = kernels[session]
        async with kernel.turn:
            if kernel.client is None:
                await trio.to_thread.run_sync(kernel.start, limiter=starts)
            return await trio.to_thread.run_sync(kernel.execute, code, limiter=threads)

    with ExitStack() as at_the_end:
        os.environ["IPYTHONDIR"] = at_the_end.enter_context(tempfile.TemporaryDirectory())
        at_the_end.callback(stop_all, kernels)
        application.run(int(sys.argv[1]), evaluate)


if __name__ == "__main__":
    main()
