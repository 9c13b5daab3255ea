"""What a cluster is asked over REST, and by ``mcp-v8 cluster``, of which the engine's part is played here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import httpx2
import in_process
import msgspec
import pytest
import trio
from msgspec.structs import replace
from typed import Ended, in_terminal, piped

from cli.commands.cluster import complaints
from cluster.status import ClusterStatus, EtcdMember, NodeStatus
from engine.errors import Conflict, NotFound
from engine.timestamps import now_us
from transports.identity import LOCAL
from transports.rest.direct import DirectApp
from transports.settings import DEFAULTS

GIB = 1 << 30


def node(name: str, **fields: Any) -> NodeStatus:
    usual = NodeStatus(
        node=name,
        addr=f"{name}:8080",
        program="0.1.0",
        state="serving",
        sessions=4,
        running=1,
        queued=0,
        since=now_us() - 200_000_000,
        lease_seconds=4.2,
        lag_seconds=0.3,
    )
    return replace(usual, **fields)


def member(number: int, **fields: Any) -> EtcdMember:
    usual = EtcdMember(
        endpoint=f"http://etcd-{number}:2379",
        version="3.5.16",
        is_leader=number == 1,
        db_bytes=GIB // 4,
        in_use_bytes=GIB // 8,
        quota_bytes=2 * GIB,
        error=None,
    )
    return replace(usual, **fields)


WELL = ClusterStatus(
    name="mcp-v8",
    node="node-1",
    leader="node-2",
    ttl_seconds=5.0,
    format=1,
    nodes=(node("node-1", lag_seconds=None), node("node-2"), node("node-3")),
    etcd=(member(1), member(2), member(3)),
    tail_batches=12,
    tail_bytes=40_960,
    archived=4_211,
)


class Played:
    """A cluster whose nodes lose a session each time that somebody looks at them while they are drained."""

    def __init__(self, told: ClusterStatus = WELL) -> None:
        self.told = told
        self.moved: list[tuple[str, str, str]] = []

    async def status(self) -> ClusterStatus:
        nodes = tuple(
            replace(one, sessions=max(0, one.sessions - 1), running=0) if one.state == "draining" else one
            for one in self.told.nodes
        )
        self.told = replace(self.told, nodes=nodes)
        return self.told

    async def drain(self, node: str) -> None:
        self._known(node)
        if node == "node-3":
            raise Conflict("node-3 is the last one that serves", field="node")
        nodes = tuple(replace(one, state="draining") if one.node == node else one for one in self.told.nodes)
        self.told = replace(self.told, nodes=nodes)

    async def move(self, owner: str, session: str, node: str) -> None:
        self._known(node)
        self.moved.append((owner, session, node))

    def _known(self, node: str) -> None:
        if node not in {one.node for one in self.told.nodes}:
            raise NotFound(f"there is no node {node}", field="node")


@asynccontextmanager
async def serving(cluster: Played | None) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of a node of that cluster."""
    app = DirectApp(SimpleNamespace(cluster=cluster, executions=None), DEFAULTS)  # type: ignore[arg-type]
    with trio.fail_after(60):
        async with (
            in_process.serving(app) as server,
            httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client,
        ):
            yield client


async def typed(client: httpx2.AsyncClient, *words: str, status: int = 0) -> Ended:
    """The command, asking that node."""
    run = partial(piped, "cluster", *words, status=status, MCP_V8_URL=str(client.base_url))
    return await trio.to_thread.run_sync(run)


async def test_every_node_tells_what_it_knows_of_the_cluster() -> None:
    async with serving(Played()) as client:
        told = await client.get("/api/cluster")
    assert told.status_code == 200
    assert msgspec.convert(told.json(), ClusterStatus) == WELL


async def test_a_node_that_is_drained_is_told_so_and_another_is_not() -> None:
    async with serving(Played()) as client:
        told = (await client.post("/api/cluster/drain", json={"node": "node-2"})).json()
        assert [one["state"] for one in told["nodes"]] == ["serving", "draining", "serving"]
        refused = [
            await client.post("/api/cluster/drain", json=body)
            for body in ({"node": "node-9"}, {"node": "node-3"}, {"node": "no node"}, {})
        ]
    assert [one.status_code for one in refused] == [404, 409, 400, 400]
    assert [one.json()["field"] for one in refused] == ["node"] * 4


async def test_a_session_is_moved_in_the_name_of_who_asks() -> None:
    cluster = Played()
    async with serving(cluster) as client:
        body = {"session": "demo", "node": "node-2"}
        told = await client.post("/api/cluster/move", json=body)
        assert (told.status_code, told.json()) == (200, body)
        assert (await client.post("/api/cluster/move", json={**body, "node": "x"})).status_code == 404
    assert cluster.moved == [(LOCAL.owner, "demo", "node-2")]


