"""A node's place in the cluster, and the sessions it has, in a real etcd."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
import trio.testing
from etcd_server import EtcdServer

from cluster.charter import ClusterRefused, agree, raised
from cluster.keys import Keys
from cluster.membership import BEATS, DuplicateNode, Membership
from cluster.ownership import Ownership
from cluster.records import Load, Member, Owned
from cluster.settings import ClusterSettings
from cluster.view import View
from engine.errors import Elsewhere, Unavailable
from persistence.etcd.client import Etcd
from persistence.etcd.requests import put

TTL = 2
SECRET = b"a secret of some length"


class Joined:
    """A node without an engine."""

    def __init__(self, etcd: Etcd, keys: Keys, settings: ClusterSettings) -> None:
        self.keys = keys
        self.etcd = etcd
        self.view = View(keys)
        self.lost: list[tuple[str, str]] = []
        self.membership = Membership(
            etcd, keys, settings, "test", Load, lambda: self.ownership.lose_all(), lambda: self.view.revision
        )
        self.caught_up = trio.Event()
        self.caught_up.set()
        self.ownership = Ownership(
            etcd,
            keys,
            self.membership,
            self.view,
            self._until_caught_up,
            lambda *session: self.lost.append(session),
        )

    async def _until_caught_up(self, revision: int) -> None:  # noqa: ARG002
        await self.caught_up.wait()

    async def member(self) -> Member | None:
        _, items = await self.etcd.all(self.keys.node(self.membership.member.node))
        return msgspec.json.decode(items[0].value, type=Member) if items else None


Join = Callable[..., Awaitable[Joined]]


@pytest.fixture
async def join(etcd: EtcdServer, prefix: bytes) -> AsyncIterator[Join]:
    """Makes nodes of one cluster that have joined."""
    keys = Keys(prefix.decode().strip("/").replace("/", "-"))
    async with Etcd(etcd.urls) as client:

        async def join_(node: str, **others: Any) -> Joined:
            given = {"node": node, "addr": f"{node}:1", "ttl": TTL, "etcd": etcd.urls, "secret": SECRET}
            settings = ClusterSettings(name="", **(given | others))
            joined = Joined(client, keys, settings)
            await joined.membership.join()
            return joined

        with trio.fail_after(30):
            yield join_


@asynccontextmanager
async def kept(*nodes: Joined) -> AsyncIterator[trio.Nursery]:
    """They stay members in the block."""
    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(node.membership.keep)
        yield nursery
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what comes about outside."""
    while True:
        if condition():
            return
        await trio.sleep(0.02)


async def test_a_node_that_joined_is_told_of_and_gone_when_it_leaves(join: Join) -> None:
    a = await join("a")
    assert a.membership.is_valid
    told = await a.member()
    assert told is not None
    assert (told.node, told.addr, told.state) == ("a", "a:1", "serving")
    await a.membership.leave()
    assert not a.membership.is_valid
    assert await a.member() is None


async def test_a_node_that_left_does_not_join_again_by_itself(join: Join) -> None:
    a = await join("a")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.membership.keep)
        await trio.testing.wait_all_tasks_blocked()
        await a.membership.leave()  # and ``keep`` ends
    assert await a.member() is None


async def test_a_heartbeat_says_how_the_node_is_at_a_later_revision_each_time(join: Join) -> None:
    a = await join("a")
    first = await a.membership.beat()
    a.membership.state = "draining"
    assert await a.membership.beat() > first
    told = await a.member()
    assert told is not None
    assert told.state == "draining"


async def test_a_second_node_of_one_id_is_refused_and_the_first_goes_on(join: Join) -> None:
    a = await join("a")
    async with kept(a):
        with pytest.raises(DuplicateNode, match=r"a node a in the cluster.*at a:1.*another --node-id"):
            await join("a")
        assert a.membership.is_valid
    assert (await a.membership.beat()) > 0


async def test_a_node_that_was_lost_is_waited_for_by_the_next_of_its_id(join: Join) -> None:
    await join("a")  # and is never heard of again
    again = await join("a")
    assert again.membership.is_valid


