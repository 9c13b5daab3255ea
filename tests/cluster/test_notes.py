"""What nodes note of executions in etcd, and what the leader makes of the notes of nodes that are lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest
import trio
from etcd_server import EtcdServer
from joined_nodes import Joined, joined

from cluster.leading import Leading
from cluster.records import Running
from engine.errors import Busy, Conflict, Elsewhere, NodeFenced, NodeLost
from engine.events import Caller
from engine.execution import Execution, Report, Submission
from persistence.etcd.requests import put

CALLER = Caller(transport="test")
ASKED = Submission(owner="local", code="1", caller=CALLER, session="x")


@pytest.fixture
async def node(etcd: EtcdServer, prefix: bytes) -> AsyncIterator[Joined]:
    async with joined("a", etcd, prefix) as one:
        yield one


def execution(name: str) -> Execution:
    made = Execution(name, "local", caller=CALLER, accepted_at=1)
    made.session = "x"
    return made


async def test_what_failed_is_noted_no_more_and_what_another_node_goes_on_with_is(node: Joined) -> None:
    refused, fenced, known = execution("e_refused"), execution("e_fenced"), execution("e_known")
    async with trio.open_nursery() as nursery:
        for one in (refused, fenced, known):
            node.notes.accepted(ASKED, one)
            await node.notes.note(one)
        await node.until_noted("e_refused", "e_fenced", "e_known")
        nursery.start_soon(node.notes.run)
        fenced.fail(NodeFenced("made up"))
        refused.fail(Conflict("made up"))
        # recorded under its idempotency key by another node
        known.finish(Report(execution_id="e_other", session="x", status="completed"))
        await node.until_noted("e_fenced")
        nursery.cancel_scope.cancel()


async def test_what_came_back_from_the_node_that_noted_it_is_noted_no_more_once_it_fails(
    etcd: EtcdServer, prefix: bytes, node: Joined
) -> None:
    refused, lost, there = execution("e_refused"), execution("e_lost"), execution("e_refused")
    async with joined("b", etcd, prefix) as other, trio.open_nursery() as nursery:
        other.notes.accepted(ASKED, there)
        await other.notes.note(there)
        other.notes.accepted(ASKED, other_lost := execution("e_lost"))
        await other.notes.note(other_lost)
        for one in (node, other):
            await one.until_noted("e_refused", "e_lost")
            nursery.start_soon(one.notes.run)
        for one in (there, other_lost):
            one.fail(Elsewhere("the session went to another node"))
        for one in (refused, lost):
            node.notes.came_back(one)
        refused.fail(Busy("made up"))
        lost.fail(NodeLost("made up"))  # which is to be recorded
        await node.until_noted("e_lost")
        nursery.cancel_scope.cancel()


async def test_what_another_node_goes_on_with_is_noted_though_it_left_while_it_was_being_noted(
    node: Joined, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, transact = execution("e_left"), node.etcd.transact

    async def leaving(*asked: Any, **how: Any) -> Any:
        if not left.done:
            left.fail(Elsewhere("the session went to another node"))
        return await transact(*asked, **how)

    monkeypatch.setattr(node.etcd, "transact", leaving)
    node.notes.accepted(ASKED, left)
    await node.notes.note(left)
    await node.view.reached(await node.membership.beat())
    await node.until_noted("e_left")


async def test_a_loss_that_cannot_be_recorded_soon_keeps_no_other_from_being_recorded(node: Joined) -> None:
    buried = []

    async def bury(running: Running) -> None:
        buried.append(running.execution_id)
        if running.execution_id == "e_0":  # its session runs something else
            await trio.sleep_forever()

    class Log:
        async def archive(self, leader: object) -> None:  # noqa: ARG002
            await trio.sleep_forever()

    leading = Leading(node.etcd, node.keys, node.membership, node.view, cast(Any, Log()), bury)
    for number in range(3):
        name = f"e_{number}"
        lost = Running(
            node="b", incarnation="gone", execution_id=name, accepted_at=1, session="x", submission=ASKED
        )
        await node.etcd.transact([], [put(node.keys.execution(name), msgspec.json.encode(lost))])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leading.run)
        await node.until_noted("e_0")
        nursery.cancel_scope.cancel()
    assert sorted(buried) == ["e_0", "e_1", "e_2"]
