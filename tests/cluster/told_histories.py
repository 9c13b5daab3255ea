"""Whether what clients of one session saw can have happened one after the other, in the order of its log. Pure.

That is what linearizable means here: each request that was answered took effect at one moment between its being
sent and its answer, one that was not answered at some moment after it was sent or never, and the effects in the
order of those moments are the log. The log gives the order, so that nothing need be searched for.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct


class Append(Struct, frozen=True):
    """A request that adds an event, of a key that no other one has."""

    key: str
    called: float
    """By one clock for all clients, in seconds."""
    returned: float | None = None
    """None: no answer came."""
    event: int | None = None
    """The number that the answer named."""


class Look(Struct, frozen=True):
    """A request that told the number of the last event and changed nothing."""

    called: float
    returned: float
    event: int
    by: str = ""
    """Whoever told it."""


def faults(appends: Sequence[Append], looks: Sequence[Look], log: Sequence[str | None]) -> list[str]:
    """What is wrong, a sentence each; nothing if all can have happened so.

    ``log``: the key of each event; None of those that no client asked for, as the first.
    """
    return [
        *_lost_or_doubled(appends, looks, log),
        *_out_of_time(appends, looks, log),
    ]


def _lost_or_doubled(
    appends: Sequence[Append], looks: Sequence[Look], log: Sequence[str | None]
) -> list[str]:
    """What the log has not that was answered, and what it has that it should not."""
    asked = {append.key for append in appends}
    found: list[str] = []
    places: dict[str, int] = {}
    for number, key in enumerate(log):
        if key is None:
            continue
        if key in places:
            found.append(f"{key} is there twice, as events {places[key]} and {number}")
        elif key not in asked:
            found.append(f"{key} is there as event {number}, and nobody asked for it")
        places.setdefault(key, number)
    for append in appends:
        if append.returned is not None and places.get(append.key) != append.event:
            place = places.get(append.key, "none")
            found.append(f"{append.key} was answered as event {append.event}; in the log it is {place}")
    found += [
        f"event {look.event} was told of, and there is none" for look in looks if look.event >= len(log)
    ]
    return found


def _out_of_time(appends: Sequence[Append], looks: Sequence[Look], log: Sequence[str | None]) -> list[str]:
    """Whose moment cannot have been between question and answer, if the moments are in the log's order.

    Each takes effect as early as it can: when it was asked for and all before it in the log had been.
    """
    by_key = {append.key: append for append in appends}
    after: dict[int, list[Look]] = {}
    for look in looks:
        after.setdefault(look.event, []).append(look)
    now, before = float("-inf"), "nothing"
    found: list[str] = []
    for number, key in enumerate(log):
        steps: list[tuple[str, Append | Look]] = [(key, by_key[key])] if key in by_key else []
        told = sorted(after.get(number, ()), key=lambda look: look.called)
        steps += [(f"a look at event {number} {look.by}".strip(), look) for look in told]
        for name, step in steps:
            if step.called > now:
                now, before = step.called, name
            if step.returned is not None and step.returned < now:
                found.append(
                    f"{name} was answered {now - step.returned:.6f} s before {before} was asked for, which is "
                    "earlier in the log"
                )
    return found


def longest_gap(moments: Sequence[float]) -> float:
    """Between two moments that follow each other."""
    return max((after - before for before, after in pairwise(sorted(moments))), default=0.0)
