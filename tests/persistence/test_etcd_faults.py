"""Whatever becomes of requests and answers, what was answered for is there once, and all else is not."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
from bucket import Bucket
from cluster_logs import SECONDS, Cluster
from etcd_server import EtcdServer
from log_samples import History, collect
from s3_proxy import DROPPED, DROPPED_AFTER, SILENCE_AFTER, Fault, Proxy, at_random, proxied, status

from engine.errors import NodeFenced, NotOwner, StoreCorrupt, StoreFailed
from persistence.etcd import batches, shipping
from persistence.etcd.requests import delete, put
from persistence.schema import DATABASE_NAME


@pytest.fixture
def etcd_proxy(etcd: EtcdServer) -> Iterator[Proxy]:
    """Between a writer and etcd."""
    with proxied(etcd.urls[0]) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses."""
    monkeypatch.setattr(shipping, "FIRST_PAUSE_SECONDS", 0.001)


FAULTS = {
    "lost before": DROPPED,
    "lost after": DROPPED_AFTER,
    "an error before": status(503),
    "an error after": status(503, reaches=True),
    "cut off": Fault(cut=-1),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_an_append_without_an_answer_is_made_once(
    cluster: Cluster, etcd_proxy: Proxy, fault: Fault
) -> None:
    a, b = await cluster.join("a", writer_urls=[etcd_proxy.endpoint]), await cluster.join("b")
    history = History()
    await a.write(history, 1)
    for count in range(3):
        etcd_proxy.plan("POST", *[fault] * count)
        await a.log.append([history.executed(idempotency_key=f"k{count}")])
    assert etcd_proxy.planned == 0
    await b.see_all()
    assert await collect(b.log.read("s1")) == await collect(a.log.read("s1")) == history.records
    assert len((await cluster.etcd.all(cluster.prefix + batches.FOLDER))[1]) == 4


async def test_of_an_append_that_was_moved_before_its_answer_came_the_archive_tells(
    cluster: Cluster, etcd_proxy: Proxy
) -> None:
    """Even if the node is no member any more by then."""
    a, b = await cluster.join("a", writer_urls=[etcd_proxy.endpoint]), await cluster.join("b")
    history = History()
    await a.write(history, 1)
    etcd_proxy.plan("POST", DROPPED_AFTER)
    etcd_proxy.keep_failing(iter(lambda: DROPPED, None))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.log.append, [history.executed(idempotency_key="k")])
        with trio.fail_after(SECONDS):
            while b.log.tail_batches < 2:
                await b.see_all()
        leader = await b.lead()
        with trio.move_on_after(1):
            await b.log.archive(leader)
        await a.fence()
        etcd_proxy.keep_failing(None)
    assert await collect(a.log.read("s1")) == history.records
    with pytest.raises(NodeFenced):
        await a.log.append([history.executed()])
    history.undo()
    c = await cluster.join("c")
    assert await collect(c.log.read("s1")) == history.records


async def test_one_that_was_moved_while_its_answer_was_waited_for_is_not_taken_for_refused_by_the_next_member(
    cluster: Cluster, etcd_proxy: Proxy, etcd: EtcdServer
) -> None:
    urls = [etcd_proxy.endpoint, *etcd.urls]
    a, b = await cluster.join("a", writer_urls=urls), await cluster.join("b")
    history = History()
    await a.write(history, 1)
    etcd_proxy.plan("POST", SILENCE_AFTER)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.log.append, [history.executed(idempotency_key="k")])
        with trio.fail_after(SECONDS):
            while b.log.tail_batches < 2:
                await b.see_all()
        leader = await b.lead()
        with trio.move_on_after(1):
            await b.log.archive(leader)
        await a.fence()
    assert await collect(a.log.read("s1")) == history.records


async def test_a_fence_that_was_lost_while_no_answer_came_is_told_for_sure(
    cluster: Cluster, etcd_proxy: Proxy
) -> None:
    a, b = await cluster.join("a", writer_urls=[etcd_proxy.endpoint]), await cluster.join("b")
    history = History()
    await a.write(history, 1)
    etcd_proxy.keep_failing(iter(lambda: DROPPED, None))

    async def append() -> None:
        with pytest.raises(NotOwner):
            await a.log.append([history.executed()])
        history.undo()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(append)
        await b.claim(history, take=True)
        etcd_proxy.keep_failing(None)
    await b.log.append([history.executed()])
    await a.see_all()
    assert await collect(a.log.read("s1")) == history.records


async def test_an_etcd_that_is_not_there_for_long_is_told_for_sure(
    cluster: Cluster, etcd_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "MAX_WAIT_SECONDS", 0.1)
    a = await cluster.join("a", writer_urls=[etcd_proxy.endpoint])
    history = History()
    await a.write(history, 1)
    etcd_proxy.close()
    with pytest.raises(StoreFailed, match=r"the event was not stored: etcd at .* cannot be reached"):
        await a.log.append([history.executed()])
    assert a.log.failing is not None


