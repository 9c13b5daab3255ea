"""The way into a cluster: from what the operator gave to a node that can join."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from cluster.charter import agree
from cluster.keys import Keys
from cluster.node import Node
from cluster.settings import ClusterSettings
from persistence.etcd.client import Etcd
from persistence.etcd.names import Names
from persistence.place import Bucket
from persistence.s3.requests import Observer
from persistence.stores import Opened, blobs_of, index_folder, reached


@asynccontextmanager
async def open_shared_stores(node: Node, place: Bucket, observe: Observer) -> AsyncIterator[Opened]:
    """The stores that all nodes have together, for a node that is yet to join: its log is theirs.

    ``observe`` is told of requests to S3. Raises what ``persistence.stores.open_stores`` does.
    """
    from persistence.etcd.blocking import BlockingEtcd
    from persistence.etcd.log import open_etcd_log  # boto3, which nodes without sessions do not need

    blocking = BlockingEtcd(node.settings.etcd, names=node.names)
    try:
        with index_folder(place) as folder:
            async with (
                reached(place, observe, owned=True) as objects,
                open_etcd_log(
                    node.etcd,
                    blocking,
                    node.keys.prefix,
                    objects,
                    folder,
                    node.ownership,
                    node.appended,
                    node.settings.quota,
                ) as log,
            ):
                node.log = log
                yield Opened(log, blobs_of(place, objects))
    finally:
        blocking.close()


@asynccontextmanager
async def open_node(settings: ClusterSettings, program: str) -> AsyncIterator[Node]:
    """A node of the cluster, which is yet to join it. ``program`` is name and version.

    Raises ClusterRefused.
    """
    keys, names = Keys(settings.name), Names()
    trio.socket.set_custom_hostname_resolver(names)
    async with Etcd(settings.etcd) as etcd:
        await agree(etcd, keys, settings)
        async with trio.open_nursery() as nursery:
            node = Node(nursery, etcd, keys, settings, program, names)
            async with node.peers.running():
                yield node
                await node.leave()
            nursery.cancel_scope.cancel()
