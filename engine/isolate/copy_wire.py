"""What a forked copy of a worker writes to the descriptor that it was given, until it ends.

A zero byte, the length of the snapshot (8 bytes, little-endian) and the snapshot; or, as text, why there is
none. What V8 complains about when it ends the process goes the same way, since the descriptor is the copy's
standard error, too. Pure: ``read`` runs in the server and looks into no snapshot.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from msgspec import Struct

MAX_SNAPSHOT: Final = 48 << 20
"""Bytes of a compressed snapshot: it must fit in a frame of the wire."""
MAX_WRITTEN: Final = MAX_SNAPSHOT + (64 << 10)
"""Bytes, with what is said beside the snapshot. A copy that writes more is no longer ours."""
_MARK: Final = b"\0"
_LENGTH: Final = struct.Struct("<Q")
_UNPRINTABLE: Final = re.compile(r"[^ -~]+")
_REASON_CHARS: Final = 300


class Declined(Struct, frozen=True):
    """There is no snapshot."""

    reason: str


def encode(made: bytes | Declined) -> list[bytes]:
    """What to write, one after the other."""
    if isinstance(made, Declined):
        return [made.reason.encode("ascii", "replace")]
    return [_MARK, _LENGTH.pack(len(made)), made]


def read(written: bytes) -> bytes | Declined:
    """What was written: a snapshot, or why there is none."""
    complaint, mark, answer = written.partition(_MARK)
    if mark:
        length, snapshot = answer[: _LENGTH.size], answer[_LENGTH.size :]
        if len(length) == _LENGTH.size and _LENGTH.unpack(length)[0] == len(snapshot):
            return snapshot
        return Declined("the process that made the snapshot ended before it had told it whole")
    text = printable(complaint[: 4 * _REASON_CHARS].decode("ascii", "replace"))
    if not text:
        return Declined(
            "the process that made the snapshot ended: out of memory, or killed, as with its worker"
        )
    return Declined(text)


def printable(reason: str) -> str:
    """A reason that a process gave in which hostile code may run, as people may see it; perhaps empty."""
    text = _UNPRINTABLE.sub(" ", reason[: 4 * _REASON_CHARS]).strip("# ")
    return text if len(text) <= _REASON_CHARS else f"{text[:_REASON_CHARS]}..."
