"""Real servers that are nodes of one cluster, and a balancer before them without any stickiness."""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import s3_server
import trio
from etcd_server import EtcdServer
from server_process import ServerProcess


class RealNode(ServerProcess):
    """One of them."""

    def __init__(
        self,
        name: str,
        etcd: EtcdServer,
        secret: str,
        flags: Sequence[str],
        port_flag: str,
        environment: Mapping[str, str],
    ) -> None:
        self.name = name
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.flags = [
            *(port_flag, str(port)),
            *("--cluster-etcd", ",".join(etcd.urls)),
            *("--node-id", name),
            *("--advertise-addr", f"127.0.0.1:{port}"),
            *flags,
        ]
        self.environment = {"MCP_V8_CLUSTER_SECRET": secret, **environment}
        super().__init__(*self.flags, port_flag=port_flag, environment=self.environment)


@contextmanager
def cluster(
    folder: Path,
    etcd: EtcdServer,
    s3: s3_server.S3 | None,
    names: Sequence[str] = ("a", "b"),
    port_flag: str = "--http-port",
    flags: Sequence[str] = (),
) -> Iterator[list[RealNode]]:
    """Nodes on one bucket; without ``s3`` they are stateless. They are killed in the end."""
    secret = secrets.token_hex(16)
    identity = secrets.token_hex(4)
    with ExitStack() as stack:
        nodes = []
        for name in names:
            store, environment = ["--stateless"], {}
            if s3 is not None:
                store = ["--s3-bucket", s3.bucket, "--s3-prefix", identity, "--cache-dir", str(folder / name)]
                environment = {**s3_server.environment(), "AWS_ENDPOINT_URL": s3.endpoint}
            named = ["--cluster-name", identity, *store, *flags]
            node = RealNode(name, etcd, secret, named, port_flag, environment)
            nodes.append(node)
            stack.callback(_end, node)
        yield nodes


def _end(node: RealNode) -> None:
    if node.process.poll() is None:
        node.process.kill()
    node.wait()


@asynccontextmanager
async def balanced(nodes: Sequence[RealNode]) -> AsyncIterator[str]:
    """Where connections go to the nodes in turn, and past those that are gone."""
    turn = 0

    async def serve(client: trio.SocketStream) -> None:
        nonlocal turn
        for _ in nodes:
            turn += 1
            try:
                server = await trio.open_tcp_stream("127.0.0.1", nodes[turn % len(nodes)].port)
            except OSError:
                continue
            async with client, server, trio.open_nursery() as nursery:
                nursery.start_soon(_pass, client, server)
                nursery.start_soon(_pass, server, client)
            return

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, serve, listeners)
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def _pass(source: trio.SocketStream, target: trio.SocketStream) -> None:
    try:
        while data := await source.receive_some():
            await target.send_all(data)
        await target.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        await trio.aclose_forcefully(target)
        await trio.aclose_forcefully(source)
