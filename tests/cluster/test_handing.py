"""Sessions in use go from node to node, and their clients see nothing of it but the new place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import trio
from etcd_server import EtcdServer
from real_nodes import RealNode, cluster
from s3_server import SeaweedFS

from cluster.handing import AT_ONCE

SESSIONS = [f"handed-{n}" for n in range(6)]
COUNT = "globalThis.n = (globalThis.n ?? 0) + 1"


@pytest.fixture(scope="module")
def nodes(
    etcd: EtcdServer, seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[RealNode]]:
    """Three, the last test's first one drained."""
    with cluster(tmp_path_factory.mktemp("cluster"), etcd, seaweedfs, ("a", "b", "c")) as made:
        yield made


async def ask(http: httpx2.AsyncClient, asked: RealNode, path: str, **body: Any) -> Any:
    """The JSON of a good answer."""
    answer = await http.post(f"{asked.url}{path}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def begin(http: httpx2.AsyncClient, node: RealNode, session: str) -> str:
    """The id of an execution that waits for long, in a session of that node."""
    await ask(http, node, "/api/exec", session=session, code="1")
    await ask(http, node, "/api/cluster/move", session=session, node=node.name)
    body = {"session": session, "code": "await new Promise((done) => setTimeout(done, 28_000))"}
    answer = await http.post(f"{node.url}/api/exec", json=body, headers={"prefer": "respond-async"})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["execution_id"])


async def test_a_session_in_use_is_ready_at_the_other_node_before_it_goes_there(
    nodes: list[RealNode],
) -> None:
    results: list[int] = []
    more = trio.Condition()
    stopped = trio.Event()

    async def client(http: httpx2.AsyncClient, node: RealNode) -> None:
        while not stopped.is_set():
            told = await ask(http, node, "/api/exec", session="moved", code=COUNT)
            async with more:
                results.append(told["result_json"])
                more.notify_all()

    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        with trio.fail_after(100):
            await ask(http, nodes[0], "/api/exec", session="moved", code=COUNT)
            async with trio.open_nursery() as nursery:
                for node in nodes:
                    nursery.start_soon(client, http, node)
                for node in (nodes[1], nodes[2], nodes[0], nodes[1]):
                    await ask(http, nodes[0], "/api/cluster/move", session="moved", node=node.name)
                    reached = len(results) + 20
                    async with more:
                        while len(results) < reached:
                            await more.wait()
                stopped.set()
    assert sorted(results) == list(range(2, len(results) + 2))
    logs = "".join(node.log for node in nodes)
    assert logs.count("session moved went to node") >= 4
    assert "ready there" in logs
    assert "is not made ready" not in logs


@pytest.mark.parametrize(("through", "to"), [("a", "b"), ("c", "b"), ("c", "c")])
async def test_what_waits_in_a_session_that_goes_is_done_there_in_the_order_in_which_it_was_accepted(
    nodes: list[RealNode], through: str, to: str
) -> None:
    session = f"queued-{through}-{to}"
    asked = next(node for node in nodes if node.name == through)
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:

        async def begin(code: str) -> None:
            body, headers = {"session": session, "code": code}, {"prefer": "respond-async"}
            answer = await http.post(f"{asked.url}/api/exec", json=body, headers=headers)
            assert answer.status_code == 202, answer.text

        with trio.fail_after(100):
            await ask(http, asked, "/api/exec", session=session, code="const seen = []")
            await ask(http, nodes[0], "/api/cluster/move", session=session, node="a")
            await begin("const end = Date.now() + 2_000; while (Date.now() < end);")
            for number in range(12):
                await begin(f"seen.push({number})")
            await ask(http, nodes[0], "/api/cluster/move", session=session, node=to)
            await begin("seen.push(12)")
            told = await ask(http, asked, "/api/exec", session=session, code="seen")
    assert told["result_json"] == list(range(13))


async def test_what_is_awake_at_a_node_that_is_drained_is_awake_at_the_others_then(
    nodes: list[RealNode],
) -> None:
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        with trio.fail_after(100):
            busy: list[str] = []
            for number, session in enumerate(
                SESSIONS
            ):  # in whichever order they are looked at, some come late
                if number == len(SESSIONS) // 2:
                    busy = [await begin(http, nodes[0], f"busy-{number}") for number in range(AT_ONCE + 1)]
                await ask(http, nodes[0], "/api/exec", session=session, code=COUNT)
                await ask(http, nodes[0], "/api/cluster/move", session=session, node="a")
            told = await ask(http, nodes[1], "/api/cluster/drain", node="a")
            gone = 0
            while gone < len(SESSIONS):  # what runs long in others keeps none of them waiting
                told = (await http.get(f"{nodes[1].url}/api/cluster")).json()
                gone = sum(f"session {session} went to node" in nodes[0].log for session in SESSIONS)
            for execution in busy:
                answer = await http.post(f"{nodes[0].url}/api/executions/{execution}/cancel")
                assert answer.json()["ok"], answer.text
            while next(node for node in told["nodes"] if node["node"] == "a")["sessions"]:
                told = (await http.get(f"{nodes[1].url}/api/cluster")).json()
            awake = 0
            while awake < len(SESSIONS):  # the last one is on its way
                awake = sum([(await http.get(f"{node.url}/readyz")).json()["awake"] for node in nodes[1:]])
            assert (await http.get(f"{nodes[0].url}/readyz")).json()["awake"] == 0
            for session in SESSIONS:
                assert (await ask(http, nodes[0], "/api/exec", session=session, code=COUNT))[
                    "result_json"
                ] == 2
