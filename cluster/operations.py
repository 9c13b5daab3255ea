"""What an operator sees of the cluster, and lets its nodes do (``cluster.status.Clustering``)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
import trio

from cluster.messages import DRAIN, ToMove
from cluster.peers import Call
from cluster.status import ClusterStatus, EtcdMember, NodeState, NodeStatus
from engine.errors import Conflict, Elsewhere, NotFound, Unavailable

if TYPE_CHECKING:
    from cluster.node import Node

SILENT_SECONDS = 2.5
"""A node of which nothing was heard for so long has missed a heartbeat, and another."""
SEEN_SECONDS = 0.2
"""What another node has done is seen here far sooner."""
MOVE_SECONDS = 60.0
"""What a session does is waited for so long before it is moved."""

_move = msgspec.msgpack.Decoder(ToMove)


class Operations:
    """Asked of one node, about all."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def status(self) -> ClusterStatus:
        """See ``Clustering``."""
        node, view = self._node, self._node.view
        log = node.log
        return ClusterStatus(
            name=node.settings.name,
            node=node.settings.node,
            leader=view.leader,
            ttl_seconds=node.settings.ttl,
            format=view.format,
            nodes=tuple(map(self._node_status, sorted(view.members))),
            etcd=await self._etcd(),
            tail_batches=0 if log is None else log.tail_batches,
            tail_bytes=0 if log is None else log.tail_bytes,
            archived=None if log is None else log.archived,
        )

    def _node_status(self, id: str) -> NodeStatus:
        view = self._node.view
        member, silent = view.members[id], trio.current_time() - view.heard[id]
        state: NodeState = member.state if silent < SILENT_SECONDS else "silent"
        is_here = id == self._node.settings.node
        return NodeStatus(
            node=id,
            addr=member.addr,
            program=member.program,
            state=state,
            sessions=sum(seen.value.node == id for seen in view.owned.values()),
            running=member.load.running,
            queued=member.load.queued,
            since=member.since,
            lease_seconds=self._node.membership.lease_seconds if is_here else None,
            lag_seconds=None if is_here else silent,
        )

    async def _etcd(self) -> tuple[EtcdMember, ...]:
        return tuple(
            EtcdMember(
                endpoint=member.endpoint,
                version=None if member.status is None else member.status.version,
                is_leader=member.status is not None and member.status.leader == member.status.member,
                db_bytes=0 if member.status is None else member.status.db_size,
                in_use_bytes=0 if member.status is None else member.status.db_in_use,
                quota_bytes=self._node.settings.quota,
                error=member.failure or None,
            )
            for member in await self._node.etcd.members()
        )

    async def drain(self, node: str) -> None:
        """See ``Clustering``."""
        self._check(node)
        if node == self._node.settings.node:
            await self._node.empty()
            return
        async with self._node.peers.call(node, DRAIN, b"") as exchange:
            await exchange.receive()

    async def move(self, owner: str, session: str, node: str) -> None:
        """See ``Clustering``."""
        self._check(node)
        if self._node.view.members[node].state != "serving":
            raise Conflict(f"node {node} is being drained, and takes no sessions", field="node")
        await self._node.engine.session(owner, session)  # raises NotFound
        asked = ToMove(owner=owner, session=session, to=node)
        with trio.move_on_after(MOVE_SECONDS):
            while (now := self._node.ownership.node_of(owner, session)) != node:
                with suppress(Elsewhere):  # which shows in where the session is
                    await self._node.handing.ask(now or node, asked)
                with trio.move_on_after(SEEN_SECONDS):
                    while self._node.ownership.node_of(owner, session) != node:
                        await self._node.view.changed.wait()
            return
        raise Unavailable(
            f"session {session} has something to do, and could not be moved within "
            f"{MOVE_SECONDS:g} s: try again"
        )

    async def serve_move(self, call: Call) -> None:
        """Another node asks."""
        with suppress(Elsewhere):
            await self._node.handing.do(_move.decode(call.request))
        await call.send(b"")

    async def serve_drain(self, call: Call) -> None:
        """Another node asks."""
        await self._node.empty()
        await call.send(b"")

    def _check(self, node: str) -> None:
        if node not in self._node.view.members:
            known = ", ".join(sorted(self._node.view.members))
            raise NotFound(f"there is no node {node} in the cluster: there are {known}", field="node")
