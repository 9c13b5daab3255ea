"""What is asked of a session beside running code: each takes its turn in the session's mailbox, and is done
whether or not anybody still waits for it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from engine import labels, looking
from engine.admission import Admission
from engine.catalog import SessionInfo, StateView
from engine.commands import Accept, Change, Delete, Fork, Keep, Kept, Look, Request, Tag
from engine.errors import Busy
from engine.events import Caller
from engine.feed import Feed
from engine.observer import Observers
from engine.sessions import Sessions, given_name
from engine.timetravel import TimeTravel
from engine.upkeep import Upkeep


class Requests:
    """Posts them to the sessions of one engine; ``started`` waits until there are workers."""

    def __init__(
        self,
        admission: Admission,
        started: Callable[[], Awaitable[None]],
        sessions: Sessions,
        past: TimeTravel,
        upkeep: Upkeep,
        observers: Observers,
        feed: Feed,
    ) -> None:
        self._admission = admission
        self._started = started
        self._sessions = sessions
        self._past = past
        self._upkeep = upkeep
        self._observers = observers
        self._feed = feed

    async def delete(self, owner: str, name: str, caller: Caller) -> SessionInfo:
        """End a session after what is queued in it; its name is free then. Its forks live on.

        Like ``accept``, ``fork``, ``tag`` and ``state`` it waits for its turn in the session, is done
        whether or not anybody waits, and raises NotFound, Busy, Unavailable or StoreError.
        """
        return await self._ask(owner, name, Delete(name, caller, self.answered))

    async def accept(self, owner: str, name: str, caller: Caller) -> SessionInfo:
        """Let a diverged session go on in the state that replaying its log gives, which takes a whole replay.

        Raises Conflict if it has not diverged, or its log cannot be replayed.
        """
        return await self._ask(owner, name, Accept(name, caller, self.answered))

    async def fork(
        self, owner: str, name: str, *, at: int | None, into: str | None, caller: Caller
    ) -> SessionInfo:
        """Begin a session, called ``into`` or by a new name, in the state of ``name@at``.

        A point of the past needs no turn. Raises InvalidField, or Conflict if the name is taken.
        """
        if into is not None:
            await self._sessions.check_free(owner, into)
        command = Fork(name, into or given_name(), caller, self.answered)
        if at is None:
            return await self._ask(owner, name, command)
        point = await self._sessions.catalog.state(owner, name, at)
        await self._started()
        with self._admission.asked(command):
            self._sessions.branch(owner, point, command)
        return await self._sessions.catalog.info((await command.result()).session)

    async def tag(
        self, owner: str, name: str, *, at: int | None, tags: dict[str, str | None], caller: Caller
    ) -> SessionInfo:
        """Label the state of ``name@at``; None takes a label away.

        Raises InvalidField, TooLarge, Conflict.
        """
        labels.check(tags)
        return await self._ask(owner, name, Tag(name, at, tags, caller, self.answered))

    async def checkpoint(self, owner: str, name: str) -> Kept:
        """Make a checkpoint of a session's state now, whatever it costs, unless there is one.

        It is begun in its turn in the session, which goes on meanwhile. Raises what ``accept`` does, and
        Conflict where the state cannot be restored.
        """
        command = Keep(self.answered)
        with self._admission.asked(command):
            await self._started()
            await self._sessions.post(owner, name, command)
        return await command.result()

    async def state(
        self, owner: str, name: str, *, at: int | None, preview_chars: int = looking.PREVIEW_CHARS
    ) -> StateView:
        """The variables at ``name@at``, with previews of so many characters, at most ``MAX_PREVIEW_CHARS``.

        Nothing of it is recorded. A point of the past needs no turn.

        Raises Conflict where the state cannot be restored, TooLarge where there is too much to describe, or
        to replay for a point of the past, Busy where the session, or a place, does not come to it soon.
        """
        sessions = self._sessions
        preview_chars = min(preview_chars, looking.MAX_PREVIEW_CHARS)
        point = None if at is None else await sessions.catalog.state(owner, name, at)
        if point is None or await sessions.at_rest(owner, name, point):
            view = await self._look(owner, name, preview_chars)
            if point is None or view.heap == point.id.hex():  # else it has moved on meanwhile
                return view
        return await self._past.state(owner, name, point, preview_chars)

    async def _ask(self, owner: str, name: str, command: Delete | Accept | Fork | Tag) -> SessionInfo:
        """Post a command and wait for it; the session that it made or changed."""
        with self._admission.asked(command):
            await self._started()
            await self._sessions.post(owner, name, command)
        return await self._sessions.catalog.info((await command.result()).session)

    async def _look(self, owner: str, name: str, preview_chars: int) -> StateView:
        """Let the session show its variables, as long as somebody waits for that."""
        look = Look(preview_chars, self.answered)
        with self._admission.asked(look):
            await self._started()
            await self._sessions.post(owner, name, look)
        try:
            with trio.move_on_after(looking.PATIENCE_SECONDS):
                return await look.result()
        finally:
            look.wanted = False
        raise Busy(
            f"session {name} did not come to show its variables within {looking.PATIENCE_SECONDS:g} s, since "
            "it runs code or is being rebuilt: try again later",
            field="session",
        )

    def answered(self, command: Request[Any]) -> None:
        """It is over: whom that concerns is told."""
        self._admission.forget(command)
        if isinstance(command, Change):
            if not command.is_elsewhere:
                self._observers.changed(command)
            self._feed.recorded(command.session)
        if isinstance(command, Delete):
            self._upkeep.deleted()
