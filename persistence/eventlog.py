"""The interface between the engine and whatever keeps its events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from msgspec import Struct

from engine.chain import Record


class SessionRow(Struct, frozen=True, kw_only=True):
    """What a log knows of a session without reading its events."""

    session: str
    """Internal id."""
    owner: str
    name: str
    created_at: int
    """Microseconds since the epoch."""
    last_at: int
    head_seq: int
    head_id: bytes
    state_seq: int
    """Sequence number of the last state event (Created, Forked, Executed)."""
    state_id: bytes
    """Its id: the ``heap``."""
    closed: bool


class EventLog(Protocol):
    """An append-only log of sessions. Safe for many tasks of one Trio run.

    What it returns has been verified: records hash to their names. Times out never: callers put a
    bound around reads; appends are shielded and resolve.
    """

    async def append(self, records: Sequence[Record]) -> None:
        """Make consecutive records of one session durable, all or none.

        Shielded from cancellation: when it returns, all are durable; when it raises, none is.
        Raises AppendConflict if a sequence number is taken, the head is not ``records[0].prev``,
        or a name, execution id or idempotency key exists already; StoreFailed for a definite
        failure of the store.
        """
        ...

    def read(self, session: str, first: int = 0, last: int | None = None) -> AsyncGenerator[Record, None]:
        """The session's own records with ``first <= seq <= last`` in order, chain verified.

        Events before a fork belong to the parent and are not included. Raises StoreCorrupt.
        """
        ...

    async def first(self, session: str) -> Record | None:
        """The session's Created or Forked record."""
        ...

    async def session_named(self, owner: str, name: str) -> SessionRow | None:
        """The open session of that name, if any."""
        ...

    async def session(self, session: str) -> SessionRow | None:
        """The session with that internal id, open or closed."""
        ...

    async def sessions(self, owner: str, *, limit: int = 1_000) -> list[SessionRow]:
        """Open sessions of an owner, last used first."""
        ...

    async def event(self, id: bytes) -> Record | None:
        """The record with that id, whoever owns it (the caller checks)."""
        ...

    async def execution(self, execution_id: str) -> Record | None:
        """The Executed or Aborted record of that execution."""
        ...

    async def idempotent(self, owner: str, key: str) -> Record | None:
        """The record of the execution that an owner asked for under that idempotency key."""
        ...
