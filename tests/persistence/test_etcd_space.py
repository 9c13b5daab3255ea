"""An etcd that has little space loses nothing, and works again by itself once there is room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
import trio
from bucket import Bucket
from cluster_logs import SECONDS, Cluster, Node, clustered
from etcd_server import EtcdServer, wanted
from log_samples import History, collect
from s3_memory import Operation

from engine.errors import StoreError, StoreFailed, StoreFull
from persistence.etcd import archive, space
from persistence.etcd.failures import NoSpace
from persistence.etcd.requests import delete, put
from persistence.s3.objects import Unanswered

QUOTA = 5_000_000
BODY = 30_000


@pytest.fixture
def small(tmp_path: Path) -> Iterator[EtcdServer]:
    """An etcd that takes little."""
    wanted()
    (tmp_path / "etcd").mkdir()
    server = EtcdServer(tmp_path / "etcd", flags=["--unsafe-no-fsync", f"--quota-backend-bytes={QUOTA}"])
    yield server
    server.close()


@pytest.fixture
async def cluster(small: EtcdServer, bucket: Bucket, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with clustered(small.urls, b"/small/", bucket, tmp_path) as cluster:
        cluster.quota = QUOTA
        yield cluster


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses."""
    monkeypatch.setattr(archive, "LEAST_SECONDS", 0.01)
    monkeypatch.setattr(archive, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(space, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(space, "ALARM_SECONDS", 0.05)


async def until(condition: Callable[[], bool]) -> None:
    """Etcd is asked for it now and then."""
    with trio.fail_after(SECONDS):
        while not condition():  # noqa: ASYNC110 (nobody tells)
            await trio.sleep(0.01)


async def fill(node: Node, history: History, most: int = 400) -> StoreError:
    """Append until it is refused."""
    chance = Random(most)
    for _ in range(most):
        try:
            await node.log.append([history.executed(code=chance.randbytes(BODY // 2).hex())])
        except StoreError as refused:
            history.undo()
            return refused
    raise AssertionError("it takes everything")


async def test_while_the_bucket_takes_nothing_all_is_refused_before_etcd_takes_nothing(
    cluster: Cluster, bucket: Bucket
) -> None:
    a, b = await cluster.join("a"), await cluster.join("b")
    history, other = History(), History("other")
    await a.write(history, 1)
    await b.claim(other)
    leader = await a.lead()

    def be_gone(operation: Operation, _: str) -> None:
        if operation == "put":
            raise Unanswered("S3 is gone")

    bucket.before_call = be_gone
    with trio.fail_after(2 * SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.log.archive, leader)
            refused = await fill(a, history)
            assert isinstance(refused, StoreFailed)
            assert "of its quota, since the log is not moved to S3" in refused.message
            await until(lambda: b.log.space.used >= space.NO_SESSIONS_AT)
            with pytest.raises(StoreFull, match="no new session is taken"):
                await b.log.append([other.created()])
            other.undo()
            assert not a.log.space.is_out
            await a.join()
            bucket.before_call = lambda operation, key: None
            await until(lambda: a.log.space.used < space.CALM_AT)
            nursery.cancel_scope.cancel()
    await a.log.append([history.executed()])
    await until(lambda: b.log.space.used < space.NO_SESSIONS_AT)
    await b.log.append([other.created()])
    c = await cluster.join("c")
    for node in (a, b, c):
        await node.see_all()
        assert await collect(node.log.read("s1")) == history.records


async def test_where_somebody_else_fills_etcd_it_is_mended_once_that_is_gone(cluster: Cluster) -> None:
    a = await cluster.join("a")
    history = History()
    await a.write(history, 1)
    for n in range(QUOTA // 500_000 + 1):
        with suppress(NoSpace):
            await cluster.etcd.transact([], [put(b"/strange/%d" % n, Random(n).randbytes(500_000))])
    refused = await fill(a, history, 1)
    assert isinstance(refused, StoreFailed)
    await cluster.etcd.transact([], [delete(b"/strange/", b"/strange0")])
    await until(lambda: not a.log.space.is_tight)
    await a.log.append([history.executed()])
    b = await cluster.join("b")
    assert await collect(b.log.read("s1")) == history.records


async def test_of_what_is_refused_for_space_nothing_is_there(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Etcd says that it has no space also to the one with whom it is used up, and takes that."""
    monkeypatch.setattr(space, "NOTHING_AT", 9.0)
    monkeypatch.setattr(space, "NO_SESSIONS_AT", 9.0)
    nodes = [await cluster.join(name) for name in "abcd"]
    histories = [History(f"s{n}") for n in range(len(nodes))]
    for node, history in zip(nodes, histories, strict=True):
        await node.write(history, 1)

    leader = await nodes[0].lead()

    async def write(node: Node, history: History) -> None:
        refused = await fill(node, history)
        assert isinstance(refused, StoreFailed)

    with trio.fail_after(2 * SECONDS):
        async with trio.open_nursery() as nursery:
            for node, history in zip(nodes, histories, strict=True):
                nursery.start_soon(write, node, history)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(nodes[0].log.archive, leader)
            await until(lambda: not (nodes[0].log.space.is_tight or nodes[0].log.tail_batches))
            nursery.cancel_scope.cancel()
    late = await cluster.join("late")
    for node in (*nodes, late):
        await node.see_all()
        for history in histories:
            assert await collect(node.log.read(history.session)) == history.records
