"""Calls between two nodes, without sockets: streams, errors, cancellation, room, and what a lost node means."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from meeting import MemoryWire, Pair, echo, paired, wires

from cluster.peers import Call
from cluster.peers.calling import Caller
from cluster.peers.flow import WINDOW
from cluster.peers.frames import (
    MAX_PAYLOAD,
    MAX_PIECE,
    Cancel,
    Credit,
    End,
    Failed,
    Frame,
    Open,
    Piece,
    encode,
    join,
)
from cluster.peers.line import SILENT_SECONDS
from cluster.peers.serving import MAX_CALLS, Service
from cluster.peers.wire import BROKEN_PROTOCOL
from engine.errors import (
    Busy,
    Conflict,
    EngineError,
    NodeLost,
    NotFound,
    StoreReadOnly,
    TooLarge,
    Unavailable,
)
from engine.replay import Diverged


@asynccontextmanager
async def scripted() -> AsyncIterator[tuple[Pair, MemoryWire]]:
    """A node that calls, and the other end of its connection, where nobody is yet."""
    near, far = wires()
    caller = Caller("b", near)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller.run)
        yield Pair(caller, Service("a", far, {}), near, far), far
        nursery.cancel_scope.cancel()


async def answer(pair: Pair, method: str, *frames: bytes) -> list[bytes]:
    """The frames of the answer to frames, the first of which is the request."""
    told = []
    async with pair.call(method, frames[0]) as exchange:
        for frame in frames[1:]:
            await exchange.send(frame)
        await exchange.end()
        while (frame := await exchange.receive()) is not None:
            told.append(frame)
        assert await exchange.receive() is None
    return told


async def test_frames_come_back_whole_and_in_order_whatever_their_length() -> None:
    frames = [b"x", b"", b"y" * MAX_PIECE, b"z" * (MAX_PIECE + 1), bytes(3 * WINDOW + 7), b"", b"end"]

    async with (
        paired({"echo": echo}) as pair,
        pair.call("echo", frames[0]) as exchange,
        trio.open_nursery() as nursery,
    ):

        async def say() -> None:
            for frame in frames[1:]:
                await exchange.send(frame)
            await exchange.end()

        nursery.start_soon(say)
        assert [await exchange.receive() for _ in frames] == frames
        assert await exchange.receive() is None


async def test_a_call_that_answers_nothing_and_one_that_does_not_listen_end_like_any_other() -> None:
    async def deaf(call: Call) -> None:
        await call.send(call.request)

    async def nothing(call: Call) -> None:
        assert call.node == "a"
        assert call.method == "nothing"

    async with paired({"deaf": deaf, "nothing": nothing}) as pair:
        assert await answer(pair, "nothing", b"") == []
        assert await answer(pair, "deaf", b"one", *[bytes(100_000)] * 20) == [b"one"]


async def test_many_calls_at_once_do_not_mix() -> None:
    async with paired({"echo": echo}) as pair, trio.open_nursery() as nursery:

        async def one(number: int) -> None:
            frames = [b"%d/%d" % (number, part) * (number + 1) for part in range(5)]
            assert await answer(pair, "echo", *frames) == frames

        for number in range(300):
            nursery.start_soon(one, number)


@pytest.mark.parametrize(
    "error",
    [
        NotFound("there is no session x", field="session"),
        Conflict("it is not there"),
        StoreReadOnly("only to be read"),
        NodeLost("a third one went away"),
        EngineError("for no reason"),
    ],
)
async def test_an_error_of_the_engine_is_raised_where_the_call_was_made(error: EngineError) -> None:
    async def failing(call: Call) -> None:
        await call.send(b"so far")
        raise error

    async with paired({"failing": failing}) as pair, pair.call("failing") as exchange:
        assert await exchange.receive() == b"so far"
        with pytest.raises(EngineError) as raised:
            await exchange.receive()
        assert type(raised.value) is type(error)
        assert (raised.value.code, raised.value.message, raised.value.field) == (
            error.code,
            error.message,
            error.field,
        )
        with pytest.raises(type(error)):
            await exchange.send(b"too late")


async def test_the_only_error_of_a_handler_s_nursery_is_raised_as_itself() -> None:
    async def failing(_: Call) -> None:
        async with trio.open_nursery():
            raise NotFound("there is none")

    async with paired({"failing": failing}) as pair:
        with pytest.raises(NotFound, match="there is none"):
            await answer(pair, "failing", b"")


async def test_an_error_that_holds_more_than_a_sentence_is_its_ancestor_with_its_code() -> None:
    async def failing(_: Call) -> None:
        error = Diverged.__new__(Diverged)
        EngineError.__init__(error, "it is read-only", field="session")
        raise error

    async with paired({"failing": failing}) as pair:
        with pytest.raises(Conflict) as raised:
            await answer(pair, "failing", b"")
        assert type(raised.value) is Conflict
        assert raised.value.code == Diverged.code
        assert Conflict.code == "conflict"


async def test_a_code_of_another_version_is_an_error_with_that_code() -> None:
    class New(NotFound):
        code = "of_tomorrow"

    failed = Failed(1, New.code, "who knows", None)
    del New
    async with scripted() as (pair, far), pair.call("any") as exchange:
        await far.send(join([encode(failed)]))
        with pytest.raises(EngineError) as raised:
            await exchange.receive()
        assert raised.value.code == "of_tomorrow"


async def test_what_is_no_error_of_the_engine_is_logged_there_and_says_little_here(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(call: Call) -> None:
        raise ZeroDivisionError(call.request.decode())

    async with paired({"broken": broken}) as pair:
        with pytest.raises(EngineError, match="the node that was asked failed at `broken`") as raised:
            await answer(pair, "broken", b"a secret")
        assert raised.value.code == "internal"
    assert "ZeroDivisionError: a secret" in caplog.text


async def test_a_method_that_the_other_node_does_not_know_is_unavailable() -> None:
    async with paired({"echo": echo}) as pair:
        with pytest.raises(Unavailable, match="of a version that does not know `dance`"):
            await answer(pair, "dance", b"")
        assert await answer(pair, "echo", b"still there") == [b"still there"]


async def test_leaving_a_call_cancels_its_handler_and_no_other() -> None:
    began, ended = trio.Event(), trio.Event()

    async def patient(_: Call) -> None:
        began.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with paired({"patient": patient, "echo": echo}) as pair, pair.call("echo", b"one") as other:
        async with pair.call("patient"):
            await began.wait()
        await ended.wait()
        await other.send(b"two")
        assert [await other.receive(), await other.receive()] == [b"one", b"two"]


async def test_a_handler_that_fails_when_it_is_cancelled_ends_no_other() -> None:
    began, ended = trio.Event(), trio.Event()

    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()
            raise NotFound("nobody is told of this")

    async def both(_: Call) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            began.set()
            await trio.sleep_forever()

    async with paired({"both": both, "echo": echo}) as pair, pair.call("echo", b"one") as other:
        async with pair.call("both"):
            await began.wait()
        await ended.wait()
        await other.send(b"two")
        assert [await other.receive(), await other.receive()] == [b"one", b"two"]


async def test_a_call_cancelled_at_any_moment_leaves_nothing_on_either_side() -> None:
    """At its n-th step, for each n until it is over before that."""

    async def long(call: Call) -> None:
        for _ in range(3):
            await call.send(call.request)
        await call.receive()

    async with paired({"long": long, "echo": echo}) as pair:
        for steps in range(200):
            over = False
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:

                    async def cancel(steps: int = steps, scope: trio.CancelScope = scope) -> None:
                        for _ in range(steps):
                            await trio.lowlevel.checkpoint()
                        scope.cancel()

                    nursery.start_soon(cancel)
                    await answer(pair, "long", bytes(2 * WINDOW), b"more")
                    over = True
                    nursery.cancel_scope.cancel()
            assert await answer(pair, "echo", b"?") == [b"?"]
            while pair.service.calls:
                await trio.lowlevel.checkpoint()
            assert pair.caller.calls == 0
            if over:
                break
        else:
            pytest.fail("it was never over")
        assert steps > 5


async def test_a_slow_reader_keeps_little_and_holds_up_nobody() -> None:
    sent = 0

    async def flood(call: Call) -> None:
        nonlocal sent
        for _ in range(100):
            await call.send(bytes(WINDOW // 8))
            sent += 1

    async with paired({"flood": flood, "echo": echo}) as pair, pair.call("flood") as exchange:
        for number in range(50):
            assert await answer(pair, "echo", b"%d" % number) == [b"%d" % number]
        assert sent <= 9
        for _ in range(100):
            assert await exchange.receive() == bytes(WINDOW // 8)
        assert await exchange.receive() is None


async def test_many_empty_frames_count_too() -> None:
    sent = 0

    async def drip(call: Call) -> None:
        nonlocal sent
        while True:
            await call.send(b"")
            sent += 1

    async with paired({"drip": drip, "echo": echo}) as pair, pair.call("drip"):
        for _ in range(50):
            await answer(pair, "echo", b"x")
        assert sent < 5_000


async def test_what_is_too_long_is_refused_where_it_is_sent() -> None:
    async with paired({"echo": echo}) as pair:
        with pytest.raises(TooLarge):
            await answer(pair, "echo", bytes(MAX_PAYLOAD + 1))
        assert await answer(pair, "echo", b"x") == [b"x"]


async def test_the_call_after_the_most_is_refused_and_the_others_go_on() -> None:
    async with paired({"echo": echo}) as pair:
        flows = [await pair.caller.open("echo", b"") for _ in range(MAX_CALLS)]
        with pytest.raises(Busy):
            await answer(pair, "echo", b"one more")
        assert await flows[-1].receive() == b""
        for flow in flows:
            pair.caller.close(flow)
        while pair.service.calls:
            await trio.lowlevel.checkpoint()
        assert await answer(pair, "echo", b"again") == [b"again"]


@pytest.mark.parametrize("end", ["near", "far"])
async def test_a_side_that_says_nothing_is_lost_after_three_seconds(
    end: str, autojump_clock: trio.testing.MockClock
) -> None:
    ended = trio.Event()

    async def patient(call: Call) -> None:
        try:
            await call.receive()
        finally:
            ended.set()

    async with paired({"patient": patient}) as pair, pair.call("patient") as exchange:
        with trio.move_on_after(100):
            await exchange.receive()
        assert not ended.is_set(), "pings keep an idle connection"
        since = trio.current_time()
        (pair.near if end == "near" else pair.far).silent = True
        with pytest.raises(NodeLost, match="node b was lost"):
            await exchange.receive()
        if end == "far":
            assert trio.current_time() - since <= SILENT_SECONDS
        await ended.wait()
        assert autojump_clock.current_time() - since <= 2 * SILENT_SECONDS


async def test_a_connection_that_ends_fails_every_call_at_once_but_what_has_come_is_read() -> None:
    async def some(call: Call) -> None:
        await call.send(b"one")
        await call.send(b"two")
        await trio.sleep_forever()

    async with paired({"some": some, "echo": echo}) as pair:
        async with pair.call("some") as first, pair.call("some") as second:
            assert await first.receive() == b"one"
            assert await second.receive() == b"one"
            pair.far.cut()
            await trio.testing.wait_all_tasks_blocked()
            for exchange in (first, second):
                assert await exchange.receive() == b"two"
                with pytest.raises(NodeLost, match="whether it did what was asked is not known"):
                    await exchange.receive()
                with pytest.raises(NodeLost):
                    await exchange.send(b"x")
        assert pair.service.end is not None


async def test_a_send_that_was_cut_off_is_the_last_of_its_call() -> None:
    async def deaf(_: Call) -> None:
        await trio.sleep_forever()

    async with paired({"deaf": deaf}) as pair, pair.call("deaf") as exchange:
        with trio.move_on_after(0.01) as moved:
            await exchange.send(bytes(2 * WINDOW))
        assert moved.cancelled_caught
        with pytest.raises(trio.BusyResourceError):
            await exchange.send(b"x")
        with pytest.raises(trio.BusyResourceError):
            await exchange.end()


async def test_a_receive_that_is_cut_off_loses_nothing() -> None:
    long = bytes(WINDOW * 2)

    async def slow(call: Call) -> None:
        await call.send(long)

    async with paired({"slow": slow}) as pair, pair.call("slow") as exchange:
        tries = 0
        while True:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:

                    async def cancel(scope: trio.CancelScope = scope) -> None:
                        await trio.lowlevel.checkpoint()
                        scope.cancel()

                    nursery.start_soon(cancel)
                    assert await exchange.receive() == long
                    break
            tries += 1
        assert tries > 1


def pieces(*frames: Frame) -> bytes:
    return join([encode(frame) for frame in frames])


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\xc1",
        b"\x90",  # no frame
        b"\x91\x92\x63\x01",  # an unknown kind
        b"\x91" * 5_000,
        pieces(End(1)),  # of no call
        pieces(Open(2, "echo"), Open(1, "echo")),
        pieces(Open(1, "echo"), Open(1, "echo")),
        pieces(Failed(1, "x", "y", None)),
        pieces(Open(1, "patient"), Credit(1, 1)),
        pieces(Open(1, "echo"), Piece(1, b"x", True), End(1)),
        pieces(Open(1, "echo"), End(1), Piece(1, b"", False)),
    ],
)
async def test_a_caller_that_breaks_the_protocol_loses_its_connection(message: bytes) -> None:
    near, far = wires()
    service = Service("a", far, {"echo": echo})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        await near.send(message)
        with trio.fail_after(10):
            while service.end is None:
                await trio.lowlevel.checkpoint()
        assert service.end[0] == BROKEN_PROTOCOL
        assert service.end[1]


async def test_more_than_there_is_room_for_breaks_the_protocol() -> None:
    async def deaf(_: Call) -> None:
        await trio.sleep_forever()

    near, far = wires()
    service = Service("a", far, {"deaf": deaf})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.run)
        await near.send(pieces(Open(1, "deaf"), Piece(1, b"", False)))
        for _ in range(WINDOW // MAX_PIECE + 2):
            await near.send(pieces(Piece(1, bytes(MAX_PIECE), True)))
        await trio.testing.wait_all_tasks_blocked()
        assert service.end is not None
        assert service.end[0] == BROKEN_PROTOCOL


@pytest.mark.parametrize(
    "message", [pieces(Open(2, "x")), pieces(Cancel(1)), pieces(End(2)), pieces(Credit(1, 100)), b"\xc0"]
)
async def test_a_node_that_answers_against_the_protocol_is_lost(message: bytes) -> None:
    async with scripted() as (pair, far):
        async with pair.call("any") as exchange:
            await far.send(message)
            with pytest.raises(NodeLost):
                await exchange.receive()
        assert pair.caller.end is not None
        assert pair.caller.end[0] == BROKEN_PROTOCOL


async def test_random_messages_end_a_connection_and_nothing_else() -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)  # noqa: T201
    rng = random.Random(seed)
    kinds: tuple[Callable[[], Frame], ...] = (
        lambda: Open(rng.randrange(1, 9), rng.choice(("echo", "x"))),
        lambda: Piece(rng.randrange(1, 9), rng.randbytes(rng.choice((0, 3, 40_000))), rng.random() < 0.3),
        lambda: End(rng.randrange(1, 9)),
        lambda: Cancel(rng.randrange(1, 9)),
        lambda: Credit(rng.randrange(1, 9), rng.randrange(1, 100_000)),
    )
    for _ in range(200):
        near, far = wires()
        service = Service("a", far, {"echo": echo})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(service.run)
            nursery.start_soon(swallow, near)
            with trio.fail_after(20):
                while service.end is None:
                    message = bytearray(pieces(*[rng.choice(kinds)() for _ in range(rng.randrange(1, 4))]))[
                        :60_000
                    ]
                    if rng.random() < 0.1:
                        message[rng.randrange(len(message))] ^= 1 << rng.randrange(8)
                    with trio.move_on_after(1):
                        await near.send(bytes(message))
            nursery.cancel_scope.cancel()
        assert service.calls == 0


async def swallow(wire: MemoryWire) -> None:
    while True:
        await wire.receive()
