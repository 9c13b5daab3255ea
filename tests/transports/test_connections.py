# ruff: noqa: ARG001 (applications have the signature of ASGI)
"""The connections below the doors: what a client can and cannot do to the server."""

from __future__ import annotations

import logging
import socket
import struct
from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest
import trio
import trio.testing
from in_process import GET, UPGRADE, answer, application, read_to_end, response, serving

from transports import hypercorn_trio
from transports.hypercorn_trio import limits


@application
async def hello(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
    else:
        await answer(send)


@application
async def endless(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})


@pytest.mark.parametrize("garbage", [b"\x00" * 4, b"abcde", b"\xff" * 6, b"\x81\x85\x00", b"\r\n" * 500])
async def test_garbage_behind_a_websocket_upgrade_breaks_only_its_own_connection(garbage: bytes) -> None:
    async with serving(hello) as server:
        async with await server.connect() as stream:
            await stream.send_all(UPGRADE + garbage)
            await read_to_end(stream)
        assert (await server.get()).endswith(b"hello")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 10_000 + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
    ],
)
async def test_what_is_no_http_ends_its_own_connection_only(garbage: bytes) -> None:
    async with serving(hello, keep_alive_timeout=0.3) as server:
        async with await server.connect() as stream:
            await stream.send_all(garbage)
            await read_to_end(stream)
        assert (await server.get()).endswith(b"hello")


async def test_a_peer_that_does_not_read_does_not_hold_up_the_end() -> None:
    async with serving(endless, grace=0.2) as server, await server.connect() as stream:
        await stream.send_all(GET)
        await stream.receive_some(1)
        await trio.testing.wait_all_tasks_blocked(0.05)
        server.stop.set()
        with trio.fail_after(15):
            await server.ended.wait()


async def test_a_peer_that_does_not_read_loses_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SEND_TIMEOUT", 0.1)
    gone = trio.Event()

    @application
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async with trio.open_nursery() as nursery:

            async def flood() -> None:
                while True:
                    await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})

            nursery.start_soon(flood)
            while (await receive())["type"] != "http.disconnect":
                pass
            nursery.cancel_scope.cancel()
        gone.set()

    async with serving(app) as server, await server.connect() as stream:
        await stream.send_all(GET)
        with trio.fail_after(15):
            await gone.wait()


async def test_a_response_of_unknown_length_begins_at_once() -> None:
    more = trio.Event()

    @application
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"b")]})
        await more.wait()
        await send({"type": "http.response.body", "body": b"rest"})

    async with serving(app) as server, await server.connect() as stream:
        await stream.send_all(GET)
        assert b"x-a: b" in await stream.receive_some()
        more.set()
        assert b"rest" in await stream.receive_some()


async def test_idle_connections_end_at_once_and_requests_in_progress_are_answered() -> None:
    asked, go_on = trio.Event(), trio.Event()

    @application
    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.set()
        await go_on.wait()
        await answer(send)

    async with serving(app, grace=5) as server, await server.connect() as busy:
        async with await server.connect() as idle:
            await busy.send_all(GET)
            await asked.wait()
            server.stop.set()
            assert await idle.receive_some() == b""
        go_on.set()
        assert (await response(busy)).endswith(b"hello")
        assert await busy.receive_some() == b""


async def test_a_silent_connection_is_closed_after_a_while() -> None:
    async with serving(hello, keep_alive_timeout=0.1) as server, await server.connect() as stream:
        await stream.send_all(GET[:20])
        assert await stream.receive_some() == b""


async def test_a_head_that_comes_byte_by_byte_has_no_more_time_than_one_that_does_not_come() -> None:
    head = GET[:-4] + b"\r\nX: " + b"x" * 10_000
    async with serving(hello, keep_alive_timeout=0.2) as server, await server.connect() as stream:

        async def trickle() -> None:
            for byte in head:
                await stream.send_all(bytes((byte,)))
                await trio.sleep(0.005)  # as such a client does: 50 s in all

        with trio.fail_after(15), pytest.raises(trio.BrokenResourceError):
            await trickle()
        assert (await server.get()).endswith(b"hello")


