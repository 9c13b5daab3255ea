"""WebSocket ``/api/sessions/{name}/stream``: what happens in a session, as it happens.

Each follower reads the log at its own pace, from the number that it has: a slow one falls behind and holds up
nobody, and none misses or repeats an event. What runs is shown before it is in the log, marked provisional:
the console of one execution at a time, so that a slow follower keeps little in memory.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import msgspec
import trio
from msgspec import UNSET, Meta, Struct, UnsetType
from quart import Response, websocket
from quart_trio import QuartTrio

from engine.errors import Busy, EngineError, InvalidField, NotFound, Unavailable
from engine.execution import Execution
from engine.feed import Follower
from transports import errors
from transports.identity import identity
from transports.rest.application import response
from transports.rest.event_pages import EncodedEvent, EventPages
from transports.rest.routes import decode_query
from transports.rest.stream_messages import Accepted, Alive, Begun, Closed, Console, Gone, Happened, Message
from transports.streamplaces import StreamPlaces

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

PATH = re.compile(r"/api/sessions/([^/]+)/stream")
MAX_STREAMS = 256
"""Followers at once."""
GATHER_SECONDS = 0.02
"""Between something that happens and a look at it: what is over by then needs no announcing."""
ALIVE_SECONDS = 30.0
"""Silence after which a message says that the server is still there."""

NORMAL, GOING_AWAY, UNEXPECTED, INTERNAL = 1000, 1001, 1003, 1011
"""Codes with which a stream is closed (RFC 6455, section 7.4.1)."""


class StreamQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """From where to follow."""

    after: (
        Annotated[
            int, Meta(description="Number of the last event that you have; -1 for all", ge=-1, le=10**15)
        ]
        | UnsetType
    ) = UNSET
    """Without it only what is new is told."""


class SessionStreams:
    """Serves the followers of all sessions. It takes them while ``run`` is open."""

    def __init__(self, engine: Supervisor) -> None:
        self._engine = engine
        self._pages = EventPages(engine)
        self._streams: set[trio.CancelScope] = set()
        self._places = StreamPlaces("followers of sessions")
        self._open = False

    def __len__(self) -> int:
        return len(self._streams)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Take followers; on the way out each is told that the server goes away."""
        self._open = True
        try:
            yield
        finally:
            self._open = False
            for scope in self._streams:
                scope.cancel()

    def add_to(self, app: QuartTrio) -> None:
        """Let the application serve them."""
        app.add_websocket("/api/sessions/<name>/stream", "follow_session", self._serve)

    async def _serve(self, name: str) -> Response | None:
        try:
            follower = await self._begin(name)
        except EngineError as error:
            return response(errors.engine_answer(error))
        code = GOING_AWAY
        with trio.CancelScope() as life, self._places.taken(identity(websocket.scope)):
            self._streams.add(life)
            try:
                await websocket.accept()
                code = await follower.serve()
            finally:
                self._streams.discard(life)
        await websocket.close(code, "")
        return None

    async def _begin(self, name: str) -> _Stream:
        """Raises EngineError."""
        if not self._open:
            raise Unavailable("the server is stopping")
        if (full := self._places.refusal(identity(websocket.scope), MAX_STREAMS)) is not None:
            raise Busy(full)
        query = decode_query(StreamQuery, websocket.query_string)
        owner = identity(websocket.scope).owner
        given = None if query.after is UNSET else query.after
        try:
            info = await self._engine.session(owner, name)
        except NotFound:
            if given not in (None, -1) or not self._engine.executions.under_way(owner, name):
                raise
            return _Stream(self._engine, self._pages, owner, name, None, -1)
        if given is not None and given > info.head_seq:
            raise InvalidField(f"the last event of session {name} is {info.head_seq}", field="after")
        after = info.head_seq if given is None else given
        return _Stream(self._engine, self._pages, owner, name, info.created_at, after)


