"""What other nodes have recorded, told to whom it concerns at this one: followers of sessions, and who
counts them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio

from engine.chain import Record
from engine.errors import EngineError
from engine.events import Closed, Created, Forked

if TYPE_CHECKING:
    from engine.supervisor import Supervisor
    from persistence.eventlog import EventLog

_log = logging.getLogger(__name__)


class News:
    """Of one engine."""

    def __init__(self, nursery: trio.Nursery, engine: Supervisor, log: EventLog) -> None:
        self._nursery = nursery
        self._engine = engine
        self._log = log

    def appended(self, records: Sequence[Record]) -> None:
        """Another node has recorded these, and the log here has them."""
        events = [record.event for record in records]
        for event in events:
            if isinstance(event, Created | Forked):
                self._engine.peers.counted(event.owner, 1)
        self._engine.feed.recorded(None)
        closed = {event.session for event in events if isinstance(event, Closed)}
        if closed or len(self._engine.feed):
            self._nursery.start_soon(self._tell, {event.session for event in events}, closed)

    async def _tell(self, sessions: set[str], closed: set[str]) -> None:
        for session in sessions:
            try:
                row = await self._log.session(session)
            except EngineError as failed:
                _log.warning("session %s cannot be read: %s", session, failed.message)
                continue
            if row is not None:
                self._engine.feed.recorded(row.name)
                if session in closed:
                    self._engine.peers.counted(row.owner, -1)