async def test_a_node_whose_lease_ended_loses_its_sessions_and_joins_again(join: Join) -> None:
    a = await join("a")
    await a.ownership.claim("local", "x")
    fence = a.membership.fence
    await a.etcd.revoke(a.membership.lease)
    async with kept(a):
        await until(lambda: a.membership.fence not in (fence, None))
    assert a.lost == [("local", "x")]
    assert a.ownership.of("local", "x") is None
    assert a.membership.is_valid


async def test_a_node_stops_by_its_own_clock_before_its_lease_can_end(join: Join) -> None:
    a, b = await join("a"), await join("b", fences_itself=False)
    await a.ownership.claim("local", "x")
    assert 0 < a.membership.lease_seconds <= 0.8 * TTL
    await until(lambda: not a.membership.is_valid)
    with pytest.raises(Unavailable, match="cannot reach the etcd"):
        await a.ownership.claim("local", "x")
    assert a.lost == []  # it may have it still
    assert b.membership.is_valid


async def test_a_node_stays_valid_though_etcd_answers_later_than_it_is_asked_again(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = await join("a")
    keep_alive = a.etcd.keep_alive

    async def slow(lease: int) -> int:
        await trio.sleep(1.5 * TTL / BEATS)
        return await keep_alive(lease)

    monkeypatch.setattr(a.etcd, "keep_alive", slow)
    async with kept(a):
        longer = trio.current_time() + a.membership.lease_seconds + 0.5
        await until(lambda: not a.membership.is_valid or trio.current_time() > longer)
        assert a.membership.is_valid


async def test_a_node_that_does_not_see_what_happens_does_not_serve(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.membership.BEHIND_SECONDS", 0.3)
    a = await join("a")
    async with kept(a):
        a.view.reset([], 1 << 60)
        await until(lambda: a.membership.lease_seconds > 0)
        assert a.membership.is_valid
        a.view.reset([], 0)
        await until(lambda: not a.membership.is_valid)
        assert a.membership.lease_seconds > 0
        a.view.reset([], 1 << 60)
        await until(lambda: a.membership.is_valid)


async def test_a_session_belongs_to_the_node_that_claimed_it_until_it_gives_it_up(join: Join) -> None:
    a, b = await join("a"), await join("b")
    token = await a.ownership.claim("local", "x")
    assert await a.ownership.claim("local", "x") == token
    fence = a.ownership.of("local", "x")
    assert fence is not None
    assert fence.revision == token
    with pytest.raises(Elsewhere, match="node a"):
        await b.ownership.claim("local", "x")
    a.ownership.release("local", "x", token)
    await a.ownership.give_up("local", "x")  # it is used still
    with pytest.raises(Elsewhere):
        await b.ownership.claim("local", "x")
    a.ownership.release("local", "x", token)
    await a.ownership.give_up("local", "x")
    assert await b.ownership.claim("local", "x") > token
    assert a.ownership.of("local", "x") is None


async def test_a_release_that_comes_after_the_lease_has_ended_leaves_the_next_claim_as_it_is(
    join: Join,
) -> None:
    a, b = await join("a"), await join("b")
    before = await a.ownership.claim("local", "x")
    await a.etcd.revoke(a.membership.lease)
    async with kept(a):
        await until(lambda: a.lost != [] and a.membership.is_valid)
        token = await a.ownership.claim("local", "x")
        a.ownership.release("local", "x", before)
        assert a.ownership.is_used("local", "x")
        await a.ownership.give_up("local", "x")  # it is used still
        with pytest.raises(Elsewhere):
            await b.ownership.claim("local", "x")
    assert token > before


async def test_a_session_that_was_claimed_without_an_answer_can_be_given_up(join: Join) -> None:
    a, b = await join("a"), await join("b")
    member = a.membership.member
    mine = Owned(node="a", incarnation=member.incarnation, owner="local", name="x")
    key = a.keys.own("local", "x")
    await a.etcd.transact([], [put(key, msgspec.json.encode(mine), lease=a.membership.lease)])
    found = await a.etcd.get(key)
    a.view.reset(found.items, found.revision)
    with pytest.raises(Elsewhere, match="node a"):
        await b.ownership.claim("local", "x")
    await a.ownership.give_up("local", "x")
    token = await b.ownership.claim("local", "x")
    await a.ownership.give_up("local", "x")  # and not again, though the view is of before
    fence = b.ownership.of("local", "x")
    assert fence is not None
    assert (fence.revision, (await a.etcd.get(key)).items[0].create_revision) == (token, token)


async def test_sessions_of_a_node_that_leaves_are_free_at_once(join: Join) -> None:
    a, b = await join("a"), await join("b")
    await a.ownership.claim("local", "x")
    await a.membership.leave()
    await b.ownership.claim("local", "x")


async def test_what_nothing_uses_any_more_is_given_up_at_once_by_a_node_that_is_drained(join: Join) -> None:
    a = await join("a")
    tokens = {name: await a.ownership.claim("local", name) for name in map(str, range(70))}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.ownership.sweep)
        a.membership.state = "draining"
        for name, token in tokens.items():
            a.ownership.release("local", name, token)
        await a.ownership.empty()
        nursery.cancel_scope.cancel()
    _, items = await a.etcd.all(a.keys.owned)
    assert items == []


async def test_many_who_want_a_session_at_once_claim_it_once(join: Join) -> None:
    a = await join("a")
    tokens = []

    async def claim() -> None:
        tokens.append(await a.ownership.claim("local", "x"))

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(claim)
    assert len(tokens) == 20
    assert len(set(tokens)) == 1


async def test_nobody_uses_a_session_before_it_is_known_what_others_wrote_of_it(join: Join) -> None:
    a = await join("a")
    a.caught_up = trio.Event()
    claimed = []

    async def claim() -> None:
        claimed.append(await a.ownership.claim("local", "x"))

    with trio.move_on_after(0.2):  # the first one is gone before that is known
        await claim()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(claim)
        nursery.start_soon(claim)
        await trio.testing.wait_all_tasks_blocked(0.2)
        assert claimed == []
        assert a.ownership.of("local", "x") is None
        a.caught_up.set()
    assert len(set(claimed)) == 1
    fence = a.ownership.of("local", "x")
    assert fence is not None
    assert fence.revision == claimed[0]


async def test_a_claim_that_was_cancelled_anywhere_is_found_again(join: Join) -> None:
    a = await join("a")
    step = 0
    cancelled = True
    while cancelled:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_after, step, scope)
                await a.ownership.claim("local", f"x{step}")
                nursery.cancel_scope.cancel()
        cancelled = scope.cancelled_caught
        await a.ownership.claim("local", f"x{step}")
        step += 1
    assert step > 2