async def test_whatever_answers_are_lost_all_that_was_answered_for_is_on_every_node(
    cluster: Cluster, etcd: EtcdServer
) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 (shown where it fails)
    histories = {f"{name}{n}": History(f"{name}{n}") for name in "ab" for n in range(4)}
    with proxied(etcd.urls[0]) as one, proxied(etcd.urls[0]) as other:
        nodes = {
            "a": await cluster.join("a", writer_urls=[one.endpoint]),
            "b": await cluster.join("b", writer_urls=[other.endpoint]),
        }
        one.keep_failing(at_random(seed, 0.3))
        other.keep_failing(at_random(seed + 1, 0.3))
        leader = await nodes["a"].lead()
        with trio.fail_after(60):
            async with trio.open_nursery() as leading:
                leading.start_soon(nodes["a"].log.archive, leader)
                async with trio.open_nursery() as nursery:
                    for name, history in histories.items():
                        nursery.start_soon(nodes[name[0]].write, history, 8)
                leading.cancel_scope.cancel()
        late = await cluster.join("late")
        for node in (*nodes.values(), late):
            await node.see_all()
            for history in histories.values():
                assert await collect(node.log.read(history.session)) == history.records
        for node in nodes.values():
            await node.leave()


async def test_a_node_whose_index_is_gone_or_old_or_damaged_has_all_again(
    cluster: Cluster, tmp_path: Path
) -> None:
    a, b = await cluster.join("a"), await cluster.join("b")
    history = History()
    await a.write(history, 4)
    await b.see_all()
    await b.leave()
    await a.write(history, 4)
    b = await cluster.join("b")
    assert await collect(b.log.read("s1")) == history.records
    await b.leave()
    (tmp_path / "b" / DATABASE_NAME).write_bytes(b"nothing of SQLite's")
    b = await cluster.join("b")
    assert await collect(b.log.read("s1")) == history.records


async def test_an_index_that_does_not_fit_is_made_again(
    cluster: Cluster, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = await cluster.join("a"), await cluster.join("b")
    history = History()
    await a.write(history, 4)
    await b.see_all()
    await b.leave()
    await a.write(history, 1)
    with closing(sqlite3.connect(tmp_path / "b" / DATABASE_NAME)) as db, db:
        db.execute("UPDATE writers SET number = 1")
    b = await cluster.join("b")
    assert "does not fit the log, and is made again" in caplog.text
    assert await collect(b.log.read("s1")) == history.records


async def test_what_does_not_fit_while_a_node_runs_ends_it_and_its_next_start_makes_the_index_again(
    cluster: Cluster, tmp_path: Path, etcd: EtcdServer, prefix: bytes, bucket: Bucket
) -> None:
    a = await cluster.join("a")
    history = History()
    await a.write(history, 3)

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            doomed = Cluster(cluster.etcd, etcd.urls, prefix, bucket, nursery, tmp_path)
            await doomed.join("b")
            with closing(sqlite3.connect(tmp_path / "b" / DATABASE_NAME)) as db, db:
                db.execute("UPDATE writers SET number = 1")
            await a.write(history, 1)
            with trio.fail_after(SECONDS):
                await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as ended:
        await run()
    assert ended.group_contains(StoreCorrupt, match=r"batch 2 of writer .* is missing")
    b = await cluster.join("b")
    assert await collect(b.log.read("s1")) == history.records


async def test_where_etcd_has_forgotten_what_a_watch_would_give_the_log_is_read_again(
    cluster: Cluster,
) -> None:
    a, b = await cluster.join("a"), await cluster.join("b", follows=False)
    first, second = History("s1"), History("s2")
    await a.write(first, 5)
    leader = await a.lead()
    with trio.move_on_after(1):
        await a.log.archive(leader)
    await a.write(second, 5)
    await cluster.etcd.compact((await cluster.etcd.get(b"x")).revision)
    after = await b.log.renew()
    assert after == b.log.watch_from
    assert [*first.records, *second.records] == b.applied
    for history in (first, second):
        assert await collect(b.log.read(history.session)) == history.records
    assert b.log.tail_batches == a.log.tail_batches


async def test_what_an_etcd_has_that_is_no_batch_is_told(cluster: Cluster, prefix: bytes) -> None:
    await cluster.etcd.transact([], [put(prefix + b"log/notes.txt", b"hello")])
    with pytest.raises(StoreCorrupt, match=r"notes\.txt.* is no part of a log"):
        await cluster.join("a")


async def test_a_batch_that_was_altered_is_told(cluster: Cluster, prefix: bytes) -> None:
    a = await cluster.join("a")
    history = History()
    await a.write(history, 2)
    key = batches.key(prefix, a.log.writer, 1)
    (item,) = (await cluster.etcd.get(key)).items
    await cluster.etcd.transact([], [put(key, item.value[:-1] + b"x")])
    with pytest.raises(StoreCorrupt, match="altered"):
        await cluster.join("b")


async def test_a_batch_that_is_missing_is_told(cluster: Cluster, prefix: bytes) -> None:
    a = await cluster.join("a")
    history = History()
    await a.write(history, 4)
    await cluster.etcd.transact([], [delete(batches.key(prefix, a.log.writer, 2))])
    with pytest.raises(StoreCorrupt, match=r"batch 2 of writer .* is missing: a part of the log was lost"):
        await cluster.join("b")


async def test_a_cancelled_append_is_in_the_log_or_was_not_begun(cluster: Cluster) -> None:
    a, b = await cluster.join("a"), await cluster.join("b")
    history = History()
    await a.write(history, 1)
    for _ in range(5):
        with trio.CancelScope() as scope:
            scope.cancel()
            await a.log.append([history.executed()])
    await b.see_all()
    assert await collect(b.log.read("s1")) == history.records
