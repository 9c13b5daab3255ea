"""What of the log need not be written again: the lives of sessions that are over.

A *stretch* of the log is looked at that is replaced as a whole. A session that began in it, was closed, and
of which nothing was left before its end can be left out of it, with all that concerns it: whoever reads the
log without that comes to the same. No fork of it can be there any more then, since what a fork needs is not
removed; and those that there were, began and ended in the stretch, too.

A session that was taken in from another log came with those that it was forked from. That change is left out
only if all of them are gone; else none of them is left out, since reading it again brings them back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from engine.events import Created, Forked
from persistence.changes import (
    Adopted,
    Appended,
    Came,
    Change,
    Forgotten,
    ForgottenAll,
    Remembered,
    Removed,
)
from persistence.s3.batches import Batch


class _Peek(Struct):
    """What is needed of an event, without decoding all of it."""

    type: str
    session: str


_peek = msgspec.msgpack.Decoder(_Peek)
_BEGINNINGS = tuple(kind.__struct_config__.tag for kind in (Created, Forked))


class Stretch:
    """A stretch, as far as it was looked at.

    ``ahead``: number of each writer's last batch that is in what comes before the stretch, though it comes
    again in that. Of such a batch nothing counts.
    """

    def __init__(self, ahead: Mapping[str, int] | None = None) -> None:
        self._ahead = ahead or {}
        self._met: set[str] = set()
        self._began: set[str] = set()
        """Those that were first met at their beginning."""
        self._ended: set[str] = set()
        """Those of which nothing is left."""
        self._adopted: list[tuple[str, ...]] = []

    def add(self, batches: Iterable[Batch]) -> None:
        """Look at the next of its batches."""
        for batch in batches:
            is_again = False
            for change in batch.changes:
                if isinstance(change, Came):
                    is_again = change.number <= self._ahead.get(change.writer, -1)
                    continue
                if is_again:
                    self._met.update(_sessions(change))
                    continue
                if isinstance(change, Adopted):
                    self._adopted.append(change.sessions)
                    self._ended.difference_update(change.sessions)
                    self._begin(change.sessions[-1])
                    self._met.update(change.sessions)
                    continue
                session = _session(change)
                if _begins(change):
                    self._begin(session)
                elif isinstance(change, Removed) and change.is_whole:
                    self._ended.add(session)
                self._met.add(session)

    def _begin(self, session: str) -> None:
        self._ended.discard(session)
        if session not in self._met:
            self._began.add(session)

    def over(self) -> frozenset[str]:
        """Sessions that can be left out."""
        found = self._began & self._ended
        kept = [one for one in self._adopted if not self._ended.issuperset(one)]
        left = [one for one in self._adopted if self._ended.issuperset(one)]
        while kept:
            for sessions in kept:
                found.difference_update(sessions)
            kept = [one for one in left if one[-1] not in found]
            left = [one for one in left if one[-1] in found]
        return frozenset(found)


def without(batches: Iterable[Batch], over: Collection[str]) -> list[Batch]:
    """The batches that change something of other sessions, too, and only that.

    What says which batches of a cluster have come, stays: without it, those that come next would not follow.
    """
    kept = []
    for batch in batches:
        left = tuple(
            entry for entry in batch.changes if isinstance(entry, Came) or _session(entry) not in over
        )
        if left:
            kept.append(replace(batch, changes=left))
    return kept


def _sessions(change: Change) -> tuple[str, ...]:
    """All whom it concerns."""
    return change.sessions if isinstance(change, Adopted) else (_session(change),)


def _session(change: Change) -> str:
    """Whom it concerns."""
    match change:
        case Appended(records):
            return _peek.decode(records[0].body).session
        case Remembered(checkpoint) | Forgotten(checkpoint):
            return checkpoint.session
        case ForgottenAll(session):
            return session.decode("utf-8", "replace")
        case Removed(session):
            return session
        case Adopted(sessions):
            return sessions[-1]


def _begins(change: Change) -> bool:
    return isinstance(change, Appended) and _peek.decode(change.records[0].body).type in _BEGINNINGS
