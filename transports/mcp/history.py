"""A session's log as a model reads it: a line for each event, oldest first, bounded."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Struct, UnsetType

from engine.chain import Record
from engine.errors import NotFound
from engine.events import Aborted, Accepted, Closed, Created, Executed, Forked, Tagged
from engine.execution import Status, first_line
from engine.outcomes import status_of
from transports.answer import Time, error_text, time_of
from transports.mcp.text import legible

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

MAX_CHARS = 80
"""Characters of an event's code, and of what it came to."""

Happened = Status | Literal["created", "forked", "accepted", "tagged", "closed"]


class LogEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event."""

    event: int
    status: Happened
    """How an execution ended, or what else happened."""
    at: Time
    duration_ms: float | None = None
    code: str | None = None
    """The beginning of its first line."""
    result: str | None = None
    """The beginning of its value, or of its error."""
    console_lines: int = 0
    execution_id: str | None = None
    """With which get_execution_output shows all of it."""
    tags: dict[str, str | None] | None = None
    """Labels that were set; null for one that was taken away."""
    target: int | None = None
    """Number of the event whose state was labelled."""


class Stretch(NamedTuple):
    """Numbers of events that follow each other."""

    first: int
    last: int
    head: int
    """Number of the session's last event."""

    @property
    def before(self) -> int | UnsetType:
        """To ask for those before; absent where there are none."""
        return self.first or UNSET


async def last_stretch(
    engine: Supervisor, owner: str, name: str, *, until: int | None, before: int | None, limit: int
) -> Stretch:
    """The last events of a session, up to event ``until`` and before ``before``. Raises NotFound."""
    head = (await engine.session(owner, name)).head_seq
    if until is not None and until > head:
        raise NotFound(f"session {name} has no event {until}: its last is {name}@{head}", field="session")
    last = min(head, head if until is None else until, head if before is None else before - 1)
    return Stretch(max(0, last - limit + 1), last, head)


async def read(engine: Supervisor, owner: str, name: str, stretch: Stretch) -> AsyncGenerator[Record, None]:
    """The events of a stretch, in order; no more than a page of them is held. Raises NotFound."""
    following: int | None = stretch.first
    while following is not None and following <= stretch.last:  # a page ends early where events are large
        page = await engine.events(owner, name, first=following, limit=stretch.last - following + 1)
        for record in page.items:
            yield record
        following = None if page.next is None else int(page.next)


def entry(record: Record) -> LogEntry:
    """What is shown of an event."""
    event = record.event
    at = time_of(event.at)
    if isinstance(event, Tagged):
        return LogEntry(event=event.seq, status="tagged", at=at, tags=event.tags, target=event.target)
    if not isinstance(event, Executed | Aborted):
        return LogEntry(event=event.seq, status=_HAPPENED[type(event)], at=at)
    return LogEntry(
        event=event.seq,
        status=status_of(event),
        at=at,
        duration_ms=event.duration_us / 1000,
        code=_short(first_line(event.code), more="\n" in event.code.strip()),
        result=_result(event),
        console_lines=len(event.console),
        execution_id=event.execution_id,
    )


def line(one: LogEntry) -> str:
    """``n status duration code => result``."""
    parts = [f"{one.event} {one.status}"]
    if one.tags is not None:
        parts.append(f"{one.target}: {msgspec.json.encode(one.tags).decode()}")
    if one.duration_ms is not None:
        ms = one.duration_ms
        parts.append(f"{ms:.3g} ms" if ms < 1000 else f"{ms / 1000:.3g} s")
    if one.code is not None:
        parts.append(one.code)
    if one.result is not None:
        parts.append(f"=> {one.result}")
    if one.console_lines:
        count = f"{one.console_lines:,} console line{'' if one.console_lines == 1 else 's'}"
        parts.append(f"({count}: {one.execution_id})")
    return " ".join(parts)


def _result(event: Executed | Aborted) -> str:
    if isinstance(event, Aborted):
        return _short(f"undone: {event.error.message}")
    if event.outcome.error is not None:
        return _short(error_text(event.outcome.error))
    return "a pending promise" if event.outcome.pending else _short(event.outcome.result or "undefined")


def _short(text: str, *, more: bool = False) -> str:
    """The beginning of the text on one line, and a mark if there is more."""
    shown = " ".join(text[: 4 * MAX_CHARS].split())
    more = more or len(shown) > MAX_CHARS or len(text) > 4 * MAX_CHARS
    return legible(shown[:MAX_CHARS]) + ("…" if more else "")


_HAPPENED: dict[type, Happened] = {
    Created: "created",
    Forked: "forked",
    Accepted: "accepted",
    Closed: "closed",
}