class _Stream:
    """One follower of one session."""

    def __init__(
        self, engine: Supervisor, pages: EventPages, owner: str, name: str, created_at: int | None, after: int
    ) -> None:
        self._engine = engine
        self._pages = pages
        self._owner = owner
        self._name = name
        self._created_at = created_at
        """None while it has no event, since its first execution waits or runs."""
        self._after = after
        self._changes: int | None = None
        """``Feed.changes`` when the log was read last."""
        self._accepted: set[str] = set()
        """Executions that were announced, and of which neither an event nor their going was told."""
        self._recorded = ""
        """The execution whose event was told last: the engine may be about to say that it is over."""
        self._shown: Execution | None = None
        """The execution whose console is told."""
        self._lines = 0
        """Of it, told."""

    async def serve(self) -> int:
        """Tell what happens until the session is closed; the code to close the connection with."""
        code = NORMAL
        with self._engine.feed.follow(self._name) as follower:
            await _send(Begun(session=self._name, after=self._after))
            async with trio.open_nursery() as nursery:

                async def refuse() -> None:
                    nonlocal code
                    await websocket.receive()
                    code = UNEXPECTED  # there is nothing to say to a stream
                    nursery.cancel_scope.cancel()

                nursery.start_soon(refuse)
                try:
                    await self._follow(follower)
                    await _send(Closed())
                except EngineError as error:
                    errors.engine_answer(error)  # logs it
                    code = INTERNAL
                nursery.cancel_scope.cancel()
        return code

    async def _follow(self, follower: Follower) -> None:
        """Tell what happens until the session is closed. Raises StoreError."""
        while True:
            accepted, gone = self._look()
            shown = self._shown
            over = shown is not None and shown.done
            changed = None if shown is None else shown.changed
            for message in accepted:
                await _send(message)
            if not await self._tell_events():
                return
            for name in gone & self._accepted:
                await self._tell_gone(name)
            await self._tell_lines()
            if shown is not None and shown is self._shown and (over or shown.session != self._name):
                self._shown = self._changes = None  # its event would have been told by now
                await self._tell_gone(shown.id, shown.failure)
            if shown is self._shown:  # else the next one is to be looked at first
                await self._wait(follower, changed)

    def _look(self) -> tuple[list[Accepted], set[str]]:
        """Look at what waits and runs: what is to be announced, and what was and is no longer there."""
        under_way = {
            execution.id: execution
            for execution in self._engine.executions.under_way(self._owner, self._name)
            if execution.id != self._recorded
        }
        if self._shown is None and under_way:
            self._shown, self._lines = next(iter(under_way.values())), 0
        gone = self._accepted - under_way.keys()
        if self._shown is not None:
            gone.discard(self._shown.id)
        new = under_way.keys() - self._accepted
        self._accepted |= new
        accepted = [
            Accepted(execution_id=execution.id, code=execution.first_line)
            for execution in under_way.values()
            if execution.id in new
        ]
        return accepted, gone

    async def _tell_events(self) -> bool:
        """Tell the events that the log has and the client has not; whether the session is still there.

        Raises StoreError.
        """
        more = self._changes != (changes := self._engine.feed.changes)
        self._changes = changes
        while more:
            try:
                page = await self._pages.page(self._owner, self._name, self._after)
            except NotFound:
                return self._created_at is None and self._shown is not None
            self._created_at = self._created_at or page.created_at
            if page.created_at != self._created_at:
                return False
            for event in page.events:
                await self._tell_event(event)
            more = page.more
        return True

    async def _tell_event(self, event: EncodedEvent) -> None:
        name = event.execution_id
        if name is not None:
            if self._shown is not None and self._shown.id == name:
                await self._tell_lines()
                self._shown = None
            self._accepted.discard(name)
            self._recorded = name
        await _send(Happened(event=msgspec.Raw(event.json)))
        self._after = event.seq

    async def _tell_lines(self) -> None:
        """Tell the lines that the execution which is shown has printed by now."""
        shown = self._shown
        while shown is not None and shown.session == self._name and self._lines < len(shown.console):
            line = shown.console[self._lines]
            self._lines += 1
            await _send(Console(execution_id=shown.id, line=self._lines, level=line.level, text=line.text))

    async def _tell_gone(self, name: str, failure: Exception | None = None) -> None:
        self._accepted.discard(name)
        error = None
        if failure is not None:
            error = failure.message if isinstance(failure, EngineError) else "the server failed"
        await _send(Gone(execution_id=name, error=error))

    async def _wait(self, follower: Follower, changed: trio.Event | None) -> None:
        """Until something happens, or for a while: the end of an expired session is told by nobody."""
        with trio.move_on_after(ALIVE_SECONDS) as quiet:
            async with trio.open_nursery() as nursery:

                async def wake() -> None:
                    assert changed is not None
                    await changed.wait()
                    follower.wake()

                if changed is not None:
                    nursery.start_soon(wake)
                await follower.wait()
                nursery.cancel_scope.cancel()
        if quiet.cancelled_caught:
            self._changes = None
            await _send(Alive())
        else:
            await trio.sleep(GATHER_SECONDS)


async def _send(message: Message) -> None:
    await websocket.send(msgspec.json.encode(message).decode())
