"""Checks a session's history that comes from elsewhere, line by line, before anything of it is stored.

Hashes and links show that it is as somebody recorded it; not who. So what a client may not choose is
checked as well: whose it is, the forms of names and ids, times, and limits, under which it would be replayed
here. Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import msgspec
from msgspec import UNSET

from engine import labels
from engine.chain import GENESIS, Record
from engine.errors import Conflict, FileCorrupt, InvalidField, RequestError, StoreCorrupt, TooLarge
from engine.events import (
    STATE_EVENTS,
    TICKS_PER_MS,
    Aborted,
    Accepted,
    Caller,
    Closed,
    Created,
    ErrorDetail,
    Event,
    Executed,
    Forked,
    Outcome,
    Tagged,
    Trace,
)
from engine.events import Line as ConsoleLine
from engine.history import MAX_FORKS
from engine.limits import LimitPolicy, Limits
from engine.plausibility import is_plausible, is_plausible_error
from engine.portable import (
    MAX_BODY_BYTES,
    End,
    Header,
    Line,
    Unpacker,
    decode_header,
    decode_line,
    record_of,
)
from engine.session import NAME, Position, apply
from engine.worker import CUT_MARK, LINE_COST, allowance

REDACTED = (
    "this file was redacted: it cannot be verified, and so not imported; export the session without --redact"
)
MAX_TIME = 253_402_300_799_999_999
"""The end of the year 9999, in microseconds since the epoch: what times over HTTP can say."""
_TICK_US = 1_000 // TICKS_PER_MS
_SEED_BYTES, _DIGEST_BYTES = 16, 32
MAX_DIGESTS = 1_000_000
"""Of the Accepted events in a file that a server takes in: whoever recovers the session has all in memory."""
MAX_ACCEPTED = 100
"""Of these events themselves: each recovery of any session looks at all that the store has."""
_ACCEPTED_BYTES = 48
"""What a number and a digest take at most."""
_TEXT_MARKS = frozenset(range(0xC4, 0xC7)) | frozenset(range(0xD9, 0xDC))
"""With which the MessagePack of long strings and bytes begins."""

_anything = msgspec.msgpack.Decoder()
_text = msgspec.msgpack.Decoder(str)
_encoder = msgspec.msgpack.Encoder()
_FIELDS: dict[str, msgspec.msgpack.Decoder[Any]] = {
    name: msgspec.msgpack.Decoder(kind)
    for name, kind in (
        ("caller", Caller),
        ("console", tuple[ConsoleLine, ...]),
        ("digests", dict[int, bytes]),
        ("error", ErrorDetail),
        ("limits", Limits),
        ("outcome", Outcome),
        ("tags", dict[str, str | None]),
        ("trace", Trace),
    )
}
"""Of events, that may be large and are more than a text."""

_ID = re.compile(r"\w{1,64}", re.ASCII)
"""Internal ids of sessions."""
_EXECUTION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY = re.compile(r"[\x20-\x7e]{1,255}")


class ImportCheck:
    """Reads one file to its end.

    ``owner`` is whose session it has to be (None: anybody's), ``policy`` what is allowed here (None:
    anything). All methods raise FileCorrupt where the file is at fault; InvalidField, TooLarge and Conflict
    where it may not be imported here.
    """

    def __init__(self, most: int, owner: str | None = None, policy: LimitPolicy | None = None) -> None:
        """``most``: bytes that the file may have, unpacked."""
        self._unpacker = Unpacker(most)
        self._owner = owner
        self._policy = policy
        self._header: Header | None = None
        self._end: End | None = None
        self._line = 0
        self._position: Position | None = None
        self._sessions: set[str] = set()
        self._seq = 0
        """Number of the next event."""
        self._states = bytearray()
        """For each event whether it is a state event."""
        self._tags: dict[int, dict[str, str]] = {}
        self._accepted = self._digests = 0
        """Accepted events, and what is in all of them."""

    @property
    def header(self) -> Header:
        """The first line, once it was read."""
        assert self._header is not None
        return self._header

    @property
    def events(self) -> int:
        """How many events the file says that it has, once that was read."""
        return 0 if self._header is None else self._header.events

    @property
    def position(self) -> Position:
        """Where the session is, once an event was read."""
        assert self._position is not None
        return self._position

    def feed(self, data: bytes) -> Iterator[Record]:
        """The checked events that are complete with the next ``data`` of the file."""
        try:
            for text in self._unpacker.feed(data):
                self._line += 1
                record = self._read(text)
                if record is not None:
                    yield record
        except StoreCorrupt as broken:
            self._fail(broken.message)
        except FileCorrupt as broken:
            self._fail(broken.message)

    def finish(self) -> None:
        """The file is over: is it whole, and what its first line says?"""
        try:
            self._unpacker.finish()
            header, position = self._header, self._position
            if header is None or position is None or self._end is None:
                raise FileCorrupt("it is cut off: its last line is missing")  # noqa: TRY301
        except FileCorrupt as broken:
            self._fail(broken.message)
        told = (header.session, header.owner, header.head, header.events, self._end.head)
        head = position.head_id.hex()
        if told != (position.name, position.owner, head, self._seq, head) or not self._end.end:
            self._fail("its first or last line does not agree with its events")
        if position.closed:
            raise Conflict(f"session {position.name} was deleted where this file is from", field="file")

    def _read(self, text: bytes) -> Record | None:
        if self._header is None:
            self._begin(decode_header(text))
            return None
        if self._end is not None:
            raise FileCorrupt("something follows its last line")
        line = decode_line(text)
        if isinstance(line, End):
            self._end = line
            return None
        if self._policy is not None:
            self._check_size(line, self._policy)
            _check_fields(line)
        record = record_of(line)
        self._follow(record)
        self._check(record.event)
        self._seq += 1
        self._states.append(isinstance(record.event, STATE_EVENTS))
        return record

    def _check_size(self, line: Line, policy: LimitPolicy) -> None:
        """Raises TooLarge where a field that is more than a text, which takes many times its bytes once it is
        decoded, has more of them than what a worker may say, or a number and a digest for each event.
        """
        most = max(allowance(policy.default), _ACCEPTED_BYTES * self._seq if line.type == "accepted" else 0)
        size = sum(len(field) for field in line.large if not _is_text(field))
        if size > most:
            raise TooLarge(
                f"event {line.event} has {size:,} bytes of console, trace and other lists; at most {most:,} "
                "are possible with the limits here",
                field="file",
            )

    def _begin(self, header: Header) -> None:
        if header.redacted:
            raise InvalidField(REDACTED, field="file")
        if self._owner is not None and header.owner != self._owner:
            raise Conflict(
                f"session {header.session[:128]!r} in this file belongs to {header.owner[:64]!r}, and you "
                f"are {self._owner!r}: only its owner can import it here",
                field="file",
            )
        if self._policy is not None and header.events > self._policy.max_session_events:
            raise TooLarge(
                f"the session has {header.events:,} events; at most {self._policy.max_session_events:,} are "
                "allowed here (--max-session-events)",
                field="file",
            )
        self._header = header

    def _follow(self, record: Record) -> None:
        """Move on to an event, which must be the one that comes next."""
        event, before = record.event, self._position
        if self._seq >= self.header.events:
            raise FileCorrupt("there are more events than its first line says")
        if event.seq != self._seq or record.prev != (GENESIS if before is None else before.head_id):
            raise FileCorrupt("the event does not follow the one before it")
        if isinstance(event, Created | Forked):
            if isinstance(event, Created) != (before is None):
                raise FileCorrupt("a history begins with the creation of a session, and with nothing else")
            if isinstance(event, Forked):
                self._fork(event)
            if event.session in self._sessions or len(self._sessions) > MAX_FORKS:
                raise FileCorrupt("a session occurs twice in the history, or there are too many")
            self._sessions.add(event.session)
            self._tags = {}
            before = None
        self._position = apply(before, record)

    def _fork(self, event: Forked) -> None:
        before = self.position
        if event.parent != before.session or before.state_id != before.head_id:
            raise FileCorrupt("a session is forked from what is not a state of the one before it")

    def _check(self, event: Event) -> None:
        """What a client may not choose."""
        if not (0 <= event.at <= MAX_TIME and _ID.fullmatch(event.session)):
            raise FileCorrupt("its session's id or its time is of no such form")
        if isinstance(event, Created | Forked) and not NAME.fullmatch(event.name):
            raise FileCorrupt("its session's name is of no such form")
        if isinstance(event, Created | Forked | Executed | Aborted) and event.owner != self.header.owner:
            raise FileCorrupt("the event is of another owner")
        if isinstance(event, Closed) and self._seq + 1 < self.header.events:
            raise FileCorrupt("something follows the end of a session")
        if isinstance(event, Executed | Aborted):
            self._check_execution(event)
        elif isinstance(event, Tagged):
            self._check_tags(event)
        elif isinstance(event, Accepted):
            self._check_accepted(event)

    def _check_execution(self, event: Executed | Aborted) -> None:
        over = event.at + event.duration_us
        if not (0 <= event.accepted_at <= MAX_TIME and event.at <= over <= MAX_TIME):
            raise FileCorrupt("its times are of no such form")
        if not _is_possible(event):
            raise FileCorrupt("no execution can have come to what it says")
        key = event.idempotency_key
        if not _EXECUTION_ID.fullmatch(event.execution_id) or not (key is None or _KEY.fullmatch(key)):
            raise FileCorrupt("its execution's id or idempotency key is of no such form")
        if self._policy is not None:
            _check_limits(event, self._policy)

    def _check_accepted(self, event: Accepted) -> None:
        self._accepted += 1
        self._digests += len(event.digests)
        if not event.digests or any(
            not (0 < number < self._seq and self._states[number] and len(digest) == _DIGEST_BYTES)
            for number, digest in event.digests.items()
        ):
            raise FileCorrupt("it accepts what no replay of an event can have given")
        if self._policy is not None and (self._digests > MAX_DIGESTS or self._accepted > MAX_ACCEPTED):
            raise TooLarge(
                f"this session was accepted over {MAX_ACCEPTED:,} times, or with replays of over "
                f"{MAX_DIGESTS:,} events; import it with `mcp-v8 import --directory-path`, while no server "
                "has the store",
                field="file",
            )

    def _check_tags(self, event: Tagged) -> None:
        """Raises FileCorrupt: here no more labels were allowed either."""
        if not (0 <= event.target < self._seq and self._states[event.target]):
            raise FileCorrupt("it labels what is no state")
        try:
            labels.check(event.tags)
            labels.changes(self._tags, event.target, event.tags)
        except RequestError as refused:
            raise FileCorrupt(refused.message) from refused
        state = self._tags.setdefault(event.target, {})
        for key, value in event.tags.items():
            if value is None:
                state.pop(key, None)
            else:
                state[key] = value

    def _fail(self, why: str) -> NoReturn:
        place = "" if self._line == 0 else f" (line {self._line})"
        raise FileCorrupt(f"this is no whole file of `mcp-v8 export`{place}: {why}", field="file") from None


def _check_fields(line: Line) -> None:
    """Raises FileCorrupt for a large field that is not what its name says, to the byte: what else is in it
    would be decoded as well, and keep other threads waiting for seconds. Other faults are not looked for.
    """
    fields = {hashlib.sha256(field).digest(): field for field in line.large}
    try:
        body = _anything.decode(line.body) if len(line.body) <= MAX_BODY_BYTES else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = None
    for name, value in body.items() if isinstance(body, dict) else ():
        reference = bytes(value.data)[8:] if isinstance(value, msgspec.msgpack.Ext) else b""
        if (field := fields.get(reference)) is None:
            continue
        try:
            is_that = _encoder.encode(_FIELDS.get(name, _text).decode(field)) == field
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            is_that = False
        if not is_that:
            raise FileCorrupt(f"what is in the event's field {str(name)[:32]!r} is not of its form")


def _is_text(field: bytes) -> bool:
    return bool(field) and field[0] in _TEXT_MARKS


def _is_possible(event: Executed | Aborted) -> bool:
    if sum(LINE_COST + len(line.text) for line in event.console) > event.limits.console_bytes + CUT_MARK:
        return False
    if isinstance(event, Aborted):
        return is_plausible_error(event.error)
    trace = event.trace
    return (
        is_plausible(trace, event.outcome, event.duration_us, event.limits)
        and 0 <= event.cpu_us <= MAX_TIME
        and 0 <= trace.start <= trace.start + sum(trace.clock[::2]) <= MAX_TIME // _TICK_US
        and (len(trace.seed), len(event.digest)) == (_SEED_BYTES, _DIGEST_BYTES)
    )


def _check_limits(event: Executed | Aborted, policy: LimitPolicy) -> None:
    """Raises TooLarge for an event that was recorded under limits that are not given here."""
    most, had = policy.default, event.limits
    for what, value, limit, flag in (
        ("bytes of code", len(event.code.encode()), policy.max_code_bytes, "--max-code-bytes"),
        ("characters of input", len(event.input or ""), policy.max_input_bytes, "--max-input-chars"),
        ("ms of time", had.time_ms, policy.max_time_ms, "--max-execution-timeout"),
        ("MB of heap", had.heap_mb, policy.max_heap_mb, "--heap-memory-max"),
        ("MB of buffers", had.offheap_mb, most.offheap_mb, "--max-offheap-memory"),
        ("bytes of console", had.console_bytes, most.console_bytes, "--max-console-bytes"),
        ("characters of result", had.result_chars, most.result_chars, "--max-result-chars"),
        ("timers", had.timers, most.timers, "--max-timers"),
        ("changes of the clock", had.clock_reads, most.clock_reads, "--max-clock-reads"),
        ("ms of CPU time", 0 if had.cpu_ms is UNSET else had.cpu_ms, most.cpu_ms, "--max-cpu-seconds"),
    ):
        if limit is not UNSET and not 0 <= value <= limit:
            raise TooLarge(
                f"event {event.seq} was recorded with {value:,} {what}; at most {limit:,} are allowed here "
                f"({flag})",
                field="file",
            )
