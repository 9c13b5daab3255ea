"""Which of the other nodes this one reaches. One that reaches none of them lets them have its sessions.

What a node has that is not reached, though it is a member, this one does not wait for: it says so, and
clients ask another node. One that reaches no other is a member still, since it reaches etcd, and clients
may reach it; but the others cannot pass on to it what they are asked of its sessions, nor it to them. It
steps aside until it reaches one again. Of nodes of which none reaches any other, the last one stays:
each says in etcd that it steps aside, and goes on if all others had said so before.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
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
SETTLE_SECONDS = 2.0
"""A node that has stepped aside takes its part again when no other has served for so long: for a moment none
does while the last of several finds out that it is the last.
"""


class Reach:
    """Of one node. ``let_go`` gives up those of its sessions in which nothing waits; it is called again for
    the others, in which what was accepted is done here, as nobody can be asked to.
    """

    def __init__(
        self, peers: Peers, membership: Membership, view: View, ttl: float, let_go: Callable[[], object]
    ) -> None:
        self._peers = peers
        self._membership = membership
        self._view = view
        self._patience = ttl + MORE_SECONDS
        self._let_go = let_go
        self._unreached: dict[str, float] = {}
        """Other members, and since when, in Trio's time."""
        self._unserved_since = math.inf
        """In Trio's time: no other node serves since then."""
        self.is_aside = False
        """Whether it has stepped aside, and nobody else wants it to be drained."""

    def reaches(self, node: str) -> bool:
        """Whether something can be asked of a member, as far as is known."""
        return trio.current_time() <= self._unreached.get(node, math.inf) + self._patience

    @property
    def is_alone(self) -> bool:
        """Whether no other node is reached, though there are some."""
        others = self._others
        return bool(others) and not any(map(self.reaches, others))

    def check(self, node: str) -> None:
        """Raises Unavailable if nothing can be asked of it."""
        if not self.reaches(node):
            raise Unavailable(
                f"this node does not reach node {node} of its cluster, which has what this is about: "
                "try again, that one or a third may do it"
            )

    async def run(self) -> NoReturn:
        """Look, from time to time, for ever."""
        while True:
            await trio.sleep(EVERY_SECONDS)
            async with trio.open_nursery() as nursery:
                for node in self._others:
                    nursery.start_soon(self._look, node)
            for node in self._unreached.keys() - self._others:
                del self._unreached[node]
            now = trio.current_time()
            self._unserved_since = math.inf if self._others_serve else min(self._unserved_since, now)
            try:
                if self.is_alone and self._membership.state == "serving":
                    await self._step_aside()
                elif self.is_aside and (not self.is_alone or now > self._unserved_since + SETTLE_SECONDS):
                    await self._come_back()
            except (Unavailable, Refused, Unanswered) as failed:  # the next heartbeat says it
                _log.debug("the other nodes were not told: %s", failed)
            if self.is_aside:
                self._let_go()

    async def _look(self, node: str) -> None:
        if await self._peers.reach(node):
            self._unreached.pop(node, None)
        else:
            self._unreached.setdefault(node, trio.current_time())

    @property
    def _others(self) -> set[str]:
        return self._view.members.keys() - {self._membership.member.node}

    @property
    def _others_serve(self) -> bool:
        return any(node != self._membership.member.node for node in routing.serving(self._view.members))

    async def _step_aside(self) -> None:
        if not self._others_serve:
            return
        self._membership.state, self.is_aside = "draining", True
        try:
            await self._view.reached(await self._membership.beat())
        except BaseException:  # it is tried again, and its sessions stay meanwhile
            if self.is_aside:
                self._membership.state, self.is_aside = "serving", False
            raise
        if not self.is_aside:  # it is drained by now, with all that belongs to that
            return
        if not self._others_serve:
            await self._come_back()
            return
        _log.error("this node reaches no other node of the cluster: they get its sessions until it does")

    async def _come_back(self) -> None:
        self._membership.state, self.is_aside = "serving", False
        await self._membership.beat()
        _log.info("this node takes sessions again")
