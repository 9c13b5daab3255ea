"""A session on its way from one node of a cluster to another: what the engines of both do for that.

The one that has it makes a checkpoint, and gives it up; the other one has a worker ready by then, in the
state that its own log tells of. What is recorded in between it replays on that worker.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import trio

from engine.commands import Keep
from engine.debt import Debt
from engine.errors import EngineError
from engine.history import position_named
from engine.restoring import Ready, worker_at
from engine.session import ForkPoint
from engine.sessions import Sessions

KEEP_SECONDS = 5.0
"""For a checkpoint before a session is handed over: without it the other node replays."""


class HandOver:
    """Of one engine. ``started`` waits until it has workers, and raises Unavailable if it takes nothing."""

    def __init__(self, sessions: Sessions, started: Callable[[], Awaitable[None]]) -> None:
        self._sessions = sessions
        self._started = started

    # --- by the node that has it ----------------------------------------------------------------

    def is_awake(self, owner: str, name: str) -> bool:
        """Whether the session has a state here that another node would have to restore."""
        actor = self._sessions.actor(owner, name)
        return actor is not None and actor.awake

    async def keep(self, owner: str, name: str) -> None:
        """Make a checkpoint, where one is worth it; the session is in use meanwhile."""
        actor = self._sessions.actor(owner, name)
        if actor is not None and actor.is_worth_keeping:
            keep = Keep(lambda _: None)
            with suppress(EngineError), trio.move_on_after(KEEP_SECONDS):
                actor.post(keep)
                await keep.result()

    def give(self, owner: str, name: str) -> None:
        """Do nothing more in the session after what is being done: what waits in it goes to another node."""
        if (actor := self._sessions.actor(owner, name)) is not None:
            actor.hand_over()

    def let_go(self, owner: str, name: str) -> None:
        """Give the session up if nothing waits in it after what is being done. What waits is done here, since
        nobody else can be asked to: then this is to be said again.
        """
        if (actor := self._sessions.actor(owner, name)) is None:
            return
        if actor.awake:
            actor.retire()
        elif actor.idle:
            actor.hand_over()

    # --- by the node that shall have it ---------------------------------------------------------

    @asynccontextmanager
    async def ready(self, owner: str, name: str) -> AsyncIterator[None]:
        """In the block there is a worker in the session's state, as the log here has it, for when the session
        comes here. Raises what restoring raises.
        """
        await self._started()
        sessions = self._sessions
        position = await position_named(sessions.log, owner, name)
        if position is None:
            yield
            return
        point = ForkPoint(position.session, position.state_seq, position.state_id)
        debt = Debt.for_target(sessions.restore_target_seconds)
        worker = await worker_at(sessions, owner, name, point, debt, makes_checkpoints=False)
        ready = Ready(worker, point, debt)
        if (other := sessions.ready.pop((owner, name), None)) is not None:  # of a node that is lost since
            sessions.places.give_back(other.worker)
        sessions.ready[owner, name] = ready
        try:
            yield
        finally:
            if sessions.ready.get((owner, name)) is ready:
                del sessions.ready[owner, name]
                sessions.places.give_back(worker)

    async def take(self, owner: str, name: str) -> None:
        """Have the session, and let its worker wait for what is asked. Raises Elsewhere, Unavailable, ..."""
        await self._started()
        await self._sessions.have(owner, name)
