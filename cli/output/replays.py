"""What a replay came to, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from cli.output.quantities import counted
from cli.output.styles import BAD, DOUBTFUL, FAINT, GOOD, STRONG, paint
from cli.output.text import fit, one_line
from cli.output.textdiff import diff
from transports.rest.past_shapes import ReplayedEvent, ReplayEnd

CODE_CELLS = 60
"""Of the code of an event, beside in what it differs."""


class Replay(Struct):
    """One replay of a session, as far as it has come."""

    session: str
    first: int
    """Number of the event from which on it goes."""
    good: int
    """Number of the last event before anything that differs."""
    differing: ReplayedEvent | None = None
    """The first event that differs."""
    is_of_others: bool = True
    """Whether another version recorded all that differs."""

    @classmethod
    def begin(cls, session: str, first: int) -> Replay:
        """Nothing is known yet."""
        return cls(session, first, max(first - 1, 0))

    def hear(self, event: ReplayedEvent) -> None:
        """One event more was run."""
        if not event.agrees:
            self.differing = self.differing or event
            self.is_of_others = self.is_of_others and event.other_engine
        elif self.differing is None:
            self.good = event.event


def event_line(session: str, event: ReplayedEvent, code: str = "") -> str:
    """One event, and whether it agrees; its ``code`` where that is known."""
    if not event.agrees:
        verdict = paint(f"differs in {event.field}", BAD)
    elif event.drifted:
        verdict = paint(f"agrees, but for its {event.field}", DOUBTFUL)
    else:
        verdict = paint("agrees", GOOD)
    shown = paint(fit(one_line(code), CODE_CELLS), FAINT)
    return f"{paint(f'{session}@{event.event}', STRONG)} {verdict}{f'  {shown}' if code else ''}"


def difference(event: ReplayedEvent) -> Iterator[str]:
    """What was recorded, and what came out."""
    for line in diff(event.expected or "", event.got or ""):
        yield f"  {line}"


def verdict(end: ReplayEnd) -> str:
    """How many events agree: ``7/7 agree``."""
    ran = end.executions + (end.failed_event is not None)
    text = paint(f"{end.executions - end.different:,}/{ran:,} agree", GOOD if end.agrees else BAD)
    if end.drift:
        text += paint(
            f", {counted(end.drift, 'event')} with other texts than an older version gave", DOUBTFUL
        )
    return text


def advice(replay: Replay, end: ReplayEnd, *, strict: bool) -> Sequence[str]:
    """What to do about a session that does not agree."""
    if end.agrees:
        return ()
    lines = []
    if end.failed_event is not None:
        lines.append(
            f"event {end.failed_event} ended its process each time that it was run: the replay ends there"
        )
    name = replay.session
    if strict and replay.differing is not None and replay.is_of_others:
        lines.append(
            "what differs was recorded by another version: "
            f"mcp-v8 replay {name} --engine current  tells whether it matters"
        )
    lines.append(f"to go on from the last good state: mcp-v8 fork {name}@{replay.good}")
    if replay.differing is not None and end.failed_event is None:
        lines.append(f"or in the state that a replay gives: mcp-v8 accept {name}")
    return lines
