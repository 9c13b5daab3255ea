"""The JSON objects of the REST door beside the execution itself, and how engine's facts become them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict, replace

from engine import labels
from engine.catalog import MAX_PAGE, ExecutionSummary, Progress, SessionInfo, SessionStatus, StateView
from engine.chain import Record
from engine.checkpoints import Checkpoint
from engine.events import (
    Aborted,
    Accepted,
    Caller,
    Closed,
    Created,
    ErrorDetail,
    Executed,
    Forked,
    Level,
    Line,
    Tagged,
)
from engine.execution import Status
from engine.isolate.wire import Global
from engine.outcomes import status_of
from engine.replay import Divergence
from transports.answer import (
    Answer,
    ExecutionEntry,
    Time,
    error_text,
    execution_entry,
    time_of,
)
from transports.paging import joined
from transports.rest.details import EventDetails, event_details

LISTED_CHARS = 2_000
"""Characters of each text of an event in a list."""
MAX_DIFFERENCES = 1_000
"""Numbers of events that the entry of an accepted state names."""
SHOWN_CHARS = 1 << 20
"""Characters of each text of an event that is asked for by its number."""

SessionName = Annotated[
    str,
    Meta(
        description="A session's name: 1 to 128 of the characters A-Z a-z 0-9 . _ -",
        pattern="^[A-Za-z0-9._-]{1,128}$",
    ),
]
Limit = Annotated[int, Meta(description=f"Entries of the page; cut to {MAX_PAGE:,}", ge=1)]
EventNumber = Annotated[int, Meta(description="Number of an event", ge=0, le=10**15)]
TagValue = Annotated[str, Meta(max_length=labels.MAX_VALUE_CHARS)]
TagKey = Annotated[str, Meta(min_length=1, max_length=labels.MAX_KEY_CHARS)]
EventType = Literal["created", "forked", "executed", "aborted", "accepted", "tagged", "closed"]


class CancelAnswer(Answer, frozen=True, kw_only=True):
    """The execution after it was asked to stop."""

    ok: bool
    """Whether it was stopped, or will be; false if it was over already."""


class ListedExecution(ExecutionEntry, frozen=True, kw_only=True):
    """An execution in a list, with what is known of it where that is asked for."""

    recorded: EventAnswer | UnsetType = UNSET
    """Its event, once it is over."""


class ExecutionsAnswer(Struct, frozen=True):
    """A page of executions, newest first."""

    executions: list[ListedExecution]
    next: str | None
    """``after`` of the next page; null at the end."""


class OutputAnswer(Struct, frozen=True, kw_only=True):
    """A page of an execution's console: lines count from 1, bytes (of UTF-8) from 0."""

    execution_id: str
    status: Status
    data: str
    start_line: int
    end_line: int
    """Number of the last line in the page, if only in part."""
    next_line_offset: int
    """Where to go on, also if there is no more yet."""
    total_lines: int
    start_byte: int
    end_byte: int
    """The byte behind the page's last."""
    next_byte_offset: int
    """Where to go on, also if there is no more yet."""
    total_bytes: int
    has_more: bool


class DivergenceAnswer(Struct, frozen=True, kw_only=True):
    """Where replaying a session's log gave something else than was recorded."""

    event: int
    field: str
    """What differs first: result_json, console, …"""
    expected: str
    """The beginning of what was recorded, from shortly before they part."""
    got: str
    """The same of what the replay gave."""
    agreed_event: int
    """Number of the last event whose state could be rebuilt: fork there, or accept what the replay gives."""


class CheckpointAnswer(Struct, frozen=True, kw_only=True):
    """A snapshot from which a session can be rebuilt."""

    event: int
    """The event whose state is in it."""
    bytes: int
    """What it takes on disk."""
    made_at: Time


class ImportAnswer(Struct, frozen=True, kw_only=True):
    """A session that came from a file."""

    session: str
    owner: str
    event: int
    """Number of its last event."""
    head: str
    """Id of that event."""
    heap: str
    events: int
    """Events that led here, those before a fork included."""
    imported: bool
    """False if it was here already, just as it is in the file."""


