"""Of several nodes each has the whole log, and each appends to the sessions that it has."""

from __future__ import annotations

from random import Random

import pytest
import trio
from bucket import Bucket
from cluster_logs import Cluster, Node
from log_samples import History, checkpoint_of, collect, every_kind

from engine.errors import AppendConflict, Conflict, NodeFenced, NotOwner


async def test_what_one_node_appends_is_on_all_others(cluster: Cluster) -> None:
    a, b = await cluster.join("a"), await cluster.join("b")
    history, fork = every_kind()
    await a.claim(history, fork)
    for record in history.records[:-1]:
        await a.log.append([record])
    await a.log.append(fork.records)
    await a.log.append(history.records[-1:])
    await b.see_all()
    assert await collect(b.log.read("s1")) == history.records
    assert await collect(b.log.read("s2")) == fork.records
    assert b.applied == [*history.records[:-1], *fork.records, *history.records[-1:]]
    assert a.applied == []
    assert b.log.lag == 0


async def test_nodes_that_write_at_once_have_the_same_in_the_end(cluster: Cluster) -> None:
    nodes = [await cluster.join(name) for name in "abc"]
    histories = [History(f"s{n}") for n in range(9)]
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for n, history in enumerate(histories):
                nursery.start_soon(nodes[n % 3].write, history, 12)
    found = []
    for node in nodes:
        await node.see_all()
        found.append(cluster.index_of(node.name))
        for history in histories:
            assert await collect(node.log.read(history.session)) == history.records
    assert found[0] == found[1] == found[2]


async def test_a_session_moves_with_all_that_was_written_of_it(cluster: Cluster) -> None:
    a, b = await cluster.join("a"), await cluster.join("b")
    history = History()
    await a.write(history, 5)
    await b.claim(history, take=True)
    with pytest.raises(NotOwner, match="does not have session s1"):
        await a.log.append([history.executed()])
    history.undo()
    await b.log.append([history.executed()])
    await a.see_all()
    assert await collect(a.log.read("s1")) == await collect(b.log.read("s1")) == history.records
    assert a.log.failing is None, "it is the session that is another node's"
    await a.claim(history, take=True)
    await a.log.append([history.executed()])


async def test_of_appends_that_come_together_those_of_other_sessions_are_durable(cluster: Cluster) -> None:
    a, b = await cluster.join("a"), await cluster.join("b")
    histories = [History(f"s{n}") for n in range(6)]
    for history in histories:
        await a.write(history, 1)
    await b.claim(histories[2], histories[4], take=True)
    outcomes = {}

    async def append(history: History) -> None:
        try:
            await a.log.append([history.executed()])
        except NotOwner as refused:
            outcomes[history.session] = refused.code
        else:
            outcomes[history.session] = "durable"

    async with trio.open_nursery() as nursery:
        for history in histories:
            nursery.start_soon(append, history)
    lost = {"s2", "s4"}
    assert outcomes == {f"s{n}": "not_owner" if f"s{n}" in lost else "durable" for n in range(6)}
    await b.see_all()
    for history in histories:
        if history.session in lost:
            history.undo()
        assert await collect(b.log.read(history.session)) == history.records


async def test_a_node_that_is_no_member_any_more_appends_nothing(cluster: Cluster) -> None:
    a, b = await cluster.join("a"), await cluster.join("b")
    history = History()
    await a.write(history, 2)
    await a.fence()
    for _ in range(2):
        with pytest.raises(NodeFenced, match="not a member of its cluster"):
            await a.log.append([history.executed()])
        history.undo()
    with pytest.raises(NodeFenced):
        await a.log.checkpoint_blobs()
    assert a.log.failing is not None
    await b.see_all()
    assert await collect(b.log.read("s1")) == history.records
    await a.join()
    await a.log.append([history.executed()])
    assert a.log.failing is None


async def test_a_node_that_knows_that_it_is_no_member_asks_nobody(cluster: Cluster) -> None:
    a = await cluster.join("a")
    history = History()
    await a.claim(history)
    a.fences.node = None
    with pytest.raises(NodeFenced):
        await a.log.append([history.created()])


