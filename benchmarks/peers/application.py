"""The HTTP of the peers that are in Python: a stock Quart-Trio application on stock Hypercorn, as the no-op.

``POST /api/exec`` takes ``code`` and ``session``, and answers with the fields ``status`` and ``result_json``
of this server's answer, so that one load fits them all.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from functools import partial

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import Response, request
from quart_trio import QuartTrio

Evaluate = Callable[[str, str], Awaitable[str]]
"""What runs code in a session, and gives its value as JSON."""

PATIENCE_SECONDS = 60
"""That one execution may take, with the start of what it needs, and of what all others need."""


def run(port: int, evaluate: Evaluate) -> None:
    """Serve on this port of 127.0.0.1 until SIGTERM."""
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    trio.run(partial(serve, application(evaluate), config, shutdown_trigger=terminated))


def application(evaluate: Evaluate) -> QuartTrio:
    """The application around what runs the code."""
    app = QuartTrio(__name__)

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/api/exec")
    async def execute() -> Response:
        asked = await request.get_json()
        with trio.fail_after(PATIENCE_SECONDS):
            value = await evaluate(asked["code"], asked.get("session", ""))
        body = f'{{"status":"completed","result_json":{value}}}'
        return Response(body, content_type="application/json")

    return app


async def terminated() -> None:
    """Wait for SIGTERM."""
    with trio.open_signal_receiver(signal.SIGTERM) as signals:
        await anext(aiter(signals))
