"""The compose files of clusters, up: any node takes any request, and nothing that was acknowledged is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator

import cluster_load
import httpx2
import pytest
import trio
from cluster_load import Appender, working
from cluster_project import NODES, ClusterProject, cluster
from container_engine import Containers
from documents import ROOT
from mcp import Client

pytestmark = [
    pytest.mark.containers,
    pytest.mark.timeout(900),
    # the official client leaves generators of its HTTP library to the garbage collector
    pytest.mark.filterwarnings("ignore:Async generator 'http:ResourceWarning"),
]

STATEFUL = ROOT / "docker-compose.cluster-stateful.yml"
TTL_SECONDS = 5


@pytest.fixture(scope="module")
def stateful(containers: Containers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterProject]:
    """The file with sessions, up."""
    with cluster(containers, STATEFUL, tmp_path_factory.mktemp("cluster")) as project:
        yield project


@pytest.fixture(autouse=True)
def whole(stateful: ClusterProject) -> None:
    """Each test finds all of it serving, however the one before ended."""
    stateful.mend()


def go_on(stateful: ClusterProject, clients: list[Appender]) -> None:
    """What every fault ends with: all serve, and clients get answers."""
    stateful.wait_until_all_serve()
    cluster_load.wait_for_more(clients)


def test_any_node_answers_for_any_session(stateful: ClusterProject) -> None:
    with httpx2.Client(base_url=stateful.url, timeout=60) as client:
        for n in range(1, 10):
            told = client.post("/api/exec", json={"session": "any", "code": f"globalThis.n = {n}"}).json()
            assert told["event"] == n
            assert client.get("/api/sessions/any").json()["event"] == n
            assert client.get(f"/api/executions/{told['execution_id']}").json()["result"] == str(n)
    asked = {stateful.service(node).inside("mcp-v8", "state", "any@3", "n") for node in NODES}
    assert asked == {"3"}


async def test_mcp_goes_through_the_balancer_whichever_node_is_next(stateful: ClusterProject) -> None:
    with trio.fail_after(120):
        async with Client(f"{stateful.url}/mcp?session=mcp") as client:
            for n in range(1, 10):
                answer = await client.call_tool("run_js", {"code": f"console.log('said'); {n}"})
                lines = answer.content[0].text.splitlines()
                assert lines == ["said", f"=> {n}", f"[mcp@{n}]"]


def test_nodes_have_no_rights_and_the_balancer_lets_nobody_to_what_is_between_them(
    stateful: ClusterProject,
) -> None:
    for node in NODES:
        status = stateful.service(node).inside("cat", "/proc/1/status")
        fields = {
            name: value.split() for name, _, value in (line.partition(":") for line in status.splitlines())
        }
        assert fields["Uid"] == ["1000"] * 4
        assert {int(fields[name][0], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {0}
        assert fields["NoNewPrivs"] == ["1"]
    for path in ("/cluster/peer", "/api/cluster/drain", "/api/%63luster/move", "/metrics"):
        assert httpx2.get(f"{stateful.url}{path}", timeout=30).status_code == 403
    assert httpx2.get(f"{stateful.url}/api/cluster", timeout=30).is_success


def test_a_rolling_restart_is_seen_by_no_client(stateful: ClusterProject) -> None:
    with working(stateful.url, "rolling") as clients:
        cluster_load.wait_for_more(clients)
        for node in NODES:
            stateful.service(node).do("stop", "-t", "30")
            assert stateful.service(node).state()["ExitCode"] == 0, stateful.service(node).log()[-4_000:]
            stateful.service(node).do("start")
            go_on(stateful, clients)
    print(cluster_load.told("rolling restart", clients))  # noqa: T201
    assert [trouble for one in clients for trouble in one.troubles] == []
    cluster_load.check(stateful.url, clients)


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_a_node_that_is_lost_costs_what_ran_on_it_and_a_few_seconds(
    stateful: ClusterProject, how: str
) -> None:
    with working(stateful.url, f"node-{how}") as clients:
        cluster_load.wait_for_more(clients)
        victim = stateful.service(stateful.owner_of(clients[0].session))
        victim.do(how)
        if how == "kill":
            cluster_load.wait_for_more(clients)
            victim.do("start")
        else:
            cluster_load.wait_for_more(clients)
            victim.do("unpause")
        go_on(stateful, clients)
    print(cluster_load.told(f"{how} of a node", clients))  # noqa: T201
    cluster_load.check(stateful.url, clients)
    assert max(one.longest for one in clients) < 30


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_a_member_of_etcd_that_is_lost_costs_a_moment(stateful: ClusterProject, how: str) -> None:
    with working(stateful.url, f"etcd-{how}") as clients:
        cluster_load.wait_for_more(clients)
        (leader,) = [one["endpoint"] for one in stateful.status()["etcd"] if one["is_leader"]]
        victim = stateful.service(leader.removeprefix("http://").partition(":")[0])
        victim.do(how)
        cluster_load.wait_for_more(clients, 10)
        victim.do("start" if how == "kill" else "unpause")
        go_on(stateful, clients)
    print(cluster_load.told(f"{how} of etcd's leader", clients))  # noqa: T201
    cluster_load.check(stateful.url, clients)


def test_with_most_of_etcd_gone_nothing_is_recorded_and_with_it_back_nothing_is_lost(
    stateful: ClusterProject,
) -> None:
    with working(stateful.url, "majority") as clients:
        cluster_load.wait_for_more(clients)
        for member in ("etcd-1", "etcd-2"):
            stateful.service(member).do("kill")
        before = [len(one.done) for one in clients]
        deadline = time.monotonic() + 60
        while not all(one.troubles for one in clients):
            assert time.monotonic() < deadline, cluster_load.told("without a majority", clients)
            time.sleep(0.2)
        assert all(len(one.done) <= count + 2 for one, count in zip(clients, before, strict=True))
        for member in ("etcd-1", "etcd-2"):
            stateful.service(member).do("start")
        go_on(stateful, clients)
    print(cluster_load.told("most of etcd for a while", clients))  # noqa: T201
    cluster_load.check(stateful.url, clients)


def test_while_s3_is_away_clients_see_nothing(stateful: ClusterProject) -> None:
    with working(stateful.url, "s3") as clients:
        cluster_load.wait_for_more(clients)
        stateful.service("s3").do("pause")
        cluster_load.wait_for_more(clients, 50)
        stateful.service("s3").do("unpause")
        cluster_load.wait_for_more(clients)
    print(cluster_load.told("S3 away", clients))  # noqa: T201
    assert [trouble for one in clients for trouble in one.troubles] == []
    cluster_load.check(stateful.url, clients)
    deadline = time.monotonic() + 60
    while stateful.status()["tail_batches"]:
        assert time.monotonic() < deadline, stateful.status()
        time.sleep(0.2)


def test_a_session_is_moved_to_the_node_that_is_named(stateful: ClusterProject) -> None:
    with httpx2.Client(base_url=stateful.url, timeout=60) as client:
        client.post("/api/exec", json={"session": "moved", "code": "let n = 1"}).raise_for_status()
        for node in NODES:
            told = stateful.service("node-1").inside("mcp-v8", "cluster", "move", "moved", node)
            assert told == f"moved is on {node}"
            answer = client.post("/api/exec", json={"session": "moved", "code": "n += 1"}).json()
            assert answer["status"] == "completed"
        assert answer["result_json"] == 4


@pytest.mark.parametrize(
    ("node", "secret", "told"),
    [
        ("node-9", "of-another-cluster-altogether", "have another secret than this one"),
        ("node-1", None, "there is a node node-1 in the cluster"),
    ],
    ids=["another secret", "an id that another node has"],
)
def test_a_server_that_does_not_belong_there_says_why_and_disturbs_nobody(
    containers: Containers, stateful: ClusterProject, node: str, secret: str | None, told: str
) -> None:
    variables = {
        "MCP_V8_CLUSTER_ETCD": "http://etcd-1:2379",
        "MCP_V8_CLUSTER_SECRET": secret or stateful.secret,
        "MCP_V8_NODE_ID": node,
        "MCP_V8_ADVERTISE_ADDR": "nowhere:8080",
    }
    options = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
    before = stateful.status()["nodes"]
    run = [
        "run",
        "--rm",
        "--name",
        containers.name(f"stranger-{node}"),
        "--network",
        f"{stateful.name}_inner",
    ]
    ended = containers.ended(*run, *options, containers.image, "--stateless")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert told in ended.stderr.strip().splitlines()[-1]
    assert [one["since"] for one in stateful.status()["nodes"]] == [one["since"] for one in before]


def test_all_of_it_is_stopped_and_started_and_every_session_is_there(stateful: ClusterProject) -> None:
    with working(stateful.url, "down") as clients:
        cluster_load.wait_for_more(clients)
    stateful.told("down", "-t", "20")
    stateful.start()
    cluster_load.check(stateful.url, clients)
