"""Before a client is told the id of an execution that goes on, that is known even if its node is lost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import trio
import trio.testing
from meeting import node

from cluster import messages
from cluster.forwarding import Forwarding
from cluster.messages import EXECUTE, NOTE, Taken, ToExecute, ToNote
from cluster.peers import Call
from engine.commands import Execute
from engine.events import Caller
from engine.execution import Execution, Report, Submission
from transports.execute import ExecuteDoor
from transports.settings import DEFAULTS

CALLER = Caller(transport="test")


class Runs:
    """A node that takes what it is asked to run, and goes on with it."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.is_over = trio.Event()

    async def execute(self, call: Call) -> None:
        asked = msgspec.msgpack.decode(call.request, type=ToExecute)
        if asked.is_promised:
            self.noted.append(asked.execution_id)
        await call.send(
            messages.encode(
                Taken(
                    code="1",
                    caller=CALLER,
                    accepted_at=1,
                    idempotency_key=None,
                    request_hash="",
                    execution_id=asked.execution_id,
                )
            )
        )
        await self.is_over.wait()
        report = Report(execution_id=asked.execution_id, session="x", status="completed")
        await call.send(messages.encode(messages.Over(report, 0)))

    async def note(self, call: Call) -> None:
        self.noted.append(msgspec.msgpack.decode(call.request, type=ToNote).execution_id)


class AtB:
    """Everything is node b's."""

    async def whereto(self, owner: str, name: str | None, key: str | None) -> str | None:  # noqa: ARG002
        return "b"

    async def until_moved(self, owner: str, name: str | None, node: str | None) -> None:  # noqa: ARG002
        raise AssertionError("nothing goes wrong")

    async def take(self, owner: str, name: str | None, command: Any) -> None:  # noqa: ARG002
        raise AssertionError("nothing is done here")

    def came_back(self, execution: Execution) -> None:
        """Nothing is noted of it."""


async def _at_once(revision: int) -> None:
    """The log here is as far as that."""


def _execute(execution_id: str) -> Execute:
    execution = Execution(execution_id, "local", caller=CALLER, accepted_at=1)
    return Execute(Submission(owner="local", code="1", caller=CALLER, session="x"), execution)


async def test_what_another_node_has_begun_is_noted_there_when_its_id_is_to_be_told() -> None:
    book: dict[str, str] = {}
    runs = Runs()
    with trio.fail_after(60):
        async with (
            node("a", book) as a,
            node("b", book, {EXECUTE: runs.execute, NOTE: runs.note}),
            trio.open_nursery() as nursery,
        ):
            forwarding = Forwarding(nursery, a.peers, AtB(), AtB(), _at_once, 10)
            before, after = _execute("e_before"), _execute("e_after")
            forwarding.forward(before, "local", "x")
            await forwarding.promised(before.execution)  # it was not sent yet
            assert runs.noted == ["e_before"]
            await forwarding.promised(before.execution)
            assert runs.noted == ["e_before"]

            forwarding.forward(after, "local", "x")
            while after.execution not in forwarding._sent:
                await trio.lowlevel.checkpoint()
            assert runs.noted == ["e_before"]
            await forwarding.promised(after.execution)
            assert runs.noted == ["e_before", "e_after"]

            runs.is_over.set()
            assert await after.execution.wait(60) is not None
            await forwarding.promised(after.execution)
            assert runs.noted == ["e_before", "e_after"]


async def test_an_id_that_is_told_because_the_end_does_not_come_in_time_is_promised(
    autojump_clock: trio.testing.MockClock,  # noqa: ARG001
) -> None:
    execution = _execute("e_1").execution
    promised: list[Execution] = []
    told: list[Any] = []

    async def submit(asked: Submission) -> Execution:  # noqa: ARG001
        return execution

    async def promise(one: Execution) -> None:
        promised.append(one)

    async def receive() -> Any:
        if told:
            await trio.sleep_forever()
        told.append(None)
        return {"type": "http.request", "body": b'{"code":"1"}'}

    async def send(message: Any) -> None:
        told.append(message)

    headers = [(b"content-type", b"application/json"), (b"prefer", b"wait=1")]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/exec",
        "headers": headers,
        "query_string": b"",
        "client": ("127.0.0.1", 1),
    }
    executions = SimpleNamespace(submit=submit, promise=promise)
    door = ExecuteDoor(SimpleNamespace(executions=executions), DEFAULTS)  # type: ignore[arg-type]
    await door(scope, receive, send)
    assert told[1]["status"] == 202
    assert promised == [execution]
