"""Looks at all that is stored of a session and finds whatever is wrong with it, not only the first thing.

Whoever reads a session for its events is told of the first that is not what it should be, and gets no more.
Here every event is verified by itself, its link to the one before, and that the tables that are derived from
the events (entries, labels) say what these say. What there is to judge is read by ``persistence.survey``.
"""

from __future__ import annotations

import re
import sqlite3

from engine.chain import GENESIS, Record
from engine.errors import AppendConflict, StoreCorrupt
from engine.events import Closed, Created, Forked, Tagged
from persistence.eventlog import Audited, Fault, FaultKind, SessionRow
from persistence.heads import advance
from persistence.schema import Row, record_of
from persistence.survey import Ending, Labels, Page, read_page

MAX_FAULTS = 100
"""Faults of one session that are told; faults of neighbours that are alike are one."""
_PLACE = re.compile(r"session \S+, event \d+: ")
_NAME = re.compile(r"event [0-9a-f]{64}")
_TOLD = ("owner", "name", "created_at", "last_at", "state_seq", "state_id", "closed")
"""Of an entry, what events say."""
_ALWAYS = ("owner", "name", "created_at")
"""The same of a deleted session, some of whose events were removed."""


class Audit:
    """An audit of one session: what ``page`` reads is to be ``judge``d, as long as there is more."""

    def __init__(self, session: str) -> None:
        self._session = session
        self._begin()

    def _begin(self) -> None:
        self._next: int | None = None
        self._at: bytes | None = None
        """Id of the event before the next, where that is known."""
        self._first: Record | None = None
        self._folded: SessionRow | None = None
        """What the entry must be, as long as all events could be read."""
        self._labels: Labels = {}
        self._whole = True
        self._events = self._size = 0
        self._faults: list[Fault] = []
        self._more = 0
        self._page: Page | None = None

    def page(self, db: sqlite3.Connection) -> Page:
        """What comes next; the same again until it was judged."""
        return read_page(db, self._session, self._next)

    def judge(self, page: Page) -> bool:
        """Note what is wrong with it; whether there is more to read."""
        if self._events and (page.end is None or page.end < (self._next or 0) - 1):
            self._begin()  # it was deleted, and its events are being removed from the end
            return True
        self._page = page
        if self._next is None and page.first is not None:
            self._next = page.first
        found: list[tuple[int, Row | None]] = [(row[1], row) for row in page.rows]
        found += [(number, None) for number in page.unreadable]
        for number, row in sorted(found, key=lambda one: one[0]):
            self._event(number, row)
        if page.ending is None:
            return True
        self._end(page, page.ending)
        return False

    @property
    def result(self) -> Audited | None:
        """What it came to; None if there is no such session any more."""
        page = self._page
        if page is None or page.ending is None or (page.entry is None and not self._events):
            return None
        entry, begun = page.entry, None if self._first is None else self._first.event
        named = begun if isinstance(begun, Created | Forked) else None
        return Audited(
            session=self._session,
            owner=entry.owner if entry else named.owner if named else None,
            name=entry.name if entry else named.name if named else None,
            closed=entry is not None and entry.closed,
            has_entry=entry is not None,
            events=self._events,
            size=self._size,
            first=page.first,
            head=entry.head_seq if entry else page.end,
            parent=named.parent if isinstance(named, Forked) else page.ending.parent,
            checkpoints=tuple(one for one, event in page.ending.checkpoints if one.state == event),
            faults=tuple(self._faults),
            more_faults=self._more,
        )

    def _event(self, number: int, row: Row | None) -> None:
        if self._next is None:
            self._next = number
        if number > self._next:
            self._fault("missing", "there is none of that number", self._next, number - 1)
            self._at = None
        begins = self._events == 0 and number == self._next
        self._next = number + 1
        self._events += 1
        before, self._at = self._at, None
        if row is None:
            self._fault("damaged", "the database cannot give it", number)
            return
        self._size += sum(len(value) for value in row if isinstance(value, bytes))
        name = row[6]
        self._at = name if isinstance(name, bytes) else None
        try:
            record = record_of(row)
        except StoreCorrupt as damage:
            self._fault("damaged", _without_names(damage.message), number)
            return
        if begins:
            self._first = record
            if isinstance(record.event, Created):
                before = GENESIS
            elif not isinstance(record.event, Forked):
                self._fault("chain", "no session can begin with it", number)
        if before is not None and record.prev != before:
            self._fault("chain", "it does not follow the event before it", number)
        self._fold(record, number)

    def _fold(self, record: Record, number: int) -> None:
        event = record.event
        if isinstance(event, Tagged):
            labels = self._labels.setdefault(event.target, {})
            for key, value in event.tags.items():
                if value is None:
                    labels.pop(key, None)
                else:
                    labels[key] = value
        elif isinstance(event, Closed):
            self._labels = {}
        if self._whole:
            try:
                self._folded = advance(self._folded, [record])
            except AppendConflict:
                self._fault("chain", "it cannot come behind the events before it", number)

    def _end(self, page: Page, ending: Ending) -> None:
        entry, last = page.entry, (self._next or 0) - 1
        if entry is None:
            if self._events:
                self._fault("entry", "it has lost its entry, by which it is found")
            return
        if entry.head_seq > last or not self._events:
            start = page.first or 0 if not self._events else last + 1
            self._fault("missing", "there is none of that number", start, entry.head_seq)
        elif entry.head_seq < last:
            self._fault(
                "chain", "it is behind the head that the session's entry names", entry.head_seq + 1, last
            )
        elif self._at is not None and self._at != entry.head_id:
            self._fault("chain", "it is not the head that the session's entry names", last)
        self._check_origin(page, ending)
        if self._whole and self._folded is not None:
            removed = entry.closed and not self._folded.closed
            other = [
                one
                for one in (_ALWAYS if removed else _TOLD)
                if getattr(entry, one) != getattr(self._folded, one)
            ]
            if other:
                self._fault("entry", f"its entry has another {', '.join(other)} than its events say")
            said = (
                {} if entry.closed else {target: labels for target, labels in self._labels.items() if labels}
            )
            if ending.labels is None:
                self._fault("labels", "its labels cannot be read")
            elif said != ending.labels:
                self._fault("labels", "its labels are not those that its events say")
        if ending.damaged_checkpoints:
            self._fault("checkpoint", f"{ending.damaged_checkpoints} of its checkpoints are damaged")
        for checkpoint, event in ending.checkpoints:
            if checkpoint.state != event:
                self._fault("checkpoint", "it is of another state than that of its event", checkpoint.seq)

    def _check_origin(self, page: Page, ending: Ending) -> None:
        """Whether a fork has what it was forked from, and its entry says so."""
        if self._first is None:
            return
        event = self._first.event
        parent = event.parent if isinstance(event, Forked) else None
        if isinstance(event, Forked) and ending.origin != (event.parent, event.seq - 1):
            self._fault(
                "origin",
                f"event {event.seq - 1} of the session that it was forked from is missing or another",
                event.seq,
            )
        if ending.parent != parent or page.first != event.seq:
            self._fault("entry", "its entry says otherwise than its events where it was forked")

    def _fault(self, kind: FaultKind, what: str, first: int | None = None, last: int | None = None) -> None:
        last = first if last is None else last
        if kind in ("damaged", "missing", "chain"):
            self._whole = False
        if self._faults and first is not None:
            before = self._faults[-1]
            if before.last == first - 1 and (before.kind, before.what) == (kind, what):
                self._faults[-1] = Fault(kind, what, before.first, last)
                return
        if len(self._faults) == MAX_FAULTS:
            self._more += 1
            return
        self._faults.append(Fault(kind, what, first, last))


def _without_names(sentence: str) -> str:
    """What is wrong with an event, as said of it: so neighbours that are damaged alike are one fault."""
    return _NAME.sub("it", _PLACE.sub("", sentence, count=1))
