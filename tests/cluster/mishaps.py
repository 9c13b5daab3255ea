"""What befalls clusters under load, in tests and in measurements."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from clocks import Clock
from clusters import Cluster, Node, cluster_of
from etcd_server import EtcdServer
from loads import LOOK_CHANCE, Load
from s3_server import S3

CLIENTS = 6
TTL = 2
HOUR = 3_600


@asynccontextmanager
async def loaded(
    folder: Path, etcd: EtcdServer, s3: S3, *, fences: bool = True, ttl: int = TTL, **how: Any
) -> AsyncIterator[Faults]:
    """A cluster under load, which is checked at the end of the block. ``SEED`` repeats an earlier run's choices.

    Not ``fences``: nodes do not stop by their own clock. What they record rests on etcd alone, and is checked; a node
    that believes that it has a session tells what it knows of it, which is old where it is mistaken, and not asked.
    """
    seed = int(os.environ.get("SEED") or secrets.randbits(32))
    print(f"SEED={seed}")  # noqa: T201 (pytest shows it with a failure)
    variables = {} if fences else {"MCP_V8_TEST_NO_SELF_FENCE": "1"}
    with trio.fail_after(1_200):
        async with cluster_of(folder, etcd, s3, ttl=ttl, variables=variables, **how) as cluster:
            load = Load(cluster, seed, look_chance=LOOK_CHANCE if fences else 0)
            stop = trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(load.clients, CLIENTS, stop)
                await load.acknowledged(30)
                yield Faults(cluster, load, random.Random(seed), ttl)
                await load.acknowledged(30)
                stop.set()
            await cluster.until_ready()
            await load.check(cluster.running)
            print(f"longest gap {load.longest_gap:.1f} s, {dict(load.troubles)}")  # noqa: T201


class Faults:
    """What befalls a cluster; each is over, but for its consequences, when it returns."""

    def __init__(self, cluster: Cluster, load: Load, chance: random.Random, ttl: int = TTL) -> None:
        self.cluster, self.etcd, self.load, self.chance = cluster, cluster.etcd, load, chance
        self.ttl = ttl
        self.away = 2.5 * ttl
        """Seconds, more than a lease lives."""

    def node(self) -> Node:
        """Any."""
        return self.chance.choice(self.cluster.running)

    async def kill_node(self) -> None:
        """It comes back after others have its sessions, or sooner."""
        node = self.node()
        await node.kill()
        await trio.sleep(self.chance.random() * self.away)
        await self.load.acknowledged(10)
        await node.start()
        await self.cluster.until_ready(node)

    async def hang_node(self) -> None:
        """It believes itself a member when it goes on, for as long as it does not look at the clock."""
        node = self.node()
        node.stop()
        await trio.sleep(self.away)
        await self.load.acknowledged(10)
        node.go_on()
        await self.load.acknowledged(10)

    async def hang_node_shortly(self) -> None:
        """It may lose its sessions just when it goes on."""
        node = self.node()
        node.stop()
        await trio.sleep((0.5 + self.chance.random()) * self.ttl)
        node.go_on()
        await self.load.acknowledged(10)

    async def restart_nodes(self) -> None:
        """One after the other, in order."""
        for node in self.cluster.nodes:
            await node.terminate()
            await node.start()
            await self.cluster.until_ready(node)

    async def kill_member(self) -> None:
        """Any of etcd's."""
        member = self.chance.choice(self.etcd.members)
        member.kill()
        await self.load.acknowledged(20)
        self.etcd.restart(member)

    async def kill_leader(self) -> None:
        """Of etcd's members."""
        member = await trio.to_thread.run_sync(self.etcd.leader)
        member.kill()
        await self.load.acknowledged(20)
        self.etcd.restart(member)

    async def hang_leader(self) -> None:
        """Of etcd's members, which believes it leads when it goes on."""
        member = await trio.to_thread.run_sync(self.etcd.leader)
        member.stop()
        await self.load.acknowledged(20)
        member.go_on()

    def set_clocks(self) -> None:
        """The wall clock of each node and each member jumps, some hours ahead or behind, or is right."""
        nodes = [node.process.process.pid for node in self.cluster.running]
        for pid in (*nodes, *(member.pid for member in self.etcd.members)):
            Clock(pid).set(self.chance.choice((-HOUR, 0, HOUR, 3 * HOUR)))

    async def lose_majority(self) -> None:
        """Nothing can be recorded until it is back."""
        gone = self.chance.sample(self.etcd.members, 2)
        for member in gone:
            member.kill()
        await trio.sleep(self.away)
        for member in gone:
            self.etcd.restart(member)
        await self.load.acknowledged(20)

    async def kill_all(self) -> None:
        """All nodes and all members at once, as when the power fails."""
        for member in self.etcd.members:
            member.kill()
        for node in self.cluster.nodes:
            await node.kill()
        for member in self.etcd.members:
            self.etcd.restart(member)
        await trio.to_thread.run_sync(self.etcd.wait_until_known)
        await self.cluster.start()
        await self.cluster.until_ready()
        await self.load.acknowledged(20)
