"""A node dies while code runs on it: that is told at once, recorded by another node, and costs nothing else."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import trio
from etcd_server import EtcdServer
from real_nodes import RealNode, cluster
from s3_server import SeaweedFS

FOREVER = "console.log('on'); for (;;);"
TTL = 2


@pytest.fixture
def nodes(etcd: EtcdServer, seaweedfs: SeaweedFS, tmp_path: Path) -> Iterator[list[RealNode]]:
    """Two, of which the second is to be killed."""
    with cluster(tmp_path, etcd, seaweedfs, ("a", "b"), flags=("--cluster-ttl", str(TTL))) as made:
        yield made


async def ask(client: httpx2.AsyncClient, node: RealNode, method: str, path: str, **options: Any) -> Any:
    answer = await client.request(method, f"{node.url}{path}", **options)
    assert answer.status_code < 300, answer.text
    return answer.json()


async def test_what_ran_on_a_node_that_is_lost(nodes: list[RealNode]) -> None:
    a, b = nodes
    key = uuid4().hex
    told: list[httpx2.Response] = []
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        with trio.fail_after(100):
            for name in ("known", "waited"):
                fields = {"session": name, "code": "let n = 1"}
                await ask(client, a, "POST", "/api/exec", json=fields)
                await ask(client, a, "POST", "/api/cluster/move", json={"session": name, "node": "b"})

            async def wait() -> None:
                """Somebody waits at the other node, without an id."""
                fields = {"session": "waited", "code": FOREVER}
                told.append(
                    await client.post(f"{a.url}/api/exec", json=fields, headers={"idempotency-key": key})
                )

            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                known = await ask(
                    client,
                    a,
                    "POST",
                    "/api/exec",
                    json={"session": "known", "code": FOREVER},
                    headers={"prefer": "respond-async"},
                )
                running: list[Any] = []
                while len(running) < 2:
                    listed = await ask(client, a, "GET", "/api/executions?status=running")
                    running = listed["executions"]
                    outputs = [
                        (await ask(client, a, "GET", f"/api/executions/{one['execution_id']}"))["output"]
                        for one in running
                    ]
                    if outputs != ["on\n"] * 2:
                        running = []
                await trio.sleep(0.5)  # what runs so long is noted
                b.process.send_signal(signal.SIGKILL)
                killed = trio.current_time()
            # who waited was told at once, long before the lease ended
            assert trio.current_time() - killed < TTL
            assert (told[0].status_code, told[0].json()["code"]) == (503, "node_lost")
            assert told[0].headers["retry-after"]

            # what a client knows by its id is recorded as lost, and the session is as it was before
            found: Any = {"status": "running"}
            while found["status"] == "running":
                answer = await client.get(f"{a.url}/api/executions/{known['execution_id']}")
                found = answer.json() if answer.status_code == 200 else found
            assert (found["status"], found["error_detail"]["name"]) == ("crashed", "NodeLost")
            assert found["error_detail"]["undone"]
            assert found["event"] == 2
            after = await ask(client, a, "POST", "/api/exec", json={"session": "known", "code": "++n"})
            assert (after["result_json"], after["event"]) == (2, 3)

            # the same request again under its key tells what became of it
            again = await ask(
                client,
                a,
                "POST",
                "/api/exec",
                json={"session": "waited", "code": FOREVER},
                headers={"idempotency-key": key},
            )
            assert (again["status"], again["error_detail"]["name"]) == ("crashed", "NodeLost")
            assert (await ask(client, a, "GET", "/api/cluster"))["leader"] == "a"


async def test_a_session_is_answered_for_again_before_long(nodes: list[RealNode]) -> None:
    a, b = nodes
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        with trio.fail_after(60):
            await ask(client, a, "POST", "/api/exec", json={"session": "x", "code": "let n = 1"})
            await ask(client, a, "POST", "/api/cluster/move", json={"session": "x", "node": "b"})
            b.process.send_signal(signal.SIGKILL)
            # no error: who asks waits until the lease has ended
            told = await ask(client, a, "POST", "/api/exec", json={"session": "x", "code": "++n"})
            assert told["result_json"] == 2