async def test_an_idempotency_key_is_used_on_one_node_only(cluster: Cluster) -> None:
    a, b = await cluster.join("a"), await cluster.join("b")
    first, second = History("s1"), History("s2")
    await a.write(first, 1)
    await b.write(second, 1)
    await a.log.append([first.executed(idempotency_key="k", request_hash="ab")])
    # before it has heard of it
    b.log.take = lambda changes: None  # type: ignore[method-assign]
    with pytest.raises(AppendConflict, match="idempotency key was used before"):
        await b.log.append([second.executed(idempotency_key="k", request_hash="ab")])
    second.undo()
    await b.log.append([second.executed(idempotency_key="other", request_hash="ab")])


async def test_what_is_noted_of_checkpoints_and_removed_is_on_all_nodes(cluster: Cluster) -> None:
    a, b = await cluster.join("a"), await cluster.join("b")
    history = History()
    await a.write(history, 4)
    await a.log.add_checkpoint(checkpoint_of(history.records[1]))
    await a.log.add_checkpoint(checkpoint_of(history.head), [checkpoint_of(history.records[1])])
    await b.see_all()
    assert await b.log.checkpoints("s1") == [checkpoint_of(history.head)]
    await a.log.append([history.closed()])
    await b.see_all()
    assert (await b.log.purge("s1", before=20_000)).over
    await a.see_all()
    assert await a.log.session("s1") is None
    assert cluster.index_of("a") == cluster.index_of("b")


async def test_a_node_that_comes_later_reads_what_is_in_etcd(cluster: Cluster, bucket: Bucket) -> None:
    a = await cluster.join("a")
    history = History()
    await a.write(history, 40)
    b = await cluster.join("b")
    assert await collect(b.log.read("s1")) == history.records
    await a.write(history, 3)
    await b.see_all()
    assert await collect(b.log.read("s1")) == history.records
    assert [key for key in bucket.stored if key.startswith("log/")] == ["log/00000000000000000000"]


async def test_a_body_that_is_too_large_for_etcd_is_in_the_bucket(cluster: Cluster, bucket: Bucket) -> None:
    a, b = await cluster.join("a"), await cluster.join("b")
    history = History()
    await a.write(history, 1)
    code = Random(1).randbytes(600_000).hex()
    await a.log.append([history.executed(code=code)])
    assert any(key.startswith("tails/") for key in bucket.stored)
    await b.see_all()
    assert await collect(b.log.read("s1")) == history.records
    c = await cluster.join("c")
    assert await collect(c.log.read("s1")) == history.records


async def adopt(node: Node, history: History) -> None:
    await node.claim(history)
    async with node.log.adoption() as adoption:
        await adoption.add(history.records)
        await adoption.commit()


async def test_a_session_that_one_node_takes_in_is_on_all(cluster: Cluster) -> None:
    a, b = await cluster.join("a"), await cluster.join("b")
    history = History()
    history.created()
    for n in range(150):
        history.executed(idempotency_key=f"k{n}")
    await adopt(a, history)
    await b.see_all()
    assert await collect(b.log.read("s1")) == history.records
    assert cluster.index_of("a") == cluster.index_of("b")
    await b.claim(history, take=True)
    await b.log.append([history.executed()])


async def test_the_keys_of_a_session_that_is_taken_in_are_used_by_no_other_node(cluster: Cluster) -> None:
    a, b = await cluster.join("a"), await cluster.join("b")
    history, other = History(), History("other")
    history.created()
    history.executed(idempotency_key="k1")
    await b.write(other, 1)
    await b.log.append([other.executed(idempotency_key="k2")])
    b.log.take = lambda changes: None  # type: ignore[method-assign]
    await adopt(a, history)
    with pytest.raises(AppendConflict, match="idempotency key was used before"):
        await b.log.append([other.executed(idempotency_key="k1")])
    other.undo()
    late = History("late")
    late.created()
    late.executed(idempotency_key="k2")
    with pytest.raises(Conflict, match="was used here for something else"):
        await adopt(a, late)
