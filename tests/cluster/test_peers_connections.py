"""Connections between nodes: how they are made, who is let in, and what ends them."""

from __future__ import annotations

import logging
import random
import secrets

import msgspec
import pytest
import trio
from meeting import SECRET, Node, ask, between, echo, node, socket_to, wires
from trio_websocket import ConnectionClosed, WebSocketConnection

from cluster.peers import PATH, Call, NodeUnreached, Passport, door, frames, handshake, line
from cluster.peers.handshake import Refused, admit, introduce
from cluster.peers.wire import MAX_REASON, REFUSED, Closed, short
from engine.errors import NodeLost
from transports.errors import engine_answer

A = Passport("mcp-v8", "a", SECRET)
B = Passport("mcp-v8", "b", SECRET)


async def met(one: Passport, other: Passport, wanted: str = "b") -> tuple[Refused | None, str | Refused]:
    """What the node that connects is refused with, and what the other one makes of it."""
    near, far = wires()
    found: list[str | Refused] = []
    refused = None
    async with trio.open_nursery() as nursery:

        async def accept() -> None:
            try:
                found.append(await admit(far, other))
            except Refused as refused:
                found.append(refused)
                near.why = str(refused)
                far.cut()

        nursery.start_soon(accept)
        try:
            await introduce(near, one, wanted)
        except (Refused, Closed) as raised:
            refused = Refused(str(raised))
    return refused, found[0]


async def test_nodes_with_one_secret_let_each_other_in() -> None:
    assert await met(A, B) == (None, "a")


@pytest.mark.parametrize(
    ("one", "other", "wanted", "why"),
    [
        (A, Passport("mcp-v8", "b", b"other"), "b", "the secret of the cluster is another one there"),
        (A, Passport("staging", "b", SECRET), "b", "this node is of the cluster staging, not of mcp-v8"),
        (A, B, "c", "this is node b, not c"),
        (A, Passport("mcp-v8", "a", SECRET), "a", "this node is called a, too"),
    ],
)
async def test_any_other_is_refused_with_a_sentence(
    one: Passport, other: Passport, wanted: str, why: str
) -> None:
    refused, found = await met(one, other, wanted)
    assert str(found) == why
    assert str(refused) == why


async def test_another_version_is_named() -> None:
    near, far = wires()
    await near.send(msgspec.msgpack.encode((2, "of", "tomorrow")))
    with pytest.raises(Refused, match="this node speaks version 1 of the nodes' protocol, not 2"):
        await admit(far, B)


async def test_a_node_that_does_not_prove_itself_is_refused_by_the_one_that_connects() -> None:
    near, far = wires()
    async with trio.open_nursery() as nursery:

        async def impostor() -> None:
            await far.receive()
            await far.send(msgspec.msgpack.encode((secrets.token_bytes(32),)))
            proof = await far.receive()
            await far.send(proof)  # the only one that it ever saw

        nursery.start_soon(impostor)
        with pytest.raises(Refused, match="the secret of the cluster is another one there"):
            await introduce(near, A, "b")


async def test_what_was_overheard_lets_nobody_in() -> None:
    near, far = wires()
    heard: list[bytes] = []
    async with trio.open_nursery() as nursery:
        near.heard = heard
        nursery.start_soon(admit, far, B)
        await introduce(near, A, "b")
    assert len(heard) == 2
    near, far = wires()
    for message in heard:
        await near.send(message)
    with pytest.raises(Refused, match="the secret"):
        await admit(far, B)


async def test_no_secret_is_in_what_is_said_or_in_what_a_passport_shows() -> None:
    assert SECRET.decode() not in repr(A)
    near, far = wires()
    heard: list[bytes] = []
    near.heard = far.heard = heard
    async with trio.open_nursery() as nursery:
        nursery.start_soon(admit, far, B)
        await introduce(near, A, "b")
    assert len(heard) == 4
    assert SECRET not in b"".join(heard)


async def test_whoever_says_nothing_is_not_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    _, far = wires()
    with pytest.raises(Refused, match="the introduction took more than 3 s"):
        await admit(far, B)
    assert autojump_clock.current_time() == handshake.HANDSHAKE_SECONDS


