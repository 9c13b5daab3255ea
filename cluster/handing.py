"""Sessions that go from this node to another: in use here until that one is ready for them.

Who asks for one of them just then waits until the other node has it, which takes two transactions of etcd.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import msgspec
import trio
from msgspec import Struct

from cluster import messages, routing
from cluster.messages import MOVE, PREPARE, ToMove, ToPrepare
from cluster.peers import Call
from engine.errors import EngineError, Unavailable

if TYPE_CHECKING:
    from cluster.node import Node

_log = logging.getLogger(__name__)

READY_SECONDS = 10.0
"""For the other node to restore a session that is in use here meanwhile."""
LEAVE_SECONDS = 1.0
"""For what is being done in a session; after that no worker waits for it at the other node any more."""
AT_ONCE = 8
"""Sessions that others restore for this node at a time, as where it is drained."""

_prepare = msgspec.msgpack.Decoder(ToPrepare)


class _Going(Struct):
    """A session on its way."""

    to: str
    over: trio.Event
    is_closed: bool = False
    """Whether nothing more is begun with it here."""


class Handing:
    """Of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._going: dict[tuple[str, str], _Going] = {}
        self._places = trio.Semaphore(AT_ONCE)

    def to(self, owner: str, name: str) -> str | None:
        """The node that is to have a session of this one next; None: it is not on its way."""
        going = self._going.get((owner, name))
        return going.to if going is not None and going.is_closed else None

    async def over(self, owner: str, name: str) -> None:
        """Until a session is not on its way any more."""
        if (going := self._going.get((owner, name))) is not None:
            await going.over.wait()

    async def give(self, owner: str, name: str, to: str) -> None:
        """Let a session that this node has go to another, after what is being done in it.

        Raises Unavailable if that is not reached: the session stays. Raises NodeLost, and what taking it
        raises there.
        """
        if (owner, name) in self._going:
            await self.over(owner, name)
            return
        going = self._going[owner, name] = _Going(to, trio.Event())
        try:
            await self._give(owner, name, going)
        finally:
            del self._going[owner, name]
            going.over.set()

    async def _give(self, owner: str, name: str, going: _Going) -> None:
        engine = self._node.engine.handing
        if not await self._node.peers.reach(going.to):
            raise Unavailable(f"session {name} stays where it is: node {going.to} is not reached from there")
        clock = _Clock()
        is_awake = engine.is_awake(owner, name)
        async with AsyncExitStack() as stack:
            if is_awake:
                await engine.keep(owner, name)
                clock.passed("kept")
                async with self._places:
                    await stack.enter_async_context(self._ready(owner, name, going.to))
                clock.passed("ready there")
            going.is_closed = True
            engine.give(owner, name)
            with trio.move_on_after(LEAVE_SECONDS) as leaving:
                await self._left(owner, name)
            if leaving.cancelled_caught:
                await stack.aclose()
                await self._left(owner, name)
            clock.passed("left")
            await self._node.ownership.give_up(owner, name)
            clock.passed("given up")
            await self.ask(going.to, ToMove(owner=owner, session=name, to=going.to))
            clock.passed("taken there")
        _log.info("session %s went to node %s: %s", name, going.to, clock)

    async def _left(self, owner: str, name: str) -> None:
        """Until nothing here uses a session."""
        while self._node.ownership.is_used(owner, name):
            await self._node.ownership.released()

    @asynccontextmanager
    async def _ready(self, owner: str, name: str, to: str) -> AsyncIterator[None]:
        """In the block the other node has a worker in the session's state of a moment ago, if it can."""
        asked = ToPrepare(owner=owner, session=name, revision=self._node.here.revision)
        async with AsyncExitStack() as stack:
            is_ready = False
            try:
                with trio.move_on_after(READY_SECONDS):
                    call = self._node.peers.call(to, PREPARE, messages.encode(asked))
                    is_ready = await (await stack.enter_async_context(call)).receive() is not None
            except EngineError as failed:  # it restores the session when it has it
                _log.info("session %s is not made ready at node %s: %s", name, to, failed.message)
            if not is_ready:
                await stack.aclose()
            yield

    async def ask(self, node: str, asked: ToMove) -> None:
        """Let the node that has a session, or shall have it, do its part. Raises what that raises."""
        if node == self._node.settings.node:
            await self.do(asked)
            return
        async with self._node.peers.call(node, MOVE, messages.encode(asked)) as exchange:
            await exchange.receive()

    async def do(self, asked: ToMove) -> None:
        """Do this node's part: give a session away, or take it. Raises Elsewhere, and what ``ask`` does."""
        if asked.to == self._node.settings.node:
            await self._node.engine.handing.take(asked.owner, asked.session)
        else:
            await self.give(asked.owner, asked.session, asked.to)

    async def send_away(self, owner: str, name: str) -> None:
        """Let a session of this node, which is drained, go to any other."""
        engine = self._node.engine.handing
        to = routing.rendezvous(self._node.takers, f"{owner}\0{name}")
        if to is not None and engine.is_awake(owner, name):
            try:
                await self.give(owner, name, to)
            except EngineError as failed:  # whoever is asked for it next takes it
                _log.info("session %s was not taken by node %s: %s", name, to, failed.message)
        engine.give(owner, name)

    async def serve_prepare(self, call: Call) -> None:
        """Another node is about to hand a session over, as long as the call lasts."""
        asked = _prepare.decode(call.request)
        await self._node.caught_up(asked.revision)
        async with self._node.engine.handing.ready(asked.owner, asked.session):
            await call.send(b"")
            await call.receive()


class _Clock:
    """Where the time goes."""

    def __init__(self) -> None:
        self._at = trio.current_time()
        self._took: list[str] = []

    def passed(self, stage: str) -> None:
        """A stage is over."""
        before, self._at = self._at, trio.current_time()
        self._took.append(f"{stage} {1_000 * (self._at - before):.1f} ms")

    def __str__(self) -> str:
        return ", ".join(self._took)
