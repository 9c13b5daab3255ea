"""The ways to a session's state: live, replayed, from a checkpoint on. All must lead to the same one."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Callable, Sequence
from contextlib import closing

import isolates
import pytest
import readout
from msgspec import Struct
from msgspec.structs import replace

from engine.events import Line, Outcome, Trace
from engine.isolate.wire import Seen
from engine.limits import Limits

START = int(dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC).timestamp()) * 10_000
APART = 200_000
"""Ticks between the starts of two events: 20 s, so that timers due after the time limit come to fire."""

PRELUDE_SEQ = 1
LOOKS = 10
UNSEEN = "…"
"""The preview of a variable for which a look had no time left."""

Make = Callable[..., isolates.Session]
Step = Callable[[isolates.Session], isolates.Session]
"""What happens after an event; the session to go on with."""


class Event(Struct, frozen=True):
    """What an event came to."""

    code: str
    digest: bytes
    outcome: Outcome
    lines: tuple[Line, ...]


class Walk(Struct, frozen=True):
    """The events of a session, the readout at the end included."""

    events: list[Event]
    traces: list[Trace]
    seen: Seen
    """The variables at the end, as the engine itself shows them."""


def staying(here: isolates.Session) -> isolates.Session:
    """No step: go on in the same process."""
    return here


def restored(make: Make, generations: int = 1) -> Step:
    """The step into a new process through a snapshot, that many times over."""

    def step(here: isolates.Session) -> isolates.Session:
        if here.seq == PRELUDE_SEQ:  # nothing of the script's is there yet
            return here
        for _ in range(generations):
            with closing(here):
                fresh = make(here.snapshot())
            fresh.seq = here.seq
            here = fresh
        return here

    return step


def walk(
    here: isolates.Session, codes: Sequence[str], traces: Sequence[Trace] = (), after: Step = staying
) -> Walk:
    """Run the codes as the session's next events, live or as the replay of ``traces``, and read out all.

    The session is over then.
    """
    events, replayed = [], iter(traces)
    made = []

    def run(code: str, limits: Limits | None = None) -> None:
        start, seed = START + here.seq * APART, _seed(here.seq)
        done = here.run(code, start_ticks=start, seed=seed, trace=next(replayed, None), limits=limits)
        assert not done.overflow, code
        events.append(Event(code, done.digest, _without_frame(done.outcome), here.lines))
        made.append(done.trace)

    for code in codes:
        run(code)
        here = after(here)
    with closing(here):
        seen = _seen(here)
        run(readout.code(seen), readout.LIMITS)
    return Walk(events, made, seen)


def _seen(here: isolates.Session) -> Seen:
    """All variables. Looks have half a second each, which a busy machine may give to others."""
    for _ in range(LOOKS):
        seen = here.look(max_globals=1_000, preview_chars=2_000)
        if all(one.preview != UNSEEN for one in seen.globals):
            break
    return seen


def _without_frame(outcome: Outcome) -> Outcome:
    """The digest leaves it out, too: of an error that was in a snapshot V8 does not know the source any more."""
    if outcome.error is None:
        return outcome
    return replace(outcome, error=replace(outcome.error, frame=None))


def _seed(seq: int) -> bytes:
    return bytes((seq + number) % 256 for number in range(16))


def assert_agree(first: Walk, other: Walk, way: str) -> None:
    """Fail with what differs, unless ``other`` went as the end of ``first``."""
    offset = len(first.events) - len(other.events)
    for number, (expected, got) in enumerate(zip(first.events[offset:], other.events, strict=True), offset):
        if got != expected:
            pytest.fail(
                f"{way}: event {number} differs:\n{expected.code[:2_000]}\n{_difference(expected, got)}"
            )
    if other.seen != first.seen:
        pytest.fail(f"{way}: the variables differ:\n{_difference(first.seen, other.seen)}")


def _difference(expected: Event | Seen, got: Event | Seen) -> str:
    """The lines that differ; the digest alone differs by the trace or by a divergence."""
    diff = difflib.unified_diff(_texts(expected), _texts(got), "expected", "got", lineterm="", n=0)
    return "\n".join(line[:1_000] for line in list(diff)[:60]) or f"{expected}\n{got}"


def _texts(shown: Event | Seen) -> list[str]:
    if isinstance(shown, Seen):
        return [str(variable) for variable in shown.globals]
    return [*(line.text for line in shown.lines), *str(shown.outcome).split(", ")]
