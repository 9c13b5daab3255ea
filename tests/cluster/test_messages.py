"""What nodes tell each other arrives as it was meant."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cluster import messages
from cluster.messages import Answered, Moved, Over, Printed, Taken, ToAsk, Told
from engine.catalog import StateView
from engine.commands import Accept, Bury, Changed, Delete, Fork, Keep, Kept, Look, Tag
from engine.events import Caller, Line
from engine.execution import Report, Submission
from engine.isolate.wire import Global

CALLER = Caller(transport="rest", client="test")


def nobody(_: object) -> None:
    """Nobody waits."""


SUBMISSION = Submission(code="1", owner="o", caller=CALLER, session="s", input="[1]", idempotency_key="k")
COMMANDS = [
    Delete("s", CALLER, nobody, only_at=3),
    Delete("s", CALLER, nobody),
    Accept("s", CALLER, nobody),
    Fork("s", "into", CALLER, nobody),
    Tag("s", 3, {"a": "b", "c": None}, CALLER, nobody),
    Keep(nobody),
    Look(80, nobody),
    Bury(SUBMISSION, "e_1", 5, "s", nobody),
]
REPORT = Report(execution_id="e_1", session="s", status="completed", result="1", console=(Line("log", "a"),))


def fields(command: Any) -> dict[str, object]:
    return {name: value for name, value in vars(command).items() if not name.startswith("_")}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_a_command_is_the_same_at_the_node_that_carries_it_out(command: Any) -> None:
    sent = messages.encode(ToAsk(owner="o", session="s", what=messages.asked_of(command)))
    asked = msgspec.msgpack.decode(sent, type=ToAsk)
    made = messages.command_of(asked, nobody)
    assert (type(made), fields(made)) == (type(command), fields(command))


@pytest.mark.parametrize(
    "told",
    [
        Changed("i_1", 4),
        Kept(1, "ff", 10, declined="why"),
        StateView(session="s", event=1, heap="ff", globals=(Global("x", "lexical", "number", "1"),), more=2),
    ],
)
def test_an_answer_is_given_as_it_came(told: Changed | Kept | StateView) -> None:
    sent = messages.encode(messages.answer_of(told, 7))
    answered = msgspec.msgpack.decode(sent, type=Answered)
    command = Keep(nobody)
    messages.give(command, answered)
    assert (command.told, answered.revision) == (told, 7)


@pytest.mark.parametrize(
    "told",
    [
        Taken(
            code="1",
            caller=CALLER,
            accepted_at=1,
            idempotency_key=None,
            request_hash="",
            execution_id="e_1",
        ),
        Moved("other"),
        Printed((Line("warn", "ü"), Line("log", "\U0001f600"))),
        Over(REPORT, 9),
    ],
    ids=lambda told: type(told).__name__,
)
def test_what_is_told_of_an_execution_arrives(told: Told) -> None:
    assert messages.decode_told(messages.encode(told)) == told
