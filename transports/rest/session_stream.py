"""WebSocket ``/api/sessions/{name}/stream``: what happens in a session, as it happens.

Each follower reads the log at its own pace, from the number that it has: a slow one falls behind and holds up
nobody, and none misses or repeats an event. What runs is shown before it is in the log, marked provisional.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import trio
from msgspec import UNSET, Meta, Struct, UnsetType
from quart import Response, websocket
from quart_trio import QuartTrio

from engine.errors import Busy, EngineError, NotFound, Unavailable
from engine.events import Level
from engine.execution import Execution
from engine.feed import Follower
from transports import errors
from transports.identity import identity
from transports.rest.routes import decode_query, response
from transports.rest.shapes import EventAnswer, event_answer

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

PATH = re.compile(r"/api/sessions/([^/]+)/stream")
VERSION = 1
"""Of the messages."""
MAX_STREAMS = 256
"""Followers at once."""
ALIVE_SECONDS = 30.0
"""Silence after which a message says that the server is still there."""
PAGE = 100
"""Events read at a time."""
_REMEMBERED = 256

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


class Message(Struct, frozen=True, kw_only=True, tag_field="type"):
    """One message; ``type`` says which."""


class Begun(Message, frozen=True, tag="begun"):
    """The first message: whom this follows, and from where."""

    session: str
    after: int
    version: int = VERSION


class Accepted(Message, frozen=True, tag="accepted"):
    """An execution waits for its turn, or runs."""

    execution_id: str
    code: str
    """Its first line."""


class Console(Message, frozen=True, tag="console"):
    """A console line of an execution that is not over: what it did may still be undone."""

    execution_id: str
    line: int
    """From 1."""
    level: Level
    text: str
    provisional: Literal[True] = True


class Happened(Message, frozen=True, tag="event"):
    """An event, which is durable."""

    event: EventAnswer


class Failed(Message, frozen=True, tag="failed"):
    """An execution could not be run or recorded: there will be no event of it."""

    execution_id: str
    error: str


class Alive(Message, frozen=True, tag="alive"):
    """Nothing has happened for a while."""


class Closed(Message, frozen=True, tag="closed"):
    """The session was deleted; nothing follows."""


class SessionStreams:
    """Serves the followers of all sessions. It takes them while ``run`` is open."""

    def __init__(self, engine: Supervisor) -> None:
        self._engine = engine
        self._streams: set[trio.CancelScope] = set()
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
        await websocket.accept()
        code = GOING_AWAY
        with trio.CancelScope() as life:
            self._streams.add(life)
            try:
                code = await follower.serve()
            finally:
                self._streams.discard(life)
        await websocket.close(code, "")
        return None

    async def _begin(self, name: str) -> _Stream:
        """Raises EngineError."""
        if not self._open:
            raise Unavailable("the server is stopping")
        if len(self._streams) >= MAX_STREAMS:
            raise Busy(f"{MAX_STREAMS} streams are open already")
        query = decode_query(StreamQuery, websocket.query_string)
        owner = identity(websocket.scope).owner
        info = await self._engine.session(owner, name)
        after = info.head_seq if query.after is UNSET else query.after
        return _Stream(self._engine, owner, name, info.created_at, after)


class _Stream:
    """One follower of one session."""

    def __init__(self, engine: Supervisor, owner: str, name: str, created_at: int, after: int) -> None:
        self._engine = engine
        self._owner = owner
        self._name = name
        self._created_at = created_at
        """Tells the session from a later one of the same name."""
        self._after = after
        self._told: dict[str, trio.Event] = {}
        """Executions that were announced and have no event yet; set when their console was told."""
        self._over: deque[str] = deque(maxlen=_REMEMBERED)
        """Executions whose event was told lately."""

    async def serve(self) -> int:
        """Tell what happens until the session is closed; the code to close the connection with."""
        await _send(Begun(session=self._name, after=self._after))
        code = NORMAL
        with self._engine.feed.follow(self._name) as follower:
            async with trio.open_nursery() as nursery:

                async def refuse() -> None:
                    nonlocal code
                    await websocket.receive()
                    code = UNEXPECTED  # there is nothing to say to a stream
                    nursery.cancel_scope.cancel()

                nursery.start_soon(refuse)
                try:
                    while await self._tell(nursery):
                        await _wait(follower)
                    await _send(Closed())
                except EngineError as error:
                    errors.engine_answer(error)  # logs it
                    code = INTERNAL
                nursery.cancel_scope.cancel()
        return code

    async def _tell(self, nursery: trio.Nursery) -> bool:
        """Tell what is new; whether the session is still there."""
        for execution in self._engine.under_way(self._owner, self._name):
            if execution.id not in self._told and execution.id not in self._over:
                finished = self._told[execution.id] = trio.Event()
                nursery.start_soon(self._tell_execution, execution, finished)
        try:
            info = await self._engine.session(self._owner, self._name)
            if info.created_at != self._created_at:
                return False
            while self._after < info.head_seq:
                page = await self._engine.events(self._owner, self._name, first=self._after + 1, limit=PAGE)
                for record in page.items:
                    await self._tell_event(event_answer(record, listed=True))
        except NotFound:
            return False
        return True

    async def _tell_event(self, event: EventAnswer) -> None:
        name = event.execution_id
        if isinstance(name, str):
            self._over.append(name)
            if (finished := self._told.pop(name, None)) is not None:
                await finished.wait()  # its console comes first
        await _send(Happened(event=event))
        self._after = event.event

    async def _tell_execution(self, execution: Execution, finished: trio.Event) -> None:
        await _send(Accepted(execution_id=execution.id, code=execution.first_line))
        told = 0
        while await execution.wait_for_line(told):
            line = execution.console[told]
            told += 1
            await _send(Console(execution_id=execution.id, line=told, level=line.level, text=line.text))
        if execution.failure is not None:
            failure = execution.failure
            sentence = failure.message if isinstance(failure, EngineError) else "the server failed"
            await _send(Failed(execution_id=execution.id, error=sentence))
        if execution.failure is not None or execution.session != self._name:
            self._told.pop(execution.id, None)  # no event of it will come here
        finished.set()


async def _wait(follower: Follower) -> None:
    """Until something happens, or for a while: the end of an expired session is told by nobody."""
    with trio.move_on_after(ALIVE_SECONDS) as quiet:
        await follower.wait()
    if quiet.cancelled_caught:
        await _send(Alive())


async def _send(message: Any) -> None:
    await websocket.send(msgspec.json.encode(message).decode())
