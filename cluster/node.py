"""A node: the engine of this server as one of several, for itself and for the others."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from cluster import routing
from cluster.asking import Asking
from cluster.doors import HeldElsewhere
from cluster.forwarding import Forwarding
from cluster.handing import Handing
from cluster.here import Here
from cluster.keys import Keys
from cluster.leading import Leading
from cluster.losses import Losses, burial
from cluster.membership import Membership
from cluster.messages import DRAIN, MOVE, PREPARE, ToMove
from cluster.news import News
from cluster.notes import Notes
from cluster.operations import Operations
from cluster.ownership import Ownership
from cluster.peers import PATH, Passport, PeerDoor, Peers
from cluster.reach import Reach
from cluster.records import Load, Member, Running
from cluster.service import Service
from cluster.settings import ClusterSettings
from cluster.tunnel import METHOD as TUNNELLED
from cluster.tunnel import Tunnel
from cluster.view import View
from cluster.watching import watch
from engine.catalog import SessionInfo
from engine.chain import Record
from engine.commands import Command, Execute
from engine.errors import Conflict, Elsewhere, Unavailable
from engine.execution import Execution, Submission
from persistence.etcd.client import Etcd
from persistence.etcd.failures import Refused, Unanswered
from persistence.etcd.names import Names
from transports import asgi
from transports.clustermetrics import ClusterNumbers

if TYPE_CHECKING:
    from engine.supervisor import Supervisor
    from persistence.etcd.log import EtcdEventLog

_log = logging.getLogger(__name__)

PATIENCE = 2.0
"""Of a lease's life, and ten seconds more: so long a node is looked for that has a session."""
CATCH_UP_SECONDS = 10.0
"""What others have recorded is here far sooner, unless etcd or S3 are away."""
FETCH_SECONDS = 5.0
"""For another node to give up a name that nothing uses there."""
PASSING_SECONDS = 0.05
"""A session that was given up is waited for so long: whoever it was handed to has it by then."""
PAUSE_SECONDS = 0.05
"""Before a node is asked again that does not have what this one thinks, or is not there."""
LINGER_SECONDS = 3.0
"""A node that leaves goes on forwarding that long: a balancer needs a moment to see that."""