class SessionAnswer(Struct, frozen=True, kw_only=True):
    """A session."""

    session: str
    event: int
    """Number of its last event."""
    heap: str
    created_at: Time
    last_used_at: Time
    events: int
    """Events that led here, those before a fork included."""
    awake: bool
    running: int
    """Requests that wait or have their turn."""
    tags: dict[str, dict[str, str]]
    """Labels of its states, by the number of the state's event; in a list at most 16."""
    tags_truncated: bool
    forked_from: str | None
    """``name@n``."""
    status: SessionStatus
    """Whether its history can be replayed, as far as was found out since it was last idle for long."""
    divergence: DivergenceAnswer | None
    """Where it could not, if it is diverged."""
    failed_event: int | None
    """Number of the event whose replay ends every process, if it is failed."""
    drift: int
    """Events recorded by another version whose texts a replay gave otherwise, as far as was found out."""
    checkpoint: CheckpointAnswer | None
    """Its newest; a fork has none of its own until one is made."""
    checkpoint_declined: str | None
    """Why there was none at the last attempt, as far as was found out since it was last idle for long."""
    recovering: Progress | None
    """How far it is rebuilt, while that goes on."""
    bytes: int | UnsetType = UNSET
    """What its own events take, those before a fork not included; in a list with ``sizes``."""
    node: str | UnsetType = UNSET
    """In a cluster, the node that has it, which alone knows whether it is `awake`; absent where none has."""


class SessionsAnswer(Struct, frozen=True):
    """A page of sessions, last used first."""

    sessions: list[SessionAnswer]
    next: str | None
    """``after`` of the next page; null at the end."""


class ConsoleLine(Struct, frozen=True):
    """One line that was printed; it may have newlines in it."""

    level: Level
    text: str


class EventAnswer(Struct, frozen=True, kw_only=True):
    """An event of a session's log; what an event of its type does not have is left out."""

    event: int
    type: EventType
    at: Time
    id: str
    """64 hex digits: its hash; its heap, if it makes a state (created, forked, executed, accepted)."""
    caller: Caller
    execution_id: str | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    code: str | UnsetType = UNSET
    input: str | UnsetType | None = UNSET
    """JSON text."""
    output: str | UnsetType = UNSET
    result: str | UnsetType | None = UNSET
    error: str | UnsetType | None = UNSET
    truncated: list[str] | UnsetType = UNSET
    """Which of these texts are cut."""
    console: list[ConsoleLine] | UnsetType = UNSET
    """What ``output`` is made of, as far as it is there; not in lists, unless they are asked for in full."""
    error_detail: ErrorDetail | UnsetType | None = UNSET
    duration_ms: float | UnsetType = UNSET
    target: int | UnsetType = UNSET
    """Number of the event whose state was labelled."""
    tags: dict[str, str | None] | UnsetType = UNSET
    """Labels that were set; null for one that was taken away."""
    differences: list[int] | UnsetType = UNSET
    """Numbers of the first 1,000 events whose replay gave something else, which was accepted."""
    details: EventDetails | UnsetType = UNSET
    """Not in lists, unless they are asked for in full."""


class EventsAnswer(Struct, frozen=True, kw_only=True):
    """A page of a session's events, oldest first."""

    session: str
    events: list[EventAnswer]
    next: int | None
    """``first`` of the next page; null at the end."""


class GlobalAnswer(Struct, frozen=True, kw_only=True):
    """A variable of a session."""

    name: str
    scope: Literal["lexical", "global"]
    """Whether it was declared with let, const or class, or is a property of the global object."""
    type: str
    preview: str


class StateAnswer(Struct, frozen=True, kw_only=True):
    """The variables of a session at a point."""

    session: str
    event: int
    heap: str
    globals: list[GlobalAnswer]
    more: int
    """How many were left out."""


class TagsAnswer(Struct, frozen=True, kw_only=True):
    """The labels of a session's states, by the number of the state's event."""

    session: str
    tags: dict[str, dict[str, str]]


