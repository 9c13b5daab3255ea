"""What another node is asked to do in this one's place, and sends back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import trio
import trio.testing
from meeting import node

from cluster import messages
from cluster.forwarding import Forwarding
from cluster.messages import EXECUTE, Over, Taken, ToExecute
from cluster.peers import Call
from engine.commands import Command, Execute
from engine.errors import Busy, Elsewhere
from engine.events import Caller
from engine.execution import Execution, Report, Submission

CALLER = Caller(transport="test")
PATIENCE = 1.0


class Away:
    """A node that may be ``busy`` so often before and after it takes something, which it lets go when it is told
    to, and does when it comes again.
    """

    def __init__(self, *, busy: tuple[int, int] = (0, 0)) -> None:
        self.taken = trio.Event()
        self.lets_go = trio.Event()
        self._busy = list(busy)

    async def execute(self, call: Call) -> None:
        asked = msgspec.msgpack.decode(call.request, type=ToExecute)
        if self._busy[self.taken.is_set()]:
            self._busy[self.taken.is_set()] -= 1
            raise Busy("64 executions wait for session x")
        told = Taken(
            code="1",
            caller=CALLER,
            accepted_at=1,
            idempotency_key=None,
            request_hash="",
            execution_id=asked.execution_id,
        )
        await call.send(messages.encode(told))
        if not self.taken.is_set():
            self.taken.set()
            await self.lets_go.wait()
            raise Elsewhere("the session went to another node")
        report = Report(execution_id=asked.execution_id, session="x", status="completed")
        await call.send(messages.encode(Over(report, 0)))


class AtB:
    """Everything is node b's."""

    async def whereto(self, owner: str, name: str | None, key: str | None) -> str | None:  # noqa: ARG002
        return "b"

    async def until_moved(self, owner: str, name: str | None, node: str | None) -> None:
        """It is seen at once."""

    async def take(self, owner: str, name: str | None, command: Command) -> None:  # noqa: ARG002
        raise AssertionError("nothing is done here")

    def came_back(self, execution: Execution) -> None:
        """Nothing is noted of it."""


async def _at_once(revision: int) -> None:
    """The log here is as far as that."""


@asynccontextmanager
async def forwarded(away: Away) -> AsyncIterator[Execution]:
    """An execution on its way to such a node."""
    book: dict[str, str] = {}
    execution = Execution("e_1", "local", caller=CALLER, accepted_at=1)
    execution.session = "x"
    submission = Submission(owner="local", code="1", caller=CALLER, session="x")
    with trio.fail_after(60):
        async with (
            node("a", book) as a,
            node("b", book, {EXECUTE: away.execute}),
            trio.open_nursery() as nursery,
        ):
            forwarding = Forwarding(nursery, a.peers, AtB(), AtB(), _at_once, PATIENCE)
            forwarding.forward(Execute(submission, execution), "local", "x")
            yield execution
            while not execution.done:
                await execution.changed.wait()
            while forwarding.is_on_its_way("local", "x"):
                await trio.lowlevel.checkpoint()


async def test_what_has_waited_long_where_it_is_sent_back_from_is_done_elsewhere(
    mock_clock: trio.testing.MockClock,
) -> None:
    away = Away()
    async with forwarded(away) as execution:
        await away.taken.wait()
        mock_clock.jump(2 * PATIENCE)
        away.lets_go.set()
    assert execution.failure is None


async def test_what_was_accepted_waits_until_there_is_room_where_it_is_to_be_done() -> None:
    away = Away(busy=(0, 2))
    away.lets_go.set()
    async with forwarded(away) as execution:
        pass
    assert execution.failure is None


async def test_what_comes_to_a_full_mailbox_first_is_refused() -> None:
    async with forwarded(Away(busy=(1, 0))) as execution:
        pass
    assert isinstance(execution.failure, Busy)
