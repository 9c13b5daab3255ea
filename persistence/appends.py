"""What is given to the thread that writes, and where it keeps that beside the database."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import chain
from typing import Protocol

import trio
from msgspec import Struct

from engine.chain import Record
from engine.errors import EngineError
from persistence import changes
from persistence.adoption import Lineage
from persistence.changes import Adopted, Appended, Change


class Note(Struct, frozen=True):
    """A change beside the log: of nothing that an event says."""

    what: str
    """What it is about, for the message where it cannot be written."""
    write: Callable[[sqlite3.Connection], Sequence[Change]]
    """Makes changes, in a transaction that is shared and may be rolled back; which it has made."""
    size: int = 1_024
    """Bytes of memory, roughly."""


class Append:
    """Records that are to be written together, the task that waits, and what came of it.

    A ``lineage`` holds its records itself; where the log is kept elsewhere they are there already, as
    ``adopted`` says. Without records it only tries whether something can be written, a ``note`` for example.
    """

    __slots__ = ("adopted", "failure", "lineage", "note", "noted", "records", "since", "size", "task")

    def __init__(
        self,
        records: Sequence[Record],
        task: trio.lowlevel.Task | None,
        note: Note | None = None,
        lineage: Lineage | None = None,
        adopted: Adopted | None = None,
    ) -> None:
        self.records = records
        self.note = note
        self.lineage = lineage
        self.adopted = adopted
        self.task = task
        self.since = time.monotonic()
        self.size = 0 if note is None else note.size
        self.size += sum(1_024 + len(r.body) + sum(map(len, r.large.values())) for r in records)
        """Bytes of memory, roughly."""
        self.failure: EngineError | None = None
        self.noted: Sequence[Change] = ()
        """What the note came to, once it is written."""

    @property
    def changes(self) -> Sequence[Change]:
        """What it came to, once it is written."""
        if self.adopted is not None:
            return (self.adopted,)
        return (Appended(changes.stored(self.records)),) if self.records else self.noted


class Arrival(Append):
    """What others have made durable where the log is kept, to be brought into the index; no task waits.

    ``write`` makes the changes, in a transaction that may be rolled back and begun again; the sessions that
    it has changed. Raises StoreCorrupt if they do not fit: the index is of no use then.
    """

    __slots__ = ("write",)

    def __init__(self, write: Callable[[sqlite3.Connection], Collection[str]], size: int) -> None:
        super().__init__((), None)
        self.write = write
        self.size = size


class Bounds(Struct, frozen=True):
    """What may share a transaction."""

    appends: int
    size: int
    """Bytes, as appends have them; a single one may have more."""


UNBOUNDED = Bounds(appends=1 << 30, size=1 << 60)


class Lost(Exception):
    """Some appends, at least one, are refused elsewhere, each for a reason; the others may be tried again."""

    def __init__(self, failures: Mapping[Append, EngineError]) -> None:
        super().__init__()
        self.failures = failures


class Elsewhere(Protocol):
    """Where a log is kept of which the database is but an index."""

    bounds: Bounds

    def ship(
        self,
        db: sqlite3.Connection,
        written: Sequence[Append],
        patience: Callable[[str, float], object],
    ) -> None:
        """Make durable what was written in the open transaction of ``db``, which is then committed.

        As long as it is not, ``patience`` is told why, and how many seconds to wait before the next try.
        It raises StoreError to give up, and then it is not known whether it is. Raises StoreFailed if it is
        not and will never be, Lost if it is not for some of them.
        """
        ...


def told(written: Sequence[Append]) -> list[Change]:
    """What appends, which were written, came to, in their order."""
    return [*chain(*(append.changes for append in written))]