async def test_many_heads_that_never_end_hold_up_nobody_and_are_gone_in_time() -> None:
    async with serving(hello, keep_alive_timeout=0.5) as server:
        halves = [await server.connect() for _ in range(200)]
        for half in halves:
            await half.send_all(GET[:-2])
        assert (await server.get()).endswith(b"hello")
        for half in halves:
            await read_to_end(half)
            await half.aclose()


@pytest.mark.parametrize("in_one_piece", [True, False])
@pytest.mark.parametrize(
    "head",
    [
        b"".join(b"X-%d: 1\r\n" % number for number in range(limits.MAX_HEADERS)),
        b"X: " + b"x" * limits.MAX_HEAD_BYTES + b"\r\n",
    ],
)
async def test_a_head_that_is_too_large_is_a_431_with_a_sentence_however_it_arrives(
    head: bytes, in_one_piece: bool
) -> None:
    request = GET[:-2] + head + b"\r\n"
    async with serving(hello) as server:
        async with await server.connect() as stream:
            for piece in (
                [request] if in_one_piece else [request[:9_000], request[9_000:17_000], request[17_000:]]
            ):
                await stream.send_all(piece)
                await trio.testing.wait_all_tasks_blocked()
            told = await response(stream)
            assert told.startswith(b"HTTP/1.1 431 ")
            assert b"16 KiB and 128 headers" in told
            assert await stream.receive_some() == b""
        assert (await server.get()).endswith(b"hello")


async def test_as_many_headers_as_may_be_are_taken() -> None:
    head = b"".join(b"X-%d: 1\r\n" % number for number in range(limits.MAX_HEADERS - 1))
    async with serving(hello) as server, await server.connect() as stream:
        await stream.send_all(GET[:-2] + head + b"\r\n")
        assert (await response(stream)).endswith(b"hello")


async def test_what_is_no_request_is_told_so_in_a_sentence() -> None:
    async with serving(hello) as server, await server.connect() as stream:
        await stream.send_all(b"what is this\r\n\r\n")
        told = await response(stream)
        assert told.startswith(b"HTTP/1.1 400 ")
        assert b'"code":"bad_request"' in told


async def test_a_connection_serves_many_requests_even_pipelined() -> None:
    async with serving(hello) as server, await server.connect() as stream:
        await stream.send_all(GET * 3)
        data = b""
        while data.count(b"hello") < 3:
            data += await stream.receive_some()
        await stream.send_all(GET)
        assert (await response(stream)).endswith(b"hello")


async def test_the_last_response_of_a_connection_is_followed_by_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "LINGER", 60.0)

    @application
    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def end_with_the_request(scope: trio.CancelScope) -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            scope.cancel()

        async with trio.open_nursery() as nursery:  # as Quart does
            nursery.start_soon(end_with_the_request, nursery.cancel_scope)
            await answer(send)

    async with serving(app) as server:
        for _ in range(16):  # which of the two tasks is ahead is a matter of chance
            async with await server.connect() as stream:
                await stream.send_all(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                await response(stream)
                assert await stream.receive_some() == b""


async def test_connections_over_the_cap_are_refused_with_a_503_until_one_ends() -> None:
    async with serving(hello, max_connections=2) as server:
        async with await server.connect() as first, await server.connect() as second:
            await first.send_all(GET)
            await response(first)
            await second.send_all(GET)
            await response(second)
            async with await server.connect() as third:
                refused = await response(third)
                assert refused.startswith(b"HTTP/1.1 503 ")
                assert b'"code":"busy"' in refused
        while not (await server.get()).endswith(b"hello"):
            await trio.lowlevel.checkpoint()


async def test_an_early_answer_arrives_while_the_client_still_sends() -> None:
    @application
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"too large", 413)

    async with serving(app) as server, await server.connect() as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(64):
            await stream.send_all(b"x" * 65_536)
        told = await response(stream)
        assert told.endswith(b"too large")
        assert b"\r\nconnection: close\r\n" in told


async def test_only_an_early_answer_ends_the_connection() -> None:
    async with serving(hello) as server, await server.connect() as stream:
        for _ in range(3):
            await stream.send_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")
            assert b"connection:" not in await response(stream)


