"""A compose file of a cluster, up in the container engine, and what its nodes, members and balancer are asked."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import compose_project
import httpx2
import stand_ins
import yaml
from compose_project import Project
from container_engine import COMMAND_SECONDS, READY_SECONDS, Container, Containers
from documents import ROOT

NODES = ("node-1", "node-2", "node-3")
MEMBERS = ("etcd-1", "etcd-2", "etcd-3")
UP_SECONDS = 300


class ClusterProject(Project):
    """The file, in a folder with its balancer's configuration and a secret of its own."""

    def __init__(self, containers: Containers, file: Path, folder: Path, **variables: str) -> None:
        services = yaml.safe_load(file.read_text())["services"].values()
        for number, image in enumerate({one["image"] for one in services if "build" not in one}):
            made_of = folder / f"image-{number}"
            made_of.mkdir()
            stand_ins.provide(containers, image, made_of)
        (folder / "deploy").mkdir()
        (folder / "deploy" / "haproxy.cfg").write_text((ROOT / "deploy" / "haproxy.cfg").read_text())
        self.secret = secrets.token_hex(32)
        (folder / "cluster-secret.txt").write_text(self.secret)
        super().__init__(containers, compose_project.of_engine(containers.engine), file, folder, **variables)

    @property
    def url(self) -> str:
        """The balancer's."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """All of it, until every node is ready and the balancer knows."""
        ended = self.ended("up", "-d", "--no-build", seconds=UP_SECONDS)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        self.wait_until_all_serve()

    def service(self, name: str) -> Container:
        """The container of a service."""
        labels = (
            f"com.docker.compose.{key}={value}" for key, value in (("project", self.name), ("service", name))
        )
        filters = [word for label in labels for word in ("--filter", f"label={label}")]
        (found,) = self._containers.told("ps", "-a", *filters, "--format", "{{.Names}}").split()
        return Container(self._containers, found, {8080: self.port})

    def mend(self) -> None:
        """Let all go on that was stopped or paused."""
        for name in self.made():
            container = Container(self._containers, name, {8080: self.port})
            state = container.state()
            if state["Paused"]:
                container.do("unpause")
            elif not state["Running"]:
                container.do("start")
        self.wait_until_all_serve()

    def status(self, *, by: str = "node-1") -> dict[str, Any]:
        """What a node says of the cluster, by the command in its container."""
        ended = self._containers.ended("exec", self.service(by).name, "mcp-v8", "cluster", "status", "--json")
        assert ended.stdout, ended.stderr
        return dict(json.loads(ended.stdout))

    def wait_until_all_serve(self) -> None:
        """Until each node knows all to serve, and the balancer sends requests to each of them."""
        deadline = time.monotonic() + READY_SECONDS * 2
        left = set(NODES)
        while left:
            name = min(left)
            ended = self._containers.ended(
                "exec", self.service(name).name, "mcp-v8", "cluster", "status", "--json"
            )
            if not ended.returncode:
                states = [one["state"] for one in json.loads(ended.stdout)["nodes"]]
                if states == ["serving"] * len(NODES):
                    left.discard(name)
                    continue
            assert time.monotonic() < deadline, f"{name}: {ended.stderr}\n{self.told('logs')[-8_000:]}"
            time.sleep(0.2)
        while not self._is_served():
            assert time.monotonic() < deadline, self.service("balancer").log()[-4_000:]
            time.sleep(0.2)

    def _is_served(self) -> bool:
        try:
            answers = [httpx2.get(f"{self.url}/api/cluster", timeout=5) for _ in range(2 * len(NODES))]
        except httpx2.TransportError:
            return False
        return all(one.is_success for one in answers) and {one.json()["node"] for one in answers} == set(
            NODES
        )

    def owner_of(self, session: str) -> str:
        """The node that has a session, as etcd has it."""
        told = self.service("etcd-1").inside(
            "etcdctl", "get", "--prefix", "/mcp-v8/mcp-v8/own/", "--print-value-only"
        )
        owners = [json.loads(line) for line in told.splitlines() if line]
        (node,) = [one["node"] for one in owners if one["name"] == session]
        return str(node)


@contextmanager
def cluster(containers: Containers, file: Path, folder: Path, **variables: str) -> Iterator[ClusterProject]:
    """The file, up until the end of the block."""
    project = ClusterProject(containers, file, folder, **variables)
    try:
        project.start()
        yield project
    finally:
        project.ended("down", "-v", "-t", "1", seconds=COMMAND_SECONDS)
