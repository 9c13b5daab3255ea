"""The events of a session's log: everything that ever happened to it, as immutable records.

A log begins with exactly one ``Created`` (sequence number 0) or ``Forked`` (the number after the
event it forked from, so that a chain numbers its whole history without gaps and ``exec-n.js`` is
unique in it). ``Created``, ``Forked``, ``Executed`` and ``Accepted`` are *state events*: the hash of the
last one names the state and is what users see as ``heap``. The others take a sequence number and leave
the state as it was.

Times are integers: ``at`` and friends are microseconds since the Unix epoch, clock readings inside a
trace are *ticks* of 0.1 ms since the epoch, durations are microseconds.
"""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import force_setattr

from engine.limits import Limits

FORMAT_VERSION = 4
"""Version 2 added ``Accepted``, version 3 the limit ``cpu_ms``, version 4 the reason ``node_lost``; all
else is as it was.
"""

TICKS_PER_MS = 10

Level = Literal["debug", "log", "info", "warn", "error"]
OutcomeStatus = Literal["completed", "failed"]
AbortReason = Literal["timed_out", "cancelled", "out_of_memory", "stack_overflow", "crashed", "node_lost"]


class Caller(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who asked: recorded with every event."""

    transport: str
    client: str = ""
    client_version: str = ""
    subject: str = ""
    request_id: str = ""
    traceparent: str = ""


class Line(Struct, frozen=True, array_like=True):
    """One console line (its text may contain newlines)."""

    level: Level
    text: str


class ErrorDetail(Struct, frozen=True, kw_only=True):
    """A guest error, or the reason of an abort, as shown to users."""

    name: str
    message: str
    line: int | None = None
    """1-based line in the script (or in the text given to eval or JSON.parse), where known."""
    column: int | None = None
    """1-based column."""
    frame: str | None = None
    """The failing line with its neighbours, marked."""
    stack: str | None = None
    """Name, message and frames; behind them cause, errors and own properties, as inspection shows them."""
    undone: bool = False
    """Whether the whole execution was rolled back."""


class Trace(Struct, frozen=True, kw_only=True):
    """All that an execution took from outside, sufficient to run it again."""

    start: int
    """Clock at the start, in ticks."""
    seed: bytes
    """16 bytes from which all randomness of the execution is drawn."""
    clock: tuple[int, ...] = ()
    """Clock reads, run-length coded: ticks since the previous value, then how many reads saw it."""
    timers_before: tuple[int, ...] = ()
    """Ids of timers that were overdue and fired before the code, in order."""
    timers_after: tuple[int, ...] = ()
    """Ids of timers that fired while the execution settled, in order."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What an execution came to."""

    status: OutcomeStatus
    result: str | None = None
    """The value as inspected text; None when the code failed or its value is still pending."""
    result_json: str | None = None
    """The value as JSON text, where it is JSON and within the limit."""
    error: ErrorDetail | None = None
    pending: bool = False
    """Whether the value is a promise that nothing left could settle."""
    pending_timers: int = 0
    console_dropped: int = 0
    """Console lines that came after the cap."""
    result_json_omitted: str | UnsetType = UNSET
    """Why there is no ``result_json``, in a few words; absent if there is, and for undefined."""


class Created(Struct, frozen=True, kw_only=True, tag="created"):
    """A session began."""

    session: str
    """Internal id, never reused; a name can be, after a deletion."""
    seq: int
    at: int
    owner: str
    name: str
    engine: str
    """Engine id: names V8, its flags and the base image."""
    caller: Caller
    v: int = FORMAT_VERSION


class Forked(Struct, frozen=True, kw_only=True, tag="forked"):
    """A session began as a copy of another one's state."""

    session: str
    seq: int
    """The parent's sequence number plus one."""
    at: int
    owner: str
    name: str
    engine: str
    caller: Caller
    parent: str
    """Internal id of the parent session; its event ``seq - 1`` is a state event."""
    v: int = FORMAT_VERSION


class Execution(Struct, frozen=True, kw_only=True):
    """Fields that ``Executed`` and ``Aborted`` share."""

    session: str
    seq: int
    at: int
    """When the code started."""
    accepted_at: int
    execution_id: str
    owner: str
    caller: Caller
    engine: str
    code: str
    input: str | None = None
    """JSON text bound to ``input`` in the code."""
    limits: Limits
    idempotency_key: str | None = None
    request_hash: str = ""
    """Hex SHA-256 of the request, to tell a retry from another request under the same key."""
    console: tuple[Line, ...] = ()
    duration_us: int = 0
    v: int = FORMAT_VERSION


class Executed(Execution, frozen=True, kw_only=True, tag="executed"):
    """Code ran to its end, with a value or an ordinary throw; its effects are part of the state."""

    trace: Trace
    outcome: Outcome
    cpu_us: int = 0
    """CPU time; since version 3 as the kernel counts it, before that as the worker did."""
    digest: bytes
    """SHA-256 over outcome, console and clock; what a replay must reproduce."""


class Aborted(Execution, frozen=True, kw_only=True, tag="aborted"):
    """Code was stopped and all its effects undone."""

    reason: AbortReason
    error: ErrorDetail


class Accepted(Struct, frozen=True, kw_only=True, tag="accepted"):
    """The owner accepted that a replay gives another state than was recorded, and goes on in it."""

    session: str
    seq: int
    at: int
    caller: Caller
    engine: str
    """Engine id under which it was replayed."""
    digests: dict[int, bytes]
    """Numbers of the events whose replay differed, ascending, each with the digest of the replay."""
    v: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        # Equal events have one encoding, in whatever order the differences were found.
        force_setattr(self, "digests", dict(sorted(self.digests.items())))


class Tagged(Struct, frozen=True, kw_only=True, tag="tagged"):
    """Labels of a state were changed, in this session's view: its forks have labels of their own."""

    session: str
    seq: int
    at: int
    caller: Caller
    target: int
    """Sequence number of the state event, which may be one before this session was forked."""
    tags: dict[str, str | None]
    """Key to value; None takes the label away."""
    v: int = FORMAT_VERSION


class Closed(Struct, frozen=True, kw_only=True, tag="closed"):
    """The session was deleted: a tombstone; its name is free again."""

    session: str
    seq: int
    at: int
    caller: Caller
    v: int = FORMAT_VERSION


Event = Created | Forked | Executed | Aborted | Accepted | Tagged | Closed
STATE_EVENTS = (Created, Forked, Executed, Accepted)
