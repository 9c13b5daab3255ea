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
from engine.errors import Elsewhere, NodeFenced, NodeLost, NotOwner, Unavailable
from engine.execution import Execution, Submission
from persistence.etcd.client import Etcd
from persistence.etcd.failures import Refused, Unanswered
from persistence.etcd.requests import created, delete, put

_log = logging.getLogger(__name__)

AFTER_SECONDS = 0.25
"""What is not over by then is noted."""
MAX_BYTES = 512 << 10
"""Longer requests are not noted: they would fill etcd."""

_OPEN = (Elsewhere, NotOwner, NodeFenced, NodeLost)
"""Failures after which another node goes on with it, under the same id, or records that it was lost."""


class Notes:
    """Notes what runs on this node."""

    def __init__(self, etcd: Etcd, keys: Keys, membership: Membership) -> None:
        self._etcd = etcd
        self._keys = keys
        self._membership = membership
        self._new: dict[str, tuple[Submission, Execution, float]] = {}
        """What is not noted yet, by id, with when it was accepted in Trio's time."""
        self._noted: dict[str, Execution] = {}
        """What is noted, by id, and was not over when that was last looked at."""

    def accepted(self, submission: Submission, execution: Execution) -> None:
        """It is under way here."""
        self._new[execution.id] = (submission, execution, trio.current_time())

    def came_back(self, execution: Execution) -> None:
        """Another node had taken it for this one, and has let it go: what that one has noted of it stays, for
        whoever goes on with it, and is taken back here if it comes to nothing.
        """
        self._noted[execution.id] = execution

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
            await self._forget_failed()

    async def _forget_failed(self) -> None:
        """Take back the notes of what nothing is recorded of under its id, which would do that."""
        for execution_id, execution in list(self._noted.items()):
            if not execution.done:
                continue
            if _is_unrecorded(execution, execution_id):
                try:
                    await self._etcd.transact([], [delete(self._keys.execution(execution_id))], again=True)
                except (Refused, Unanswered) as failed:
                    _log.debug("%s is forgotten later: %s", execution_id, failed)
                    return
            del self._noted[execution_id]

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
                if _is_over(execution):  # the note may have come after what was recorded
                    await self._etcd.transact([], [delete(key)], again=True)
            except (Refused, Unanswered) as failed:
                raise Unavailable(f"what is under way cannot be noted: {failed}") from failed
            self._noted[execution.id] = execution
        self._new.pop(execution.id, None)


def _is_over(execution: Execution) -> bool:
    """Whether nobody goes on with it."""
    return execution.done and not isinstance(execution.failure, _OPEN)


def _is_unrecorded(execution: Execution, execution_id: str) -> bool:
    """Whether an execution that is over here certainly never comes into the log under that id."""
    if execution.report is not None:  # it may be another one's, under the same idempotency key
        return execution.report.execution_id != execution_id
    return not isinstance(execution.failure, _OPEN)
