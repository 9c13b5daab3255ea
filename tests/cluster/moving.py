"""How long the client of a session waits while that is moved: ``python moving.py FOLDER TIMES``.

A cluster of three nodes and one member of etcd on this machine, and a client that executes ``1`` in a closed loop
in one session, which is moved from node to node. Prints what it saw, and where the nodes say that the time went.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import trio
from clusters import Cluster, Node, cluster_of
from etcd_server import EtcdServer
from s3_server import SeaweedFS

MOVES = 20
SETTLED = 20
"""Answers between two moves."""
_STAGE = re.compile(r"went to node .*: (.*)$", re.MULTILINE)


@dataclass
class Moves:
    """What a client saw of moves."""

    usual: list[float] = field(default_factory=list)
    """Seconds that answers took meanwhile."""
    gaps: list[float] = field(default_factory=list)
    """Of each move, the longest of the answers that were waited for while it went on."""

    def __str__(self) -> str:
        worst = sorted(1_000 * gap for gap in self.gaps)
        return (
            f"an answer {1_000 * statistics.median(self.usual):.1f} ms, "
            f"while moved {statistics.median(worst):.0f} ms (p50), {worst[-1]:.0f} ms (longest)"
        )


async def move(cluster: Cluster, session: str, through: Sequence[Node], times: int = MOVES) -> Moves:
    """Move a session so often to the next node, while a client asks for it ``through`` nodes in turn."""
    seen = Moves()
    spans: list[tuple[float, float]] = []
    """When each answer was asked for, and when it came."""
    answered = trio.Condition()
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as http:

        async def client() -> None:
            while True:
                began = trio.current_time()
                url = f"{through[len(spans) % len(through)].url}/api/exec"
                answer = await http.post(url, json={"session": session, "code": "1"})
                assert answer.status_code == 200, answer.text
                spans.append((began, trio.current_time()))
                async with answered:
                    answered.notify_all()

        async def settle() -> None:
            until = len(spans) + SETTLED
            async with answered:
                while len(spans) < until:
                    await answered.wait()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(client)
            await settle()
            for number in range(times):
                first, node = len(spans), cluster.nodes[(number + 1) % len(cluster.nodes)]
                answer = await http.post(
                    f"{cluster.nodes[0].url}/api/cluster/move", json={"session": session, "node": node.name}
                )
                assert answer.status_code == 200, answer.text
                over = trio.current_time()
                await settle()
                seen.gaps.append(max(came - asked for asked, came in spans[first:] if asked < over))
            nursery.cancel_scope.cancel()
    seen.usual = [came - asked for asked, came in spans]
    return seen


def stages(nodes: Sequence[Node]) -> dict[str, list[float]]:
    """Milliseconds of each stage of the moves, as the nodes have logged them."""
    found: dict[str, list[float]] = {}
    for node in nodes:
        for line in _STAGE.findall(node.process.log):
            for name, took in re.findall(r"([a-z ]+) ([0-9.]+) ms", line):
                found.setdefault(name.strip(), []).append(float(took))
    return found


async def measure(folder: Path, rounds: int) -> None:
    """The best of so many rounds counts where others work on this machine, too."""
    (folder / "s3").mkdir()
    (folder / "etcd").mkdir()
    s3, etcd = SeaweedFS(folder / "s3"), None
    try:
        etcd = EtcdServer(folder / "etcd", members=1)
        async with cluster_of(folder, etcd, s3, ttl=5) as cluster:
            for number in range(rounds):
                for how, through in (("through one node", cluster.nodes[:1]), ("in turn", cluster.nodes)):
                    sys.stdout.write(f"{how}: {await move(cluster, f'moved-{number}', through)}\n")
                    sys.stdout.flush()
            for stage, took in stages(cluster.nodes).items():
                took.sort()
                sys.stdout.write(
                    f"{stage}: {statistics.median(took):.1f} ms (p50), {took[-1]:.1f} ms (longest)\n"
                )
    finally:
        if etcd is not None:
            etcd.close()
        s3.kill()


if __name__ == "__main__":
    trio.run(measure, Path(sys.argv[1]), int(sys.argv[2]))