async def _cancel_after(steps: int, scope: trio.CancelScope) -> None:
    for _ in range(steps):
        await trio.lowlevel.checkpoint()
    scope.cancel()


async def test_a_node_with_another_secret_or_format_is_refused_and_disturbs_nobody(
    etcd: EtcdServer, prefix: bytes
) -> None:
    keys = Keys(prefix.decode().strip("/").replace("/", "-"))
    given = {"name": "c", "node": "a", "addr": "a:1", "etcd": etcd.urls}
    async with Etcd(etcd.urls) as client:
        good = ClusterSettings(**given, secret=SECRET)
        await agree(client, keys, good)
        with pytest.raises(ClusterRefused, match=r"another secret.*--cluster-secret-file"):
            await agree(client, keys, ClusterSettings(**given, secret=b"another secret of one"))
        await agree(client, keys, good)
        await client.transact([], [put(keys.format, b"7")])
        with pytest.raises(ClusterRefused, match="format 7, and this mcp-v8 knows format 1"):
            await agree(client, keys, good)


async def test_a_newer_node_joins_a_cluster_that_writes_an_older_format(
    etcd: EtcdServer, prefix: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = Keys(prefix.decode().strip("/").replace("/", "-"))
    given = {"name": "c", "node": "a", "addr": "a:1", "etcd": etcd.urls, "secret": SECRET}
    async with Etcd(etcd.urls) as client:
        await agree(client, keys, ClusterSettings(**given))
        monkeypatch.setattr("cluster.charter.FORMAT", 2)
        await agree(client, keys, ClusterSettings(**given))


def test_the_newest_format_that_all_nodes_can_read_is_written_once_there_is_one() -> None:
    def member(newest: int) -> Member:
        return Member(node="", incarnation="", addr="", program="", state="serving", since=0, format=newest)

    assert raised(1, [member(2), member(1)]) is None
    assert raised(1, [member(2), member(3)]) == 2
    assert raised(2, [member(2), member(2)]) is None
    assert raised(1, []) is None
