"""The interface between the engine and whatever keeps its events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Generic, Literal, Protocol, TypeVar

from msgspec import Struct

from engine.chain import Record
from engine.checkpoints import Checkpoint
from engine.labels import MAX_OF_SESSION
from engine.search import Search

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True):
    """A part of a list."""

    items: tuple[T, ...]
    next: str | None = None
    """What to ask for to get the next part; None at the end."""


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
    """Sequence number of the last state event (Created, Forked, Executed, Accepted)."""
    state_id: bytes
    """Its id: the ``heap``."""
    closed: bool


class SessionDetails(Struct, frozen=True, kw_only=True):
    """What its events say of a session that is not in its row."""

    forked_from: tuple[str, int] | None
    """Name of the parent, and the number of the event at which it was forked."""
    tags: dict[int, dict[str, str]]
    """Labels, by the number of the state event that they are on; none for a closed session."""
    more_tags: bool = False
    """Whether there are more labels than were asked for."""
    checkpoint: Checkpoint | None = None
    """Its own checkpoint of the newest state, of whichever engine."""


class Purged(Struct, frozen=True, kw_only=True):
    """What a step of a purge came to."""

    events: int
    """Events that were removed."""
    size: int
    """Their bytes."""
    over: bool
    """Whether nothing more of the session can be removed now."""


class Removable(Struct, frozen=True, kw_only=True):
    """What purges would remove now."""

    sessions: int
    """Deleted sessions of which something would go."""
    events: int
    size: int
    """Bytes of these events."""


class Adoption(Protocol):
    """A session that another log kept, with all that it comes from, on its way into this one."""

    @property
    def size(self) -> int:
        """Bytes of the records so far, roughly as the log will keep them."""
        ...

    async def add(self, records: Sequence[Record]) -> None:
        """Take the next records of the history, which the caller has verified: from Created on, in order.

        They are kept aside, and not in memory. Raises StoreFailed.
        """
        ...

    async def is_there(self) -> bool:
        """Whether the log has that session already, open and with the same events.

        Raises Conflict if it has another session of that name, or another history of this one or of those
        that it was forked from, or more or less of it; StoreCorrupt.
        """
        ...

    async def commit(self) -> None:
        """Make all of it durable, or nothing.

        The session is open then. Those that it was forked from are as if they had been deleted, unless they
        are there. Shielded from cancellation. Raises what ``is_there`` does, Conflict for executions and
        idempotency keys that the log has in other sessions, too, and StoreFailed.
        """
        ...


FaultKind = Literal["damaged", "missing", "chain", "origin", "entry", "labels", "checkpoint"]
"""What is wrong: an event is ``damaged`` or ``missing``, does not fit into the ``chain``, or a fork does not
go on where it was forked (``origin``); what is derived from events, the ``entry`` of a session or its
``labels``, does not say what they say; a ``checkpoint`` is of no use.
"""


class Fault(Struct, frozen=True):
    """Something that is stored is not as it was written."""

    kind: FaultKind
    what: str
    """Of the events, or of the session."""
    first: int | None = None
    """Number of the first of the events that it is about; None where it is about the session."""
    last: int | None = None


class Audited(Struct, frozen=True, kw_only=True):
    """What an audit of a session came to."""

    session: str
    """Internal id."""
    owner: str | None
    name: str | None
    """None, as the owner is, if nothing is left that says it."""
    closed: bool
    has_entry: bool
    """Whether there is what it is found by."""
    events: int
    """How many of its own there are."""
    size: int
    """Their bytes."""
    first: int | None
    """Number of its first event, as its entry says."""
    head: int | None
    """Number of its last event, as its entry says if there is one."""
    parent: str | None
    """Internal id of the session that it was forked from."""
    checkpoints: tuple[Checkpoint, ...]
    """Those of its states; their blobs were not looked at."""
    faults: tuple[Fault, ...]
    more_faults: int
    """Faults that are not told, as there are so many."""


class EventLog(Protocol):
    """An append-only log of sessions. Safe for many tasks of one Trio run.

    What it returns has been verified: records hash to their names. Times out never: callers put a
    bound around reads; appends are shielded and resolve.
    """

    @property
    def used_bytes(self) -> int:
        """What it takes now, in bytes, but for what can be written over."""
        ...

    async def append(self, records: Sequence[Record]) -> None:
        """Make consecutive records of one session durable, all or none.

        Shielded from cancellation: when it returns, all are durable; when it raises, none is.
        Raises AppendConflict if a sequence number is taken, the head is not ``records[0].prev``,
        or a name, execution id or idempotency key exists already; StoreFailed for a definite
        failure of the store.
        """
        ...

    def leave(self) -> None:
        """Nobody has anything to append any more: appends that are not decided soon get a StoreError, which
        says that it is not known what became of them. Where there are such, the log ends with that.
        """
        ...

    def adoption(self) -> AbstractAsyncContextManager[Adoption]:
        """Begin to take in a session of another log; what is not committed in the block is forgotten.

        Raises StoreFailed.
        """
        ...

    def read(self, session: str, first: int = 0, last: int | None = None) -> AsyncGenerator[Record, None]:
        """The session's own records with ``first <= seq <= last`` in order, chain verified.

        Events before a fork belong to the parent and are not included. Raises StoreCorrupt at one that is
        damaged, after those before it.
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

    async def sessions(
        self, owner: str, *, limit: int, after: str | None = None, tag: str | None = None
    ) -> Page[SessionRow]:
        """Open sessions of an owner, last used first; only those with a state labelled ``tag``.

        ``tag`` is key, for any value, or key:value. ``after`` is a page's ``next``. A session
        that is used while a client turns pages may be missed. Raises InvalidField for a bad ``after``.
        """
        ...

    async def size(self, session: str) -> int:
        """Bytes of the session's own events, those before a fork not included: each is looked at."""
        ...

    async def open_sessions(self) -> dict[str, int]:
        """How many open sessions each owner has who has any."""
        ...

    async def unused(
        self, pattern: str, before: int, *, after: str = "", limit: int = 4_096
    ) -> Page[SessionRow]:
        """Open sessions, of any owner, whose names match ``pattern`` (``?`` for any character) and that have
        no event since ``before``, in microseconds since the epoch.

        A page is what is found among ``limit`` sessions, maybe nothing; ``after`` is a page's ``next``.
        """
        ...

    async def details(
        self, sessions: Sequence[str], *, most_tags: int = MAX_OF_SESSION
    ) -> dict[str, SessionDetails]:
        """More about the sessions with these internal ids, with so many labels of each."""
        ...

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
        """Executed and Aborted records of an owner's open sessions, newest first.

        ``session`` is an internal id, ``status`` one of ``engine.execution.Status``, ``after`` the
        ``next`` of a page that was asked for with the same ``session`` and ``search``. A page is bounded in
        bytes, too, and one of a search in time: it may hold less than is asked for, and nothing. Raises
        InvalidField for a bad ``after``, StoreCorrupt.
        """
        ...

    async def event(self, id: bytes) -> Record | None:
        """The record with that id, whoever owns it (the caller checks)."""
        ...

    async def at(self, session: str, seq: int) -> Record | None:
        """The session's own record with that number, whatever may be wrong with others.

        Raises StoreCorrupt if it is damaged.
        """
        ...

    async def accepted(self, session: str, first: int = 0, last: int | None = None) -> list[Record]:
        """The session's own Accepted records with ``first <= seq <= last``, in order. They are few."""
        ...

    async def execution(self, execution_id: str) -> Record | None:
        """The Executed or Aborted record of that execution."""
        ...

    async def idempotent(self, owner: str, key: str) -> Record | None:
        """The record of the execution that an owner asked for under that idempotency key."""
        ...

    async def add_checkpoint(self, checkpoint: Checkpoint, forget: Sequence[Checkpoint] = ()) -> None:
        """Remember a checkpoint whose blob is stored, and no longer know those in ``forget``.

        One of the same state, engine and session takes the place of the one before. Raises StoreFailed.
        """
        ...

    async def forget_checkpoints(self, checkpoints: Sequence[Checkpoint]) -> None:
        """No longer know these, as where their blobs are of no use. Raises StoreFailed."""
        ...

    async def checkpoints(self, session: str, first: int = 0, last: int | None = None) -> list[Checkpoint]:
        """A session's own checkpoints of states with ``first <= seq <= last``, newest state first, of every
        engine; without those that are damaged.
        """
        ...

    async def checkpoint_blobs(self) -> set[str]:
        """Names of all blobs that a checkpoint of a session needs that is open, or has open forks.

        Forgets the checkpoints of all others first. Raises StoreFailed.
        """
        ...

    async def purgeable(self, before: int, *, limit: int) -> list[str]:
        """Internal ids of sessions that were closed before that time, in microseconds since the epoch, and
        have events that no other session's history needs; those that were closed first.
        """
        ...

    async def removable(self, before: int) -> Removable:
        """What would be removed if all that is ``purgeable`` were purged, until nothing is."""
        ...

    async def purge(self, session: str, before: int) -> Purged:
        """Remove the last of those events, so many that it does not take long, with the checkpoints of their
        states; the session's entry, too, when no event is left.

        Nothing if the session is not as ``purgeable`` says. Execution ids and idempotency keys of removed
        events are unknown then. Shielded from cancellation. Raises StoreFailed.
        """
        ...

    async def audited(self, owner: str | None) -> list[str]:
        """Internal ids of the sessions to ``audit``: of all that there is anything of, or of an owner's;
        those that others were forked from before these.
        """
        ...

    async def audit(self, session: str) -> Audited | None:
        """Look at all that is stored of a session, for everything that is wrong with it. None if it was
        removed meanwhile.
        """
        ...

    async def integrity(self) -> list[str]:
        """What is wrong with the store's files as such, beside what ``audit`` finds: a sentence for each."""
        ...
