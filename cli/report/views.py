"""An event as the page shows it: the texts that fit, in parts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from markupsafe import Markup
from msgspec import UNSET, Struct, UnsetType

from cli.output.quantities import counted, duration
from cli.report.text import MOST_LINES, Room, Text, code_lines, is_tall, shown
from engine.events import Caller, ErrorDetail
from engine.isolate.codeframe import code_frame
from transports.rest.past_shapes import Changes, ReplayedEvent
from transports.rest.shapes import EventAnswer, GlobalAnswer

MOST_BINDINGS = 100
"""Variables that are shown of those that an event added, and the same for removed and changed."""
TALL_VALUE_CHARS = 400
"""A longer one is shown in a box that scrolls."""
SUMMARY_CHARS = 160
STATUSES = ("completed", "failed", "timed_out", "cancelled", "out_of_memory", "crashed", "other")
"""What an event can be by its looks; ``other`` are those that run nothing."""
_WIDTHS_MS = (1.0, 10.0, 100.0, 1_000.0, 10_000.0, 60_000.0)


class CodeLine(Struct, frozen=True):
    """A line of code; one that failed has the column, from 1."""

    html: Markup
    failed: int | None = None


class Code(Struct, frozen=True):
    """Code in its lines."""

    lines: Sequence[CodeLine]
    left_out: str
    tall: bool


class Console(Struct, frozen=True):
    """Lines with their levels."""

    leveled: bool
    """Whether any has another one than ``log``."""
    lines: Sequence[tuple[str, Markup]]
    left_out: str
    tall: bool


class Binding(Struct, frozen=True):
    """A variable that an event added (``+``), took away (``-``) or changed (``~``)."""

    sign: str
    name: Markup
    kind: Markup
    before: Markup | None
    after: Markup | None
    tall: bool


class Mark(Struct, frozen=True):
    """An event in the timeline."""

    number: int
    status: str
    width: int
    """From 0, for less than a millisecond, to 6."""
    differs: bool
    """Whether its replay does."""
    title: str


class EventView(Struct, frozen=True, kw_only=True):
    """An event; what it does not have is empty."""

    number: int
    mark: Mark
    label: str
    at: datetime
    took: str
    who: Markup
    ids: Markup
    first_line: Markup
    error_line: Markup | None
    replayed: ReplayedEvent | None
    replay_field: Markup | None
    expected: Text | None
    got: Text | None
    input: Text | None
    code: Code | None
    console: Console | None
    result: Text | None
    error: Text | None
    undone: bool
    bindings: Sequence[Binding]
    bindings_left_out: str
    same: int | None
    """Variables that it left as they were; None if that is not known."""


def view(event: EventAnswer, replayed: ReplayedEvent | None, room: Room) -> EventView:
    """The event as it is shown."""
    status = "other" if event.status is UNSET else event.status
    took = "" if event.duration_ms is UNSET else duration(event.duration_ms)
    label = event.type if event.status is UNSET else event.status.replace("_", " ")
    detail = event.error_detail or None
    differs = replayed is not None and not replayed.agrees
    changes = replayed.changes or None if replayed is not None else None
    bindings, bindings_left_out = ((), "") if changes is None else _bindings(changes, room)
    made = EventView(
        number=event.event,
        mark=Mark(
            event.event,
            status,
            _width(event.duration_ms),
            differs,
            ", ".join(filter(None, [f"{event.event}: {label}", took, "replay differs" if differs else ""])),
        ),
        label=label,
        at=event.at,
        took=took,
        who=shown((event.caller.client or event.caller.transport)[:40]),
        ids=shown(_ids(event)),
        first_line=_summary(_told(event)),
        error_line=_summary(event.error) if event.error else None,
        replayed=replayed,
        replay_field=shown(replayed.field or "") if replayed is not None else None,
        expected=room.text(replayed.expected) if replayed is not None else None,
        got=room.text(replayed.got) if replayed is not None else None,
        input=room.text(event.input),
        code=_code(event.code, detail, room) if event.code is not UNSET else None,
        console=_console(event, room),
        result=room.text(event.result),
        error=room.text(_error(event, detail)),
        undone=event.type == "aborted" or (detail is not None and detail.undone),
        bindings=bindings,
        bindings_left_out=bindings_left_out,
        same=None if changes is None else changes.same,
    )
    room.next_event()
    return made


def _width(ms: float | UnsetType) -> int:
    return 0 if ms is UNSET else sum(ms >= limit for limit in _WIDTHS_MS)


def _who(caller: Caller) -> str:
    """Who asked, in a few words."""
    program = f"{caller.client} {caller.client_version}".strip()
    told = f"{program} over {caller.transport}" if program else caller.transport
    return f"{told}, for {caller.subject}" if caller.subject else told


def _ids(event: EventAnswer) -> str:
    """By what the event is found elsewhere."""
    told = {
        "asked by": _who(event.caller),
        "at": f"{event.at:%Y-%m-%d %H:%M:%S.%f}"[:-3] + " UTC",
        "execution": event.execution_id,
        "event id": event.id,
        "request": event.caller.request_id,
        "traceparent": event.caller.traceparent,
    }
    return " · ".join(f"{name} {value[:500]}" for name, value in told.items() if value)


def _told(event: EventAnswer) -> str:
    """What the event is, in a line."""
    if event.code is not UNSET:
        return event.code
    if event.tags is not UNSET:
        tags = (
            f"{key} removed" if value is None else f"{key} = {value}" for key, value in event.tags.items()
        )
        return f"@{event.target}: {', '.join(tags)}"
    if event.differences is not UNSET:
        return f"replays of {counted(len(event.differences), 'event')} accepted as they are"
    return {"created": "the session began", "forked": "the session began as a fork"}.get(
        event.type, "deleted"
    )


def _summary(text: str | UnsetType | None) -> Markup:
    """The first line that has something in it."""
    line = next((line for line in (text or "").splitlines() if line.strip()), "").strip()
    return shown(line if len(line) <= SUMMARY_CHARS else f"{line[:SUMMARY_CHARS]}…")


def _code(whole: str, error: ErrorDetail | None, room: Room) -> Code:
    text, left_out = room.fit(whole)
    failed = _failed_line(whole, error)
    lines = [
        CodeLine(html, error.column if error is not None and number == failed else None)
        for number, html in enumerate(code_lines(text), 1)
    ]
    return Code(lines, left_out, is_tall(text))


def _failed_line(code: str, error: ErrorDetail | None) -> int | None:
    """The error's line, if it is one of this code: not of an earlier event's function, or of text given to
    eval.
    """
    if error is None or error.line is None or error.column is None or error.frame is None:
        return None
    return error.line if code_frame(code, error.line, error.column) == error.frame else None


def _error(event: EventAnswer, detail: ErrorDetail | None) -> str | None:
    """The error with its frames, and the failing line where that is not in the code."""
    if detail is None:
        return event.error or None
    told = detail.stack or event.error or detail.message
    elsewhere = detail.frame if event.code is UNSET or _failed_line(event.code, detail) is None else None
    return f"{elsewhere}\n\n{told}" if elsewhere else told


def _console(event: EventAnswer, room: Room) -> Console | None:
    if not event.console:
        return None
    lines: list[tuple[str, Markup]] = []
    most, kept = room.chars, 0
    for line in event.console[:MOST_LINES]:
        text, left_out = room.fit(line.text[: most - kept])
        lines.append((line.level, shown(text)))
        kept += len(text)
        if left_out or kept >= most:
            break
    printed = sum(len(line.text) for line in event.console)
    left_out = f"{counted(printed - kept, 'character')} more" if printed > kept else ""
    tall = is_tall("\n".join(line.text for line in event.console[: len(lines)])[:most])
    return Console(any(level != "log" for level, _ in lines), lines, left_out, tall)


def _bindings(changes: Changes, room: Room) -> tuple[list[Binding], str]:
    found = [
        *(_binding("+", None, one, room) for one in changes.added[:MOST_BINDINGS]),
        *(_binding("~", pair.before, pair.after, room) for pair in changes.changed[:MOST_BINDINGS]),
        *(_binding("-", one, None, room) for one in changes.removed[:MOST_BINDINGS]),
    ]
    more = len(changes.added) + len(changes.changed) + len(changes.removed) - len(found)
    return found, f"{counted(more, 'variable')} more" if more else ""


def _binding(sign: str, before: GlobalAnswer | None, after: GlobalAnswer | None, room: Room) -> Binding:
    def preview(one: GlobalAnswer | None) -> Markup | None:
        if one is None:
            return None
        text, left_out = room.fit(one.preview)
        return shown(f"{text}…" if left_out else text)

    both = [one for one in (before, after) if one is not None]
    return Binding(
        sign=sign,
        name=shown(both[-1].name[:SUMMARY_CHARS]),
        kind=shown(" → ".join(dict.fromkeys(one.type for one in both))),
        before=preview(before),
        after=preview(after),
        tall=any(len(one.preview) > TALL_VALUE_CHARS for one in both),
    )
