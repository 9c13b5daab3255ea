"""A cluster as tests have it: real servers, real members of etcd, a real S3; each can be killed, stopped, cut off."""

from __future__ import annotations

import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import httpx2
import trio
from etcd_server import EtcdServer
from s3_server import S3, environment
from server_process import ServerProcess

SECRET = "0123456789abcdef of the tests of clusters"
READY_SECONDS = 60
PORT = 8080
"""Of a node that has a network of its own."""


class Place(Protocol):
    """A network of its own for a process, which can be cut off."""

    host: str
    """Address at which clients reach it."""
    inner: str
    """Address at which the other places reach it."""
    words: tuple[str, ...]
    """Before the words of a command: it runs there."""


class Node:
    """One server. Started again it has the same name and the same address, and its index, as a machine's has."""

    def __init__(
        self, name: str, flags: Sequence[str], variables: Mapping[str, str], place: Place | None
    ) -> None:
        self.name = name
        host, port = ("127.0.0.1", _free_port()) if place is None else (place.host, PORT)
        self.url = f"http://{host}:{port}"
        """For clients."""
        inner = f"{host if place is None else place.inner}:{port}"
        self._flags = (*flags, f"--node-id={name}", f"--http-port={port}", f"--advertise-addr={inner}")
        if place is not None:
            self._flags += ("--bind-host=0.0.0.0", "--allowed-hosts=*")
        self._variables = variables
        self._before = () if place is None else place.words
        self._process: ServerProcess | None = None
        self.log = ""
        """What the processes said that have ended."""

    @property
    def process(self) -> ServerProcess:
        """The one that runs."""
        assert self._process is not None
        return self._process

    @property
    def runs(self) -> bool:
        """Whether it was started, and not ended, by the test."""
        return self._process is not None

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = await trio.to_thread.run_sync(
            lambda: ServerProcess(*self._flags, environment=self._variables, before=self._before)
        )

    async def kill(self) -> None:
        """``kill -9``, also if it is stopped."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> None:
        """Ask it to end, and wait until it has, well."""
        status = await self._end(signal.SIGTERM)
        assert status == 0, self.log[-8000:]

    def stop(self) -> None:
        """Let it hang (SIGSTOP)."""
        self.process.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again (SIGCONT)."""
        self.process.process.send_signal(signal.SIGCONT)

    async def close(self) -> None:
        """Leave nothing behind."""
        if self._process is not None:
            await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> int:
        process, self._process = self.process, None
        with trio.CancelScope(shield=True):
            status = await trio.to_thread.run_sync(process.terminate, number)
        self.log += process.log
        return status


class Cluster:
    """Nodes, and what they stand on. Made by ``cluster_of``."""

    def __init__(self, nodes: Sequence[Node], etcd: EtcdServer) -> None:
        self.nodes = nodes
        self.etcd = etcd

    @property
    def running(self) -> list[Node]:
        """Those that the test has not ended."""
        return [node for node in self.nodes if node.runs]

    async def start(self) -> None:
        """Start those that do not run, all at once."""
        async with trio.open_nursery() as nursery:
            for node in self.nodes:
                if not node.runs:
                    nursery.start_soon(node.start)

    async def until_ready(self, *nodes: Node) -> None:
        """Until they say that they are (all that run, if none is named). Raises AssertionError."""
        async with httpx2.AsyncClient(trust_env=False, timeout=5) as client:
            for node in nodes or self.running:
                said = ""
                with trio.move_on_after(READY_SECONDS):
                    while not said.startswith("200"):
                        said = await _readiness(client, node)
                        await trio.sleep(0.1)
                assert said.startswith("200"), f"{node.name}: {said}\n{node.process.log[-4000:]}"


@asynccontextmanager
async def cluster_of(
    folder: Path,
    etcd: EtcdServer,
    s3: S3,
    *flags: str,
    nodes: int = 3,
    ttl: int = 2,
    places: Sequence[Place] | None = None,
    variables: Mapping[str, str] | None = None,
) -> AsyncIterator[Cluster]:
    """Nodes that serve, until the end of the block; of a cluster that is new in that etcd and bucket.

    ``ttl``: seconds after which a node that is silent loses its sessions.
    """
    settings = s3.settings()
    common = (
        f"--cluster-etcd={','.join(etcd.urls)}",
        f"--cluster-name={settings.prefix}",
        f"--cluster-ttl={ttl}",
        f"--s3-bucket={settings.bucket}",
        f"--s3-prefix={settings.prefix}",
        *flags,
    )
    environ = {
        **environment(),
        "AWS_ENDPOINT_URL": s3.endpoint,
        "MCP_V8_CLUSTER_SECRET": SECRET,
        **(variables or {}),
    }
    made = [
        Node(
            name := f"node-{n + 1}",
            (*common, f"--cache-dir={folder / name}"),
            environ,
            None if places is None else places[n],
        )
        for n in range(nodes)
    ]
    cluster = Cluster(made, etcd)
    try:
        await cluster.start()
        await cluster.until_ready()
        yield cluster
    finally:
        with trio.CancelScope(shield=True):
            for node in made:
                await node.close()
                (folder / f"{node.name}.log").write_text(node.log)


async def _readiness(client: httpx2.AsyncClient, node: Node) -> str:
    """Status and text of its answer, or why there is none."""
    try:
        answer = await client.get(f"{node.url}/readyz")
    except httpx2.TransportError as failed:
        return f"no answer: {failed!r}"
    return f"{answer.status_code} {answer.text}"


def _free_port() -> int:
    """Of the loopback interface; free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port
