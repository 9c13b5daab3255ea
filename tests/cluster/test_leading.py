"""Who leads, where the node that does cannot move the log to S3."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio
from etcd_server import EtcdServer
from joined_nodes import Joined, joined

from cluster import leading
from cluster.leading import Leading
from cluster.records import Running


class Log:
    """Cannot be moved, which is found out ``after`` some seconds; or can."""

    def __init__(self, after: float) -> None:
        self.after = after
        self.begun = 0

    async def archive(self, leader: object) -> None:  # noqa: ARG002
        self.begun += 1
        await trio.sleep(self.after)


async def nobody(running: Running) -> None:
    raise AssertionError(running)


def leading_of(node: Joined, log: Log) -> Leading:
    return Leading(node.etcd, node.keys, node.membership, node.view, cast(Any, log), nobody)


async def until_led(by: str, *nodes: Joined) -> None:
    for node in nodes:
        while node.view.leader != by:
            await node.view.changed.wait()


async def test_a_node_that_cannot_move_the_log_lets_another_one_lead(
    etcd: EtcdServer, prefix: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leading, "REST_SECONDS", 3_600)
    cut_off, well = Log(0), Log(3_600)
    async with joined("a", etcd, prefix) as a, joined("b", etcd, prefix) as b, trio.open_nursery() as nursery:
        while len(a.view.members) < 2:
            await a.view.changed.wait()
        first = leading_of(a, cut_off)
        nursery.start_soon(first.run)
        while not cut_off.begun:
            await a.view.changed.wait()
        second = leading_of(b, well)
        nursery.start_soon(second.run)
        await until_led("b", a, b)
        while not well.begun:
            await b.view.changed.wait()
        assert (first.leads, cut_off.begun, well.begun) == (False, 1, 1)
        nursery.cancel_scope.cancel()


async def test_where_there_is_no_other_one_it_leads_all_the_same(
    etcd: EtcdServer, prefix: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And goes on trying for as long as it takes, as the only one that can."""
    monkeypatch.setattr(leading, "REST_SECONDS", 3_600)
    log = Log(0.01)
    async with joined("a", etcd, prefix) as a, trio.open_nursery() as nursery:
        only = leading_of(a, log)
        nursery.start_soon(only.run)
        while log.begun < 2:
            await a.view.changed.wait()
        led = only._leader
        log.after = 3_600
        for _ in range(3):  # of heartbeats, in which nothing changes
            await a.view.reached(await a.membership.beat())
        assert only.leads
        assert only._leader is led
        nursery.cancel_scope.cancel()
