"""Nodes and members of etcd that are cut off from the others, while clients still reach all nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import networks
import pytest
import trio
from etcd_server import EtcdServer, wanted
from mishaps import Faults, loaded
from networks import Place
from s3_server import S3, SeaweedFS

NODES = 3


class Partitions:
    """Machines of a cluster, which are cut off and join again: of each node, and of each member of etcd."""

    def __init__(self, faults: Faults, nodes: list[Place], members: list[Place]) -> None:
        self.faults, self._nodes, self._members = faults, nodes, members

    async def cut_node(self) -> None:
        """Any, with whatever else is on its machine."""
        await self._cut(self.faults.chance.choice(self._nodes), self.faults.away)

    async def cut_leader(self) -> None:
        """The machine of the member that leads, which believes that for a while."""
        etcd = self.faults.etcd
        leader = etcd.members.index(await trio.to_thread.run_sync(etcd.leader))
        await self._cut(self._members[leader], self.faults.away)

    async def cut_shortly(self) -> None:
        """A node may lose its lease just when it is back."""
        await self._cut(
            self.faults.chance.choice(self._nodes), (0.1 + self.faults.chance.random()) * self.faults.ttl
        )

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
                    yield Partitions(faults, nodes, members)
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
@pytest.mark.parametrize("cut", [Partitions.cut_node, Partitions.cut_leader, Partitions.cut_shortly])
async def test_nothing_is_lost_or_done_twice_on_either_side(
    tmp_path: Path, seaweedfs: SeaweedFS, cut: Cut, shared: bool, fences: bool
) -> None:
    """Also where a node that is cut off does not stop by its own clock: safety rests on etcd alone."""
    async with apart(tmp_path, seaweedfs, shared=shared, fences=fences) as partitions:
        for _ in range(3):
            await cut(partitions)
