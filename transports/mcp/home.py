"""The JavaScript session that an MCP connection has as its own: made by the connection's first call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio
from msgspec.structs import replace

from engine.errors import Busy, EngineError
from engine.execution import Execution, Submission

Submit = Callable[[Submission], Awaitable[Execution]]


class Home:
    """One connection's own session; it lives as long as the connection does."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        """Seconds that a call waits for the first one to name the session."""
        self._lock = trio.Lock()
        self._first: Execution | None = None
        self._name: str | None = None

    @property
    def name(self) -> str | None:
        """The session's name, as far as it has one."""
        return self._name if self._first is None else self._first.session

    async def submit(self, asked: Submission, submit: Submit) -> Execution:
        """Submit to the connection's own session; calls that come together get the same one."""
        async with self._lock:
            name = await self._known_name()
            if name is not None:
                return await submit(replace(asked, session=name))
            self._first = await submit(asked)
            return self._first

    async def _known_name(self) -> str | None:
        """The name of the session; None if there is none yet. Raises Busy."""
        first = self._first
        if first is None:
            return self._name
        try:
            report = await first.wait(0 if first.session else self._patience)
        except EngineError:
            self._first = None  # it made no session
            return self._name
        if report is not None:
            self._name, self._first = report.session, None
            return self._name
        if first.session is None:
            raise Busy("this connection's first call is still running; call again later")
        return first.session
