"""Notes in etcd of what runs here: for clients that know an execution by its id, should this node be lost.

What is over soon is not noted: its client waits for it, and hears of the loss. A note goes in the
transaction that records what came of the execution.
"""

from __future__ import annotations

import logging

import msgspec
import trio

from cluster.keys import Keys
from cluster.membership import Membership
from cluster.records import Running
from engine.errors import Unavailable
from engine.execution import Execution, Submission
from persistence.etcd.client import Etcd
from persistence.etcd.failures import Refused, Unanswered
from persistence.etcd.requests import created, delete, put

_log = logging.getLogger(__name__)

AFTER_SECONDS = 0.25
"""What is not over by then is noted."""
MAX_BYTES = 512 << 10
"""Longer requests are not noted: they would fill etcd."""


class Notes:
    """Notes what runs on this node."""

    def __init__(self, etcd: Etcd, keys: Keys, membership: Membership) -> None:
        self._etcd = etcd
        self._keys = keys
        self._membership = membership
        self._new: dict[str, tuple[Submission, Execution, float]] = {}
        """What is not noted yet, by id, with when it was accepted in Trio's time."""

    def accepted(self, submission: Submission, execution: Execution) -> None:
        """It is under way here."""
        self._new[execution.id] = (submission, execution, trio.current_time())

    async def run(self) -> None:
        """Note what takes long, for ever."""
        while True:
            await trio.sleep(AFTER_SECONDS)
            late = trio.current_time() - AFTER_SECONDS
            for execution_id, (_, execution, at) in list(self._new.items()):
                if execution.done or execution.is_elsewhere:
                    self._new.pop(execution_id, None)
                elif at <= late and execution.session is not None:
                    try:
                        await self.note(execution)
                    except Unavailable as failed:
                        _log.debug("%s is noted later: %s", execution_id, failed.message)
                        break

    async def note(self, execution: Execution) -> None:
        """Note it now. Raises Unavailable."""
        if (new := self._new.get(execution.id)) is None or execution.done:
            return
        fence, member = self._membership.fence, self._membership.member
        if fence is None or execution.session is None:
            raise Unavailable("this node is no member of its cluster now")
        running = Running(
            node=member.node,
            incarnation=member.incarnation,
            execution_id=execution.id,
            accepted_at=execution.accepted_at,
            session=execution.session,
            submission=new[0],
        )
        key, value = self._keys.execution(execution.id), msgspec.json.encode(running)
        if len(value) <= MAX_BYTES:
            try:
                await self._etcd.transact([created(fence.key, fence.revision)], [put(key, value)], again=True)
                if execution.done:  # the note may have come after what was recorded
                    await self._etcd.transact([], [delete(key)], again=True)
            except (Refused, Unanswered) as failed:
                raise Unavailable(f"what is under way cannot be noted: {failed}") from failed
        self._new.pop(execution.id, None)
