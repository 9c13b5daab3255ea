"""Events of sessions in a line each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec import UNSET, UnsetType

from cli.output import moments, quantities
from cli.output.styles import BAD, FAINT, STATUS, STRONG, Styled
from cli.output.table import Cell, Column, Table
from cli.output.text import fit, one_line
from cli.target.pages import Damaged
from engine.events import Caller
from transports.rest.shapes import EventAnswer

_BESIDE_ERROR = 6
"""Code that an error follows has one in so many of the cells of a line."""

LINE = (
    Column(right=True),
    Column(leaves=2),
    Column(right=True, leaves=3),
    Column(leaves=1),
    Column(least=6, leaves=4),
    Column(least=12),
)
"""Number, time, duration, status, caller, and what happened."""


def who(caller: Caller) -> str:
    """Who asked, in a word."""
    return one_line(caller.client or caller.transport)


def row(event: EventAnswer | Damaged, now: datetime, width: int | None) -> Sequence[Cell]:
    """The cells of LINE, where lines are that wide."""
    if isinstance(event, Damaged):
        number, why = Styled(str(event.event), STRONG), Styled(one_line(event.error), BAD)
        return (number, "", "", Styled(event.type, BAD), "", why)
    status = event.status
    return (
        Styled(str(event.event), STRONG),
        Styled(moments.clock(event.at, now, seconds=True), FAINT),
        "" if isinstance(event.duration_ms, UnsetType) else quantities.duration(event.duration_ms),
        Styled(event.type, FAINT) if status is UNSET else Styled(status, STATUS[status]),
        who(event.caller),
        what(event, width),
    )


def what(event: EventAnswer, width: int | None = None) -> Cell:
    """What happened: the code, and the error that it came to; else what was done to the session."""
    code = event.code
    if code is UNSET:
        return Styled(_done(event), FAINT)
    shown = Styled(one_line(code))
    if not event.error:
        return shown
    return (
        Styled(fit(shown.text, width and width // _BESIDE_ERROR)),
        Styled("  "),
        Styled(first_line(event.error), BAD),
    )


def first_line(error: str) -> str:
    """Name and message of an error, as far as they are in its first line."""
    return one_line(error.strip().partition("\n")[0])


def _done(event: EventAnswer) -> str:
    match event.type:
        case "forked":
            return f"from event {event.event - 1}"
        case "tagged" if event.tags is not UNSET:
            return f"@{event.target} {labels(event.tags)}"
        case "accepted" if event.differences:
            numbers = ", ".join(map(str, event.differences))
            return f"what a replay gives otherwise: {numbers}"
        case "closed":
            return "the session was deleted"
    return ""


def labels(tags: Mapping[str, str | None]) -> str:
    """Labels in a line; one that is taken away has a minus behind it."""
    return one_line(
        " ".join(
            f"{key}-" if value is None else f"{key}={value}" if value else key for key, value in tags.items()
        )
    )


def table(events: Iterable[EventAnswer | Damaged], now: datetime, width: int | None) -> Table:
    """A table as wide as these need, in LINEs."""
    return Table(LINE, [row(event, now, width) for event in events], width)
