"""What an event in full says beside its texts: what it took from outside, and its place. Pure."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from engine.chain import Record
from engine.events import TICKS_PER_MS, Aborted, AbortReason, Created, Executed, Forked, Trace
from engine.limits import Limits
from transports.answer import Time, time_of

MAX_READINGS = 1_000
"""Readings of the clock that are told one by one, and timers."""
_TICK_US = 1_000 // TICKS_PER_MS


class ClockReading(Struct, frozen=True):
    """A time that the code saw."""

    at: Time
    times: int
    """How many reads in a row saw it."""


class TraceAnswer(Struct, frozen=True, kw_only=True):
    """All that an execution took from outside."""

    start: Time
    """The clock when it began."""
    seed: str
    """32 hex digits, from which all its random numbers come."""
    clock: list[ClockReading]
    """The first 1,000 readings."""
    clock_reads: int
    """All of them, those that saw the same time included."""
    timers_before: list[int]
    """Ids of the timers that were overdue and fired before the code, the first 1,000, in order."""
    timers_after: list[int]
    """Of those that fired while it settled."""


class EventDetails(Struct, frozen=True, kw_only=True):
    """What an event says beside its texts; what an event of its type does not have is left out."""

    format: int
    """Version of the event format."""
    session_id: str
    """The session in which it was recorded, which keeps this id whatever it is called."""
    prev: str
    """Id of the event before it; of the first one, zeros."""
    engine: str | UnsetType = UNSET
    """Names V8, its flags and the base image."""
    parent_id: str | UnsetType = UNSET
    """The session that a fork comes from."""
    accepted_at: Time | UnsetType = UNSET
    """When it was asked for; it waited until ``at``."""
    cpu_ms: float | UnsetType = UNSET
    limits: Limits | UnsetType = UNSET
    """In force while it ran."""
    idempotency_key: str | UnsetType | None = UNSET
    request_hash: str | UnsetType = UNSET
    """SHA-256 of the request."""
    reason: AbortReason | UnsetType = UNSET
    """Why it was stopped."""
    pending: bool | UnsetType = UNSET
    """Whether its value is a promise that nothing left could settle."""
    pending_timers: int | UnsetType = UNSET
    console_dropped: int | UnsetType = UNSET
    """Console lines over the limit."""
    digest: str | UnsetType = UNSET
    """SHA-256 over what a replay must reproduce."""
    trace: TraceAnswer | UnsetType = UNSET


def event_details(record: Record) -> EventDetails:
    """The details of an event."""
    event = record.event
    told = EventDetails(format=event.v, session_id=event.session, prev=record.prev.hex())
    if isinstance(event, Created | Forked):
        parent = event.parent if isinstance(event, Forked) else UNSET
        return replace(told, engine=event.engine, parent_id=parent)
    if not isinstance(event, Executed | Aborted):
        return told
    told = replace(
        told,
        engine=event.engine,
        accepted_at=time_of(event.accepted_at),
        limits=event.limits,
        idempotency_key=event.idempotency_key,
        request_hash=event.request_hash,
    )
    if isinstance(event, Aborted):
        return replace(told, reason=event.reason)
    return replace(
        told,
        cpu_ms=event.cpu_us / 1_000,
        pending=event.outcome.pending,
        pending_timers=event.outcome.pending_timers,
        console_dropped=event.outcome.console_dropped,
        digest=event.digest.hex(),
        trace=_trace(event.trace),
    )


def _trace(trace: Trace) -> TraceAnswer:
    readings, tick = [], trace.start
    for passed, times in list(zip(trace.clock[::2], trace.clock[1::2], strict=False))[:MAX_READINGS]:
        tick += passed
        readings.append(ClockReading(time_of(tick * _TICK_US), times))
    return TraceAnswer(
        start=time_of(trace.start * _TICK_US),
        seed=trace.seed.hex(),
        clock=readings,
        clock_reads=sum(trace.clock[1::2]),
        timers_before=list(trace.timers_before[:MAX_READINGS]),
        timers_after=list(trace.timers_after[:MAX_READINGS]),
    )
