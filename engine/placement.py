"""Which processors the server runs on, and which its workers.

The server's threads take turns on one lock, so that more than one processor gains them nothing. On a
machine with two or three, the kernel keeps moving server and workers around each other: one of them
for the server alone and the rest for the workers was a quarter faster there. Larger machines have
room, and are left to the kernel; so is one of which a container may use less than two: half of that time
would be too little for either.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Set as AbstractSet

from msgspec import Struct

from engine import cgroup

SMALL = range(2, 4)
"""Numbers of processors on which the server gets one of its own unless told otherwise."""


class Placement(Struct, frozen=True):
    """Processor numbers, as of sched_setaffinity(2)."""

    server: frozenset[int]
    workers: frozenset[int]


def place(available: AbstractSet[int], *, pin: bool | None, quota: float | None) -> Placement | None:
    """Where to run; None to leave it to the kernel.

    ``pin`` None decides by the number of processors and the ``quota``, the seconds of them that may be used
    in each second (None: no quota). Which one the server gets is chance, so that servers beside each other
    do not all choose the first.
    """
    if pin is None:
        pin = len(available) in SMALL and (quota is None or quota >= SMALL.start)
    if len(available) < 2 or not pin:
        return None
    own = secrets.choice(sorted(available))
    return Placement(frozenset({own}), frozenset(available - {own}))


def usable(placement: Placement | None) -> int:
    """How many processors the workers may use, of which a container may have a share only."""
    available = len(os.sched_getaffinity(0) if placement is None else placement.workers)
    return min(available, math.ceil(cgroup.processors() or available))
