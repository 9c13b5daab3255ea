"""Three real nodes, without a balancer: whatever is asked of any of them is as if there were one server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import trio
from etcd_server import EtcdServer
from real_nodes import RealNode, cluster
from s3_server import SeaweedFS
from server_process import COMMAND, running
from trio_websocket import open_websocket_url

from transports.rest.files import MEDIA

COUNT = "globalThis.n = (globalThis.n ?? 0) + 1"


@pytest.fixture(scope="module")
def nodes(
    etcd: EtcdServer, seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[RealNode]]:
    """Three, for all tests here."""
    with cluster(tmp_path_factory.mktemp("cluster"), etcd, seaweedfs, ("a", "b", "c")) as made:
        yield made


class Client:
    """Asks any node."""

    def __init__(self, http: httpx2.AsyncClient, nodes: list[RealNode]) -> None:
        self.http = http
        self.nodes = nodes
        self.session = f"any-{uuid4().hex[:12]}"

    async def ask(self, node: int, method: str, path: str, **options: Any) -> Any:
        """The JSON of a good answer."""
        answer = await self.http.request(method, f"{self.nodes[node].url}{path}", **options)
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def run(self, node: int, code: str = COUNT, **fields: Any) -> Any:
        """Code in the session."""
        return await self.ask(
            node, "POST", "/api/exec", json={"session": self.session, "code": code, **fields}
        )

    async def begin(self, node: int, code: str) -> str:
        """The id of an execution that goes on."""
        told = await self.ask(
            node,
            "POST",
            "/api/exec",
            json={"session": self.session, "code": code},
            headers={"prefer": "respond-async"},
        )
        return str(told["execution_id"])


@pytest.fixture
async def client(nodes: list[RealNode]) -> AsyncIterator[Client]:
    """With a session that nobody else uses."""
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:
        with trio.fail_after(100):
            yield Client(http, nodes)


async def test_a_session_goes_on_whichever_node_is_asked(client: Client) -> None:
    results = [(await client.run(number % 3))["result_json"] for number in range(9)]
    assert results == list(range(1, 10))


async def test_what_was_done_at_one_node_is_seen_at_once_at_the_others(client: Client) -> None:
    for number in range(6):
        done = await client.run(number % 3)
        for node in range(3):
            info = await client.ask(node, "GET", f"/api/sessions/{client.session}")
            assert (info["event"], info["heap"]) == (done["event"], done["heap"])
            events = await client.ask(node, "GET", f"/api/sessions/{client.session}/events")
            assert [event["event"] for event in events["events"]] == list(range(done["event"] + 1))
            found = await client.ask(node, "GET", f"/api/executions/{done['execution_id']}")
            assert found["result_json"] == number + 1


async def test_an_execution_is_followed_and_cancelled_through_any_node(client: Client) -> None:
    await client.run(0)
    for node in range(3):
        execution = await client.begin(node, "console.log('on'); for (;;);")
        for other in range(3):
            output = ""
            while output != "on\n":
                told = await client.ask(other, "GET", f"/api/executions/{execution}")
                output = told["output"]
            assert told["status"] == "running"
            listed = await client.ask(other, "GET", "/api/executions?status=running")
            assert execution in [one["execution_id"] for one in listed["executions"]]
            running = await client.ask(other, "GET", f"/api/sessions/{client.session}")
            assert running["running"] == 1
        await client.ask((node + 1) % 3, "POST", f"/api/executions/{execution}/cancel")
        status = "running"
        while status == "running":
            status = (await client.ask((node + 2) % 3, "GET", f"/api/executions/{execution}"))["status"]
        assert status == "cancelled"


async def test_sessions_are_changed_through_any_node(client: Client) -> None:
    await client.run(0)
    session = f"/api/sessions/{client.session}"
    for node in range(3):
        state = await client.ask(node, "GET", f"{session}/state")
        assert [one["name"] for one in state["globals"]] == ["n"]
        fork = await client.ask(node, "POST", f"{session}/fork", json={"name": f"{client.session}-{node}"})
        assert fork["forked_from"] == f"{client.session}@1"
        told = await client.ask((node + 1) % 3, "PUT", f"{session}/tags", json={"tags": {"seen": str(node)}})
        assert told["tags"]
    for node in range(3):
        assert (await client.ask(node, "DELETE", f"{session}-{node}"))[
            "session"
        ] == f"{client.session}-{node}"
    for node in range(3):
        answer = await client.http.get(f"{client.nodes[node].url}{session}-0")
        assert answer.status_code == 404


@pytest.mark.parametrize("is_named", [True, False])
async def test_one_idempotency_key_runs_once_whichever_nodes_get_it_at_the_same_time(
    client: Client, is_named: bool
) -> None:
    fields = {"code": COUNT, "session": client.session} if is_named else {"code": COUNT}
    headers, told = {"idempotency-key": uuid4().hex}, []

    async def ask(node: int) -> None:
        told.append(await client.ask(node, "POST", "/api/exec", json=fields, headers=headers))

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(ask, number % 3)
    assert len({(one["execution_id"], one["session"], one["result_json"]) for one in told}) == 1
    for node in client.nodes:
        other = await client.http.post(f"{node.url}/api/exec", json={"code": "2"}, headers=headers)
        assert other.status_code == 422


async def test_a_name_is_given_to_one_session_whichever_nodes_begin_it_at_the_same_time(
    client: Client,
) -> None:
    told = []

    async def ask(node: int) -> None:
        told.append(await client.run(node))

    async with trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(ask, number % 3)
    assert sorted(one["result_json"] for one in told) == list(range(1, 13))
    assert sum(one["created"] for one in told) == 1


async def test_who_follows_a_session_hears_of_it_at_any_node(client: Client) -> None:
    await client.run(0)
    for node in range(3):
        url = f"{client.nodes[node].url}/api/sessions/{client.session}/stream".replace("http", "ws")
        async with open_websocket_url(url) as stream:
            done = await client.run((node + 1) % 3, "console.log('told'); 7")
            heard = ""
            while f'"event":{done["event"]}' not in heard.replace(" ", ""):
                heard += await stream.get_message()
            assert "told" in heard


async def test_a_session_is_moved_to_the_node_that_is_named(client: Client) -> None:
    await client.run(0)
    for number, node in enumerate(client.nodes):
        moved = await client.ask(
            (number + 1) % 3, "POST", "/api/cluster/move", json={"session": client.session, "node": node.name}
        )
        assert moved["node"] == node.name
        assert (await client.run((number + 2) % 3))["result_json"] == number + 2


async def test_a_session_is_imported_at_any_node_though_its_name_was_used_at_another_just_before(
    client: Client, tmp_path: Path
) -> None:
    with running("--directory-path", str(tmp_path)) as other:
        body = {"session": client.session, "code": "let m = 5"}
        await client.http.post(f"{other.url}/api/exec", json=body)
        file = (await client.http.get(f"{other.url}/api/sessions/{client.session}/export")).content
    await client.run(0)
    session = f"/api/sessions/{client.session}"
    body = {"session": client.session, "node": client.nodes[1].name}
    await client.ask(0, "POST", "/api/cluster/move", json=body)
    url = f"{client.nodes[0].url}/api/import"
    refused = await client.http.post(url, content=file, headers={"content-type": MEDIA})
    assert refused.status_code == 409
    assert f"another session {client.session}" in refused.json()["error"]
    await client.ask(1, "DELETE", session)
    answer = await client.http.post(url, content=file, headers={"content-type": MEDIA})
    assert answer.status_code == 201, answer.text
    assert (await client.run(2, "m"))["result_json"] == 5


async def test_any_node_says_which_one_has_a_session(client: Client) -> None:
    await client.run(0)
    for node in client.nodes:
        body = {"session": client.session, "node": node.name}
        await client.ask(0, "POST", "/api/cluster/move", json=body)
        for number, asked in enumerate(client.nodes):
            found: Any = {}
            while found.get("node") != node.name:  # the other nodes see it a moment later
                listed = await client.ask(number, "GET", "/api/sessions")
                (found,) = [one for one in listed["sessions"] if one["session"] == client.session]
            one = await client.ask(number, "GET", f"/api/sessions/{client.session}")
            assert (one["node"], one["awake"]) == (node.name, True)
            command = [COMMAND, "sessions", f"--url={asked.url}"]
            lines = (await trio.run_process(command, capture_stdout=True)).stdout.decode().splitlines()
            (line,) = [line for line in lines if client.session in line]
            assert line.split()[-1] == node.name


async def test_each_node_says_how_the_cluster_is(client: Client) -> None:
    for number in range(3):
        told = await client.ask(number, "GET", "/api/cluster")
        assert told["node"] == client.nodes[number].name
        assert [node["node"] for node in told["nodes"]] == [node.name for node in client.nodes]
        assert {node["state"] for node in told["nodes"]} == {"serving"}
        assert told["leader"] in [node.name for node in client.nodes]
        assert told["etcd"][0]["error"] is None
        text = (await client.http.get(f"{client.nodes[number].url}/metrics")).text
        assert "mcp_v8_cluster_members 3.0" in text


async def test_a_key_that_is_used_again_is_answered_at_once_with_the_id_of_the_first(client: Client) -> None:
    await client.run(0)
    headers = {"idempotency-key": uuid4().hex, "prefer": "respond-async"}
    fields = {"session": client.session, "code": "for (;;);"}
    told = set()
    for number in range(6):  # twice at each
        answer = await client.ask(number % 3, "POST", "/api/exec", json=fields, headers=headers)
        told.add(answer["execution_id"])
    (execution,) = told
    await client.ask(1, "POST", f"/api/executions/{execution}/cancel")
    for node in range(3):
        status = "running"
        while status == "running":
            status = (await client.ask(node, "GET", f"/api/executions/{execution}"))["status"]
        assert status == "cancelled"


async def test_a_session_is_moved_although_much_waits_in_it(client: Client) -> None:
    await client.run(0)
    slow = "globalThis.n++; await new Promise((done) => setTimeout(done, 300)); n"
    for target in (1, 2):
        waiting = [await client.begin(number % 3, slow) for number in range(9)]
        began = trio.current_time()
        await client.ask(
            0,
            "POST",
            "/api/cluster/move",
            json={"session": client.session, "node": client.nodes[target].name},
        )
        assert trio.current_time() - began < 8  # and not after all of them, or never
        for execution in waiting:
            status = "running"
            while status == "running":
                status = (await client.ask(0, "GET", f"/api/executions/{execution}"))["status"]
            assert status == "completed"
    assert (await client.run(0, "n"))["result_json"] == 19
