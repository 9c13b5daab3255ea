"""What other nodes of a cluster ask about sessions of this one's engine, and tell it of them.

``engine.nodes`` is what the engine asks of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from engine.admission import Admission
from engine.catalog import SessionInfo
from engine.commands import Accept, Bury, Command, Delete, Fork, Keep, Look, Request, Tag
from engine.sessions import Sessions

C = TypeVar("C", bound=Accept | Bury | Delete | Fork | Keep | Look | Tag)


class Peers:
    """For one engine. ``started`` waits until it has workers; ``answered`` is told of what is over."""

    def __init__(
        self,
        admission: Admission,
        started: Callable[[], Awaitable[None]],
        sessions: Sessions,
        answered: Callable[[Request[Any]], None],
    ) -> None:
        self._admission = admission
        self._started = started
        self._sessions = sessions
        self._answered = answered

    async def take(self, owner: str, name: str, command: Command) -> None:
        """Post here what was accepted and was to be another node's. Raises Elsewhere, NotFound, Busy, ..."""
        await self._sessions.post(owner, name, command, here=True)

    async def post(self, owner: str, name: str, make: Callable[[Callable[[Request[Any]], None]], C]) -> C:
        """Post here what another node accepted; the command, which is made with what it tells when it is
        done.

        Raises Elsewhere, NotFound, Busy, Unavailable.
        """
        command = make(self._answered)
        with self._admission.asked(command):
            await self._started()
            if isinstance(command, Bury):
                await self._sessions.bury(owner, name, command)
            else:
                await self._sessions.post(owner, name, command, here=True)
        return command

    async def session(self, owner: str, name: str) -> SessionInfo:
        """A session as this node knows it. Raises NotFound."""
        return await self._sessions.catalog.session(owner, name)

    def counted(self, owner: str, change: int) -> None:
        """Another node has begun or closed a session of that owner."""
        self._sessions.owners.note(owner, change)

    def lose(self, owner: str, name: str) -> None:
        """Another node may have the session now."""
        self._sessions.lose(owner, name)
