"""etcd, on Trio.

It is spoken to through the JSON gateway that every member has at its client port. A call that fails at one
member goes to the next, unless it may have been done and must not be done twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import TypeVar

import httpx2
import trio
from msgspec import Struct

from persistence.etcd.connections import ANSWER_SECONDS, MAX_ANSWER_BYTES, UNSENT, body_of, settings
from persistence.etcd.endpoints import Call, Came, Endpoints, Exchange, Lost, Sending
from persistence.etcd.failures import Compacted, EtcdError, LeaseGone
from persistence.etcd.requests import (
    AlarmsAnswer,
    Answer,
    Compare,
    Empty,
    Found,
    GrantAnswer,
    KeepAliveAnswer,
    KeyValue,
    Operation,
    RangeAnswer,
    Status,
    StatusAnswer,
    TransactionAnswer,
    prefix_end,
    range_body,
    transaction_body,
)
from persistence.etcd.watch import SILENT_SECONDS, Watch, watching

KEEP_ALIVE_SECONDS = 1.0
"""The same for a lease, which must not end while a member that hangs is waited for."""
DEFRAGMENT_SECONDS = 60.0
"""A member answers nobody meanwhile."""
PAGE = 64
"""Keys with their values that are read at a time."""
_CLOSE_SECONDS = 1.0

T = TypeVar("T")


class Member(Struct, frozen=True):
    """A member, as asked itself."""

    endpoint: str
    status: Status | None
    """None: it gave none."""
    failure: str = ""
    """Why it gave none."""


class Etcd:
    """etcd, on Trio. For many tasks at once."""

    def __init__(self, urls: Sequence[str], *, answer_seconds: float = ANSWER_SECONDS) -> None:
        """URLs as ``endpoints.parse`` takes them. To be used as a context. Raises ValueError."""
        self.endpoints = Endpoints(urls)
        self._seconds = answer_seconds
        self.http = httpx2.AsyncClient(**settings(self.endpoints.urls, answer_seconds))

    async def __aenter__(self) -> Etcd:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with trio.move_on_after(_CLOSE_SECONDS, shield=True):
            await self.http.aclose()

    async def transact(
        self,
        compare: Sequence[Compare],
        success: Sequence[Operation],
        failure: Sequence[Operation] = (),
        *,
        again: bool = False,
    ) -> Answer:
        """All of ``success`` if all of ``compare`` hold, else all of ``failure``.

        ``again``: sent to the next member if the first may have done it, since ``compare`` sees to it that it
        is not done twice; not for what others may undo before the second member is asked. Raises Refused,
        LeaseGone: nothing was written; Unanswered, NoSpace: it may be.
        """
        body = transaction_body(compare, success, failure)
        return (await self._call("/v3/kv/txn", body, TransactionAnswer, again=again)).answer()

    async def get(
        self,
        key: bytes,
        end: bytes | None = None,
        *,
        limit: int = 0,
        keys_only: bool = False,
        oldest_first: bool = False,
        revision: int = 0,
    ) -> Found:
        """A key, or those from it up to ``end`` without that. See ``range_body``.

        Raises Compacted if etcd no longer knows that revision, Refused, Unanswered.
        """
        body = range_body(
            key, end, limit=limit, keys_only=keys_only, oldest_first=oldest_first, revision=revision
        )
        return (await self._call("/v3/kv/range", body, RangeAnswer)).found()

    async def pages(self, prefix: bytes, *, page: int = PAGE) -> AsyncIterator[Found]:
        """All keys that begin so, ascending, ``page`` at a time, as of one revision. Raises as ``get``."""
        found = await self.get(prefix, prefix_end(prefix), limit=page)
        revision = found.revision
        yield found
        while found.more:
            after = found.items[-1].key + b"\0"
            found = await self.get(after, prefix_end(prefix), limit=page, revision=revision)
            yield Found(revision, found.items, found.more)

    async def all(self, prefix: bytes, *, page: int = PAGE) -> tuple[int, list[KeyValue]]:
        """All keys that begin so, ascending, and the revision of which they are. Raises as ``get``."""
        items: list[KeyValue] = []
        revision = 0
        async for found in self.pages(prefix, page=page):
            revision = found.revision
            items += found.items
        return revision, items

    async def grant(self, ttl: int) -> int:
        """A new lease of so many seconds. Raises NoSpace, Refused, Unanswered."""
        return (await self._call("/v3/lease/grant", {"TTL": str(ttl)}, GrantAnswer)).id

    async def keep_alive(self, lease: int) -> int:
        """Prolong a lease: how many seconds it has from some moment of this call on; 0: it is gone.

        Raises Refused, Unanswered.
        """
        body: dict[str, object] = {"ID": str(lease)}
        seconds = min(self._seconds, KEEP_ALIVE_SECONDS)
        answer = await self._call("/v3/lease/keepalive", body, KeepAliveAnswer, seconds=seconds)
        return answer.result.ttl

    async def revoke(self, lease: int) -> None:
        """End a lease, and delete what is bound to it; one that is gone is no fault.

        Raises Refused, Unanswered.
        """
        with suppress(LeaseGone):
            await self._call("/v3/lease/revoke", {"ID": str(lease)}, Empty)

    def watch(
        self, prefix: bytes, start_revision: int, *, silent_seconds: float = SILENT_SECONDS
    ) -> AbstractAsyncContextManager[Watch]:
        """All that happens below a prefix from that revision on, one item a revision.

        ``silent_seconds``: a member that says nothing for so long is given up for the next.
        """
        return watching(self, prefix, start_revision, silent_seconds)

    async def members(self) -> tuple[Member, ...]:
        """What each endpoint says of itself, or that it says nothing, in their order."""
        found: dict[str, Member] = {}
        async with trio.open_nursery() as nursery:
            for endpoint in self.endpoints.urls:
                nursery.start_soon(self._ask_member, endpoint, found)
        return tuple(found[endpoint] for endpoint in self.endpoints.urls)

    async def compact(self, revision: int) -> None:
        """Forget what was before that revision, and free its space inside the file. Done already is no fault.

        Raises Refused, Unanswered.
        """
        body: dict[str, object] = {"revision": str(revision), "physical": True}
        with suppress(Compacted):
            await self._call("/v3/kv/compaction", body, Empty)

    async def defragment(self, endpoint: str) -> None:
        """Make the file of one member small; it answers nobody meanwhile. Raises Refused, Unanswered."""
        call = Call("/v3/maintenance/defragment", {}, Empty, again=True, seconds=DEFRAGMENT_SECONDS)
        await self._converse(self.endpoints.at(endpoint, call))

    async def disarm(self) -> None:
        """Let it write again, at all members that had no space. Raises Refused, Unanswered."""
        path = "/v3/maintenance/alarm"
        for alarm in (await self._call(path, {}, AlarmsAnswer)).alarms:
            if alarm.alarm == "NOSPACE":
                body: dict[str, object] = {"action": "DEACTIVATE", "alarm": "NOSPACE"}
                await self._call(path, {**body, "memberID": str(alarm.member)}, Empty)

    async def login(self, endpoint: str) -> str:
        """The token for requests there; empty: there is no user. Raises Refused, Unanswered."""
        return await self._converse(self.endpoints.login(endpoint, self._seconds))

    async def _ask_member(self, endpoint: str, found: dict[str, Member]) -> None:
        call = Call("/v3/maintenance/status", {}, StatusAnswer, again=True, seconds=self._seconds)
        try:
            status = (await self._converse(self.endpoints.at(endpoint, call))).status()
            found[endpoint] = Member(endpoint, status)
        except EtcdError as error:
            found[endpoint] = Member(endpoint, None, str(error))

    async def _call(
        self, path: str, body: dict[str, object], kind: type[T], *, again: bool = True, seconds: float = 0
    ) -> T:
        call = Call(path, body, kind, again=again, seconds=seconds or self._seconds)
        return await self._converse(self.endpoints.exchange(call))

    async def _converse(self, exchange: Exchange[T]) -> T:
        came: Came | Lost | None = None
        while True:
            try:
                # (a generator that was not begun takes None)
                sending = next(exchange) if came is None else exchange.send(came)
            except StopIteration as end:
                result: T = end.value
                return result
            came = await self._send(sending)

    async def _send(self, sending: Sending) -> Came | Lost:
        request = self.http.stream("POST", sending.url, content=sending.content, headers=sending.headers)
        try:
            with trio.fail_after(sending.seconds):
                async with request as response:
                    body = await body_of(response, MAX_ANSWER_BYTES)
        except UNSENT:
            return Lost(sent=False)
        except (httpx2.TransportError, trio.TooSlowError):
            return Lost(sent=True)
        if len(body) > MAX_ANSWER_BYTES:
            return Lost(sent=True, too_long=MAX_ANSWER_BYTES)
        return Came(response.status_code, body)
