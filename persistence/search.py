"""Searching executions, newest first. Everything here blocks, and belongs in a thread.

No index leads to a text or a time: events are looked at one after the other, and a page ends after a while
whatever it has found, so that no search keeps others from reading. What cannot hold the text is passed over
by SQLite, without being decoded.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from engine.chain import Record
from engine.events import Aborted, Caller, Executed
from engine.search import Search
from persistence.eventlog import Page
from persistence.schema import EVENT_COLUMNS, Row, record_of

PAGE_SECONDS = 0.1
"""A page ends after the event, or the step, that brings its time to this."""
_FIRST_STEP, _MAX_STEP = 256, 16_384
"""Places in the log that are looked at in one statement: at first, and at most."""
_STEP_SECONDS = 0.02
"""A step that takes longer is followed by a shorter one."""

_STEP = (
    "SELECT {place}, {columns} FROM events "
    "WHERE {where} AND {place} >= ? AND {place} < ? ORDER BY {place} DESC"
)
_IS_OPEN = "EXISTS (SELECT 1 FROM sessions WHERE sessions.session = events.session AND NOT closed)"
_BODY, _LARGE = -2, -1
"""Columns of a row."""


class _Head(Struct):
    """What is looked at before an event is decoded; a caller of much text is elsewhere."""

    at: int
    caller: Any


_head = msgspec.msgpack.Decoder(_Head)


def executions(
    db: sqlite3.Connection,
    owner: str,
    session: str | None,
    status: str | None,
    search: Search,
    limit: int,
    before: int,
    page_bytes: int,
) -> Page[Record]:
    """A page of what is found ``before`` a place, which is a page's ``next``; maybe nothing.

    Raises StoreCorrupt.
    """
    began = time.monotonic()
    place, where, values = _source(owner, session, status)
    text, needle = _text_in_sql(search)
    query = _STEP.format(place=place, columns=EVENT_COLUMNS, where=" AND ".join([*where, *text]))
    least, top = db.execute(
        f"SELECT ifnull(min({place}), 0), ifnull(max({place}), -1) + 1 FROM events"  # noqa: S608
        + ("" if session is None else " WHERE session = ?"),
        () if session is None else (session,),
    ).fetchone()
    high, step = min(before, top), _FIRST_STEP
    may_hold = _text_in_bytes(search)
    records: list[Record] = []
    size = 0
    while high > least:
        low, started = high - step, time.monotonic()
        for at, *row in db.execute(query, (*values, *needle, low, high)):
            found = _found(tuple(row), search, may_hold)
            if found is not None:
                records.append(found)
                size += sum(len(value) for value in row if isinstance(value, bytes))
            is_late = time.monotonic() - began >= PAGE_SECONDS
            if is_late or len(records) == limit or size >= page_bytes:
                return Page(tuple(records), str(at) if at > least else None)
        high, now = low, time.monotonic()
        if now - began >= PAGE_SECONDS:
            break
        step = min(2 * step, _MAX_STEP) if now - started < _STEP_SECONDS else max(step // 2, _FIRST_STEP)
    return Page(tuple(records), str(high) if high > least else None)


def _source(owner: str, session: str | None, status: str | None) -> tuple[str, list[str], list[str]]:
    """What gives places their order, and the conditions, with their values, that lead to the rows there."""
    # a plus keeps SQLite from an index that has the rows in another order
    indexed = "+" if status is None or session is not None else ""
    where, values = [f"{indexed}owner = ?", "execution_id IS NOT NULL", _IS_OPEN], [owner]
    if session is not None:
        where.append("session = ?")
        values.append(session)
    if status is not None:
        where.append(f"{'' if session is None else '+'}status = ?")
        values.append(status)
    return "rowid" if session is None else "seq", where, values


def _text_in_sql(search: Search) -> tuple[list[str], list[bytes]]:
    if search.ignore_case or search.needle is None:
        return [], []
    data = search.needle.encode(errors="surrogatepass")
    return ["(instr(body, ?) OR instr(large, ?))"], [data, data]


def _text_in_bytes(search: Search) -> Callable[[bytes], bool] | None:
    """Finds the text in whatever case where that is one of bytes; None where only decoding tells."""
    if not search.ignore_case or search.needle is None or not search.needle.isascii():
        return None
    lowered = search.needle.encode().lower()
    return lambda data: lowered in data.lower()


def _found(row: Row, search: Search, may_hold: Callable[[bytes], bool] | None) -> Record | None:
    """The record of a row if it is what is searched for."""
    body, large = row[_BODY], row[_LARGE]
    if may_hold is not None and not may_hold(body) and not (large and may_hold(large)):
        return None
    if not _may_be(body, search):
        return None
    record = record_of(row)
    assert isinstance(record.event, Executed | Aborted)
    return record if search.finds(record.event) else None


def _may_be(body: bytes, search: Search) -> bool:
    """Whether what an event begins with is like that; where it cannot be read, decoding it says why."""
    try:
        head = _head.decode(body)
        caller = msgspec.convert(head.caller, Caller) if isinstance(head.caller, dict) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    return caller is None or search.finds_head(head.at, caller)