def session_answer(info: SessionInfo) -> SessionAnswer:
    """The session as clients see it."""
    return SessionAnswer(
        session=info.name,
        event=info.head_seq,
        heap=info.heap,
        created_at=time_of(info.created_at),
        last_used_at=time_of(info.last_at),
        events=info.events,
        awake=info.awake,
        running=info.running,
        tags=tags_by_event(info),
        tags_truncated=info.more_tags,
        forked_from=info.forked_from,
        status=info.status,
        divergence=None if info.divergence is None else _divergence(info.divergence),
        failed_event=info.failed_event,
        drift=info.drift,
        checkpoint=None if info.checkpoint is None else _checkpoint(info.checkpoint),
        checkpoint_declined=info.checkpoint_declined,
        recovering=info.recovering,
        bytes=UNSET if info.size is None else info.size,
        node=UNSET if info.node is None else info.node,
    )


def _checkpoint(newest: Checkpoint) -> CheckpointAnswer:
    return CheckpointAnswer(event=newest.seq, bytes=newest.size, made_at=time_of(newest.made_at))


def _divergence(found: Divergence) -> DivergenceAnswer:
    return DivergenceAnswer(
        event=found.seq,
        field=found.field,
        expected=found.expected,
        got=found.got,
        agreed_event=found.agreed.seq,
    )


def tags_by_event(info: SessionInfo) -> dict[str, dict[str, str]]:
    """The session's labels, as JSON can hold them."""
    return {str(event): dict(tags) for event, tags in info.tags.items()}


def global_answer(one: Global) -> GlobalAnswer:
    """The variable as clients see it."""
    return GlobalAnswer(name=one.name, scope=one.scope, type=one.type, preview=one.preview)


def state_answer(view: StateView) -> StateAnswer:
    """The state as clients see it."""
    return StateAnswer(
        session=view.session,
        event=view.event,
        heap=view.heap,
        globals=list(map(global_answer, view.globals)),
        more=view.more,
    )


def event_answer(record: Record, *, listed: bool) -> EventAnswer:
    """The event as clients see it: if it is ``listed``, with its texts cut to LISTED_CHARS."""
    event = record.event
    told = EventAnswer(
        event=event.seq,
        type=_TYPES[type(event)],
        at=time_of(event.at),
        id=record.id.hex(),
        caller=event.caller,
        details=UNSET if listed else event_details(record),
    )
    if isinstance(event, Tagged):
        return replace(told, target=event.target, tags=event.tags)
    if isinstance(event, Accepted):
        return replace(told, differences=list(event.digests)[:MAX_DIFFERENCES])
    if not isinstance(event, Executed | Aborted):
        return told
    error = event.error if isinstance(event, Aborted) else event.outcome.error
    texts = {
        "code": event.code,
        "input": event.input,
        "output": joined(event.console),
        "result": None if isinstance(event, Aborted) else event.outcome.result,
        "error": None if error is None else error_text(error),
    }
    most = LISTED_CHARS if listed else SHOWN_CHARS
    cut = [name for name, text in texts.items() if text is not None and len(text) > most]
    return replace(
        told,
        execution_id=event.execution_id,
        status=status_of(event),
        **{name: text and text[:most] for name, text in texts.items()},
        truncated=cut,
        console=UNSET if listed else _console(event.console, most),
        error_detail=UNSET if listed else error,
        duration_ms=event.duration_us / 1000,
    )


def listed_execution(one: ExecutionSummary, *, full: bool) -> ListedExecution:
    """The execution as a list tells it; in ``full`` with its event."""
    recorded = event_answer(one.record, listed=False) if full and one.record is not None else UNSET
    return ListedExecution(**asdict(execution_entry(one)), recorded=recorded)


def _console(lines: Sequence[Line], most: int) -> list[ConsoleLine]:
    """The lines, up to so many characters."""
    told, left = [], most
    for line in lines:
        if left <= 0:
            break
        told.append(ConsoleLine(line.level, line.text[:left]))
        left -= len(line.text) + 1
    return told


_TYPES: dict[type, EventType] = {
    Created: "created",
    Forked: "forked",
    Executed: "executed",
    Aborted: "aborted",
    Accepted: "accepted",
    Tagged: "tagged",
    Closed: "closed",
}
