"""Bytes on a connection: HTTP/1.1, HTTP/2 and WebSocket, and what is none of them."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any, Final

import hpack
import trio
import trio.testing
from hypercorn.app_wrappers import ASGIWrapper

from fuzz.data import Data
from transports import hypercorn_trio
from transports.hypercorn_trio import Hot, Server, ServerConfig

_LINES: Final = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /stream HTTP/1.0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\n",
    b"POST /early HTTP/1.1\r\nHost: localhost\r\n",
    b"GET /early HTTP/1.1\r\nHost: localhost\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n",
    b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n",
    b"GET http://localhost/?q HTTP/1.1\r\nHost: localhost\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    b"HTTP2-Settings: !\r\n",
    b"\r\n",
    b"hello",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffffff\r\n",
    b"X: " + b"y" * 70_000 + b"\r\n",
    b"\x81\x85\x00\x00\x00\x00hello",
    b"\x88\x80\x00\x00\x00\x00",
    b"\x89\x80\x00\x00\x00\x00",
    b"POST /hot HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /hot HTTP/1.1\r\nHost: localhost\r\n",
)
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_NAMES: Final = (
    b":method",
    b":path",
    b":scheme",
    b":authority",
    b":protocol",
    b"host",
    b"content-length",
    b"te",
    b"x",
    b"X",
    b"connection",
)
_VALUES: Final = (
    b"GET",
    b"POST",
    b"CONNECT",
    b"/",
    b"/early",
    b"/stream",
    b"http",
    b"localhost",
    b"websocket",
    b"5",
    b"",
    b"trailers",
    b"\xff",
    b"*",
)
_REQUEST: Final = (
    (b":method", b"POST"),
    (b":path", b"/"),
    (b":scheme", b"http"),
    (b":authority", b"localhost"),
)
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_PAYLOADS: Final = {2: 5, 3: 4, 6: 8, 7: 8, 8: 4}
"""Bytes of frames that have always so many: PRIORITY, RST_STREAM, PING, GOAWAY, WINDOW_UPDATE."""


class Faults(logging.Handler):
    """The errors that were logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record's text."""
        self.told.append(logging.Formatter().format(record))


def connections(raw: bytes) -> None:
    """Whatever comes in, a connection ends, and nothing of it is an error of the server."""
    data = Data(raw)
    sent = _http2(data) if data.byte() % 2 else _http1(data)
    faults, logger = Faults(), logging.getLogger(hypercorn_trio.__name__)
    logger.addHandler(faults)
    try:
        trio.run(_converse, sent, data, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        logger.removeHandler(faults)
    assert not faults.told, faults.told[0]


def _http1(data: Data) -> bytes:
    sent = bytearray()
    for _ in range(data.byte() % 12):
        sent += data.take(data.byte() % 20) if data.rarely() else data.choose(_LINES)
    if data.rarely() and sent:
        at = data.below(len(sent))
        sent[at : at + data.byte() % 3] = data.take(data.byte() % 4)
    return bytes(sent)


def _http2(data: Data) -> bytes:
    sent = _PREFACE + _frame(_SETTINGS, 0, 0, b"")
    encoder, following = hpack.Encoder(), 1
    for _ in range(data.byte() % 16):
        kind = data.choose((_HEADERS, _HEADERS, _DATA, _DATA, 2, 3, _SETTINGS, 6, 7, 8, 9, 5, 10, 255))
        stream = data.choose((1, 1, 3, 3, 5, 7, 0, 2, 2**31 - 1))
        flags = data.choose((0, 1, 4, 5, 5, 0x24, 0x25, 8, 0xFF))
        if kind == _HEADERS and not data.rarely():
            payload = encoder.encode(_fields(data))
            if not data.rarely():
                stream, following, flags = following, following + 2, data.choose((5, 5, 4))
        elif kind == _SETTINGS:
            payload = data.take(6 * (data.byte() % 4))
        elif kind in _PAYLOADS and not data.rarely():
            payload = data.take(_PAYLOADS[kind]).ljust(_PAYLOADS[kind], b"\0")
        else:
            payload = data.octets() * data.choose((1, 1, 1, 60))
        sent += _frame(kind, flags, stream, payload)
    return sent


def _fields(data: Data) -> list[tuple[bytes, bytes]]:
    fields = list(_REQUEST)
    for _ in range(data.byte() % 4):
        at = data.below(len(fields))
        match data.byte() % 8:
            case 0 if len(fields) > 1:
                fields.pop(at)
            case 1 | 2 | 3 | 4:
                fields[at] = (fields[at][0], data.choose(_VALUES))
            case 5:
                fields.append((data.choose(_NAMES), data.take(data.byte() % 20)))
            case 6:
                fields.append((data.choose(_NAMES), data.choose(_VALUES)))
            case _:
                fields.append((b"x", b"y"))
    return fields


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


async def _converse(sent: bytes, data: Data) -> None:
    """Send it in pieces to a server, and read until it ends the connection."""
    ours, theirs = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in socket.socketpair())
    hot = Hot(_application, lambda _, path: path == "/hot")
    server = Server(ASGIWrapper(_application), hot, ServerConfig(), {})  # type: ignore[arg-type, typeddict-item]

    async def drain() -> None:
        try:
            while await ours.receive_some():
                pass
        except trio.BrokenResourceError:
            return

    with trio.fail_after(1_000):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.handle, theirs)
            nursery.start_soon(drain)
            try:
                while sent:
                    size = data.byte() * 50 or len(sent)
                    await ours.send_all(sent[:size])
                    sent = sent[size:]
                if data.byte() % 2:
                    await trio.sleep(100)  # longer than a connection may be idle
                await ours.send_eof()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
    await ours.aclose()


async def _application(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """Answers early, in a stream, or when it has read all; echoes over a WebSocket."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message.get("text") or ""})
        return
    if scope["path"] != "/early":
        while (message := await receive())["type"] != "http.disconnect" and message["more_body"]:
            pass
    sized = [] if scope["path"] == "/stream" else [(b"content-length", b"5")]
    status = 405 if scope["method"] == "CONNECT" else 200
    await send({"type": "http.response.start", "status": status, "headers": sized})
    await send({"type": "http.response.body", "body": b"hello", "more_body": False})