async def test_an_application_that_fails_costs_one_500(caplog: pytest.LogCaptureFixture) -> None:
    @application
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/":
            raise RuntimeError("secret")
        await answer(send)

    async with serving(app) as server:
        with caplog.at_level(logging.ERROR):
            told = await server.get()
        assert told.startswith(b"HTTP/1.1 500 ")
        assert b"secret" not in told
        assert "secret" in caplog.text
        async with await server.connect() as stream:
            await stream.send_all(GET.replace(b"/", b"/x", 1))
            assert (await response(stream)).endswith(b"hello")


async def test_an_application_learns_that_its_client_went_away() -> None:
    asked, gone = trio.Event(), trio.Event()

    @application
    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async with serving(app) as server:
        async with await server.connect() as stream:
            await stream.send_all(GET)
            await asked.wait()
        await gone.wait()


async def test_an_application_learns_of_a_reset_too_and_is_not_cancelled_by_it() -> None:
    finished = trio.Event()

    @application
    async def streaming(scope: Any, receive: Any, send: Any) -> None:
        await receive()  # the request
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"
        await trio.lowlevel.checkpoint()
        finished.set()

    async with serving(streaming) as server:
        stream = await server.connect()
        await stream.send_all(GET)
        while not (await stream.receive_some()).endswith(b"begun\r\n"):
            pass
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close is a reset
        await stream.aclose()
        await finished.wait()


async def test_a_large_response_arrives_whole() -> None:
    body = bytes(range(256)) * 40_000

    @application
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, body)

    async with serving(app) as server:
        assert (await server.get()).endswith(body)


async def test_http_2_with_prior_knowledge_is_served() -> None:
    async with serving(hello) as server, await server.connect() as stream:
        client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        client.initiate_connection()
        headers = [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "localhost")]
        client.send_headers(1, headers, end_stream=True)
        await stream.send_all(client.data_to_send())
        body, ended = b"", False
        while not ended:
            for event in client.receive_data(await stream.receive_some()):
                if isinstance(event, h2.events.DataReceived):
                    body += event.data
                ended |= isinstance(event, h2.events.StreamEnded)
            await stream.send_all(client.data_to_send())
        assert body == b"hello"


class Http2:
    """An HTTP/2 client over one connection."""

    def __init__(self, stream: trio.SocketStream, window: int = 65_535) -> None:
        self.stream = stream
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.client.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
        )
        self.client.initiate_connection()

    def ask(self, number: int, method: str = "GET", path: str | bytes = "/") -> None:
        headers = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "localhost")]
        self.client.send_headers(number, headers, end_stream=method == "GET")

    async def flush(self) -> None:
        await self.stream.send_all(self.client.data_to_send())

    async def until(self, *kinds: type[h2.events.Event]) -> Any:
        """The next event of these kinds."""
        while True:
            data = (await self.stream.receive_some()) or pytest.fail("the connection ended")
            events = self.client.receive_data(data)
            await self.flush()
            for event in events:
                if isinstance(event, kinds):
                    return event


async def test_an_http_2_client_that_resets_all_its_requests_loses_its_connection() -> None:
    called = 0

    @application
    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal called
        called += 1
        await answer(send)

    async with serving(app) as server:
        async with await server.connect() as stream:
            peer = Http2(stream)
            for number in range(1, 1_001, 2):
                peer.ask(number)
                peer.client.reset_stream(number)
            await peer.flush()
            ended = await peer.until(h2.events.ConnectionTerminated)
            assert ended.error_code == h2.errors.ErrorCodes.ENHANCE_YOUR_CALM
        assert called < 200
        assert (await server.get()).endswith(b"hello")


async def test_an_http_2_client_may_take_back_as_many_requests_as_it_lets_be_answered() -> None:
    async with serving(hello) as server, await server.connect() as stream:
        peer = Http2(stream)
        for number in range(1, 601, 4):
            peer.ask(number)
            peer.client.reset_stream(number)
            peer.ask(number + 2)
            await peer.flush()
            await peer.until(h2.events.StreamEnded)


