"""What was sent on the streams of one MCP session, so that a client whose connection broke can go on.

The SDK stores each message here before it is sent, and asks for a replay when a client comes back with
``Last-Event-ID``. A replay goes on with what comes until the stream's response is sent: the SDK would join
the stream only after the replay, and lose what is sent in between.
"""

from __future__ import annotations

from collections import deque

import trio
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCResponse
from msgspec import Struct

MAX_EVENTS = 500
"""Messages that are kept for one session; the oldest go first."""
MAX_BYTES = 1 << 20
"""The same as JSON, in bytes."""
MAX_ALL_BYTES = 64 << 20
"""Of all sessions: beyond it each keeps only LEAST_BYTES."""
LEAST_BYTES = 64 << 10


class Budget:
    """What the sessions of a server keep together."""

    def __init__(self) -> None:
        self.used = 0
        """Bytes."""

    @property
    def of_one(self) -> int:
        """Bytes that one session may keep now."""
        return MAX_BYTES if self.used < MAX_ALL_BYTES else LEAST_BYTES


class _Event(Struct, frozen=True):
    number: int
    stream: str
    message: JSONRPCMessage | None
    """None for the beginning of a stream, which has no message."""
    size: int

    @property
    def is_last(self) -> bool:
        """Whether its stream ends with it."""
        return isinstance(self.message, JSONRPCResponse | JSONRPCError)


class StreamLog(EventStore):
    """The latest messages of one session. An event's id is its number in the session, from 1."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._events: deque[_Event] = deque()
        self._count = 0
        self._bytes = 0
        self._closed = False
        self._changed = trio.Event()

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Keep a message of a stream; its id."""
        size = 0 if message is None else len(message.model_dump_json(by_alias=True, exclude_unset=True))
        self._count += 1
        if not self._closed:
            self._events.append(_Event(self._count, stream_id, message, size))
            self._took(size)
            while len(self._events) > MAX_EVENTS or self._bytes > self._budget.of_one:
                self._took(-self._events.popleft().size)
            self._wake()
        return str(self._count)

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        """Send what came after an event on its stream, and what comes, up to the response.

        Returns None: the SDK has nothing to add. Nothing is sent for an id that is not known any more.
        """
        last = next((event for event in self._events if str(event.number) == last_event_id), None)
        while last is not None and not last.is_last and not self._closed:
            changed = self._changed
            stream, number = last.stream, last.number
            for event in [it for it in self._events if it.number > number and it.stream == stream]:
                last = event
                if event.message is not None:
                    await send_callback(EventMessage(event.message, str(event.number)))
                if event.is_last:
                    return None
            await changed.wait()
        return None

    def close(self) -> None:
        """Keep nothing any more, and end the replays."""
        self._closed = True
        self._took(-self._bytes)
        self._events.clear()
        self._wake()

    def _took(self, size: int) -> None:
        self._bytes += size
        self._budget.used += size

    def _wake(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()
