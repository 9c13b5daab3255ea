"""What a replay is compared with: the record, or what the owner accepted in its place. Pure.

Under the engine that recorded an event the digest decides. Under another one, as after an upgrade, what code
can act upon must agree (status, JSON result, timers, whether there is a value), while texts and the clock may
differ: that is *drift*, and only told.

Where a later ``Accepted`` names an event, its replay must have the digest that is named there. Under another
engine than that one's nothing is known of what it should give, and it is not compared. From the first event
that an ``Accepted`` names until it, a replay on the way to that state or a later one is in states that have
no name: those events name the states that were recorded, and that can be restored by a checkpoint only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from msgspec import Struct

from engine.events import Accepted, ErrorDetail, Executed, Line
from engine.isolate.wire import Done

FOUND_CHARS = 2_000
"""Characters of a differing value that are kept."""
_LINE_CHARS = 400
"""Characters of a line before the first that differs, if all of it is to be kept."""


class Difference(NamedTuple):
    """The first field in which a replay differs."""

    field: str
    expected: str
    got: str


class Drift(Struct, frozen=True, kw_only=True):
    """Events of another engine whose texts a replay gave otherwise."""

    count: int
    seq: int
    """Number of the first one."""
    field: str
    """Its first field that differs."""


class Acceptances:
    """The Accepted events on the way to a state, oldest first."""

    def __init__(self, events: Sequence[Accepted] = ()) -> None:
        self._of = {seq: one for one in events for seq in one.digests}
        self._unnamed: list[tuple[int, int]] = []
        """The first event of each stretch of states without a name, and the one that ends it, ascending."""
        for first, end in sorted((min(one.digests, default=one.seq), one.seq) for one in events):
            if self._unnamed and first <= self._unnamed[-1][1]:
                first, last = self._unnamed.pop()
                end = max(last, end)
            self._unnamed.append((first, end))

    def of(self, seq: int) -> Accepted | None:
        """The one that holds for event ``seq``: the last one that names it."""
        return self._of.get(seq)

    def is_named(self, seq: int) -> bool:
        """Whether the state after event ``seq``, on that way, is the one that the event names."""
        place = bisect_right(self._unnamed, seq, key=itemgetter(0)) - 1
        return place < 0 or seq >= self._unnamed[place][1]


class Comparison:
    """Compares one replay, under the engine of that id, on a way with these acceptances.

    To ``collect`` differences is to accept them: the replay goes on. Where it is ``strict`` what another
    engine recorded must come out the same, too, and there is no drift.
    """

    def __init__(
        self, engine: str, accepted: Acceptances, *, collect: bool = False, strict: bool = False
    ) -> None:
        self.differences: dict[int, bytes] = {}
        """Digests of the replay, by the numbers of the events that differed, as far as they are collected."""
        self.last: Difference | None = None
        """In what the last event that was compared differed from something that is known."""
        self.last_drift: Difference | None = None
        """In what texts of that event came out otherwise than under the other engine that recorded it."""
        self.is_other = False
        """Whether another engine recorded that event."""
        self.drift: Drift | None = None
        self._engine = engine
        self._accepted = accepted
        self._collect = collect
        self._strict = strict

    def is_named(self, seq: int) -> bool:
        """Whether the state after event ``seq``, which was replayed, is the one that the event names."""
        return not self.differences and self._accepted.is_named(seq)

    def check(self, event: Executed, done: Done, console: tuple[Line, ...]) -> Difference | None:
        """What makes the replay of an event, which came to ``done``, another one than it should be."""
        accepted = self._accepted.of(event.seq)
        if accepted is None:
            difference = _compare(event, done, console, same_engine=self._is_same(event))
        elif accepted.engine == self._engine:
            difference = _compare_digests(accepted.digests[event.seq], done.digest)
        else:
            difference = None
        self.last, self.last_drift = difference, None
        self.is_other = event.engine != self._engine
        # What was accepted under another engine gets a digest that holds under this one.
        is_new = difference is not None or (accepted is not None and accepted.engine != self._engine)
        if self._collect and is_new:
            self.differences[event.seq] = done.digest
            return None
        if difference is None and accepted is None and not self._is_same(event):
            self._note_drift(event, done, console)
        return difference

    def _is_same(self, event: Executed) -> bool:
        """Whether the event is held to what was recorded, to the letter."""
        return self._strict or event.engine == self._engine

    def _note_drift(self, event: Executed, done: Done, console: tuple[Line, ...]) -> None:
        self.last_drift = different = _first_different(_texts(event, done, console))
        if different is not None:
            known = self.drift or Drift(count=0, seq=event.seq, field=different.field)
            self.drift = Drift(count=known.count + 1, seq=known.seq, field=known.field)


def _compare(
    event: Executed, done: Done, console: tuple[Line, ...], *, same_engine: bool
) -> Difference | None:
    """The first field in which a replay differs from the record, without drift."""
    if same_engine and done.digest == event.digest:
        return None
    difference = _first_different(_facts(event, done))
    if difference is not None or not same_engine:
        return difference
    return _first_different(_texts(event, done, console)) or _compare_digests(event.digest, done.digest)


_Pairs = tuple[tuple[str, object, object], ...]


def _facts(event: Executed, done: Done) -> _Pairs:
    was, now = event.outcome, done.outcome
    fired = (event.trace.timers_before, event.trace.timers_after)
    return (
        ("status", was.status, now.status),
        ("result_json", was.result_json, now.result_json),
        ("pending", was.pending, now.pending),
        ("timers", fired, (done.trace.timers_before, done.trace.timers_after)),
        ("pending_timers", was.pending_timers, now.pending_timers),
    )


def _texts(event: Executed, done: Done, console: tuple[Line, ...]) -> _Pairs:
    was, now = event.outcome, done.outcome
    return (
        ("result", was.result, now.result),
        ("error", was.error, now.error),
        ("console", event.console, console),
        ("clock", event.trace.clock, done.trace.clock),
        ("console_dropped", was.console_dropped, now.console_dropped),
        ("result_json_omitted", was.result_json_omitted, now.result_json_omitted),
    )


def _first_different(pairs: _Pairs) -> Difference | None:
    for field, expected, got in pairs:
        if expected != got:
            was, now = _text(expected), _text(got)
            if was == now:  # in what is not shown
                was, now = str(expected), str(got)
            return Difference(field, *from_where_they_part(was, now))
    return None


def _text(value: object) -> str:
    """What people read of a field."""
    if isinstance(value, ErrorDetail):
        place = "" if value.line is None else f"line {value.line}, column {value.column}"
        parts = (f"{value.name}: {value.message}", place, value.frame, value.stack)
        return "\n".join(part for part in parts if part)
    if isinstance(value, tuple) and any(isinstance(one, Line) for one in value):
        return "".join(f"{line.level}: {line.text}\n" for line in value)
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _compare_digests(expected: bytes, got: bytes) -> Difference | None:
    return None if expected == got else Difference("digest", expected.hex(), got.hex())


def from_where_they_part(expected: str, got: str) -> tuple[str, str]:
    """The two texts from shortly before that: from the beginning of the line, unless it is a long one."""
    at = _common(expected, got)
    start = expected.rfind("\n", max(0, at - _LINE_CHARS), at) + 1 or max(0, at - 40)
    return expected[start : start + FOUND_CHARS], got[start : start + FOUND_CHARS]


def _common(one: str, other: str) -> int:
    """How many characters both begin with, found by halves: texts may be long, and others wait."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