async def test_random_bytes_are_no_introduction() -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)  # noqa: T201 - shown where it fails
    rng = random.Random(seed)
    hello = msgspec.msgpack.encode((1, "mcp-v8", "a", "b", bytes(32)))
    for _ in range(2_000):
        message = bytearray(hello if rng.random() < 0.7 else rng.randbytes(rng.randrange(200)))
        for _ in range(rng.randrange(1, 4)):
            if message:
                message[rng.randrange(len(message))] = rng.randrange(256)
        near, far = wires()
        await near.send(bytes(message))
        await near.send(rng.randbytes(40))
        with pytest.raises(Refused):
            await admit(far, B)


def test_a_reason_is_cut_where_a_close_has_no_more_room_and_no_letter_is_halved() -> None:
    assert short("ü" * 100) == "ü" * (MAX_REASON // 2)


async def test_two_nodes_call_each_other_each_on_one_connection() -> None:
    book: dict[str, str] = {}
    async with node("a", book) as a, node("b", book) as b:
        for _ in range(5):
            assert await ask(a.peers, "b", b"hello b") == [b"hello b"]
            assert await ask(b.peers, "a", b"hello a") == [b"hello a"]
        assert len(a.door) == len(b.door) == 1


async def test_calls_of_the_same_moment_share_the_connection_that_is_being_made() -> None:
    book: dict[str, str] = {}
    async with node("a", book) as a, node("b", book) as b:
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(ask, a.peers, "b", b"%d" % number)
        assert len(b.door) == 1


async def test_big_frames_and_many_bytes_pass_through_sockets_both_ways() -> None:
    book: dict[str, str] = {}
    data = random.Random(1).randbytes(5 << 20)
    async with node("a", book) as a, node("b", book):
        assert await ask(a.peers, "b", data) == [data]


async def test_a_node_that_nobody_knows_and_one_that_does_not_listen_are_told_apart_from_a_lost_one() -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    async with node("a", {"gone": f"127.0.0.1:{port}", "odd": "nowhere"}) as a:
        with pytest.raises(NodeUnreached, match="there is no node c in the cluster now"):
            await ask(a.peers, "c", b"")
        for name in ("gone", "odd"):
            with pytest.raises(
                NodeUnreached, match=f"node {name} cannot be reached: there is no connection to"
            ):
                await ask(a.peers, name, b"")


async def test_a_wrong_secret_is_told_to_both_once_and_disturbs_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    book: dict[str, str] = {}
    async with (
        node("a", book) as a,
        node("b", book),
        node("x", book, secret=b"wrong") as x,
        a.peers.call("b", "echo", b"one") as exchange,
    ):
        assert await exchange.receive() == b"one"
        for _ in range(3):
            with pytest.raises(NodeUnreached, match="the secret of the cluster is another one there"):
                await ask(x.peers, "b", b"let me in")
        await exchange.send(b"two")
        assert await exchange.receive() == b"two"
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [
        "a connection from 127.0.0.1 is no other node's: the secret of the cluster is another one there",
        "node b cannot be reached: the secret of the cluster is another one there",
    ]


async def test_a_stranger_gets_a_close_with_a_sentence_and_nothing_else() -> None:
    book: dict[str, str] = {}
    async with node("b", book) as b:
        for first in (b"", b"hello", msgspec.msgpack.encode((1, "mcp-v8", "a", "b"))):
            async with socket_to(b.port, PATH) as socket:
                await socket.send_message(first)
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.get_message()
                assert closed.value.reason is not None
                assert closed.value.reason.code == REFUSED
                assert closed.value.reason.reason == "that is not how a node of the cluster introduces itself"


async def test_strangers_who_only_connect_do_not_keep_others_out_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handshake, "HANDSHAKE_SECONDS", 0.2)
    book: dict[str, str] = {}
    async with node("a", book) as a, node("b", book) as b, trio.open_nursery() as nursery:
        for _ in range(door.MAX_STRANGERS + 5):
            nursery.start_soon(_loiter, b)
        with trio.fail_after(20):
            while True:
                try:
                    assert await ask(a.peers, "b", b"me") == [b"me"]
                    break
                except NodeUnreached:
                    await trio.sleep(0.05)
        nursery.cancel_scope.cancel()


