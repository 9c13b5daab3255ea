# ruff: noqa: ARG001 (applications have the signature of ASGI)
"""Plain requests for hot routes: what is taken for one, and that a client cannot tell the difference."""

from __future__ import annotations

import re
from typing import Any

import h11
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from in_process import answer, application, read_to_end, response, serving

from transports.asgi import read_body
from transports.hypercorn_trio import Hot, limits
from transports.hypercorn_trio.plain import recognized


def served(method: str, path: str) -> bool:
    return path == "/hot"


def request(body: bytes = b"{}", target: bytes = b"/hot", *more: bytes, length: int | None = None) -> bytes:
    lines = [
        b"POST " + target + b" HTTP/1.1",
        b"Host: localhost",
        b"Content-Length: %d" % (len(body) if length is None else length),
        *more,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


# --- what is a plain request ---------------------------------------------------------------------


def test_a_usual_request_is_plain() -> None:
    plain = recognized(request(b'{"code":"1"}', b"/hot?a=%20b", b"accept:  */* ", b"USER-AGENT: x/1"), served)
    assert plain is not None
    assert (plain.method, plain.path, plain.query) == ("POST", "/hot", b"a=%20b")
    assert dict(plain.headers) == {
        b"host": b"localhost",
        b"content-length": b"12",
        b"accept": b"*/*",
        b"user-agent": b"x/1",
    }
    assert (plain.length, plain.begun) == (12, b'{"code":"1"}')


@pytest.mark.parametrize(
    "data",
    [
        request(target=b"/cold"),
        request(target=b"/h%6ft"),
        request(target=b"http://localhost/hot"),
        request(b"", b"/hot", b"Transfer-Encoding: chunked"),
        request(b"", b"/hot", b"Expect: 100-continue"),
        request(b"", b"/hot", b"Upgrade: h2c"),
        request(b"", b"/hot", b"Connection: close"),
        request(b"", b"/hot", b"Content-Length: 0"),
        request(b"", b"/hot", b"Content-Length : 0"),
        request(b"", b"/hot", b"Host: other"),
        request(b"", b"/hot", b"Accept: a", b" folded: b"),
        request(b"", b"/hot", b"Accept: a\nTransfer-Encoding: chunked"),
        request(b"", b"/hot", b"Accept: a\rb"),
        request(b"", b"/hot", b"Accept: \x00"),
        request(b"", b"/hot", b"Accept: \xe4"),
        request(b"", b"/hot", b"Accept"),
        request(b"", b"/hot", b"Unknown: a"),
        request(b"", b"/hot", b"Cookie: " + b"a" * limits.MAX_HEAD_BYTES),
        request(b"").replace(b"Content-Length: 0\r\n", b""),
        request(b"").replace(b"Content-Length: 0", b"Content-Length: +0"),
        request(b"").replace(b"Content-Length: 0", b"Content-Length: "),
        request(b"").replace(b"Host: localhost\r\n", b""),
        request(b"").replace(b"HTTP/1.1", b"HTTP/1.0"),
        request(b"").replace(b"POST", b"PUT"),
        request(b"").replace(b"POST ", b"POST  "),
        request(b"")[:-2],
        b"\r\n" + request(b""),
        b"",
    ],
)
def test_what_is_unusual_is_left_to_h11(data: bytes) -> None:
    assert recognized(data, served) is None


PIECES = st.sampled_from(
    [
        *(b"POST", b"GET", b" ", b"/hot", b"/hot?a=b", b" HTTP/1.1", b"\r\n", b"\r", b"\n", b"\t", b":"),
        *(
            b"Host: a",
            b"host: b",
            b"Content-Length: 2",
            b"content-length:3",
            b"Accept: ",
            b"x",
            b"{}",
            b"\x00",
        ),
        *(b"Transfer-Encoding: chunked", b"Connection: keep-alive", b"Prefer: wait=1", b"\r\n\r\n", b"\xff"),
        *(b"POST /hot HTTP/1.1\r\nHost: a\r\n", b"Content-Length: 0\r\n\r\n", b" ,", b"0\r\n\r\n"),
    ]
)


@given(st.lists(PIECES, max_size=12).map(b"".join))
def test_of_what_is_plain_h11_thinks_the_same(data: bytes) -> None:
    data = b"POST /hot HTTP/1.1\r\nHost: a\r\n" + data
    plain = recognized(data, served)
    if plain is None:
        return
    judge = h11.Connection(h11.SERVER)
    judge.receive_data(data)
    asked = judge.next_event()
    assert isinstance(asked, h11.Request)
    assert (asked.method.decode(), asked.target) == (plain.method, re.split(rb" ", data)[1])
    assert list(asked.headers) == plain.headers
    body = b""
    while isinstance(event := judge.next_event(), h11.Data):
        body += event.data
    assert body == plain.begun[: plain.length]
    if isinstance(event, h11.EndOfMessage):
        assert len(body) == plain.length
        assert judge.trailing_data[0] == plain.begun[plain.length :]
    else:
        assert event is h11.NEED_DATA
        assert len(plain.begun) < plain.length


# --- how it is answered --------------------------------------------------------------------------


@application
async def cold(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, b"cold " + await read_body(scope, receive, 1_000))


async def hot(scope: Any, receive: Any, send: Any) -> None:
    await answer(send, b"hot " + await read_body(scope, receive, 1_000))


HOT = Hot(hot, served)


def bodies(data: bytes) -> list[bytes]:
    """The bodies in what came, which all have a length."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        found.append(data[:length])
        data = data[length:]
    return found


async def receive_bodies(stream: trio.SocketStream, count: int) -> list[bytes]:
    """So many bodies, which are a word and a digit."""
    data = b""
    while len(re.findall(rb"(?:hot|cold) [0-9]", data)) < count:
        data += (await stream.receive_some()) or pytest.fail(f"the connection ended after {data!r}")
    return bodies(data)


async def test_hot_and_other_requests_of_a_connection_are_answered_in_their_order() -> None:
    sent = [request(b"1"), request(b"2", b"/cold"), request(b"3"), request(b"4"), request(b"5", b"/cold")]
    expected = [b"hot 1", b"cold 2", b"hot 3", b"hot 4", b"cold 5"]
    numbers = [body[-1:] for body in expected]
    async with serving(cold, HOT) as server, await server.connect() as stream:
        for data, body in zip(sent, expected, strict=True):
            await stream.send_all(data)
            assert (await response(stream)).endswith(b"\r\n\r\n" + body)
        await stream.send_all(b"".join(sent))
        answered = await receive_bodies(stream, 5)
        assert [body[-1:] for body in answered] == numbers


async def test_a_request_may_come_in_any_two_pieces() -> None:
    data = request(b'{"code":"1"}')
    async with serving(cold, HOT) as server, await server.connect() as stream:
        stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        for cut in range(1, len(data)):
            await stream.send_all(data[:cut])
            await trio.testing.wait_all_tasks_blocked(0.001)
            await stream.send_all(data[cut:])
            answered = await response(stream)
            is_whole_head = cut >= data.index(b"\r\n\r\n") + 4
            assert answered.endswith(b'hot {"code":"1"}' if is_whole_head else b'cold {"code":"1"}')


async def test_what_follows_half_a_head_is_never_taken_for_a_request() -> None:
    async with serving(cold, HOT) as server, await server.connect() as stream:
        await stream.send_all(b"POST /cold HTTP/1.1\r\nX: ")
        await trio.testing.wait_all_tasks_blocked(0.01)
        await stream.send_all(request(b"one two 3"))
        assert (await response(stream)).endswith(b"cold one two 3")


async def test_the_answer_is_the_same_as_the_other_one() -> None:
    async with serving(application(hot), HOT) as server, await server.connect() as stream:
        await stream.send_all(request(b"1"))
        plain = await response(stream)
        await stream.send_all(request(b"1", b"/hot", b"X-Other: 1"))
        assert re.sub(rb"date: .*\r\n", b"", await response(stream)) == re.sub(rb"date: .*\r\n", b"", plain)


async def test_an_answer_before_the_body_has_come_ends_the_connection_and_is_not_lost() -> None:
    async def early(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"no", 413)

    async with serving(cold, Hot(early, served)) as server:
        async with await server.connect() as stream:
            await stream.send_all(request(b"x" * 10, length=100_000_000))
            answered = await response(stream)
            assert b" 413 " in answered
            assert b"connection: close" in answered
            await stream.send_all(b"y" * 1_000_000)
            await read_to_end(stream)
        async with await server.connect() as stream:
            await stream.send_all(request(b"x" * 10))
            assert b"connection" not in await response(stream)


async def test_a_hot_application_learns_that_its_client_went_away() -> None:
    told = trio.Event()

    async def waiting(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["body"] == b"{}"
        assert (await receive())["type"] == "http.disconnect"
        told.set()

    async with serving(cold, Hot(waiting, served)) as server:
        async with await server.connect() as stream:
            await stream.send_all(request())
        await told.wait()


async def test_a_client_that_ends_its_side_gets_the_answer_or_none_at_all() -> None:
    """As from h11: no error, which there was not."""

    async def waiting(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        if scope["query_string"]:
            await answer(send, b"hot 1")

    async with serving(application(waiting), Hot(waiting, served)) as server:
        for more in ((), (b"X-Other: 1",)):
            async with await server.connect() as stream:
                await stream.send_all(request(b"{}", b"/hot", *more))
                await stream.send_eof()
                assert await stream.receive_some() == b""
        async with await server.connect() as stream:
            await stream.send_all(request(b"{}", b"/hot?answer"))
            await stream.send_eof()
            assert (await response(stream)).endswith(b"hot 1")


async def test_a_body_that_is_never_complete_is_a_client_that_went_away() -> None:
    told = trio.Event()

    async def waiting(scope: Any, receive: Any, send: Any) -> None:
        assert await receive() == {"type": "http.request", "body": b"{}", "more_body": True}
        assert (await receive())["type"] == "http.disconnect"
        told.set()

    async with serving(cold, Hot(waiting, served)) as server:
        async with await server.connect() as stream:
            await stream.send_all(request(length=3))
        await told.wait()


async def test_a_hot_application_that_fails_costs_one_500(caplog: pytest.LogCaptureFixture) -> None:
    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("on purpose")

    async with serving(cold, Hot(failing, served)) as server, await server.connect() as stream:
        await stream.send_all(request())
        answered = await response(stream)
        assert b" 500 " in answered
        assert b"connection: close" in answered
        await read_to_end(stream)
    assert "on purpose" in caplog.text


async def test_a_header_that_would_end_its_line_is_not_sent() -> None:
    async def splitting(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"location", b"/\r\nset-cookie: a"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async with serving(cold, Hot(splitting, served)) as server, await server.connect() as stream:
        await stream.send_all(request())
        answered = await response(stream)
        assert b" 500 " in answered
        assert b"cookie" not in answered


async def test_a_hot_request_in_progress_is_answered_when_the_server_stops() -> None:
    begun, go_on = trio.Event(), trio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await go_on.wait()
        await answer(send)

    async with serving(cold, Hot(slow, served)) as server, await server.connect() as stream:
        await stream.send_all(request())
        await begun.wait()
        server.stop.set()
        await trio.testing.wait_all_tasks_blocked(0.01)
        go_on.set()
        answered = await response(stream)
        assert answered.endswith(b"hello")
        assert b"connection: close" in answered
        await read_to_end(stream)


async def test_a_hot_request_that_the_end_of_the_server_ends_is_a_500() -> None:
    begun = trio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            begun.set()

    async with (
        serving(cold, Hot(endless, served), grace=0.01) as server,
        await server.connect() as stream,
    ):
        await stream.send_all(request())
        await begun.wait()
        server.stop.set()
        assert b" 500 " in await response(stream)
