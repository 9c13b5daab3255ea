"""How much space a store takes, and what is refused when that is as much as it may."""

from __future__ import annotations

import logging

from engine.errors import StoreFull
from persistence.blobstore import BlobStore
from persistence.eventlog import EventLog

_log = logging.getLogger(__name__)

WARN_AT = 0.9
"""Of the limit: from there on it is told, once."""
CALM_AT = 0.8
"""Of the limit: below that it would be told again."""
_MIB = 1 << 20


class Space:
    """Of a log and its blobs: both count what they have themselves, so that asking costs nothing."""

    def __init__(self, log: EventLog, blobs: BlobStore, limit: int) -> None:
        self._log = log
        self._blobs = blobs
        self.limit = limit
        """Bytes that the store may take."""
        self._warned = False

    @property
    def used(self) -> int:
        """Bytes that it takes."""
        return self._log.used_bytes + self._blobs.used_bytes

    @property
    def is_full(self) -> bool:
        """Whether nothing more may be stored but what makes room."""
        return self.used >= self.limit

    def check(self, more: int = 1) -> None:
        """Raises StoreFull unless there is room for so many bytes; what is stored may be larger than that."""
        used = self.used
        self._watch(used)
        if used + more > self.limit:
            raise StoreFull(
                f"the store takes {used / _MIB:,.0f} MB of the {self.limit / _MIB:,.0f} MB that it may: "
                "delete sessions that are not needed any more, or let the operator raise --max-store-mb"
            )

    def _watch(self, used: int) -> None:
        if used < CALM_AT * self.limit:
            self._warned = False
        elif used >= WARN_AT * self.limit and not self._warned:
            self._warned = True
            _log.warning(
                "the store takes %.0f MB of the %.0f MB that it may: then executions will be refused; delete "
                "sessions, or raise --max-store-mb",
                used / _MIB,
                self.limit / _MIB,
            )
