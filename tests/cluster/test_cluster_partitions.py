"""Nodes and members of etcd that are cut off from the others, and nodes from clients alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import networks
import pytest
import trio
from clusters import Node
from etcd_server import EtcdServer, wanted
from mishaps import Faults, loaded
from networks import Place
from s3_server import S3, SeaweedFS
from test_cluster_faults import in_etcd_alone

NODES = 3


class Partitions:
    """Machines of a cluster, which are cut off and join again: of each node, and of each member of etcd."""

    def __init__(self, faults: Faults, nodes: list[Place], members: list[Place], s3: str) -> None:
        """``s3``: where it is, to the nodes."""
        self.faults, self.nodes, self._members, self.s3 = faults, nodes, members, s3

    async def cut_node(self) -> None:
        """Any, with whatever else is on its machine."""
        await self._cut(self.faults.chance.choice(self.nodes), self.faults.away)

    async def cut_leader(self) -> None:
        """The machine of the member that leads, which believes that for a while."""
        etcd = self.faults.etcd
        leader = etcd.members.index(await trio.to_thread.run_sync(etcd.leader))
        await self._cut(self._members[leader], self.faults.away)

    async def cut_shortly(self) -> None:
        """A node may lose its lease just when it is back."""
        await self._cut(
            self.faults.chance.choice(self.nodes), (0.1 + self.faults.chance.random()) * self.faults.ttl
        )

    async def part_node(self) -> None:
        """One from the other nodes alone, for a moment or for so long that it steps aside."""
        place, *others = self.faults.chance.sample(self.nodes, len(self.nodes))
        await self._part(place, others, self.faults.chance.choice((1, 4)) * self.faults.away)

    async def part_two(self) -> None:
        """From each other: the third is reached by both."""
        place, other, *_ = self.faults.chance.sample(self.nodes, len(self.nodes))
        await self._part(place, [other], 4 * self.faults.away)

    async def part_all(self) -> None:
        """From each other: one of them goes on."""
        first, second, third = self.nodes
        await first.part([second])
        await self._part(third, [first, second], 4 * self.faults.away)
        await first.meet([second])
        await self.faults.load.acknowledged(20)

    async def hide_node(self) -> None:
        """One from clients and their balancer alone: the other nodes reach it."""
        place = self.faults.chance.choice(self.nodes)
        await place.hide()
        await trio.sleep(self.faults.away)
        await self.faults.load.acknowledged(20)
        await place.show()
        await self.faults.load.acknowledged(20)

    async def _part(self, place: Place, others: Sequence[Place], seconds: float) -> None:
        await place.part(others)
        await trio.sleep(seconds)
        await self.faults.load.acknowledged(20)
        await place.meet(others)
        await self.faults.load.acknowledged(20)

    async def _cut(self, place: Place, seconds: float) -> None:
        await place.cut_off()
        await trio.sleep(seconds)
        await self.faults.load.acknowledged(20)
        await place.join()
        await self.faults.load.acknowledged(20)


@asynccontextmanager
async def apart(folder: Path, seaweedfs: S3, *, shared: bool, **how: Any) -> AsyncIterator[Partitions]:
    """A cluster under load whose nodes have a machine each, and the members of etcd too, or the same ones."""
    wanted()
    if (reason := networks.why_not()) is not None:
        pytest.skip(reason)
    with networks.places(NODES if shared else 2 * NODES) as (here, places):
        nodes, members = places[:NODES], places[-NODES:]
        (folder / "etcd").mkdir()
        hosts, words = [place.inner for place in members], [place.words for place in members]
        etcd = EtcdServer(folder / "etcd", members=NODES, hosts=hosts, before=words)
        try:
            async with trio.open_nursery() as nursery:
                s3 = await nursery.start(relay, seaweedfs, here)
                async with loaded(folder, etcd, s3, places=nodes, **how) as faults:
                    yield Partitions(faults, nodes, members, here)
                nursery.cancel_scope.cancel()
        finally:
            etcd.close()


async def relay(s3: S3, host: str, *, task_status: trio.TaskStatus[S3] = trio.TASK_STATUS_IGNORED) -> None:
    """Serve at an address what listens on the loopback interface alone."""
    to = urlsplit(s3.endpoint)

    async def connect(client: trio.SocketStream) -> None:
        assert to.hostname is not None
        assert to.port is not None
        server = await trio.open_tcp_stream(to.hostname, to.port)
        async with server, trio.open_nursery() as nursery:
            nursery.start_soon(pass_on, client, server)
            await pass_on(server, client)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, connect, 0, host=host))
        task_status.started(S3(f"http://{host}:{listener.socket.getsockname()[1]}"))


async def pass_on(from_: trio.SocketStream, to: trio.SocketStream) -> None:
    """Until either side ends."""
    try:
        async for data in from_:
            await to.send_all(data)
        await to.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return


Cut = Callable[[Partitions], Awaitable[None]]


@pytest.mark.torture
@pytest.mark.parametrize("fences", [True, False])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    "cut",
    [
        Partitions.cut_node,
        Partitions.cut_leader,
        Partitions.cut_shortly,
        Partitions.part_node,
        Partitions.part_two,
        Partitions.part_all,
        Partitions.hide_node,
    ],
)
async def test_nothing_is_lost_or_done_twice_on_either_side(
    tmp_path: Path, seaweedfs: SeaweedFS, cut: Cut, shared: bool, fences: bool
) -> None:
    """Also where a node that is cut off does not stop by its own clock: safety rests on etcd alone."""
    async with apart(tmp_path, seaweedfs, shared=shared, fences=fences) as partitions:
        for _ in range(3):
            await cut(partitions)


async def run_at(node: Node, session: str) -> httpx2.Response:
    """Something short, in a session."""
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        return await http.post(f"{node.url}/api/exec", json={"session": session, "code": "1"})


async def own(nodes: Sequence[Node]) -> None:
    """Let each have the session that is named as it is."""
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        for node in nodes:
            await run_at(node, node.name)
            moved = await http.post(
                f"{node.url}/api/cluster/move", json={"session": node.name, "node": node.name}
            )
            assert moved.status_code == 200, moved.text


@pytest.mark.torture
async def test_a_node_that_reaches_no_other_one_steps_aside_until_it_does(
    tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    async with apart(tmp_path, seaweedfs, shared=False) as partitions:
        first, second, third = partitions.faults.cluster.nodes
        place, *others = partitions.nodes
        await own([first, second])
        await place.part(others)
        refused = await run_at(first, second.name)
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert refused.headers["retry-after"]
        with trio.fail_after(30):
            for node in (second, third):  # the session of the first is theirs before long
                while (await run_at(node, first.name)).status_code != 200:
                    pass
        assert not await is_ready(first)
        assert (await run_at(first, first.name)).status_code == 503
        await place.meet(others)
        await partitions.faults.cluster.until_ready(first)
        for node in (first, second, third):
            for session in (first.name, second.name):
                assert (await run_at(node, session)).status_code == 200


@pytest.mark.torture
async def test_a_session_goes_on_though_no_client_reaches_its_node(
    tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    async with apart(tmp_path, seaweedfs, shared=False) as partitions:
        first, *others = partitions.faults.cluster.nodes
        await own([first])
        await partitions.nodes[0].hide()
        await trio.sleep(partitions.faults.away)  # it keeps what it has
        for node in others:
            assert (await run_at(node, first.name)).status_code == 200
        async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
            status = (await http.get(f"{others[0].url}/api/cluster")).json()
        assert {node["node"]: node["state"] for node in status["nodes"]}[first.name] == "serving"
        await partitions.nodes[0].show()
        await partitions.faults.cluster.until_ready(first)
        assert (await run_at(first, first.name)).status_code == 200


@pytest.mark.torture
async def test_a_leader_that_alone_does_not_reach_s3_lets_another_node_move_the_log(
    tmp_path: Path, seaweedfs: SeaweedFS
) -> None:
    async with apart(tmp_path, seaweedfs, shared=False, ttl=4) as partitions:
        load, nodes = partitions.faults.load, partitions.faults.cluster.nodes
        first = await leader_as_seen_by(nodes[0])
        place = partitions.nodes[[node.name for node in nodes].index(first)]
        load.answer_seconds = 30
        await place.lose(partitions.s3)
        with trio.fail_after(180):
            while await leader_as_seen_by(nodes[0]) in (None, first):  # noqa: ASYNC110
                await trio.sleep(0.5)
            kept = await in_etcd_alone(partitions.faults.cluster)
            while await in_etcd_alone(partitions.faults.cluster) >= kept:  # noqa: ASYNC110
                await trio.sleep(0.5)
        assert load.troubles == {}, "clients saw something of it"
        await place.find(partitions.s3)


async def leader_as_seen_by(node: Node) -> str | None:
    async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
        leader: str | None = (await http.get(f"{node.url}/api/cluster")).json()["leader"]
        return leader


async def is_ready(node: Node) -> bool:
    async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
        return (await http.get(f"{node.url}/readyz")).status_code == 200
