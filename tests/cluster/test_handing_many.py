"""Sessions that a node gives away: some of which have something to do for long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio
import trio.testing

from cluster.handing import AT_ONCE, LEAVE_SECONDS, Handing
from cluster.messages import MOVE, PREPARE
from cluster.records import Load, Member
from engine.errors import Unavailable


class Giving:
    """A node that has sessions, all awake; those that are ``busy`` go on with what they do."""

    def __init__(self, *busy: str) -> None:
        self.busy = set(busy)
        self.asked: list[str] = []
        self.given_up: list[str] = []
        self.ready = 0
        """Sessions that the other node has a worker ready for."""
        self.is_reached = True
        """The other node."""
        self._fewer = trio.Event()

    @property
    def node(self) -> Any:
        other = Member(
            node="b", incarnation="", addr="", program="", state="serving", since=0, load=Load(processors=1)
        )
        return SimpleNamespace(
            engine=SimpleNamespace(handing=self),
            ownership=self,
            peers=self,
            here=SimpleNamespace(revision=1),
            settings=SimpleNamespace(node="a"),
            takers={"b": other},
        )

    def is_awake(self, owner: str, name: str) -> bool:  # noqa: ARG002
        return True

    async def keep(self, owner: str, name: str) -> None:
        """It has a checkpoint."""

    def give(self, owner: str, name: str) -> None:
        """What is being done is done to its end."""

    def is_used(self, owner: str, name: str) -> bool:  # noqa: ARG002
        return name in self.busy

    async def released(self) -> None:
        await self._fewer.wait()

    async def reach(self, node: str) -> bool:  # noqa: ARG002
        return self.is_reached

    def end(self, name: str) -> None:
        self.busy.remove(name)
        fewer, self._fewer = self._fewer, trio.Event()
        fewer.set()

    async def give_up(self, owner: str, name: str) -> None:  # noqa: ARG002
        """Nobody has it."""
        self.given_up.append(name)

    @asynccontextmanager
    async def call(self, node: str, method: str, request: bytes) -> AsyncIterator[Any]:  # noqa: ARG002
        self.asked.append(method)
        self.ready += method == PREPARE
        try:
            yield self
        finally:
            self.ready -= method == PREPARE

    async def receive(self) -> bytes:
        return b""


@pytest.mark.usefixtures("autojump_clock")
async def test_for_sessions_that_are_busy_for_long_no_workers_wait_at_the_other_node() -> None:
    busy = [f"busy-{number}" for number in range(AT_ONCE)]
    giving = Giving(*busy)
    handing = Handing(cast(Any, giving.node))
    async with trio.open_nursery() as nursery:
        for name in busy:
            nursery.start_soon(handing.send_away, "local", name)
        await trio.testing.wait_all_tasks_blocked()
        assert giving.ready == AT_ONCE
        with trio.fail_after(LEAVE_SECONDS / 2):
            await handing.send_away("local", "idle")
        assert giving.asked.count(MOVE) == 1
        await trio.sleep(LEAVE_SECONDS)
        await trio.testing.wait_all_tasks_blocked()
        assert giving.ready == 0
        for name in busy:
            assert handing.to("local", name) == "b"
            giving.end(name)
    assert giving.asked.count(MOVE) == 1 + AT_ONCE


async def test_a_session_stays_where_it_is_if_the_node_that_shall_have_it_is_not_reached() -> None:
    giving = Giving()
    giving.is_reached = False
    handing = Handing(cast(Any, giving.node))
    with pytest.raises(Unavailable, match="stays where it is: node b is not reached"):
        await handing.give("local", "s", "b")
    assert (giving.asked, giving.given_up, handing.to("local", "s")) == ([], [], None)