async def test_data_after_an_early_answer_costs_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(hello) as server, await server.connect() as stream:
        peer = Http2(stream)
        peer.ask(1, "POST")
        await peer.flush()
        await peer.until(h2.events.StreamEnded)
        peer.client.send_data(1, b"late", end_stream=True)
        peer.ask(3)
        await peer.flush()
        assert (await peer.until(h2.events.StreamEnded)).stream_id == 3
    assert not [record for record in caplog.records if record.exc_info]


async def test_an_http_2_client_that_leaves_without_taking_its_answer_leaves_nothing_behind() -> None:
    async with serving(hello, max_connections=1) as server:
        async with await server.connect() as stream:
            peer = Http2(stream, window=0)
            peer.ask(1)
            await peer.flush()
            await peer.until(h2.events.ResponseReceived)
        with trio.fail_after(15):
            while not (await server.get()).endswith(b"hello"):
                pass


async def test_an_answer_that_its_application_leaves_is_reset_in_http_2_and_costs_nothing_else() -> None:
    @application
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/":
            await answer(send)
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x" * 1_000, "more_body": True})

    async with serving(app) as server, await server.connect() as stream:
        peer = Http2(stream)
        peer.ask(1, path="/half")
        await peer.flush()
        with trio.fail_after(15):
            assert (await peer.until(h2.events.StreamReset)).error_code == h2.errors.ErrorCodes.INTERNAL_ERROR
        peer.ask(3)
        await peer.flush()
        assert (await peer.until(h2.events.StreamEnded)).stream_id == 3


async def test_an_http_2_client_that_does_not_take_its_answer_loses_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "SEND_TIMEOUT", 0.1)
    async with serving(hello) as server, await server.connect() as stream:
        peer = Http2(stream, window=0)
        peer.ask(1)
        await peer.flush()
        with trio.fail_after(15):
            await read_to_end(stream)


@pytest.mark.parametrize("path", [b"/\xab", b"/?a=\xab"])
async def test_an_http_2_request_that_is_not_ascii_is_reset_and_costs_nothing_else(
    caplog: pytest.LogCaptureFixture, path: bytes
) -> None:
    async with serving(hello) as server, await server.connect() as stream:
        peer = Http2(stream)
        peer.ask(1, path=path)
        peer.ask(3, "POST", path)
        await peer.flush()
        assert (await peer.until(h2.events.StreamReset)).error_code == h2.errors.ErrorCodes.PROTOCOL_ERROR
        peer.ask(5)
        await peer.flush()
        assert (await peer.until(h2.events.StreamEnded)).stream_id == 5
    assert not [record for record in caplog.records if record.exc_info]


async def test_an_http_2_client_without_any_request_that_can_be_read_loses_its_connection() -> None:
    async with serving(hello) as server, await server.connect() as stream:
        peer = Http2(stream)
        event = None
        for number in range(1, 1_001, 2):
            peer.ask(number, path=b"/\xab")
            await peer.flush()
            event = await peer.until(h2.events.StreamReset, h2.events.ConnectionTerminated)
            if isinstance(event, h2.events.ConnectionTerminated):
                break
        assert event.error_code == h2.errors.ErrorCodes.ENHANCE_YOUR_CALM


async def test_a_broken_http_2_protocol_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with serving(hello) as server, await server.connect() as stream:
            peer = Http2(stream)
            for number in range(1, 4_001, 2):
                peer.client.prioritize(number)
            await peer.flush()
            await read_to_end(stream)
    told = [record for record in caplog.records if record.name.startswith(hypercorn_trio.__name__)]
    assert [record.levelname for record in told] == ["INFO"]
    assert told[0].exc_info is None


async def test_a_connection_whose_peer_acknowledges_nothing_is_ended_by_the_kernel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    allowed_ms: list[int] = []
    handle = hypercorn_trio.Server.handle

    async def look(server: hypercorn_trio.Server, stream: trio.SocketStream) -> None:
        option = stream.socket.getsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_USER_TIMEOUT)
        assert isinstance(option, int)
        allowed_ms.append(option)
        await handle(server, stream)

    monkeypatch.setattr(hypercorn_trio.Server, "handle", look)
    async with serving(hello) as server:
        await server.get()
    assert allowed_ms == [limits.SEND_TIMEOUT * 1_000]
