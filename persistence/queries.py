"""The reading half of an event log that is kept in SQLite.

Reads run in threads, a few at a time, each with a connection of its own; SQLite's write-ahead log lets them
go on beside whoever writes. How such a connection is had is for those who inherit this to say.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from engine.chain import Record
from engine.checkpoints import Checkpoint
from engine.errors import StoreError
from engine.labels import MAX_OF_SESSION
from engine.search import Search
from persistence import audit, listing, pointers, purge, reader, survey, threads
from persistence.eventlog import Audited, Page, Removable, SessionDetails, SessionRow

READERS = 4
"""Reads that run at once, each with a thread and a connection."""

T = TypeVar("T")


class SqliteQueries:
    """What an ``EventLog`` answers from the database at ``path``, without ever writing to it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._closed = False
        self._readers = trio.CapacityLimiter(READERS)

    async def read(
        self, session: str, first: int = 0, last: int | None = None
    ) -> AsyncGenerator[Record, None]:
        """See ``EventLog``: the records up to what is the head when reading begins."""
        walk = await self._query(lambda db: reader.Walk(db, session, first, last))
        while page := await self._query(walk.page):
            walk.passed(page)
            for record in page:
                yield record

    async def first(self, session: str) -> Record | None:
        """See ``EventLog``."""
        return await self._query(lambda db: reader.first_record(db, session))

    async def session_named(self, owner: str, name: str) -> SessionRow | None:
        """See ``EventLog``."""
        return await self._query(lambda db: reader.session_by_name(db, owner, name))

    async def session(self, session: str) -> SessionRow | None:
        """See ``EventLog``."""
        return await self._query(lambda db: reader.session_by_id(db, session))

    async def sessions(
        self, owner: str, *, limit: int, after: str | None = None, tag: str | None = None
    ) -> Page[SessionRow]:
        """See ``EventLog``."""
        return await self._query(lambda db: listing.sessions(db, owner, limit, after, tag))

    async def size(self, session: str) -> int:
        """See ``EventLog``."""
        return await self._query(lambda db: listing.size(db, session))

    async def open_sessions(self) -> dict[str, int]:
        """See ``EventLog``."""
        return await self._query(listing.open_sessions)

    async def unused(
        self, pattern: str, before: int, *, after: str = "", limit: int = 4_096
    ) -> Page[SessionRow]:
        """See ``EventLog``."""
        return await self._query(lambda db: listing.unused(db, pattern, before, after, limit))

    async def details(
        self, sessions: Sequence[str], *, most_tags: int = MAX_OF_SESSION
    ) -> dict[str, SessionDetails]:
        """See ``EventLog``."""
        return await self._query(lambda db: listing.details(db, sessions, most_tags))

    async def executions(
        self,
        owner: str,
        *,
        session: str | None = None,
        status: str | None = None,
        limit: int,
        after: str | None = None,
        search: Search | None = None,
    ) -> Page[Record]:
        """See ``EventLog``."""
        return await self._query(
            lambda db: listing.executions(db, owner, session, status, limit, after, search)
        )

    async def event(self, id: bytes) -> Record | None:
        """See ``EventLog``."""
        return await self._query(lambda db: reader.record_by(db, id=id))

    async def at(self, session: str, seq: int) -> Record | None:
        """See ``EventLog``."""
        return await self._query(lambda db: reader.record_at(db, session, seq))

    async def accepted(self, session: str, first: int = 0, last: int | None = None) -> list[Record]:
        """See ``EventLog``."""
        return await self._query(lambda db: reader.accepted(db, session, first, last))

    async def execution(self, execution_id: str) -> Record | None:
        """See ``EventLog``."""
        return await self._query(lambda db: reader.record_by(db, execution_id=execution_id))

    async def idempotent(self, owner: str, key: str) -> Record | None:
        """See ``EventLog``."""
        return await self._query(lambda db: reader.record_by(db, owner=owner, idempotency_key=key))

    async def checkpoints(self, session: str, first: int = 0, last: int | None = None) -> list[Checkpoint]:
        """See ``EventLog``."""
        return await self._query(lambda db: pointers.of_session(db, session, first, last))

    async def checkpoint_blobs(self) -> set[str]:
        """See ``EventLog``; nothing is forgotten here."""
        return await self._query(pointers.needed_blobs)

    async def purgeable(self, before: int, *, limit: int) -> list[str]:
        """See ``EventLog``."""
        return await self._query(lambda db: purge.purgeable(db, before, limit))

    async def removable(self, before: int) -> Removable:
        """See ``EventLog``."""
        return await self._query(lambda db: purge.removable(db, before))

    async def audited(self, owner: str | None) -> list[str]:
        """See ``EventLog``."""
        return await self._query(lambda db: survey.sessions(db, owner))

    async def audit(self, session: str) -> Audited | None:
        """See ``EventLog``."""
        found = audit.Audit(session)
        more = True
        while more:
            page = await self._query(found.page)
            more = await threads.run(partial(found.judge, page), self._readers)
        return found.result

    async def integrity(self) -> list[str]:
        """See ``EventLog``."""
        return await self._query(survey.integrity)

    async def _query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise StoreError("the event log is closed: the server is stopping")
        try:
            return await threads.run(lambda: self._run_query(query), self._readers)
        except threads.NoThread as none:
            raise StoreError(f"{self._path} could not be read: {none}; try again later") from none

    def _run_query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Run it in a reader's thread, with a connection: there are as many as threads. Raises StoreError."""
        raise NotImplementedError

    async def _rest(self) -> None:
        """Wait for the reads that have begun, and let none begin."""
        with trio.CancelScope(shield=True):
            for reader_slot in range(READERS):
                await self._readers.acquire_on_behalf_of(reader_slot)
