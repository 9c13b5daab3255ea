"""Calls to the other nodes: one connection to each that is called, made with the first call, and kept."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from cluster.peers.calling import Caller, Exchange
from cluster.peers.client import connected
from cluster.peers.handshake import Passport, Refused, introduce
from cluster.peers.told import ToldOnce
from cluster.peers.wire import Closed
from engine.errors import NodeLost

_log = logging.getLogger(__name__)


class NodeUnreached(NodeLost):
    """There is no connection to the node: nothing was asked of it."""


class _Link:
    """The connection to one node, from when it is wanted until it is over."""

    def __init__(self, node: str, address: str) -> None:
        self.node = node
        self.address = address
        self.caller: Caller | None = None
        """Once the connection is there."""
        self.over = False
        self.settled = trio.Event()
        """Whether it is known whether it is."""
        self.why = "it is not known any more"
        self.life = trio.CancelScope()

    def lose(self, why: str) -> None:
        if self.caller is not None:
            self.caller.lose(why)
        if not self.over:
            self.over, self.why = True, why
            self.settled.set()
        self.life.cancel()


class Peers:
    """The other nodes, to be called while ``running`` is open."""

    def __init__(self, passport: Passport, addresses: Callable[[str], str | None]) -> None:
        """``addresses`` tells where a node is now, as ``HOST:PORT``; None if it is not there."""
        self._passport = passport
        self._addresses = addresses
        self._links: dict[str, _Link] = {}
        self._nursery: trio.Nursery | None = None
        self._troubles = ToldOnce(_log)

    @property
    def calls(self) -> int:
        """Under way, at all nodes."""
        return sum(link.caller.calls for link in self._links.values() if link.caller is not None)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Make calls; on the way out those under way fail, and connections end."""
        async with trio.open_nursery() as self._nursery:
            try:
                yield
            finally:
                self._nursery = None
                for node in list(self._links):
                    self.lost(node, "this node stops")

    @asynccontextmanager
    async def call(self, node: str, method: str, request: bytes) -> AsyncIterator[Exchange]:
        """A call, which is taken back at the end of the block if its answer has not come to its end.

        Raises NodeUnreached, and what ``Exchange.send`` raises.
        """
        caller = await self._caller(node)
        flow = await caller.open(method, request)
        try:
            yield Exchange(flow)
        finally:
            caller.close(flow)

    async def reach(self, node: str) -> bool:
        """Make a connection to a node, if there is none; whether there is one then."""
        try:
            await self._caller(node)
        except NodeUnreached:
            return False
        return True

    def lost(self, node: str, why: str = "it is no member of the cluster any more") -> None:
        """End the connection to a node: every call on it fails at once."""
        link = self._links.pop(node, None)
        if link is not None:
            link.lose(why)

    async def _caller(self, node: str) -> Caller:
        address = self._addresses(node)
        if address is None or self._nursery is None:
            self.lost(node)
            raise NodeUnreached(f"there is no node {node} in the cluster now")
        link = self._links.get(node)
        if link is None or link.over or link.address != address:
            self.lost(node, "it has another address")
            link = self._links[node] = _Link(node, address)
            self._nursery.start_soon(self._keep, link)
        if link.caller is None:
            await link.settled.wait()
        if link.caller is None or link.over:
            raise NodeUnreached(f"node {node} cannot be reached: {link.why}")
        return link.caller

    async def _keep(self, link: _Link) -> None:
        """The connection, from its first byte to its last."""
        why = "this node stops"
        try:
            with link.life:
                why = await self._connect(link)
        finally:
            link.lose(why)
            if self._links.get(link.node) is link:
                del self._links[link.node]

    async def _connect(self, link: _Link) -> str:
        """The connection; why it is over, or was not made."""
        try:
            async with connected(link.address) as wire:
                await introduce(wire, self._passport, link.node)
                self._troubles.well(link.node)
                link.caller = caller = Caller(link.node, wire)
                link.settled.set()
                await caller.run()
                assert caller.end is not None
                link.over = True
                _log.info("the connection to node %s is over: %s", link.node, caller.end[1])
                await wire.close(*caller.end)
                return caller.end[1]
        except (Refused, Closed) as trouble:
            self._troubles.warn(link.node, f"node {link.node} cannot be reached: {trouble}")
            return str(trouble)
