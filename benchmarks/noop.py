"""The yardstick: a stock Quart-Trio application on stock Hypercorn that does nothing.

``python -m benchmarks.noop PORT`` serves it on 127.0.0.1. It gets the very requests that the real
server gets, through the same HTTP stack, so a ratio to it says what an execution costs and not how
fast the machine is. With ``raw`` behind the port it is an ASGI application without Quart, with ``bare`` the
same on this server's own connections: what that leaves of a request's time is not HTTP's.
"""

from __future__ import annotations

import sys
from functools import partial

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart_trio import QuartTrio

from transports import asgi, hypercorn_trio

app = QuartTrio(__name__)


@app.get("/readyz")
async def ready() -> dict[str, str]:
    """Whether it is up."""
    return {"status": "ready"}


@app.post("/api/exec")
async def execute() -> dict[str, str]:
    """The no-op: the body is received, and not looked at."""
    return {"status": "completed"}


async def bare(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    """The same no-op without Quart."""
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
    else:
        await asgi.read_body(scope, receive, 1 << 20)
        await asgi.send_answer(scope, send, asgi.JsonAnswer(200, b'{"status":"completed"}'))


async def serve_bare(port: int) -> None:
    """Serve ``bare`` until the process is ended."""
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    hot = hypercorn_trio.Hot(bare, lambda _, path: path == "/api/exec")
    await hypercorn_trio.serve(bare, hypercorn_trio.ServerConfig(), listeners, trio.Event(), hot=hot)


if __name__ == "__main__":
    port = int(sys.argv[1])
    if sys.argv[2:] == ["bare"]:
        trio.run(serve_bare, port)
    else:
        config = Config()
        config.bind = [f"127.0.0.1:{port}"]
        served = bare if sys.argv[2:] == ["raw"] else app
        trio.run(partial(serve, served, config))
