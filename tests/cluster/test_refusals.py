"""A server that cannot be a node says why in a sentence, and the nodes there are go on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from etcd_server import EtcdServer
from real_nodes import RealNode, cluster
from typed import run

from cli.choices import ConfigError
from cli.clustering import cluster_of
from cluster import charter
from cluster.keys import Keys
from cluster.settings import ClusterSettings
from persistence.etcd.client import Etcd

NOTHING: dict[str, Any] = {
    "cluster_etcd": None,
    "cluster_name": "mcp-v8",
    "node_id": None,
    "advertise_addr": None,
    "cluster_secret_file": None,
    "cluster_etcd_quota_mb": 2_048,
    "cluster_ttl": 5,
    "directory_path": None,
}
GIVEN = {**NOTHING, "cluster_etcd": "http://127.0.0.1:2379", "node_id": "a", "advertise_addr": "a:8080"}
SECRET = {"MCP_V8_CLUSTER_SECRET": "0123456789abcdef"}


@pytest.fixture(scope="module")
def node(etcd: EtcdServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealNode]:
    """One that goes on, whatever others try."""
    with cluster(tmp_path_factory.mktemp("cluster"), etcd, None, ("a",)) as (one,):
        yield one


def refusal(node: RealNode, *flags: str, secret: str | None = None) -> str:
    """What a server says that would be a node of the same cluster."""
    environ = {**os.environ, **node.environment}
    if secret is not None:
        environ["MCP_V8_CLUSTER_SECRET"] = secret
    ended = run(*node.flags, *flags, environment=environ)
    assert ended.returncode == 1
    (sentence,) = [line for line in ended.stderr.splitlines() if line.startswith("mcp-v8:")]
    assert httpx2.post(f"{node.url}/api/exec", json={"code": "6 * 7"}).json()["result"] == "42"
    return sentence


def test_a_node_with_another_secret_is_refused(node: RealNode) -> None:
    said = refusal(node, "--node-id=b", "--http-port=0", secret="another one, as long")
    assert "have another secret than this one" in said
    assert "--cluster-secret-file" in said


def test_a_second_node_of_one_id_is_refused(node: RealNode) -> None:
    said = refusal(node, "--cluster-ttl=2", "--http-port=0")
    assert f"there is a node {node.name} in the cluster" in said
    assert "--node-id" in said


async def test_no_etcd_is_told_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charter, "START_SECONDS", 0.0)
    urls = ("http://127.0.0.1:9",)
    settings = ClusterSettings(name="x", node="a", addr="a:1", etcd=urls, secret=b"s" * 16)
    async with Etcd(urls) as etcd:
        with pytest.raises(charter.ClusterRefused, match=r"etcd .* cannot be reached: .*127\.0\.0\.1:9"):
            await charter.agree(etcd, Keys("x"), settings)


@pytest.mark.parametrize(
    ("given", "port", "environ", "said"),
    [
        ({**NOTHING, "node_id": "a"}, 80, {}, "--node-id is for a node of a cluster: give --cluster-etcd"),
        (GIVEN, None, SECRET, "--stdio"),
        ({**GIVEN, "directory_path": Path("/x")}, 80, SECRET, "give --s3-bucket, or --stateless"),
        ({**GIVEN, "cluster_etcd": "etcd:2379"}, 80, SECRET, "--cluster-etcd: "),
        ({**GIVEN, "cluster_name": "a/b"}, 80, SECRET, "--cluster-name takes"),
        ({**GIVEN, "node_id": "a.b"}, 80, SECRET, "--node-id takes"),
        ({**GIVEN, "advertise_addr": "a"}, 80, SECRET, "--advertise-addr takes HOST:PORT"),
        ({**GIVEN, "advertise_addr": "a:99999"}, 80, SECRET, "--advertise-addr takes HOST:PORT"),
        ({**GIVEN, "advertise_addr": None}, 0, SECRET, "give --advertise-addr"),
        (GIVEN, 80, {}, "give --cluster-secret-file FILE"),
        (GIVEN, 80, {"MCP_V8_CLUSTER_SECRET": "short"}, "16 to 4,096 bytes, not 5"),
        ({**GIVEN, "cluster_secret_file": Path("/nowhere")}, 80, {}, "/nowhere: No such file"),
    ],
)
def test_what_does_not_go_together_is_told(
    given: dict[str, Any], port: int | None, environ: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        cluster_of(given, port, environ)
    assert said in str(refused.value)


def test_a_node_is_called_by_the_name_of_its_machine_unless_it_is_given_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "node-7.example.org")
    secret = tmp_path / "secret"
    secret.write_bytes(b"0123456789abcdef\n")
    settings = cluster_of(
        {**GIVEN, "node_id": None, "advertise_addr": None, "cluster_secret_file": secret}, 8080, {}
    )
    assert settings is not None
    assert (settings.node, settings.addr) == ("node-7", "node-7.example.org:8080")
    assert settings.secret == b"0123456789abcdef"
