# ruff: noqa: ARG001 (applications have the signature of ASGI)
"""WebSockets on our own connections: what comes through, and what a client can and cannot do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from in_process import UPGRADE, Running, answer, application, read_to_end, serving
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Request, TextMessage
from wsproto.extensions import PerMessageDeflate

from transports.hypercorn_trio import limits


@application
async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Says what it is told; closes with 4001 when told to; answers other requests."""
    if scope["type"] == "http":
        await answer(send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        if message["text"] == "close":
            await send({"type": "websocket.close", "code": 4001, "reason": "as you say"})
            return
        await send({"type": "websocket.send", "text": message["text"], "bytes": message["bytes"]})


@asynccontextmanager
async def opened(server: Running) -> AsyncIterator[WebSocketConnection]:
    async with await server.connect() as stream, trio.open_nursery() as nursery:
        socket = await wrap_client_stream(nursery, stream, "localhost", "/")
        yield socket
        await socket.aclose()
        nursery.cancel_scope.cancel()


async def closing(socket: WebSocketConnection) -> tuple[int, str | None]:
    """Code and reason with which the server closes."""
    with pytest.raises(ConnectionClosed) as closed:
        await socket.get_message()
    assert closed.value.reason is not None
    return closed.value.reason.code, closed.value.reason.reason


async def test_text_bytes_and_fragments_come_back_as_they_were_sent() -> None:
    async with serving(echo) as server, opened(server) as socket:
        for message in ("zwei \U0001f600", "", b"\x00\xff", b"", "x" * limits.MAX_WEBSOCKET_MESSAGE):
            await socket.send_message(message)
            assert await socket.get_message() == message


async def test_a_ping_is_answered_with_what_it_carries_also_while_the_application_is_silent() -> None:
    @application
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    async with serving(silent) as server, opened(server) as socket:
        await socket.ping(b"are you there")


async def test_the_code_and_reason_of_either_side_reach_the_other() -> None:
    told: list[Any] = []
    gone = trio.Event()

    @application
    async def listening(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        told.append(await receive())
        gone.set()

    async with serving(echo) as server, opened(server) as socket:
        await socket.send_message("close")
        assert await closing(socket) == (4001, "as you say")
    async with serving(listening) as server:
        async with opened(server) as socket:
            await socket.aclose(4002, "enough")
        await gone.wait()
    assert told[0]["type"] == "websocket.disconnect"


async def test_an_application_that_fails_or_returns_closes_with_1011() -> None:
    @application
    async def returning(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    async with serving(returning) as server, opened(server) as socket:
        assert (await closing(socket))[0] == 1011


async def test_a_message_that_is_too_long_is_told_so_and_the_connection_ends_though_its_client_stays() -> (
    None
):
    gone = trio.Event()

    @application
    async def listening(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        assert (await receive())["type"] == "websocket.disconnect"
        gone.set()

    async with serving(listening) as server, await server.connect() as stream:
        client = await raw_client(stream)
        await stream.send_all(client.send(TextMessage("x" * (limits.MAX_WEBSOCKET_MESSAGE + 1))))
        (event,) = await events_until_close(client, stream)
        assert event.code == 1009
        await gone.wait()
        await read_to_end(stream)  # its own close was never sent


async def test_compression_is_not_taken_so_that_few_bytes_are_never_a_thousand_times_as_many() -> None:
    async with serving(echo) as server, await server.connect() as stream:
        client = WSConnection(ConnectionType.CLIENT)
        request = Request(host="localhost", target="/", extensions=[PerMessageDeflate()])
        await stream.send_all(client.send(request))
        client.receive_data(await stream.receive_some())
        (accepted,) = client.events()
        assert isinstance(accepted, AcceptConnection)
        assert accepted.extensions == []
        await stream.send_all(client.send(BytesMessage(b"plain")))
        client.receive_data(await stream.receive_some())
        (message,) = client.events()
        assert message.data == b"plain"


@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\x01a",  # not masked
        b"\xf1\x80\x00\x00\x00\x00",  # reserved bits
        b"\x83\x80\x00\x00\x00\x00",  # an unknown opcode
        b"\x81\x81\x00\x00\x00\x00\xff",  # no UTF-8
        b"\x89\xfe\x00\x7e\x00\x00\x00\x00",  # a ping of more than 125 bytes
        b"\x88\x81\x00\x00\x00\x00\x03",  # half a code
    ],
)
async def test_a_frame_that_is_none_ends_its_connection_only(
    frame: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(echo) as server:
        async with await server.connect() as stream:
            await raw_client(stream)
            await stream.send_all(frame + b"\x00" * 64)
            await read_to_end(stream)
        assert (await server.get()).endswith(b"hello")
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    "behind", [b"\x81\x81\x00\x00\x00\x00a", b"\x00", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 6]
)
@pytest.mark.parametrize("route", ["accepts", "refuses"])
async def test_bytes_behind_an_upgrade_break_nothing_with_and_without_a_route(
    behind: bytes, route: str, caplog: pytest.LogCaptureFixture
) -> None:
    @application
    async def refusing(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await answer(send)
        else:
            await receive()
            await send({"type": "websocket.close"})

    async with serving(echo if route == "accepts" else refusing) as server:
        async with await server.connect() as stream:
            await stream.send_all(UPGRADE + behind)
            await read_to_end(stream)
        assert (await server.get()).endswith(b"hello")
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_reader_that_is_too_slow_loses_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEND_TIMEOUT", 0.1)
    gone = trio.Event()

    @application
    async def flooding(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        async with trio.open_nursery() as nursery:

            async def flood() -> None:
                while True:
                    await send({"type": "websocket.send", "bytes": bytes(65_536)})

            nursery.start_soon(flood)
            assert (await receive())["type"] == "websocket.disconnect"
            nursery.cancel_scope.cancel()
        gone.set()

    async with serving(flooding) as server, await server.connect() as stream:
        await raw_client(stream)
        with trio.fail_after(15):
            await gone.wait()


async def test_an_application_that_sends_on_after_the_end_holds_up_nobody() -> None:
    @application
    async def endless(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await answer(send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "text": "on and on"})

    async with serving(endless, grace=0.1) as server:
        async with await server.connect() as stream:
            await raw_client(stream)
        for _ in range(10):
            assert (await server.get()).endswith(b"hello")


async def test_open_websockets_do_not_hold_up_the_end_of_the_server() -> None:
    @application
    async def forever(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        await trio.sleep_forever()

    async with serving(forever, grace=0.2) as server, await server.connect() as stream:
        await raw_client(stream)
        server.stop.set()
        with trio.fail_after(15):
            await server.ended.wait()


async def raw_client(stream: trio.SocketStream) -> WSConnection:
    """A client after its handshake, which answers nothing by itself."""
    client = WSConnection(ConnectionType.CLIENT)
    await stream.send_all(client.send(Request(host="localhost", target="/")))
    client.receive_data(await stream.receive_some())
    assert isinstance(next(client.events()), AcceptConnection)
    return client


async def events_until_close(client: WSConnection, stream: trio.SocketStream) -> list[Any]:
    """All events, of which the server's close is the last."""
    events: list[Any] = []
    while not any(isinstance(event, CloseConnection) for event in events):
        client.receive_data((await stream.receive_some()) or pytest.fail("the end came without a close"))
        events += client.events()
    return events
