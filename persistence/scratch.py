"""Checkpoints of a store that is only read, for as long as it is read: they are in memory, and nowhere else.

Whoever goes back to a session's past again and again, as a search does, need not replay all of it each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import trio

from engine.checkpoints import Checkpoint
from engine.errors import BlobStoreFailed
from persistence.blobstore import BlobStore
from persistence.readonly import ReadOnlyEventLog
from persistence.readonly_blobs import ReadOnlyBlobStore

MAX_BYTES = 256 << 20
"""What they may take together. When that is full, no more are made."""


class ScratchEventLog(ReadOnlyEventLog):
    """A log that is only read, and knows checkpoints that were made meanwhile."""

    def __init__(self, directory: Path, path: Path) -> None:
        super().__init__(directory, path)
        self._made: list[Checkpoint] = []

    async def add_checkpoint(self, checkpoint: Checkpoint, forget: Sequence[Checkpoint] = ()) -> None:  # noqa: ARG002
        """Know it until the end; the others, too: they are for the past, and their blobs are kept."""
        await trio.lowlevel.checkpoint()
        self._made.append(checkpoint)

    async def forget_checkpoints(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Forget those of them that were made meanwhile."""
        await trio.lowlevel.checkpoint()
        self._made = [one for one in self._made if one not in checkpoints]

    async def checkpoints(self, session: str, first: int = 0, last: int | None = None) -> list[Checkpoint]:
        """See ``EventLog``."""
        stored = await super().checkpoints(session, first, last)
        made = [
            one
            for one in self._made
            if one.session == session and first <= one.seq and (last is None or one.seq <= last)
        ]
        return sorted([*stored, *made], key=lambda one: one.seq, reverse=True)


class ScratchBlobStore(ReadOnlyBlobStore):
    """Blobs that are only read, and some more in memory."""

    def __init__(self, inner: BlobStore) -> None:
        super().__init__(inner)
        self._made: dict[str, bytes] = {}
        self._room = MAX_BYTES

    async def put(self, data: bytes) -> str:
        """Keep a blob until the end. Raises BlobStoreFailed where there is no room."""
        await trio.lowlevel.checkpoint()
        name = hashlib.sha256(data).hexdigest()
        if name not in self._made:
            if len(data) > self._room:
                raise BlobStoreFailed("there is no room for another checkpoint in memory")
            self._made[name] = data
            self._room -= len(data)
        return name

    async def get(self, name: str) -> bytes:
        """See ``BlobStore``."""
        made = self._made.get(name)
        if made is None:
            return await super().get(name)
        await trio.lowlevel.checkpoint()
        return made

    async def discard(self, name: str) -> None:  # noqa: ARG002
        """Nothing: it is still of use for the past."""
        await trio.lowlevel.checkpoint()
