"""Removes what deleted sessions have left behind, so that its pages can be used again.

A session's events are needed by itself until it was closed for some time, and by its forks, and theirs, up to
the event at which they were forked. What comes after that goes from the end backwards, in steps that are a
transaction each: the session's entry names the last event that is left as its head, so that a purge may be
interrupted between any two steps, and what is there is a whole chain. With its last event goes the entry. So
those that others come from go after those others.

That no fork needs an event is looked at in the transaction that removes it, by the one thread that writes: a
fork is either in the log before and keeps what it needs, or comes after and is refused, since what it would
follow is gone.
"""

from __future__ import annotations

import sqlite3

from persistence.eventlog import Purged, Removable

STEP_EVENTS = 128
"""Events that are removed at once, at most."""
STEP_BYTES = 4 << 20
"""A step ends with the event that brings the bytes that it removes to this."""

_NEEDED = "ifnull((SELECT max(first_seq) - 1 FROM sessions AS fork WHERE fork.parent = one.session), -1)"
"""Number of a session's last event that a fork needs; -1 for none."""
_PURGEABLE = f"""
    SELECT session FROM sessions AS one INDEXED BY sessions_closed
    WHERE closed AND last_at < ? AND head_seq > {_NEEDED} ORDER BY last_at LIMIT ?
"""  # noqa: S608
_ENTRY = f"SELECT {_NEEDED} FROM sessions AS one WHERE session = ? AND closed AND last_at < ?"  # noqa: S608
_LAST = (
    "SELECT seq, length(body) + ifnull(length(large), 0) FROM events "
    "WHERE session = ? AND seq > ? ORDER BY seq DESC LIMIT ?"
)
_BEFORE = "SELECT seq, id FROM events WHERE session = ? AND seq < ? ORDER BY seq DESC LIMIT 1"
_FORKS_FIRST = (
    "SELECT session, parent, first_seq, iif(closed, last_at, NULL) FROM sessions "
    "WHERE closed OR parent IS NOT NULL ORDER BY first_seq DESC"
)
"""A fork begins behind the event that it needs, so later than what it comes from."""
_BEHIND = (
    "SELECT count(*), ifnull(sum(length(body) + ifnull(length(large), 0)), 0) FROM events "
    "WHERE session = ? AND seq > ?"
)
_NOTHING = Purged(events=0, size=0, over=True)


def purgeable(db: sqlite3.Connection, before: int, limit: int) -> list[str]:
    """Sessions of which a ``Step`` would remove something, those that were closed first."""
    return [session for (session,) in db.execute(_PURGEABLE, (before, limit))]


def removable(db: sqlite3.Connection, before: int) -> Removable:
    """What is left to remove, step by step, until nothing is ``purgeable``."""
    needed: dict[str, int] = {}
    found = events = size = 0
    for session, parent, first, closed_at in db.execute(_FORKS_FIRST):
        kept = needed.get(session, -1)
        is_removable = closed_at is not None and closed_at < before
        if is_removable:
            many, large = db.execute(_BEHIND, (session, kept)).fetchone()
            found, events, size = found + bool(many), events + many, size + large
        if parent is not None and (kept >= 0 or not is_removable):
            needed[parent] = max(needed.get(parent, -1), first - 1)
    return Removable(sessions=found, events=events, size=size)


class Step:
    """Removes the last events of a session that was closed before that (microseconds since the epoch)."""

    def __init__(self, session: str, before: int) -> None:
        self._session = session
        self._before = before
        self.purged = _NOTHING
        """What was removed, once it was."""

    def take(self, db: sqlite3.Connection) -> tuple[str, int, bool, bool] | None:
        """Take the step, in a transaction; if it does anything, what ``remove`` was told and whether that was
        the end of the session.
        """
        self.purged = _NOTHING
        entry = db.execute(_ENTRY, (self._session, self._before)).fetchone()
        if entry is None:
            return None
        needed: int = entry[0]
        rows = db.execute(_LAST, (self._session, needed, STEP_EVENTS)).fetchall()
        events = size = 0
        for _, taken in rows:
            events += 1
            size += taken
            if size >= STEP_BYTES:
                break
        first = rows[events - 1][0] if rows else needed + 1
        left = db.execute(_BEFORE, (self._session, first)).fetchone()
        if needed >= 0 and (left is None or left[0] < needed):
            return None  # it is damaged: a fork needs what is not there
        over = left is None or left[0] == needed
        remove(db, self._session, first, is_over=over)
        self.purged = Purged(events=events, size=size, over=over)
        return self._session, first, over, left is None


def remove(db: sqlite3.Connection, session: str, first: int, *, is_over: bool) -> None:
    """Remove a closed session's events from ``first`` on, and what is known of it if none is left, in a
    transaction. Else the last that is left becomes its head; if it ``is_over``, that is a state.
    """
    left = db.execute(_BEFORE, (session, first)).fetchone()
    db.execute("DELETE FROM events WHERE session = ? AND seq >= ?", (session, first))
    db.execute("DELETE FROM checkpoints WHERE session = ? AND seq >= ?", (session, first))
    if left is None:
        db.execute("DELETE FROM sessions WHERE session = ?", (session,))
        return
    entry = "head_seq = ?, head_id = ?"
    values: tuple[object, ...] = left
    if is_over:
        entry, values = f"{entry}, state_seq = ?, state_id = ?", values * 2
    db.execute(f"UPDATE sessions SET {entry} WHERE session = ?", (*values, session))  # noqa: S608
