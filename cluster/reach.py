"""Whether this node reaches the others. One that reaches none of them lets them have its sessions.

Such a node is a member still, since it reaches etcd, and clients may reach it; but the others cannot pass on
to it what they are asked of its sessions, nor it to them. It steps aside until it reaches one again. Of nodes
of which none reaches any other, the last one stays: each says in etcd that it steps aside, and goes on if all
others had said so before.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection
from typing import NoReturn

import trio

from cluster import routing
from cluster.membership import Membership
from cluster.peers import Peers
from cluster.view import View
from engine.errors import Unavailable
from persistence.etcd.failures import Refused, Unanswered

_log = logging.getLogger(__name__)

EVERY_SECONDS = 1.0
MORE_SECONDS = 2.0
"""A node that is not reached may be lost: it has its lease, and so long, to be no member any more."""


class Reach:
    """Of one node. ``hand_over`` begins to give all its sessions to others."""

    def __init__(
        self, peers: Peers, membership: Membership, view: View, ttl: float, hand_over: Callable[[], object]
    ) -> None:
        self._peers = peers
        self._membership = membership
        self._view = view
        self._patience = ttl + MORE_SECONDS
        self._hand_over = hand_over
        self._unreached_since = math.inf
        """In Trio's time: no other member is reached since then."""
        self.is_aside = False
        """Whether it has stepped aside, and nobody else wants it to be drained."""

    @property
    def is_alone(self) -> bool:
        """Whether no other node is reached, though there are some."""
        return trio.current_time() > self._unreached_since + self._patience

    def check(self) -> None:
        """Raises Unavailable if nothing can be asked of another node."""
        if self.is_alone:
            raise Unavailable(
                "this node reaches no other node of its cluster, and another one has what this is about: try "
                "again, that one or a third may do it"
            )

    async def run(self) -> NoReturn:
        """Look, from time to time, for ever."""
        while True:
            await trio.sleep(EVERY_SECONDS)
            others = [node for node in self._view.members if node != self._membership.member.node]
            if not others or await self._reaches_one_of(others):
                self._unreached_since = math.inf
            else:
                self._unreached_since = min(self._unreached_since, trio.current_time())
            try:
                if self.is_alone and self._membership.state == "serving":
                    await self._step_aside()
                elif self.is_aside and not (self.is_alone and self._others_serve):
                    await self._come_back()
            except (Unavailable, Refused, Unanswered) as failed:  # the next heartbeat says it
                _log.debug("the other nodes were not told: %s", failed)

    async def _reaches_one_of(self, others: Collection[str]) -> bool:
        if any(map(self._peers.is_connected, others)):
            return True
        reached = False

        async def reach(node: str) -> None:
            nonlocal reached
            if await self._peers.reach(node):
                reached = True
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for node in others:
                nursery.start_soon(reach, node)
        return reached

    @property
    def _others_serve(self) -> bool:
        return any(node != self._membership.member.node for node in routing.serving(self._view.members))

    async def _step_aside(self) -> None:
        if not self._others_serve:
            return
        self._membership.state, self.is_aside = "draining", True
        await self._view.reached(await self._membership.beat())
        if not self._others_serve:
            await self._come_back()
            return
        _log.error("this node reaches no other node of the cluster: they get its sessions until it does")
        self._hand_over()

    async def _come_back(self) -> None:
        self._membership.state, self.is_aside = "serving", False
        await self._membership.beat()
        _log.info("this node takes sessions again")
