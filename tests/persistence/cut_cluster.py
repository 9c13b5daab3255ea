"""Cuts the golden cluster of the current formats in etcd and in S3 (``just cut-cluster``).

It has what nodes write and single servers do not: batches in etcd, also one whose changes are in S3; what of
them was moved there, as batches, in a segment and behind a base that is ahead of them; how far that is. What is
there is never written over.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from random import Random

import msgspec
import trio
from bucket import Bucket
from cluster_logs import Node, clustered
from etcd_server import EtcdServer
from golden_clusters import GOLDEN, NAME, Golden
from log_samples import History, checkpoint_of

from persistence.etcd import archive, batches
from persistence.s3 import compaction, segments
from persistence.s3.compaction import Compaction
from persistence.s3.index import Index

PREFIX = f"/mcp-v8/{NAME}/".encode()


async def lived(node: Node, number: int) -> None:
    """Change something in every way."""
    gone, kept, fork, taken = (History(f"{name}{number}") for name in ("gone", "kept", "fork", "taken"))
    await node.claim(gone, kept, fork, taken)
    await node.log.append([kept.created(), kept.executed(idempotency_key=f"k{number}"), kept.aborted()])
    await node.log.append([fork.forked(kept.records[1]), fork.executed(code="x" * 70_000)])
    for record in kept.records[:2]:
        await node.log.add_checkpoint(checkpoint_of(record))
    await node.log.forget_checkpoints([checkpoint_of(kept.records[0])])
    await node.log.append([gone.created(), gone.executed(), gone.closed()])
    await node.log.purge(gone.session, 10_000)
    taken.created()
    taken.executed()
    async with node.log.adoption() as adoption:
        await adoption.add(taken.records)
        await adoption.commit()
    await node.log.append([fork.executed(code=Random(number).randbytes(9_000).hex())])


async def cut(server: EtcdServer, folder: Path) -> Golden:
    """Make one anew."""
    bucket = Bucket()
    async with clustered(server.urls, PREFIX, bucket, folder) as cluster:
        a, b = await cluster.join("a"), await cluster.join("b")

        async def move() -> None:
            leader = await a.lead()
            with trio.move_on_after(2):
                await a.log.archive(leader)
            await a.see_all()

        await lived(a, 1)
        await move()
        await lived(b, 2)
        await a.see_all()
        work = Compaction(bucket, Index(bucket, folder / "a"), segments.newest(bucket))
        await trio.to_thread.run_sync(work.rebase)
        compaction.DUE_BATCHES = 1
        await move()
        compaction.DUE_BATCHES = 512
        await lived(a, 3)
        await move()
        await lived(b, 4)
        await a.see_all()
        _, items = await cluster.etcd.all(PREFIX)
        items.sort(key=lambda item: item.create_revision)
        kept = {
            item.key.removeprefix(PREFIX).decode(): item.value
            for item in items
            if item.key.removeprefix(PREFIX).startswith((b"log/", b"archived"))
        }
        objects = {key: data for key, (data, _) in bucket.stored.items()}
        return Golden(objects, kept, cluster.index_of("a"))


def main() -> None:
    if GOLDEN.exists():
        sys.exit(f"{GOLDEN} is there already: it is to stay as it is")
    batches.MAX_VALUE_BYTES = 8_000
    archive.LEAST_SECONDS, compaction.READ_WITHIN = 0.01, timedelta()
    with tempfile.TemporaryDirectory() as name:
        (folder := Path(name) / "etcd").mkdir()
        server = EtcdServer(folder, flags=["--unsafe-no-fsync"])
        try:
            golden = trio.run(cut, server, Path(name))
        finally:
            server.close()
    GOLDEN.write_bytes(msgspec.msgpack.encode(golden))
    print(f"{GOLDEN}: {len(golden.objects)} objects, {len(golden.etcd)} keys")  # noqa: T201


if __name__ == "__main__":
    main()
