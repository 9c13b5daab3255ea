"""Nodes that keep nothing: executions go where there is less to do, and a node costs what runs on it."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from etcd_server import EtcdServer
from real_nodes import RealNode, cluster

LONG = "await new Promise((done) => setTimeout(done, 2000)); 7"
LONGER = LONG.replace("2000", "8000")


@pytest.fixture
def nodes(etcd: EtcdServer, tmp_path: Path) -> Iterator[list[RealNode]]:
    """Two, without a store."""
    with cluster(tmp_path, etcd, None, ("a", "b"), flags=("--cluster-ttl", "2")) as made:
        yield made


async def executed(client: httpx2.AsyncClient, node: RealNode) -> int:
    """Executions that were over on it."""
    text = (await client.get(f"{node.url}/metrics")).text
    found = re.findall(r"^mcp_v8_executions_total\{.*\} ([0-9.]+)$", text, re.MULTILINE)
    return round(sum(map(float, found)))


async def test_executions_are_spread_by_load_and_a_lost_node_costs_what_ran_on_it(
    nodes: list[RealNode],
) -> None:
    a, b = nodes
    told: list[httpx2.Response] = []
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:

        async def run(code: str) -> None:
            told.append(await client.post(f"{a.url}/api/exec", json={"code": code}))

        with trio.fail_after(100):
            async with trio.open_nursery() as nursery:
                for _ in range(16):
                    nursery.start_soon(run, LONG)
            assert {(answer.status_code, answer.json()["result"]) for answer in told} == {(200, "7")}
            counts = [await executed(client, node) for node in nodes]
            assert sum(counts) == 16  # each counted where it ran
            assert min(counts) > 2

            told.clear()
            async with trio.open_nursery() as nursery:
                for _ in range(16):
                    nursery.start_soon(run, LONGER)
                running: list[Any] = []
                is_there = False
                while len(running) < 16 or not is_there:
                    is_there = await there(client, b)
                    # for which a asks b, so that it has been told by then of what that had taken before
                    listed = await client.get(f"{a.url}/api/executions?status=running")
                    running = listed.json()["executions"]
                b.process.send_signal(signal.SIGKILL)
            lost = [answer for answer in told if answer.status_code != 200]
            assert len(lost) in range(1, 14)
            assert {(answer.status_code, answer.json()["code"]) for answer in lost} == {(503, "node_lost")}
            # and what comes then runs at the node that is left
            for _ in range(3):
                answer = await client.post(f"{a.url}/api/exec", json={"code": "6 * 7"})
                assert answer.json()["result"] == "42"


async def there(client: httpx2.AsyncClient, node: RealNode) -> bool:
    """Whether something runs on a node itself."""
    return bool((await client.get(f"{node.url}/readyz")).json()["running"])
