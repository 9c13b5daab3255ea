"""Tools that are about sessions: which there are, what happened in one, and a new one that branches off."""

from __future__ import annotations

from contextlib import aclosing
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from engine.catalog import SessionInfo, SessionStatus
from engine.events import STATE_EVENTS
from transports.answer import Time, time_of
from transports.mcp.history import LogEntry, Stretch, entry, last_stretch, line, read
from transports.mcp.text import handle
from transports.mcp.tools.arguments import EXAMPLE
from transports.mcp.tools.entry import (
    Asked,
    Cursor,
    Entry,
    Hints,
    Limit,
    Point,
    Positive,
    page_limit,
)


class ListArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """Which page."""

    limit: Limit | UnsetType = UNSET
    after: Cursor | UnsetType = UNSET


class ListedSession(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A session in a list."""

    session: str
    event: int
    """Number of its last event."""
    last_used_at: Time
    running: int = 0
    """Requests that wait or have their turn."""
    forked_from: str | None = None
    """``name@n``."""
    status: SessionStatus = "ok"
    """Whether its history can be replayed."""
    tags: dict[str, dict[str, str]] = {}
    """Labels of its states, by the number of the state's event; at most 16."""


class ListResult(Struct, frozen=True, kw_only=True):
    """A page of sessions, last used first."""

    sessions: list[ListedSession]
    next: str | UnsetType = UNSET
    """``after`` of the next page."""


class LogArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """Which events of which session."""

    session: Point | UnsetType = UNSET
    before: Annotated[Positive, Meta(description="only events before this one")] | UnsetType = UNSET
    limit: Limit | UnsetType = UNSET


class LogResult(Struct, frozen=True, kw_only=True):
    """Events, latest last."""

    session: str
    events: list[LogEntry]
    before: int | UnsetType = UNSET
    """Present if there are earlier events: ask for those before this one."""
    handle: str
    """``[name@n]``: the session's state now."""


class Snapshot(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A state."""

    event: int
    heap: str
    """64 hex digits: its id."""
    at: Time
    code: str | None = None
    """The beginning of the code that led to it."""
    tags: dict[str, str] = {}


class SnapshotsResult(Struct, frozen=True, kw_only=True):
    """States, latest last."""

    session: str
    snapshots: list[Snapshot]
    before: int | UnsetType = UNSET
    """Present if there are earlier events: ask for those before this one."""
    handle: str
    """``[name@n]``: the session's state now."""


class ForkArguments(Struct, frozen=True, forbid_unknown_fields=True):
    """Where to branch off, and what to call it."""

    session: Point | UnsetType = UNSET
    name: Annotated[str, Meta(description="of the new session", extra={EXAMPLE: "demo-2"})] | UnsetType = (
        UNSET
    )


class ForkResult(Struct, frozen=True, kw_only=True):
    """The new session."""

    session: str
    forked_from: str | None
    """``name@n``."""
    handle: str
    """``[name@n]``: its state."""


async def list_sessions(asked: Asked[ListArguments]) -> ListResult:
    """A page of the caller's sessions."""
    which = asked.arguments
    found = await asked.engine.sessions(
        asked.owner, limit=page_limit(which.limit), after=which.after or None, tag=None
    )
    return ListResult(sessions=list(map(_listed, found.items)), next=found.next or UNSET)


async def session_log(asked: Asked[LogArguments]) -> LogResult:
    """The session's last events, or those before some event."""
    name, stretch = await _stretch(asked)
    async with aclosing(read(asked.engine, asked.owner, name, stretch)) as records:
        events = [entry(record) async for record in records]
    return LogResult(session=name, events=events, before=stretch.before, handle=handle(name, stretch.head))


async def list_snapshots(asked: Asked[LogArguments]) -> SnapshotsResult:
    """The states that the session's last events made."""
    name, stretch = await _stretch(asked)
    labels = (await asked.engine.session(asked.owner, name)).tags
    async with aclosing(read(asked.engine, asked.owner, name, stretch)) as records:
        snapshots = [
            Snapshot(
                event=record.event.seq,
                heap=record.id.hex(),
                at=time_of(record.event.at),
                code=entry(record).code,
                tags=labels.get(record.event.seq, {}),
            )
            async for record in records
            if isinstance(record.event, STATE_EVENTS)
        ]
    return SnapshotsResult(
        session=name, snapshots=snapshots, before=stretch.before, handle=handle(name, stretch.head)
    )


async def _stretch(asked: Asked[LogArguments]) -> tuple[str, Stretch]:
    """The session's name, and which of its events are asked for."""
    which = asked.arguments
    name, until = asked.point(which.session)
    stretch = await last_stretch(
        asked.engine,
        asked.owner,
        name,
        until=until,
        before=which.before or None,
        limit=page_limit(which.limit),
    )
    return name, stretch


def log_text(told: LogResult) -> str:
    """A line for each event."""
    lines = [line(one) for one in told.events]
    if told.before is not UNSET:
        earlier = msgspec.json.encode({"session": told.session, "before": told.before}).decode()
        lines.insert(0, f"… {told.before:,} earlier: session_log {earlier}")
    return "\n".join([*lines, told.handle])


async def fork_session(asked: Asked[ForkArguments]) -> ForkResult:
    """A new session in the state of a point."""
    which = asked.arguments
    name, at = asked.point(which.session)
    made = await asked.engine.requests.fork(
        asked.owner, name, at=at, into=which.name or None, caller=asked.caller
    )
    return ForkResult(
        session=made.name, forked_from=made.forked_from, handle=handle(made.name, made.head_seq)
    )


def _listed(info: SessionInfo) -> ListedSession:
    return ListedSession(
        session=info.name,
        event=info.head_seq,
        last_used_at=time_of(info.last_at),
        running=info.running,
        forked_from=info.forked_from,
        status=info.status,
        tags={str(event): dict(tags) for event, tags in info.tags.items()},
    )


ENTRIES: tuple[Entry[Any], ...] = (
    Entry(
        name="list_sessions",
        title="Sessions",
        description="Your sessions, last used first.",
        arguments=ListArguments,
        result=ListResult,
        run=list_sessions,
        hints=Hints(reads=True),
        listed=True,
    ),
    Entry(
        name="session_log",
        title="Log of a session",
        description="What was run in a session and what it came to: a line for each event, latest last.",
        arguments=LogArguments,
        result=LogResult,
        run=session_log,
        text=log_text,
        hints=Hints(reads=True),
        listed=True,
    ),
    Entry(
        name="list_session_snapshots",
        title="States of a session",
        description="The states of a session, latest last. Go on from one by `name@n`, or by its heap.",
        arguments=LogArguments,
        result=SnapshotsResult,
        run=list_snapshots,
        hints=Hints(reads=True),
    ),
    Entry(
        name="fork_session",
        title="Fork a session",
        description="Begin a new session in the state that another one has, or had at `name@n`. That one "
        "stays as it is.",
        arguments=ForkArguments,
        result=ForkResult,
        run=fork_session,
        hints=Hints(),
        listed=True,
    ),
)
