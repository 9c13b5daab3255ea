"""Which checkpoints of a session are kept: the newest, and a few for travelling to the past. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from engine.checkpoints import Checkpoint

NEWEST = 2
"""One, and one more in case that one cannot be read."""
_BITS = 2
"""Of the past one is kept in each stretch that is 2**_BITS times as long as the one after it."""


def superfluous(checkpoints: Sequence[Checkpoint], *, new: Checkpoint | None = None) -> list[Checkpoint]:
    """Those to forget, of one session and engine.

    Not the ``new`` one, wherever it is: a long way to the past goes on from it when it was put off.

    The oldest in each stretch is kept: it moves into the next, longer one in time.
    """
    ordered = sorted(checkpoints, key=lambda checkpoint: checkpoint.seq, reverse=True)
    if not ordered:
        return []
    head = ordered[0].seq
    oldest = {(head - one.seq).bit_length() // _BITS: one for one in ordered}  # later ones are older
    kept = {one.seq for one in (*ordered[:NEWEST], *oldest.values(), *([new] if new else []))}
    return [one for one in ordered if one.seq not in kept]
