"""What another node is asked to do in this one's place, and sends back."""

from __future__ import annotations

import msgspec
import trio
import trio.testing
from meeting import node

from cluster import messages
from cluster.forwarding import Forwarding
from cluster.messages import EXECUTE, Over, Taken, ToExecute
from cluster.peers import Call
from engine.commands import Command, Execute
from engine.errors import Elsewhere
from engine.events import Caller
from engine.execution import Execution, Report, Submission

CALLER = Caller(transport="test")
PATIENCE = 1.0


class Away:
    """A node that lets go what it has taken when it is told to, and does it when it comes again."""

    def __init__(self) -> None:
        self.taken = trio.Event()
        self.lets_go = trio.Event()

    async def execute(self, call: Call) -> None:
        asked = msgspec.msgpack.decode(call.request, type=ToExecute)
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


async def _at_once(revision: int) -> None:
    """The log here is as far as that."""


async def test_what_has_waited_long_where_it_is_sent_back_from_is_done_elsewhere(
    mock_clock: trio.testing.MockClock,
) -> None:
    book: dict[str, str] = {}
    away = Away()
    execution = Execution("e_1", "local", caller=CALLER, accepted_at=1)
    execution.session = "x"
    submission = Submission(owner="local", code="1", caller=CALLER, session="x")
    async with (
        node("a", book) as a,
        node("b", book, {EXECUTE: away.execute}),
        trio.open_nursery() as nursery,
    ):
        forwarding = Forwarding(nursery, a.peers, AtB(), AtB(), _at_once, PATIENCE)
        forwarding.forward(Execute(submission, execution), "local", "x")
        await away.taken.wait()
        mock_clock.jump(2 * PATIENCE)
        away.lets_go.set()
        while not execution.done:
            await execution.changed.wait()
        assert execution.failure is None
        assert not forwarding.is_on_its_way("local", "x")
