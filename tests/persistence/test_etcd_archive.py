"""The leader moves the log from etcd to the bucket, where it is as any: nothing is lost, and nothing counts twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import trio
from bucket import Bucket
from cluster_logs import SECONDS, Cluster, Node, clustered
from etcd_server import EtcdServer
from log_samples import History, collect
from s3_memory import Operation

from engine.errors import StoreLocked
from persistence.changes import Came
from persistence.etcd import archive, batches, log
from persistence.etcd.blocking import BlockingEtcd
from persistence.etcd.requests import delete
from persistence.s3 import compaction, journal, segments
from persistence.s3.index import Index
from persistence.s3.journal import Journal
from persistence.s3.log import open_s3_index, open_s3_log
from persistence.s3.objects import Refused


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses."""
    monkeypatch.setattr(archive, "EVERY_SECONDS", 0.02)
    monkeypatch.setattr(archive, "LEAST_SECONDS", 0.01)
    monkeypatch.setattr(archive, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(journal, "FIRST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(journal, "LONGEST_PAUSE_SECONDS", 0.0)


@asynccontextmanager
async def led_by(node: Node) -> AsyncIterator[None]:
    """It leads until the end of the block."""
    leader = await node.lead()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.log.archive, leader)
        yield
        nursery.cancel_scope.cancel()


async def until_moved(cluster: Cluster) -> None:
    """Until nothing of the log is in etcd."""
    folder = cluster.prefix + batches.FOLDER
    with trio.fail_after(SECONDS):
        while (await cluster.etcd.all(folder))[1]:  # noqa: ASYNC110 (it is etcd that changes)
            await trio.sleep(0.01)


def marks(bucket: Bucket) -> Counter[tuple[str, int]]:
    """How often each batch of a node is in the log in the bucket, of which nothing is in segments."""
    reading = Journal(bucket)
    entries = (entry for batch, _ in reading.read() for entry in batch.changes)
    return Counter((entry.writer, entry.number) for entry in entries if isinstance(entry, Came))


async def test_what_was_moved_is_read_from_the_bucket(
    cluster: Cluster, bucket: Bucket, tmp_path: Path
) -> None:
    a, b = await cluster.join("a"), await cluster.join("b")
    first, second = History("s1"), History("s2")
    await a.write(first, 20)
    await b.write(second, 20)
    async with led_by(a):
        await until_moved(cluster)
    assert set(marks(bucket).values()) == {1}
    await b.write(second, 1)
    c = await cluster.join("c")
    for node in (a, b, c):
        await node.see_all()
        assert await collect(node.log.read("s1")) == first.records
        assert await collect(node.log.read("s2")) == second.records
    await open_s3_index(bucket, tmp_path / "reader")


async def test_an_index_says_how_far_the_log_is_in_the_bucket(
    cluster: Cluster, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the next start of its node reads no more than came since."""
    a, b = await cluster.join("a"), await cluster.join("b")
    history = History()
    await a.write(history, 5)
    async with led_by(a):
        await until_moved(cluster)
    await b.see_all()
    await b.leave()
    bucket.calls.clear()
    monkeypatch.setattr(Index, "_apply", apply := _counted(Index._apply))
    b = await cluster.join("b")
    assert await collect(b.log.read("s1")) == history.records
    assert apply.batches == 0
    assert [key for operation, key in bucket.calls if operation == "get"] == [f"log/{2:020d}"], "its end"


async def test_a_leader_that_ends_between_the_bucket_and_etcd_loses_and_doubles_nothing(
    cluster: Cluster, bucket: Bucket, etcd: EtcdServer
) -> None:
    a, b = await cluster.join("a"), await cluster.join("b")
    history = History()
    await a.write(history, 6)
    blocking = BlockingEtcd(etcd.urls)

    def depose(operation: Operation, key: str) -> None:
        """As soon as there is a batch with events."""
        if operation == "put" and key == f"log/{2:020d}":
            blocking.transact([], [delete(cluster.prefix + b"leader")])

    bucket.after_call = depose
    leader = await a.lead()
    with trio.move_on_after(1):
        await a.log.archive(leader)
    assert len((await cluster.etcd.all(cluster.prefix + batches.FOLDER))[1]) == 6
    assert len(marks(bucket)) == 6
    await a.write(history, 2)
    async with led_by(b):
        await until_moved(cluster)
    blocking.close()
    assert len(marks(bucket)) == 8
    c = await cluster.join("c")
    assert await collect(c.log.read("s1")) == history.records


async def test_of_two_that_believe_to_lead_one_moves_the_log(cluster: Cluster, bucket: Bucket) -> None:
    a, b = await cluster.join("a"), await cluster.join("b")
    history = History()
    async with led_by(a):
        await a.write(history, 3)
        await until_moved(cluster)
        async with led_by(b):
            for _ in range(10):
                await a.write(history, 2)
            await until_moved(cluster)
    assert set(marks(bucket)) == {(a.log.writer, number) for number in range(23)}
    c = await cluster.join("c")
    assert await collect(c.log.read("s1")) == history.records
    assert cluster.index_of("a") == cluster.index_of("c")


@pytest.mark.parametrize("fault", ["before", "after", "refused"])
async def test_while_the_bucket_fails_the_log_goes_on_in_etcd(
    cluster: Cluster, bucket: Bucket, fault: str
) -> None:
    a, b = await cluster.join("a"), await cluster.join("b")
    history = History()
    await a.write(history, 3)
    bucket.plan("put", *[fault] * 9)
    async with led_by(a):
        await a.write(history, 10)
        await b.see_all()
        assert await collect(b.log.read("s1")) == history.records
        await until_moved(cluster)
    assert bucket.planned == 0
    assert set(marks(bucket).values()) == {1}
    c = await cluster.join("c")
    assert await collect(c.log.read("s1")) == history.records


async def test_a_single_server_and_another_cluster_are_refused_the_store_of_a_cluster(
    cluster: Cluster, bucket: Bucket, etcd: EtcdServer, tmp_path: Path
) -> None:
    await cluster.join("a")
    before = dict(bucket.stored)
    with pytest.raises(StoreLocked, match=r"is that of the cluster .* as a node of it"):
        async with open_s3_log(bucket, tmp_path / "single"):
            pass
    async with clustered(etcd.urls, b"/other/", bucket, tmp_path) as other:
        with pytest.raises(StoreLocked, match="is that of the cluster"):
            await other.join("b")
    assert bucket.stored == before


async def test_the_store_of_a_single_server_becomes_that_of_a_cluster(
    cluster: Cluster, bucket: Bucket, tmp_path: Path
) -> None:
    history = History()
    async with open_s3_log(bucket, tmp_path / "single") as single:
        await single.append([history.created()])
        await single.append([history.executed()])
        a = await cluster.join("a")
        with pytest.raises(journal.Fenced):
            await single.append([history.executed()])
        history.undo()
    await a.claim(history)
    await a.log.append([history.executed()])
    async with led_by(a):
        await until_moved(cluster)
    b = await cluster.join("b")
    assert await collect(b.log.read("s1")) == history.records


async def test_segments_and_bases_are_made_of_what_was_moved_whatever_is_in_etcd_by_then(
    cluster: Cluster, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base has what its index has, more than the log in the bucket has then: that comes again, and is over."""
    monkeypatch.setattr(compaction, "DUE_BATCHES", 1)
    monkeypatch.setattr(compaction, "READ_WITHIN", timedelta())
    a, b = await cluster.join("a"), await cluster.join("b")
    kept, gone = History("kept"), History("gone")
    await a.write(kept, 3)
    async with led_by(a):
        await until_moved(cluster)
        await a.see_all()
    await a.write(kept, 2)
    await b.write(gone, 3)
    await a.see_all()
    work = compaction.Compaction(bucket, Index(bucket, cluster.folder / "a"), segments.newest(bucket))
    await trio.to_thread.run_sync(work.rebase)
    assert segments.newest(bucket).ahead == {a.log.writer: 4, b.log.writer: 2}
    await b.log.append([gone.closed()])
    assert (await b.log.purge("gone", before=20_000)).over
    async with led_by(b):
        await until_moved(cluster)
        with trio.fail_after(SECONDS):
            while not segments.newest(bucket).segments:  # noqa: ASYNC110 (a thread makes it)
                await trio.sleep(0.01)
    c = await cluster.join("c")
    assert await c.log.session("gone") is None
    assert await collect(c.log.read("kept")) == kept.records
    await a.see_all()
    assert cluster.index_of("a") == cluster.index_of("b") == cluster.index_of("c")


async def test_a_leader_that_is_refused_for_long_lets_another_node_lead(
    cluster: Cluster, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one whose clock is wrong, for which S3 refuses all that it asks."""
    monkeypatch.setattr(archive, "GIVE_UP_SECONDS", 0.2)
    a, b = await cluster.join("a"), await cluster.join("b")
    await a.write(History(), 3)

    def refuse(operation: Operation, key: str) -> None:
        raise Refused(f"no {operation} of {key}")

    bucket.before_call = refuse
    leader = await a.lead()
    with trio.fail_after(SECONDS):
        await a.log.archive(leader)
    bucket.before_call = lambda operation, key: None
    async with led_by(b):
        await until_moved(cluster)


async def test_a_large_body_is_in_the_log_of_the_bucket_in_the_end(
    cluster: Cluster, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_VALUE_BYTES", 1_000)
    monkeypatch.setattr(archive, "TAILS_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(archive, "TAILS_GRACE", timedelta(hours=1))
    bucket.slow_by = timedelta(hours=2)  # it is the node's clock that is wrong
    a, b = await cluster.join("a"), await cluster.join("b")
    history = History()
    await a.claim(history)
    history.created()
    for n in range(20):
        history.executed(code=f"{n}" * 5_000, input=str(list(range(n * 500))))
    await a.log.append(history.records)
    (tail,) = [key for key in bucket.stored if key.startswith(batches.PARTS)]
    async with led_by(a):
        await until_moved(cluster)
        with trio.fail_after(SECONDS):
            while ("find", batches.PARTS) not in bucket.calls:  # noqa: ASYNC110 (a thread looks)
                await trio.sleep(0.01)
            bucket.calls.clear()
            while ("find", batches.PARTS) not in bucket.calls:  # noqa: ASYNC110 (the first look is over)
                await trio.sleep(0.01)
        assert tail in bucket.stored, "somebody may be about to read it"
        bucket.age(tail, 4_000)
        with trio.fail_after(SECONDS):
            while tail in bucket.stored:  # noqa: ASYNC110 (a thread removes it)
                await trio.sleep(0.01)
    await b.see_all()
    c = await cluster.join("c")
    for node in (b, c):
        assert await collect(node.log.read("s1")) == history.records


async def test_the_leader_moves_at_once_what_is_much(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "EVERY_SECONDS", 3_600)
    monkeypatch.setattr(log, "DUE_BATCHES", 5)
    a = await cluster.join("a")
    history = History()
    await a.write(history, 1)
    async with led_by(a):
        await until_moved(cluster)
        await a.see_all()
        await a.write(history, 4)
        await a.see_all()
        assert a.log.tail_batches == 4
        await a.write(history, 1)
        await until_moved(cluster)


def _counted(apply):
    """``Index._apply``, which counts."""

    def counting(self, db, found, journal):
        batches = list(found)
        counting.batches += len(batches)
        apply(self, db, batches, journal)

    counting.batches = 0
    return counting
