"""Nodes without an engine, which see what is in etcd."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from etcd_server import EtcdServer

from cluster.keys import Keys
from cluster.membership import Membership
from cluster.notes import Notes
from cluster.records import Load
from cluster.settings import ClusterSettings
from cluster.view import View
from persistence.etcd.client import Etcd
from persistence.etcd.requests import prefix_end


class Joined:
    """One of them."""

    def __init__(self, etcd: Etcd, keys: Keys, settings: ClusterSettings) -> None:
        self.etcd, self.keys = etcd, keys
        self.view = View(keys)
        self.membership = Membership(etcd, keys, settings, "test", Load, lambda: None)
        self.notes = Notes(etcd, keys, self.membership)

    async def follow(self, *, task_status: trio.TaskStatus[None]) -> None:
        found = await self.etcd.get(self.keys.prefix, prefix_end(self.keys.prefix))
        self.view.reset(found.items, found.revision)
        task_status.started()
        async with self.etcd.watch(self.keys.prefix, found.revision + 1) as changes:
            async for change in changes:
                self.view.apply(change.events, change.revision)

    async def until_noted(self, *ids: str) -> None:
        """Until exactly those are."""
        while {one.value.execution_id for one in self.view.running.values()} != set(ids):
            await self.view.changed.wait()


@asynccontextmanager
async def joined(name: str, etcd: EtcdServer, prefix: bytes) -> AsyncIterator[Joined]:
    """A member of a cluster until the end of the block, which must come soon."""
    keys = Keys(prefix.decode().strip("/").replace("/", "-"))
    async with Etcd(etcd.urls) as client, trio.open_nursery() as nursery:
        settings = ClusterSettings(
            name="", node=name, addr=f"{name}:1", etcd=etcd.urls, secret=b"of some length", ttl=2
        )
        made = Joined(client, keys, settings)
        await made.membership.join()
        await nursery.start(made.follow)
        nursery.start_soon(made.membership.keep)
        with trio.fail_after(30):
            yield made
        nursery.cancel_scope.cancel()