class Node:
    """What the engine asks of its cluster (``engine.nodes.Nodes``), and what the other nodes ask of it.

    Made by ``cluster.opening.open_node``.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        etcd: Etcd,
        keys: Keys,
        settings: ClusterSettings,
        program: str,
        names: Names,
    ) -> None:
        self.settings = settings
        self.names = names
        """Who is asked for the addresses of etcd and of the others."""
        passport = Passport(settings.name, settings.node, settings.secret)
        self.peers = Peers(passport, self._address)
        self.operations = Operations(self)
        self.handing = Handing(self)
        asked = {
            MOVE: self.operations.serve_move,
            DRAIN: self.operations.serve_drain,
            PREPARE: self.handing.serve_prepare,
        }
        self.tunnel = Tunnel(self.peers)
        """To clients' connections that other nodes have, and from there."""
        asked[TUNNELLED] = self.tunnel.serve
        self.here = Here(self)
        self.door = PeerDoor(passport, {**Service(self.here).handlers, **asked})
        """Where other nodes come in."""
        self.door_path = PATH
        self.view = View(keys)
        self.membership = Membership(
            etcd, keys, settings, program, self._load, self._thrown_out, lambda: self.view.revision
        )
        self._reach = Reach(self.peers, self.membership, self.view, settings.ttl, self._let_all_go)
        self.ownership = Ownership(etcd, keys, self.membership, self.view, self.caught_up, self._lost)
        self.log: EtcdEventLog | None = None
        self._nursery = nursery
        self.etcd = etcd
        self.keys = keys
        self._engine: Supervisor | None = None
        self._notes = Notes(etcd, keys, self.membership)
        patience = PATIENCE * settings.ttl + 10
        self._forwarding = Forwarding(nursery, self.peers, self, self, self.caught_up, patience)
        self._losses = Losses(nursery, keys, self.view, self._recorded)
        self._asking = Asking(nursery, self.peers, self, self.caught_up, self._losses.until_recorded)
        self._news: News | None = None
        self._leading: Leading | None = None

    # --- its life -------------------------------------------------------------------------------

    def in_front_of(self, front: asgi.Application) -> asgi.Application:
        """The same, but requests for clients' connections that another node has go to that."""
        return HeldElsewhere(front, self.tunnel, self.settings.node, self._is_member, self.ownership.node_of)

    @asynccontextmanager
    async def serving_others(self, front: asgi.Application) -> AsyncIterator[None]:
        """Take what other nodes ask for: of this one's engine, and of ``front``."""
        async with self.tunnel.running(front), self.door.running():
            yield

    async def join(self, engine: Supervisor) -> None:
        """Become a member, with that engine; returns when what is there is known.

        Raises DuplicateNode, Refused.
        """
        self._engine, engine.cluster = engine, self.operations
        await self.membership.join()
        if self.log is not None:
            self._news = News(self._nursery, engine, self.log)
        await self._nursery.start(watch, self.etcd, self.keys, self.view, self.log, self.peers.lost)
        self._leading = Leading(self.etcd, self.keys, self.membership, self.view, self.log, self._bury)
        own = (
            self.membership.keep,
            self.ownership.sweep,
            self._notes.run,
            self._leading.run,
            self._reach.run,
        )
        for task in own:
            self._nursery.start_soon(task)

    async def drain(self, seconds: float) -> None:
        """Let other nodes have the sessions of this one, which goes on forwarding for a moment; if there are
        any.
        """
        began = trio.current_time()
        if self._others_serve:
            await self.empty()
            with trio.move_on_after(seconds):
                await self.ownership.empty()
                await trio.sleep_until(began + LINGER_SECONDS)

    async def empty(self) -> None:
        """Begin to hand all sessions over, and take no more. Raises Conflict if no other node would have
        them.
        """
        if not self._others_serve:
            raise Conflict("no other node of the cluster takes anything on: start one before", field="node")
        self.membership.state, self._reach.is_aside = "draining", False
        await self._say_so()
        for session in self.ownership.sessions:
            self._nursery.start_soon(self.handing.send_away, *session)

    def _let_all_go(self) -> None:
        """Nobody can be asked to take them: whoever is asked for one next does, after what waits in it."""
        for session in self.ownership.sessions:
            self.engine.handing.let_go(*session)

    @property
    def _others_serve(self) -> bool:
        return any(node != self.settings.node for node in routing.serving(self.view.members))

    async def leave(self) -> None:
        """Be no member any more, after the drain."""
        await self.membership.leave()

    async def _say_so(self) -> None:
        try:
            await self.membership.beat()
        except (Unavailable, Refused, Unanswered) as failed:
            _log.warning("the other nodes were not told that this one leaves: %s", failed)

    @property
    def engine(self) -> Supervisor:
        """The engine of this node, which has joined."""
        assert self._engine is not None
        return self._engine

    def _is_member(self, node: str) -> bool:
        return self.view.member(node) is not None

    def _address(self, node: str) -> str | None:
        member = self.view.member(node)
        return None if member is None else member.addr

    def _load(self) -> Load:
        if self._engine is None:
            return Load(processors=len(os.sched_getaffinity(0)))
        status = self._engine.status()
        return Load(
            running=status["running"] - status["queued"],
            queued=status["queued"],
            sessions=status["sessions"],
            processors=len(os.sched_getaffinity(0)),
        )

    def _thrown_out(self) -> None:
        self.ownership.lose_all()

    def _lost(self, owner: str, name: str) -> None:
        if self._engine is not None:
            self._engine.peers.lose(owner, name)

    def appended(self, records: Sequence[Record]) -> None:
        """Another node has, and it is in the log here."""
        if self._news is not None:
            self._news.appended(records)

    def numbers(self) -> ClusterNumbers:
        """What there is to count."""
        log = self.log
        return ClusterNumbers(
            members=len(self.view.members),
            sessions=len(self.ownership),
            forwarded=self._forwarding.forwarded,
            lease_seconds=self.membership.lease_seconds,
            leads=self.leads,
            tail_batches=0 if log is None else log.tail_batches,
            tail_bytes=0 if log is None else log.tail_bytes,
            lag=0 if log is None else log.lag,
        )

    @property
    def failing(self) -> str | None:
        """Why clients had better ask another node."""
        if not self.membership.is_valid:
            return "this node cannot reach the etcd of its cluster"
        if self._reach.is_aside:
            return "this node reaches no other node of its cluster"
        if self.membership.state == "draining":
            return "this node hands its sessions over to others"
        return None

    async def caught_up(self, revision: int) -> None:
        """Until this node has seen, and the log here has, what was written up to a revision.

        Raises Unavailable if that takes long.
        """
        with trio.move_on_after(CATCH_UP_SECONDS):
            await self.view.reached(revision)
            if self.log is not None:
                await self.log.caught_up(revision)
            return
        raise Unavailable("this node is behind with what others have recorded: try again in a moment")

    # --- engine.nodes.Nodes ---------------------------------------------------------------------

    @property
    def leads(self) -> bool:
        """See ``Nodes``."""
        return self._leading is not None and self._leading.leads

    async def claim(self, owner: str, name: str, *, here: bool = False) -> int:
        """See ``Nodes``."""
        if not here and (node := await self.whereto(owner, name, None)) is not None:
            raise Elsewhere(f"node {node} is to have it")
        if not self.ownership.is_used(owner, name):
            if (to := self.handing.to(owner, name)) is not None:
                await self.handing.over(owner, name)
                raise Elsewhere(f"node {to} is to have it")
            if self.membership.state == "draining":
                await self.ownership.give_up(owner, name)
                if (node := self._least_busy()) is not None:
                    raise Elsewhere(f"node {node} is to have it")
        return await self.ownership.claim(owner, name)

    async def fetch(self, owner: str, name: str) -> None:
        """See ``Nodes``."""
        here = self.settings.node
        with trio.move_on_after(FETCH_SECONDS):
            if (node := await self._node_of(owner, name)) is not None and node != here:
                with suppress(Elsewhere):  # which the next claim meets
                    await self.handing.ask(node, ToMove(owner=owner, session=name, to=here))

    def release(self, owner: str, name: str, token: int) -> None:
        """See ``Nodes``."""
        self.ownership.release(owner, name, token)

    def check(self) -> None:
        """See ``Nodes``."""
        self.membership.check()

    def place(self, asked: Submission) -> None:
        """See ``Nodes``."""
        node = self._place(asked.owner, asked.idempotency_key)
        if node not in (None, self.settings.node):
            raise Elsewhere(f"node {node} is to have it")

    def accepted(self, submission: Submission, execution: Execution) -> None:
        """See ``Nodes``."""
        if self.log is not None:
            self._notes.accepted(submission, execution)

    async def promise(self, execution: Execution) -> None:
        """See ``Nodes``."""
        if execution.is_elsewhere:
            await self._forwarding.promised(execution)
        if not execution.is_elsewhere:
            await self.noted(execution)

    async def noted(self, execution: Execution) -> None:
        """Until it is noted that an execution is under way here."""
        if self.log is not None:
            await self._notes.note(execution)

    def forward(self, command: Command, owner: str, name: str | None, *, was_queued: bool = False) -> None:
        """See ``Nodes``."""
        self._forwarding.forward(command, owner, name, was_queued=was_queued)

    def is_awaited(self, owner: str, name: str) -> bool:
        """See ``Nodes``."""
        return self._forwarding.is_on_its_way(owner, name)

    async def fresh(self, owner: str, name: str | None = None) -> None:
        """See ``Nodes``."""
        if self.log is None:
            return
        if name is not None and self.membership.is_valid and self.ownership.is_used(owner, name):
            return
        try:
            await self.caught_up(await self.membership.beat())
        except (Refused, Unanswered) as failed:
            raise Unavailable(
                f"etcd does not answer, so that this node cannot know what others have recorded ({failed}): "
                "try again"
            ) from failed

    async def session(self, owner: str, name: str) -> SessionInfo | None:
        """See ``Nodes``."""
        node = self.ownership.node_of(owner, name)
        if node is None or node == self.settings.node:
            return None
        return await self._asking.session(node, owner, name)

    def node_of(self, owner: str, name: str) -> str | None:
        """See ``Nodes``."""
        return self.ownership.node_of(owner, name)

    async def under_way(self, owner: str, name: str | None) -> list[Execution]:
        """See ``Nodes``."""
        return await self._asking.under_way(owner, name)

    async def execution(self, owner: str, execution_id: str) -> Execution | None:
        """See ``Nodes``."""
        answer = await self._asking.execution(owner, execution_id)
        if isinstance(answer, Execution):
            return answer
        await self.fresh(owner)  # it may have been noted, or have ended, just then
        found = self._losses.find(owner, execution_id) or await self.engine.executions.recorded(execution_id)
        if found is None and answer:
            raise Unavailable(
                f"there may be an execution {execution_id}: {' and '.join(answer)} did not say; try again"
            )
        return found

    async def _recorded(self, owner: str, execution_id: str) -> Execution | None:
        await self.fresh(owner)
        return await self.engine.executions.recorded(execution_id)

    # --- cluster.forwarding.Whereabouts and Engine ----------------------------------------------

    @property
    def others(self) -> list[str]:
        """The other nodes that are members."""
        return [node for node in self.view.members if node != self.settings.node]

    async def whereto(self, owner: str, name: str | None, key: str | None) -> str | None:
        """The node that has a session, or shall have it, or run what is for none; None: this one."""
        node = None
        if name is not None:
            node = await self._node_of(owner, name)
        if node is None:
            self.membership.check()
            node = self._place(owner, key if name is None else None)
        if node is None or node == self.settings.node:
            return None
        self._reach.check(node)
        return node

    async def _node_of(self, owner: str, name: str) -> str | None:
        """The node that has a session; one that was just given up is about to be had by another."""
        until = self.view.freed_at(self.keys.own(owner, name), self.settings.node) + PASSING_SECONDS
        while (node := self.ownership.node_of(owner, name)) is None and trio.current_time() < until:
            with trio.move_on_at(until):
                await self.view.changed.wait()
        return node

    async def until_moved(self, owner: str, name: str | None, node: str | None) -> None:
        """Until another node than that (None: this one) is seen to have a session, or for a moment."""
        node = node or self.settings.node
        with trio.move_on_after(PAUSE_SECONDS):
            while name is None or self.ownership.node_of(owner, name) in (None, node):
                await self.view.changed.wait()

    @property
    def takers(self) -> Mapping[str, Member]:
        """All, but for this one once it is drained: what it says of that comes back to it a moment later."""
        if self.membership.state == "serving":
            return self.view.members
        return {node: member for node, member in self.view.members.items() if node != self.settings.node}

    def _place(self, owner: str, key: str | None) -> str | None:
        members = self.takers
        if key is not None:  # all nodes send it to the same one, which knows whether it was asked before
            return routing.rendezvous(members, f"{owner}\0{key}")
        return self._least_busy()

    def _least_busy(self) -> str | None:
        sent, members = self._forwarding.sent, self.takers
        reached = {node: member for node, member in members.items() if self._reach.reaches(node)}
        taken = self.engine.executions.taken - sent.total()
        return routing.least_busy(reached or members, self.settings.node, taken, sent)

    async def take(self, owner: str, name: str | None, command: Command) -> None:
        """See ``cluster.forwarding.Engine``."""
        if isinstance(command, Execute):
            await self.engine.executions.take(command)
            self.accepted(command.submission, command.execution)
        else:
            assert name is not None  # as of all that is asked of a session
            await self.engine.peers.take(owner, name, command)

    def came_back(self, execution: Execution) -> None:
        """See ``cluster.forwarding.Engine``."""
        if self.log is not None:
            self._notes.came_back(execution)

    # --- what the leader does -------------------------------------------------------------------

    async def _bury(self, running: Running) -> None:
        """Let the session's node record that an execution was lost."""
        owner, name = running.submission.owner, running.session
        try:
            command = await self.engine.peers.post(owner, name, partial(burial, running))
        except Elsewhere:
            command = burial(running, lambda _: None)
            self.forward(command, owner, name)
        await command.result()
