"""Wall clocks that jump while clients work: times are wrong for a while, and nothing else is."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import clocks
import httpx2
import pytest
import trio
from clocks import Clock
from etcd_server import EtcdServer
from mishaps import HOUR, Faults, loaded
from s3_server import SeaweedFS
from test_cluster_faults import in_etcd_alone


@pytest.fixture(autouse=True)
def _jumping() -> None:
    if (reason := clocks.why_not()) is not None:
        pytest.skip(reason)


async def says(url: str) -> datetime:
    """What time it is to a server of HTTP."""
    async with httpx2.AsyncClient(trust_env=False, timeout=10) as http:
        return parsedate_to_datetime((await http.get(url)).headers["date"])


async def test_a_clock_that_jumps_is_no_error_to_clients(
    tmp_path: Path, etcd: EtcdServer, seaweedfs: SeaweedFS
) -> None:
    async with loaded(tmp_path, etcd, seaweedfs, ttl=4) as faults:
        faults.load.answer_seconds = 30
        node, member = faults.node(), faults.etcd.members[0]
        for pid, url in (
            (node.process.process.pid, f"{node.url}/readyz"),
            (member.pid, f"{member.url}/version"),
        ):
            right, clock = await says(url), Clock(pid)
            for seconds in (HOUR, -HOUR, 0):
                clock.set(seconds)
                await faults.load.acknowledged(20)
                shown = (await says(url) - right).total_seconds()
                assert abs(shown - seconds) < HOUR / 2, "the clock of that process jumps"
        assert faults.load.troubles == {}
        for one in faults.cluster.nodes:
            assert "has ended" not in one.process.log, "no node loses its lease"


@pytest.mark.torture
@pytest.mark.parametrize("fences", [True, False])
async def test_nothing_is_lost_where_clocks_jump_and_nodes_and_members_die(
    tmp_path: Path, etcd_three: EtcdServer, seaweedfs: SeaweedFS, fences: bool
) -> None:
    async with loaded(tmp_path, etcd_three, seaweedfs, fences=fences) as faults:
        for _ in range(6):
            faults.set_clocks()
            await faults.load.acknowledged(20)
            await faults.chance.choice((Faults.kill_node, Faults.kill_leader, Faults.restart_nodes))(faults)


@pytest.mark.torture
async def test_a_leader_for_whose_clock_s3_refuses_it_lets_another_node_move_the_log(
    tmp_path: Path, etcd_three: EtcdServer, seaweedfs: SeaweedFS
) -> None:
    async with loaded(tmp_path, etcd_three, seaweedfs, ttl=4) as faults:
        first, *others = faults.cluster.nodes
        for node in others:
            await node.terminate()
            await node.start()
        await faults.cluster.until_ready()  # the first leads by now
        Clock(first.process.process.pid).set(HOUR)
        with trio.fail_after(120):
            while "does not lead the cluster any more" not in first.process.log:  # noqa: ASYNC110
                await trio.sleep(0.5)
            kept = await in_etcd_alone(faults.cluster)
            while await in_etcd_alone(faults.cluster) >= kept:  # noqa: ASYNC110
                await trio.sleep(0.5)
        assert "could not be moved" in first.process.log