async def _loiter(node: Node) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", node.port) as stream:
        await stream.send_all(
            f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        while await stream.receive_some():
            pass
        await trio.sleep_forever()


async def test_hostile_bytes_on_a_connection_of_a_node_end_that_connection_only() -> None:
    seed = random.randrange(1 << 32)
    print("seed", seed)  # noqa: T201 - shown where it fails
    rng = random.Random(seed)
    book: dict[str, str] = {}
    async with node("a", book) as a, node("b", book) as b, a.peers.call("b", "echo", b"one") as exchange:
        assert await exchange.receive() == b"one"
        for _ in range(20):
            async with socket_to(b.port, PATH) as socket:
                await introduce(_Socket(socket), Passport("mcp-v8", "evil", SECRET), "b")
                await socket.send_message(rng.randbytes(rng.randrange(1, 1_000)))
                with pytest.raises(ConnectionClosed), trio.fail_after(20):
                    await socket.get_message()
        await exchange.send(b"two")
        assert await exchange.receive() == b"two"


class _Socket:
    """A wire of a node that does what it wants."""

    def __init__(self, socket: WebSocketConnection) -> None:
        self._socket = socket

    async def send(self, message: bytes) -> None:
        await self._socket.send_message(message)

    async def receive(self) -> bytes:
        message = await self._socket.get_message()
        assert isinstance(message, bytes)
        return message


async def patient(call: Call) -> None:
    await call.send(b"began")
    await trio.sleep_forever()


@pytest.mark.parametrize("way", ["cut", "silent", "lost"])
async def test_a_node_that_goes_away_fails_its_calls_at_once_and_is_connected_to_again_when_it_is_back(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "PING_SECONDS", 0.05)
    monkeypatch.setattr(line, "SILENT_SECONDS", 1.5)
    ended = trio.Event()

    async def waiting(call: Call) -> None:
        try:
            await patient(call)
        finally:
            ended.set()

    book: dict[str, str] = {}
    async with node("a", book) as a, node("b", book, {"waiting": waiting, "echo": echo}):  # noqa: SIM117
        async with between(book, "b") as proxy:
            async with a.peers.call("b", "waiting", b"") as exchange:
                assert await exchange.receive() == b"began"
                if way == "cut":
                    await proxy.cut()
                elif way == "silent":
                    proxy.silent = True
                else:
                    a.peers.lost("b")
                with pytest.raises(NodeLost, match="node b was lost") as lost, trio.fail_after(10):
                    await exchange.receive()
                assert type(lost.value) is NodeLost
                answer = engine_answer(lost.value)
                assert (answer.status, answer.headers) == (503, (("retry-after", "1"),))
            with trio.fail_after(10):
                await ended.wait()
            proxy.silent = False
            monkeypatch.setattr(line, "SILENT_SECONDS", 10)
            assert await a.peers.reach("b")
            assert not await a.peers.reach("nobody")
            assert await ask(a.peers, "b", b"back") == [b"back"]


async def test_a_node_that_has_moved_is_called_where_it_is_now() -> None:
    book: dict[str, str] = {}
    async with node("a", book) as a, node("b", book):
        assert await ask(a.peers, "b", b"one") == [b"one"]
        async with node("b", book) as moved:
            assert await ask(a.peers, "b", b"two") == [b"two"]
            assert len(moved.door) == 1


async def test_a_node_that_stops_fails_calls_to_it_and_its_own() -> None:
    book: dict[str, str] = {}
    failed: list[NodeLost] = []

    async def wait(one: Node, other: str, task_status: trio.TaskStatus[None]) -> None:
        try:
            async with one.peers.call(other, "patient", b"") as exchange:
                assert await exchange.receive() == b"began"
                task_status.started()
                await exchange.receive()
        except NodeLost as lost:
            failed.append(lost)

    async with node("a", book, {"patient": patient}) as a:
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery, node("b", book, {"patient": patient}) as b:
                await nursery.start(wait, a, "b")
                await nursery.start(wait, b, "a")
        assert len(failed) == 2
        with pytest.raises(NodeUnreached):
            await ask(b.peers, "a", b"")


async def test_a_reader_that_is_slow_over_sockets_leaves_room_for_others() -> None:
    async def flood(call: Call) -> None:
        for _ in range(200):
            await call.send(bytes(frames.MAX_PIECE))

    book: dict[str, str] = {}
    async with (
        node("a", book) as a,
        node("b", book, {"flood": flood, "echo": echo}),
        a.peers.call("b", "flood", b"") as slow,
    ):
        for number in range(20):
            assert await ask(a.peers, "b", b"%d" % number) == [b"%d" % number]
        for _ in range(200):
            assert await slow.receive() == bytes(frames.MAX_PIECE)
        assert await slow.receive() is None
