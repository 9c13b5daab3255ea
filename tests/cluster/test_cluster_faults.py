"""A cluster whose nodes and members of etcd die, hang and come back: what clients see is one log, in order.

In the usual run a few faults, at moments of a seed that is printed; with ``torture`` all, often.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from etcd_server import EtcdServer
from faults import Faults, loaded
from s3_server import SeaweedFS


async def test_restarts_are_no_errors_to_clients_and_nodes_that_die_and_hang_lose_nothing(
    tmp_path: Path, etcd: EtcdServer, seaweedfs: SeaweedFS
) -> None:
    async with loaded(tmp_path, etcd, seaweedfs) as faults:
        await faults.restart_nodes()
        assert faults.load.troubles == {}
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
@pytest.mark.parametrize("turn", range(4))
async def test_nothing_is_lost_whatever_happens_one_after_the_other(
    tmp_path: Path, etcd_three: EtcdServer, seaweedfs: SeaweedFS, turn: int
) -> None:
    async with loaded(tmp_path, etcd_three, seaweedfs) as faults:
        for _ in range(10 + turn):
            await faults.chance.choice(ALL)(faults)
