"""What a worker, a copy of one, or the zygote sends: a worker is assumed to be the attacker's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import trio

from engine import attempt, chain, outcomes
from engine.attempt import Attempt
from engine.catalog import StateView
from engine.comparison import Acceptances, Comparison
from engine.errors import WorkerFailed
from engine.events import Caller, Line
from engine.execution import Execution, Submission
from engine.isolate import copy_wire, wire, zygote_wire
from engine.isolate.wire import Console, Done, FrameBuffer, FromWorker, Run
from engine.limits import Limits
from engine.outcomes import Abort
from engine.scheduler import Scheduler
from fuzz import answers, jsons
from fuzz.data import Data
from fuzz.shapes import packed, value
from transports.rest import shapes as rest_shapes
from transports.rest.routes import json_answer
from transports.rest.shapes import state_answer

ATTEMPT: Final = Attempt(
    execution_id="e_0123456789abcdef",
    submission=Submission(code="1 + 1", owner="local", caller=Caller(transport="rest"), input='{"a":1}'),
    limits=Limits(),
    engine="0123456789abcdef" * 2,
    accepted_at=1_700_000_000_000_000,
    start=17_000_000_000_000,
    seed=b"s" * 16,
    seq=1,
)
KNOWN: Final = {
    "start": ATTEMPT.start,
    "seed": ATTEMPT.seed,
    "digest": b"d" * 32,
    "duration_us": 1_000,
    "cpu_us": 900,
    "overflow": False,
}
_PREV: Final = b"p" * 32


class HostileWorker:
    """Prints and answers what it was told to, instead of running anything."""

    number = 1

    def cpu_ns(self) -> None:
        """Nobody knows."""

    clock_ns = cpu_ns

    def __init__(self, messages: list[FromWorker]) -> None:
        self._messages = messages

    async def run(self, _: Run, on_console: Callable[[tuple[Line, ...]], None]) -> Done:
        """What ``engine.worker`` makes of the messages."""
        for message in self._messages:
            if isinstance(message, Console):
                on_console(message.lines)
            elif isinstance(message, Done):
                return message
        raise attempt.WorkerDied(self.number, 0, "crashed")


def frames(raw: bytes) -> None:
    """Any bytes, however they arrive, are messages or the documented error."""
    data = Data(raw)
    sent = b""
    for _ in range(data.byte() % 4):
        body = packed(data, value(data, FromWorker, KNOWN))
        sent += len(body).to_bytes(4, "little") + body
    sizes = list(data.take(data.byte() % 8))
    sent += data.rest()
    at_once, failed_at_once = _received([sent])
    in_pieces, failed_in_pieces = _received(_cut(sent, sizes))
    assert (at_once, failed_at_once) == (in_pieces, failed_in_pieces)
    for message in at_once:
        assert _received([wire.encode(message)]) == ([message], None)


def attempts(raw: bytes) -> None:
    """Whatever a worker says of an execution can be recorded, read again, and told in every door."""
    data = Data(raw)
    messages: list[FromWorker] = []
    for kind in (*(Console,) * (data.byte() % 3), Done):
        body = packed(data, _outcome(data, value(data, kind, KNOWN)))
        messages += _received([len(body).to_bytes(4, "little") + body])[0]
    execution = Execution(
        ATTEMPT.execution_id, "local", caller=ATTEMPT.submission.caller, accepted_at=ATTEMPT.accepted_at
    )
    result: Done | Abort = trio.run(
        attempt.run, HostileWorker(messages), ATTEMPT, execution, Scheduler(1), "demo"
    )
    event = attempt.conclude(ATTEMPT, "s1", result, execution.console)
    record = chain.seal(_PREV, event)
    assert chain.unseal(record.id, _PREV, record.body, record.large) == record
    if isinstance(result, Done):
        assert Comparison(ATTEMPT.engine, Acceptances()).check(event, result, event.console) is None
        replay = Run(seq=1, code="", limits=Limits(), start=0, seed=b"", trace=result.trace)
        buffer: FrameBuffer[wire.ToWorker] = FrameBuffer(wire.ToWorker)
        buffer.feed(wire.encode(replay))
        assert buffer.next() == replay
    execution.finish(outcomes.report(event, session="demo", heap=record.id.hex()))
    answers.check_execution(execution)
    for listed in (True, False):
        answers.check_json(json_answer(rest_shapes.event_answer(record, listed=listed)).body)


def variables(raw: bytes) -> None:
    """Whatever a worker says of its variables can be told."""
    data = Data(raw)
    body = packed(data, value(data, wire.Seen))
    for message in _received([len(body).to_bytes(4, "little") + body])[0]:
        if isinstance(message, wire.Seen):
            view = StateView(session="demo", event=1, heap="", globals=message.globals, more=message.more)
            answers.check_json(json_answer(state_answer(view)).body)


def copies(raw: bytes) -> None:
    """A copy's last words are a snapshot, whole, or a short printable reason."""
    data = Data(raw)
    written = data.octets() if data.byte() % 2 else b"".join(copy_wire.encode(data.octets()))
    written += data.rest()
    made = copy_wire.read(written)
    if isinstance(made, copy_wire.Declined):
        assert 1 <= len(made.reason) <= 400
        assert made.reason.isprintable()
        assert made.reason.isascii()
    else:
        assert b"".join(copy_wire.encode(made)) == written[written.index(b"\0") :]


def packets(raw: bytes) -> None:
    """A packet of the zygote is a report or the documented error."""
    data = Data(raw)
    packet = packed(data, value(data, zygote_wire.FromZygote)) if data.byte() % 2 else b""
    try:
        report = zygote_wire.decode_report(packet + data.rest())
    except msgspec.DecodeError:
        return
    assert zygote_wire.decode_report(zygote_wire.encode(report)) == report


def _received(chunks: list[bytes]) -> tuple[list[FromWorker], str | None]:
    """The messages before the first that is none, and what was wrong with that."""
    buffer: FrameBuffer[FromWorker] = FrameBuffer(FromWorker)
    messages: list[FromWorker] = []
    try:
        for chunk in chunks:
            buffer.feed(chunk)
            while (message := buffer.next()) is not None:
                messages.append(message)
    except WorkerFailed as failed:
        return messages, failed.message
    return messages, None


def _cut(sent: bytes, sizes: list[int]) -> list[bytes]:
    """Pieces of those sizes, the first bytes one by one, and the rest."""
    chunks = [sent[at : at + 1] for at in range(8)]
    sent = sent[8:]
    for size in sizes:
        chunks.append(sent[:size])
        sent = sent[size:]
    return [*chunks, sent]


def _outcome(data: Data, made: Any) -> Any:
    """The message, mostly with JSON where JSON belongs."""
    if isinstance(made, dict) and isinstance(made.get("outcome"), dict) and data.byte() % 4:
        made["outcome"]["result_json"] = jsons.text(data)
    return made
