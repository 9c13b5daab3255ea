"""How long clients wait where something befalls a cluster: ``python measuring.py FOLDER TIMES [TTL]``.

A cluster of three nodes and three members of etcd, of that TTL or the usual one, on this machine, and a client for
each of nine sessions, which behaves as one behind a balancer. Prints JSON: by fault, of each time the seconds that the
client waited that waited longest for one answer, attempts that failed included, and how many attempts failed.
What a session that is moved costs, one client alone sees, which asks the nodes in turn.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import trio
from clusters import cluster_of
from etcd_server import EtcdServer
from loads import Load
from mishaps import Faults
from moving import MOVES, move
from s3_server import SeaweedFS

USUAL_TTL = 5
CLIENTS = 9
PATIENCE = 0.8
"""TTLs for which a node may be silent before another one is asked."""
MOVED = f"a session moved, {MOVES} times"
FAULTS = {
    "none": None,
    "all nodes restarted, one after the other": Faults.restart_nodes,
    "a node killed": Faults.kill_node,
    "a node hangs": Faults.hang_node,
    "the member of etcd that leads killed": Faults.kill_leader,
    "the member of etcd that leads hangs": Faults.hang_leader,
    "most members of etcd killed, and back after 2.5 TTLs": Faults.lose_majority,
}


async def measure(folder: Path, times: int, ttl: int = USUAL_TTL) -> dict[str, list[tuple[float, int]]]:
    """All of them."""
    found: dict[str, list[tuple[float, int]]] = {}
    (folder / "s3").mkdir()
    (folder / "etcd").mkdir()
    s3, etcd = SeaweedFS(folder / "s3"), None
    try:
        etcd = EtcdServer(folder / "etcd", members=3)
        async with cluster_of(folder, etcd, s3, ttl=ttl) as cluster:
            for name, fault in FAULTS.items():
                for time in range(times):
                    own = f"own-{len(found)}-{time}"
                    load = Load(cluster, time, name=own, sessions=CLIENTS, own=True, look_chance=0)
                    load.answer_seconds = PATIENCE * ttl
                    stop = trio.Event()
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(load.clients, CLIENTS, stop)
                        await load.acknowledged(100)
                        if fault is not None:
                            await fault(Faults(cluster, load, random.Random(time), ttl))
                        await load.acknowledged(100)
                        stop.set()
                    await cluster.until_ready()
                    await load.check(cluster.running)
                    found.setdefault(name, []).append((max(load.seconds), load.troubles.total()))
            for time in range(times):
                moved = await move(cluster, f"moved-{time}", cluster.nodes)
                found.setdefault(MOVED, []).append((max(moved.gaps), 0))
    finally:
        if etcd is not None:
            etcd.close()
        s3.kill()
    return found


if __name__ == "__main__":
    json.dump(trio.run(measure, Path(sys.argv[1]), *map(int, sys.argv[2:])), sys.stdout)
