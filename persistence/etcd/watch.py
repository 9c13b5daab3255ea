"""What happens below a prefix, in order and without gaps, whichever of etcd's members lives.

A watch of etcd is one long answer of one member, a line a message, and ends with that member. This one goes
on at the next, from the revision after the last that came whole. A member that is cut off says nothing, as
where nothing happens: so something must happen often, as heartbeats do, and silence is a failure.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx2
import trio

from persistence.etcd.connections import CONNECT_SECONDS, UNSENT, body_of, hang_up
from persistence.etcd.endpoints import Sending
from persistence.etcd.failures import (
    UNAVAILABLE,
    Compacted,
    Stale,
    Unanswered,
    refusal,
    said,
    strange,
    unreached,
)
from persistence.etcd.requests import (
    Changes,
    Event,
    WatchLine,
    WatchMessage,
    decoded,
    encoded,
    watch_body,
)

SILENT_SECONDS = 3.0
MAX_LINE_BYTES = 32 << 20
"""etcd ends a message at 1.5 MB and one event more, of 1.5 MB at most, in a base64 that adds a third."""
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0
_MAX_ERROR_BYTES = 64 << 10

if TYPE_CHECKING:  # which offers what is here
    from persistence.etcd.client import Etcd


class Lines:
    """Cuts what comes into lines. Pure."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._begun = bytearray()

    def take(self, chunk: bytes) -> list[bytes]:
        """The lines that end here. Raises ValueError if one has no end."""
        *ends, rest = chunk.split(b"\n")
        lines = []
        for end in ends:
            lines.append(bytes(self._begun + end))
            self._begun.clear()
        self._begun += rest
        if len(self._begun) > self._limit:
            raise ValueError("the line has no end")
        return [line for line in lines if line.strip()]


class Gathering:
    """Makes whole revisions of the messages of one watch. Pure."""

    def __init__(self, after: int) -> None:
        self.last = after
        """The revision that was last given."""
        self._revision = 0
        self._events: list[Event] = []

    def take(self, message: WatchMessage) -> list[Changes]:
        """The revisions that are whole now, ascending; none that was given before."""
        whole = []
        for wired in message.events:
            event = wired.event()
            if event.item.mod_revision != self._revision:
                whole += self._whole()
                self._revision = event.item.mod_revision
            self._events.append(event)
        if not message.fragment:
            whole += self._whole()
        return whole

    def _whole(self) -> list[Changes]:
        """What was gathered of one revision."""
        events, self._events = tuple(self._events), []
        if not events or self._revision <= self.last:
            return []
        self.last = self._revision
        return [Changes(self._revision, events)]


class Watch:
    """Iterates over what happens. For one task; one that is cancelled while it waits misses nothing."""

    def __init__(self, etcd: Etcd, prefix: bytes, start_revision: int, silent_seconds: float) -> None:
        self._etcd = etcd
        self._prefix = prefix
        self._silent = silent_seconds
        self._gathering = Gathering(start_revision - 1)
        self._ready: deque[Changes] = deque()
        self._stream: _Stream | None = None
        self._endpoint = ""
        self._token = ""
        self._failures = 0
        """In a row."""

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> Changes:
        """The next revision that changed anything. Never ends; however long etcd is away, it tries again.

        Raises Compacted: etcd has forgotten what comes next; Refused: it may not be read.
        """
        while not self._ready:
            try:
                if self._stream is None:
                    self._stream = await self._begin()
                for message in await self._stream.more():
                    self._ready += self._gathering.take(message)
                self._failures = 0
            except Unanswered as failed:
                await self.close()
                if isinstance(failed, Stale):
                    self._etcd.endpoints.forget(self._token)
                else:
                    self._etcd.endpoints.pass_over(self._endpoint)
                await self._pause()
            except BaseException:
                await self.close()
                raise
        return self._ready.popleft()

    async def close(self) -> None:
        """Listen no more; asked for more, it begins again."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def _begin(self) -> _Stream:
        """Listen to the member that is preferred. What it has not said whole, another says again."""
        self._gathering = Gathering(self._gathering.last)
        self._endpoint = next(self._etcd.endpoints.in_turn())
        self._token = await self._etcd.login(self._endpoint)
        body = encoded(watch_body(self._prefix, self._gathering.last + 1))
        sending = Sending(self._endpoint, "/v3/watch", body, self._token, self._silent)
        return await _opened(self._etcd.http, sending)

    async def _pause(self) -> None:
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._failures, 16))
        self._failures += 1
        await trio.sleep(random.random() * longest)  # noqa: S311 (no secret)


class _Stream:
    """The answer of one member, as long as it goes on."""

    def __init__(self, sending: Sending, response: httpx2.Response) -> None:
        self._sending = sending
        self._chunks = response.aiter_raw()
        self._lines = Lines()

    async def more(self) -> list[WatchMessage]:
        """What it says next: some messages, or none yet.

        Raises Unanswered, Compacted, Refused; it is over then.
        """
        endpoint = self._sending.endpoint
        try:
            lines = self._lines.take(await anext(self._chunks))
            return [self._message(decoded(line, WatchLine)) for line in lines]
        except (httpx2.TransportError, StopAsyncIteration):
            raise unreached(endpoint, sent=True, seconds=self._sending.seconds) from None
        except ValueError:
            raise strange(endpoint) from None

    async def close(self) -> None:
        """Hang up."""
        await hang_up(self._chunks)

    def _message(self, line: WatchLine) -> WatchMessage:
        endpoint, message = self._sending.endpoint, line.result
        if message is None:
            raise Unanswered(f"etcd at {endpoint} ended the watch")
        if message.compact_revision:
            raise Compacted(
                f"etcd at {endpoint} has forgotten what comes next in the watch: read it all again",
                message.compact_revision,
            )
        if message.canceled:
            raise said(endpoint, UNAVAILABLE, message.cancel_reason)
        return message


async def _opened(http: httpx2.AsyncClient, sending: Sending) -> _Stream:
    """What a member answers that was asked for a watch. Raises Unanswered, Refused."""
    request = http.build_request(
        "POST",
        sending.url,
        content=sending.content,
        headers=sending.headers,
        timeout=httpx2.Timeout(sending.seconds, connect=min(sending.seconds, CONNECT_SECONDS)),
    )
    try:
        with trio.fail_after(sending.seconds):
            response = await http.send(request, stream=True)
            if response.status_code != 200:
                body = await body_of(response, _MAX_ERROR_BYTES)
                raise refusal(sending.endpoint, response.status_code, body)
    except (httpx2.TransportError, trio.TooSlowError) as lost:
        sent = not isinstance(lost, UNSENT)
        raise unreached(sending.endpoint, sent=sent, seconds=sending.seconds) from None
    return _Stream(sending, response)


@asynccontextmanager
async def watching(
    etcd: Etcd, prefix: bytes, start_revision: int, silent_seconds: float
) -> AsyncIterator[Watch]:
    """See ``Etcd.watch``."""
    watch = Watch(etcd, prefix, start_revision, silent_seconds)
    try:
        yield watch
    finally:
        await watch.close()