async def test_a_server_that_is_in_no_cluster_says_how_one_is_to_be() -> None:
    async with serving(None) as client:
        for told in (
            await client.get("/api/cluster"),
            await client.post("/api/cluster/drain", json={"node": "node-1"}),
            await client.post("/api/cluster/move", json={"session": "demo", "node": "node-1"}),
        ):
            assert told.status_code == 404
            assert "--cluster-etcd" in told.json()["error"]
        assert "--cluster-etcd" in (await typed(client, "status", status=3)).err


async def test_the_command_shows_nodes_members_and_the_log_as_tables() -> None:
    async with serving(Played()) as client:
        told = await typed(client, "status")
        again = await typed(client, "status", "--json")
    assert told.err == ""
    shown = [line.split() for line in told.lines]
    assert told.lines[0] == "cluster mcp-v8, format 1: node-1 was asked, node-2 moves the log"
    assert shown[1][:4] == ["node", "state", "address", "program"]
    *first, minutes, min_, ago, lease, s = shown[2]
    assert first == ["node-1", "serving", "node-1:8080", "0.1.0", "4", "1", "0"]
    assert int(minutes) >= 3, "and as many more as the tests before this one took"
    assert (min_, ago, lease, s) == ("min", "ago", "4.2", "s")
    assert [line[0] for line in shown[3:5]] == ["node-2", "node-3"]
    assert shown[5][0] == "etcd"
    assert shown[6][:2] == ["http://etcd-1:2379", "3.5.16"]
    assert told.lines[6].endswith("12% of 2.0 GiB  etcd's leader")
    assert told.lines[-1] == "the log: 12 batches (40 KiB) in etcd alone, S3 has 4,211"
    assert msgspec.json.decode(again.out, type=ClusterStatus) == WELL


async def test_on_a_narrow_terminal_what_matters_is_left() -> None:
    async with serving(Played()) as client:
        run = partial(in_terminal, "cluster", "status", columns=50, MCP_V8_URL=str(client.base_url))
        told = await trio.to_thread.run_sync(run)
    assert all(len(line) <= 72 for line in told.lines)
    assert [line.split()[:2] for line in told.lines[2:5]] == [[f"node-{n}", "serving"] for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"leader": None}, "no node moves the log"),
        ({"nodes": (node("node-1"), node("node-2", state="silent"))}, "node-2 is silent; unless it is back"),
        (
            {"etcd": (member(1, error="it does not answer"),)},
            "etcd at http://etcd-1:2379: it does not answer",
        ),
        ({"etcd": (member(1, db_bytes=int(1.5 * GIB)),)}, "has 75% of its quota"),
    ],
    ids=["no leader", "silent node", "member without an answer", "quota"],
)
async def test_what_somebody_should_look_at_is_a_sentence_and_status_1(
    change: dict[str, Any], sentence: str
) -> None:
    told = replace(WELL, **change)
    (said,) = complaints(told)
    assert sentence in said
    async with serving(Played(told)) as client:
        ended = await typed(client, "status", status=1)
    assert ended.err == f"mcp-v8: {said}\n"
    assert ended.lines[0].startswith("cluster mcp-v8")


async def test_all_is_well_is_no_sentence() -> None:
    assert list(complaints(WELL)) == []


async def test_the_command_waits_until_a_node_is_empty() -> None:
    cluster = Played()
    async with serving(cluster) as client:
        at_once = await typed(client, "drain", "node-1")
        assert at_once.out == "node-1 hands over 3 sessions, 0 running\n"
        waited = await typed(client, "drain", "node-1", "--wait")
        assert waited.out == "node-1 is empty\n"
        assert "the last one that serves" in (await typed(client, "drain", "node-3", status=1)).err
        assert "no node node-9" in (await typed(client, "drain", "node-9", status=3)).err


async def test_the_command_moves_a_session() -> None:
    cluster = Played()
    async with serving(cluster) as client:
        assert (await typed(client, "move", "demo", "node-2")).out == "demo is on node-2\n"
        assert (await typed(client, "move", "demo", "node-9", status=3)).out == ""
    assert cluster.moved == [(LOCAL.owner, "demo", "node-2")]


async def test_a_store_is_no_cluster() -> None:
    ended = await trio.to_thread.run_sync(partial(piped, "cluster", "status", status=2))
    assert "--url" in ended.err


async def test_the_shell_completes_the_ids_of_nodes() -> None:
    async with serving(Played()) as client:
        words = {
            "COMP_WORDS": "mcp-v8 cluster drain node-",
            "COMP_CWORD": "3",
            "_MCP_V8_COMPLETE": "bash_complete",
        }
        run = partial(piped, MCP_V8_URL=str(client.base_url), **words)
        told = await trio.to_thread.run_sync(run)
    assert told.out.split() == ["plain,node-1", "plain,node-2", "plain,node-3"]
