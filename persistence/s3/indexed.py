"""What event logs have in common that are kept elsewhere, with a SQLite database as their index, and S3 for
what is large.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import trio

from engine.errors import StoreFailed
from engine.timestamps import now_us
from persistence import folders, threads
from persistence.adoption import Lineage
from persistence.appends import Append, Elsewhere
from persistence.changes import Adopted, Change
from persistence.s3 import imports
from persistence.s3.objects import Objects, Refused, Unanswered
from persistence.sqlite import SqliteEventLog

ROOM_BYTES = 8 << 20
"""What must be free on the disk of the index before a batch is put: once it is, the index has to have it, or
the server ends. A commit writes less, of however much: what SQLite's cache of 2 MB does not hold, is written
before.
"""
LEAVE_SECONDS = 1.0
"""What is under way when the log is closed is waited for so long."""
SENDERS = 4
"""Imports whose records are put at once."""
LONGEST_IMPORT_SECONDS = 3_000.0
"""Until it is in the log; what its records are in may be removed an hour after it was put."""


def check_before(directory: Path, made: Sequence[Change]) -> None:
    """Look whether these may be made durable, with the index in that directory. Raises StoreFailed."""
    if not folders.has_room(directory, ROOM_BYTES):
        raise StoreFailed(
            "the event could not be stored, and was not: there is no room for the index of the log: "
            f"free space in {directory}"
        )
    oldest = now_us() - LONGEST_IMPORT_SECONDS * 1e6
    if any(isinstance(change, Adopted) and change.at < oldest for change in made):
        raise StoreFailed("the import took too long, and was not stored: is S3 slow? Try again later")


class IndexedLog(SqliteEventLog):
    """An ``EventLog`` that is kept ``elsewhere``, its index at ``path``, imports among ``objects``."""

    def __init__(self, path: Path, elsewhere: Elsewhere, objects: Objects) -> None:
        super().__init__(path, elsewhere, leave_seconds=LEAVE_SECONDS)
        self._objects = objects
        self._put_imports = imports.Sending()
        self._senders = trio.CapacityLimiter(SENDERS)
        self._sending: set[trio.CancelScope] = set()
        """Around the imports that are being sent."""

    def leave(self) -> None:
        """See ``EventLog``."""
        super().leave()
        for scope in self._sending:
            scope.deadline = trio.current_time() + LEAVE_SECONDS

    async def checkpoint_blobs(self) -> set[str]:
        """See ``EventLog``. Raises StoreFailed where others have taken the log over.

        That shows only when something is written, and an idle server may not have noticed: by what it knows,
        all blobs that the others have put for hours would be needed by nobody.
        """
        await self.append(())
        return await super().checkpoint_blobs()

    async def _adopt(self, lineage: Lineage) -> None:
        """Let it be written. What it holds is put before, while others append, and may take long."""
        adopted = await self._send(lineage)
        await self._append(Append((), trio.lowlevel.current_task(), lineage=lineage, adopted=adopted))

    async def _send(self, lineage: Lineage) -> Adopted:
        """Put its parts. Raises StoreFailed."""

        def put() -> Adopted:
            with self._put_imports.one():
                return imports.put(self._objects, lineage)

        with trio.CancelScope(shield=True) as scope:
            self._sending.add(scope)
            try:
                return await threads.run(put, self._senders, abandon=True)
            except (Refused, Unanswered, OSError, threads.NoThread) as failed:
                raise StoreFailed(f"the import could not be stored, and was not: {failed}") from failed
            finally:
                self._sending.remove(scope)
        raise StoreFailed("the import was not stored: the server is stopping")
