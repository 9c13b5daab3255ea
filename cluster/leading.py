"""What one of the nodes does for all: it moves the log from etcd to the bucket, and buries what ran on lost
nodes.

Who leads is who has the key for it, under its lease. That there may be two for a moment harms nothing: what
they write is guarded by that key.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

from cluster import charter, routing
from cluster.keys import Keys
from cluster.membership import Membership
from cluster.records import Running
from cluster.view import Seen, View
from engine.errors import Conflict, EngineError, TooManySessions
from persistence.etcd.client import Etcd
from persistence.etcd.failures import Refused, Unanswered
from persistence.etcd.fences import Fence
from persistence.etcd.requests import created, delete, get, put

if TYPE_CHECKING:
    from persistence.etcd.log import EtcdEventLog

_log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
REST_SECONDS = 10.0
"""So long a node that could not move the log does not want to lead again, where there are others that may."""
AT_ONCE = 100
"""Executions that were lost, and are being recorded as that."""


class Leading:
    """Wants to lead, and does what is to be done then. ``log`` None: there is none.

    ``bury`` records, somewhere, that an execution was lost.
    """

    def __init__(
        self,
        etcd: Etcd,
        keys: Keys,
        membership: Membership,
        view: View,
        log: EtcdEventLog | None,
        bury: Callable[[Running], Awaitable[None]],
    ) -> None:
        self._etcd = etcd
        self._keys = keys
        self._membership = membership
        self._view = view
        self._log = log
        self._bury = bury
        self._leader: Fence | None = None
        self._rests_until = -math.inf
        """In Trio's time."""

    @property
    def leads(self) -> bool:
        """Whether this node is the one."""
        return self._leader is not None and self._membership.is_valid

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                self._leader = await self._win()
                if self._leader is not None:
                    await self._lead(self._leader)
            except* (EngineError, Refused, Unanswered) as failed:
                for why in failed.exceptions:
                    _log.warning("this node does not lead the cluster: %s", why)
            finally:
                self._leader = None
            await self._wait_for_something()

    async def _win(self) -> Fence | None:
        """The key, if this node has got it."""
        fence, member = self._membership.fence, self._membership.member
        if self._view.leader not in (None, member.node) or self._membership.state != "serving":
            return None
        if self._shall_rest or fence is None:
            return None
        answer = await self._etcd.transact(
            [created(fence.key, fence.revision), created(self._keys.leader, 0)],
            [put(self._keys.leader, member.node.encode(), lease=self._membership.lease)],
            [get(self._keys.leader)],
            again=True,
        )
        if answer.succeeded:
            return Fence(self._keys.leader, answer.revision)
        there = [item for item in answer.found[0] if item.lease == self._membership.lease]
        # of an earlier attempt, of which this node has not heard
        return Fence(self._keys.leader, there[0].create_revision) if there else None

    async def _lead(self, leader: Fence) -> None:
        _log.info("this node leads the cluster")
        fence = self._membership.fence
        await self._view.reached(leader.revision)
        async with trio.open_nursery() as nursery:
            if self._log is not None:
                nursery.start_soon(self._move, self._log, leader)
                nursery.start_soon(self._bury_all)
            while self._membership.fence == fence and self._view.leader == self._membership.member.node:
                if self._membership.state != "serving" or self._shall_rest:
                    break
                await self._raise_format(leader)
                await self._wait_for_something()
            nursery.cancel_scope.cancel()
        await self._etcd.transact([created(leader.key, leader.revision)], [delete(leader.key)], again=True)
        _log.info("this node does not lead the cluster any more")

    async def _move(self, log: EtcdEventLog, leader: Fence) -> None:
        """Until another node is to lead, if there is one."""
        while not self._shall_rest:
            await log.archive(leader)
            self._rests_until = trio.current_time() + REST_SECONDS

    @property
    def _shall_rest(self) -> bool:
        """Whether another one should lead, and can."""
        here = self._membership.member.node
        return trio.current_time() < self._rests_until and any(
            node != here for node in routing.serving(self._view.members)
        )

    async def _raise_format(self, leader: Fence) -> None:
        """Let the nodes write what all of them can read by now, as at the end of a rolling upgrade."""
        if (newer := charter.raised(self._view.format, self._view.members.values())) is not None:
            _log.info("all nodes can read format %d: it is written from now on", newer)
            await self._etcd.transact(
                [created(leader.key, leader.revision)],
                [put(self._keys.format, str(newer).encode())],
                again=True,
            )

    async def _bury_all(self) -> None:
        """Record the end of what ran on nodes that are no members any more.

        Several at once: each waits for its turn in its session, where code may run for long.
        """
        begun: set[bytes] = set()
        async with trio.open_nursery() as nursery:
            while True:
                alive = {member.incarnation for member in self._view.members.values()}
                for key, seen in self._view.running.items():
                    if len(begun) == AT_ONCE:
                        break
                    if seen.value.incarnation not in alive and key not in begun:
                        begun.add(key)
                        nursery.start_soon(self._bury_one, key, seen, begun)
                await self._wait_for_something()

    async def _bury_one(self, key: bytes, seen: Seen[Running], begun: set[bytes]) -> None:
        try:
            try:
                await self._bury(seen.value)
            except (Conflict, TooManySessions) as never:
                _log.error(
                    "that execution %s was lost with node %s is not recorded: %s",
                    seen.value.execution_id,
                    seen.value.node,
                    never.message,
                )
            await self._etcd.transact([created(key, seen.created)], [delete(key)], again=True)
            await self._gone(key)
        except (EngineError, Refused, Unanswered) as failed:
            _log.warning(
                "execution %s was lost with node %s, which cannot be recorded yet: %s",
                seen.value.execution_id,
                seen.value.node,
                failed,
            )
            await trio.sleep(PAUSE_SECONDS)
        finally:
            begun.discard(key)

    async def _gone(self, key: bytes) -> None:
        """Until it is seen that a note was taken back, or that it is put again all the time."""
        with trio.move_on_after(PAUSE_SECONDS):
            while key in self._view.running:
                await self._view.changed.wait()

    async def _wait_for_something(self) -> None:
        changed = self._view.changed
        with trio.move_on_after(PAUSE_SECONDS):
            await changed.wait()
