"""The doors of MCP, opened when they are needed, or when a server has been up for a moment.

The official SDK takes a second of computing to import, for which REST need not wait, nor a server that is
gone before anybody speaks MCP to it. Whoever comes before the doors are open waits for them.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from engine.errors import Unavailable
from transports import asgi, errors
from transports.mcp.document import Document
from transports.mcp.paths import PATH, POST_PATH, STREAM_PATH
from transports.mcp.refusal import as_json_rpc
from transports.settings import HttpSettings

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

_log = logging.getLogger(__name__)

OpenDoors = Callable[
    ["Supervisor", HttpSettings, Sequence[Document]],
    AbstractAsyncContextManager[Mapping[str, asgi.Application]],
]

OPEN_AFTER_SECONDS: Final = 2.0
"""Time that the first requests of a server have for themselves: an import slows down what runs beside it."""
SWITCH_SECONDS: Final = 0.0002
"""After which the import lets other threads go on: Python's own 5 ms would be a pause for each of the dozen
times that an execution waits for one of them."""
RETRY_SECONDS: Final = 2.0
"""Between two attempts to import the SDK, where one has failed."""
_SHORTAGE: Final = os.strerror(errno.EMFILE)
PATIENCE_SECONDS: Final = 30.0
"""What a request waits for the doors."""


class LateDoors:
    """ASGI applications for the paths of MCP. They serve while ``run`` is open."""

    def __init__(self, engine: Supervisor, settings: HttpSettings, documents: Sequence[Document]) -> None:
        self._engine = engine
        self._settings = settings
        self._documents = documents
        self._doors: Mapping[str, asgi.Application] = {}
        self._wanted, self._opened, self._closing = trio.Event(), trio.Event(), trio.Event()

    @property
    def applications(self) -> dict[str, asgi.Application]:
        """What serves each path: ``/mcp/`` too, as some clients write it, and SSE where that is asked for."""
        paths = {PATH: PATH, f"{PATH}/": PATH}
        if self._settings.sse:
            paths |= {STREAM_PATH: STREAM_PATH, POST_PATH: POST_PATH}
        return {path: partial(self._serve, door) for path, door in paths.items()}

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Take requests; on the way out calls are answered, then every MCP session and its streams end."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._open)
            yield
            self._closing.set()
            if not self._opened.is_set():
                nursery.cancel_scope.cancel()

    async def _open(self) -> None:
        with trio.move_on_after(OPEN_AFTER_SECONDS):
            await self._wanted.wait()
        open_doors = await _imported()
        async with open_doors(self._engine, self._settings, self._documents) as self._doors:
            self._opened.set()
            await self._closing.wait()

    async def _serve(self, door: str, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        self._wanted.set()
        with trio.move_on_after(PATIENCE_SECONDS):
            await self._opened.wait()
        if self._opened.is_set():
            await self._doors[door](scope, receive, send)
        else:
            late = errors.engine_answer(Unavailable("MCP is not there yet: try again later"))
            await asgi.send_answer(scope, send, as_json_rpc(late))


async def _imported() -> OpenDoors:
    """What opens the doors, as soon as it can be had: while no more files may be open nothing is imported.

    Raises ImportError where that is not what is wrong.
    """
    while True:
        try:
            return await trio.to_thread.run_sync(_import)
        except (OSError, ImportError) as failed:  # a library that cannot be opened is an ImportError
            if isinstance(failed, ImportError) and _SHORTAGE not in str(failed):
                raise
            _log.error("MCP cannot be served yet, and its clients wait: %s", failed)
        await trio.sleep(RETRY_SECONDS)


def _import() -> OpenDoors:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        from transports.mcp.doors import open_doors
    finally:
        sys.setswitchinterval(usual)

    return open_doors
