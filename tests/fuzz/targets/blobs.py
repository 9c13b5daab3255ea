"""Blobs: what a store of them gives back, and what a sandboxed worker is asked to restore."""

from __future__ import annotations

import functools
from typing import Final

from engine import checkpoints
from engine.errors import BlobCorrupt, WorkerFailed
from engine.isolate.checkpoint import Snapshots
from engine.isolate.image import BaseImage
from fuzz.data import Data

_STATE: Final = b"s" * 32
_ENGINE: Final = "0123456789abcdef" * 2


def envelopes(raw: bytes) -> None:
    """An envelope is opened by whom it is for, and by nobody else."""
    data = Data(raw)
    sealed = checkpoints.seal(_STATE, _ENGINE, data.octets())
    envelope = bytearray(sealed)
    for _ in range(data.byte() % 3):
        at = data.below(len(envelope) + 1)
        envelope[at : at + data.byte() % 3] = data.take(data.byte() % 4)
    try:
        snapshot = checkpoints.unseal(bytes(envelope), _STATE, _ENGINE)
    except BlobCorrupt:
        assert bytes(envelope) != sealed
        return
    assert checkpoints.seal(_STATE, _ENGINE, snapshot) == bytes(envelope)


def snapshots(raw: bytes) -> None:
    """What a worker is asked to restore is what was packed, or a documented error."""
    data = Data(raw)
    packed = bytearray(_snapshots().pack(data.octets() * data.choose((1, 1, 100))))
    for _ in range(data.byte() % 4):
        at = data.below(len(packed) + 1)
        packed[at : at + data.byte() % 3] = data.take(data.byte() % 6)
    if data.rarely():
        packed = bytearray(_snapshots().pack(b"")[:16])
        packed += data.rest()
    try:
        _snapshots().unpack(bytes(packed))
    except WorkerFailed:
        return


@functools.cache
def _snapshots() -> Snapshots:
    return Snapshots(
        BaseImage(
            engine_id=_ENGINE, program="", references=(), blob=b"", samples=bytes(range(256)) * 8, kinds={}
        )
    )
