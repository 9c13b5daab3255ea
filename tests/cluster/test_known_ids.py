"""A client that has the id of an execution is told of it at any node, or that this cannot be said now."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from etcd_server import EtcdServer
from real_nodes import RealNode, cluster
from s3_server import SeaweedFS

FOREVER = "for (;;);"


@pytest.fixture
def nodes(etcd: EtcdServer, seaweedfs: SeaweedFS, tmp_path: Path) -> Iterator[list[RealNode]]:
    """Two, of which the second may be silent for long before it is given up."""
    with cluster(tmp_path, etcd, seaweedfs, ("a", "b"), flags=("--cluster-ttl", "20")) as made:
        yield made


async def run(http: httpx2.AsyncClient, node: RealNode, prefer: str) -> str:
    """The id of what goes on in the session x, which is node b's."""
    body = {"session": "x", "code": FOREVER}
    answer = await http.post(f"{node.url}/api/exec", json=body, headers={"prefer": prefer})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["execution_id"])


async def begin(http: httpx2.AsyncClient, nodes: list[RealNode]) -> None:
    """Let the session x be node b's."""
    await http.post(f"{nodes[1].url}/api/exec", json={"session": "x", "code": "1"})
    moved = await http.post(f"{nodes[0].url}/api/cluster/move", json={"session": "x", "node": "b"})
    assert moved.status_code == 200, moved.text


async def test_while_the_node_that_runs_it_is_silent_it_is_running_and_cannot_be_cancelled(
    nodes: list[RealNode],
) -> None:
    a, b = nodes
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        with trio.fail_after(60):
            await begin(http, nodes)
            running = f"{a.url}/api/executions/{await run(http, b, 'respond-async')}"
            b.process.send_signal(signal.SIGSTOP)
            found = await http.get(running)
            assert (found.status_code, found.json()["status"]) == (200, "running")
            refused = await http.post(f"{running}/cancel")
            assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
            assert refused.headers["retry-after"]
            unknown = await http.get(f"{a.url}/api/executions/e_aaaaaaaaaaaaaaaa")
            assert (unknown.status_code, unknown.json()["code"]) == (503, "unavailable")
            assert "b did not say" in unknown.json()["error"]

            b.process.send_signal(signal.SIGCONT)
            told: Any = {"status": "running"}
            while told["status"] == "running":
                answer = await http.post(f"{running}/cancel")
                assert answer.status_code in (200, 202, 503), answer.text
                told = answer.json() if answer.status_code < 300 else told
            assert told["status"] == "cancelled"
            unknown = await http.get(f"{a.url}/api/executions/e_aaaaaaaaaaaaaaaa")
            assert unknown.status_code == 404
