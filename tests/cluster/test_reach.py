"""A node that reaches no other one lets them have its sessions, and takes its part again once it does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import pytest
import trio
from etcd_server import EtcdServer
from joined_nodes import Joined, joined

from cluster import reach
from cluster.reach import Reach
from engine.errors import Unavailable
from persistence.etcd.failures import Unanswered

PATIENCE = 0.1


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "EVERY_SECONDS", 0.02)
    monkeypatch.setattr(reach, "MORE_SECONDS", 0.0)


class Peers:
    """Those who are ``cut`` are not reached."""

    def __init__(self, *cut: str) -> None:
        self.cut = set(cut)

    async def reach(self, node: str) -> bool:
        return node not in self.cut


class Reaching:
    """What reaches others, of a node, and whether it has begun to give its sessions away."""

    def __init__(self, node: Joined, peers: Peers) -> None:
        self.node, self.given = node, False
        self.reach = Reach(cast(Any, peers), node.membership, node.view, PATIENCE, self._hand_over)

    def _hand_over(self) -> None:
        self.given = True

    async def until(self, state: str) -> None:
        """Until all nodes see it in that."""
        node = self.node.membership.member.node
        while self.node.view.members[node].state != state:
            await self.node.view.changed.wait()


@asynccontextmanager
async def nodes(etcd: EtcdServer, prefix: bytes, count: int) -> AsyncIterator[list[Joined]]:
    """So many, which know each other."""
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(joined(name, etcd, prefix)) for name in "abc"[:count]]
        for node in found:
            while len(node.view.members) < count:
                await node.view.changed.wait()
        yield found


async def test_it_steps_aside_while_others_serve_and_comes_back(etcd: EtcdServer, prefix: bytes) -> None:
    async with nodes(etcd, prefix, 2) as (a, _), trio.open_nursery() as nursery:
        peers = Peers("b")
        one = Reaching(a, peers)
        one.reach.check("b")
        nursery.start_soon(one.reach.run)
        while not one.given:
            await a.view.changed.wait()
        assert a.view.members["a"].state == "draining"
        with pytest.raises(Unavailable, match="does not reach node b"):
            one.reach.check("b")
        assert (one.given, one.reach.is_aside) == (True, True)
        peers.cut.clear()
        await one.until("serving")
        one.reach.check("b")
        assert (one.given, one.reach.is_aside) == (True, False)
        nursery.cancel_scope.cancel()


async def test_it_steps_aside_also_where_etcd_does_not_take_that_at_once(
    etcd: EtcdServer, prefix: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with nodes(etcd, prefix, 2) as (a, _), trio.open_nursery() as nursery:
        one, beat = Reaching(a, Peers("b")), a.membership.beat
        refused: list[None] = []

        async def beats() -> int:
            if a.membership.state == "draining" and not refused:
                refused.append(None)
                raise Unanswered("on purpose")
            return await beat()

        monkeypatch.setattr(a.membership, "beat", beats)
        nursery.start_soon(one.reach.run)
        while not one.given:
            await a.view.changed.wait()
        assert (len(refused), one.given, a.view.members["a"].state) == (1, True, "draining")
        nursery.cancel_scope.cancel()


async def test_what_its_operator_drains_just_then_stays_so(
    etcd: EtcdServer, prefix: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with nodes(etcd, prefix, 2) as (a, b), trio.open_nursery() as nursery:
        one, beat = Reaching(a, Peers("b")), a.membership.beat
        is_drained = trio.Event()

        async def beats() -> int:
            if one.reach.is_aside:
                one.reach.is_aside, b.membership.state = False, "draining"
                await b.membership.beat()
                is_drained.set()
            return await beat()

        monkeypatch.setattr(a.membership, "beat", beats)
        nursery.start_soon(one.reach.run)
        await is_drained.wait()
        for _ in range(3):  # of heartbeats, in which nothing changes
            await a.view.reached(await beat())
        assert a.view.members["a"].state == "draining"
        nursery.cancel_scope.cancel()


async def test_who_reaches_some_stays_and_says_whom_it_does_not(etcd: EtcdServer, prefix: bytes) -> None:
    async with nodes(etcd, prefix, 3) as (a, *_), trio.open_nursery() as nursery:
        one = Reaching(a, Peers("c"))
        nursery.start_soon(one.reach.run)
        while one.reach.reaches("c"):
            await a.view.changed.wait()
        for _ in range(2):  # of heartbeats, in which nothing changes
            await a.view.reached(await a.membership.beat())
        one.reach.check("b")
        with pytest.raises(Unavailable, match="does not reach node c"):
            one.reach.check("c")
        assert (one.given, a.membership.state) == (False, "serving")
        nursery.cancel_scope.cancel()


async def test_of_nodes_of_which_none_reaches_another_one_goes_on(etcd: EtcdServer, prefix: bytes) -> None:
    async with nodes(etcd, prefix, 3) as found, trio.open_nursery() as nursery:
        peers = Peers(*"abc")
        made = [Reaching(node, peers) for node in found]
        for one in made:
            nursery.start_soon(one.reach.run)
        while sum(one.given for one in made) < 2:
            await made[0].node.view.changed.wait()
        for _ in range(3):  # of heartbeats, in which nothing changes
            await made[0].node.view.reached(await made[0].node.membership.beat())
        states = sorted(member.state for member in made[0].node.view.members.values())
        assert states == ["draining", "draining", "serving"]
        assert sorted(one.given for one in made) == [False, True, True]
        nursery.cancel_scope.cancel()


async def test_it_takes_its_part_again_when_no_other_node_serves(
    etcd: EtcdServer, prefix: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "SETTLE_SECONDS", 0.1)
    async with nodes(etcd, prefix, 2) as (a, b), trio.open_nursery() as nursery:
        one = Reaching(a, Peers("b"))
        nursery.start_soon(one.reach.run)
        while not one.given:
            await a.view.changed.wait()
        b.membership.state = "draining"
        await one.until("serving")
        assert one.reach.is_alone
        nursery.cancel_scope.cancel()


async def test_what_its_operator_drains_stays_so_when_others_are_reached_again(
    etcd: EtcdServer, prefix: bytes
) -> None:
    async with nodes(etcd, prefix, 2) as (a, _), trio.open_nursery() as nursery:
        peers = Peers("b")
        one = Reaching(a, peers)
        nursery.start_soon(one.reach.run)
        await one.until("draining")
        one.reach.is_aside = False
        peers.cut.clear()
        while one.reach.is_alone:
            await a.view.changed.wait()
        await a.view.reached(await a.membership.beat())
        assert a.view.members["a"].state == "draining"
        nursery.cancel_scope.cancel()


async def test_a_node_that_is_lost_is_no_reason_to_step_aside(etcd: EtcdServer, prefix: bytes) -> None:
    """It is a member until its lease has ended, and is not reached."""
    async with nodes(etcd, prefix, 2) as (a, b), trio.open_nursery() as nursery:
        one = Reaching(a, Peers("b"))
        one.reach._patience = 3_600
        nursery.start_soon(one.reach.run)
        while not one.reach._unreached:
            await a.view.changed.wait()
        await b.membership.leave()
        while len(a.view.members) > 1:
            await a.view.changed.wait()
        while one.reach._unreached:
            await a.view.reached(await a.membership.beat())
        assert (one.given, a.membership.state) == (False, "serving")
        nursery.cancel_scope.cancel()
