"""Which checkpoints of a session are kept: the newest, and a few for travelling to the past. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from engine.checkpoints import Checkpoint

NEWEST = 2
"""One, and one more in case that one cannot be read."""
_BITS = 2
"""Of the past one is kept in each stretch that is 2**_BITS times as long as the one after it."""
MAX_BYTES = 128 << 20
"""What those of the past may take together with the newest."""


def superfluous(checkpoints: Sequence[Checkpoint], *, new: Checkpoint | None = None) -> list[Checkpoint]:
    """Those to forget, of one session and engine.

    Not the ``new`` one, wherever it is: a long way to the past goes on from it when it was put off.

    The oldest in each stretch is kept: it moves into the next, longer one in time. Where they are large, the
    oldest go.
    """
    ordered = sorted(checkpoints, key=lambda checkpoint: checkpoint.seq, reverse=True)
    if not ordered:
        return []
    head = ordered[0].seq
    oldest = {(head - one.seq).bit_length() // _BITS: one for one in ordered}  # later ones are older
    always = {one.seq for one in (*ordered[:NEWEST], *([new] if new else []))}
    kept = always | {one.seq for one in oldest.values()}
    forgotten, size = [], 0
    for one in ordered:
        size += one.size if one.seq in kept else 0
        if one.seq not in kept or (size > MAX_BYTES and one.seq not in always):
            forgotten.append(one)
    return forgotten
