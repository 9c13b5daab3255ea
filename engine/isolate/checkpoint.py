"""Snapshots of sessions: made by a forked copy of a worker, restored by a new worker.

A snapshot is compressed against those of sessions in which little happened, of which every process has a
copy: what is left of a small state is a few kilobytes. It begins with the fingerprint of the image that it
was made with, since V8 would restore it with any other and go wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from backports import zstd

from engine.errors import WorkerFailed
from engine.isolate import copy_wire
from engine.isolate.copy_wire import MAX_SNAPSHOT, Declined
from engine.isolate.executor import Executor
from engine.isolate.image import BaseImage

LEVEL: Final = 6
NICER: Final = 10
"""How much nicer the copy is than workers that run code."""
_OPTIONS: Final[dict[int, int]] = {
    zstd.CompressionParameter.compression_level: LEVEL,
    zstd.CompressionParameter.checksum_flag: 1,
}


class Snapshots:
    """Makes and restores snapshots with one image. Made before the fork of the workers, which share it."""

    def __init__(self, image: BaseImage) -> None:
        self._fingerprint = image.fingerprint
        self._kinds = image.kinds
        self._nice = os.nice(0) + NICER
        self._dictionary = zstd.ZstdDict(image.samples, is_raw=True)
        self.pack(b"")  # prepares the dictionary
        self.unpack(self.pack(b""))

    def write(self, executor: Executor, descriptor: int) -> None:
        """In the copy of a worker, which ends after this: make a snapshot, and write what came of it."""
        os.setpriority(os.PRIO_PROCESS, 0, self._nice)
        for part in copy_wire.encode(self._make(executor)):
            rest = memoryview(part)
            while rest:
                rest = rest[os.write(descriptor, rest) :]

    def _make(self, executor: Executor) -> bytes | Declined:
        survey = executor.survey(self._kinds)
        if survey.unsupported:
            return Declined(f"the session holds {_listed(survey.unsupported.items())}")
        if not executor.format_stacks(survey.errors):
            return Declined(
                "the session holds an error whose stack only its own code can format: it set "
                "Error.prepareStackTrace, or a getter for the name or message of an error"
            )
        snapshot = self.pack(executor.snapshot())
        if len(snapshot) > MAX_SNAPSHOT:
            return Declined(
                f"the snapshot has {len(snapshot) >> 20} MB; at most {MAX_SNAPSHOT >> 20} are kept"
            )
        return snapshot

    def restore(self, executor: Executor, snapshot: bytes) -> None:
        """Go on in the state of a snapshot. Raises WorkerFailed if it is none of this image."""
        executor.restore(self.unpack(snapshot))

    def pack(self, blob: bytes) -> bytes:
        """The snapshot of a blob of V8."""
        packed = zstd.compress(blob, options=_OPTIONS, zstd_dict=self._dictionary)
        return self._fingerprint + packed

    def unpack(self, snapshot: bytes) -> bytes:
        """The blob in a snapshot. Raises WorkerFailed."""
        if snapshot[: len(self._fingerprint)] != self._fingerprint:
            raise WorkerFailed("the snapshot was made with another base image")
        try:
            return zstd.decompress(memoryview(snapshot)[len(self._fingerprint) :], zstd_dict=self._dictionary)
        except zstd.ZstdError as broken:
            raise WorkerFailed(f"the snapshot is damaged: {broken}") from broken


def _listed(found: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{count} live {name}" for name, count in found)
