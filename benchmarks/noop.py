"""The yardstick: a stock Quart-Trio application on stock Hypercorn that does nothing.

``python -m benchmarks.noop PORT`` serves it on 127.0.0.1. It gets the very requests that the real
server gets, through the same HTTP stack, so a ratio to it says what an execution costs and not how
fast the machine is.
"""

from __future__ import annotations

import sys
from functools import partial

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart_trio import QuartTrio

app = QuartTrio(__name__)


@app.get("/readyz")
async def ready() -> dict[str, str]:
    """Whether it is up."""
    return {"status": "ready"}


@app.post("/api/exec")
async def execute() -> dict[str, str]:
    """The no-op: the body is received, and not looked at."""
    return {"status": "completed"}


if __name__ == "__main__":
    config = Config()
    config.bind = [f"127.0.0.1:{int(sys.argv[1])}"]
    trio.run(partial(serve, app, config))
