"""Sessions leave as portable files, and come back from them.

What is imported keeps its identity: its ids, its name, its owner and those of all events. It is checked whole
before anything of it is in the log, and then is there at once.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator
from contextlib import aclosing, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import trio
from msgspec import Struct

from engine.chain import Record
from engine.errors import Busy, Conflict, Unavailable
from engine.history import history
from engine.importcheck import ImportCheck
from engine.limits import LimitPolicy
from engine.portable import FORMAT, VERSION, End, Header, Packer, line_of
from engine.session import Position
from engine.sessions import Sessions
from persistence import threads
from persistence.eventlog import EventLog, SessionRow

MAX_IMPORTS = 4
"""Imports at once, of which one is an owner's."""
_BATCH_BYTES = 1 << 20
"""Records that are taken to a thread together, but for the last."""
_THREADS = 2

T = TypeVar("T")


class Imported(Struct, frozen=True, kw_only=True):
    """What an import came to."""

    position: Position
    events: int
    """How many led there, event 0 included."""
    is_new: bool
    """Whether the session was not there yet, just as it is in the file."""


class Transfer:
    """Exports and imports of one store. ``policy`` bounds what is imported; None: the store's user does."""

    def __init__(self, sessions: Sessions, policy: LimitPolicy | None) -> None:
        self._sessions = sessions
        self._policy = policy
        self._importing: set[str] = set()
        """Owners who import something now."""
        self._threads = trio.CapacityLimiter(_THREADS)

    async def export(self, owner: str, name: str, program: str) -> AsyncGenerator[bytes, None]:
        """The bytes of a session's file, as it is now. ``program`` is told in it. Raises NotFound.

        What is iterated raises StoreError where events cannot be read; there is no whole file then.
        """
        return self._pack(await self._sessions.catalog.row(owner, name), program)

    async def _pack(self, row: SessionRow, program: str) -> AsyncGenerator[bytes, None]:
        packer = Packer()
        header = Header(
            format=FORMAT,
            version=VERSION,
            redacted=False,
            session=row.name,
            owner=row.owner,
            head=row.head_id.hex(),
            events=row.head_seq + 1,
            exported_at=datetime.now(UTC),
            exported_by=program,
        )
        yield packer.add(header)
        async with aclosing(_batches(self._sessions.log, row)) as batches:
            async for batch in batches:
                yield await self._run(partial(_packed, packer, batch))
        yield packer.add(End(end=True, head=header.head)) + packer.finish()

    async def import_session(self, owner: str, source: AsyncIterable[bytes]) -> Imported:
        """Take in an owner's session from the bytes of its file.

        Nothing is imported if this is cancelled before all of it came, or raises: FileCorrupt, InvalidField,
        TooLarge, Conflict, TooManySessions, Busy, Unavailable or StoreError, and what ``source`` raises.
        """
        sessions = self._sessions
        if self._policy is not None and self._policy.max_import_bytes == 0:
            raise Conflict("this server takes nothing in: it was started with --max-import-bytes 0")
        with self._place(owner):
            most = sys.maxsize if self._policy is None else self._policy.max_import_bytes
            check = ImportCheck(most, owner, self._policy)
            async with sessions.log.adoption() as adoption:
                async for data in source:
                    records = check.feed(data)
                    while batch := await self._run(partial(_batch, records)):
                        await adoption.add(batch)
                        sessions.space.check(adoption.size)  # a few bytes may be a lot of records
                check.finish()
                position, events = check.position, check.events
                if await adoption.is_there():
                    return Imported(position=position, events=events, is_new=False)
                async with sessions.arriving(position.owner, position.name):
                    await adoption.commit()
        return Imported(position=position, events=events, is_new=True)

    @contextmanager
    def _place(self, owner: str) -> Iterator[None]:
        """One of the imports at once. Raises Busy."""
        if owner in self._importing or len(self._importing) >= MAX_IMPORTS:
            raise Busy(f"{len(self._importing)} imports are under way already; try again later")
        self._importing.add(owner)
        try:
            yield
        finally:
            self._importing.remove(owner)

    async def _run(self, work: Callable[[], T]) -> T:
        """Do what would hold up others for long. Raises Unavailable."""
        try:
            return await threads.run(work, self._threads)
        except threads.NoThread as none:
            raise Unavailable(f"{none}; try again later") from none


def _packed(packer: Packer, batch: list[Record]) -> bytes:
    return b"".join(packer.add(line_of(record)) for record in batch)


def _batch(records: Iterator[Record]) -> list[Record]:
    """The next of them; none when it is over."""
    batch: list[Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += _size(record)
        if size >= _BATCH_BYTES:
            break
    return batch


async def _batches(log: EventLog, row: SessionRow) -> AsyncGenerator[list[Record], None]:
    """A session's whole history."""
    batch: list[Record] = []
    size = 0
    async with aclosing(history(log, row.session, row.head_seq)) as records:
        async for record in records:
            batch.append(record)
            size += _size(record)
            if size >= _BATCH_BYTES:
                yield batch
                batch, size = [], 0
    yield batch


def _size(record: Record) -> int:
    return len(record.body) + sum(map(len, record.large.values()))
